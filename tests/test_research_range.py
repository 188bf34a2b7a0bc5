"""Research norms of very large and very small float32 data: as in float64, forward and backward.

What is finite in exact arithmetic comes out finite and right. The oracle is the same layer on the
same numbers in float64, in which nothing over- or underflows on its way.
"""

import numpy as np
import pytest
from researchlayers import channels_last, each_spec, inputs_for, make, shape_for
from whole import draw

import cybn

ROUNDINGS = 32 * 2.0**-24


def check(got, expected, over, what):
    """Equal up to some roundings of the largest values over these axes, which the sums mix."""
    expected = np.asarray(expected, np.float64)
    size = abs(expected).max(over, keepdims=True) if over else abs(expected).max()
    fits = abs(expected) <= np.finfo(np.float32).max  # else it is infinite, rightly
    slack = ROUNDINGS * size + 16 * 2.0**-149  # and some steps of the smallest numbers
    close = abs(got.astype(np.float64) - expected) <= slack
    assert close[fits].all(), what


def mixed_over(spec):
    """The axes along which one value has to do with the others."""
    if spec["type"] in ("ScaleNorm", "DyT", "PartialRMSNorm"):
        return (2,)
    if spec["type"] in ("FilterResponseNorm", "AdaIN", "RevIN"):
        return (1,) if channels_last(spec) else (2,)
    return (1, 2) if spec["type"] == "WeightStandardization" else None


@each_spec
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("scale", [1e-37, 1e-30, 1e-20, 1e-10, 1e10, 1e18, 1e22, 1e25, 1e30, 1e37])
@pytest.mark.parametrize("upstream", [1.0, 1e-25, 1e20])
def test_float32_is_float64_rounded(spec, training, scale, upstream):
    single = make(spec, training)
    options = {"dtype": "float64"} if "dtype" in single.get_config() else {}
    double = make(spec, training, **options)
    double.load_state_dict(single.state_dict())
    x = draw(shape_for(spec)) / 8 * scale
    dy = (draw(shape_for(spec), seed=2) * upstream).astype(np.float32)
    x = x.astype(np.float32)
    style = {name: a * np.float32(scale / 8) for name, a in inputs_for(spec, x).items()}
    wide = {name: a.astype(np.float64) for name, a in style.items()}
    y, expected = single(x, **style), double(x.astype(np.float64), **wide)
    over = mixed_over(spec)
    check(y, expected, over, "y")
    check(single.backward(dy), double.backward(dy.astype(np.float64)), over, "dx")
    for name, grad in double.grads.items():
        check(single.grads[name], grad, None, name)
    for name in style:
        check(getattr(single, f"d{name}"), getattr(double, f"d{name}"), over, f"d{name}")


@pytest.mark.parametrize("scale", [1e-30, 1e25, 1e36])
@pytest.mark.parametrize("subtract_last", [False, True])
def test_the_way_back_of_revin(scale, subtract_last):
    single, double = (
        cybn.RevIN(3, subtract_last=subtract_last, dtype=dtype) for dtype in ("float32", "float64")
    )
    for layer in (single, double):
        layer.weight[...] = [0.5, -1.5, 2]
    x = (draw((4, 6, 3)) * scale).astype(np.float32)
    dy, forecast, dz = (draw((4, 6, 3), np.float32, seed) for seed in (2, 3, 4))
    results = []
    for layer, dtype in ((single, np.float32), (double, np.float64)):
        layer(x.astype(dtype))
        found = [layer.inverse(forecast.astype(dtype)), layer.inverse_backward(dz.astype(dtype))]
        results.append([*found, layer.backward(dy.astype(dtype))])
    for got, expected, what in zip(*results, ("z", "dforecast", "dx"), strict=True):
        check(got, expected, (1,), what)


@pytest.mark.parametrize("name", ["SwitchableNorm1d", "EvoNormB0", "IBN", "IterNorm", "PowerNorm"])
def test_samples_of_every_size_in_one_batch(name):
    """Each sample with a size of its own: what is said of a sample does not drown in another."""
    x = (draw((6, 6, 7)) * 10.0 ** np.arange(-30, 30, 10)[:, None, None]).astype(np.float32)
    dy = draw((6, 6, 7), np.float32, seed=2)
    spec = {"type": name}
    single, double = make(spec), make(spec, dtype="float64")
    y, expected = single(x), double(x.astype(np.float64))
    check(y, expected, (1, 2), "y")
    check(single.backward(dy), double.backward(dy.astype(np.float64)), None, "dx")


def test_dyt_has_a_slope_where_it_is_nearly_flat():
    """1 - tanh² of 10 is 8.2e-9, for which float32 has no room beside 1."""
    layer = cybn.DyT(1, alpha_init_value=1)
    x = np.float32([[10], [-20], [3]])
    layer(x)
    expected = 1 / np.cosh(x.astype(np.float64)) ** 2
    np.testing.assert_allclose(layer.backward(np.ones_like(x)), expected, rtol=1e-6)
