"""What a conversion did with a model, to read and as data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from torch import nn

from ..modules import OURS
from .decide import verdict
from .fusing import fused_class
from .gated import takes_gate
from .own import OWN
from .swap import check_module, fusible_containers, is_compiled, was_converted
from .swapped import origin, recipe_of
from .tracing import Untraceable

__all__ = ["Entry", "Report", "report"]


class Entry(NamedTuple):
    """One module of a model."""

    name: str  # as in named_modules; "" is the model itself
    cls: str  # of the class it was of before
    why: str  # how it is computed, what is fused, or why nothing was done


@dataclass(frozen=True)
class Report:
    """What became of the norms of a model; printed, a line for all modules that are alike.

    `swapped` norms run on the kernels here; `fused` containers compute what follows a batch norm
    with it, a `why` such as ``"bn1 + relu"`` for each place; `left` norms were left alone; of
    `unfused` containers the forward could not be traced or has something that would be noticed;
    `folded` batch norms are in the weights of their neighbours. Each is a tuple of `Entry`.
    """

    swapped: tuple[Entry, ...]
    fused: tuple[Entry, ...]
    left: tuple[Entry, ...]
    unfused: tuple[Entry, ...]
    folded: tuple[Entry, ...]

    @property
    def norms(self) -> int:
        """How many norms there are."""
        return len(self.swapped) + len(self.left) + len(self.folded)

    @property
    def places(self) -> int:
        """How many norms are computed with what follows them."""
        found = set()
        for name, _, why in self.fused:
            for place in why.split(", "):
                norm = place.split(" + ")[0]
                found.add(f"{name}.{norm}" if name else norm)
        return len(found)

    def as_dict(self) -> dict[str, list[dict[str, str]]]:
        """All of it in lists and dicts of strings, as JSON takes them."""
        return {kind: [entry._asdict() for entry in getattr(self, kind)] for kind in _KINDS}

    def __str__(self) -> str:
        if not self.norms:
            return "no norms"
        fused = f", {self.places} of them fused" if self.fused else ""
        counts = [f"{len(self.swapped)} swapped{fused}"] if self.swapped else []
        counts += [
            f"{len(getattr(self, kind))} {words}"
            for kind, words in (("left", "left alone"), ("folded", "folded"))
            if getattr(self, kind)
        ]
        head = f"{self.norms} norm{'s' * (self.norms != 1)}: {', '.join(counts)}"
        return "\n".join([head, *self._lines()])

    def _lines(self) -> Iterator[str]:
        for kind, words in _KINDS.items():
            alike: dict[tuple[str, str], list[str]] = {}
            for name, cls, why in getattr(self, kind):
                alike.setdefault((cls, why), []).append(name)
            for (cls, why), names in alike.items():
                yield f"  {words:<12}{_told(kind, cls, why, names)}"


_KINDS = {
    "swapped": "swapped",
    "fused": "fused",
    "folded": "folded",
    "left": "left alone",
    "unfused": "not fused",
}


def _told(kind: str, cls: str, why: str, names: list[str]) -> str:
    where = names[0] or "the model"
    if len(names) > 1:
        where = f"{len(names)} as {where}"
    said = f"{cls}: {why}" if why else cls
    return f"{where}: {why if kind == 'fused' else said}"


def report(model: nn.Module) -> Report:
    """Tell what of a model was swapped, fused and left alone, and why.

    It is found out from the model as it is, so a copy or a loaded one tells the same.

    Parameters
    ----------
    model
        Any model, converted or not. It is not changed.

    Returns
    -------
    Report
        What became of each norm: readable when printed, tuples of entries as data.

    Raises
    ------
    TypeError
        For what is no module.

    Examples
    --------
    >>> import torch
    >>> import cybn.torch
    >>> class Odd(torch.nn.LayerNorm):
    ...     def forward(self, x):
    ...         return super().forward(x).abs()
    >>> model = torch.nn.Sequential(torch.nn.LayerNorm(8), Odd(8))
    >>> found = cybn.torch.report(cybn.torch.convert(model))
    >>> [entry.name for entry in found.swapped], [entry.name for entry in found.left]
    (['0'], ['1'])
    """
    check_module("report", model)
    swapped, fused, left, folded = [], [], [], []
    for name, module in model.named_modules():
        was = origin(module)
        recipe = recipe_of(module)
        if type(module) in (*OURS.values(), *OWN.values()):
            swapped.append(Entry(name, type(module).__name__, ""))
        elif "_cybn_folded" in module.__dict__:
            folded.append(Entry(name, *module._cybn_folded))
        elif was is not None and isinstance(recipe.plan, tuple):
            if recipe.plan[0].words:
                fused.append(Entry(name, was.__name__, ", ".join(recipe.plan[0].words)))
        elif was is not None:
            swapped.append(Entry(name, was.__name__, f"as {recipe.plan.norm}"))
        elif was_converted(module):
            swapped.append(Entry(name, type(module).__name__, "given another class since"))
        else:
            found = verdict(module)
            if found is not None:
                why = found.why if found.cls is None else "not converted"
                left.append(Entry(name, type(module).__name__, why))
    return Report(*map(tuple, (swapped, fused, left, _unfused(model), folded)))


def _unfused(model: nn.Module) -> list[Entry]:
    # Containers that have a batch norm of their own and are not fused
    names = {module: name for name, module in model.named_modules()}
    found = []
    for container in fusible_containers(model):
        try:
            cls = fused_class(container)
        except Untraceable as reason:
            if _own_norm(container):
                found.append(Entry(names[container], type(container).__name__, str(reason)))
        else:
            if cls is not None and cls._cybn_recipe.plan[0].words:
                why = "could be fused; convert with fuse=True does"
                found.append(Entry(names[container], type(container).__name__, why))
    for module in filter(is_compiled, model.modules()):
        found.append(Entry(names[module], type(module).__name__, "it is compiled"))
    return found


def _own_norm(container: nn.Module) -> bool:
    return any(takes_gate(child) for child in container.children())
