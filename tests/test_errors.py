"""Every error of the layers and functions: class, value, what was expected, the fix; no change."""

import re

import numpy as np
import pytest
from runs import bits, state_bits

import cybn
from cybn.functional import batch_norm, batch_norm_backward, batch_norm_forward

F32 = np.float32


def ready(training, **options):
    """A layer after a forward and a backward: there is state to keep."""
    layer = cybn.BatchNorm2d(3, **options).train(training)
    x = np.random.default_rng(0).normal(0, 1, (4, 3, 2, 2)).astype(F32)
    layer(x)
    layer.backward(x)
    return layer


def zeros(*shape, dtype=F32):
    return np.zeros(shape, dtype)


BAD_INPUTS = {
    "2-D": (zeros(4, 3), ValueError, "BatchNorm2d expects 4-D input (N, C, H, W), got 2-D (4, 3); "
                                     "use BatchNorm1d"),
    "3-D": (zeros(8, 16, 49), ValueError, "BatchNorm2d expects 4-D input (N, C, H, W), "
                                          "got 3-D (8, 16, 49); use BatchNorm1d"),
    "5-D": (zeros(4, 3, 2, 2, 2), ValueError, "got 5-D (4, 3, 2, 2, 2); use BatchNorm3d"),
    "1-D": (zeros(3), ValueError, "expects 4-D input (N, C, H, W), got 1-D (3,)"),
    "0-D": (F32(1), ValueError, "expects 4-D input (N, C, H, W), got 0-D ()"),
    "6-D": (zeros(1, 3, 1, 1, 1, 1), ValueError, "got 6-D (1, 3, 1, 1, 1, 1)"),
    "channels": (zeros(4, 5, 2, 2), ValueError, "BatchNorm2d expects 3 channels on axis 1, got 5 "
                 "in (4, 5, 2, 2); build the layer with num_features=5"),
    "channels last": (zeros(4, 2, 2, 3), ValueError, "expects 3 channels on axis 1, got 2 in "
                      "(4, 2, 2, 3); for channels on axis -1 build the layer with channel_axis=-1"),
    "no channels": (zeros(4, 0, 2, 2), ValueError, "expects 3 channels on axis 1, got 0"),
    "int": (zeros(4, 3, 2, 2, dtype=int), TypeError, "BatchNorm2d takes float16, "
            "bfloat16, float32 or float64 x, got int64; convert it with x.astype(np.float32)"),
    "bool": (zeros(4, 3, 2, 2, dtype=bool), TypeError, "float32 or float64 x, got bool"),
    "byte order": (zeros(4, 3, 2, 2, dtype=">f4"), TypeError, "got >f4; convert it"),
    "complex": (zeros(4, 3, 2, 2, dtype=complex), TypeError, "float32 or float64 x, "
                                                "got complex128; normalize x.real and x.imag"),
    "object": (zeros(4, 3, 2, 2, dtype=object), TypeError, "float32 or float64 x, got "
               "object; pass an array of numbers"),
    "text": ("image.png", TypeError, "x, got <U9; pass an array of numbers"),
    "None": (None, TypeError, "float32 or float64 x, got None"),
    "masked": (np.ma.zeros((4, 3, 2, 2), F32), TypeError, "BatchNorm2d got a masked array for x "
               "and would take masked items as data; pass x.filled(value)"),
}  # fmt: skip


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_inputs(case, training):
    x, error, message = BAD_INPUTS[case]
    layer = ready(training)
    before = state_bits(layer)
    with pytest.raises(error, match=re.escape(message)):
        layer(x)
    assert state_bits(layer) == before


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        ("BatchNorm1d", (2, 3, 4, 4), "BatchNorm1d expects 2-D input (N, C) or 3-D input "
         "(N, C, L), got 4-D (2, 3, 4, 4); use BatchNorm2d"),
        ("BatchNorm3d", (2, 3, 4, 4), "BatchNorm3d expects 5-D input (N, C, D, H, W), got 4-D "
                                      "(2, 3, 4, 4); use BatchNorm2d"),
    ],
)  # fmt: skip
def test_the_wrong_rank_names_the_right_class(layer, shape, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        cybn.create(layer, num_features=3)(zeros(*shape))


def test_channels_last_names_its_axes():
    layer = cybn.BatchNorm2d(3, channel_axis=-1)
    message = "BatchNorm2d expects 4-D input (N, H, W, C), got 2-D (4, 3)"
    with pytest.raises(ValueError, match=re.escape(message)):
        layer(zeros(4, 3))
    message = "expects 3 channels on axis -1, got 8 in (4, 3, 8, 8); for channels on axis 1 build"
    with pytest.raises(ValueError, match=re.escape(message)):
        layer(zeros(4, 3, 8, 8))


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1)])
def test_one_value_per_channel_in_training(shape):
    layer = cybn.BatchNorm1d(3)
    layer(np.eye(3, dtype=F32))
    before = state_bits(layer)
    message = f"Expected more than 1 value per channel when training, got input size {shape}"
    with pytest.raises(ValueError, match=re.escape(message)):
        layer(zeros(*shape))
    untracked = cybn.BatchNorm1d(3, track_running_stats=False).eval()
    with pytest.raises(ValueError, match=re.escape(message)):
        untracked(zeros(*shape))
    assert state_bits(layer) == before


