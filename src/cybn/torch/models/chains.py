"""Find, in the graph of a forward, a batch norm and what can be done in the same pass over memory.

A chain is norm -> (add) -> (activation), with modules that do nothing in between, where each output
has no other consumer than the next. The fused call takes the place of the last of them, where the
residual is known; what lies in between must not change the input of the norm.
"""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import torch
from torch import fx, nn

from .acts import FUSED, Activation, activation_of, function_of
from .gated import takes_gate

__all__ = ["Chain", "chains_of", "ending"]

_ADDS = (operator.add, operator.iadd, torch.add, "add", "add_")
_ONTO = (operator.iadd, "add_")  # change their first operand


class Chain(NamedTuple):
    norm: fx.Node
    between: tuple[fx.Node, ...]  # nn.Identity, called before the sum
    residual: fx.Node | None
    after: tuple[fx.Node, ...]  # and behind it
    activation: fx.Node | Activation | None
    nodes: tuple[fx.Node, ...]  # all of them, in order

    @property
    def words(self) -> str:
        """The chain as a report tells it."""
        act = self.activation
        named = act[0] if isinstance(act, tuple) else act and str(act.target)
        parts = [str(self.norm.target), "residual" if self.residual is not None else None, named]
        return " + ".join(part for part in parts if part)


def module_of(container: nn.Module, node: Any) -> nn.Module | None:
    """The module that a node calls with one tensor and nothing else."""
    if not isinstance(node, fx.Node) or node.op != "call_module":
        return None
    if len(node.args) != 1 or node.kwargs or not isinstance(node.args[0], fx.Node):
        return None
    try:
        return container.get_submodule(node.target)
    except AttributeError:
        return None


def ending(container: nn.Module, graph: fx.Graph) -> fx.Node | None:
    """The node whose output the graph returns, modules that do nothing left out."""
    (last,) = (node for node in graph.nodes if node.op == "output")
    node = last.args[0]
    while isinstance(node, fx.Node) and len(node.users) == 1:
        if type(module_of(container, node)) is not nn.Identity:
            return node
        node = node.args[0]
    return None


def chains_of(container: nn.Module, graph: fx.Graph) -> list[Chain]:
    """The chains of a graph; no node is in two of them."""
    found: list[Chain] = []
    taken: set[fx.Node] = set()
    for node in graph.nodes:
        module = module_of(container, node)
        if module is None or node in taken or not takes_gate(module):
            continue
        chain = _from(container, node)
        if chain is not None and taken.isdisjoint(chain.nodes) and _undisturbed(graph, chain):
            found.append(chain)
            taken.update(chain.nodes)
    return found


def sum_after(node: fx.Node) -> fx.Node | None:
    """The sum that is the only consumer of a node, where it may be done in the same pass."""
    if len(node.users) != 1:
        return None
    (user,) = node.users
    if user.target not in _ADDS or len(user.args) != 2 or user.kwargs:
        return None
    a, b = user.args
    if not isinstance(a, fx.Node) or not isinstance(b, fx.Node) or a is b:
        return None
    return None if user.target in _ONTO and a is not node else user


def activation_after(container: nn.Module, node: fx.Node) -> fx.Node | Activation | None:
    """The activation that is the only consumer of a node: a module's call, or a function."""
    if len(node.users) != 1:
        return None
    (user,) = node.users
    module = module_of(container, user)
    if module is None:
        found = _function(user, node)
        return found if found and found[0] in FUSED else None
    found = activation_of(module)
    return user if found and found[0] in FUSED else None


def _from(container: nn.Module, norm: fx.Node) -> Chain | None:
    nodes, between, after = [norm], [], []
    residual = activation = None
    while len(nodes[-1].users) == 1:
        here = nodes[-1]
        (user,) = here.users
        module = module_of(container, user)
        total = sum_after(here) if residual is None else None
        if type(module) is nn.Identity:
            (between if residual is None else after).append(user)
        elif total is not None:
            residual = next(a for a in total.args if a is not here)
        else:
            activation = activation_after(container, here)
            if activation is not None:
                nodes.append(user)
            break
        nodes.append(user)
    while activation is None and len(nodes) > 1 and nodes[-1] in (*between, *after):
        dropped = nodes.pop()
        (between if residual is None else after).remove(dropped)
    if residual is None and activation is None:
        return None
    return Chain(norm, tuple(between), residual, tuple(after), activation, tuple(nodes))


def _function(user: fx.Node, node: fx.Node) -> Activation | None:
    if user.op == "call_module" or not user.args or user.args[0] is not node:
        return None
    return function_of(user.target, user.args[1:], user.kwargs)


def _undisturbed(graph: fx.Graph, chain: Chain) -> bool:
    # The norm is called later than it was, so nobody may change its input in between
    x = chain.norm.args[0]
    if len(x.users) == 1 and x.op != "placeholder":
        return True
    nodes = list(graph.nodes)
    first, last = nodes.index(chain.norm), nodes.index(chain.nodes[-1])
    between = [n for n in nodes[first + 1 : last] if n not in chain.nodes]
    return all(x not in n.all_input_nodes for n in between)
