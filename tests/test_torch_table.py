"""Norms of other libraries: recognized by what they compute, swapped, and left alone in doubt."""

import copy
import pickle
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch", reason='PyTorch is not installed: pip install "cybn[torch]"')

from torch import nn  # noqa: E402
from torchfamilies import FAMILIES, FrozenBatchNorm2d, GemmaRMSNorm, LlamaRMSNorm  # noqa: E402
from torchmodels import perturbed  # noqa: E402
from watching import answers  # noqa: E402

import cybn.torch  # noqa: E402
from cybn.torch import convert, report, revert  # noqa: E402
from cybn.torch.models import plans  # noqa: E402

CLOSE = {torch.float32: 2e-5, torch.float64: 1e-10, torch.bfloat16: 3e-2, torch.float16: 4e-3}


def results(norm, inputs, dtype):
    given = [x.to(dtype).requires_grad_() for x in inputs]
    y = norm(*given)
    torch.manual_seed(2)
    grads = torch.autograd.grad(y, [*given, *norm.parameters()], torch.randn(y.shape).to(y.dtype))
    return [y, *grads]


def random(shapes):
    torch.manual_seed(1)
    return [torch.randn(shape, dtype=torch.float64) for shape in shapes]


@pytest.mark.parametrize("weights", [torch.float32, None], ids=["float32 weights", "alike"])
@pytest.mark.parametrize("dtype", CLOSE, ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_families(family, dtype, weights):
    build, shapes, norm = FAMILIES[family]
    theirs = perturbed(build()).to(weights or dtype)
    ours = convert(copy.deepcopy(theirs))
    (entry,) = report(ours).swapped
    assert entry.why == f"as {norm}"
    try:
        expected = results(theirs, random(shapes), dtype)
    except RuntimeError:  # of a layer norm with weights of float32 and x of float64
        with pytest.raises(RuntimeError, match="type"):
            results(ours, random(shapes), dtype)
        return
    for a, b in zip(expected, results(ours, random(shapes), dtype), strict=True):
        torch.testing.assert_close(b, a, rtol=CLOSE[dtype], atol=CLOSE[dtype])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_kernels_are_what_computes(family, monkeypatch):
    build, shapes, _ = FAMILIES[family]
    ours = convert(perturbed(build()))
    names = "rms_norm", "layer_norm", "over_channels", "group_norm", "batch_norm"
    calls = answers(monkeypatch, plans.ops, *names)
    results(ours, random(shapes), torch.float32)
    assert calls == [True]


@pytest.mark.parametrize("family", FAMILIES)
def test_it_stays_what_it_was(family):
    build, shapes, _ = FAMILIES[family]
    norm = perturbed(build())
    cls, shown, state = type(norm), repr(norm), norm.state_dict()
    convert(norm)
    assert isinstance(norm, cls)
    assert type(norm).__name__ == cls.__name__
    assert repr(norm) == shown
    assert norm.state_dict().keys() == state.keys()
    x = [each.float() for each in random(shapes)]
    for new in (copy.deepcopy(norm), pickle.loads(pickle.dumps(norm))):
        assert type(new) is type(norm)
        assert torch.equal(new(*x), norm(*x))
    assert type(revert(norm)) is cls


def test_the_width_of_no_weight_is_any():
    norm = convert(FAMILIES["L2Norm"][0]())
    for width in (3, 8, 1):
        x = torch.randn(2, width)
        torch.testing.assert_close(norm(x), FAMILIES["L2Norm"][0]()(x))


def test_eps_is_read_at_each_call():
    norm = convert(LlamaRMSNorm(4))
    norm.variance_epsilon = 1.0
    theirs = LlamaRMSNorm(4, 1.0)
    x = torch.randn(3, 4)
    torch.testing.assert_close(norm(x), theirs(x))


def test_what_a_plan_does_not_take_is_the_modules_own():
    norm = convert(LlamaRMSNorm(4))
    x = torch.randn(3, 4)
    assert torch.equal(norm(hidden_states=x), norm(x))
    with pytest.raises(TypeError):
        norm(x, x)
    with pytest.raises(RuntimeError):
        norm(torch.randn(3, 5))
    frozen = convert(FrozenBatchNorm2d(4)).to("meta")
    assert frozen(torch.empty(2, 4, 3, 3, device="meta")).device.type == "meta"


class HeadRMSNorm(LlamaRMSNorm):
    """Of as many parts of a row as a number, or the first of a tuple, says."""

    def __init__(self, width, heads):
        super().__init__(width)
        self.heads = heads

    def forward(self, x):
        heads = self.heads if isinstance(self.heads, int) else self.heads[0]
        parts = x.unflatten(-1, (heads, -1))
        variance = parts.pow(2).mean(-1, keepdim=True)
        return (parts * torch.rsqrt(variance + self.variance_epsilon)).flatten(-2) * self.weight


@pytest.mark.filterwarnings("ignore:convert leaves HeadRMSNorm alone")
@pytest.mark.parametrize("wrap", [int, lambda n: (n,), lambda n: [n]], ids=["int", "tuple", "list"])
def test_numbers_of_a_module_tell_it_from_its_likes(wrap):
    """What was found for a module of one head does not hold for one of two, nor of width 1."""
    for width, heads, swapped in ((1, 1, True), (8, 8, False), (8, 1, True), (8, 2, False)):
        theirs = HeadRMSNorm(width, wrap(heads))
        ours = convert(copy.deepcopy(theirs))
        x = torch.randn(3, 4, width)
        torch.testing.assert_close(ours(x), theirs(x))
        assert bool(report(ours).swapped) is swapped


def test_a_plan_takes_the_ranks_that_the_module_takes():
    norm = convert(FAMILIES["gated rows"][0]())
    x = torch.randn(2, 3, 4, 8)
    with pytest.raises(ValueError, match="unpack"):
        norm(x, x)


class OtherEps(LlamaRMSNorm):
    def forward(self, x):
        return self.weight * x / (x.pow(2).mean(-1, keepdim=True).sqrt() + self.variance_epsilon)


class UnbiasedNorm(LlamaRMSNorm):
    def forward(self, x):
        return self.weight * x * torch.rsqrt(x.var(-1, keepdim=True) + self.variance_epsilon)


class RandomNorm(LlamaRMSNorm):
    def forward(self, x):
        return super().forward(x) + 0 * torch.rand(())


class CountingNorm(LlamaRMSNorm):
    count = 0

    def forward(self, x):
        self.count += 1
        return super().forward(x)


class TupleNorm(LlamaRMSNorm):
    def forward(self, x):
        return super().forward(x), x


class WideNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4))
        self.other = nn.Parameter(torch.ones(4))

    def forward(self, x):
        return x * self.weight * self.other