@pytest.mark.parametrize("name", ["weight", "bias", "running_mean", "running_var"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (zeros(4), ValueError, r"2d needs {} of shape \(3,\), one for each channel, got \(4,"),
        (zeros(1), ValueError, r"needs {} of shape \(3,\).* got \(1,\)"),
        (zeros(3, 1), ValueError, r"needs {} of shape \(3,\).* got \(3, 1\)"),
        (zeros(3, dtype=float), TypeError, "needs parameters and buffers of one dtype, "
         "float32, got {} of float64"),
        (zeros(3, dtype=int), TypeError, "BatchNorm2d takes float32 or float64 {}, got int64"),
        (np.zeros(13, np.uint8)[1:].view(F32), ValueError, "got a misaligned {}; pass {}.copy"),
    ],
    ids=["long", "short", "rank", "dtype", "int", "misaligned"],
)  # fmt: skip
def test_an_array_that_does_not_fit_the_layer(name, value, error, message, training):
    layer = ready(training)
    setattr(layer, name, value)
    before = state_bits(layer)
    x = np.random.default_rng(1).normal(0, 1, (4, 3, 2, 2)).astype(F32)
    with pytest.raises(error, match=message.format(name, name)):
        layer(x)
    assert state_bits(layer) == before


@pytest.mark.parametrize("value", [[1.0, 1, 1], 1.0, "ones"])
def test_a_parameter_is_an_ndarray_or_none(value):
    layer = ready(True)
    before = state_bits(layer)
    message = r"BatchNorm2d: weight must be an ndarray or None, got .* assign to weight\[\.\.\.\]"
    with pytest.raises(TypeError, match=message):
        layer.weight = value
    assert state_bits(layer) == before


@pytest.mark.parametrize(
    "value", [zeros(2, dtype=int), np.array(0.0), np.array(0, np.int32), zeros(3)]
)
def test_a_count_of_batches_that_is_none(value):
    layer = ready(True)
    layer.num_batches_tracked = value
    before = state_bits(layer)
    message = "BatchNorm2d needs num_batches_tracked as a 0-D int64 array or None, got"
    with pytest.raises(TypeError, match=message):
        layer(np.ones((4, 3, 2, 2), F32))
    assert state_bits(layer) == before


@pytest.mark.parametrize("name", ["running_mean", "running_var", "num_batches_tracked"])
def test_read_only_buffers_cannot_be_trained_but_evaluated(name):
    layer, x = ready(True), np.random.default_rng(1).normal(0, 1, (4, 3, 2, 2)).astype(F32)
    expected = bits(ready(True).eval()(x))
    for replace in (True, False):  # a new array, or the one that was fine a call ago
        layer = ready(True)
        a = getattr(layer, name)
        if replace:
            a = a.copy()
            setattr(layer, name, a)
        a.flags.writeable = False
        before = state_bits(layer)
        with pytest.raises(ValueError, match=f"updates {name} in training, got a read-only one"):
            layer(x)
        assert state_bits(layer) == before
        assert bits(layer.eval()(x)) == expected


