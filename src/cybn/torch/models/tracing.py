"""Trace the forward of a container into a torch.fx graph, and note all that the graph rests on.

`torch.fx.symbolic_trace` was rejected: it replaces methods of nn.Module in the whole process while
it traces, which a model in use by another thread would notice; it takes each branch that an
attribute decides for good; and it leaves out what is done in place. Here forward runs with a
stand-in for the module, which hands out stand-ins for its children and notes each attribute that is
read, as a guard: the graph is used while they are as they were. Arguments are proxies that are
tensors for isinstance. What a stand-in cannot stand for ends the trace: `Untraceable`, with the
reason, and the container stays as it is.
"""

from __future__ import annotations

import builtins
import dis
import inspect
import operator
import types
from collections import OrderedDict
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.fx.proxy import GraphAppendingTracer

from .ops import unhooked
from .proxies import Proxy, Unknown, Untraceable
from .swapped import recipe_of
from .table import codes_of, writes

__all__ = ["A_MODULE", "Guard", "Trace", "Untraceable", "traced"]

A_MODULE = "a module"  # what a guard keeps of one
_PLAIN = (bool, int, float, str, type(None), torch.dtype)
_BUILTINS = {"isinstance", "len", "range", "enumerate", "zip", "getattr", "hasattr", "list",
             "tuple", "reversed", "int", "float", "min", "max", "sum", "bool"}  # fmt: skip
_ROOMS = ("torch", "torch.nn.functional", "torch._C._nn", "torch.functional", "torch._VF")
# What code does that a graph does not show
_UNSEEN = {"no_grad", "enable_grad", "set_grad_enabled", "is_grad_enabled", "inference_mode",
           "autocast", "is_autocast_enabled", "checkpoint", "manual_seed", "is_compiling",
           "is_inference_mode_enabled", "register_forward_hook", "detach_", "backward"}  # fmt: skip


class Guard(NamedTuple):
    """What an attribute was in the trace: a plain value, or of what sort it is."""

    path: str  # of the module within the container
    name: str
    value: Any


class Items(tuple):
    """A dict of options as it was, which may change."""


class Trace(NamedTuple):
    graph: fx.Graph
    guards: tuple[Guard, ...]
    inputs: int  # so many tensors are given
    passed: frozenset[str]  # modules whose own forward is in the graph


def sort_of(module: nn.Module, name: str) -> Any:
    """What a guard keeps of an attribute: its value if that is plain, else what tells it apart."""
    if name == "()":  # the children by name
        return tuple(module._modules)
    value: Any = module
    for part in name.split("."):
        value = getattr(value, part, NotImplemented)
    if isinstance(value, nn.Module):
        return A_MODULE
    if isinstance(value, Tensor):
        return "a tensor"
    return Items(value.items()) if type(value) is dict else value


class _Tracer(GraphAppendingTracer):
    def __init__(self, inline: frozenset[str]) -> None:
        super().__init__(fx.Graph())
        self.inline = inline
        self.passed: set[str] = set()  # modules whose forward is called, and not they themselves
        self.opaque: set[Any] = set()  # functions that are called as they are
        self.guards: dict[tuple[str, str], Guard] = {}
        self.param_shapes_constant = False

    def proxy(self, node: fx.Node) -> fx.Proxy:
        unknown = node.op == "call_module" or node.target in (*self.opaque, operator.getitem)
        return (Unknown if unknown else Proxy)(node, self)

    def is_leaf(self, path: str) -> bool:
        return path not in self.inline


