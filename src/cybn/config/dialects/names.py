"""Names of arrays in the state of another library, beside those of its options.

Every layer is loaded by our names, too, which are PyTorch's. Where a library has one tree of names
for parameters and another for statistics, as Flax has, what begins a name is left out; where it has
a path, as TensorFlow has, the path is written with dots.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...terms.messages import shown

__all__ = ["StateNames"]

PLUS = " + "


@dataclass(frozen=True)
class StateNames:
    """What a library calls the arrays of its norms, and how it writes the names.

    Axes of one item do not matter to an array that is loaded by it.

    Parameters
    ----------
    names
        By our name of an array, as "running_var", the names that it has there.
    of
        The same for the layers of a name: what is in no other. "IN.weight + BN.weight" are two
        arrays, joined.
    first
        What names begin with that says which kind of array follows.
    separator
        What stands between the parts of a name.
    tails
        What names end in that means nothing.

    Examples
    --------
    >>> names = StateNames({"weight": ("gamma",)}, separator="/", tails=(":0",))
    >>> names.dotted("stem/bn/gamma:0"), names.sources("BatchNorm2d", "weight")
    ('stem.bn.gamma', [('weight',), ('gamma',)])
    """

    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    of: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    first: tuple[str, ...] = ()
    separator: str = "."
    tails: tuple[str, ...] = ()

    def spelled(self, state: Mapping[Any, Any]) -> dict[Any, tuple[Any, Any]]:
        """Write the names of a state dict, which may be one of dicts, with dots.

        Parameters
        ----------
        state
            The arrays by name, or dicts of them.

        Returns
        -------
        dict
            By the name with dots the key and the value that it stands for.

        Raises
        ------
        ValueError
            For two keys of one name.
        """
        spelled: dict[Any, tuple[Any, Any]] = {}
        for key, value in _leaves(state):
            name = self.dotted(key) if isinstance(key, str) else key
            if name in spelled:
                both = f"{shown(spelled[name][0], False)} and {shown(key, False)}"
                raise ValueError(f"{both} are one name, {name!r}; drop one of them")
            spelled[name] = key, value
        return spelled

    def dotted(self, name: str) -> str:
        """Write a name, or the beginning of one, with dots.

        Parameters
        ----------
        name
            The name.

        Returns
        -------
        str
            The name with dots, without a tail and the kind of array.
        """
        for tail in self.tails:
            name = name.removesuffix(tail)
        name = name.replace(self.separator, ".")
        for first in self.first:
            name = name.removeprefix(f"{first}.")
        return name

    def sources(self, layer: str, name: str) -> Iterable[tuple[str, ...]]:
        """List what an array of ours may be called.

        Parameters
        ----------
        layer
            The registered name of the layer.
        name
            The name of the array there.

        Returns
        -------
        list of tuple of str
            The names; several in one tuple are of parts to join.
        """
        head, dot, last = name.rpartition(".")
        own = self.of.get(layer, {}).get(name, ())
        theirs = (head + dot + each for each in self.names.get(last, ()))
        return [tuple(each.split(PLUS)) for each in (name, *own, *theirs)]


def _leaves(state: Mapping[Any, Any], *path: Any) -> Iterator[tuple[Any, Any]]:
    for key, value in state.items():
        parts = (*path, *(key if isinstance(key, tuple) else (key,)))
        if isinstance(value, Mapping):
            yield from _leaves(value, *parts)
        else:
            yield (".".join(map(str, parts)) if len(parts) > 1 else parts[0]), value


#: layers of papers, as the code of their authors and PyTorch's relatives call their arrays
OF_PAPERS: dict[str, dict[str, tuple[str, ...]]] = {
    "IBN": {
        "weight": ("IN.weight + BN.weight",),
        "bias": ("IN.bias + BN.bias",),
        "running_mean": ("BN.running_mean",),
        "running_var": ("BN.running_var",),
        "num_batches_tracked": ("BN.num_batches_tracked",),
    },
    "RevIN": {"weight": ("affine_weight",), "bias": ("affine_bias",)},
    "EvoNormB0": {"v1": ("v",)},
    "EvoNormS0": {"v1": ("v",)},
    "ScaleNorm": {"weight": ("scale", "g")},
    "PartialRMSNorm": {"weight": ("scale",)},
}
AFFINE = {"weight": ("gamma",), "bias": ("beta",)}
TORCH = StateNames(AFFINE, OF_PAPERS)
