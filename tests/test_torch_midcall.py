"""cybn.torch.convert and revert while a call is running: at every step of it, the same result."""

import itertools
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason='PyTorch is not installed: pip install "cybn[torch]"')

from torch import nn  # noqa: E402
from torchmodels import ConvLayer, Stacked, perturbed  # noqa: E402

import cybn.torch  # noqa: E402
from cybn.torch import convert, revert  # noqa: E402

HERE = str(Path(cybn.torch.__file__).parent)
THEIRS = tuple(
    str(Path(nn.__file__).parent / "modules" / f"{name}.py")
    for name in ("batchnorm", "instancenorm", "normalization", "container")
)


class FrozenBatchNorm2d(nn.Module):
    """As detection models write it, eps a number in its code."""

    def __init__(self, width):
        super().__init__()
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.register_buffer(name, torch.rand(width) + 0.5)

    def forward(self, x):
        weight, bias = self.weight.reshape(1, -1, 1, 1), self.bias.reshape(1, -1, 1, 1)
        mean, var = self.running_mean.reshape(1, -1, 1, 1), self.running_var.reshape(1, -1, 1, 1)
        scale = weight * (var + 1e-5).rsqrt()
        return x * scale + (bias - mean * scale)


class RMSNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(width) + 0.5)
        self.variance_epsilon = 1e-6

    def forward(self, x):
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)
        return self.weight * x


MODELS = {
    "BatchNorm1d": (lambda: nn.BatchNorm1d(6), (4, 6)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(6), (4, 6, 3, 3)),
    "BatchNorm2d of integers": (lambda: nn.BatchNorm2d(6), None),
    "BatchNorm3d": (lambda: nn.BatchNorm3d(6), (4, 6, 2, 2, 2)),
    "SyncBatchNorm": (lambda: nn.SyncBatchNorm(6).eval(), (4, 6, 3, 3)),
    "InstanceNorm1d": (lambda: nn.InstanceNorm1d(6, affine=True), (4, 6, 5)),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(6, track_running_stats=True), (4, 6, 3, 3)),
    "InstanceNorm3d": (lambda: nn.InstanceNorm3d(6), (6, 2, 2, 2)),
    "LayerNorm": (lambda: nn.LayerNorm(6), (4, 6)),
    "LayerNorm of no eps": (lambda: nn.LayerNorm(6, eps=0.0), (4, 6)),
    "RMSNorm": (lambda: nn.RMSNorm(6), (4, 6)),
    "RMSNorm of no eps": (lambda: nn.RMSNorm(6, eps=0.0), (4, 6)),
    "GroupNorm": (lambda: nn.GroupNorm(2, 6), (4, 6, 3)),
    "GroupNorm of no eps": (lambda: nn.GroupNorm(2, 6, eps=0.0), (4, 6, 3)),
    "LocalResponseNorm": (lambda: nn.LocalResponseNorm(3), (4, 6, 3)),
    "another library's": (lambda: RMSNorm(6), (4, 6)),
    "fused": (lambda: nn.Sequential(nn.BatchNorm2d(6), nn.ReLU()), (4, 6, 3, 3)),
    "fused, frozen": (lambda: nn.Sequential(FrozenBatchNorm2d(6), nn.ReLU()), (4, 6, 3, 3)),
    "fused by its own code": (lambda: ConvLayer(6), (2, 6, 4, 4)),
    "fused with a residual": (lambda: Stacked(6), (2, 6, 4, 4)),
}


def interrupted(call, places, step, act, by_line):
    """What call() gives, and whether act() came: at one step of Python, or line, in some places."""
    steps = itertools.count()
    happened = False

    def trace(frame, event, arg):
        nonlocal happened
        file = frame.f_code.co_filename
        if not file.startswith((*places, "<fused")):
            return None
        frame.f_trace_opcodes = not by_line
        if next(steps) == step:
            sys.settrace(None)
            happened = True
            act()
            return None
        return None if happened else trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        return call(), happened
    finally:
        sys.settrace(before)


def outcome(call):
    try:
        return call()
    except Exception as error:
        return type(error)


def assert_alike(a, b):
    if isinstance(b, type):
        assert a is b
    else:
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("way", ["reverted", "converted"])
@pytest.mark.parametrize(
    ("name", "training"),
    [(name, True) for name in MODELS]
    + [(name, False) for name in MODELS if "Batch" in name or name in ("InstanceNorm2d", "fused")],
)
def test_at_every_step(name, training, way):
    make, shape = MODELS[name]
    torch.manual_seed(0)
    model = perturbed(make()).train(training and name != "SyncBatchNorm")
    state = {key: a.clone() for key, a in model.state_dict().items()}
    x = torch.randn(shape) if shape else torch.ones(4, 6, 3, 3, dtype=torch.int64)

    def call():
        model.load_state_dict(state)
        return model(x)

    expected = outcome(call)
    kept = {key: a.clone() for key, a in model.state_dict().items()}
    places, act = ((HERE,), revert) if way == "reverted" else (THEIRS, convert)
    by_line = name.startswith("fused")  # to fuse takes a while
    for step in itertools.count():
        (convert if way == "reverted" else revert)(model)
        y, happened = interrupted(lambda: outcome(call), places, step, lambda: act(model), by_line)
        assert_alike(y, expected)
        for key, a in model.state_dict().items():
            assert_alike(a, kept[key])
        if not happened:
            break
    assert step > 3 or name == "another library's"


@pytest.mark.parametrize("act", [convert, revert])
@pytest.mark.parametrize("change", [convert, revert])
def test_two_conversions_at_a_time(change, act):
    swap = str(Path(sys.modules[convert.__module__].__file__))
    model = Stacked(6)
    classes = [type(m) for m in model.modules()]
    for step in itertools.count():
        if change is revert:
            convert(model)
        _, happened = interrupted(lambda: change(model), (swap,), step, lambda: act(model), True)
        revert(model)
        assert [type(m) for m in model.modules()] == classes
        assert not [key for m in model.modules() for key in vars(m) if "cybn" in key]
        if not happened:
            break
    assert step > 10


class Reverting(float):
    """A number that has a module reverted when it is looked at, as compiled code does in a call."""

    def __new__(cls, value, module):
        self = super().__new__(cls, value)
        self.module = module
        return self

    def __ge__(self, other):
        revert(self.module)
        return float(self) >= other

    def __gt__(self, other):
        revert(self.module)
        return float(self) > other


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("BatchNorm1d", "momentum"),
        ("BatchNorm2d", "momentum"),
        ("BatchNorm2d", "eps"),
        ("InstanceNorm2d", "momentum"),
        ("LayerNorm", "eps"),
        ("GroupNorm", "eps"),
    ],
)
def test_within_compiled_code(name, number):
    make, shape = MODELS[name]
    torch.manual_seed(0)
    model, x = perturbed(make()), torch.randn(shape)
    expected = model(x)
    convert(model)
    setattr(model, number, Reverting(getattr(model, number), model))
    torch.testing.assert_close(model(x), expected, rtol=1e-5, atol=1e-5)
