"""Inputs that do not fit, and outputs that cannot be written to."""

import ml_dtypes
import numpy as np

import cybn

F32 = np.float32
_RNG = np.random.default_rng(0)


def _x(*shape, dtype=F32):
    return _RNG.normal(3, 2, shape).astype(dtype)


def another_rank(given):
    yield lambda: cybn.BatchNorm2d(3)(_x(8, 3, 5))
    yield lambda: cybn.BatchNorm1d(3)(_x(8, 3, 5))


def one_image(given):
    yield lambda: cybn.BatchNorm2d(3)(_x(3, 8, 8))
    yield lambda: cybn.BatchNorm2d(3)(_x(3, 8, 8)[None])


def one_image_with_channels_last(given):
    yield lambda: cybn.BatchNorm2d(3)(_x(8, 8, 3))
    yield lambda: cybn.BatchNorm2d(3, channel_axis=-1)(_x(8, 8, 3)[None])


def one_sample_of_single_values(given):
    yield lambda: cybn.BatchNorm1d(3)(_x(3))
    yield lambda: cybn.BatchNorm1d(3).eval()(_x(3)[None])


def a_batch_that_looks_like_one_sample(given):
    yield lambda: cybn.InstanceNorm2d(3)(_x(8, 3, 5))
    yield lambda: cybn.InstanceNorm1d(3)(_x(8, 3, 5))


def another_number_of_channels(given):
    yield lambda: cybn.GroupNorm(2, 4)(_x(8, 6))
    yield lambda: cybn.GroupNorm(2, num_channels=6)(_x(8, 6))


def channels_on_the_other_axis(given):
    yield lambda: cybn.BatchNorm2d(3)(_x(2, 4, 5, 3))
    yield lambda: cybn.BatchNorm2d(3, channel_axis=-1)(_x(2, 4, 5, 3))


def no_channels(given):
    yield lambda: cybn.BatchNorm1d(3)(_x(8, 0))
    yield lambda: cybn.BatchNorm1d(3)(_x(8, 3))


def other_last_axes(given):
    yield lambda: cybn.LayerNorm(3)(_x(8, 5))
    yield lambda: cybn.LayerNorm(normalized_shape=(5,))(_x(8, 5))


def empty_last_axes(given):
    yield lambda: cybn.LayerNorm(3)(_x(2, 0))
    yield lambda: cybn.LayerNorm(3)(_x(2, 3))


def another_dtype(given):
    x = np.arange(12).reshape(4, 3)
    yield lambda: cybn.BatchNorm1d(3)(x)
    yield lambda: cybn.BatchNorm1d(3)(x.astype(np.float32))


def words_of_bfloat16(given):
    words = _x(4, 3, dtype=ml_dtypes.bfloat16).view(np.uint16)
    yield lambda: cybn.BatchNorm1d(3)(words)
    yield lambda: cybn.BatchNorm1d(3)(words.astype(np.float32))
    yield lambda: cybn.BatchNorm1d(3)(words.view(ml_dtypes.bfloat16))


def bfloat16_that_numpy_has_saved(given):
    np.save(given.folder / "x.npy", _x(4, 3, dtype=ml_dtypes.bfloat16))
    x = np.load(given.folder / "x.npy")
    yield lambda: cybn.BatchNorm1d(3)(x)
    yield lambda: cybn.BatchNorm1d(3)(x.view(ml_dtypes.bfloat16))


def another_byte_order(given):
    x = _x(4, 3).astype(">f8")
    yield lambda: cybn.BatchNorm1d(3)(x)
    yield lambda: cybn.BatchNorm1d(3)(x.astype(np.float64))


def a_list_of_ints(given):
    x = [[1, 2, 3], [4, 6, 8]]
    yield lambda: cybn.BatchNorm1d(3)(x)
    yield lambda: cybn.BatchNorm1d(3)(np.asarray(x, np.float32))


def an_out_of_another_dtype(given):
    x = _x(4, 3)
    yield lambda: cybn.BatchNorm1d(3)(x, out=np.empty((4, 3)))
    yield lambda: cybn.BatchNorm1d(3)(x, out=np.empty_like(x))


def complex_numbers(given):
    x = _x(4, 3) + 1j
    yield lambda: cybn.BatchNorm1d(3)(x)
    yield lambda: (cybn.BatchNorm1d(3)(x.real), cybn.BatchNorm1d(3)(x.imag))


def no_array(given):
    yield lambda: cybn.BatchNorm1d(3)(None)
    yield lambda: cybn.BatchNorm1d(3)(_x(4, 3))


def a_masked_array(given):
    x = np.ma.masked_array(_x(4, 3), _x(4, 3) > 3)
    yield lambda: cybn.BatchNorm1d(3)(x)
    yield lambda: cybn.BatchNorm1d(3)(x.filled(0.0))
    yield lambda: cybn.BatchNorm1d(3)(x.data[[0, 1]])


def a_gradient_of_another_dtype(given):
    layer, x = cybn.BatchNorm1d(3), _x(4, 3)
    layer(x)
    dy = x.astype(np.float64)
    yield lambda: layer.backward(dy)
    yield lambda: layer.backward(dy.astype(np.float32))


