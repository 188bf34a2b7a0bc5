"""What an author has to do for sixteen-bit data: nothing, or to say what becomes of it."""

import inspect
from typing import NamedTuple

import numpy as np
import pytest
from runs import bits, state_bits
from sixteen import BFLOAT16, FLOAT16, SIXTEEN, close, words
from wronglayers import Right

import cybn
from cybn.testing import check_layer

both = pytest.mark.parametrize("dtype", SIXTEEN, ids=str)


class Seen(Right):
    """Right, which notes what it is given."""

    seen = ()

    def apply(self, x, *, out=None):
        self.seen = (x.dtype, out)
        return super().apply(x, out=out)

    def pullback(self, saved, dy, *, out=None):
        self.seen = (saved.x.dtype, dy.dtype, out)
        return super().pullback(saved, dy, out=out)


def data(dtype, shape=(16, 3)):
    return np.random.default_rng(0).normal(3, 2, (2, *shape)).astype(dtype)


@both
def test_the_pair_is_given_float32_and_keeps_sixteen_bits(dtype):
    layer, (x, dy) = Seen(3), data(dtype)
    y, saved = layer.apply(x)
    assert layer.seen == (np.float32, None)
    assert saved.x is x
    dx, grads = layer.pullback(saved, dy)
    assert layer.seen == (np.float32, np.float32, None)
    single = Right(3)
    want_y, want = single.apply(x.astype(np.float32))
    want_dx, want_grads = single.pullback(want, dy.astype(np.float32))
    assert bits(words(y)) == bits(words(want_y.astype(dtype)))
    assert bits(words(dx)) == bits(words(want_dx.astype(dtype)))
    assert {k: bits(g) for k, g in grads.items()} == {k: bits(g) for k, g in want_grads.items()}
    assert bits(layer.running_mean) == bits(single.running_mean)


@both
def test_in_place_x_is_copied_in_sixteen_bits(dtype):
    layer, (x, dy) = Seen(3), data(dtype)
    inplace = x.copy()
    got, kept = layer.apply(inplace, out=inplace)
    assert got is inplace
    assert bits(words(kept.x)) == bits(words(x))
    layer.running_mean[...] = 0
    dx, _ = layer.pullback(kept, dy)
    assert layer.pullback(kept, dy, out=dy)[0] is dy
    assert bits(words(dx)) == bits(words(dy))


def test_a_call_that_fails_leaves_out_alone():
    class Fails(Right):
        def moments(self, x):
            raise RuntimeError("no")

    layer, (x, _) = Fails(3), data(FLOAT16)
    before, state = bits(x), state_bits(layer)
    with pytest.raises(RuntimeError, match="no"):
        layer(x, out=x)
    assert (bits(x), state_bits(layer)) == (before, state)


@both
def test_a_layer_may_refuse_them(dtype):
    class Choosy(Right):
        sixteen_bits = "refused"

    layer, (x, dy) = Choosy(3), data(dtype)
    says = rf"Choosy takes float32 or float64 x, got {dtype}; convert it with x\.astype"
    for call in (layer, layer.apply):
        with pytest.raises(TypeError, match=says):
            call(x)
    layer(x.astype(np.float32))
    with pytest.raises(TypeError, match="dy of the input's dtype float32"):
        layer.backward(dy)
    report = check_layer(Choosy, strict=True)
    assert report.named("not applicable") == ["sixteen-bits"]
    assert report.named("failed") == []


def test_so_may_a_layer_that_inherits_its_pair():
    class Choosy(cybn.BatchNorm1d):
        sixteen_bits = "refused"

    class Widened(cybn.BatchNorm1d):
        sixteen_bits = "widened"

    x, dy = data(BFLOAT16)
    with pytest.raises(TypeError, match="Choosy takes float32 or float64 x, got bfloat16"):
        Choosy(3)(x)
    layer, plain = Widened(3), cybn.BatchNorm1d(3)
    assert bits(words(layer(x))) == bits(words(plain(x)))
    assert bits(words(layer.backward(dy))) == bits(words(plain.backward(dy)))
    weight = np.ones((3, 2))
    for norm in (layer.eval(), Choosy(3).eval()):  # which is still what it was
        assert cybn.fold(weight, None, norm)[0].shape == (3, 2)


