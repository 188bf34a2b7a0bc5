"""float16 and bfloat16 in cybn.functional and in the tools: against the reference in float64."""

import numpy as np
import pytest
from hypothesis import assume, given
from runs import bits
from sixteen import SIXTEEN, assert_rounded, cast, close, wide
from strategies import batches

import cybn
from cybn import functional, reference
from cybn.functional import Moments

both = pytest.mark.parametrize("dtype", SIXTEEN, ids=str)

# What a pair of cybn.functional is called with, forward and backward, for x of (N, C, L)
PAIRS = {
    "batch_norm": lambda shape, w, b: ((w, b), (w,)),
    "instance_norm": lambda shape, w, b: ((w, b), (w,)),
    "group_norm": lambda shape, w, b: ((1, w, b), (1, w)),
    "layer_norm": lambda shape, w, b: ((shape[2], None, None), (shape[2],)),
    "rms_norm": lambda shape, w, b: ((shape[2], None), (shape[2],)),
}


def by_functional(name, x, dy, forward, backward):
    y, stats = getattr(functional, f"{name}_forward")(x, *forward, eps=1e-3)
    dx, *sums = getattr(functional, f"{name}_backward")(dy, x, stats, *backward)
    return {"y": y, "dx": dx, "dweight": sums[0]}


def by_reference(name, x, dy, forward, backward):
    if name == "batch_norm":
        moments = reference.moments(x)
        y = reference.normalize(x, *moments, *forward, eps=1e-3)
        found = reference.backward_training(dy, x, *moments, *backward, eps=1e-3)
    else:
        forward = [1.0 if a is None else a for a in forward]
        y = getattr(reference, name)(x, *forward[:3], eps=1e-3)
        found = getattr(reference, f"{name}_backward")(dy, x, *backward, eps=1e-3)
    return {"y": y, "dx": found[0], "dweight": found[1]}


AXES = {"batch_norm": (0, 2), "group_norm": (1, 2)}  # what moments are taken over, else (2,)


def added_up(name, x, dy):
    """How large the terms of each result are together, with a weight of 2 at the most."""
    axes = AXES.get(name, (2,))
    centred = x if name == "rms_norm" else x - x.mean(axes, keepdims=True)
    rstd = 1 / np.sqrt((centred**2).mean(axes, keepdims=True) + 1e-3)
    hat, top = np.abs(centred * rstd).max(), 2 * rstd.max() * np.abs(dy).max()
    return {"y": 2 * hat + 1, "dx": top * (1 + hat**2), "dweight": np.abs(dy).sum() * hat}


@both
@pytest.mark.parametrize("name", PAIRS)
@given(x=batches(dtypes=(np.float64,), offsets=(0, 1, -30)))
def test_functional_pairs_against_the_reference(dtype, name, x):
    x = x.astype(dtype)
    dy = np.roll(x, 1)
    assume(name == "batch_norm" or x.shape[2] > 1)
    channels = x.shape[1]
    args = PAIRS[name](x.shape, np.linspace(-1, 2, channels), np.linspace(1, -1, channels))
    exact = by_reference(name, wide(x), wide(dy), *args)
    single = by_functional(name, cast(x, np.float32), cast(dy, np.float32), *args)
    for key, a in by_functional(name, x, dy, *args).items():
        assert_rounded(key, a, single[key], exact[key], added_up(name, wide(x), wide(dy))[key])


@both
@given(x=batches(dtypes=(np.float64,), offsets=(0, 1, -30)))
def test_response_against_the_reference(dtype, x):
    x = x.astype(dtype)
    dy, options = np.roll(x, 1), (3, 0.5, 0.75, 2.0)
    found = []
    for module, a, g in (
        (functional, x, dy),
        (functional, cast(x, np.float32), cast(dy, np.float32)),
        (reference, wide(x), wide(dy)),
    ):
        dx = module.local_response_norm_backward(g, a, *options)
        found.append((module.local_response_norm(a, *options), dx))
    for name, *each in zip(("y", "dx"), *found, strict=True):
        assert_rounded(name, *each)


@both
def test_moments_and_fitting_take_the_values_as_they_are(dtype):
    x = np.random.default_rng(0).normal(3, 2, (4000, 3)).astype(dtype)
    moments = Moments(3).add(x)
    want = Moments(3).add(wide(x))
    assert bits(moments.mean) == bits(want.mean)
    assert bits(moments.squares) == bits(want.squares)
    fitted = cybn.Normalize.fit(x)
    assert bits(fitted.mean) == bits(want.mean)
    assert fitted(x).dtype == dtype
    close(fitted.inverse(fitted(x)), wide(x), dtype, 8, roundings=2.0**24)


@both
def test_folding_keeps_sixteen_bits(dtype):
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(3, 5)).astype(dtype), rng.normal(size=3).astype(dtype)
    norm = cybn.BatchNorm1d(3)
    norm(rng.normal(size=(8, 3)).astype(np.float32))
    for got, want in zip(
        cybn.fold(weight, bias, norm.eval()), cybn.fold(wide(weight), wide(bias), norm), strict=True
    ):
        assert got.dtype == dtype
        close(got, want, dtype)
