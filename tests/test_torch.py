"""The same numbers as PyTorch, where it is installed: outputs, gradients, buffers, errors.

The inputs are those of PyTorch's own tests of its modules, from `torch.testing` where that can be
imported, and equal in options and shape where it cannot (it needs packages of its own).
"""

import io
import re
import warnings
from functools import cache

import numpy as np
import pytest

import cybn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; nothing else needs it")

NAMES = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d"]
# options and shape, as in torch/testing/_internal/common_modules.py
OWN = {
    "BatchNorm1d": [
        ((10,), {}, (4, 10)),
        ((5,), {}, (4, 5, 3)),
        ((10, 1e-3, None), {}, (4, 10)),
        ((10, 1e-3, 0.3, False), {}, (4, 10)),
        ((10, 1e-3, 0.3, True, False), {}, (4, 10)),
        ((5, 1e-3, 0.3, False), {}, (4, 5, 3)),
        ((5, 1e-3, 0.3, False), {}, (0, 5, 9)),
        ((10,), {"bias": False}, (4, 10)),
    ],
    **{
        name: [
            ((3,), {}, shape),
            ((3, 1e-3, None), {}, shape),
            ((3, 1e-3, momentum), {}, shape),
            ((3, 1e-3, momentum, False), {}, shape),
            ((3, 1e-3, momentum, True, False), {}, shape),
            ((5, 1e-3, 0.3, False), {}, (0, 5, 2, 2, 2)[: len(shape)]),
            ((3,), {"bias": False}, shape),
        ]
        for name, momentum, shape in (
            ("BatchNorm2d", 0.8, (2, 3, 6, 6)),
            ("BatchNorm3d", 0.7, (2, 3, 4, 4, 4)),
        )
    },
}
MODES = pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
# Two libraries, each within (m + 9) u (1 + |xhat|) of exact: m <= 128, |xhat| <= 5, gradients no
# larger than a few hundred; torch.testing's own defaults are of this size.
CLOSE = {
    "float32": {"rtol": 1e-5, "atol": 2e-5},
    "float64": {"rtol": 1e-12, "atol": 1e-12},
}


