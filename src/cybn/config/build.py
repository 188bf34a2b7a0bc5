"""Configs to layers: a name, a dict or a file says which layers to build, and with which options.

The registry alone decides what a name means, and the options of the class what may be set, so that
a config from anywhere is safe to load: nothing is imported or run because a file says so. Import
paths as ``type`` (hydra's ``_target_``) were rejected for that reason. Every value is checked
before a layer is built, and an error gives the file, the entry, the option, what was expected and
the nearest valid name.

One norm config serves a whole network: ``create(norm_config, num_features=width)`` reaches the
option that means the width in each layer, and None, for no norm at all, gives None.
"""

from __future__ import annotations

import os
from typing import Any

from ..layers.base.layer import Layer
from ..terms.registry import register, registry
from .budget import Budget
from .catalogue import available, describe, schema
from .dialects.shelf import find
from .dialects.table import Dialect
from .files import read_config
from .prepared import prepare
from .trees import MAX_DEPTH, MAX_ENTRIES, Checked, Trees

__all__ = [
    "MAX_DEPTH",
    "MAX_ENTRIES",
    "Checked",
    "available",
    "build",
    "check_config",
    "create",
    "describe",
    "load_config",
    "register",
    "registry",
    "schema",
]


def create(spec: Any, /, *, dialect: str | Dialect | None = None, **options: Any) -> Layer | None:
    """Build the layer that `spec` describes.

    Parameters
    ----------
    spec
        A name or alias, a dict with "type", a Layer class, or None, which gives None. It is never
        modified.
    dialect
        The library whose config it is, such as "mmengine", "timm" or "keras": names and options
        then mean what they mean there. See docs/dialects.md, and `cybn.dialects.available`.
    **options
        Options that override what the spec says. `num_features` is understood by every layer: it
        sets the option that means the width there, unless that option is given itself, and is
        dropped where there is none, once it is known to be a width. With a dialect they may be
        options of the library, too, and `spatial_dims` says the rank where its norm has none.

    Returns
    -------
    Layer or None
        A new layer.

    Raises
    ------
    UnknownName
        For an unknown layer or dialect.
    UnknownOption
        For an unknown option.
    TypeError
        For a missing option or a value of the wrong type.
    ValueError
        For a value out of range or a rule between options that is broken; for a norm of a dialect
        that no layer here can be, with what to write instead.

    Examples
    --------
    >>> import cybn
    >>> norm = {"type": "BN1d", "eps": 1e-3}
    >>> cybn.create(norm, num_features=16)
    BatchNorm1d(16, eps=0.001, momentum=0.1, affine=True, track_running_stats=True)
    >>> cybn.create("layer_norm", dialect="timm", num_features=16)
    LayerNorm((16,), eps=1e-06, elementwise_affine=True, bias=True)
    """
    prepared = prepare(spec, options, {}, None if dialect is None else find(dialect))
    return None if prepared is None else prepared.cls(**prepared.options)


def build(tree: Any, /, *, dialect: str | Dialect | None = None, **defaults: Any) -> Any:
    """Build the layers of a tree of specs, in its shape.

    What `create` takes is a layer. A list is a list of what is in it, and a dict without "type" a
    dict.

    Parameters
    ----------
    tree
        The specs. They are never modified.
    dialect
        As for `create`.
    **defaults
        Options, such as `num_features` and `dtype`, of all layers that have them and do not say
        them themselves.

    Returns
    -------
    Layer, list, dict or None
        The layers.

    Raises
    ------
    UnknownOption
        For a default that no layer of the tree has.
    TypeError, ValueError, UnknownName
        As `create`, with the place in the tree.

    Examples
    --------
    >>> import cybn
    >>> net = cybn.build({"stem": "BN2d", "head": {"type": "LN", "eps": 1e-6}}, num_features=8)
    >>> net["head"]
    LayerNorm((8,), eps=1e-06, elementwise_affine=True, bias=True)
    """
    return Trees(defaults, dialect).built(tree)


def load_config(
    path: str | os.PathLike[str],
    section: str | None = None,
    *,
    dialect: str | Dialect | None = None,
    **defaults: Any,
) -> Any:
    """Build the layers of a .toml, .json, .yaml or .yml file, in the shape of the file.

    A table with `type` is a layer, and so are a name and null (None); a list is a list of entries;
    a table without `type` is a dict of entries.

    Parameters
    ----------
    path
        The file.
    section
        The part of the file that has the layers, as "model.norm_cfg" or "stages[0]"; the rest is
        left alone. None takes the whole file.
    dialect
        As for `create`.
    **defaults
        As for `build`.

    Returns
    -------
    Layer, list, dict or None
        The layers.

    Raises
    ------
    FileNotFoundError
        For a file that there is not.
    ImportError
        For YAML without PyYAML.
    ValueError
        For a file that is malformed, of the wrong shape or too large, and for a section that it
        has not. What is wrong with an entry has the class that `create` raises and begins with
        the file and the entry.
    """
    tree = read_config(path)
    return Trees(defaults, dialect, path, section, Budget()).built(tree)


def check_config(path: str | os.PathLike[str]) -> list[Checked]:
    """Build and drop every entry of a config file, and report on each; raises for the file only."""
    return check_entries(path, read_config(path))


def check_entries(
    path: str | os.PathLike[str],
    tree: Any,
    section: str | None = None,
    dialect: str | None = None,
    **defaults: Any,
) -> list[Checked]:
    """As check_config for what a file holds, read already."""
    return Trees(defaults, dialect, path, section, Budget()).report(tree)
