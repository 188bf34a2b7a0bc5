"""IBN, WeightStandardization, IterNorm, SwitchableNorm and AdaIN against PyTorch's autograd."""

import warnings

import numpy as np
import pytest
from whole import draw

import cybn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; nothing else needs it")
functional = torch.nn.functional


def agree(layer, model, x, dy, **inputs):
    """The output, dx and parameters' gradients of a layer and of a function of tensors."""
    tensors = {name: torch.tensor(a, requires_grad=True) for name, a in layer.named_parameters()}
    given = torch.tensor(x, requires_grad=True)
    z = model(given, **tensors)
    z.backward(torch.tensor(dy))
    np.testing.assert_allclose(layer(x, **inputs), z.detach().numpy(), rtol=1e-11, atol=1e-11)
    dx = layer.backward(dy)
    np.testing.assert_allclose(dx, given.grad.numpy(), rtol=1e-9, atol=1e-10)
    for name, tensor in tensors.items():
        expected = tensor.grad.numpy()
        np.testing.assert_allclose(layer.grads[name], expected, rtol=1e-9, atol=1e-9)


def make(name, **options):
    layer = cybn.create(name, dtype="float64", **options)
    rng = np.random.default_rng(5)
    for a in layer.parameters():
        a[...] = rng.uniform(0.3, 1.5, a.shape)
    return layer


def test_ibn_is_instance_and_batch_norm_side_by_side():
    layer = make("IBN", num_features=6, ratio=0.5)
    mean, var = torch.zeros(3, dtype=torch.double), torch.ones(3, dtype=torch.double)

    def model(x, weight, bias):
        first = functional.instance_norm(x[:, :3], weight=weight[:3], bias=bias[:3])
        rest = functional.batch_norm(x[:, 3:], mean, var, weight[3:], bias[3:], layer.training)
        return torch.cat([first, rest], 1)

    agree(layer, model, draw((4, 6, 5, 3)), draw((4, 6, 5, 3), seed=2))
    np.testing.assert_allclose(layer.running_mean, mean, rtol=1e-13)
    np.testing.assert_allclose(layer.running_var, var, rtol=1e-13)
    layer.eval()
    agree(layer, model, draw((4, 6, 5, 3)), draw((4, 6, 5, 3), seed=2))


@pytest.mark.parametrize("scaled", [False, True])
def test_weight_standardization_is_batch_norm_of_one_sample(scaled):
    layer = make("WeightStandardization", out_channels=6, scaled=scaled, eps=1e-3)

    def model(x, gain):
        rows = x.reshape(1, 6, -1)
        factor = rows.shape[2] ** -0.5 if scaled else 1.0
        y = functional.batch_norm(rows, None, None, gain * factor, None, True, 0.0, 1e-3)
        return y.reshape(x.shape)

    agree(layer, model, draw((6, 4, 3, 3)), draw((6, 4, 3, 3), seed=2))


@pytest.mark.parametrize("iterations", [1, 5, 20])
def test_iternorm_as_the_paper_iterates(iterations):
    layer = make("IterNorm", num_features=24, num_groups=2, iterations=iterations, eps=1e-2)

    def model(x, weight, bias):
        groups = x.transpose(0, 1).reshape(2, 12, -1)
        centred = groups - groups.mean(2, keepdim=True)
        eye = torch.eye(12, dtype=torch.double)
        sigma = centred @ centred.mT / centred.shape[2] + layer.eps * eye
        trace = sigma.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
        p = eye
        for _ in range(iterations):
            p = (3 * p - p @ p @ p @ sigma / trace) / 2
        y = (p / trace.sqrt() @ centred).reshape(24, len(x), -1).transpose(0, 1)
        return y.reshape(x.shape) * weight[:, None, None] + bias[:, None, None]

    agree(layer, model, draw((8, 24, 5, 3)), draw((8, 24, 5, 3), seed=2))


def test_switchable_norm_as_the_paper_mixes():
    layer = make("SwitchableNorm", num_features=6)

    def model(x, weight, bias, mean_weight, var_weight):
        over = [(2, 3), (1, 2, 3), (0, 2, 3)]
        means = [x.mean(axes, keepdim=True) for axes in over]
        variances = [x.var(axes, correction=0, keepdim=True) for axes in over]
        mean = sum(a * m for a, m in zip(mean_weight.softmax(0), means, strict=True))
        var = sum(b * v for b, v in zip(var_weight.softmax(0), variances, strict=True))
        xhat = (x - mean) / (var + layer.eps).sqrt()
        return xhat * weight[:, None, None] + bias[:, None, None]

    agree(layer, model, draw((4, 6, 5, 3)), draw((4, 6, 5, 3), seed=2))


def test_adain_gives_the_style_its_gradient():
    layer, x, style, dy = cybn.AdaIN(), draw((2, 3, 5)), draw((2, 3, 7), seed=2), draw((2, 3, 5))
    tensor = torch.tensor(style, requires_grad=True)

    def model(x):
        std = (tensor.var(2, correction=0, keepdim=True) + layer.eps).sqrt()
        return functional.instance_norm(x, eps=layer.eps) * std + tensor.mean(2, keepdim=True)

    agree(layer, model, x, dy, style=style)
    np.testing.assert_allclose(layer.grad_style, tensor.grad.numpy(), rtol=1e-10, atol=1e-12)