@pytest.mark.parametrize("name", ["weight", "bias", "running_mean", "running_var"])
def test_arrays_spoilt_after_the_first_call(name):
    """What was fine in the last call is looked at again in this one."""
    layer = ready(True)
    getattr(layer, name).resize(1, refcheck=False)
    before = state_bits(layer)
    with pytest.raises(ValueError, match=rf"needs {name} of shape \(3,\)"):
        layer(np.ones((4, 3, 2, 2), F32))
    assert state_bits(layer) == before


@pytest.mark.parametrize(
    ("option", "value", "error", "message"),
    [
        ("eps", -1e-5, ValueError, "BatchNorm2d: eps must be a number >= 0, got -1e-05"),
        ("eps", float("nan"), ValueError, "eps must be a number >= 0, got nan"),
        ("eps", "1e-5", TypeError, "eps must be a number >= 0, got '1e-5' (str)"),
        ("momentum", 1.5, ValueError, "momentum must be a number >= 0 and <= 1 or None, got 1.5"),
        ("momentum", -0.1, ValueError, "momentum must be a number >= 0 and <= 1 or None, got -0.1"),
        ("momentum", "x", TypeError, "momentum must be a number >= 0 and <= 1 or None, got 'x'"),
        ("momentum", True, TypeError, "momentum must be a number >= 0 and <= 1 or None, got True"),
    ],
)
def test_options_are_checked_when_built_and_when_assigned(option, value, error, message):
    with pytest.raises(error, match=re.escape(message)):
        cybn.BatchNorm2d(3, **{option: value})
    layer = ready(True)
    before = state_bits(layer)
    with pytest.raises(error, match=re.escape(message)):
        setattr(layer, option, value)
    assert state_bits(layer) == before


def test_eps_0_is_for_evaluation_only():
    layer, x = cybn.BatchNorm2d(3, eps=0.0), np.ones((4, 3, 2, 2), F32)
    before = state_bits(layer)
    with pytest.raises(ValueError, match=r"BatchNorm2d needs eps > 0 in training, got 0\.0; 1e"):
        layer(x)
    assert state_bits(layer) == before
    assert (layer.eval()(x) == 1).all()


@pytest.mark.parametrize(
    ("dy", "error", "message"),
    [
        (zeros(4, 3, 2), ValueError, "expects dy of the input's shape (4, 3, 2, 2), got (4, 3, 2)"),
        (zeros(3, 3, 2, 2), ValueError, "expects dy of the input's shape (4, 3, 2, 2)"),
        (F32(1), ValueError, "expects dy of the input's shape (4, 3, 2, 2), got ()"),
        (zeros(4, 3, 2, 2, dtype=float), TypeError, "expects dy of the input's dtype float32, "
         "got float64; convert it with dy.astype(np.float32)"),
        (zeros(4, 3, 2, 2, dtype=int), TypeError, "float32 or float64 dy, got int64"),
        (zeros(4, 3, 2, 2, dtype=complex), TypeError, "normalize dy.real and dy.imag"),
        (None, TypeError, "float32 or float64 dy, got None"),
    ],
)  # fmt: skip
def test_bad_gradients(dy, error, message):
    layer = ready(True)
    before = state_bits(layer)
    with pytest.raises(error, match=re.escape(message)):
        layer.backward(dy)
    assert state_bits(layer) == before


def test_backward_needs_a_forward():
    message = "BatchNorm1d.backward needs a forward first: call the layer with x"
    with pytest.raises(RuntimeError, match=message):
        cybn.BatchNorm1d(3).backward(zeros(4, 3))


