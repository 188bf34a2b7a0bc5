"""What no kernel takes is PyTorch's: the same numbers, or the same error, and nothing has moved."""

import builtins
import copy
import subprocess
import sys

import pytest
from torchnorms import NORMS, nn, ours, pair, torch

from cybn.torch import version

# What a module is given instead of a tensor that it takes
BAD = {
    "another rank": lambda x: x[..., None, None, None],
    "complex": lambda x: x.to(torch.complex64),
    "integers": lambda x: x.int(),
    "meta": lambda x: x.to("meta"),
    "sparse": lambda x: x.to_sparse(),
    "another dtype": lambda x: x.double(),
    "one channel less": lambda x: x.narrow(x.dim() - 1, 0, 1).narrow(1, 0, 1),
    "no items": lambda x: x[:0],
    "a subclass": lambda x: x.as_subclass(type("Sub", (torch.Tensor,), {})),
    "no storage": lambda x: torch._efficientzerotensor(x.shape),
    "a negative view": lambda x: torch._neg_view(x),
    "imaginary part": lambda x: torch.complex(x, x).conj().imag,
}


def outcome(module, x):
    """What a call gives: an output, or an error."""
    try:
        return module(x)
    except Exception as error:
        return error


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("kind", BAD)
@pytest.mark.filterwarnings("ignore")
def test_what_is_not_taken_is_as_with_pytorch(name, kind):
    for training in (True, False):
        theirs, mine = pair(name, training=training)
        x = BAD[kind](torch.rand(NORMS[name][1]))
        expected, got = outcome(theirs, x), outcome(mine, x)
        if isinstance(expected, Exception):
            assert type(got) is type(expected)
            assert str(got).splitlines()[0] == str(expected).splitlines()[0]
        else:
            assert not isinstance(got, Exception), got
            assert type(got) is type(expected)
            assert (got.device, got.dtype) == (expected.device, expected.dtype)
            if got.device.type != "meta":
                torch.testing.assert_close(got, expected, equal_nan=True)
        for a, b in zip(mine.buffers(), theirs.buffers(), strict=True):
            torch.testing.assert_close(a, b, equal_nan=True)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("eps", 0.0), ("eps", -1.0), ("momentum", 2.0), ("momentum", -0.5), ("running_mean", None)],
)
@pytest.mark.parametrize("training", [True, False])
def test_options_out_of_range(attribute, value, training):
    theirs, mine = pair("BatchNorm2d", training=training)
    x = torch.randn(4, 6, 3, 3)
    for module in (theirs, mine):
        setattr(module, attribute, value)
    expected, got = outcome(theirs, x), outcome(mine, x)
    if isinstance(expected, Exception):
        assert (type(got), str(got)) == (type(expected), str(expected))
    else:
        torch.testing.assert_close(got, expected)


def test_one_value_per_channel():
    theirs, mine = pair("BatchNorm2d")
    before = copy.deepcopy(mine.state_dict())
    x = torch.randn(1, 6, 1, 1)
    expected, got = outcome(theirs, x), outcome(mine, x)
    assert (type(got), str(got)) == (type(expected), str(expected))
    assert all(map(torch.equal, list(before.values())[:4], list(mine.state_dict().values())[:4]))


def test_modes_see_pytorchs_operators():
    class Seen(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            names.append(getattr(function, "__name__", ""))
            return function(*args, **(kwargs or {}))

    names = []
    x = torch.randn(4, 6, 3, 3)
    with Seen():
        ours.BatchNorm2d(6)(x)
    assert "batch_norm" in names
    with torch.device("cpu"):  # a mode, too
        assert ours.BatchNorm2d(6)(x).grad_fn.name().startswith("CybnBatchNorm")
    assert ours.BatchNorm2d(6)(x).grad_fn.name().startswith("CybnBatchNorm")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("name", NORMS)
def test_autocast(name, dtype):
    theirs, mine = pair(name)
    x = torch.randn(NORMS[name][1]).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected, got = outcome(theirs, x), outcome(mine, x)
    if isinstance(expected, Exception):
        assert str(got) == str(expected)
    else:
        assert got.dtype == expected.dtype
        torch.testing.assert_close(got, expected, atol=0.05, rtol=0.05)


def test_a_pytorch_that_is_missing_or_too_old(monkeypatch):
    monkeypatch.setattr(torch, "__version__", "2.10.1")
    with pytest.raises(ImportError, match=r"needs PyTorch 2\.11 or newer, got 2\.10\.1; pip"):
        version.check()

    def no_torch(name, *arguments, before=builtins.__import__):
        if name == "torch":
            raise ImportError("No module named 'torch'")
        return before(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", no_torch)
    with pytest.raises(ImportError, match=r"not installed; pip install .*cybn\[torch\]"):
        version.check()


def test_nothing_imports_pytorch_unless_asked():
    code = "import sys, cybn; cybn.BatchNorm2d(3); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_buffers_of_the_wrong_length_are_pytorchs_error():
    theirs, mine = pair("BatchNorm2d")
    for module in (theirs, mine):
        module.running_var = torch.ones(5)
    x = torch.randn(4, 6, 3, 3)
    expected, got = outcome(theirs, x), outcome(mine, x)
    assert isinstance(expected, RuntimeError)
    assert str(got) == str(expected)
    assert isinstance(mine, nn.BatchNorm2d)
