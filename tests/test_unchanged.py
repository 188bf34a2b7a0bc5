"""A call that fails changes nothing: out, x in place, statistics, counts and the last forward."""

import sys

import numpy as np
import pytest
from runs import bits, state_bits

import cybn
from cybn.arrays import outputs

PARTED = ["GhostBatchNorm1d", "SplitBatchNorm1d", "DomainSpecificBatchNorm1d"]


def refused(layer, error, says, x, **inputs):
    """The call raises, in place and with an out of its own, and nothing has changed."""
    good = np.arange(x.size, dtype=x.dtype).reshape(x.shape) % 5
    layer(good)
    dx, before = bits(layer.backward(x)), state_bits(layer)
    for in_place in (True, False):
        given = x.copy()
        out = given if in_place else np.full_like(x, 7)
        unchanged = bits(out), bits(given)
        with pytest.raises(error, match=says):
            layer(given, out=out, **inputs)
        assert (bits(out), bits(given)) == unchanged
        assert state_bits(layer) == before
        assert bits(layer.backward(x)) == dx


@pytest.mark.parametrize("name", PARTED)
def test_a_mask_that_leaves_one_value_to_the_last_part(name):
    x = np.arange(8, dtype=np.float32).reshape(4, 2)
    options = {"virtual_batch_size": 2} if name.startswith("Ghost") else {}
    mask = [True, False, False, False] if name.startswith("Domain") else [True, True, True, False]
    part = "" if name.startswith("Domain") else "samples 2 to 3 of "
    refused(
        cybn.create(name, num_features=2, **options), ValueError,
        rf"more than 1 value per channel when training, got {part}input size \(4, 2\), of which "
        "mask leaves one position", x, mask=mask,
    )  # fmt: skip


@pytest.mark.parametrize("name", PARTED)
def test_places_in_an_error_are_those_of_the_whole_batch(name):
    x = np.arange(16, dtype=np.float32).reshape(8, 2)
    x[6, 1] = np.nan
    options = {"virtual_batch_size": 2} if name.startswith("Ghost") else {}
    layer = cybn.create(name, num_features=2, on_nonfinite="error", **options)
    refused(layer, ValueError, r"got nan at \(6, 1\) of \(8, 2\)", x)


def test_a_single_sample_by_the_running_statistics():
    """Every item of the output and of dx is written, into an out and into new memory."""
    for name in ("BatchNorm1d", "GhostBatchNorm1d", "LazyBatchNorm1d"):
        layer = cybn.create(name, num_features=3, on_single="running")
        layer.running_var[...] = 4 - layer.eps
        x = np.ones((1, 3), np.float32)
        for out in (None, np.full((1, 3), 7, np.float32)):
            np.testing.assert_allclose(layer(x, out=out), 0.5, rtol=1e-6)
            dx = None if out is None else np.full((1, 3), 7, np.float32)
            np.testing.assert_allclose(layer.backward(x, out=dx), 0.5, rtol=1e-6)
        assert layer.num_batches_tracked == 0


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_no_memory_for_the_output(layer_spec, training, monkeypatch):
    """MemoryError, wherever an output is asked for, comes before the statistics move."""
    x = layer_spec.x()
    layer = layer_spec.make()
    layer_spec.call(layer, x)
    dy = layer_spec.x(seed=2)
    layer.train(training)
    dx, before = bits(layer.backward(dy)), state_bits(layer)

    def none_left(*args, **kwargs):
        raise MemoryError("no more")

    places = [
        m
        for m in list(sys.modules.values())
        if getattr(m, "__name__", "").startswith("cybn") and hasattr(m, "empty_like")
    ]
    assert outputs in places
    for module in places:
        monkeypatch.setattr(module, "empty_like", none_left)
    monkeypatch.setattr(np, "empty", none_left)
    try:
        layer_spec.call(layer, x)
    except MemoryError:
        monkeypatch.undo()
        assert state_bits(layer) == before
        assert bits(layer.backward(dy)) == dx
