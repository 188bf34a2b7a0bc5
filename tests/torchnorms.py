"""PyTorch's norms and ours over the same parameters, for the tests of cybn.torch."""

import copy
import inspect
import warnings

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip(
        "torch", "2.11", reason='cybn.torch needs PyTorch 2.11: pip install "cybn[torch]"'
    )
    import cybn.torch as ours

nn = torch.nn

# PyTorch 2.11 has no batch norm without bias
WITHOUT_BIAS = (
    {"without bias": (lambda: nn.BatchNorm2d(6, bias=False), (4, 6, 5, 5))}
    if "bias" in inspect.signature(nn.BatchNorm2d).parameters
    else {}
)
# PyTorch's module and the shape of an input
NORMS = {
    "rows of BatchNorm1d": (lambda: nn.BatchNorm1d(6), (8, 6)),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(6), (4, 6, 5)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(6), (4, 6, 5, 5)),
    "cumulative": (lambda: nn.BatchNorm2d(6, momentum=None), (4, 6, 5, 5)),
    "untracked": (lambda: nn.BatchNorm2d(6, track_running_stats=False), (4, 6, 5, 5)),
    "without affine": (lambda: nn.BatchNorm2d(6, affine=False), (4, 6, 5, 5)),
    **WITHOUT_BIAS,
    "BatchNorm3d": (lambda: nn.BatchNorm3d(6), (2, 6, 3, 4, 5)),
    "InstanceNorm1d": (lambda: nn.InstanceNorm1d(6), (4, 6, 5)),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(6, affine=True), (4, 6, 5, 5)),
    "InstanceNorm2d, one": (lambda: nn.InstanceNorm2d(6), (6, 5, 5)),
    "InstanceNorm2d, tracked": (
        lambda: nn.InstanceNorm2d(6, track_running_stats=True),
        (4, 6, 5, 5),
    ),
    "InstanceNorm3d": (lambda: nn.InstanceNorm3d(6, affine=True), (2, 6, 3, 4, 5)),
    "LayerNorm": (lambda: nn.LayerNorm(6), (3, 4, 6)),
    "LayerNorm of two axes": (lambda: nn.LayerNorm((5, 6), bias=False), (3, 5, 6)),
    "LayerNorm without affine": (lambda: nn.LayerNorm(6, elementwise_affine=False), (3, 6)),
    "RMSNorm": (lambda: nn.RMSNorm(6), (3, 4, 6)),
    "RMSNorm, eps": (lambda: nn.RMSNorm((5, 6), eps=1e-3), (3, 5, 6)),
    "GroupNorm": (lambda: nn.GroupNorm(3, 6), (4, 6, 5, 5)),
    "GroupNorm without affine": (lambda: nn.GroupNorm(2, 6, affine=False), (4, 6, 5)),
    "LocalResponseNorm": (lambda: nn.LocalResponseNorm(3), (2, 6, 5, 5)),
}
# float32: rounding of two libraries on numbers of order one; sixteen bits: an ulp or two of those.
CLOSE = {
    torch.float32: 2e-5,
    torch.float64: 1e-12,
    torch.float16: 1e-2,
    torch.bfloat16: 8e-2,
}


def pair(name, dtype=torch.float32, training=True):
    """PyTorch's module and ours, alike, with random weights."""
    torch.manual_seed(0)
    theirs = NORMS[name][0]().to(dtype).train(training)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.uniform_(0.5, 1.5)
        if getattr(theirs, "running_var", None) is not None:
            theirs.running_mean.uniform_(-1, 1)
            theirs.running_var.uniform_(0.5, 2)
    mine = copy.deepcopy(theirs)
    become_ours(mine)
    return theirs, mine


def become_ours(model):
    for module in model.modules():
        module.__class__ = ours.OURS.get(type(module), type(module))
    return model


def like(x, dtype=None):
    """Random numbers in x's shape and order of memory."""
    return torch.empty_like(x, dtype=dtype or x.dtype).copy_(torch.randn(x.shape))


def assert_close(mine, theirs, tolerance, what=""):
    assert mine.dtype == theirs.dtype, what
    torch.testing.assert_close(
        mine, theirs, atol=tolerance, rtol=tolerance, msg=lambda said: f"{what}: {said}"
    )


def assert_same_step(theirs, mine, x, dy=None, tolerance=None):
    """The same output, gradients and buffers; the output lies in the same order."""
    tolerance = tolerance or CLOSE[x.dtype]
    x_theirs, x_mine = (x.detach().requires_grad_() for _ in range(2))
    y, y_mine = theirs(x_theirs), mine(x_mine)
    assert_close(y_mine, y, tolerance, "output")
    if not isinstance(theirs, nn.LocalResponseNorm | nn.GroupNorm):
        assert y_mine.stride() == y.stride()
    dy = like(y) if dy is None else dy
    y.backward(dy)
    y_mine.backward(dy)
    assert_close(x_mine.grad, x_theirs.grad, tolerance, "dx")
    for (name, a), b in zip(mine.named_parameters(), theirs.parameters(), strict=True):
        assert_close(a.grad, b.grad, tolerance * 8, name)  # sums of a hundred items
    for (name, a), b in zip(mine.named_buffers(), theirs.buffers(), strict=True):
        assert_close(a, b, tolerance, name)