class _Stand:
    """A module within a trace."""

    def __init__(self, module: nn.Module, path: str, tracer: _Tracer) -> None:
        object.__setattr__(self, "_at", (module, path, tracer))

    __class__ = property(lambda self: type(self._at[0]))  # type: ignore[assignment]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        module, path, tracer = self._at
        if tracer.is_leaf(path) and path:
            return tracer.create_proxy("call_module", path, args, kwargs)
        return _run(module, path, tracer, args, kwargs)

    def _inlined(self, *args: Any, **kwargs: Any) -> Any:
        module, path, tracer = self._at
        tracer.passed.add(path)
        return _run(module, path, tracer, args, kwargs)

    def _as_argument(self) -> fx.Proxy:
        _, path, tracer = self._at
        if not path:
            raise Untraceable("its forward hands itself on")
        return tracer.create_proxy("get_attr", path, (), {})

    def _child(self, name: str) -> Any:
        module, path, tracer = self._at
        return _Stand(module._modules[name], f"{path}.{name}" if path else name, tracer)

    def _noted(self, name: str) -> Any:
        module, path, tracer = self._at
        value = sort_of(module, name)
        tracer.guards[path, name] = Guard(path, name, value)
        return value

    def __iter__(self) -> Any:
        module = self._at[0]
        if getattr(type(module), "__iter__", None) not in (
            nn.Sequential.__iter__,
            nn.ModuleList.__iter__,
        ):
            raise Untraceable(f"it goes through a {type(module).__name__}")
        return iter([self._child(name) for name in self._noted("()")])

    def __len__(self) -> int:
        return len(self._noted("()"))

    def __getitem__(self, index: Any) -> Any:
        module = self._at[0]
        if not isinstance(module, (nn.Sequential, nn.ModuleList)) or not isinstance(index, int):
            raise Untraceable(f"it takes a part of a {type(module).__name__}")
        return self._child(self._noted("()")[index])

    def __setattr__(self, name: str, value: Any) -> None:
        raise Untraceable(f"its forward sets {name}")

    def __getattr__(self, name: str) -> Any:
        module, path, tracer = self._at
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "_modules":
            return {each: self._child(each) for each in self._noted("()")}
        if name == "forward" and path:
            return self._inlined
        if name in module.__dict__.get("_modules", ()):
            self._noted(name)
            return None if module._modules[name] is None else self._child(name)
        if name in module._parameters or name in module._buffers:
            self._noted(name)
            if sort_of(module, name) is None:
                return None
            return tracer.create_proxy("get_attr", f"{path}.{name}" if path else name, (), {})
        found = inspect.getattr_static(module, name, None)
        if isinstance(found, types.FunctionType) and name not in module.__dict__:
            return types.MethodType(_checked(found), self)
        if isinstance(found, (property, staticmethod, classmethod)):
            raise Untraceable(f"its forward uses {name}")
        value = module.__dict__.get(name)
        if type(value).__name__.endswith("Config"):
            return _Config(value, name, self)
        return self._plain(name)

    def _plain(self, name: str) -> Any:
        value = self._noted(name)
        if value is NotImplemented:
            raise AttributeError(name)
        if not _is_plain(value):
            kind = "dict" if type(value) is Items else type(value).__name__
            raise Untraceable(f"its forward reads {name}, a {kind}")
        return dict(value) if type(value) is Items else value


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return isinstance(value, _PLAIN) or _is_known(value)


def _is_known(value: Any) -> bool:
    # A function that fx writes down by name
    room = getattr(value, "__module__", None)
    return callable(value) and (
        room in _ROOMS or getattr(torch, getattr(value, "__name__", " "), None) is value
    )


def _checked(function: Any) -> Any:
    """The function over globals that end the trace where they do what no graph or guard shows."""
    if not isinstance(function, types.FunctionType) or hasattr(function, "__wrapped__"):
        raise Untraceable("its forward is no plain function")
    if function.__closure__:
        raise Untraceable("its forward has a closure")
    room: dict[str, Any] = {"__builtins__": builtins, "__name__": function.__module__}
    for code in codes_of(function.__code__):
        if writes(code):
            raise Untraceable("its forward sets an attribute")
        unseen = _UNSEEN.intersection(code.co_names)
        if unseen:
            raise Untraceable(f"its forward uses {min(unseen)}")
        for i in dis.get_instructions(code):
            if i.opname in ("BEFORE_WITH", "LOAD_SPECIAL", "SETUP_WITH"):
                raise Untraceable("its forward has a with statement")
            if i.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                room[i.argval] = _global(i.argval, function.__globals__)
    new = types.FunctionType(function.__code__, room, function.__name__, function.__defaults__)
    new.__kwdefaults__ = function.__kwdefaults__
    return new


