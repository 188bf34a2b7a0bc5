"""Which batch norms can vanish into which layers, read from the graphs of forward.

A container is traced through all containers within it that trace, so that a norm and a layer are
neighbours wherever they lie. Nobody may notice: no hook, no other consumer, no second call or
place, no weight that another layer has too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ...layers.base.layer import Layer
from .chains import module_of
from .layers import layer_of
from .ops import unhooked
from .tracing import Untraceable, traced

__all__ = ["LINEAR", "TRANSPOSED", "Folded", "Pair", "batch_norm_of", "pairs_of", "rest_of"]

_CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
LINEAR = (nn.Linear,)


class Folded(nn.Identity):
    """In the place of a batch norm that was folded, and what of it is left to do."""

    def __init__(self, cls: str, why: str, rest: list[nn.Module]) -> None:
        super().__init__()
        self._cybn_folded = cls, why
        for i, module in enumerate(rest):
            self.add_module(str(i), module)

    def forward(self, input: Tensor) -> Tensor:
        """What came after the norm in its module."""
        for module in self._modules.values():
            input = module(input)
        return input


class Pair(NamedTuple):
    """A batch norm and the layer that takes it up, by their names in the model."""

    norm: str
    layer: str
    before: bool  # the layer comes before the norm


def pairs_of(model: nn.Module) -> Iterator[Pair]:
    """The pairs of a model; no module is in two of them."""
    # Of each container that is not traced through from another; no module is in two pairs
    taken: set[nn.Module] = set()
    seen: set[nn.Module] = set()
    places = Counter(id(m) for _, m in model.named_modules(remove_duplicate=False))
    owners = Counter(id(p) for m in set(model.modules()) for p in m._parameters.values())
    for prefix, container in model.named_modules():
        if container in seen or not container._modules:
            continue
        try:
            graph, inside = _deep(container)
        except Untraceable:
            continue
        seen.update(inside)
        calls = Counter(n.target for n in graph.nodes if n.op == "call_module")
        for node in graph.nodes:
            norm = module_of(container, node)
            if norm is None or not _can_vanish(norm):
                continue
            for other, before in _neighbours(container, node):
                layer = module_of(container, other)
                both = (norm, layer)
                if (
                    layer is not None
                    and taken.isdisjoint(both)
                    and all(places[id(m)] == 1 for m in both)
                    and calls[node.target] == calls[other.target] == 1
                    and all(owners[id(p)] == 1 for m in both for p in m._parameters.values()
                            if p is not None)
                    and _takes(layer, norm, before)
                ):  # fmt: skip
                    taken.update(both)
                    yield Pair(_joined(prefix, node.target), _joined(prefix, other.target), before)
                    break


def _joined(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _deep(container: nn.Module) -> tuple[Any, set[nn.Module]]:
    # The graph through all containers that trace, and those
    inline: set[str] = set()
    failed: set[str] = set()
    graph = traced(container).graph
    while True:
        inner = [
            node.target
            for node in graph.nodes
            if node.op == "call_module"
            and node.target not in failed
            and container.get_submodule(node.target)._modules
            and unhooked(container.get_submodule(node.target))
            and not _can_vanish(container.get_submodule(node.target))
        ]
        if not inner:
            return graph, {container, *map(container.get_submodule, inline)}
        for target in dict.fromkeys(inner):
            try:
                graph = traced(container, frozenset({*inline, target})).graph
                inline.add(target)
            except Untraceable:
                failed.add(target)


def _neighbours(container: nn.Module, node: Any) -> Iterator[tuple[Any, bool]]:
    source = node.args[0]
    while _is_nothing(container, source):
        source = source.args[0]
    if isinstance(source, fx.Node) and len(source.users) == 1:
        yield source, True
    user = node
    while len(user.users) == 1:
        user = next(iter(user.users))
        if not _is_nothing(container, user):
            yield user, False
            break


def _is_nothing(container: nn.Module, node: Any) -> bool:
    # A module that hands on what it gets, to one consumer
    module = module_of(container, node)
    plain = type(module) is nn.Identity or (type(module) is Folded and not module._modules)
    return plain and unhooked(module) and len(node.users) == 1


def _can_vanish(norm: nn.Module) -> bool:
    """Is it a batch norm by running statistics, that nobody watches?"""
    if not unhooked(norm) or getattr(norm, "running_mean", None) is None:
        return False
    return norm.running_var is not None and batch_norm_of(norm) is not None


def batch_norm_of(norm: nn.Module) -> Layer | None:
    """The layer of cybn of a batch norm, frozen or not; None for any other module."""
    if not isinstance(norm, _BatchNorm) and "running_mean" not in norm._buffers:
        return None
    layer = layer_of(norm, type(norm).__name__)
    if layer is None or type(layer).__name__[:-2] not in ("BatchNorm", "FrozenBatchNorm"):
        return None
    return layer


def _takes(layer: nn.Module, norm: nn.Module, before: bool) -> bool:
    kind = type(layer)
    if kind not in (*_CONVS, *TRANSPOSED, *LINEAR) or not unhooked(layer):
        return False
    width = norm.running_mean.numel()
    if before:
        out = layer.out_features if kind in LINEAR else layer.out_channels
        return out == width
    if kind in TRANSPOSED or rest_of(norm):
        return False  # its borders see fewer of the values that are added
    if kind in LINEAR:
        return layer.in_features == width
    return layer.in_channels == width and (
        layer.padding == "valid" or not any(layer.padding if layer.padding != "same" else (1,))
    )


def rest_of(norm: nn.Module) -> list[nn.Module]:
    """What a norm's module calls after the norm."""
    return list(norm._modules.values())
