"""Activations by the names that other libraries have for them, as options of a norm here.

A word of an activation says ``ACT``, and a word of its options alone ``ACT_OPTIONS``; what both
mean together `activation` tells once all words are read, as GELU with ``approximate="tanh"``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...functional.gates import ACTIVATIONS
from ...terms.messages import folded, shown
from .words import Refused, Word

__all__ = ["ACT", "ACT_OPTIONS", "HF", "KERAS", "TORCH", "Act", "ActOptions", "Apply", "activation"]

ACT, ACT_OPTIONS = "activation ", "options of the activation "  # no option has a space

#: by a folded name, what is meant: our options
TORCH: dict[str, dict[str, Any]] = {folded(name): {"activation": name} for name in ACTIVATIONS}
TORCH |= {
    "swish": {"activation": "silu"},
    "hswish": {"activation": "hardswish"},
    **{name: {"activation": None} for name in ("", "none", "identity", "linear")},
}
#: transformers: ACT2FN, where `gelu_new` and its kin are the form with tanh
HF = TORCH | {
    **{name: {"activation": "gelu_tanh"} for name in (
        "gelunew", "gelufast", "gelupytorchtanh", "gelupythontanh",
    )},
    "gelupython": {"activation": "gelu"},
}  # fmt: skip
#: Keras: the slope of the function is 0.2, and that of the layer 0.3
KERAS = TORCH | {
    "leakyrelu": {"activation": "leaky_relu", "negative_slope": 0.2},
    "LeakyReLU": {"activation": "leaky_relu", "negative_slope": 0.3},
    "hardsilu": {"activation": "hardswish"},
}
_OPTIONS = {  # of an activation of ours: those of theirs, and what they are called here
    "leaky_relu": dict.fromkeys(("negative_slope", "alpha", "slope"), "negative_slope"),
    "elu": {"alpha": "alpha"},
}
_FORMULAS = {  # `approximate`
    "tanh": "gelu_tanh", True: "gelu_tanh", "none": "gelu", False: "gelu", None: "gelu",
}  # fmt: skip
_SWITCHES: dict[tuple[str, str], dict[Any, str]] = {  # options that say which activation it is
    ("gelu", "approximate"): _FORMULAS,
    ("relu", "max_value"): {None: "relu", 6: "relu6"},
    ("relu", "negative_slope"): {None: "relu", 0: "relu"},
    ("relu", "threshold"): {None: "relu", 0: "relu"},
}
_TABLES = ("type", "class_name", "_target_", "name")  # where a table has the name
_IN_PLACE = ("inplace", "name", "dtype", "trainable")  # that change no value
_ADVICE = "leave it out and apply it to the output"


@dataclass(frozen=True)
class Act(Word):
    """An activation: a name, a table of a name and its options, or a pair of them.

    Parameters
    ----------
    names
        What each folded name means here.
    default
        Its value where a spec does not give it.
    """

    names: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: TORCH)

    def read(self, value: Any) -> Mapping[str, Any]:
        name, options = _taken_apart(value)
        if name is not None and not isinstance(name, str):
            raise TypeError(f"an activation is a name or a table, got {shown(value)}")
        last = (name or "").rpartition(".")[2]
        meant = self.names.get(last, self.names.get(folded(last)))
        if meant is None:
            known = ", ".join(map(repr, ACTIVATIONS))
            raise Refused(
                f"{shown(name, False)}: the activations of a norm here are {known}; {_ADVICE}"
            )
        return {ACT: meant, **({ACT_OPTIONS: options} if options else {})}

    def says(self) -> str:
        return "`activation`"


@dataclass(frozen=True)
class ActOptions(Word):
    """The options of an activation that another word names."""

    def read(self, value: Any) -> Mapping[str, Any]:
        if not isinstance(value, (Mapping, type(None))):
            raise TypeError(f"options of an activation are a table, got {shown(value)}")
        return {ACT_OPTIONS: dict(value or {})}

    def says(self) -> str:
        return "`negative_slope`, `alpha`, and GELU's `approximate`"


@dataclass(frozen=True)
class Apply(Word):
    """Whether there is an activation: false leaves it out."""

    def read(self, value: Any) -> Mapping[str, Any]:
        if not isinstance(value, bool):
            raise TypeError(f"it is true or false, got {shown(value)}")
        return {} if value else {ACT: {"activation": None}, ACT_OPTIONS: {}}

    def says(self) -> str:
        return "false: no `activation`"


def _taken_apart(value: Any) -> tuple[Any, dict[Any, Any]]:
    if isinstance(value, (list, tuple)) and len(value) == 2 and isinstance(value[1], Mapping):
        return value[0], dict(value[1])
    if not isinstance(value, Mapping):
        return value, {}
    key = next((key for key in _TABLES if key in value), None)
    if key is None:
        raise ValueError(f"a table of an activation has 'type', got {shown(value)}")
    options = {name: each for name, each in value.items() if name != key}
    if key == "class_name":  # Keras
        config = options.get("config")
        options = dict(config) if isinstance(config, Mapping) else {}
    return value[key], options


def activation(meant: Mapping[str, Any], options: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Our options of an activation and its own options; Refused where one has no meaning here."""
    found = dict(meant)
    name = found["activation"]
    if name is None:
        return found
    for key, value in options.items():
        if key in _IN_PLACE:
            continue
        switch = _SWITCHES.get((name, key), {})
        if key in (known := _OPTIONS.get(name, {})):
            found[known[key]] = value
        elif isinstance(value, (str, int, float, type(None))) and value in switch:
            if switch[value] != name:  # of several, as a slope and the most, one may change it
                found["activation"] = switch[value]
        else:
            raise Refused(
                f"{where}: {shown(key, False)}={shown(value, False)} is no option of the "
                f"activation {name!r} here; {_ADVICE}"
            )
    return found
