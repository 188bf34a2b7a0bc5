"""The kinds of value that an option can take, read from annotations.

A kind has three sides: ``text`` names it in messages, ``check`` takes a value or refuses it, and
``schema`` is the same in JSON Schema. One small class for each kind of annotation keeps the three
sides together; three functions with a branch for each annotation were rejected, since they drift
apart.

- ``int``, ``float``, ``bool``, ``str``, ``None``, unions, ``Literal``, ``list``, ``tuple``,
  ``Sequence``, ``dict`` and ``DType`` are checked. Any other annotation, or none, takes any value.
- A range is ``Annotated[float, Bounds(gt=0)]``; ``Shape`` is one size or a list of sizes.
- bool is no int, an int is a float, and numbers are finite, as they are in a JSON file.
- A checked value is plain: NumPy scalars and dtypes become int, float, bool and str, and an array
  that stands for a list becomes one.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import numpy as np

from .bounds import NO_BOUNDS, Bounds
from .messages import listed, shown

__all__ = [
    "MOST", "Bounds", "Count", "DType", "Kind", "PositiveInt", "Shape", "Sizes", "Trainable",
    "kind_of",
]  # fmt: skip

MOST = 2**31 - 1  # of anything that a layer keeps one by one
_LARGEST = sys.float_info.max
_SCALARS = {  # by type: name in messages, type in JSON Schema, accepted types
    int: ("int", "integer", (int, np.integer)),
    float: ("number", "number", (int, float, np.integer, np.floating)),
    bool: ("bool", "boolean", (bool, np.bool_)),
    str: ("str", "string", (str,)),
}


class Kind:
    """What values an option takes; this one takes any.

    A kind of one's own goes into an annotation: ``Annotated[str, MyKind()]``.
    """

    text = "any value"  # as messages and ``describe`` name it

    def check(self, value: Any, where: str) -> Any:
        """The value made plain; TypeError for a wrong type, ValueError for one out of range."""
        return value

    def check_config(self, value: Any, where: str) -> Any:
        """As check, for a value from a config, whose ints may be floats without a fraction."""
        try:
            return self.check(value, where)
        except (TypeError, ValueError):
            try:
                return self.check(_with_whole(value), where)
            except (TypeError, ValueError):
                pass
            raise

    def takes(self, value: Any) -> bool:
        """Is the value one that `check` takes?"""
        try:
            self.check(value, "")
        except (TypeError, ValueError):
            return False
        return True

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the values."""
        return {}

    def alternatives(self) -> tuple[Kind, ...]:
        """The kinds that a union has; any other kind is its own only one."""
        return (self,)

    def refusal(self, error: type[Exception], value: Any, where: str, why: str = "") -> Exception:
        """The error that says what ``where`` must be, and what it got; ``why`` ends the message."""
        article = "" if not self.text[0].islower() else "an " if self.text[0] in "aeiou" else "a "
        got = shown(value, with_type=issubclass(error, TypeError))
        if isinstance(value, float) and not math.isfinite(value):
            got += ", which is not finite"
        return error(f"{where} must be {article}{self.text}, got {got}{why}")


@dataclass(frozen=True)
class Scalar(Kind):
    """One int, float, bool or str; numbers may have bounds."""

    type: type
    bounds: Bounds = NO_BOUNDS

    @property
    def text(self) -> str:
        return f"{_SCALARS[self.type][0]} {self.bounds}".rstrip()

    def check(self, value: Any, where: str) -> Any:
        accepted = _SCALARS[self.type][2]
        if not isinstance(value, accepted) or (isinstance(value, bool) and self.type is not bool):
            raise self.refusal(TypeError, value, where)
        if self.type is float and isinstance(value, int) and abs(value) > _LARGEST:
            value = math.inf if value > 0 else -math.inf
        plain = self.type(value)
        finite = self.type is not float or math.isfinite(plain)
        if not finite or plain not in self.bounds:
            raise self.refusal(ValueError, plain, where)
        return plain

    def schema(self) -> dict[str, Any]:
        finite = self.type is float  # a reader of JSON may make inf of 1e400
        limits = {"minimum": -_LARGEST, "maximum": _LARGEST} if finite else {}
        own = self.bounds.schema()
        if "exclusiveMinimum" in own:
            limits.pop("minimum", None)
        if "exclusiveMaximum" in own:
            limits.pop("maximum", None)
        return {"type": _SCALARS[self.type][1], **limits, **own}


class Count(Scalar):
    """How many of something a layer keeps: an int, and no more than can be kept."""

    def check(self, value: Any, where: str) -> int:
        if self is _SIZE and type(value) is int and 1 <= value <= MOST:
            return value  # at once, for small calls
        plain = super().check(value, where)
        if plain > MOST:
            raise self.refusal(ValueError, plain, where, f", which is more than {MOST:,}")
        return plain

    def schema(self) -> dict[str, Any]:
        return {**super().schema(), "maximum": MOST}


@dataclass(frozen=True)
class Choice(Kind):
    """One of a few literal values."""

    values: tuple

    @property
    def text(self) -> str:
        return listed(map(repr, self.values), "or")

    def check(self, value: Any, where: str) -> Any:
        plain = value.item() if isinstance(value, np.generic) else value
        alike = [choice for choice in self.values if type(choice) is type(plain)]
        if plain not in alike:  # compared within one type, so that True is not 1
            raise self.refusal(ValueError if alike else TypeError, value, where)
        return plain

    def schema(self) -> dict[str, Any]:
        return {"type": "null"} if self.values == (None,) else {"enum": list(self.values)}


