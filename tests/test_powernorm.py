"""PowerNorm: the running quadratic mean, its warm-up, and the paper's gradient."""

import copy

import numpy as np
import pytest
from runs import bits, state_bits
from whole import central_differences, channels, draw, outer

import cybn

SHAPES = [(7, 3), (4, 3, 5), (2, 3, 4, 5)]


def make(dtype="float64", **options):
    layer = cybn.create({"type": "PN", "dtype": dtype, **options}, num_features=3)
    rng = np.random.default_rng(5)
    for a in (*layer.parameters(), layer.running_phi):
        a[...] = rng.uniform(0.3, 3, a.shape)
    return layer


class Paper:
    """Algorithm 2 of the paper in its own names, on (N, C, ...), with psi² + eps for psi²."""

    def __init__(self, layer):
        self.gamma, self.beta = layer.weight.copy(), layer.bias.copy()
        self.psi2, self.nu = layer.running_phi.copy(), np.zeros(3)
        self.alpha, self.eps = 1 - layer.momentum, layer.eps

    def step(self, x, dy):
        """Y, dX, d gamma and d beta of one step of training."""
        axes = outer(x)
        psi = channels(np.sqrt(self.psi2 + self.eps), x)
        xhat = x / psi
        y = channels(self.gamma, x) * xhat + channels(self.beta, x)
        self.psi2 = self.alpha * self.psi2 + (1 - self.alpha) * (x**2).mean(axes)
        dxhat = channels(self.gamma, x) * dy
        dx = (dxhat - channels(self.nu, x) * xhat) / psi
        gamma_t, lambda_t = (xhat * xhat).mean(axes), (dxhat * xhat).mean(axes)
        self.nu = self.nu * (1 - (1 - self.alpha) * gamma_t) + (1 - self.alpha) * lambda_t
        return y, dx, (dy * xhat).sum(axes), dy.sum(axes)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_paper_s_algorithm_over_several_batches(shape):
    layer = make(gradient="paper", momentum=0.3)
    paper = Paper(layer)
    for seed in range(5):
        x, dy = draw(shape, seed=seed), draw(shape, seed=seed + 100)
        y, dx, dgamma, dbeta = paper.step(x, dy)
        np.testing.assert_allclose(layer(x), y, rtol=1e-12)
        for _ in range(2):  # a backward again moves nothing twice
            np.testing.assert_allclose(layer.backward(dy), dx, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(layer.grads["weight"], dgamma, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(layer.grads["bias"], dbeta, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(layer.running_phi, paper.psi2, rtol=1e-12)
        np.testing.assert_allclose(layer.running_nu, paper.nu, rtol=1e-11, atol=1e-13)
    assert layer.num_batches_tracked == 5


def test_the_paper_s_gradient_by_hand():
    """phi 16 before the batch: xhat = x/4 = (1, 2); nu 0.5; g = (3, 0)."""
    layer = cybn.create("PN", num_features=1, gradient="paper", momentum=0.5, eps=1e-300,
                        dtype="float64")  # fmt: skip
    layer.running_phi[...], layer.running_nu[...] = 16, 0.5
    layer.weight[...] = 3
    assert layer(np.array([[4.0], [8.0]])).tolist() == [[3], [6]]
    assert layer.running_phi == [0.5 * 16 + 0.5 * 40]
    dx = layer.backward(np.array([[1.0], [0.0]]))
    assert dx.tolist() == [[(3 - 0.5) / 4], [-1 / 4]]
    # Σxhat²/m = 2.5, Σ(g·xhat)/m = 1.5
    assert layer.running_nu == [0.5 * (1 - 0.5 * 2.5) + 0.5 * 1.5]
    exact = cybn.create({**layer.get_config(), "gradient": "exact"})
    state = {name: a for name, a in layer.state_dict().items() if name != "running_nu"}
    exact.load_state_dict({**state, "running_phi": np.array([16.0])})
    exact(np.array([[4.0], [8.0]]))
    assert exact.backward(np.array([[1.0], [0.0]])).tolist() == [[3 / 4], [0]]


@pytest.mark.parametrize("gradient", ["exact", "paper"])
@pytest.mark.parametrize("warmup", [None, 2])
@pytest.mark.parametrize("shape", SHAPES)
def test_while_phi_is_that_of_the_batch_the_gradient_is_that_of_the_equation(
    gradient, warmup, shape
):
    layer = make(gradient=gradient, warmup=warmup, eps=0.1)
    x, dy = draw(shape), draw(shape, seed=2)

    def reference():
        phi = (x**2).mean(outer(x), keepdims=True)
        return x / np.sqrt(phi + 0.1) * channels(layer.weight, x) + channels(layer.bias, x)

    np.testing.assert_allclose(layer(x), reference(), rtol=1e-12)
    dx = layer.backward(dy)
    expected = central_differences(lambda: (reference() * dy).sum(), x)
    np.testing.assert_allclose(dx, expected, rtol=1e-7, atol=1e-7)
    if gradient == "paper":
        xhat = (reference() - channels(layer.bias, x)) / channels(layer.weight, x)
        along = (channels(layer.weight, x) * dy * xhat).mean(outer(x))
        np.testing.assert_allclose(layer.running_nu, 0.1 * along, rtol=1e-12, atol=1e-14)


def test_the_warmup_ends():
    layer, always, never = make(warmup=2), make(warmup=None), make()
    never.load_state_dict(layer.state_dict())
    for seed in range(2):
        x = draw((4, 3, 5), seed=seed)
        assert bits(layer(x)) == bits(always(x))
        never(x)
        assert bits(layer.running_phi) == bits(never.running_phi)
    x = draw((4, 3, 5), seed=3)
    y = layer(x)
    assert bits(y) == bits(never(x)) != bits(always(x))
    layer.eval(), always.eval()
    assert bits(layer(x)) == bits(always(x))  # in evaluation phi is the running one


def test_evaluation_takes_the_exact_gradient_and_moves_nothing():
    layer = make(gradient="paper")
    layer(draw((4, 3)))
    layer.backward(draw((4, 3), seed=2))
    assert layer.running_nu.all()
    before = copy.deepcopy(layer)
    x, dy = draw((4, 3), seed=3), draw((4, 3), seed=4)
    layer.eval()(x)
    dx = layer.backward(dy)
    rstd = 1 / np.sqrt(layer.running_phi + layer.eps)
    np.testing.assert_allclose(dx, dy * layer.weight * rstd, rtol=1e-13)
    for name, a in before.named_buffers():
        assert bits(getattr(layer, name)) == bits(a)


@pytest.mark.parametrize("options", [{"affine": False}, {"bias": False}, {}])
@pytest.mark.parametrize("gradient", ["exact", "paper"])
def test_without_weight_or_bias_they_count_as_one_and_zero(options, gradient):
    layer, full = make(gradient=gradient, warmup=1, **options), make(gradient=gradient, warmup=1)
    full.running_phi[...] = layer.running_phi
    full.weight[...] = 1 if layer.weight is None else layer.weight
    full.bias[...] = 0 if layer.bias is None else layer.bias
    for seed in range(3):
        x, dy = draw((4, 3, 5), seed=seed), draw((4, 3, 5), seed=seed + 9)
        assert bits(layer(x)) == bits(full(x))
        assert bits(layer.backward(dy)) == bits(full.backward(dy))
    assert set(layer.grads) == {name for name, _ in layer.named_parameters()}
    assert all(bits(a) == bits(full.grads[name]) for name, a in layer.grads.items())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("gradient", ["exact", "paper"])
def test_in_place_and_channels_last(dtype, gradient):
    first = make(gradient=gradient, warmup=1)
    last = make(gradient=gradient, warmup=1, channel_axis=-1)
    inside = make(gradient=gradient, warmup=1)
    for seed in range(3):
        x, dy = draw((4, 3, 5), dtype, seed), draw((4, 3, 5), dtype, seed + 9)
        y, dx = first(x), first.backward(dy)
        z = last(np.ascontiguousarray(np.moveaxis(x, 1, -1)))
        dz = last.backward(np.ascontiguousarray(np.moveaxis(dy, 1, -1)))
        np.testing.assert_allclose(np.moveaxis(z, -1, 1), y, rtol=1e-6)
        np.testing.assert_allclose(np.moveaxis(dz, -1, 1), dx, rtol=1e-5, atol=1e-6)
        assert bits(inside(x, out=x)) == bits(y)
        assert bits(inside.backward(dy, out=dy)) == bits(dx)


@pytest.mark.parametrize("value", [1e30, 1e-30, 1.0])
def test_one_value_per_channel_and_extreme_ones(value):
    """The quadratic mean of one value is its square, and needs no second one."""
    x = np.array([[value, -2 * value, 3 * value]], np.float32)
    layer = cybn.PowerNorm(3, eps=1e-70, warmup=None, momentum=1, dtype="float64")
    layer.running_phi[...] = 0  # 1 + (phi - 1) would round a small phi away
    np.testing.assert_allclose(layer(x), [[1, -1, 1]], rtol=1e-6)
    np.testing.assert_allclose(layer.running_phi, x[0].astype(np.float64) ** 2, rtol=1e-7)
    layer.running_phi[...] = 0
    np.testing.assert_allclose(layer(np.tile(x, (4, 1))), [[1, -1, 1]] * 4, rtol=1e-6)
    np.testing.assert_allclose(layer.running_phi, x[0].astype(np.float64) ** 2, rtol=1e-7)


def test_a_channel_that_is_not_finite_stays_alone():
    layer, clean = make(gradient="paper"), make(gradient="paper")
    x, dy = draw((4, 3, 5)), draw((4, 3, 5), seed=2)
    spoilt = x.copy()
    spoilt[1, 2, 3] = np.nan
    for _ in range(2):
        y, z = layer(spoilt), clean(x)
        assert bits(y[:, :2]) == bits(z[:, :2])
        assert bits(layer.backward(dy)[:, :2]) == bits(clean.backward(dy)[:, :2])
    for name in ("running_phi", "running_nu"):
        assert bits(getattr(layer, name)[:2]) == bits(getattr(clean, name)[:2])
        assert np.isnan(getattr(layer, name)[2])


@pytest.mark.parametrize("shape", [(0, 3), (2, 3, 0)])
def test_an_empty_batch_moves_nothing(shape):
    layer = make(gradient="paper")
    before = state_bits(layer)[:2]
    assert layer(np.empty(shape)).shape == layer.backward(np.empty(shape)).shape == shape
    assert state_bits(layer)[:2] == before
    assert not layer.grads["weight"].any()


def test_failing_calls_change_nothing():
    layer = make(gradient="paper")
    x = draw((4, 3))
    layer(x)
    layer.backward(x)
    before, dx = state_bits(layer), bits(layer.backward(x))
    with pytest.raises(ValueError, match=r"PowerNorm expects dy of the input's shape \(4, 3\)"):
        layer.backward(x[:2])
    kept = layer.running_phi
    layer.running_phi = np.broadcast_to(1.0, 3)
    with pytest.raises(ValueError, match=r"PowerNorm updates running_phi in training, got a read"):
        layer(x)
    layer.running_phi = kept
    kept = layer.running_nu
    layer.running_nu = np.broadcast_to(1.0, 3)
    out = np.zeros_like(x)
    with pytest.raises(ValueError, match=r"PowerNorm updates running_nu in training, got a read"):
        layer.backward(x, out=out)
    assert not out.any()
    layer.running_nu = kept
    assert state_bits(layer) == before
    assert bits(layer.backward(x)) == dx
    with pytest.raises(RuntimeError, match=r"PowerNorm.backward needs a forward first"):
        make().backward(x)
