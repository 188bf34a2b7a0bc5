"""`convert` and `revert`: all of a model or nothing."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from .decide import verdict
from .fusing import fused_class, fusible
from .swapped import become, become_again, origin
from .tracing import Untraceable

__all__ = ["Model", "convert", "revert"]


Model = TypeVar("Model", bound=nn.Module)


def convert(model: Model, *, fuse: bool = True) -> Model:
    """Hand the norms of a PyTorch model to the kernels here, in place.

    Each norm gets another class and stays the same object: parameters, buffers, hooks, optimizers,
    shared modules and wrappers around the model go on, and so does a state dict. Converted are
    PyTorch's own norms, those exact classes alone; norms of transformers, timm, torchvision,
    detectron2 and others whose code is of a known kind, after their output and gradients were
    compared with the original's on a small random input; and what `cybn.torch.register` tells of.
    Everything else is left alone, and `cybn.torch.report` says why.

    Parameters
    ----------
    model
        The model, or a norm. One that was converted before is looked through for new norms.
    fuse
        Compute ReLU, ReLU6, LeakyReLU, Hardswish, ELU and Mish behind a batch norm, and a sum
        before them, in the same pass over memory, where nobody would notice: no hook, no other
        consumer, and a forward that is the same code for each input.

    Returns
    -------
    Module
        The model itself.

    Raises
    ------
    TypeError
        For what is no module.

    Warns
    -----
    UserWarning
        For a norm that is in a table, or whose name promises what it computes, and that computes
        something else. It is left alone.

    Notes
    -----
    If anything raises, the model is as it was. A class changes at once, so another thread that is
    in a call of the model meets each module either as it was or converted, with the same results.

    Examples
    --------
    >>> import torch
    >>> import cybn.torch
    >>> model = torch.nn.Sequential(
    ...     torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.ReLU()
    ... )
    >>> print(cybn.torch.report(cybn.torch.convert(model)))
    1 norm: 1 swapped, 1 of them fused
      swapped     1: BatchNorm2d
      fused       the model: 1 + 2
    >>> type(cybn.torch.revert(model)[1]).__module__
    'torch.nn.modules.batchnorm'
    """
    check_module("convert", model)
    fuse = bool(fuse)
    changed: list[nn.Module] = []
    try:
        for module in list(model.modules()):
            found = verdict(module)
            if found is None:
                continue
            if found.cls is not None:
                if become(module, found.cls):
                    changed.append(module)
            elif found.warn:
                warnings.warn(
                    f"convert leaves {type(module).__name__} alone: {found.why}", stacklevel=2
                )
        if fuse:
            for container in fusible_containers(model):
                try:
                    cls = fused_class(container)
                except Untraceable:
                    continue
                if cls is not None and become(container, cls):
                    changed.append(container)
    except BaseException:
        for module in reversed(changed):
            become_again(module)
        raise
    return model


def revert(model: Model) -> Model:
    """Undo `convert`: each module is of the class again that it was of.

    Modules that were built of a class here, as ``cybn.torch.BatchNorm2d(8)``, stay as they are.

    Parameters
    ----------
    model
        The model; one that is not converted stays as it is.

    Returns
    -------
    Module
        The model itself.

    Raises
    ------
    TypeError
        For what is no module.
    ValueError
        For a converted module that has been given yet another class since then, by a
        parametrization, say. Nothing is undone then.

    Examples
    --------
    >>> import torch
    >>> import cybn.torch
    >>> norm = torch.nn.LayerNorm(4)
    >>> cybn.torch.revert(cybn.torch.convert(norm)) is norm and type(norm) is torch.nn.LayerNorm
    True
    """
    check_module("revert", model)
    modules = [m for m in model.modules() if was_converted(m)]
    for name, module in model.named_modules():
        if was_converted(module) and is_parametrized(module):
            raise ValueError(
                f"revert cannot give {name or 'the model'} its class again, since it was "
                f"parametrized after it was converted; remove the parametrizations first, with "
                f"torch.nn.utils.parametrize.remove_parametrizations"
            )
    for module in modules:
        become_again(module)
    return model


def was_converted(module: nn.Module) -> bool:
    if origin(module) is not None:
        return True
    return any("_cybn_recipe" in vars(cls) for cls in type(module).__mro__)


def fusible_containers(model: nn.Module) -> Iterator[nn.Module]:
    """The containers that may be fused, none of them within what is compiled."""
    compiled: set[nn.Module] = set()
    for module in model.modules():
        if is_compiled(module):
            compiled.update(module.modules())
    for module in list(model.modules()):
        if module not in compiled and origin(module) is None and fusible(module):
            yield module


def is_compiled(module: nn.Module) -> bool:
    wrapper = getattr(torch._dynamo.eval_frame, "OptimizedModule", ()) if _has_dynamo() else ()
    return isinstance(module, wrapper) or module.__dict__.get("_compiled_call_impl") is not None


def _has_dynamo() -> bool:
    import sys

    return "torch._dynamo" in sys.modules


def check_module(who: str, model: Any) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"{who} takes a torch.nn.Module, got {type(model).__name__}"
            + ("; give an instance of it" if isinstance(model, type) else "")
        )
    todo = [("", model)]
    seen = set()
    while todo:
        name, module = todo.pop()
        if "_modules" not in module.__dict__:
            raise TypeError(
                f"{who} takes modules that were initialized, and {name or 'the model'} "
                f"({type(module).__name__}) was not; call super().__init__() in its __init__"
            )
        if module not in seen:
            seen.add(module)
            todo += [(f"{name}.{key}" if name else key, child)
                     for key, child in module._modules.items() if child is not None]  # fmt: skip
