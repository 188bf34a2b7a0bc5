"""Fuse batch norms with what follows them, container by container.

The forward of a container is traced with its children as they are; where a chain is found
(chains.py), the graph with one call in its place is written down as Python, and that is the forward
of a class that the container becomes. The children stay where and what they are. A sum that follows
a child whose last step is a norm, as in residual blocks, is reached by tracing through that child.

A fused forward is taken only while all that the trace has read is as it was, and for the call that
was traced: tensors, by position. Else the container's own forward runs, over the converted norms.
"""

from __future__ import annotations

import functools
import importlib
import types
from collections.abc import Callable
from inspect import getattr_static
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .chains import Chain, activation_after, chains_of, ending, module_of, sum_after
from .gated import gated, makes_new, takes_gate
from .ops import unhooked
from .swapped import Recipe, made
from .tracing import A_MODULE, Guard, Trace, Untraceable, sort_of, traced

__all__ = ["forward_by", "fused_class", "fusible"]

_DEPTH = 4  # of containers that are traced through


class Way(NamedTuple):
    """A fused forward, while the guards hold."""

    guards: tuple[Guard, ...]
    inline: tuple[str, ...]  # containers that are not called any more
    inputs: int
    code: str
    names: tuple[tuple[str, Any], ...]  # what the code calls: modules by name, else objects
    words: tuple[str, ...]


def fused_class(container: nn.Module) -> type[nn.Module] | None:
    """The class of the container with its chains fused; None where it has none.

    Untraceable where that cannot be told.
    """
    if not fusible(container):
        return None
    cls = type(container)
    if cls.__reduce_ex__ is not object.__reduce_ex__ or cls.__reduce__ is not object.__reduce__:
        raise Untraceable("it is pickled in a way of its own")
    found = [way for way in map(_way, _modes(container)) if way is not None]
    ways = tuple(dict.fromkeys(found))
    if not ways:
        return None
    try:
        return made(Recipe(cls, forward_by, ways))
    except Exception as error:  # whatever a class says to a subclass
        raise Untraceable(f"no subclass of it can be made: {error}") from error


def fusible(container: nn.Module) -> bool:
    """Is there a norm within, of a kind that can be fused?"""
    return (
        bool(container._modules)
        # a list of modules has none, and a scripted one raises when its class is asked
        and getattr_static(type(container), "forward") is not nn.Module.forward
        and any(takes_gate(m) for m in container.modules() if m is not container)
    )


def _modes(container: nn.Module) -> list[nn.Module]:
    # The container as it is, and in the other mode, where its code asks for that
    trace = traced(container)
    if not any(guard.name == "training" for guard in trace.guards):
        return [container]
    return [container, _other_mode(container)]


def _other_mode(container: nn.Module) -> nn.Module:
    new = object.__new__(type(container))
    new.__dict__.update(container.__dict__)
    new.__dict__["training"] = not container.training
    return new


def _way(container: nn.Module) -> Way | None:
    inline = _inline(container, _DEPTH)
    trace = traced(container, inline)
    chains = chains_of(container, trace.graph)
    if not chains:
        return None
    words = tuple(chain.words for chain in chains)
    calls: dict[Any, Any] = {}
    for chain in chains:
        _replace(container, trace, chain, calls)
    source = trace.graph.python_code("self")
    names = tuple(
        (name, value.__name__ if isinstance(value, types.ModuleType) else value)
        for name, value in source.globals.items()
        if name in source.src
    )
    passed = tuple(sorted(inline | trace.passed))
    return Way(trace.guards, passed, trace.inputs, source.src, names, words)


def _inline(container: nn.Module, depth: int) -> frozenset[str]:
    # The children to trace through: their last step is a norm, and then comes a sum or activation
    found: set[str] = set()
    while True:
        graph = traced(container, frozenset(found)).graph
        more = {
            node.target
            for node in graph.nodes
            if _leads_on(container, node) and _ends_in_norm(container, node, depth)
        } - found
        if not more:
            return frozenset(found)
        found |= more


