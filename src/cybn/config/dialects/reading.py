"""From a spec in a dialect to the name and options of a layer here, with the same meaning.

What a dialect says in words that no layer has, as a scale without a shift or an axis, becomes the
options of the layer once it is known which one it is. Where that layer has no such option, the spec
is refused: a layer that is nearly the same was rejected, since nobody would notice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...exchange.connect import processes
from ...terms.messages import did_you_mean, folded, listed, shown, typos
from ...terms.registry import UnknownName, UnknownOption, registry
from ...terms.signature import options_of
from .acts import ACT, ACT_OPTIONS, activation
from .lacking import lacking
from .table import Dialect, Norm
from .words import ALL, AXIS, HELD, NDIM, REQUIRED, SCALE, SHIFT, UNSET, Onwards, Refused

__all__ = ["DIMS", "Read", "is_spec", "read"]

DIMS = "spatial_dims"  # 1, 2 or 3: the rank, where a norm of the dialect has none


class Read(NamedTuple):
    """What a spec means here."""

    type: str
    options: dict[str, Any]
    used: set[str]  # of the defaults


def is_spec(spec: Any, dialect: Dialect) -> bool:
    """Is this a norm in the dialect, rather than a list or table of them?"""
    return not isinstance(spec, (str, type(None))) and dialect.parts(spec) is not None


def read(
    spec: Any, dialect: Dialect, options: Mapping[str, Any], defaults: Mapping[str, Any]
) -> Read | None:
    """The layer that a spec means, or None for no norm.

    `options` override what the spec says, and `defaults` fill what it leaves open. Those that are
    words of the dialect have its meaning, the others are ours.
    """
    parts = dialect.parts(spec)
    if parts is None:
        keys = listed([repr(form.name) for form in dialect.forms] + ["'type'"], "or")
        raise ValueError(
            f"a spec of {dialect.name} is a name, or a table with {keys}; got {shown(spec)}"
        )
    name, given = parts
    if dialect.is_nothing(name):
        return None
    if dialect.adjust is not None:
        name = dialect.adjust(name, {**given, **options})
    norm, rank = _found(dialect, name)
    if norm.refused is not None:
        raise Refused(f"{name} of {dialect.name}: {norm.refused}")
    where = f"{norm.names[0]} of {dialect.name}"
    for key in given:
        if key not in norm.words:
            hint = did_you_mean(key, norm.words) if isinstance(key, str) else ""
            known = f"Options: {', '.join(norm.words) or 'none'}"
            raise UnknownOption(f"{where} has no option {shown(key, False)}{hint or '.'} {known}")
    said = {
        **{key: value for key, value in defaults.items() if key in norm.words},
        **given,
        **{key: value for key, value in options.items() if key in norm.words},
    }
    meant = dict(norm.always)
    for key, word in norm.words.items():
        value = said.get(key, word.default)
        if value is REQUIRED:
            raise TypeError(f"{where} needs {key}")
        if isinstance(value, str) and value.startswith(("$", "@")):
            raise ValueError(
                f"{where}: {key}={shown(value, False)} is to be filled in by who reads it, and "
                f"here it is taken as it stands; write the value, or give {key} in the call"
            )
        if value is not UNSET:
            try:
                meant.update(word.read(value))
            except Refused as error:
                raise Refused(f"{where}: {key}={error}") from None
    act, more = meant.pop(ACT, None), meant.pop(ACT_OPTIONS, {})
    ndim = meant.pop(NDIM, None)
    dims = options.get(DIMS, defaults.get(DIMS, None if ndim is None else max(ndim - 2, 1)))
    own = {key: value for key, value in options.items() if key not in (*norm.words, DIMS)}
    free = {key: value for key, value in defaults.items() if key not in (*norm.words, DIMS)}
    type_, cls = _layer(norm, rank, dims, meant, where)
    if act is not None:
        ends = activation(act, more, where)
        whole = "activation" in options_of(cls)  # else it is refused, for the activation alone
        meant.update(ends if whole else {"activation": ends["activation"]})
    found = {**_ours(cls, meant, where, {**free, **own}), **own}
    used = {key for key in defaults if key in (*norm.words, DIMS)}
    for key, value in free.items():
        if key in options_of(cls) or key == "num_features":
            used.add(key)
            found.setdefault(key, value)
    return Read(type_, found, used)


def _found(dialect: Dialect, name: Any) -> tuple[Norm, int | None]:
    # The norm, and the rank that the name says
    if not isinstance(name, str):
        raise TypeError(f"the name of a norm is a str, got {shown(name)}")
    norm = dialect.known(name)
    if norm is not None:
        return norm, None
    if "." in name:
        packages = listed(dialect.packages, "or") if dialect.packages else "no package"
        raise UnknownName(
            f"{shown(name, False)} is no norm of {dialect.name}, which knows those of {packages}"
        )
    found = _ours_there(dialect, name)
    if found is None:
        if dialect.unknown:
            raise UnknownName(f"{dialect.name} has no norm {shown(name, False)}; {dialect.unknown}")
        hint = typos(name, dialect.names()) or "."
        known = ", ".join(norm.names[0] for norm in dialect.norms if not norm.refused)
        raise UnknownName(f"{dialect.name} has no norm {shown(name, False)}{hint} Norms: {known}")
    return found


def _ours_there(dialect: Dialect, name: str) -> tuple[Norm, int | None] | None:
    # A name of ours is taken where a norm of theirs is that layer, so that whoever is told to name
    # a dialect need not rename anything
    entry = registry.registered(name)
    for norm in dialect.norms if entry is not None else ():
        for rank in (1, 2, 3) if "{}" in norm.layer else (None,):
            if norm.layer.format(rank) == entry.name:
                says_rank = folded(name).endswith(f"{rank}d")
                return norm, rank if says_rank else None
    return None


def _layer(
    norm: Norm, rank: int | None, dims: Any, meant: dict[str, Any], where: str
) -> tuple[str, type]:
    # The layer's name and class; `meant` then has a channel_axis and no AXIS
    axis = _one(meant.pop(AXIS, UNSET))
    if "{}" not in norm.layer and norm.layer not in ("GroupNorm",):
        _last(axis, dims, meant, where)
    elif axis is not UNSET:
        if not isinstance(axis, int) or isinstance(axis, bool) or axis not in (-1, 1, 2, 3, 4):
            raise Refused(
                f"{where}: the channels are on axis {shown(axis, False)}, and here on axis 1 or "
                f"the last one; write axis 1 or -1"
            )
        meant["channel_axis"] = 1 if axis == 1 else -1
        if axis > 1:
            rank = _agreed(rank, axis - 1, where)
    type_ = norm.layer
    if "{}" in type_:
        type_ = type_.format(_rank(norm, rank, dims, where))
    elif dims is not None and type_[-2:] in ("1d", "2d", "3d"):
        _agreed(int(type_[-2]), dims, where)
    if norm.synchronized and processes() > 1:
        type_ = f"Sync{type_}"
    return type_, registry.find(type_)


def _rank(norm: Norm, rank: int | None, dims: Any, where: str) -> int:
    if dims is not None:
        if type(dims) is not int or dims not in (0, 1, 2, 3):
            raise ValueError(f"{DIMS} is 1, 2 or 3, got {shown(dims)}")
        rank = _agreed(rank, max(dims, 1), where)
    if rank is None and norm.ranked:
        names = listed((norm.layer.format(rank) for rank in (1, 2, 3)), "or")
        raise ValueError(f"{where} is {names} by the number of axes; give {DIMS}=1, 2 or 3")
    return rank or 2


def _agreed(rank: int | None, other: int, where: str) -> int:
    if rank not in (None, other):
        raise ValueError(f"{where}: its rank is {rank} by its name or axis, and {other} elsewhere")
    return other


def _last(axis: Any, dims: Any, meant: dict[str, Any], where: str) -> None:
    # What layer and RMS norm average over: the last axis, or the last ones of a shape that is given
    if axis is UNSET or axis == -1:
        return
    if type(axis) is int and type(dims) is int and axis == dims + 1:
        return
    shape = meant.get("normalized_shape")
    if isinstance(axis, Onwards):
        if isinstance(shape, (list, tuple)):
            return
        raise Refused(
            f"{where}: it averages over axis {axis.axis} and all after it; give their sizes in "
            f"normalized_shape, as [4, 5]"
        )
    many = sorted(axis) if isinstance(axis, list) and all(type(i) is int for i in axis) else None
    if many and isinstance(shape, (list, tuple)) and many == list(range(-len(shape), 0)):
        return
    raise Refused(
        f"{where}: it averages over axis {shown(axis, False)}, and here over the last one, or the "
        f"last ones; write -1, or [-2, -1] with their sizes in normalized_shape"
    )


def _one(axis: Any) -> Any:
    single = isinstance(axis, (list, tuple)) and len(axis) == 1
    return axis[0] if single else list(axis) if isinstance(axis, tuple) else axis


def _ours(cls: type, meant: dict[str, Any], where: str, given: Mapping[str, Any]) -> dict[str, Any]:
    # Options of the class alone
    known = options_of(cls)
    scale, shift = meant.pop(SCALE, UNSET), meant.pop(SHIFT, UNSET)
    held = meant.pop(HELD, False)
    if meant.get("num_groups") is ALL:
        meant["num_groups"] = given.get("num_features", meant.get("num_features"))
        if meant["num_groups"] is None:
            raise TypeError(f"{where} has as many groups as channels; give num_features")
    affine = "affine" if "affine" in known else "elementwise_affine"
    if scale is not UNSET or shift is not UNSET:
        for value in (scale, shift):
            if value is not UNSET and not isinstance(value, bool):
                raise TypeError(f"{where}: scale and shift are true or false, got {shown(value)}")
        if (
            scale is False
            and affine in known
            and shift in ((False,) if "weight" in known else (False, UNSET))
        ):
            meant[affine] = False
        elif "weight" in known:
            meant.update({affine: True} if affine in known else {})
            own = {"weight": scale, "bias": shift}
            meant.update({name: value for name, value in own.items() if value is not UNSET})
        elif scale is False:
            meant["weight"] = False
        else:
            meant.update({affine: True} if affine in known else {})
            if shift is not UNSET and ("bias" in known or shift):
                meant["bias"] = shift
    learns = meant.get(
        affine, given.get(affine, known[affine].default if affine in known else True)
    )
    if held and learns:
        meant["trainable"] = False
    return lacking(cls, meant, where)
