"""Which arrays of a network are parameters of its norms, by the names of a state dict.

Optimizers leave these out of weight decay. A flag on each array was rejected: ndarrays carry none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..layers.base.layer import Layer
from .trees import walked

__all__ = ["norm_parameters"]


def norm_parameters(tree: Any, *, trainable: bool | None = True) -> list[str]:
    """List the parameters of norms by name, as for an optimizer without weight decay for them.

    A name is the place of the layer in the tree and that of its array, with dots between, as
    "stem.bn1.weight" or "0.bias"; of a single layer it is that of the array alone. A layer that is
    there twice has the names of its first place.

    Parameters
    ----------
    tree
        A layer, or a list, tuple or dict of them, nested at will; None in it is no norm.
    trainable
        True for the parameters that learn, False for those that the option `trainable` holds fixed,
        and None for both.

    Returns
    -------
    list of str
        The names, in the order of the tree.

    Raises
    ------
    TypeError
        For what is no layer.

    Examples
    --------
    >>> import cybn
    >>> tree = {"stem": {"bn1": cybn.BatchNorm2d(8)}, "head": [None, cybn.RMSNorm(8)]}
    >>> cybn.norm_parameters(tree)
    ['stem.bn1.weight', 'stem.bn1.bias', 'head.1.weight']
    >>> cybn.norm_parameters(cybn.BatchNorm2d(8, trainable="weight"), trainable=False)
    ['bias']
    """
    if trainable not in (True, False, None):
        raise TypeError(f"norm_parameters: trainable is True, False or None, got {trainable!r}")
    layers = {id(layer): layer for _, layer in walked(tree, "norm_parameters")}
    names = []
    for place, layer in _placed(tree):
        if layers.pop(id(layer), None) is not None:
            found = (name for name, a in layer._parameters.items() if a is not None)
            names += [
                ".".join((*place, name))
                for name in found
                if trainable is None or layer.learns(name) is trainable
            ]
    return names


def _placed(tree: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Layer]]:
    # Every layer with the keys and indices that lead to it
    if isinstance(tree, Layer):
        yield place, tree
    elif tree is not None:
        pairs = tree.items() if isinstance(tree, Mapping) else enumerate(tree)
        for key, each in pairs:
            yield from _placed(each, (*place, str(key)))
