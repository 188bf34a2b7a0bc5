"""The modules of cybn.torch give PyTorch's outputs, gradients and buffers."""

import copy

import pytest
from torchnorms import (
    CLOSE,
    NORMS,
    assert_close,
    assert_same_step,
    become_ours,
    like,
    nn,
    ours,
    pair,
    torch,
)

from cybn.torch import _calls

MODES = pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
EACH = pytest.mark.parametrize("name", NORMS)
# LocalResponseNorm is not among them: PyTorch's takes no sixteen bits on the CPU.
SIXTEEN = pytest.mark.parametrize("name", [n for n in NORMS if n != "LocalResponseNorm"])
IN_ORDER = "C order"
LAYOUTS = {
    IN_ORDER: lambda x: x,
    "channels last": lambda x: x.contiguous(
        memory_format={4: torch.channels_last, 5: torch.channels_last_3d}.get(
            x.dim(), torch.contiguous_format
        )
    ),
    "transposed": lambda x: x.transpose(0, -1).contiguous().transpose(0, -1),
    "sliced": lambda x: torch.cat([x, x], -1)[..., : x.shape[-1]],
    "every other": lambda x: torch.stack([x, x], -1)[..., 0],
    "expanded": lambda x: x[:1].expand(x.shape),
}


@pytest.fixture(autouse=True)
def counted(monkeypatch):
    """Nothing here is left to PyTorch's own kernels, unless it is said to be."""
    left = []

    def counting(of):
        def call(*arguments):
            y = of(*arguments)
            if y is None:
                left.append(arguments)
            return y

        return call

    for name in ("batch_norm", "layer_norm", "group_norm", "local_response_norm"):
        monkeypatch.setattr(_calls, name, counting(getattr(_calls, name)))
    return left


@EACH
@MODES
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_step_is_pytorchs(name, training, dtype, layout, counted):
    theirs, mine = pair(name, dtype, training)
    x = LAYOUTS[layout](like(torch.empty(NORMS[name][1], dtype=dtype)) * 2 + 1)
    assert_same_step(theirs, mine, x)
    # One norm keeps an order that groups are no rows in.
    assert bool(counted) == (isinstance(theirs, nn.GroupNorm) and not theirs(x).is_contiguous())


@SIXTEEN
@MODES
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("mixed", [False, True], ids=["all alike", "float32 parameters"])
@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")
def test_sixteen_bits(name, training, dtype, mixed, counted):
    theirs, mine = pair(name, torch.float32 if mixed else dtype, training)
    x = like(torch.empty(NORMS[name][1], dtype=dtype)) * 2 + 1
    assert_same_step(theirs, mine, x, tolerance=CLOSE[dtype])
    assert not counted


def test_rms_norm_without_eps_has_that_of_the_arithmetic():
    for dtype in CLOSE:
        x = torch.full((2, 4), 1e-3, dtype=dtype)
        assert_close(ours.RMSNorm(4, dtype=dtype)(x), nn.RMSNorm(4, dtype=dtype)(x), CLOSE[dtype])


@pytest.mark.parametrize("name", ["BatchNorm2d", "BatchNorm3d", "GroupNorm", "LocalResponseNorm"])
@pytest.mark.parametrize("x_layout", LAYOUTS)
@pytest.mark.parametrize("dy_layout", LAYOUTS)
def test_gradients_in_another_order_than_x(name, x_layout, dy_layout):
    theirs, mine = pair(name, torch.float64)
    x, dy = torch.randn(2, *NORMS[name][1], dtype=torch.float64)
    assert_same_step(theirs, mine, LAYOUTS[x_layout](x), LAYOUTS[dy_layout](dy))


@pytest.mark.parametrize("layout", ["C order", "channels last"])
def test_what_pytorch_leaves_in_an_order_stays_in_it(layout):
    x = LAYOUTS[layout](torch.randn(2, 6, 5, 5)).requires_grad_()
    for module in (ours.BatchNorm2d(6), ours.GroupNorm(2, 6), ours.LocalResponseNorm(3)):
        y = module(x)
        (dx,) = torch.autograd.grad(y, x, torch.ones(()).expand(y.shape))
        assert y.stride() == x.stride() == dx.stride()


