"""Activations with a curve after a batch norm: an option of modules, and fused by convert."""

import copy

import pytest

torch = pytest.importorskip("torch", reason='PyTorch is not installed: pip install "cybn[torch]"')

from torch import nn  # noqa: E402
from torchmodels import assert_trains_alike, image, perturbed  # noqa: E402

import cybn.torch as ours  # noqa: E402
from cybn.torch import convert, from_module, report, to_module  # noqa: E402

MODULES = {
    "silu": nn.SiLU(),
    "gelu": nn.GELU(),
    "gelu_tanh": nn.GELU("tanh"),
    "hardswish": nn.Hardswish(),
    "elu": nn.ELU(0.7),
    "mish": nn.Mish(),
}
FUSED = ("hardswish", "elu", "mish")
EACH = pytest.mark.parametrize("name", MODULES)
MODES = pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])


def both(name, training, dtype=torch.float64):
    """PyTorch's norm, and ours with the activation, with the same random state."""
    torch.manual_seed(1)
    theirs = perturbed(nn.BatchNorm2d(4).to(dtype)).train(training)
    mine = ours.BatchNorm2d(4).to(dtype).train(training)
    mine.load_state_dict(theirs.state_dict())
    mine.activation, mine.alpha = name, 0.7
    return theirs, mine


def steps(theirs, mine, name, *, last=False, added=True):
    """Output and gradients of PyTorch's two modules and of ours."""
    torch.manual_seed(2)
    given = torch.randn(3, 3, 4, 5, 6, dtype=theirs.weight.dtype)
    if last:
        given = [a.contiguous(memory_format=torch.channels_last) for a in given]
    x, z, dy = given
    found = []
    for module in (theirs, mine):
        a, b = x.clone().requires_grad_(), z.clone().requires_grad_() if added else None
        if module is mine:
            y = module(a, b)
        else:
            h = module(a)
            y = MODULES[name](h if b is None else h + b)
        wanted = [t for t in (a, b, *module.parameters()) if t is not None and t.requires_grad]
        found.append([y.detach(), *torch.autograd.grad(y, wanted, dy)])
    return found


@EACH
@MODES
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("added", [False, True])
def test_a_module_with_a_curve(name, training, last, added):
    theirs, mine = both(name, training)
    expected, found = steps(theirs, mine, name, last=last, added=added)
    for a, b in zip(found, expected, strict=True):
        assert a.stride() == b.stride()
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
    for a, b in zip(mine.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(a, b)


@EACH
@MODES
@pytest.mark.parametrize("frozen", [("weight",), ("weight", "bias")])
def test_frozen_parameters(name, training, frozen):
    theirs, mine = both(name, training)
    for module in (theirs, mine):
        for each in frozen:
            getattr(module, each).requires_grad_(False)
    for a, b in zip(*steps(theirs, mine, name), strict=True):
        torch.testing.assert_close(b, a, rtol=1e-10, atol=1e-10)


@EACH
@MODES
@pytest.mark.parametrize("values", [torch.float32, torch.bfloat16])
def test_sixteen_bits_are_rounded_once(name, training, values):
    theirs, mine = (module.to(values) for module in both(name, training))
    theirs.float()  # of the same values
    torch.manual_seed(2)
    x, z, dy = torch.randn(3, 3, 4, 5, 6).bfloat16()
    found = []
    for module, data in ((theirs, torch.float32), (mine, torch.bfloat16)):
        a, b = (t.to(data).requires_grad_() for t in (x, z))
        y = MODULES[name](module(a) + b) if module is theirs else module(a, b)
        found.append([y, *torch.autograd.grad(y, [a, b, *module.parameters()], dy.to(data))])
    for wide, got in zip(*found, strict=True):
        close = 2**-8 if got.dtype is torch.bfloat16 else 1e-4
        torch.testing.assert_close(got.float(), wide, rtol=close, atol=1e-4)


@EACH
@MODES
def test_gradients_of_gradients(name, training):
    _, mine = both(name, training)
    x, z = torch.randn(2, 3, 4, 2, 2, dtype=torch.float64)
    given = x.requires_grad_(), z.requires_grad_(), mine.weight, mine.bias

    def call(x, z, weight, bias):
        return torch.func.functional_call(mine, {"weight": weight, "bias": bias}, (x, z))

    assert torch.autograd.gradcheck(call, given, fast_mode=True)
    assert torch.autograd.gradgradcheck(call, given, fast_mode=True)


@EACH
@pytest.mark.filterwarnings("ignore:`torch.jit.script`")
def test_compiled_scripted_and_in_autocast(name):
    torch._dynamo.reset()
    theirs, mine = both(name, True, torch.float32)
    x = torch.randn(3, 4, 5, 6)
    compiled = torch.compile(copy.deepcopy(mine), fullgraph=True, backend="aot_eager")
    eager = copy.deepcopy(mine)
    assert torch.equal(compiled(x, x), eager(x, x))
    scripted = torch.jit.script(copy.deepcopy(mine))
    torch.testing.assert_close(scripted(x, x), eager(x, x))
    with torch.autocast("cpu"):
        y = mine(x.bfloat16())
        expected = MODULES[name](theirs(x.bfloat16()))
    assert y.dtype is expected.dtype
    torch.testing.assert_close(y, expected, rtol=0.02, atol=0.02)


@EACH
def test_from_and_to_numpy(name):
    _, mine = both(name, False)
    layer = from_module(mine)[""]
    again = to_module(layer)
    assert (layer.activation, layer.alpha) == (again.activation, again.alpha) == (name, 0.7)
    x = image(4)
    torch.testing.assert_close(again(x), mine(x))


def place(act):
    return nn.Sequential(nn.Conv2d(6, 6, 1), nn.BatchNorm2d(6), act, nn.Conv2d(6, 6, 1))


@EACH
def test_what_convert_fuses(name):
    act = copy.deepcopy(MODULES[name])
    converted = assert_trains_alike(perturbed(place(act).double()), image(), convert)
    assert [e.why for e in report(converted).fused] == (["1 + 2"] if name in FUSED else [])


@pytest.mark.parametrize("name", FUSED)
def test_an_activation_that_comes_in_the_place_of_another(name):
    model = convert(place(nn.ReLU()).double())
    other = copy.deepcopy(model)
    for each in (model, other):
        each[2] = copy.deepcopy(MODULES[name])
    torch.testing.assert_close(model(image()), other[3](other[2](other[1](other[0](image())))))


def test_a_residual_may_change_before_backward():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.bn, self.act = nn.BatchNorm2d(6), nn.Hardswish()

        def forward(self, x, z):
            return self.act(self.bn(x) + z)

    model = perturbed(Sum().double())
    converted = convert(copy.deepcopy(model))
    assert report(converted).fused[0].why == "bn + residual + act"
    grads = []
    for each in (model, converted):
        x, z = image().requires_grad_(), image()
        y = each(x, z)
        z.zero_()
        grads.append(torch.autograd.grad(y.square().sum(), x)[0])
    torch.testing.assert_close(*grads)
