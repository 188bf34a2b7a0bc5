"""Norms over the channels of (N, C, ...): by the kernel of positions, without moving an axis."""

import copy

import pytest

torch = pytest.importorskip("torch", reason='PyTorch is not installed: pip install "cybn[torch]"')

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from torchmodels import perturbed  # noqa: E402

from cybn.torch import _calls, convert, register, report  # noqa: E402

LAYOUTS = {
    "C order": lambda x: x,
    "channels last": lambda x: x.to(memory_format=torch.channels_last),
    "strided": lambda x: x.repeat_interleave(2, -1)[..., ::2],
    "expanded": lambda x: x[:1].expand(x.shape),
    "turned": lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
}


class OverChannels(nn.Module):
    """Written out, of any rank."""

    def __init__(self, width=8, centred=True, affine=True, turns=True):
        super().__init__()
        self.turns = turns
        self.centred, self.eps = centred, 1e-6
        self.weight = nn.Parameter(torch.ones(width)) if affine else None
        self.bias = nn.Parameter(torch.zeros(width)) if affine and centred else None

    def forward(self, x):
        rows = x.movedim(1, -1)
        shape = rows.shape[-1:]
        if self.centred:
            y = functional.layer_norm(rows, shape, self.weight, self.bias, self.eps)
        else:
            y = functional.rms_norm(rows, shape, self.weight, self.eps)
        y = y.movedim(-1, 1)
        return y if self.turns else y.clone(memory_format=torch.contiguous_format)


@pytest.fixture(autouse=True)
def table(monkeypatch):
    from cybn.torch.models import table

    monkeypatch.setattr(table, "_registered", {})


def both(rank=4, **options):
    """The module, and one that is converted."""
    centred = options.get("centred", True)
    register(
        OverChannels,
        "layer_norm" if centred else "rms_norm",
        weight="weight" if options.get("affine", True) else None,
        bias="bias" if centred and options.get("affine", True) else None,
        channels_first=rank,
    )
    theirs = perturbed(OverChannels(**options)).double()
    ours = convert(copy.deepcopy(theirs))
    assert report(ours).swapped
    return theirs, ours


def results(norm, x, above):
    x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    y = norm(x)
    return y, *torch.autograd.grad(y, [x, *norm.parameters()], above)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("turns", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_of_x_and_of_the_gradient(layout, turns, centred, affine):
    theirs, ours = both(centred=centred, affine=affine, turns=turns)
    torch.manual_seed(0)
    x, above = torch.randn(2, 3, 8, 4, 5, dtype=torch.float64)
    x = LAYOUTS[layout](x)
    for arrange in LAYOUTS.values():
        expected, found = (results(norm, x, arrange(above)) for norm in (theirs, ours))
        for a, b in zip(expected, found, strict=True):
            torch.testing.assert_close(b, a, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("shape", [(2, 8, 5), (2, 8, 2, 3, 4), (1, 8, 1), (3, 8, 40)])
def test_any_rank(shape):
    theirs, ours = both(len(shape), turns=False)
    x, above = torch.randn(2, *shape, dtype=torch.float64)
    for a, b in zip(results(theirs, x, above), results(ours, x, above), strict=True):
        torch.testing.assert_close(b, a, rtol=1e-11, atol=1e-11)


def test_the_output_lies_as_theirs_does():
    theirs, ours = both()
    x = torch.randn(2, 8, 4, 5, dtype=torch.float64)
    assert ours(x).stride() == theirs(x).stride()
    assert ours(x).is_contiguous(memory_format=torch.channels_last)
    theirs, ours = both(turns=False)
    assert ours(x).stride() == theirs(x).stride()
    assert ours(x).is_contiguous()
    last = x.to(memory_format=torch.channels_last)
    assert ours(last).is_contiguous(memory_format=torch.channels_last)
    last.requires_grad_()
    (dx,) = torch.autograd.grad(ours(last).sin().sum(), last)
    assert dx.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("centred", [True, False])
def test_no_axis_is_moved(centred, monkeypatch):
    _, ours = both(centred=centred, turns=False)
    monkeypatch.setattr(_calls, "layer_norm", None)  # the norm of rows
    x = torch.randn(2, 8, 4, 5, dtype=torch.float64, requires_grad=True)
    y = ours(x)
    assert "CybnPositionNorm" in type(y.grad_fn).__name__
    monkeypatch.undo()
    both(centred=centred)


@pytest.mark.parametrize("centred", [True, False])
def test_gradients_and_theirs(centred):
    _, ours = both(centred=centred, turns=False)
    x = torch.randn(2, 8, 2, 2, dtype=torch.float64, requires_grad=True)
    parameters = [p.detach().clone().requires_grad_() for p in ours.parameters()]
    names = [name for name, _ in ours.named_parameters()]

    def call(x, *values):
        return torch.func.functional_call(ours, dict(zip(names, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(call, (x, *parameters))
    assert torch.autograd.gradgradcheck(call, (x, *parameters))


@pytest.mark.parametrize("of", ["x", "weight", "bias"])
def test_one_gradient_alone(of):
    theirs, ours = both(turns=False)
    found = []
    for norm in (theirs, ours):
        x = torch.ones(2, 8, 3, 3, dtype=torch.float64).cumsum(1).requires_grad_(of == "x")
        for name, p in norm.named_parameters():
            p.requires_grad_(name == of)
        wanted = x if of == "x" else getattr(norm, of)
        found.append(torch.autograd.grad(norm(x).sin().sum(), wanted))
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
def test_other_dtypes(dtype):
    theirs, ours = both(turns=False)
    theirs, ours = theirs.to(dtype), ours.to(dtype)
    x, above = torch.randn(2, 2, 8, 3, 3).to(dtype)
    close = 2e-5 if dtype is torch.float32 else 2e-2
    for a, b in zip(results(theirs, x, above), results(ours, x, above), strict=True):
        torch.testing.assert_close(b, a, rtol=close, atol=close)


def test_a_shift_without_a_scale():
    class Shift(OverChannels):
        def forward(self, x):
            y = functional.layer_norm(x.movedim(1, -1), (8,), None, self.bias, self.eps)
            return y.movedim(-1, 1).contiguous()

    register(Shift, "layer_norm", weight=None, bias="bias", channels_first=True)
    theirs = Shift()
    theirs.weight = None
    theirs = perturbed(theirs).double()
    ours = convert(copy.deepcopy(theirs))
    assert report(ours).swapped
    for shape in ((2, 8, 3, 3), (2, 8, 1, 1)):
        x, above = torch.randn(2, *shape, dtype=torch.float64)
        for layout in ("C order", "channels last"):
            x = LAYOUTS[layout](x)
            for a, b in zip(results(theirs, x, above), results(ours, x, above), strict=True):
                torch.testing.assert_close(b, a, rtol=1e-11, atol=1e-11)
