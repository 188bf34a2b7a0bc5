"""What the options of somebody else's norm mean here: the words that tables are made of.

A word is an option of theirs. It reads a value into options of ours, or refuses it with the reason
and with what to write instead. Five of them were enough for nine libraries; a function for each
option was rejected, since nobody can print a table of functions.

Some results are no options of a layer yet. `reading` makes those of them, once the layer is known:

| name | is |
|---|---|
| ``SCALE``, ``SHIFT`` | whether there is a weight, and a bias |
| ``AXIS`` | the axis of the channels, or what is normalized over, in a library with channels last |
| ``NDIM`` | how many axes x has |
| ``HELD`` | weight and bias do not learn, and statistics still move |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ...terms.messages import shown

__all__ = [
    "ALL", "AXIS", "HELD", "NDIM", "REQUIRED", "SCALE", "SHIFT", "UNSET",
    "As", "DTypeOf", "Learns", "OneMinus", "Only", "Onwards", "Refusal", "Refused", "Unused",
    "Word",
]  # fmt: skip

# no option has a space
SCALE, SHIFT, AXIS, NDIM, HELD = "scale ", "shift ", "axis ", "ndim ", "held "
ALL: Any = type("All", (), {"__repr__": lambda self: "all"})()  # as many as there are channels
UNSET: Any = type("Unset", (), {"__repr__": lambda self: "unset"})()
REQUIRED: Any = type("Required", (), {"__repr__": lambda self: "required"})()


@dataclass(frozen=True)
class Onwards:
    """An axis, counted from the first, and all that come after it."""

    axis: int


class Refused(ValueError):  # noqa: N818
    """A dialect knows this norm, or this option of it, and there is nothing like it here."""


@dataclass(frozen=True)
class Refusal:
    """Why something is not built, and what to write instead.

    Parameters
    ----------
    why
        The reason.
    instead
        A spec that builds without a dialect, or None.
    then
        What else is to be done, if that alone is not the same.
    """

    why: str
    instead: Mapping[str, Any] | None = None
    then: str = ""

    def __str__(self) -> str:
        if self.instead is None:
            return self.why
        then = f" {self.then}" if self.then else ""
        return f"{self.why}; write {dict(self.instead)}{then}"


@dataclass(frozen=True)
class Word:
    """An option of theirs. A word of one's own has `read` and `says`.

    Parameters
    ----------
    default
        Its value where a spec does not give it; REQUIRED if it has to, left out if nothing follows.
    """

    default: Any = field(default=UNSET, kw_only=True)

    def read(self, value: Any) -> Mapping[str, Any]:
        """Tell which options of ours a value stands for.

        Parameters
        ----------
        value
            Theirs.

        Returns
        -------
        dict
            Ours, by name.

        Raises
        ------
        Refused
            Where there are none with this meaning.
        """
        raise NotImplementedError

    def says(self) -> str:
        """Say what the word means, for a table.

        Returns
        -------
        str
            A phrase of Markdown.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class As(Word):
    """An option with the name of ours, or another one, and the same values.

    Parameters
    ----------
    ours
        The name of our option.
    default
        Its value where a spec does not give it; REQUIRED if it has to, left out if nothing follows.

    Examples
    --------
    >>> As("eps", default=1e-3).read(0.1)
    {'eps': 0.1}
    """

    ours: str

    def read(self, value: Any) -> Mapping[str, Any]:
        return {self.ours: value}

    def says(self) -> str:
        return {
            SCALE: "a weight or none", SHIFT: "a bias or none", AXIS: "the axis of the channels",
            NDIM: "the number of axes",
        }.get(self.ours, f"`{self.ours}`")  # fmt: skip


@dataclass(frozen=True)
class OneMinus(As):
    """An option of ours with 1 - value: their momentum weighs what was, ours what is new.

    Parameters
    ----------
    ours
        The name of our option.
    default
        Its value where a spec does not give it; REQUIRED if it has to, left out if nothing follows.

    Examples
    --------
    >>> OneMinus("momentum").read(0.99)
    {'momentum': 0.01}
    """

    def read(self, value: Any) -> Mapping[str, Any]:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 2:
            value = float(1 - Decimal(repr(float(value))))  # 0.01, not 0.010000000000000009
        return {self.ours: value}

    def says(self) -> str:
        return f"1 - `{self.ours}`"


@dataclass(frozen=True)
class Only(Word):
    """An option that means nothing at one value and is refused at any other.

    Parameters
    ----------
    value
        The value that means nothing.
    refusal
        Why no other is taken.
    also
        Further values that mean nothing.
    default
        Its value where a spec does not give it; REQUIRED if it has to, left out if nothing follows.

    Examples
    --------
    >>> Only(False, Refusal("the clipping of batch renormalization is not built")).read(False)
    {}
    """

    value: Any
    refusal: Refusal
    also: tuple[Any, ...] = ()

    def read(self, value: Any) -> Mapping[str, Any]:
        if any(type(value) is type(each) and value == each for each in (self.value, *self.also)):
            return {}
        raise Refused(f"{shown(value, False)}: {self.refusal}")

    def says(self) -> str:
        return f"{self.value!r} alone: {self.refusal.why}"


@dataclass(frozen=True)
class Unused(Word):
    """An option that means nothing to the output of a layer, whatever its value.

    Parameters
    ----------
    why
        Why it means nothing.
    default
        Its value where a spec does not give it; REQUIRED if it has to, left out if nothing follows.

    Examples
    --------
    >>> Unused("a name").read("bn_1")
    {}
    """

    why: str

    def read(self, value: Any) -> Mapping[str, Any]:
        return {}

    def says(self) -> str:
        return f"not used: {self.why}"


@dataclass(frozen=True)
class DTypeOf(Word):
    """The dtype of parameters: a name, with or without its library, or a policy that says it.

    Parameters
    ----------
    default
        Its value where a spec does not give it; REQUIRED if it has to, left out if nothing follows.

    Examples
    --------
    >>> DTypeOf().read("torch.float64"), DTypeOf().read("mixed_bfloat16"), DTypeOf().read(None)
    ({'dtype': 'float64'}, {'dtype': 'float32'}, {})
    """

    def read(self, value: Any) -> Mapping[str, Any]:
        if isinstance(value, Mapping):  # a policy that Keras has written
            config = value.get("config")
            value = config.get("name") if isinstance(config, Mapping) else value
        if value is None:
            return {}
        if isinstance(value, str):
            name = value.rpartition(".")[2]
            value = "float32" if name.startswith("mixed_") else name
        return {"dtype": value}

    def says(self) -> str:
        return "`dtype`"


@dataclass(frozen=True)
class Learns(Word):
    """Whether weight and bias learn, while running statistics move in any case.

    Parameters
    ----------
    default
        Its value where a spec does not give it; REQUIRED if it has to, left out if nothing follows.

    Examples
    --------
    >>> Learns().read(True)
    {'held ': False}
    """

    def read(self, value: Any) -> Mapping[str, Any]:
        if not isinstance(value, bool):
            raise TypeError(f"it is true or false, got {shown(value)}")
        return {HELD: not value}

    def says(self) -> str:
        return "`trainable`"
