"""`fold`: batch norms into the weights of the layer before or after them.

Which go together is found in `pairs`. The arithmetic is that of `cybn.fold`.
"""

from __future__ import annotations

from itertools import takewhile
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ...tools import fold as arithmetic
from .fusing import fused_class
from .pairs import LINEAR, TRANSPOSED, Folded, Pair, batch_norm_of, pairs_of, rest_of
from .swap import Model, check_module
from .swapped import become, become_again, origin, recipe_of

__all__ = ["fold"]

_TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}


def fold(model: Model, example: Any = None) -> Model:
    """Fold the batch norms of a model in evaluation into the weights of their neighbours, in place.

    A batch norm vanishes into the convolution, transposed convolution or linear layer before it,
    grouped or not, or else into the convolution without padding or linear layer after it. Frozen
    batch norms do, too. Where a norm was there is a module then that does nothing, or only what was
    after the norm in the same module. A model that is to be trained further, or to be kept, is
    copied first (`copy.deepcopy`): there is no way back.

    Parameters
    ----------
    model
        The model, in evaluation, converted or not.
    example
        An input: a tensor, a tuple of arguments, or a dict of arguments by name. The output for it
        is compared before and after. Each pair is compared on a random input in any case.

    Returns
    -------
    Module
        The model itself. `cybn.torch.report` tells what was folded.

    Raises
    ------
    TypeError
        For what is no module.
    ValueError
        For a batch norm in training, for values that weights cannot hold, and for an output that
        differs. The model is as it was then.

    Examples
    --------
    >>> import torch
    >>> import cybn.torch
    >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8)).eval()
    >>> print(cybn.torch.report(cybn.torch.fold(model)))
    1 norm: 1 folded
      folded      1: BatchNorm2d: into 0 before it
    """
    check_module("fold", model)
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) and module.training:
            raise ValueError(
                f"fold got {name or 'a model'} ({type(module).__name__}) in training, where it "
                f"normalizes by each batch; call model.eval() first"
            )
    undo: list[tuple[Any, str | None, Any]] = []
    try:
        with torch.no_grad():
            expected = None if example is None else _called(model, example)
            while pairs := list(pairs_of(model)):
                for pair in pairs:
                    _fold(model, pair, undo)
            _fuse_again(model, undo)
            if example is not None:
                _compare(expected, _called(model, example))
    except BaseException:
        for room, name, value in reversed(undo):
            if name is None:
                room.__class__ = value
            else:
                room[name] = value
        raise
    return model


def _fuse_again(model: nn.Module, undo: list[tuple[Any, str | None, Any]]) -> None:
    # Containers that were fused, for what of their norms is left
    for container in model.modules():
        recipe = recipe_of(container)
        if recipe is not None and isinstance(recipe.plan, tuple):
            undo.append((container, None, type(container)))
            become_again(container)
            cls = fused_class(container)
            if cls is not None:
                become(container, cls)


def _fold(model: nn.Module, pair: Pair, undo: list[tuple[Any, str | None, Any]]) -> None:
    norm, layer = model.get_submodule(pair.norm), model.get_submodule(pair.layer)
    weight, bias = _folded(norm, layer, pair.before)
    _check_pair(pair, norm, layer, weight, bias)
    parent, _, name = pair.norm.rpartition(".")
    side = "before" if pair.before else "after"
    was = origin(norm) or type(norm)
    near = pair.layer.removeprefix(_common(pair.norm, pair.layer))
    rest = Folded(was.__name__, f"into {near} {side} it", rest_of(norm)).train(norm.training)
    old = layer._parameters
    for room, key, value in (
        (old, "weight", nn.Parameter(weight, old["weight"].requires_grad)),
        (old, "bias", nn.Parameter(bias, old["weight"].requires_grad)),
        (model.get_submodule(parent)._modules, name, rest),
    ):
        undo.append((room, key, room[key]))
        room[key] = value


def _common(a: str, b: str) -> str:
    # The path that two names share, with its dot
    parts = takewhile(
        lambda pair: pair[0] == pair[1], zip(a.split("."), b.split("."), strict=False)
    )
    return "".join(f"{part}." for part, _ in parts)


def _folded(norm: nn.Module, layer: nn.Module, before: bool) -> tuple[Tensor, Tensor]:
    fixed = batch_norm_of(norm).eval()
    if getattr(fixed, "activation", None) is not None:
        fixed.activation = None  # is called after it
    weight = layer.weight.detach()
    arrays = [None if a is None else a.detach().cpu() for a in (weight, layer.bias)]
    arrays = [None if a is None else (a.float() if a.dtype is torch.bfloat16 else a).numpy()
              for a in arrays]  # fmt: skip
    if before:
        transposed = isinstance(layer, TRANSPOSED)
        groups = layer.groups if transposed else 1
        found = arithmetic.fold(*arrays, fixed, transposed=transposed, groups=groups)
    else:
        groups = 1 if isinstance(layer, LINEAR) else layer.groups
        found = arithmetic.fold_into_next(*arrays, fixed, groups=groups)
    return tuple(torch.from_numpy(a).to(weight.device, weight.dtype) for a in found)


def _check_pair(
    pair: Pair, norm: nn.Module, layer: nn.Module, weight: Tensor, bias: Tensor
) -> None:
    x = _input(layer)
    if pair.before:
        first, second = layer, norm
    else:
        first, second = norm, layer
    try:
        expected = second(first(x))
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"fold cannot check {pair.norm} with {pair.layer}: {error}") from error
    parameters = {"weight": weight, "bias": bias}
    got = torch.func.functional_call(layer, parameters, (x,))
    for module in rest_of(norm):
        got = module(got)
    _compare(expected, got, f" of {pair.layer} with {pair.norm}")


def _input(layer: nn.Module) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    if isinstance(layer, LINEAR):
        shape = (4, layer.in_features)
    else:
        size = [d * (k - 1) + 2 for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
        shape = (2, layer.in_channels, *size)
    x = torch.randn(shape, generator=generator)
    return x.to(layer.weight.device, layer.weight.dtype)


def _called(model: nn.Module, example: Any) -> Any:
    if isinstance(example, dict):
        return model(**example)
    return model(*example) if isinstance(example, (tuple, list)) else model(example)


def _compare(expected: Any, got: Any, of: str = "") -> None:
    for a, b in zip(_tensors(expected), _tensors(got), strict=True):
        allowed = _TOLERANCE.get(a.dtype, 0.0)
        apart = float(((a - b).abs() / (a.abs().mean() + a.abs())).nan_to_num(0.0).max())
        if not apart <= allowed:
            raise ValueError(
                f"fold would change the output{of} by {apart:.1g} of its size, more than "
                f"{allowed:.1g}; the model is left as it was"
            )


def _tensors(output: Any) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output] if output.is_floating_point() else []
    values = output.values() if hasattr(output, "values") else output
    if isinstance(values, (str, int, float, type(None))):
        return []
    return [t for each in values for t in _tensors(each)]