def a_gradient_of_bfloat16(given):
    layer, x = cybn.DyT(3), _x(4, 3, dtype=ml_dtypes.bfloat16)
    layer(x)
    dy = _x(4, 3)
    yield lambda: layer.backward(dy)
    yield lambda: layer.backward(dy.astype(ml_dtypes.bfloat16))


def a_layer_that_refuses_sixteen_bits(given):
    class Choosy(cybn.DyT):
        sixteen_bits = "refused"

    x = _x(4, 3, dtype=np.float16)
    yield lambda: Choosy(3)(x)
    yield lambda: Choosy(3)(x.astype(np.float32))


def a_read_only_out(given):
    layer, x = cybn.BatchNorm1d(3), _x(4, 3)
    out = np.empty_like(x)
    out.flags.writeable = False
    yield lambda: layer(x, out=out)
    yield lambda: layer(x, out=np.empty_like(x))


def an_out_that_shares_its_items(given):
    layer, x = cybn.BatchNorm1d(3), _x(4, 3)
    out = np.lib.stride_tricks.as_strided(np.empty(3, F32), (4, 3), (0, 4))
    yield lambda: layer(x, out=out)
    yield lambda: layer(x, out=np.empty_like(x))


def an_out_that_overlaps_in_part(given):
    layer, both = cybn.BatchNorm1d(3), _x(5, 3)
    x = both[:4]
    yield lambda: layer(x, out=both[1:])
    yield lambda: layer(x.copy(), out=np.empty_like(x))
    yield lambda: layer(x, out=x)


def an_out_over_the_input_of_a_backward(given):
    layer, x = cybn.BatchNorm1d(3), _x(4, 3)
    layer(x)
    yield lambda: layer.backward(_x(4, 3), out=x)
    yield lambda: layer.backward(_x(4, 3), out=np.empty_like(x))


def one_value_per_channel(given):
    layer = cybn.BatchNorm1d(3)
    yield lambda: layer(_x(1, 3))
    yield lambda: layer(_x(2, 3))
    yield lambda: layer.eval()(_x(1, 3))


def one_value_per_channel_and_no_running_statistics(given):
    layer = cybn.BatchNorm1d(3, track_running_stats=False).eval()
    yield lambda: layer(_x(1, 3))
    yield lambda: layer(_x(2, 3))
    yield lambda: cybn.BatchNorm1d(3, track_running_stats=True).eval()(_x(1, 3))


def one_value_that_the_mask_leaves(given):
    layer = cybn.GhostBatchNorm1d(3, virtual_batch_size=4)
    x, mask = _x(8, 3), np.arange(8) < 5
    yield lambda: layer(x, mask=mask)
    yield lambda: layer(x, mask=np.arange(8) < 6)
    yield lambda: layer.eval()(x, mask=mask)


def virtual_batches_of_one_value(given):
    layer = cybn.GhostBatchNorm1d(3, virtual_batch_size=1)
    yield lambda: layer(_x(4, 3))
    yield lambda: cybn.GhostBatchNorm1d(3, virtual_batch_size=2)(_x(4, 3))
    yield lambda: layer.eval()(_x(4, 3))


def a_virtual_batch_of_one_value(given):
    layer = cybn.GhostBatchNorm1d(3, virtual_batch_size=8)
    yield lambda: layer(_x(1, 3))
    yield lambda: layer(_x(2, 3))
    yield lambda: layer.eval()(_x(1, 3))


def groups_of_one_value(given):
    yield lambda: cybn.GroupNorm(4, 4)(_x(1, 4))
    yield lambda: cybn.GroupNorm(2, 4)(_x(1, 4))


def one_group_of_one_value(given):
    yield lambda: cybn.GroupNorm(1, 1)(_x(1, 1))
    yield lambda: cybn.GroupNorm(1, 1)(_x(1, 1, 2))


def planes_of_one_value(given):
    yield lambda: cybn.InstanceNorm1d(3)(_x(2, 3, 1))
    yield lambda: cybn.InstanceNorm1d(3)(_x(2, 3, 2))


def a_batch_that_is_not_finite(given):
    x = _x(4, 3)
    x[1, 2] = np.nan
    yield lambda: cybn.BatchNorm1d(3, on_nonfinite="error")(x)
    yield lambda: cybn.BatchNorm1d(3, on_nonfinite="error")(np.nan_to_num(x))
    yield lambda: cybn.BatchNorm1d(3, on_nonfinite="skip")(x)


def a_batch_that_is_too_large(given):
    x = np.array([[1e20], [-1e20]], F32)
    yield lambda: cybn.BatchNorm1d(1, on_nonfinite="error")(x)
    yield lambda: cybn.BatchNorm1d(1, on_nonfinite="error")(x * F32(1e-18))
    yield lambda: cybn.BatchNorm1d(1, on_nonfinite="skip")(x)


def labels_that_are_no_ints(given):
    layer = cybn.ConditionalBatchNorm1d(3, num_classes=2)
    yield lambda: layer(_x(2, 3), labels=np.array([0.0, 1.0]))
    yield lambda: layer(_x(2, 3), labels=np.array([0, 1]))


