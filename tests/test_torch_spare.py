"""Without a gradient a fused norm writes over what a convolution gave it, and nobody notices."""

import copy

import pytest

torch = pytest.importorskip("torch", reason='PyTorch is not installed: pip install "cybn[torch]"')

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from torchmodels import Block, Stacked, image, perturbed  # noqa: E402

from cybn.torch import convert, report  # noqa: E402
from cybn.torch.models import gated  # noqa: E402


class Last:
    """Notes the memory of x and y of each call in place of the norm and what follows."""

    def __init__(self, monkeypatch):
        self.same = []
        theirs = gated.ops.batch_norm

        def noted(norm, x, *others):
            y = theirs(norm, x, *others)
            self.same.append(y is not None and y.data_ptr() == x.data_ptr())
            return y

        monkeypatch.setattr(gated.ops, "batch_norm", noted)


@pytest.fixture
def last(monkeypatch):
    return Last(monkeypatch)


class Layer(nn.Module):
    def __init__(self, conv=None):
        super().__init__()
        self.conv = conv or nn.Conv2d(6, 6, 3, padding=1)
        self.bn = nn.BatchNorm2d(6)

    def forward(self, x):
        return functional.relu(self.bn(self.conv(x)))


class Twice(Layer):
    def forward(self, x):
        x = self.conv(x)
        return functional.relu(self.bn(x)) + x


class Keeps(nn.Conv2d):
    """A convolution that remembers what it has given."""

    def forward(self, x):
        self.given = super().forward(x)
        return self.given


def both(model, x):
    """The outputs of a model and of the converted one without a gradient, bit for bit."""
    ours = convert(copy.deepcopy(model))
    apart = convert(copy.deepcopy(model), fuse=False)
    assert report(ours).fused
    with torch.inference_mode():
        y = ours(x)
        torch.testing.assert_close(y, apart(x), rtol=0, atol=0)
        if y.itemsize > 2:  # PyTorch rounds sixteen bits twice
            torch.testing.assert_close(y, model(x))
    return ours


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_over_a_convolution(last, training, dtype, memory):
    x = image().to(dtype).contiguous(memory_format=memory)
    model = perturbed(Layer().to(dtype)).train(training)
    both(model, x)
    assert last.same == [True]


def test_residual_blocks(last):
    down = nn.Sequential(nn.Conv2d(6, 6, 1), nn.BatchNorm2d(6))
    blocks = nn.Sequential(Block(6), Block(6, down, inplace=False), Stacked(6))
    model = perturbed(nn.Sequential(*blocks, nn.Conv2d(6, 6, 1), nn.BatchNorm2d(6), nn.ReLU()))
    both(model.double().eval(), image())
    assert last.same == [True] * len(last.same) != []


def test_large_and_on_threads(last):
    x = torch.randn(4, 6, 200, 200)
    both(perturbed(Layer()).eval(), x)
    assert last.same == [True]


def test_the_input_is_nobodys_to_write_on(last):
    x = image()
    kept = x.clone()
    both(perturbed(nn.Sequential(nn.BatchNorm2d(6), nn.ReLU()).double()).eval(), x)
    assert last.same == [False]
    assert torch.equal(x, kept)


def test_another_consumer(last):
    both(perturbed(Twice().double()).eval(), image())
    assert last.same == [False]


def test_a_convolution_of_another_class(last):
    ours = both(perturbed(Layer(Keeps(6, 6, 3, padding=1)).double()).eval(), image())
    assert last.same == [False]
    given = functional.conv2d(image(), ours.conv.weight, ours.conv.bias, padding=1)
    assert torch.equal(ours.conv.given, given)


def test_one_that_comes_later(last):
    ours = convert(perturbed(Layer().double()).eval())
    ours.conv = Keeps(6, 6, 3, padding=1).double()
    with torch.no_grad():
        ours(image())
        given = functional.conv2d(image(), ours.conv.weight, ours.conv.bias, padding=1)
    assert torch.equal(ours.conv.given, given)


@pytest.mark.parametrize("everywhere", [False, True])
def test_a_hook_sees_what_it_keeps(everywhere):
    ours = convert(perturbed(Layer().double()).eval())
    kept = []

    def keep(module, given, out):
        if module is ours.conv:
            kept.append((out, out.clone()))

    register = nn.modules.module.register_module_forward_hook
    hook = (register if everywhere else ours.conv.register_forward_hook)(keep)
    with hook, torch.no_grad():
        ours(image())
    ((out, then),) = kept
    assert torch.equal(out, then)


def test_a_forward_that_was_put_on_the_class(monkeypatch):
    kept = []
    theirs = nn.Conv2d.forward

    def keeping(self, x):
        out = theirs(self, x)
        kept.append((out, out.clone()))
        return out

    ours = convert(perturbed(Layer().double()).eval())
    monkeypatch.setattr(nn.Conv2d, "forward", keeping)
    with torch.no_grad():
        ours(image())
    ((out, then),) = kept
    assert torch.equal(out, then)


def test_with_a_gradient_x_stays(last):
    model = perturbed(Layer().double())
    ours = convert(copy.deepcopy(model))
    for each in (model, ours):
        each(image()).square().sum().backward()
    assert last.same == [False]
    torch.testing.assert_close(ours.conv.weight.grad, model.conv.weight.grad)
    ours.requires_grad_(False)
    ours(image())
    assert last.same == [False, True]
