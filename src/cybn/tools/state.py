"""State of a tree of layers: one state dict with PyTorch's dotted names.

A layer's own names follow its place in the tree, as "encoder.0.norm1.weight". Loading checks all of
it before the first array is changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..config.dialects.shelf import find
from ..config.dialects.table import Dialect
from ..layers.base.arrays import Arrays
from ..layers.base.state import IncompatibleKeys, Place, load
from ..terms.messages import shown
from .trees import named

__all__ = ["load_state_dict", "state_dict"]


def state_dict(tree: Any, prefix: str = "") -> dict[str, np.ndarray]:
    """Copy the parameters and buffers of all layers of a tree.

    Parameters
    ----------
    tree
        A layer, or lists and dicts of layers and None, as `build` and `load_config` give them.
    prefix
        What all names are to begin with.

    Returns
    -------
    dict
        The copies, by PyTorch's dotted names. A layer that is in two places is there twice.

    Raises
    ------
    TypeError
        For what is no layer.
    ValueError
        For two arrays of one name.

    Examples
    --------
    >>> import cybn
    >>> net = cybn.build({"stem": "BN2d", "blocks": [{"type": "LN"}, None]}, num_features=8)
    >>> list(cybn.state_dict(net))[4:]
    ['stem.num_batches_tracked', 'blocks.0.weight', 'blocks.0.bias']
    """
    state: dict[str, np.ndarray] = {}
    for place, layer in named(tree, "state_dict"):
        for name, a in layer.state_dict().items():
            key = f"{prefix}{place}{name}"
            if key in state:
                raise ValueError(f"two arrays are called {shown(key, False)}; rename a layer")
            state[key] = a
    return state


def load_state_dict(
    tree: Any,
    state: Mapping[str, Any],
    strict: bool = True,
    *,
    prefix: str = "",
    dialect: str | Dialect | None = None,
) -> IncompatibleKeys:
    """Copy a state dict, of this library or of another, into the layers of a tree.

    Names, dtypes, shapes and values of all layers are checked first; if anything is wrong nothing
    is changed.

    Parameters
    ----------
    tree
        A layer, or lists and dicts of layers and None.
    state
        The arrays by name: NumPy's, tensors of PyTorch, or whatever has an `__array__`. With a
        dialect it may be a dict of dicts.
    strict
        Whether missing and unexpected names are errors; else they are left alone.
    prefix
        What the names of the tree begin with, as "backbone."; others are left alone.
    dialect
        The library whose names they are, such as "keras" or "flax": see docs/saving.md.

    Returns
    -------
    IncompatibleKeys
        The missing and the unexpected names.

    Raises
    ------
    StateError
        For missing or unexpected names, and a prefix that no name has: a LookupError and
        ValueError.
    ValueError
        For a shape or value.
    TypeError
        For a dtype, and for what is no layer.

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> net = {"norm": cybn.LayerNorm(2)}
    >>> state = {"params": {"norm": {"scale": np.full(2, 3.0), "bias": np.zeros(2)}}}
    >>> cybn.load_state_dict(net, state, dialect="flax")
    IncompatibleKeys(missing_keys=[], unexpected_keys=[])
    >>> net["norm"].weight
    array([3., 3.], dtype=float32)
    """
    own = Arrays.load_state_dict
    places = [
        Place(place, layer, type(layer).load_state_dict is not own)
        for place, layer in named(tree, "load_state_dict")
    ]
    return load(places, state, strict, prefix, None if dialect is None else find(dialect).state)
