"""float16 and bfloat16 data against PyTorch, which computes in float32 and rounds too."""

import numpy as np
import pytest
from sixteen import BFLOAT16, SIXTEEN, half_ulp
from test_torch import torch

import cybn

CASES = [
    ("BatchNorm1d", (5,), {}, (16, 5)),
    ("BatchNorm2d", (3,), {}, (4, 3, 9, 7)),
    ("InstanceNorm2d", (3,), {"affine": True}, (4, 3, 9, 7)),
    ("LayerNorm", (33,), {}, (6, 33)),
    ("GroupNorm", (2, 6), {}, (4, 6, 9)),
    ("RMSNorm", (33, 1e-3), {}, (6, 33)),
    ("LocalResponseNorm", (3,), {}, (2, 7, 5, 5)),
]


def to_torch(a):
    words = torch.from_numpy(a.view(np.int16).copy())
    return words.view(torch.bfloat16 if a.dtype == BFLOAT16 else torch.float16)


def to_numpy(t, dtype):
    return t.detach().contiguous().view(torch.int16).numpy().view(dtype)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("dtype", SIXTEEN, ids=str)
@pytest.mark.parametrize(("name", "args", "kwargs", "shape"), CASES, ids=lambda v: str(v))
def test_the_same_as_pytorch(name, args, kwargs, shape, dtype, training):
    """Each is within half an ulp of float32's result, so the two within one, and float32's error.

    PyTorch is given such data where it takes float32 parameters beside it and sums their gradients
    in float32, else float32 data of the same values, whose result is rounded.
    """
    rng = np.random.default_rng(1)
    x, dy = rng.normal(1, 2, (2, *shape)).astype(dtype)
    layer = getattr(cybn, name)(*args, **kwargs).train(training)
    module = getattr(torch.nn, name)(*args, **kwargs).train(training)
    state = {
        key: torch.from_numpy(a.copy()) if a.ndim else torch.tensor(a.item())
        for key, a in layer.state_dict().items()
    }
    module.load_state_dict(state)
    tx = to_torch(x).requires_grad_()
    mixed = name in ("BatchNorm1d", "BatchNorm2d", "InstanceNorm2d", "GroupNorm")
    ty = module(tx if mixed else tx.float())
    ty.backward(to_torch(dy).to(ty.dtype))
    y, dx = layer(x), layer.backward(dy)
    assert y.dtype == dx.dtype == dtype
    assert ty.dtype == (tx.dtype if mixed else torch.float32)
    pairs = ((y, to_numpy(ty.to(tx.dtype), dtype)), (dx, to_numpy(tx.grad, dtype)))
    for got, want in pairs:
        got, want = got.astype(np.float64), want.astype(np.float64)
        scale = np.abs(want).max()
        room = 2.002 * half_ulp(want, dtype) + 64 * 2.0**-24 * (np.abs(want) + scale)
        assert (np.abs(got - want) <= room).all()
    for key, parameter in module.named_parameters():
        assert layer.grads[key].dtype == np.float32
        want = parameter.grad.numpy()
        np.testing.assert_allclose(layer.grads[key], want, rtol=1e-4, atol=1e-4)
    for key, a in module.named_buffers():
        np.testing.assert_allclose(layer.state_dict()[key], a.numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", SIXTEEN, ids=str)
def test_a_half_model_s_checkpoint_loads(dtype):
    half = torch.bfloat16 if dtype == BFLOAT16 else torch.float16
    module = torch.nn.BatchNorm2d(3).to(half)
    torch.nn.init.normal_(module.weight)
    state = {
        name: to_numpy(t, dtype) if t.dtype == half else t.numpy()
        for name, t in module.state_dict().items()
    }
    layer = cybn.BatchNorm2d(3)
    layer.load_state_dict(state)
    assert layer.weight.dtype == np.float32
    np.testing.assert_array_equal(layer.weight, module.weight.detach().float().numpy())
