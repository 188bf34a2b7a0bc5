"""Dialects: configs of other libraries, read with their meaning (see docs/dialects.md).

``create``, ``build`` and ``load_config`` take ``dialect=``, the name of one that is listed by
`available`. `register` adds one, which is a table: a `Dialect` of `Norm` s, whose options are words
(`As`, `OneMinus`, `Only`, `Unused`, `DTypeOf`, or a `Word` of one's own).
"""

from .config.dialects.names import StateNames
from .config.dialects.shelf import available, register
from .config.dialects.table import Dialect, Form, Norm
from .config.dialects.words import (
    ALL,
    AXIS,
    HELD,
    NDIM,
    REQUIRED,
    SCALE,
    SHIFT,
    As,
    DTypeOf,
    Learns,
    OneMinus,
    Only,
    Refusal,
    Refused,
    Unused,
    Word,
)

__all__ = [
    "ALL",
    "AXIS",
    "HELD",
    "NDIM",
    "REQUIRED",
    "SCALE",
    "SHIFT",
    "As",
    "DTypeOf",
    "Dialect",
    "Form",
    "Learns",
    "Norm",
    "OneMinus",
    "Only",
    "Refusal",
    "Refused",
    "StateNames",
    "Unused",
    "Word",
    "available",
    "register",
]