def _global(name: str, room: dict[str, Any]) -> Any:
    value = room.get(name, getattr(builtins, name, NotImplemented))
    if isinstance(value, types.ModuleType):
        known = value.__name__.split(".")[0] in ("torch", "math", "operator")
    else:
        # A class is for isinstance; calling one with a proxy does not trace
        known = isinstance(value, type) or _is_known(value) or name in _BUILTINS
    if known:
        return value
    return _Helper(name, value)


class _Helper:
    """A global of other kind: a function is called as it is, with the modules that it is given."""

    def __init__(self, name: str, value: Any) -> None:
        self.name, self.value = name, value

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(self.value, types.FunctionType):
            raise Untraceable(f"its forward uses {self.name}")
        tracer = next((t for t in map(_tracer_of, (*args, *kwargs.values())) if t), None)
        if tracer is None or "." in self.value.__qualname__:
            raise Untraceable(f"its forward uses {self.name}")
        tracer.opaque.add(self.value)
        arguments = [a._as_argument() if type(a) is _Stand else a for a in args]
        named = {k: a._as_argument() if type(a) is _Stand else a for k, a in kwargs.items()}
        return tracer.create_proxy("call_function", self.value, tuple(arguments), named)

    def __getattr__(self, name: str) -> Any:
        raise Untraceable(f"its forward uses {self.name}")

    def __bool__(self) -> bool:
        raise Untraceable(f"its forward uses {self.name}")

    __iter__ = __len__ = __getitem__ = __add__ = __mul__ = __eq__ = __lt__ = __gt__ = (
        lambda self, *other: self.__bool__()
    )
    __hash__ = None  # type: ignore[assignment]


def _tracer_of(value: Any) -> _Tracer | None:
    if isinstance(value, fx.Proxy):
        return value.tracer
    return value._at[2] if type(value) is _Stand else None


class _Config:
    """An object of options that a module keeps, within a trace."""

    def __init__(self, value: Any, name: str, stand: _Stand) -> None:
        object.__setattr__(self, "_at", (value, name, stand))

    def __getattr__(self, name: str) -> Any:
        _, own, stand = self._at
        return stand._plain(f"{own}.{name}")

    def __setattr__(self, name: str, value: Any) -> None:
        raise Untraceable(f"its forward sets {name}")


def class_of(module: nn.Module) -> type[nn.Module]:
    """The class of a module, or that it was of before it was fused."""
    recipe = recipe_of(module)
    return type(module) if recipe is None else recipe.was


def _run(module: nn.Module, path: str, tracer: _Tracer, args: Any, kwargs: Any) -> Any:
    forward = inspect.getattr_static(class_of(module), "forward")
    if path and type(module).__call__ is not nn.Module.__call__:
        raise Untraceable(f"the __call__ of {path} is its own")
    if (path and not unhooked(module)) or "forward" in module.__dict__:
        raise Untraceable("there are hooks, or a forward set on the object")
    return _checked(forward)(_Stand(module, path, tracer), *args, **kwargs)


def traced(module: nn.Module, inline: frozenset[str] = frozenset()) -> Trace:
    """The graph of a forward that is given tensors for all arguments without a default."""
    tracer = _Tracer(inline)
    parameters = list(inspect.signature(class_of(module).forward).parameters.values())[1:]
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD, p.KEYWORD_ONLY) for p in parameters):
        raise Untraceable("its forward takes any arguments")
    names = [p.name for p in parameters if p.default is p.empty]
    try:
        inputs = [tracer.create_proxy("placeholder", name, (), {}) for name in names]
        result = _run(module, "", tracer, inputs, {})
        tracer.create_proxy("output", "output", (_written(tracer, result),), {})
    except Untraceable:
        raise
    except Exception as error:  # whatever another library's code does with a proxy
        raise Untraceable(f"its forward does not trace: {type(error).__name__}") from error
    passed = frozenset(tracer.passed)
    return Trace(tracer.graph, tuple(tracer.guards.values()), len(names), passed)


def _written(tracer: _Tracer, result: Any) -> Any:
    # A graph makes a plain dict of any
    if type(result) is OrderedDict:
        return tracer.create_proxy("call_function", OrderedDict, ([*result.items()],), {})
    if issubclass(type(result), dict) and type(result) is not dict:
        raise Untraceable(f"its forward returns a {type(result).__name__}")
    return result
