"""Do a model and its converted copy compute the same, and in how much memory?

In float64 the losses of some steps are compared. In float32 the gradient of a whole step, all
parameters as one vector, is held against PyTorch's own in float64: its distance from that, in
lengths of that, for the model as it was and converted; the median over some batches. Memory is the
peak of a fresh process for each, above what it holds after its imports.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

import cybn.torch

from ..footprint import most_resident
from . import zoo

STEPS, COUNT, SEEDS = 5, 4, 7


def losses_apart(name: str, size: zoo.Size, steps: int = STEPS) -> tuple[float, float | None]:
    """How far losses in float64 are from PyTorch's: the converted model's, and PyTorch's own.

    The largest difference, beside the larger of 1 and the loss. PyTorch's own are those of the
    model channels last, which sums in another order; None for text.
    """
    theirs = zoo.build(name).double()
    models = [theirs, cybn.torch.convert(copy.deepcopy(theirs))]
    x = _as(zoo.batch(name, COUNT, size), torch.float64)
    if zoo.takes(name) == zoo.IMAGES:
        models.append(copy.deepcopy(theirs).to(memory_format=torch.channels_last))
    every = [zoo.step_of(model, x) for model in models]
    wanted, *others = zip(*([step() for step in every] for _ in range(steps)), strict=True)
    apart = [
        max(abs(b - a) / max(1.0, abs(a)) for a, b in zip(wanted, other, strict=True))
        for other in others
    ]
    return apart[0], apart[1] if len(apart) > 1 else None


def gradients_apart(
    name: str, size: zoo.Size, seeds: Sequence[int] = range(SEEDS)
) -> tuple[float, float, float | None]:
    """How far float32 gradients are from float64's: PyTorch's, the converted model's, and again.

    Again: PyTorch's of the same model channels last, which rounds otherwise; None for text.
    """
    found = []
    for seed in seeds:
        theirs = zoo.build(name, seed)
        exact, ours = copy.deepcopy(theirs).double(), cybn.torch.convert(copy.deepcopy(theirs))
        models = [theirs, ours]
        if zoo.takes(name) == zoo.IMAGES:
            models.append(copy.deepcopy(theirs).to(memory_format=torch.channels_last))
        x = zoo.batch(name, COUNT, size, seed=seed)
        wanted = gradient(exact, _as(x, torch.float64))
        length = wanted.norm()
        found.append([float((gradient(m, x).double() - wanted).norm() / length) for m in models])
    apart = [median(each) for each in zip(*found, strict=True)]
    return apart[0], apart[1], apart[2] if len(apart) > 2 else None


def gradient(model: nn.Module, x: Tensor) -> Tensor:
    """Of a training step, all parameters in a row."""
    torch.manual_seed(0)
    model.train()
    zoo.loss_of(model, x).backward()
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    return torch.cat([g.reshape(-1) for g in grads])


def _as(x: Tensor, dtype: torch.dtype) -> Tensor:
    return x.to(dtype) if x.is_floating_point() else x


def peak(name: str, who: str, count: int, size: zoo.Size, threads: int) -> int:
    """Bytes that two training steps take in this fresh process at most; 0 where unknown.

    who: "theirs", or "ours", converted. What a process loads once, both have loaded before.
    """
    torch.set_num_threads(threads)
    for small in zoo.smallest(zoo.library(name)):
        ready = cybn.torch.convert(small.model)
        zoo.step_of(ready, small.x)()
    before = most_resident()
    model = zoo.build(name)
    if who == "ours":
        model = cybn.torch.convert(model)
    step = zoo.step_of(model, zoo.batch(name, count, size))
    for _ in range(2):
        step()
    return most_resident() - before


def agreement(name: str, size: zoo.Size) -> dict[str, Any]:
    """Of a model, in plain JSON."""
    losses, itself = losses_apart(name, size)
    theirs, ours, again = gradients_apart(name, size)
    return {
        "losses": losses, "itself": itself, "theirs": theirs, "ours": ours, "again": again,
    }  # fmt: skip
