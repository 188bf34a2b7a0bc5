"""Whose words a spec is written in, where no dialect was named: for the error that says so.

Nothing is built by a guess. A dialect is named if the spec, read in it, builds; if all that know
the norm refuse it, the reason is theirs. So the advice can be followed, and no step of it leads to
another norm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...terms.messages import listed, shown
from ...terms.registry import UnknownName, UnknownOption
from .reading import Read, read
from .shelf import every
from .table import Dialect
from .words import OneMinus, Refused

__all__ = [
    "EXEMPT",
    "HEAVY",
    "check_momentum",
    "foreign",
    "is_foreign",
    "momentum_layers",
    "momentum_schema",
]

HEAVY = 0.9  # from here on, below 1, a momentum is rather the weight of what was
EXEMPT = ("affine", "track_running_stats", "channel_axis")  # words of no library that means 1 - it
_KEYS = ("_target_", "class_path", "class_name", "op_type", "opType", "norm_op", "model_type",
         "_class_name")  # fmt: skip

Build = Callable[[Read], Any]


def is_foreign(spec: Mapping[Any, Any]) -> bool:
    """Does a table name a norm by a key of another library?"""
    return any(isinstance(spec.get(key), str) for key in _KEYS)


def foreign(
    spec: Any, options: Mapping[str, Any], error: Exception, prepared: Build
) -> Exception | None:
    """What to say instead of `error` of a spec that a dialect knows; None where none does."""
    takes, refusals = [], []
    for dialect in every():
        try:
            found = read(spec, dialect, options, {})
            if found is not None:
                prepared(found)
        except Refused as refusal:
            refusals.append((dialect, refusal))
        except TypeError as wrong:  # a width may still come
            if not isinstance(wrong, UnknownOption) and " needs " in str(wrong):
                takes.append(dialect)
        except Exception:  # not in this dialect
            continue
        else:
            takes.append(dialect)
    name = _name(spec)
    takes = [each for each in takes if name and each.known(name)] or takes
    space = name.partition(".")[0] if name and "." in name else None
    takes = [each for each in takes if space in each.packages[:1]] or takes
    if not takes:
        known = [each for each in refusals if name and each[0].known(name)] or refusals
        return _error(error, f"{_start(error)}; {known[0][1]}") if known else None
    if space is not None and [each.name for each in takes] == ["torch"]:
        return _error(error, f"{error}; or {_advice(takes)}")  # what is near is the same there
    if not isinstance(error, UnknownOption):
        return _error(error, f"{_start(error)}; {_advice(takes)}")
    strange = [key for key in spec if isinstance(key, str)] if isinstance(spec, Mapping) else []
    if sum(_is_strange(key, error) for key in strange) > 1 or _heavy(spec):
        return _error(error, f"{_start(error)}; {_advice(takes)}")
    return _error(error, f"{error}; or {_advice(takes)}")


def _advice(takes: list[Dialect]) -> str:
    if len(takes) == 1:
        return f"pass dialect={takes[0].name!r}, if it is from there: {takes[0].title}"
    names = listed((repr(each.name) for each in takes), "or")
    return f"pass dialect={names}, whichever it is from"


def _start(error: Exception) -> str:
    # What is wrong, without the names that are near
    text = str(error)
    for end in ("; did you mean", ". cybn.available()", ". Available:", ". Options:"):
        text = text.partition(end)[0]
    return text


def _error(error: Exception, text: str) -> Exception:
    cls = next(
        each
        for each in (UnknownOption, UnknownName, TypeError, ValueError)
        if isinstance(error, each)
    )
    return cls(text)


def _name(spec: Any) -> str | None:
    if isinstance(spec, str):
        return spec
    keys = ("type", *_KEYS) if isinstance(spec, Mapping) else ()
    return next((spec[key] for key in keys if isinstance(spec.get(key), str)), None)


def _is_strange(key: str, error: Exception) -> bool:
    known = str(error).partition("Options: ")[2].split(", ")
    return key not in (*known, "type", "num_features")


def momentum_layers() -> frozenset[str]:
    """The layers that some library has with a momentum the other way round."""
    return frozenset(
        norm.layer.format(rank)
        for dialect in every()
        for norm in dialect.norms
        if any(isinstance(word, OneMinus) for word in norm.words.values())
        for rank in (1, 2, 3)
    )


def check_momentum(layer: str, spec: Any) -> None:
    """ValueError for a spec of a layer with a momentum that looks like the weight of what was."""
    if _heavy(spec) and layer in momentum_layers():
        raise ValueError(
            f"{layer}: momentum={shown(spec['momentum'], False)} would weigh the new batch, and in "
            f"other libraries weighs what was; pass dialect='keras', 'flax', 'onnx' or 'paddle' if "
            f"that is meant, and dialect='torch' if the new batch is"
        )


def momentum_schema() -> dict[str, Any]:
    """What check_momentum asks for, as JSON Schema."""
    heavy = {"type": "number", "minimum": HEAVY, "exclusiveMaximum": 1}
    return {
        "if": {"properties": {"momentum": heavy}, "required": ["momentum"]},
        "then": {"anyOf": [{"required": [key]} for key in EXEMPT]},
    }


def _heavy(spec: Any) -> bool:
    if not isinstance(spec, Mapping) or any(key in spec for key in EXEMPT):
        return False
    momentum = spec.get("momentum")
    number = isinstance(momentum, (int, float)) and not isinstance(momentum, bool)
    return number and HEAVY <= momentum < 1