class DTypeName(Choice):
    """A dtype by its name, a NumPy dtype, or a NumPy scalar type."""

    def check(self, value: Any, where: str) -> str:
        if isinstance(value, np.dtype):
            value = value.name if value.isnative else value.str
        elif isinstance(value, type) and issubclass(value, np.generic):
            value = value.__name__
        if str(value) in ("float16", "bfloat16"):
            raise self.refusal(ValueError, value, where, f"; x may be {value} with either")
        return super().check(value, where)


@dataclass(frozen=True)
class Either(Kind):
    """A union: the first kind that takes the value."""

    kinds: tuple[Kind, ...]

    @property
    def text(self) -> str:
        return " or ".join(kind.text for kind in self.kinds)

    def alternatives(self) -> tuple[Kind, ...]:
        return tuple(each for kind in self.kinds for each in kind.alternatives())

    def check(self, value: Any, where: str) -> Any:
        error: type[Exception] = TypeError
        for kind in self.kinds:
            try:
                return kind.check(value, where)
            except TypeError:
                continue
            except ValueError:  # the right type for one kind: the range is what is wrong
                error = ValueError
        raise self.refusal(error, value, where)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [kind.schema() for kind in self.kinds]}


@dataclass(frozen=True)
class Items(Kind):
    """A list or tuple: any number of one kind, or, if ``fixed``, one value per kind."""

    container: type
    kinds: tuple[Kind, ...]
    fixed: bool = False

    @property
    def text(self) -> str:
        if self.fixed:
            return f"list [{', '.join(kind.text for kind in self.kinds)}]"
        return f"list of {self.kinds[0].text}"

    def check(self, value: Any, where: str) -> Any:
        if isinstance(value, np.ndarray) and value.ndim:
            value = value.tolist()
        if not isinstance(value, (list, tuple)):
            raise self.refusal(TypeError, value, where)
        if self.fixed and len(value) != len(self.kinds):
            raise self.refusal(ValueError, value, where)
        kinds = self.kinds if self.fixed else self.kinds * len(value)
        return self.container(
            kind.check(item, f"{where}[{i}]")
            for i, (kind, item) in enumerate(zip(kinds, value, strict=True))
        )

    def schema(self) -> dict[str, Any]:
        schemas = [kind.schema() for kind in self.kinds]
        if not self.fixed:
            return {"type": "array", "items": schemas[0]}
        size = len(schemas)
        return {"type": "array", "prefixItems": schemas, "minItems": size, "maxItems": size}


@dataclass(frozen=True)
class Table(Kind):
    """A dict whose values are of one kind; its keys are str, as in a config file."""

    values: Kind

    @property
    def text(self) -> str:
        return f"dict of str to {self.values.text}"

    def check(self, value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise self.refusal(TypeError, value, where)
        return {key: self.values.check(item, f"{where}[{key!r}]") for key, item in value.items()}

    def schema(self) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": self.values.schema()}


@dataclass(frozen=True)
class Sizes(Kind):
    """The sizes of the last axes of an array: one int, or a list of them; kept as a tuple."""

    text = "int >= 1 or list of them"

    def check(self, value: Any, where: str) -> tuple[int, ...]:
        sizes = value if isinstance(value, (list, tuple)) else (value,)
        try:
            plain = tuple([_SIZE.check(size, where) for size in sizes])
        except (TypeError, ValueError) as error:
            raise self.refusal(type(error), value, where) from None
        if not plain or math.prod(plain) > MOST:
            why = f", in all more than {MOST:,}" if plain else ""
            raise self.refusal(ValueError, value, where, why)
        return plain

    def schema(self) -> dict[str, Any]:
        one = _SIZE.schema()
        return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}


_SIZE = Count(int, Bounds(ge=1))


def kind_of(annotation: Any, bounds: Bounds = NO_BOUNDS) -> Kind:
    """The kind of value that an annotation means; ``bounds`` hold for the numbers in it."""
    origin, args = get_origin(annotation), get_args(annotation)
    base = origin or annotation
    if origin is Annotated:
        extras = annotation.__metadata__
        own = next((extra for extra in extras if isinstance(extra, Kind)), None)
        bounds = next((extra for extra in extras if isinstance(extra, Bounds)), bounds)
        return own or kind_of(args[0], bounds)
    if origin in (Union, UnionType):
        return Either(tuple(kind_of(arg, bounds) for arg in args))
    if origin is Literal:
        return Choice(args)
    if annotation is None or annotation is NoneType:
        return Choice((None,))
    if annotation in (int, float):
        return Scalar(annotation, bounds)
    if annotation in (bool, str):
        return Scalar(annotation)
    if base in (list, tuple, Sequence):
        container = list if base is list else tuple
        fixed = base is tuple and args != () and args[-1] is not Ellipsis
        kinds = tuple(kind_of(arg, bounds) for arg in args if arg is not Ellipsis)
        return Items(container, kinds or (Kind(),), fixed)
    if base in (dict, Mapping):
        return Table(kind_of(args[1], bounds) if args else Kind())
    return Kind()


def _with_whole(value: Any) -> Any:
    """A value from a file with each float that has no fraction as an int.

    JSON has one kind of number, and to JSON Schema 16.0 is an integer.
    """
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, (list, tuple)):
        return [_with_whole(item) for item in value]
    if isinstance(value, dict):
        return {key: _with_whole(item) for key, item in value.items()}
    return value


PositiveInt = Annotated[int, _SIZE]
Shape = Annotated[int | Sequence[int], Sizes()]
DType = Annotated[str, DTypeName(("float32", "float64"))]
Trainable = bool | Literal["weight", "bias"]