@cache
def pytorchs_inputs(name):
    """Options and inputs from PyTorch's module database, or None where it cannot be imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from torch.testing._internal import common_modules
        except ImportError:
            return None
        module = getattr(torch.nn, name)
        info = next(info for info in common_modules.module_db if info.module_cls is module)
        torch.manual_seed(0)
        found = info.module_inputs_func(info, "cpu", torch.float64, False, True)
    return [
        (i.constructor_input.args, i.constructor_input.kwargs, i.forward_input.args[0].numpy())
        for i in found
    ]


def inputs(name):
    found = pytorchs_inputs(name)
    if found is None:
        rng = np.random.default_rng(0)
        found = [(args, kwargs, rng.uniform(-9, 9, shape)) for args, kwargs, shape in OWN[name]]
    return found


def pair(name, args, kwargs, dtype, training=True, **own):
    """PyTorch's module and cybn's layer with equal weights and buffers."""
    module = getattr(torch.nn, name)(*args, **kwargs, dtype=getattr(torch, dtype)).train(training)
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.from_numpy(rng.uniform(-2, 2, parameter.shape)))
        for key, buffer in module.named_buffers():
            if "running" in key:
                buffer.copy_(torch.from_numpy(rng.uniform(0.5, 2, buffer.shape)))
    layer = getattr(cybn, name)(*args, **kwargs, dtype=dtype, **own).train(training)
    layer.load_state_dict({key: a.numpy() for key, a in module.state_dict().items()})
    return module, layer


def assert_same_step(module, layer, x, dy, dtype, axis=1):
    """One forward and backward of both; x and dy are channels first in shape."""
    ours = (lambda a: np.moveaxis(a, 1, -1)) if axis == -1 else (lambda a: a)
    tx = torch.from_numpy(x.copy(order="K")).requires_grad_()
    ty = module(tx)
    y = layer(ours(x))
    np.testing.assert_allclose(y, ours(ty.detach().numpy()), **CLOSE[dtype])
    ty.backward(torch.from_numpy(dy))
    dx = layer.backward(ours(dy))
    np.testing.assert_allclose(dx, ours(tx.grad.numpy()), **CLOSE[dtype])
    for key, parameter in module.named_parameters():
        np.testing.assert_allclose(layer.grads[key], parameter.grad.numpy(), **CLOSE[dtype])
        parameter.grad = None
    state = layer.state_dict()
    assert list(state) == list(module.state_dict())
    for key, a in module.state_dict().items():
        if key == "num_batches_tracked" and not x.size:
            continue  # PyTorch counts empty batches, cybn leaves all state alone
        np.testing.assert_allclose(state[key], a.numpy(), **CLOSE[dtype])
        assert str(state[key].dtype) == str(a.numpy().dtype)


@DTYPES
@MODES
@pytest.mark.parametrize("name", NAMES)
def test_module_inputs(name, training, dtype):
    for args, kwargs, first in inputs(name):
        module, layer = pair(name, args, kwargs, dtype, training)
        rng = np.random.default_rng(1)
        for _ in range(3):  # momentum None tells batches apart
            x = (first + rng.normal(0, 1, first.shape)).astype(dtype)
            assert_same_step(module, layer, x, rng.normal(0, 1, x.shape).astype(dtype), dtype)
        module.eval()
        layer.eval()
        assert_same_step(module, layer, x, x, dtype)


@DTYPES
@MODES
@pytest.mark.parametrize("shape", [(4, 3, 6, 5), (40, 16, 1, 7), (2, 1, 20, 20)], ids=str)
def test_channels_last(shape, training, dtype):
    """PyTorch's memory format, and cybn's either way: strides alone, or channel_axis=-1."""
    rng = np.random.default_rng(0)
    x, dy = rng.normal(1, 2, (2, *shape)).astype(dtype)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    for axis in (1, -1):
        module, layer = pair("BatchNorm2d", (shape[1],), {}, dtype, training, channel_axis=axis)
        module = module.to(memory_format=torch.channels_last)
        assert_same_step(module, layer, last, dy, dtype, axis)


def test_a_checkpoint_goes_there_and_back(tmp_path):
    module, layer = pair("BatchNorm2d", (3,), {}, "float32")
    module(torch.randn(4, 3, 5, 5))
    torch.save(module.state_dict(), tmp_path / "norm.pt")
    layer.load_state_dict({k: v.numpy() for k, v in torch.load(tmp_path / "norm.pt").items()})
    file = io.BytesIO()
    np.savez(file, **layer.state_dict())
    file.seek(0)
    again = torch.nn.BatchNorm2d(3)
    with np.load(file, allow_pickle=False) as state:
        again.load_state_dict({key: torch.from_numpy(state[key]) for key in state.files})
    for key, a in module.state_dict().items():
        assert torch.equal(a, again.state_dict()[key])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("args", [(16,), (16, 1e-3, 0.3), (16, 0.1, None, False, False)])
def test_repr_is_pytorchs_up_to_bias(name, args):
    """Newer versions of PyTorch print bias too, cybn where it was given."""
    theirs = re.sub(", bias=(True|False)", "", repr(getattr(torch.nn, name)(*args)))
    assert repr(getattr(cybn, name)(*args)) == theirs


@MODES
def test_the_function(training):
    rng = np.random.default_rng(0)
    x = rng.normal(1, 2, (6, 3, 5))
    arrays = [rng.uniform(0.5, 2, 3) for _ in range(4)]
    tensors = [torch.from_numpy(a.copy()) for a in arrays]
    theirs = torch.nn.functional.batch_norm(torch.from_numpy(x), *tensors, training, 0.3, 1e-3)
    ours = cybn.functional.batch_norm(x, *arrays, training, 0.3, 1e-3)
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-12, atol=1e-12)
    for a, t in zip(arrays, tensors, strict=True):
        np.testing.assert_allclose(a, t.numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    ("shape", "why"),
    [((1, 3), "Expected more than 1 value per channel when training"), ((4, 5), None),
     ((4, 3, 2, 2), "expect")],
)  # fmt: skip
def test_both_refuse(shape, why):
    """The wording where PyTorch's is well known; for wrong channels PyTorch's is its own."""
    with pytest.raises((ValueError, RuntimeError), match=why):
        torch.nn.BatchNorm1d(3)(torch.zeros(shape))
    with pytest.raises(ValueError, match=why):
        cybn.BatchNorm1d(3)(np.zeros(shape, np.float32))