X = np.random.default_rng(0).normal(0, 1, (4, 3)).astype(F32)
BAD_CALLS = {
    "rank": ({"x": zeros(3)}, ValueError, "batch_norm expects at least 2-D input (N, C), got 1-D"),
    "axis": ({"channel_axis": 7}, ValueError, "batch_norm got channel_axis=7 for 2-D (4, 3)"),
    "negative axis": ({"channel_axis": -3}, ValueError, "batch_norm got channel_axis=-3 for 2-D"),
    "axis type": ({"channel_axis": "1"}, TypeError, "needs an int as channel_axis, got '1'"),
    "dtype": ({"x": zeros(4, 3, dtype=int)}, TypeError, "batch_norm takes float16"),
    "eps": ({"eps": -1.0}, ValueError, "batch_norm needs eps > 0 in training, got -1.0"),
    "eps 0": ({"eps": 0.0}, ValueError, "batch_norm needs eps > 0 in training, got 0.0"),
    "eps nan": ({"eps": float("nan")}, ValueError, "batch_norm needs eps > 0 in training, got nan"),
    "eps type": ({"eps": None}, TypeError, "batch_norm needs a number as eps, got None"),
    "momentum": ({"momentum": 1.1}, ValueError, "batch_norm needs a momentum from 0 to 1, got 1.1"),
    "momentum nan": ({"momentum": float("nan")}, ValueError, "a momentum from 0 to 1, got nan"),
    "momentum type": ({"momentum": "a"}, TypeError, "a number or None as momentum, got 'a'"),
    "momentum None": ({"momentum": None}, ValueError, "momentum=None needs num_batches_tracked"),
    "one value": ({"x": zeros(1, 3)}, ValueError, "Expected more than 1 value per channel"),
    "weight": ({"weight": zeros(2)}, ValueError, "needs weight of shape (3,), one for each"),
    "bias": ({"bias": [0, 0, 0]}, TypeError, "batch_norm takes an ndarray as bias, got list"),
    "mixed": ({"weight": zeros(3, dtype=float)}, TypeError, "of one dtype, float64, got running"),
    "read-only": ({"running_var": np.broadcast_to(F32(1), 3)}, ValueError, "updates running_var"),
    "count": ({"num_batches_tracked": 3}, TypeError, "0-D int64 array or None, got 3"),
    "out": ({"out": zeros(4, 2)}, ValueError, "batch_norm expects out of the input's shape (4, 3)"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_CALLS)
def test_bad_calls_of_the_function(case):
    changes, error, message = BAD_CALLS[case]
    mean, var = zeros(3), np.ones(3, F32)
    call = {"x": X, "running_mean": mean, "running_var": var, **changes}
    with pytest.raises(error, match=re.escape(message)):
        batch_norm_forward(**call)
    assert not mean.any()
    assert (var == 1).all()
    assert not any(a.any() for a in changes.values() if isinstance(a, np.ndarray) and a.size == 8)


@pytest.mark.parametrize(
    ("running", "got"), [((None, None), "neither"), ((zeros(3), None), "only one")]
)
def test_evaluation_needs_both_statistics(running, got):
    message = f"batch_norm needs running_mean and running_var in evaluation, got {got}; pass"
    with pytest.raises(ValueError, match=message):
        batch_norm(X, *running)


def test_evaluation_takes_eps_0_but_no_less():
    assert bits(batch_norm(X, zeros(3), np.ones(3, F32), eps=0)) == bits(X)
    with pytest.raises(ValueError, match="batch_norm needs eps >= 0, got -1e-05"):
        batch_norm(X, zeros(3), np.ones(3, F32), eps=-1e-5)


@pytest.mark.parametrize("stats", [None, zeros(3, 3), zeros(2, 3, dtype=float), [[0.0] * 3] * 3])
def test_backward_needs_the_stats_of_the_forward(stats):
    message = "batch_norm needs the stats that the forward returned, (3, 3) float64, got"
    with pytest.raises(ValueError, match=re.escape(message)):
        batch_norm_backward(X, X, stats)


def test_errors_can_carry_another_name():
    with pytest.raises(ValueError, match=r"^MyNorm expects at least 2-D"):
        batch_norm_forward(zeros(3), who="MyNorm")
