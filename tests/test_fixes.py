"""What errors advise for an input that does not fit: names of classes that exist and take it."""

import re

import numpy as np
import pytest

import cybn
from cybn.terms.registry import registry
from cybn.terms.signature import options_of
from cybn.testing._subject import Subject

F32 = np.float32


def zeros(*shape):
    return np.zeros(shape, F32)


def images(*shape):
    return np.random.default_rng(0).normal(0, 1, shape).astype(F32)


def message_of(call):
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    return str(caught.value)


RANKED = sorted({
    name for name in cybn.available()
    if re.fullmatch(r".*[123]d", name) and getattr(registry.find(name), "ranks", ())
})  # fmt: skip


@pytest.mark.parametrize("name", RANKED)
@pytest.mark.parametrize("ndim", [2, 3, 4, 5])
def test_the_class_that_is_named_takes_the_input(name, ndim):
    layer = cybn.create(name, num_features=3)
    x = images(4, 3, 5, 6, 7)[(..., *(0,) * (5 - ndim))]
    ranks = type(layer).ranks
    samples = "Instance" in name  # taken by themselves, too: (4, 3, 5) is no sample of 3 channels
    if ndim == ranks[-1] or (ndim in ranks and not samples):
        layer(x)
        return
    message = message_of(lambda: layer(x))
    named = re.search(r"; use (\w+)", message)
    family = [registry.find(f"{name[:-2]}{rank}d").ranks for rank in "123"]
    if not any(ndim == ranks[-1] or (ndim in ranks and not samples) for ranks in family):
        assert not named
    else:
        assert cybn.create(named[1], num_features=3)(x).shape == x.shape


def test_a_name_that_only_looks_like_one_of_a_family_is_not_believed(own_registry):
    class FooNorm2d(cybn.BatchNorm2d):
        """A norm for images alone."""

    for _ in range(2):
        assert "use" not in message_of(lambda: FooNorm2d(3)(zeros(8, 3, 8)))
        cybn.register("FooNorm2d", force=True)(FooNorm2d)

    @cybn.register("FooNorm1d")
    class Unlike(cybn.Layer):
        """No relative but for its name: other options, and no ranks."""

    assert "use" not in message_of(lambda: FooNorm2d(3)(zeros(8, 3, 8)))

    @cybn.register("FooNorm1d", force=True)
    class FooNorm1d(cybn.BatchNorm1d):
        """The same norm for signals."""

    assert message_of(lambda: FooNorm2d(3)(zeros(8, 3, 8))).endswith("; use FooNorm1d")


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        ("BatchNorm2d", (3, 8, 8)),
        ("BatchNorm3d", (3, 4, 8, 8)),
        ("BatchNorm1d", (3, 8)),
        ("FrozenBatchNorm2d", (3, 8, 8)),
        ("GhostBatchNorm2d", (3, 8, 8)),
        ("BatchRenorm2d", (3, 8, 8)),
        ("FilterResponseNorm", (3, 8)),
        ("PowerNorm", (3, 8)),
        ("Normalize", (3, 8, 8)),
        ("GroupNorm", (3, 8, 8)),
    ],
)
def test_one_sample_of_many_values_is_told_to_be_made_a_batch(layer, shape):
    extra = {"num_groups": 1} if layer == "GroupNorm" else {}
    layer = cybn.create(layer, num_features=3, **extra)
    x = images(*shape)
    assert "pass x[None] if it is one sample" in message_of(lambda: layer(x))
    assert layer(x[None]).shape == (1, *shape)


def test_one_sample_with_channels_last_needs_a_layer_of_that_kind():
    x = images(8, 8, 3)
    message = message_of(lambda: cybn.BatchNorm2d(3)(x))
    assert "pass x[None] to a layer with channel_axis=-1 if it is one sample" in message
    cybn.BatchNorm2d(3, channel_axis=-1)(x[None])
    message = message_of(lambda: cybn.BatchNorm2d(3, channel_axis=-1)(images(3, 8, 8)))
    assert "pass x[None] to a layer with channel_axis=1 if it is one sample" in message


def test_one_sample_of_one_value_per_channel_can_only_be_evaluated():
    layer = cybn.BatchNorm1d(3)
    assert "in evaluation pass x[None]" in message_of(lambda: layer(zeros(3)))
    assert layer.eval()(zeros(3)[None]).shape == (1, 3)


def test_an_image_is_not_sent_to_a_class_that_takes_its_rows():
    message = message_of(lambda: cybn.BatchNorm2d(3)(images(3, 8, 8)))
    assert "use" not in message
    message = message_of(lambda: cybn.BatchNorm2d(3)(images(3, 3, 8)))
    assert "use BatchNorm1d or pass x[None]" in message  # it may be either


def test_no_number_of_channels_is_advised_that_is_refused():
    message = message_of(lambda: cybn.BatchNorm1d(3)(zeros(4, 0)))
    assert message.endswith("got 0 in (4, 0); pass an array that has channels")
    message = message_of(lambda: cybn.LayerNorm(3)(zeros(2, 0)))
    assert "normalized_shape=(0,)" not in message
    assert message_of(lambda: cybn.LayerNorm(3)(zeros(2, 5))).endswith("=(5,) would fit")


@pytest.mark.parametrize("name", cybn.available())
def test_what_is_no_array_is_shown(name):

    layer = Subject(name).cases[0].layer()
    for value, text in ((None, "got None"), ({}, r"got {} (dict)"), ([[1], [1, 2]], "got [[1],")):
        assert text in message_of(lambda value=value: layer(value))


