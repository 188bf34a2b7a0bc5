"""Classes that modules are of after a conversion, and the way back.

A module is converted by giving it another class and nothing else: the object, its parameters, hooks
and place stay what they were, so that optimizers, shared weights and wrappers around the model go
on. For a class of PyTorch the new one is the class here of the same name. For one of another
library, and for a container whose forward is fused, it is a subclass that is made when it is first
wanted, under the same name, and only forward is its own.

Rejected: modules in the place of modules, which an optimizer, a hook or a second place in the model
would still know by the old ones; a class with state of its own, which a checkpoint would show.
"""

from __future__ import annotations

import copyreg
import os
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

# The mark of a module whose class was changed, beside its parameters: what its class was
_MARK = "_cybn_was"
_made: dict[Any, type[nn.Module]] = {}
_changing = threading.Lock()  # of a mark and a class together


class Recipe(NamedTuple):
    """What makes a subclass again, in another process, too: all of it can be pickled."""

    was: type[nn.Module]
    make: Callable[..., Callable]  # forward, from was and plan
    plan: Any


def made(recipe: Recipe) -> type[nn.Module]:
    """The subclass of a recipe, the same one each time."""
    cls = _made.get(recipe)
    if cls is None:
        was = recipe.was
        namespace = {
            "forward": recipe.make(was, recipe.plan),
            "_cybn_recipe": recipe,
            "__reduce_ex__": _reduced,
            "__module__": was.__module__,
            "__qualname__": was.__qualname__,
            "__doc__": was.__doc__,
        }
        cls = _made.setdefault(recipe, type(was)(was.__name__, (was,), namespace))
    return cls


def recipe_of(module: nn.Module) -> Recipe | None:
    """The recipe of a module's class, where it is one of those that are made."""
    return vars(type(module)).get("_cybn_recipe")


def origin(module: nn.Module) -> type[nn.Module] | None:
    """The class that the module was of before its conversion, or None."""
    recipe = recipe_of(module)
    return module.__dict__.get(_MARK) if recipe is None else recipe.was


def become(module: nn.Module, cls: type[nn.Module]) -> bool:
    """Convert a module; False for one that another thread has converted meanwhile.

    It is marked, so that one that was built of a class here is no converted one.
    """
    with _changing:
        if origin(module) is not None:
            return False
        if "_cybn_recipe" not in vars(cls):
            module.__dict__[_MARK] = type(module)
        object.__setattr__(module, "__class__", cls)
        return True


def become_again(module: nn.Module) -> None:
    """Undo `become`."""
    with _changing:
        was = origin(module)
        if was is None:  # another thread has undone it meanwhile
            return
        module.__dict__.pop(_MARK, None)
        if issubclass(was, LazyModuleMixin) and not isinstance(module, LazyModuleMixin):
            was = was.cls_to_become  # it has met its first input since
        object.__setattr__(module, "__class__", was)


def _reduced(self: nn.Module, protocol: Any) -> Any:
    recipe = recipe_of(self)
    if recipe is None:  # a subclass of a made class, as parametrizations make
        return super(nn.Module, self).__reduce_ex__(protocol)
    _, (_, *arguments), *rest = super(nn.Module, self).__reduce_ex__(max(protocol, 2))
    return (_rebuilt, (recipe, *arguments), *rest)


def _rebuilt(recipe: Recipe, *arguments: Any) -> nn.Module:
    return copyreg.__newobj__(made(Recipe(*recipe)), *arguments)


def _after_fork() -> None:
    # A thread of the parent that held the lock does not exist in the child.
    global _changing
    _changing = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
