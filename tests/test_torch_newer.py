"""Gated and adaptive norms, the EvoNorms, SimpleNorm, and norms of weights against the libraries
that they come from: PyTorch, timm and transformers."""

import warnings

import numpy as np
import pytest
from whole import draw

import cybn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; nothing else needs it")
parametrizations = torch.nn.utils.parametrizations


def tensor(a):
    return torch.tensor(a, requires_grad=True)


def close(a, b, room=2e-5):
    b = b.detach().numpy()
    np.testing.assert_allclose(a, b, rtol=room, atol=room * max(1, abs(b).max()))


def agree(layer, module, x, dy, call=None, **inputs):
    """The output, dx, and the gradients of inputs and of parameters that have the same names."""
    given, further = tensor(x), {name: tensor(a) for name, a in inputs.items()}
    y = (call or module)(given, **further)
    module.zero_grad()
    y.backward(torch.tensor(dy))
    close(layer(x, **inputs), y)
    close(layer.backward(dy), given.grad)
    for name, a in further.items():
        close(getattr(layer, f"d{name}"), a.grad)
    theirs = dict(module.named_parameters())
    for name, grad in layer.grads.items():
        close(grad, theirs[name].grad)


def shared(layer, module):
    """Both with the same parameters, of both signs."""
    rng = np.random.default_rng(5)
    for name, a in layer.named_parameters():
        a[...] = rng.uniform(0.3, 1.5, a.shape) * rng.choice([-1, 1], a.shape)
        dict(module.named_parameters())[name].data = torch.tensor(a)
    return layer, module


@pytest.fixture(scope="module")
def timm():
    return pytest.importorskip("timm.layers", reason="timm is not installed: pip install timm")


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ["B1", "B2", "S1", "S1a", "S2", "S2a"])
def test_evonorms_of_timm(timm, name, training):
    options = {"groups": 3} if name[0] == "S" else {}
    module = getattr(timm, f"EvoNorm2d{name}")
    eps = {"eps": 1e-3} if name.endswith("a") else {}
    layer = cybn.create({"type": f"EvoNorm{name[:2]}", **options, **eps}, num_features=6)
    layer, module = shared(layer, module(6, **options))
    layer.train(training), module.train(training)
    agree(layer, module, draw((4, 6, 5, 3), np.float32), draw((4, 6, 5, 3), np.float32, 2))
    if name[0] == "B":
        close(layer.running_var, module.running_var)


@pytest.mark.parametrize("affine", [True, False])
def test_simple_norm_of_timm(timm, affine):
    x, dy = draw((4, 6, 5, 7), np.float32), draw((4, 6, 5, 7), np.float32, 2)
    agree(*shared(cybn.SimpleNorm(7, affine=affine), timm.SimpleNorm(7, affine=affine)), x, dy)
    layer = cybn.SimpleNorm(6, affine=affine, channel_axis=1)
    agree(*shared(layer, timm.SimpleNorm2d(6, affine=affine)), x, dy)


@pytest.mark.parametrize(
    ("place", "name", "given", "options"),
    [
        ("mamba2", "MambaRMSNormGated", (12, 12), {"norm_before_gate": False}),
        ("zamba2", "Zamba2RMSNormGated", (12, 4), {"norm_before_gate": False, "group_size": 4}),
        ("qwen3_next", "Qwen3NextRMSNormGated", (12,), {}),
    ],
)
def test_gated_norms_of_transformers(place, name, given, options):
    module = pytest.importorskip(
        f"transformers.models.{place}.modeling_{place}",
        reason="transformers is not installed, or has not this model: pip install transformers",
    )
    layer = cybn.GatedRMSNorm(12, 1e-6, **options)
    layer, theirs = shared(layer, getattr(module, name)(*given))
    shape = 3, 5, 12
    x, dy, gate = (draw(shape, np.float32, seed) for seed in (1, 2, 3))
    agree(layer, theirs, x, dy, gate=gate)


@pytest.mark.parametrize("shape", [(3, 5, 6), (3, 6)])
def test_modulated_layer_norm_of_diffusion_transformers(shape):
    layer, norm = cybn.AdaptiveLayerNorm(6), torch.nn.LayerNorm(6, 1e-6, elementwise_affine=False)
    places = [1] * (len(shape) - 2)

    def modulated(x, scale, shift):
        return norm(x) * (1 + scale.reshape(3, *places, 6)) + shift.reshape(3, *places, 6)

    x, dy = draw(shape, np.float32), draw(shape, np.float32, 2)
    scale, shift = draw((3, 6), np.float32, 3), draw((3, 6), np.float32, 4)
    agree(layer, norm, x, dy, modulated, scale=scale, shift=shift)


@pytest.mark.parametrize(("p", "dim"), [(1, 1), (2, -1), (2, 0)])
def test_normalize_of_torch(p, dim):
    x, dy = draw((3, 4, 5), np.float32), draw((3, 4, 5), np.float32, 2)
    x[:, 1] *= 1e-14  # some shorter than eps
    layer = cybn.LpNormalization(dim, p, eps=1e-12)
    given = tensor(x)
    y = torch.nn.functional.normalize(given, p, dim)
    y.backward(torch.tensor(dy))
    close(layer(x), y)
    close(layer.backward(dy), given.grad)


@pytest.mark.parametrize("dim", [0, 1, None])
def test_weight_norm_of_torch(dim):
    module = torch.nn.Conv2d(4, 6, (3, 2))
    parametrizations.weight_norm(module, dim=dim)
    gain, weight = (getattr(module.parametrizations.weight, f"original{i}") for i in (0, 1))
    layer = cybn.WeightNorm(gain.numel(), dim)
    layer.start(weight.detach().numpy())
    close(layer.gain, gain.detach().ravel())
    layer.gain[...] = np.random.default_rng(5).uniform(-1, 1, layer.gain.shape)
    gain.data = torch.tensor(layer.gain).reshape(gain.shape)
    dy = draw(tuple(weight.shape), np.float32)
    module.weight.backward(torch.tensor(dy))
    close(layer(weight.detach().numpy()), module.weight)
    close(layer.backward(dy), weight.grad)
    close(layer.grads["gain"], gain.grad.ravel())


@pytest.mark.parametrize(
    ("module", "dim"),
    [
        (torch.nn.Linear(5, 7), 0),
        (torch.nn.Conv2d(4, 6, 3), 0),
        (torch.nn.ConvTranspose2d(4, 6, 3), 1),
    ],
)
@pytest.mark.parametrize("steps", [1, 3])
def test_spectral_norm_of_torch(module, dim, steps):
    """Step by step in training, as weights change, then in evaluation, by way of the state dict."""
    module = parametrizations.spectral_norm(module, n_power_iterations=steps)
    own = module.parametrizations.weight[0]
    layer = cybn.SpectralNorm(steps, dim=dim)
    layer.load_state_dict({name: a.numpy() for name, a in own.state_dict().items()})
    weight = module.parametrizations.weight.original
    for training in (True, True, True, False):
        module.train(training), layer.train(training)
        y = module.weight
        close(layer(weight.detach().numpy()), y)
        for name in ("_u", "_v"):
            close(getattr(layer, name), getattr(own, name))
        dy = draw(tuple(weight.shape), np.float32)
        weight.grad = None
        y.backward(torch.tensor(dy))
        close(layer.backward(dy), weight.grad)
        weight.data -= 0.1 * weight.grad
    parametrize = torch.nn.utils.parametrize
    parametrize.remove_parametrizations(module, "weight")
