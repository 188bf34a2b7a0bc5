"""Batch norm's relatives beside PyTorch: its lazy layers, and autograd through the formulas."""

import warnings

import numpy as np
import pytest

import cybn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; nothing else needs it")

CLOSE = {"rtol": 1e-12, "atol": 1e-12}  # float64 on both sides
SHAPES = {"1d": (6, 3, 5), "2d": (6, 3, 4, 5), "3d": (6, 3, 2, 4, 5)}
ranks = pytest.mark.parametrize("rank", SHAPES)


def randomized(layer, seed=0):
    rng = np.random.default_rng(seed)
    for name, a in (*layer.named_parameters(), *layer.named_buffers()):
        if not name.endswith("num_batches_tracked"):
            a[...] = rng.uniform(0.5, 2, a.shape)
    return layer


def case(rank, seed=1):
    x, dy = np.random.default_rng(seed).normal(1, 2, (2, *SHAPES[rank]))
    return x, dy, torch.from_numpy(x).requires_grad_()


def tensor(a):
    return torch.from_numpy(a.copy()).requires_grad_()


def by_channel(t, like):
    """(C,) or (N, C) to multiply an (N, C, ...) tensor with."""
    return t.reshape(*(t.shape if t.ndim == 2 else (1, *t.shape)), *(1,) * (like.ndim - 2))


def normalized(x, eps=1e-5):
    """Normalized x, and its (C,) mean and standard deviation."""
    axes = [0, *range(2, x.ndim)]
    mean, std = x.mean(axes), (x.var(axes, unbiased=False) + eps).sqrt()
    return (x - by_channel(mean, x)) / by_channel(std, x), mean.detach(), std.detach()


def assert_same(layer, y, dy, ty, tx, parameters):
    """Output, dx and the gradients of the parameters, by name."""
    np.testing.assert_allclose(y, ty.detach().numpy(), **CLOSE)
    ty.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(layer.backward(dy), tx.grad.numpy(), **CLOSE)
    for name, parameter in parameters.items():
        np.testing.assert_allclose(layer.grads[name], parameter.grad.numpy(), **CLOSE)


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
@ranks
def test_lazy(rank):
    name = f"LazyBatchNorm{rank}"
    module = getattr(torch.nn, name)(1e-3, 0.2, dtype=torch.float64)
    layer = getattr(cybn, name)(1e-3, 0.2, dtype="float64")
    x, dy, tx = case(rank)
    ty = module(tx)
    assert_same(layer, layer(x), dy, ty, tx, dict(module.named_parameters()))
    assert layer.num_features == module.num_features
    state = {key: a.numpy() for key, a in module.state_dict().items()}
    assert list(layer.state_dict()) == list(state)
    for key, a in layer.state_dict().items():
        np.testing.assert_allclose(a, state[key], **CLOSE)
    again = getattr(cybn, name)(1e-3, 0.2, dtype="float64")
    again.load_state_dict(state)
    np.testing.assert_allclose(again.eval()(x), module.eval()(tx).detach().numpy(), **CLOSE)


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
@ranks
def test_lazy_instance_norm_has_its_own_defaults(rank):
    name = f"LazyInstanceNorm{rank}"
    module, layer = getattr(torch.nn, name)(dtype=torch.float64), getattr(cybn, name)()
    for option in ("eps", "momentum", "affine", "track_running_stats"):
        assert getattr(layer, option) == getattr(module, option)
    layer = getattr(cybn, name)(dtype="float64")
    x, dy, tx = case(rank)
    assert_same(layer, layer(x), dy, module(tx), tx, dict(module.named_parameters()))
    assert list(layer.state_dict()) == list(module.state_dict())


@ranks
def test_frozen(rank):
    module = getattr(torch.nn, f"BatchNorm{rank}")(3, dtype=torch.float64)
    module(torch.randn(SHAPES[rank], dtype=torch.float64))
    layer = cybn.create(f"FrozenBatchNorm{rank}", num_features=3, dtype="float64")
    layer.load_state_dict({key: a.numpy() for key, a in module.state_dict().items()})
    x, dy, tx = case(rank)
    assert_same(layer, layer.train()(x), dy, module.eval()(tx), tx, {})


@ranks
def test_conditional(rank):
    layer = cybn.create(
        f"ConditionalBatchNorm{rank}", num_features=3, num_classes=4, dtype="float64"
    )
    randomized(layer)
    labels = np.array([3, 0, 0, 1, 3, 0])
    x, dy, tx = case(rank)
    weight, bias = tensor(layer.weight), tensor(layer.bias)
    xhat, _, _ = normalized(tx)
    ty = xhat * by_channel(weight[labels], tx) + by_channel(bias[labels], tx)
    parameters = {"weight": weight, "bias": bias}
    assert_same(layer, layer(x, labels=labels), dy, ty, tx, parameters)


@ranks
def test_renorm(rank):
    layer = cybn.create(
        f"BatchRenorm{rank}", num_features=3, rmax=1.2, dmax=0.8, warmup_steps=0, rmax_steps=0,
        dmax_steps=0, dtype="float64",
    )  # fmt: skip
    randomized(layer)
    x, dy, tx = case(rank)
    weight, bias = tensor(layer.weight), tensor(layer.bias)
    xhat, mean, std = normalized(tx)
    running_std = torch.from_numpy(np.sqrt(layer.running_var + 1e-5))
    r = (std / running_std).clamp(1 / 1.2, 1.2)
    d = ((mean - torch.from_numpy(layer.running_mean.copy())) / running_std).clamp(-0.8, 0.8)
    y = xhat * by_channel(r, tx) + by_channel(d, tx)
    ty = y * by_channel(weight, tx) + by_channel(bias, tx)
    assert_same(layer, layer(x), dy, ty, tx, {"weight": weight, "bias": bias})


@ranks
def test_ghost(rank):
    layer = cybn.create(
        f"GhostBatchNorm{rank}", num_features=3, virtual_batch_size=4, dtype="float64"
    )
    module = getattr(torch.nn, f"BatchNorm{rank}")(3, dtype=torch.float64)
    x, dy, tx = case(rank)
    ty = torch.cat([module(part) for part in tx.split(4)])
    assert_same(layer, layer(x), dy, ty, tx, dict(module.named_parameters()))
    for key, a in module.state_dict().items():
        np.testing.assert_allclose(layer.state_dict()[key], a.numpy(), **CLOSE)


@ranks
def test_split_and_domains_load_nested_modules(rank):
    """The modules that hold the arrays in the code of timm and of the paper's authors."""
    plain = getattr(torch.nn, f"BatchNorm{rank}")

    class Split(plain):
        def __init__(self):
            super().__init__(3, dtype=torch.float64)
            self.aux_bn = torch.nn.ModuleList([plain(3, dtype=torch.float64)])

    class Domains(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bns = torch.nn.ModuleList([plain(3, dtype=torch.float64) for _ in range(2)])

    for module, name in ((Split(), "SplitBatchNorm"), (Domains(), "DomainSpecificBatchNorm")):
        layer = randomized(cybn.create(name + rank, num_features=3, dtype="float64"))
        assert list(layer.state_dict()) != []
        module.load_state_dict({k: torch.from_numpy(a) for k, a in layer.state_dict().items()})
        new = cybn.create(name + rank, num_features=3, dtype="float64")
        new.load_state_dict({key: a.numpy() for key, a in module.state_dict().items()})
        for key, a in layer.state_dict().items():
            np.testing.assert_array_equal(new.state_dict()[key], a)