@MODES
@pytest.mark.parametrize("activation", [None, "relu", "relu6", "leaky_relu"])
@pytest.mark.parametrize("residual", [False, True], ids=["", "residual"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("layout", [IN_ORDER, "channels last"])
def test_a_fused_batch_norm(training, activation, residual, dtype, layout, counted):
    theirs, mine = pair("BatchNorm2d", dtype, training)
    mine.activation, mine.negative_slope = activation, 0.2
    after = {
        None: lambda v: v,
        "relu": torch.relu,
        "relu6": nn.functional.relu6,
        "leaky_relu": lambda v: nn.functional.leaky_relu(v, 0.2),
    }[activation]
    x, z, dy = (LAYOUTS[layout](a).to(dtype) for a in torch.randn(3, 4, 6, 5, 5) * 4)
    found = []
    for module, last in ((theirs, after), (mine, lambda v: v)):
        a, b = (t.detach().requires_grad_() for t in (x, z))
        if module is mine:
            y = module(a, residual=b) if residual else module(a)
        else:
            y = last(module(a) + b if residual else module(a))
        wanted = [a, *module.parameters(), *([b] if residual else [])]
        found.append((y, *torch.autograd.grad(y, wanted, dy)))
    # What lies next to the corner of a gate may be on either side of it in sixteen bits.
    same = (found[0][0] > 0) == (found[1][0] > 0)
    assert same.float().mean() > 0.99
    if dtype == torch.float64:
        for a, b in zip(found[1], found[0], strict=True):
            assert_close(a, b, 1e-10)
    assert not counted


@pytest.mark.parametrize("name", ["BatchNorm2d", "LayerNorm", "GroupNorm"])
@MODES
def test_only_what_is_asked_for_has_a_gradient(name, training):
    for frozen in ({"weight"}, {"bias"}, {"weight", "bias"}):
        for of_x in (True, False):
            theirs, mine = pair(name, torch.float64, training)
            x = torch.randn(NORMS[name][1], dtype=torch.float64)
            grads = []
            for module in (theirs, mine):
                for parameter in frozen:
                    getattr(module, parameter).requires_grad_(False)
                a = x.clone().requires_grad_(of_x)
                y = module(a)
                if y.requires_grad:
                    y.backward(torch.ones_like(y) * x)
                grads.append([a.grad, *(p.grad for p in module.parameters())])
            for a, b in zip(*grads, strict=True):
                assert (a is None) == (b is None)
                if a is not None:
                    torch.testing.assert_close(a, b)


@EACH
def test_the_gradient_of_a_gradient_is_pytorchs(name):
    theirs, mine = pair(name, torch.float64)
    x = torch.randn(NORMS[name][1], dtype=torch.float64)
    found = []
    for module in (theirs, mine):
        a = x.clone().requires_grad_()
        (dx,) = torch.autograd.grad(module(a).pow(3).sum(), a, create_graph=True)
        found.append((dx, *torch.autograd.grad(dx.pow(2).sum(), [a, *module.parameters()],
                                               allow_unused=True)))  # fmt: skip
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


@EACH
@MODES
def test_gradcheck(name, training):
    _, mine = pair(name, torch.float64, training)
    x = torch.randn(NORMS[name][1], dtype=torch.float64, requires_grad=True)
    kept = copy.deepcopy(list(mine.buffers()))

    def f(x):
        for buffer, before in zip(mine.buffers(), kept, strict=True):
            buffer.data = before.clone()  # the function that is checked has no memory
        return mine(x)

    assert torch.autograd.gradcheck(f, (x,), fast_mode=True)
    assert torch.autograd.gradgradcheck(f, (x,), fast_mode=True)


def small_net():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.GroupNorm(2, 8), nn.Conv2d(8, 4, 3),
        nn.InstanceNorm2d(4, affine=True), nn.Flatten(), nn.LayerNorm(64), nn.Linear(64, 16),
        nn.RMSNorm(16), nn.BatchNorm1d(16),
    )  # fmt: skip


def test_float64_losses_of_five_steps_are_pytorchs():
    losses = []
    for change in (lambda model: model, become_ours):
        torch.manual_seed(0)
        model = change(small_net().double())
        steps = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        losses.append([])
        for x in torch.randn(5, 16, 3, 8, 8, dtype=torch.float64):
            loss = (model(x) - x.mean((1, 2, 3))[:, None]).pow(2).mean()
            steps.zero_grad()
            loss.backward()
            steps.step()
            losses[-1].append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-8)


def test_float32_gradients_are_no_further_from_float64s_than_pytorchs():
    def gradient(change, dtype):
        torch.manual_seed(0)
        model = change(small_net().to(dtype))
        x = torch.randn(16, 3, 8, 8) * 0.1 + 10  # a large mean, where single precision loses
        model(x.to(dtype)).pow(3).sum().backward()
        return torch.cat([p.grad.double().flatten() for p in model.parameters()])

    exact = gradient(lambda model: model, torch.float64)
    theirs = (gradient(lambda model: model, torch.float32) - exact).norm()
    mine = (gradient(become_ours, torch.float32) - exact).norm()
    assert mine <= theirs
