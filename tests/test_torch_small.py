"""Small calls of which a gradient may be asked: PyTorch's, where it is quicker."""

import pytest
from runs import python
from torchnorms import like, nn, ours, torch

from cybn.torch import _calls


@pytest.fixture(autouse=True)
def handed_over():
    """As it is for users; the other tests want the kernels for calls of any size."""
    _calls.hand_over(True)
    yield
    _calls.hand_over(False)


def call(module, x):
    """What the kernels give for a call; None where it is left to PyTorch."""
    if isinstance(module, nn.GroupNorm):
        return _calls.group_norm(module, x, module.num_groups)
    if isinstance(module, nn.LayerNorm | nn.RMSNorm):
        return _calls.layer_norm(module, x, isinstance(module, nn.LayerNorm))
    return _calls.batch_norm(module, x, None, (2, 4))


SMALL = {
    "batch": (nn.BatchNorm2d, (16,), (8, 16, 7, 7)),
    "layer": (nn.LayerNorm, (96,), (8, 96)),
    "group": (nn.GroupNorm, (4, 16), (8, 16, 7, 7)),
}
LARGE = {
    "batch": (nn.BatchNorm2d, (16,), (8, 16, 8, 8)),
    "layer": (nn.LayerNorm, (64,), (1024, 64)),
    "group": (nn.GroupNorm, (4, 16), (64, 16, 8, 8)),
}


@pytest.mark.parametrize("name", SMALL)
def test_small_calls_with_a_gradient_are_pytorchs_to_the_bit(name):
    cls, options, shape = SMALL[name]
    theirs, mine = cls(*options), getattr(ours, cls.__name__)(*options)
    x = like(torch.empty(shape)).requires_grad_()
    z = x.detach().clone().requires_grad_()
    assert call(mine, x) is None
    y, expected = mine(x), theirs(z)
    y.backward(x.detach())
    expected.backward(x.detach())
    assert torch.equal(y, expected)
    assert torch.equal(x.grad, z.grad)
    for (key, a), b in zip(mine.state_dict().items(), theirs.state_dict().values(), strict=True):
        assert torch.equal(a, b), key


@pytest.mark.parametrize("name", SMALL)
def test_what_stays_with_the_kernels(name):
    cls, options, shape = SMALL[name]
    mine, x = getattr(ours, cls.__name__)(*options), like(torch.empty(shape))
    with torch.no_grad():
        assert call(mine, x) is not None
    assert call(mine.to(torch.bfloat16), x.to(torch.bfloat16)) is not None
    mine = getattr(ours, cls.__name__)(*options).requires_grad_(False)
    assert call(mine, x) is not None
    cls, options, shape = LARGE[name]
    assert call(getattr(ours, cls.__name__)(*options), like(torch.empty(shape))) is not None


def test_norms_that_pytorch_computes_in_several_steps_stay():
    x = like(torch.empty(8, 16, 7, 7)).requires_grad_()
    assert call(ours.RMSNorm(7), x) is not None
    fused = ours.BatchNorm2d(16)
    fused.activation = "relu"
    assert call(fused, x) is not None


def test_the_environment_says_otherwise():
    code = """
import torch, cybn.torch
from cybn.torch import _calls
x = torch.ones(2, 4).requires_grad_()
print(_calls.layer_norm(cybn.torch.LayerNorm(4), x, True) is None)
"""
    assert python(code, CYBN_TORCH_SMALL="1") == "True"
    assert python(code, CYBN_TORCH_SMALL="") == "True"
    assert python(code, CYBN_TORCH_SMALL="0") == "False"
