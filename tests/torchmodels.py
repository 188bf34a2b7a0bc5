"""Models to convert, written with PyTorch alone, and a comparison with the original."""

import copy

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """A residual block as torchvision writes it: one ReLU, called three times."""

    def __init__(self, width, downsample=None, inplace=True):
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=inplace)
        self.downsample = downsample

    def forward(self, x):
        identity = x
        out = self.conv1(x)
        out = self.bn1(out)
        out = self.relu(out)
        out = self.conv2(out)
        out = self.bn2(out)
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class ConvLayer(nn.Module):
    """As Hugging Face writes it: the activation is nothing where a sum comes first."""

    def __init__(self, width, activation=True):
        super().__init__()
        self.convolution = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.normalization = nn.BatchNorm2d(width)
        self.activation = nn.ReLU() if activation else nn.Identity()

    def forward(self, hidden):
        hidden = self.convolution(hidden)
        hidden = self.normalization(hidden)
        return self.activation(hidden)


class Stacked(nn.Module):
    """A residual block whose last norm lies two containers further in."""

    def __init__(self, width):
        super().__init__()
        self.layer = nn.Sequential(ConvLayer(width), ConvLayer(width, activation=False))
        self.activation = nn.ReLU()

    def forward(self, hidden):
        residual = hidden
        hidden = self.layer(hidden)
        hidden += residual
        return self.activation(hidden)


class Dense(nn.Module):
    """As densenet: asks what its input is, and calls functions."""

    def __init__(self, width):
        super().__init__()
        self.norm = nn.BatchNorm2d(width)
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.rate = 0.25

    def forward(self, x):
        given = [x] if isinstance(x, torch.Tensor) else x
        out = self.conv(functional.leaky_relu(self.norm(torch.cat(given, 1)), 0.1))
        return functional.dropout(out, p=self.rate, training=self.training)


def image(channels=6):
    torch.manual_seed(0)
    return torch.randn(3, channels, 5, 5, dtype=torch.float64)


class Norm(nn.Module):
    """One batch norm and what a test does with it."""

    def __init__(self):
        super().__init__()
        self.bn = nn.BatchNorm2d(6)
        self.other = nn.BatchNorm2d(6)
        self.third = nn.BatchNorm2d(6)
        self.relu = nn.ReLU(inplace=True)
        self.leaky = nn.LeakyReLU(0.2)
        self.no = nn.Identity()


def network(width=6):
    """Batch norms in all places, behind a convolution."""
    down = nn.Sequential(nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width))
    return nn.Sequential(
        nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.ReLU6(inplace=True),
        Block(width), Block(width, down), Stacked(width), Dense(width),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(width), nn.Linear(width, 4),
    )  # fmt: skip


def perturbed(model, seed=0):
    """The model with statistics and parameters that are not those of a new one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, a in (*model.named_parameters(), *model.named_buffers()):
            if a.is_floating_point():
                noise = torch.randn(a.shape, generator=generator).to(a.dtype) * 0.2
                a.add_(noise.abs() if "var" in name else noise)
    return model


def trained(model, inputs, steps=5, lr=1e-4, call=lambda model, x: model(x)):
    """The losses of a few steps, the gradients of the last and the state after it."""
    optimizer = torch.optim.SGD(model.parameters(), lr, momentum=0.9)
    losses = []
    for _ in range(steps):
        torch.manual_seed(1)
        loss = call(model, inputs).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return losses, grads, model.state_dict()


def assert_trains_alike(model, inputs, convert, close=1e-8, call=lambda model, x: model(x)):
    """Five steps of the model and of a converted copy, then evaluation; the copy.

    Each array is compared by its own scale.
    """
    ours = convert(copy.deepcopy(model))
    (losses, *arrays), (our_losses, *our_arrays) = (
        trained(each, inputs, call=call) for each in (model, ours)
    )
    torch.testing.assert_close(our_losses, losses, rtol=close, atol=close)
    for theirs, converted in zip(arrays, our_arrays, strict=True):
        assert theirs.keys() == converted.keys()
        for name, a in theirs.items():
            scale = 1e-3 + (float(a.abs().max()) if a.is_floating_point() and a.numel() else 0)
            torch.testing.assert_close(converted[name], a, rtol=0, atol=close * scale, msg=name)
    model.eval(), ours.eval()
    with torch.no_grad():
        torch.testing.assert_close(call(ours, inputs), call(model, inputs), rtol=close, atol=close)
    return ours
