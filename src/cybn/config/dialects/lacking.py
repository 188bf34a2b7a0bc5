"""Options that files of other libraries need and that a layer here has not: the reason to refuse.

`reading` writes them as the options that they would be, and looks them up in the class, so that an
option that a layer learns later is used without a change here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...terms.messages import listed
from ...terms.signature import options_of
from .words import Refusal, Refused

__all__ = ["LACKING", "lacking"]


class Lack(NamedTuple):
    """Why the layer is another one without the option, and what is then to be done by hand."""

    why: str
    then: str
    harmless: tuple[Any, ...] = ()  # values that need no option


LACKING = {
    "unbiased": Lack(
        "its running variance follows the biased variance of the batch, and that of {} the "
        "unbiased one",
        "if that will do",
        (True,),
    ),
    "channel_axis": Lack(
        "it averages over the channels of (N, C, ...), and {} over the last axes",
        "and give it x with the channels last, np.moveaxis(x, 1, -1)",
        (-1,),
    ),
    "trainable": Lack(
        "its weight and bias are held fixed while statistics move, and those of {} learn",
        "and leave its parameters out of the optimizer",
        (True,),
    ),
    "unit_offset": Lack(
        "it multiplies by 1 + weight, and {} by the weight",
        "and add 1 to weights that are loaded",
        (False,),
    ),
    "weight": Lack(
        "it has a bias and no weight, and {} has a weight", "and leave weight as it is", (True,)
    ),
    "bias": Lack("it has a bias, and {} has none", "and add the bias to its output", (False,)),
    "activation": Lack(
        "it ends in an activation, and {} in none", "and apply it to the output", (None,)
    ),
    "residual": Lack("it adds a residual first, and {} does not", "and add it to x", (False,)),
}


def lacking(cls: type, options: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The options that the class has; Refused where one that it has not would make a difference."""
    known, name = options_of(cls), cls.__name__
    kept = {
        key: value
        for key, value in options.items()
        if key in known or key == "num_features" or key not in LACKING
    }
    wanting = [
        LACKING[key]
        for key in options
        if key not in kept and options[key] not in LACKING[key].harmless
    ]
    if not wanting:
        return kept
    why = listed((lack.why.format(name) for lack in wanting), "and")
    then = listed((lack.then for lack in wanting), "and")
    plain = {
        key: value for key, value in kept.items() if key not in known or _matters(known[key], value)
    }
    raise Refused(f"{where}: {Refusal(why, {'type': name, **plain}, then)}")


def _matters(option: Any, value: Any) -> bool:
    return option.required or option.default != value