def labels_of_no_class(given):
    x, labels = _x(2, 3), np.array([0, 2])
    yield lambda: cybn.ConditionalBatchNorm1d(3, num_classes=2)(x, labels=labels)
    yield lambda: cybn.ConditionalBatchNorm1d(3, num_classes=3)(x, labels=labels)


def a_domain_that_there_is_not(given):
    yield lambda: cybn.DomainSpecificBatchNorm1d(3)(_x(4, 3), domain=2)
    yield lambda: cybn.DomainSpecificBatchNorm1d(3, num_domains=3)(_x(4, 3), domain=2)
    yield lambda: cybn.DomainSpecificBatchNorm1d(3)(_x(4, 3), domain=1)


def a_domain_for_each_sample(given):
    layer = cybn.DomainSpecificBatchNorm1d(3)
    yield lambda: layer(_x(4, 3), domain=np.array([0, 1, 0, 1]))
    yield lambda: (layer(_x(2, 3), domain=0), layer(_x(2, 3), domain=1))


def a_batch_that_does_not_divide(given):
    yield lambda: cybn.SplitBatchNorm1d(3, num_splits=2)(_x(5, 3))
    yield lambda: cybn.SplitBatchNorm1d(3, num_splits=2)(_x(6, 3))


def a_response_over_nothing(given):
    x = _x(4, 3)
    yield lambda: cybn.LocalResponseNorm(3)(x)
    yield lambda: cybn.LocalResponseNorm(3)(x[:, :, None])


def a_sample_for_adain_without_places(given):
    x = _x(4, 3, 1)
    yield lambda: cybn.AdaIN()(x, style=_x(4, 3, 5))
    yield lambda: cybn.BatchNorm1d(3)(x)


def one_style_for_many(given):
    style = _x(1, 3, 5)
    yield lambda: cybn.AdaIN()(_x(4, 3, 5), style=style)
    yield lambda: cybn.AdaIN()(_x(4, 3, 5), style=np.broadcast_to(style, (4, 3, 5)))


def an_empty_style(given):
    yield lambda: cybn.AdaIN()(_x(4, 3, 5), style=np.empty((4, 3, 0), F32))
    yield lambda: cybn.AdaIN()(_x(4, 3, 5))


def another_number_of_filters(given):
    yield lambda: cybn.WeightStandardization(out_channels=3)(_x(4, 5))
    yield lambda: cybn.WeightStandardization(out_channels=4)(_x(4, 5))


def filters_of_one_value(given):
    yield lambda: cybn.WeightStandardization()(_x(4, 1))
    yield lambda: cybn.WeightStandardization()(_x(4, 2))


def a_mode_in_a_call(given):
    layer = cybn.BatchNorm1d(3)
    yield lambda: layer(_x(4, 3), training=False)
    yield lambda: layer.eval()(_x(4, 3))
    yield lambda: layer.train()(_x(4, 3))


def an_option_in_a_call(given):
    yield lambda: cybn.BatchNorm1d(3)(_x(4, 3), eps=1e-3)
    yield lambda: cybn.BatchNorm1d(3, eps=1e-3)(_x(4, 3))


def an_input_that_there_is_not(given):
    yield lambda: cybn.DyT(3)(_x(4, 3), mask=np.ones(4, bool))
    yield lambda: cybn.DyT(3)(_x(4, 3), out=np.empty((4, 3), F32))


def an_axis_of_channels_and_a_shape_of_two(given):
    yield lambda: cybn.functional.layer_norm(_x(4, 3, 5), (3, 5), channel_axis=1)
    yield lambda: cybn.functional.layer_norm(_x(4, 3, 5), (3, 5))


def an_axis_of_channels_that_x_has_not(given):
    yield lambda: cybn.functional.layer_norm(_x(4, 3), (3,), channel_axis=2)
    yield lambda: cybn.functional.layer_norm(_x(4, 5, 3), (3,), channel_axis=2)
    yield lambda: cybn.functional.layer_norm(_x(4, 3), (3,), channel_axis=-1)


def one_valid_value_in_a_group_of_a_sample(given):
    layer, x, mask = cybn.GroupNorm(3, 3), _x(2, 3, 4), np.ones((2, 4), bool)
    mask[1, 1:] = False
    yield lambda: layer(x, mask=mask.copy())
    mask[1] = False
    yield lambda: layer(x, mask=mask)


def an_input_that_is_misspelt(given):
    yield lambda: cybn.BatchNorm1d(3)(_x(4, 3), masks=np.ones(4, bool))
    yield lambda: cybn.BatchNorm1d(3)(_x(4, 3), mask=np.ones(4, bool))


def groups_of_one_value_in_a_map(given):
    layer = cybn.EvoNormS0(3, groups=3)
    yield lambda: layer(_x(2, 3, 1, 1))
    yield lambda: layer(_x(2, 3, 1, 2))
    yield lambda: cybn.EvoNormS0(3, groups=1)(_x(2, 3, 1, 1))