def test_a_group_of_one_value_is_not_called_a_channel_in_training():
    for layer in (cybn.GroupNorm(4, 4), cybn.GroupNorm(4, 4).eval()):
        message = message_of(lambda layer=layer: layer(zeros(1, 4)))
        assert message.startswith("Expected more than 1 value per group, got input size (1, 4)")
        assert message.endswith("; use fewer groups")
    assert cybn.GroupNorm(2, 4)(zeros(1, 4)).shape == (1, 4)
    assert "; pass larger samples" in message_of(lambda: cybn.GroupNorm(1, 1)(zeros(1, 1)))


@pytest.mark.parametrize("name", cybn.available())
def test_the_width_that_is_advised_is_taken(name):
    """Of a layer of any class for 12 channels that gets 6 or 7."""
    cls = registry.find(name)
    option = cls.num_features_option
    if option is None or name == "LayerNorm" or name == "RMSNorm":  # they have shapes, see above
        return
    groups = {"num_groups": 3} if name == "GroupNorm" else {}
    layer = cybn.create(name, **{option: 12}, **groups)
    ranks = getattr(cls, "ranks", ()) or (3, 4)
    for rank in ranks:
        for width in (6, 7):
            shape = (4, *(5,) * (rank - 2), width)
            if layer.get_config().get("channel_axis", 1) == 1:
                shape = (4, width, *(5,) * (rank - 2))
            if "Instance" in name and rank == ranks[0]:
                continue
            message = message_of(lambda shape=shape: layer(images(*shape)))
            named = re.search(r"build the layer with (\w+)=(\d+)", message)
            if named is None:  # Normalize, and ranks that the layer does not take
                assert "D input" in message or "mean and std for" in message, message
                continue
            config = {**layer.get_config(), named[1]: int(named[2])}
            for each in re.findall(r"and a (\w+) that divides it", message):
                config[each] = 1
            config.pop("normalized_shape", None)
            assert cybn.create(config)(images(*shape)).shape == shape


def test_lists_are_told_how_to_become_arrays():
    layer = cybn.BatchNorm1d(2)
    message = message_of(lambda: layer([[1, 2], [3, 5]]))
    assert message.endswith("got int64; convert it with np.asarray(x, np.float32)")
    assert layer(np.asarray([[1, 2], [3, 5]], np.float32)).shape == (2, 2)
    assert layer([[1.0, 2.0], [3.0, 5.0]]).shape == (2, 2)


def test_an_out_of_another_dtype_is_not_to_be_converted():
    x = images(4, 3)
    message = message_of(lambda: cybn.BatchNorm1d(3)(x, out=np.empty((4, 3))))
    assert message.endswith("got float64; pass np.empty_like(x)")


def test_a_call_with_what_the_layer_does_not_take_names_the_layer():
    x = images(4, 4)
    for layer, inputs, message in (
        (cybn.DyT(4), {"mask": x}, "DyT takes no mask in a call; it takes out"),
        (cybn.BatchNorm1d(4), {"training": False}, "in a call; call train() or eval() first"),
        (cybn.BatchNorm1d(4), {"masks": x}, "takes no masks in a call; did you mean 'mask'?"),
        (cybn.LayerNorm(4), {"eps": 1}, "it is an option; give it when you build the layer"),
        (cybn.LazyBatchNorm1d(), {"foo": 1}, "LazyBatchNorm1d takes no foo in a call; it takes "
                                             "out, residual and mask"),
        (cybn.ConditionalBatchNorm1d(4), {"label": 1}, "did you mean 'labels'?"),
    ):  # fmt: skip
        assert message in message_of(lambda layer=layer, inputs=inputs: layer(x, **inputs))


def test_a_mask_that_leaves_one_value_is_named():
    x = images(8, 4)
    for layer, count, text in (
        (cybn.BatchNorm1d(4), 1, "got input size (8, 4), of which mask leaves one position"),
        (cybn.GhostBatchNorm1d(4, virtual_batch_size=4), 5, "got samples 4 to 7 of input size (8"),
        (cybn.SplitBatchNorm1d(4), 5, "got samples 4 to 7 of input size (8, 4), of "),
        (cybn.DomainSpecificBatchNorm1d(4), 1, "got input size (8, 4), of which mask leaves one"),
    ):
        message = message_of(lambda layer=layer, n=count: layer(x, mask=np.arange(8) < n))
        assert text in message
        assert "; pass a mask that leaves more" in message


@pytest.mark.parametrize("name", cybn.available())
@pytest.mark.parametrize("tracked", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_eval_is_advised_where_it_helps(name, tracked, training):
    cls = registry.find(name)
    wanted = {"track_running_stats": tracked, "num_groups": 1}
    options = {option: value for option, value in wanted.items() if option in options_of(cls)}
    layer = Subject(name, **options).build(3).train(training)
    for shape in ((1, 3), (1, 3, 1), (1, 3, 1, 1), (1, 1, 3), (1, 1, 1, 3)):
        try:
            layer(images(*shape))
        except ValueError as error:
            message = str(error)
        else:
            continue
        if "call eval()" in message:
            assert training
            assert layer.eval()(images(*shape)).shape == shape
            layer.train(training)
        if "track_running_stats=True" in message:
            assert not tracked
            other = cybn.create({**layer.get_config(), "track_running_stats": True})
            assert other.eval()(images(*shape)).shape == shape
