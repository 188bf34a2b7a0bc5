"""Train a PyTorch model on CPU before and after `cybn.torch.convert`, and print the ratio of times.

    pip install ".[torch]" && python examples/torch_convert.py

The model is that of --model: "resnet50" and other names of torchvision's, "hf:resnet", "hf:llama"
or "timm:NAME" where that library is installed; by default a small residual network that is written
here. Weights are random and nothing is downloaded. Both copies of the model begin alike and see the
same batches; steps are taken in turns, so that what else the machine does meets both.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import statistics
import sys
import time
from collections.abc import Callable

try:
    import torch
except ImportError:
    sys.exit('the example needs PyTorch: pip install ".[torch]"')
from torch import Tensor, nn
from torch.nn import functional

import cybn.torch


class Block(nn.Module):
    """Two convolutions with batch norm, and the input added."""

    def __init__(self, width: int, new_width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, new_width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(new_width)
        self.conv2 = nn.Conv2d(new_width, new_width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(new_width)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = None
        if stride > 1 or width != new_width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(width, new_width, 1, stride, bias=False), nn.BatchNorm2d(new_width)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.shortcut is not None:
            x = self.shortcut(x)
        out += x
        return self.relu(out)


def small() -> nn.Module:
    """A residual network for small images."""
    widths, layers = (16, 16, 32, 64), []
    for width, new_width in itertools.pairwise(widths):
        layers += [Block(width, new_width, 2 if new_width > width else 1)]
        layers += [Block(new_width, new_width, 1)]
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True), *layers,
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


def hugging_face(name: str) -> nn.Module:
    """A model of transformers, from its config."""
    import transformers

    if name == "resnet":
        return transformers.ResNetForImageClassification(transformers.ResNetConfig())
    if name == "llama":
        return transformers.LlamaForCausalLM(
            transformers.LlamaConfig(
                vocab_size=1000, hidden_size=256, intermediate_size=688, num_hidden_layers=4,
                num_attention_heads=4,
            )
        )  # fmt: skip
    sys.exit(f"no model hf:{name}; hf:resnet and hf:llama are known")


def build(name: str) -> nn.Module:
    """The model of a name."""
    if name == "small":
        return small()
    library, _, rest = name.rpartition(":")
    try:
        if library == "hf":
            return hugging_face(rest)
        if library == "timm":
            import timm

            return timm.create_model(rest)
        from torchvision import models

        return models.get_model(rest, weights=None)
    except ImportError as error:
        sys.exit(f"{name} needs {error.name}: pip install {error.name}")
    except (ValueError, RuntimeError) as error:
        sys.exit(f"no model {name}: {error}")


def batch(name: str, size: int, pixels: int) -> Tensor:
    """Random images, or words for a language model."""
    generator = torch.Generator().manual_seed(0)
    if name == "hf:llama":
        return torch.randint(0, 1000, (size, pixels), generator=generator)
    return torch.randn(size, 3, pixels, pixels, generator=generator)


def steps(model: nn.Module, x: Tensor) -> Callable[[], float]:
    """A function that takes one step of training and gives the loss."""
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)

    def step() -> float:
        torch.manual_seed(0)  # both drop the same
        y = model(x)
        y = getattr(y, "logits", y)
        y = y.reshape(-1, y.shape[-1])
        loss = functional.cross_entropy(y, torch.arange(len(y)) % y.shape[-1])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="small")
    parser.add_argument("--batch", type=int, default=32, help="images in a batch (%(default)s)")
    parser.add_argument("--pixels", type=int, default=64, help="their side (%(default)s)")
    parser.add_argument("--steps", type=int, default=20, help="of each model (%(default)s)")
    parser.add_argument("--no-fuse", action="store_true", help="swap the norms alone")
    parser.add_argument("--quick", action="store_true", help="some small steps, to try it out")
    options = parser.parse_args(arguments)
    if options.quick:
        options.batch, options.pixels, options.steps = 4, 16, 3
    for name in ("batch", "pixels", "steps"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} needs to be 1 or more, got {getattr(options, name)}")

    torch.manual_seed(0)
    theirs = build(options.model)
    ours = cybn.torch.convert(copy.deepcopy(theirs), fuse=not options.no_fuse)
    print(cybn.torch.report(ours))
    x = batch(options.model, options.batch, options.pixels)
    both = steps(theirs, x), steps(ours, x)
    times: tuple[list[float], list[float]] = ([], [])
    print("\nstep  loss before   after")
    for i in range(options.steps):
        losses = []
        for step, taken in zip(both, times, strict=True):
            begin = time.perf_counter()
            losses.append(step())
            taken.append(time.perf_counter() - begin)
        print(f"{i + 1:4}  {losses[0]:11.6f}  {losses[1]:.6f}")
    before, after = (statistics.median(taken[1:] or taken) for taken in times)
    print(
        f"\n{1000 * before:.1f} ms a step before, {1000 * after:.1f} ms after: "
        f"ratio {before / after:.2f}, on {torch.get_num_threads()} threads"
    )


if __name__ == "__main__":
    main()
