"""Curves where a norm is split: over threads, over processes, in weights and in other modules."""

import numpy as np
import pytest
from ranks import cuts_of, in_ranks, of_whole
from test_curves import LAYERS, built

import cybn
from cybn import functional, reference
from cybn.functional.gates import ACTIVATIONS, CURVES
from cybn.testing import check_layer


def large(axis, dtype):
    rng = np.random.default_rng(7)
    shape = (24, 6, 33, 17) if axis == 1 else (24, 33, 17, 6)
    return [rng.normal(0.5, 2, shape).astype(dtype) for _ in range(3)]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize(("name", "options", "axis"), LAYERS)
def test_any_number_of_threads_gives_the_same_bits(name, options, axis, dtype, restore_threads):
    x, z, dy = large(axis, dtype)
    given = {"residual": z} if name != "InstanceNorm2d" else {}
    found = []
    for threads in (1, 2, 3):
        cybn.set_num_threads(threads)
        wide = "float32" if dtype == "float16" else dtype
        layer = built(name, options, activation="gelu", dtype=wide)
        got = [layer(x, **given), layer.backward(dy), *layer.grads.values()]
        found.append([np.asarray(a).tobytes() for a in got])
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("activation", CURVES)
def test_ranks_with_padding_are_the_whole_batch(activation):
    rng = np.random.default_rng(2)
    x, z, dy = rng.normal(0.5, 2, (3, 9, 4, 5))
    masks = rng.random((9, 5)) < 0.7
    how = {"activation": activation, "dtype": "float64", "masks": masks, "residual": z}
    y, dx, whole = of_whole(x, dy, **how)
    places = cuts_of(rng, 9, 3)
    parts = in_ranks(places, x, dy, **how)
    np.testing.assert_allclose(np.concatenate([p[0] for p in parts]), y, atol=1e-12)
    np.testing.assert_allclose(np.concatenate([p[1] for p in parts]), dx, atol=1e-12)
    for key in ("weight", "bias"):
        total = sum(p[2].grads[key] for p in parts)
        np.testing.assert_allclose(total, whole.grads[key], atol=1e-10)
    dz = np.concatenate([p[2].dresidual for p in parts])
    np.testing.assert_allclose(dz, whole.dresidual, atol=1e-12)


@pytest.mark.parametrize("activation", CURVES)
def test_a_norm_with_a_curve_is_not_folded_until_it_is_gone(activation):
    norm = cybn.BatchNorm2d(2, activation=activation).eval()
    weight = np.ones((2, 3, 1, 1), np.float32)
    with pytest.raises(ValueError, match=f"cannot fold activation='{activation}'"):
        cybn.fold(weight, None, norm)
    norm.activation = None
    cybn.fold(weight, None, norm)


@pytest.mark.parametrize("activation", [None, *ACTIVATIONS])
def test_the_reference_of_rows_with_a_residual(activation):
    x, z, dy = np.random.default_rng(4).normal(0, 2, (3, 7, 8))
    weight, bias = np.linspace(0.5, 2, 8), np.linspace(-1, 1, 8)
    h = reference.layer_norm(x, 8, weight, bias) + z
    own = {"residual": z, "activation": activation, "alpha": 0.7}
    y, stats = functional.layer_norm_forward(x, 8, weight, bias, **own)
    np.testing.assert_allclose(y, reference.activate(h, activation, alpha=0.7), atol=1e-13)
    dz = np.empty_like(x)
    got = functional.layer_norm_backward(dy, x, stats, 8, weight, bias=bias, dresidual=dz, **own)
    g = reference.activate_backward(dy, h, activation, alpha=0.7)
    np.testing.assert_allclose(dz, g, atol=1e-13)
    for a, want in zip(got, reference.layer_norm_backward(g, x, 8, weight), strict=True):
        np.testing.assert_allclose(a, want, atol=1e-12)


def test_the_reference_names_an_activation_it_lacks():
    for call in (
        lambda: reference.activate(np.ones(2), "swish"),
        lambda: reference.activate_backward(np.ones(2), np.ones(2), "swish"),
    ):
        with pytest.raises(ValueError, match="knows no activation 'swish'"):
            call()


@pytest.mark.parametrize(("name", "options"), [LAYERS[0][:2], LAYERS[6][:2]])
def test_a_layer_with_a_curve_keeps_every_promise(name, options):
    check_layer({"type": name, **options, "num_features": 4, "activation": "mish"})