def _leads_on(container: nn.Module, node: Any) -> bool:
    if node.op != "call_module":
        return False
    while len(node.users) == 1:
        (user,) = node.users
        if sum_after(node) is not None or activation_after(container, node) is not None:
            return True
        if type(module_of(container, user)) is not nn.Identity:
            break
        node = user
    return False


def _ends_in_norm(container: nn.Module, node: Any, depth: int) -> bool:
    child = module_of(container, node)
    if child is None or not depth or not child._modules or not unhooked(child):
        return False
    try:
        graph = traced(child).graph
    except Untraceable:
        return False
    last = ending(child, graph)
    module = module_of(child, last)
    if module is None:
        return False
    return takes_gate(module) or _ends_in_norm(child, last, depth - 1)


def _replace(container: nn.Module, trace: Trace, chain: Chain, calls: dict[Any, Any]) -> None:
    # calls: of each chain before this one, what stands for its last node
    graph, last = trace.graph, chain.nodes[-1]
    with graph.inserting_before(last):
        module = {n: graph.get_attr(n.target) for n in chain.nodes if n.op == "call_module"}
        activation, source = chain.activation, chain.norm.args[0]
        maker = module_of(container, source) if len(source.users) == 1 else None
        arguments = (
            module[chain.norm],
            source,
            tuple(module[n] for n in chain.between),
            calls.get(chain.residual, chain.residual),
            tuple(module[n] for n in chain.after),
            activation if activation is None or isinstance(activation, tuple)
            else module[activation],
            *([graph.get_attr(source.target)] if maker and makes_new(maker) else []),
        )  # fmt: skip
        call = graph.call_function(gated, arguments)
    last.replace_all_uses_with(call)
    calls[last] = call
    for node in reversed(chain.nodes):
        graph.erase_node(node)


def forward_by(was: type[nn.Module], ways: tuple[Way, ...]) -> Callable:
    """The forward of a fused container."""
    theirs = was.forward
    compiled = [(way.inputs, _checks(way), _compiled(was, way)) for way in ways]

    @functools.wraps(theirs)
    def forward(self, *args, **kwargs):
        if not kwargs and not torch.compiler.is_compiling():
            for inputs, checks, run in compiled:
                plain = len(args) == inputs and all(type(x) is Tensor for x in args)
                if plain and _hold(self, checks):
                    return run(self, *args)
        return theirs(self, *args, **kwargs)

    return forward


def _compiled(was: type[nn.Module], way: Way) -> Callable:
    room = {
        name: importlib.import_module(value) if isinstance(value, str) else value
        for name, value in way.names
    }
    exec(compile(way.code, f"<fused {was.__qualname__}>", "exec"), room)
    return room["forward"]


class _Check(NamedTuple):
    """The guards of one module within a container, made ready: they are looked at in each call."""

    path: tuple[str, ...]
    children: tuple[str, ...]  # that are modules
    others: tuple[tuple[str, Any], ...]
    inline: bool


def _checks(way: Way) -> tuple[_Check, ...]:
    paths = dict.fromkeys([guard.path for guard in way.guards] + list(way.inline))
    found = []
    for path in paths:
        there = [(name, value) for at, name, value in way.guards if at == path]
        children = tuple(name for name, value in there if value == A_MODULE and "." not in name)
        others = tuple(each for each in there if each[0] not in children)
        parts = tuple(path.split(".")) if path else ()
        found.append(_Check(parts, children, others, path in way.inline))
    return tuple(found)


def _hold(container: nn.Module, checks: tuple[_Check, ...]) -> bool:
    for check in checks:
        module = container
        for part in check.path:
            module = module.__dict__["_modules"].get(part)
            if module is None:
                return False
        own = module.__dict__
        children = own["_modules"]
        for name in check.children:
            # As `sort_of` finds it, without the way through the attributes of a module.
            if (name in own or children.get(name) is None) and sort_of(module, name) != A_MODULE:
                return False
        for name, value in check.others:
            found = sort_of(module, name)
            if found is not value and found != value:
                return False
        if check.inline and not unhooked(module):
            return False
    return True