def test_a_native_layer_is_given_them_as_they_are():
    class Native(Seen):
        sixteen_bits = "native"

    layer, (x, _) = Native(3), data(FLOAT16)
    layer(x)
    assert layer.seen == (FLOAT16, None)
    assert Native(3)(data(np.float64)[0]).dtype == np.float64


class Scaled(cybn.Layer):
    """x times a scale that is given beside it; keeps first what is like x and not x."""

    num_features_option = None
    differentiated = ("scale",)

    class Saved(NamedTuple):
        like: np.ndarray
        x: np.ndarray
        scale: np.ndarray

    def sample_inputs(self, x):
        return {"scale": np.full(x.shape, 3, x.dtype)}

    def apply(self, x, *, out=None, scale=None):
        x = self.begin(x, out)
        scale = np.ones_like(x) if scale is None else scale
        y = np.multiply(x, scale, out=out)
        return y, self.Saved(np.broadcast_to(np.zeros((), x.dtype), x.shape), x, scale)

    def pullback(self, saved, dy, *, out=None):
        dy = self.resume(saved, dy, out)
        return np.multiply(dy, saved.scale, out=out), {"scale": dy * saved.x}


@both
def test_further_inputs_and_their_gradients(dtype):
    layer, (x, dy) = Scaled(), data(dtype)
    scale = np.linspace(1, 2, x.size).reshape(x.shape).astype(dtype)
    y, dx = layer(x, scale=scale), layer.backward(dy)
    wide = [a.astype(np.float64) for a in (x, dy, scale)]
    close(y, wide[0] * wide[2], dtype)
    close(dx, wide[1] * wide[2], dtype)
    assert layer.dscale.dtype == dtype
    close(layer.dscale, wide[1] * wide[0], dtype)
    rules = ["sixteen-bits", "out-in-place", "gradient-x"]
    assert check_layer(Scaled, only=rules).named("passed") == rules


def test_what_another_layer_has_saved_is_refused():
    x, dy = data(FLOAT16)
    _, saved = Scaled().apply(x)
    with pytest.raises(TypeError, match=r"Right\.pullback takes what Right\.apply has returned"):
        Right(3).pullback(saved, dy)
    _, saved = cybn.BatchNorm1d(3).apply(x)
    with pytest.raises(TypeError, match=r"DyT\.pullback takes what DyT\.apply has returned"):
        cybn.DyT(3).pullback(saved, dy)


def test_the_pair_looks_as_it_was_written():
    assert str(inspect.signature(Seen.apply)) == "(self, x, *, out=None)"
    assert inspect.getdoc(cybn.DyT.apply) == inspect.getdoc(cybn.EvoNormS0.apply)
    assert list(inspect.signature(cybn.AdaIN.apply).parameters)[-1] == "style"
    with pytest.raises(TypeError, match="positional"):
        cybn.AdaIN().apply(np.ones((2, 3, 4)), np.ones((2, 3, 4)))
    with pytest.raises(TypeError, match="takes no stile in a call; did you mean 'style'"):
        cybn.AdaIN()(np.ones((2, 3, 4), FLOAT16), stile=1)


def test_a_masked_array_and_a_memory_map(tmp_path):
    x = data(FLOAT16)[0]
    with pytest.raises(TypeError, match="got a masked array for x"):
        cybn.DyT(3)(np.ma.masked_array(x, x > 3))
    mapped = np.memmap(tmp_path / "x", FLOAT16, "w+", shape=x.shape)
    mapped[...] = x
    y = cybn.DyT(3)(mapped)
    assert type(y) is np.ndarray
    assert bits(y) == bits(cybn.DyT(3)(x))