@pytest.mark.filterwarnings("ignore:convert leaves")
@pytest.mark.parametrize(
    "cls", [OtherEps, UnbiasedNorm, RandomNorm, CountingNorm, TupleNorm, WideNorm]
)
def test_what_only_has_the_name_is_left_alone(cls):
    norm = cls() if cls is WideNorm else cls(4)
    model = convert(nn.Sequential(norm, LlamaRMSNorm(4)))
    assert type(model[0]) is cls
    (entry,) = report(model).left
    assert entry.name == "0"
    assert entry.why


class Scaled(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(width))
        self.small = 1e-5

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.small) * (1 + self.scale)


@pytest.fixture
def table(monkeypatch):
    from cybn.torch.models import table

    monkeypatch.setattr(table, "_registered", {})


@pytest.mark.parametrize("given", [Scaled, f"{__name__}.Scaled"])
def test_register(given, table):
    assert not report(Scaled()).norms
    cybn.torch.register(given, "rms_norm", weight="scale", eps="small", unit_offset=True)
    norm = perturbed(Scaled())
    x = torch.randn(3, 4)
    expected = norm(x)
    torch.testing.assert_close(convert(norm)(x), expected)
    assert report(norm).swapped[0].cls == "Scaled"


def test_a_registered_class_that_disagrees_is_left_alone_with_a_warning(table):
    cybn.torch.register(Scaled, "rms_norm", weight="scale", eps="small")
    with pytest.warns(UserWarning, match="leaves Scaled alone: it computes something else"):
        norm = convert(Scaled())
    assert type(norm) is Scaled


@pytest.mark.parametrize(
    ("args", "options", "error", "match"),
    [
        ((3, "rms_norm"), {}, TypeError, "full name"),
        (("Scaled", "rms_norm"), {}, ValueError, "module.Scaled"),
        ((Scaled, "norm"), {}, ValueError, "layer_norm"),
        ((Scaled, "rms_norm"), {"channels_first": 7}, ValueError, "rank of x"),
    ],
)
def test_register_says_what_it_wants(args, options, error, match, table):
    with pytest.raises(error, match=match):
        cybn.torch.register(*args, **options)


def test_no_library_is_imported():
    code = (
        "import sys, torch, cybn.torch; cybn.torch.convert(torch.nn.LayerNorm(3));"
        "print([m for m in ('transformers', 'timm', 'torchvision') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_weights_of_one_that_hide_a_difference():
    norm = GemmaRMSNorm(4)
    assert report(convert(norm)).swapped[0].why == "as rms_norm"
    norm.weight.data.fill_(0.5)
    x = torch.randn(2, 4)
    theirs = GemmaRMSNorm(4)
    theirs.weight.data.fill_(0.5)
    torch.testing.assert_close(norm(x), theirs(x))
