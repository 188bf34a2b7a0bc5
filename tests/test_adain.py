"""AdaIN: the style, and the gradient to it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import bits
from strategies import LAYOUTS, layout_id
from whole import central_differences, draw, inner

import cybn


def reference(x, style, eps=1e-5):
    (mean, std), (style_mean, style_std) = (
        (a.mean(inner(a)), np.sqrt(a.var(inner(a)) + eps)) for a in (x, style)
    )
    wide = (..., *(None,) * (x.ndim - 2))
    return (x - mean[wide]) / std[wide] * style_std[wide] + style_mean[wide]


def test_values_by_hand():
    layer = cybn.AdaIN(eps=1.0)
    x = np.array([[[0.0, 0, 0, 4], [7, 7, 7, 7]]])  # variances 3 and 0: std 2 and 1
    style = np.array([[[1.0, 1, 1, 5], [-1, -1, 3, 3]]])  # means 2 and 1; std 2 and √5
    np.testing.assert_array_equal(layer(x, style=style)[0], [[1, 1, 1, 5], [1, 1, 1, 1]])
    layer.backward(np.ones_like(x))
    # by the mean 4/4 each, by std Σ xhat = 0
    np.testing.assert_array_equal(layer.grad_style, np.ones_like(style))
    layer.backward(np.array([[[0.0, 0, 0, 2], [0, 0, 0, 0]]]))
    # mean: 2/4; std: 2*xhat = 3, times (s - 2)/(2*4)
    np.testing.assert_array_equal(layer.grad_style, [[[0.125, 0.125, 0.125, 1.625], [0, 0, 0, 0]]])


@pytest.mark.parametrize("style_shape", [(2, 3, 4), (2, 3, 3, 2), (2, 3, 2, 2, 2)])
@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 2, 3)])
def test_output_and_gradients_are_those_of_the_equation(shape, style_shape):
    layer, x, style, dy = cybn.AdaIN(), draw(shape), draw(style_shape, seed=2), draw(shape, seed=3)
    np.testing.assert_allclose(layer(x, style=style), reference(x, style), rtol=1e-12)
    dx = layer.backward(dy)

    def loss():
        return (reference(x, style) * dy).sum()

    np.testing.assert_allclose(dx, central_differences(loss, x), rtol=1e-7, atol=1e-7)
    expected = central_differences(loss, style)
    np.testing.assert_allclose(layer.grad_style, expected, rtol=1e-7, atol=1e-7)
    assert layer.grads == {}


@given(st.integers(0, 2**32 - 1), st.sampled_from([np.float32, np.float64]))
def test_the_output_has_the_moments_of_the_style(seed, dtype):
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(2, 3, 40)) * 3 + 10).astype(dtype)
    style = rng.normal(-5, 2, (2, 3, 7, 9)).astype(dtype)
    y = cybn.AdaIN(eps=1e-16)(x, style=style).astype(np.float64)
    style = style.astype(np.float64)
    slack = 64 * np.finfo(dtype).eps
    np.testing.assert_allclose(y.mean(2), style.mean((2, 3)), atol=8 * slack)
    np.testing.assert_allclose(y.std(2), style.std((2, 3)), rtol=slack)


def test_its_own_style_gives_x_back():
    x = draw((2, 3, 4, 5))
    np.testing.assert_allclose(cybn.AdaIN()(x, style=x), x, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("layout", LAYOUTS, ids=layout_id)
def test_a_style_in_any_memory_and_of_another_dtype(layout):
    x, dy = draw((2, 3, 4, 5), np.float32), draw((2, 3, 4, 5), np.float32, seed=3)
    style = draw((2, 3, 3, 3), seed=2)
    plain, other = cybn.AdaIN(), cybn.AdaIN()
    np.testing.assert_allclose(other(x, style=layout(style)), plain(x, style=style), rtol=1e-6)
    plain.backward(dy)
    other.backward(dy)
    assert plain.grad_style.dtype == other.grad_style.dtype == np.float64
    np.testing.assert_allclose(other.grad_style, plain.grad_style, rtol=1e-12, atol=1e-12)


def test_without_a_style_there_is_no_gradient_to_it():
    layer, x = cybn.AdaIN(), draw((2, 3, 4))
    layer(x, style=x)
    layer.backward(x)
    assert layer.grad_style.shape == x.shape
    y = layer(x)
    layer.backward(x)
    assert layer.grad_style is None
    np.testing.assert_allclose(y.mean(2), 0, atol=1e-15)


def test_the_sample_input_is_a_style():
    layer, x = cybn.AdaIN(), draw((2, 3, 4), np.float32)
    inputs = layer.sample_inputs(x)
    assert inputs["style"].shape == x.shape
    assert bits(layer(x, **inputs)) != bits(layer(x))


@pytest.mark.parametrize(
    ("style", "error", "match"),
    [
        (np.zeros((1, 3, 4)), ValueError, r"samples and channels of x, \(2, 3, 4\), got \(1, 3, 4"),
        (np.zeros((2, 4, 4)), ValueError, r"samples and channels of x, \(2, 3, 4\), got \(2, 4, 4"),
        (np.zeros((2, 3, 1)), ValueError, r"more than 1 value .* a style of shape \(2, 3, 1\)"),
        (np.zeros((2, 3, 0)), ValueError, r"empty style \(2, 3, 0\)"),
        (np.zeros((2, 3)), ValueError, r"'s style expects 3-D .* got 2-D \(2, 3\)"),
        (np.zeros((2, 3, 4), int), TypeError, r"takes float16, bfloat16, float32 or float64 style"),
    ],
)
def test_a_style_that_does_not_fit_changes_nothing(style, error, match):
    layer, x = cybn.AdaIN(), draw((2, 3, 4))
    layer(x, style=x)
    dx, grad_style = layer.backward(x), layer.grad_style
    with pytest.raises(error, match=f"AdaIN.*{match}"):
        layer(x, style=style)
    assert layer.grad_style is grad_style
    assert bits(layer.backward(x)) == bits(dx)


def test_out_must_not_be_the_style():
    layer, x = cybn.AdaIN(), draw((2, 3, 4))
    style = 2 * x
    with pytest.raises(ValueError, match="AdaIN got an out that overlaps style"):
        layer(x, out=style, style=style)
