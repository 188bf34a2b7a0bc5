"""Options and inputs of BatchNorm in the layers that normalize part by part."""

import numpy as np
import pytest
from runs import bits, state_bits

import cybn

RELU = {"activation": "leaky_relu", "negative_slope": 0.25}


def batch(*shape, seed=0):
    return np.random.default_rng(seed).normal(1, 2, (3, *shape)).astype(np.float32)


def case(name, **options):
    """The layer, its inputs, and the slices of a batch of six with the BatchNorm of each."""
    halves = slice(0, 3), slice(3, 6)
    one = cybn.BatchNorm1d(3, **options)
    if name == "GhostBatchNorm":
        layer, inputs = cybn.GhostBatchNorm(3, virtual_batch_size=3, **options), {}
        parts = [(halves[0], one), (halves[1], one)]
    elif name == "SplitBatchNorm":
        layer, inputs = cybn.SplitBatchNorm(3, **options), {}
        parts = [(halves[0], one), (halves[1], cybn.BatchNorm1d(3, **options))]
    else:
        layer, inputs = cybn.DomainSpecificBatchNorm(3, **options), {"domain": 1}
        parts = [(slice(0, 6), one)]
    return layer, inputs, parts


names = pytest.mark.parametrize(
    "name", ["GhostBatchNorm", "SplitBatchNorm", "DomainSpecificBatchNorm"]
)


@names
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("options", [{}, RELU], ids=str)
@pytest.mark.parametrize("place", ["fresh", "x", "residual"])
def test_residual_mask_and_activation(name, masked, options, place):
    layer, inputs, parts = case(name, **options)
    x, z, dy = batch(6, 3, 4)
    if masked:
        inputs["mask"] = np.random.default_rng(1).random((6, 4)) < 0.7
    want = [np.empty_like(x) for _ in range(3)]
    for at, plain in parts:
        own = {"mask": inputs["mask"][at]} if masked else {}
        want[0][at] = plain(x[at], residual=z[at], **own)
        want[1][at] = plain.backward(dy[at])
        want[2][at] = plain.dresidual
    out = {"fresh": None, "x": x, "residual": z}[place]
    y = layer(x, out=out, residual=z, **inputs)
    assert out is None or y is out
    assert bits(y) == bits(want[0])
    assert bits(layer.backward(dy)) == bits(want[1])
    assert bits(layer.dresidual) == bits(want[2])


@names
def test_without_a_residual_there_is_no_gradient_of_one(name):
    layer, inputs, _ = case(name)
    x, z, dy = batch(6, 3)
    layer(x, residual=z, **inputs)
    layer.backward(dy)
    layer(x, **inputs)
    layer.backward(dy)
    assert layer.dresidual is None


@names
@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        ({"residual": np.zeros((6, 4), np.float32)}, ValueError, "expects residual of the input"),
        ({"residual": np.zeros((6, 3))}, TypeError, "expects residual of the input"),
        ({"mask": np.ones(5, bool)}, ValueError, "expects a mask of shape"),
        ({"mask": np.ones(6)}, TypeError, "takes a mask of bool"),
    ],
)
def test_inputs_that_do_not_fit(name, inputs, error, message):
    layer, own, _ = case(name)
    before = state_bits(layer)
    with pytest.raises(error, match=f"{name} {message}"):
        layer(batch(6, 3)[0], **own, **inputs)
    assert state_bits(layer) == before


@names
def test_a_batch_that_is_not_finite(name):
    x = batch(6, 3)[0]
    x[4, 1] = np.nan
    layer, inputs, parts = case(name, on_nonfinite="error")
    before = state_bits(layer)
    with pytest.raises(ValueError, match=f"{name} got nan at"):
        layer(x, **inputs)
    assert state_bits(layer) == before  # the first part is finite
    layer, inputs, parts = case(name, on_nonfinite="skip")
    layer(x, **inputs)
    counts = [a for key, a in layer.state_dict().items() if key.endswith("num_batches_tracked")]
    assert sum(counts) == len(parts) - 1


def test_a_virtual_batch_of_one_may_take_the_running_statistics():
    layer = cybn.GhostBatchNorm(3, virtual_batch_size=1, on_single="running")
    plain = cybn.BatchNorm1d(3).eval()
    x, dy, _ = batch(2, 3)
    before = layer.state_dict()
    assert bits(layer(x[:1])) == bits(plain(x[:1]))
    assert bits(layer.backward(dy[:1])) == bits(plain.backward(dy[:1]))
    assert {name: bits(a) for name, a in layer.state_dict().items()} == {
        name: bits(a) for name, a in before.items()
    }


@names
def test_first_weights_are_those_of_every_member(name):
    layer, _, _ = case(name, weight_init="zeros")
    weights = [a for key, a in layer.named_parameters() if key.endswith("weight")]
    assert not np.any(weights)
    for a in weights:
        a[:] = 5
    layer.reset_parameters()
    assert not np.any(weights)
