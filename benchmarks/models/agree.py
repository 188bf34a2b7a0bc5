"""Do a model and its converted copy compute the same, and in how much memory?

In float64 the losses of some steps are compared, with PyTorch's and with those of batch norms in
long double (exact.py). In float32 the gradient of a whole step, all parameters as one vector, is
held against PyTorch's own in float64: its distance from that, in lengths of that, for the model as
it was and converted, over some seeds, and for images in both orders of memory. One ReLU that opens
or closes by a last place is worth a thousand times all rounding, so a single seed tells nothing.
Memory is the peak of a fresh process for each, above what it holds after its imports.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

import cybn.torch

from ..footprint import most_resident
from . import zoo
from .exact import with_long_norms

STEPS, COUNT, SEEDS = 5, 4, 11


def losses_apart(name: str, size: zoo.Size, steps: int = STEPS) -> dict[str, float | None]:
    """How far losses in float64 are apart, beside the larger of 1 and the loss, at most.

    "losses": of the converted model from PyTorch's; "itself": of PyTorch's channels last, which
    sums in another order; "long" and "theirs_long": of the converted model and of PyTorch's from
    those of batch norms in long double. None where there is nothing to compare.
    """
    theirs = zoo.build(name).double()
    models = {
        "theirs": theirs,
        "ours": cybn.torch.convert(copy.deepcopy(theirs)),
        "long": with_long_norms(theirs),
        "last": _last(theirs) if zoo.takes(name) == zoo.IMAGES else None,
    }
    x = _as(zoo.batch(name, COUNT, size), torch.float64)
    losses: dict[str, list[float]] = {}
    for which, model in models.items():
        if model is not None:
            step = zoo.step_of(model, x)
            losses[which] = [step() for _ in range(steps)]

    def apart(these: str, those: str) -> float | None:
        if these not in losses or those not in losses:
            return None
        pairs = zip(losses[those], losses[these], strict=True)
        return max(abs(b - a) / max(1.0, abs(a)) for a, b in pairs)

    return {
        "losses": apart("ours", "theirs"), "itself": apart("last", "theirs"),
        "long": apart("ours", "long"), "theirs_long": apart("theirs", "long"),
    }  # fmt: skip


def gradients_apart(
    name: str, size: zoo.Size, seeds: Sequence[int] = range(SEEDS)
) -> dict[str, list[list[float]]]:
    """How far float32 gradients are from float64's, [PyTorch's, the converted model's] by seed.

    By the order of memory of weights and images, "first" and "last"; "" for text.
    """
    orders = ("first", "last") if zoo.takes(name) == zoo.IMAGES else ("",)
    found: dict[str, list[list[float]]] = {order: [] for order in orders}
    for seed in seeds:
        theirs = zoo.build(name, seed)
        x = zoo.batch(name, COUNT, size, seed=seed)
        wanted = gradient(copy.deepcopy(theirs).double(), _as(x, torch.float64))
        for order, pairs in found.items():
            model = _last(theirs) if order == "last" else theirs
            given = zoo.batch(name, COUNT, size, order == "last", seed=seed)
            both = copy.deepcopy(model), cybn.torch.convert(copy.deepcopy(model))
            pairs.append(
                [float((gradient(m, given).double() - wanted).norm() / wanted.norm()) for m in both]
            )
    return found


def _last(model: nn.Module) -> nn.Module:
    return copy.deepcopy(model).to(memory_format=torch.channels_last)


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
    return {**losses_apart(name, size), "gradients": gradients_apart(name, size)}
