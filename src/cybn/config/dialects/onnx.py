"""ONNX: a node, by its ``op_type`` and attributes, as protobuf writes it in JSON or plain.

A node of BatchNormalization is in inference mode unless ``training_mode`` is 1: then its statistics
are fixed. In training momentum weighs what was, and the running variance is the biased one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...terms.messages import shown
from .names import StateNames
from .table import Dialect, Norm
from .words import (
    AXIS,
    REQUIRED,
    SHIFT,
    As,
    OneMinus,
    Only,
    Onwards,
    Refusal,
    Refused,
    Unused,
    Word,
)

_FIXED = "BatchNormalization in inference mode"
_EPS: dict[str, Word] = {"epsilon": As("eps", default=1e-5)}
_STASH = {"stash_type": Only(1, Refusal("statistics of float32 data are exact in float32"))}
_MODE = Unused("it has been looked at")
_WIDTH = {"num_features": As("num_features")}


class Opset(Word):
    """`since_version`: before 21 a group had one scale and one bias."""

    def read(self, value: Any) -> Mapping[str, Any]:
        if isinstance(value, int) and value >= 21:
            return {}
        raise Refused(f"{value!r}: before version 21 scale and bias are of groups")

    def says(self) -> str:
        return "21 or later: before, scale and bias were of groups"


_MOST = 64  # axes; NumPy has no more


class From(As):
    """`axis`: what is averaged over begins there and goes on to the last."""

    def read(self, value: Any) -> Mapping[str, Any]:
        if type(value) is int and -_MOST <= value < 0:
            value = list(range(value, 0))
        elif type(value) is int and 0 <= value < _MOST:
            value = Onwards(value)
        return {self.ours: value}

    def says(self) -> str:
        return "-1, or another one with the sizes from there on in `normalized_shape`"


class Size(As):
    """`size` of LRN: for an even number of channels the odd one is on the other side."""

    def read(self, value: Any) -> Mapping[str, Any]:
        if isinstance(value, int) and value % 2 == 0:
            raise Refused(f"{value}: of an even number of channels, one more is after the centre "
                          f"than before it; here it is the other way")  # fmt: skip
        return super().read(value)

    def says(self) -> str:
        return "`size`, odd"


_BATCH = {
    **_EPS, "momentum": OneMinus("momentum", default=0.9), "training_mode": _MODE, **_WIDTH,
    "spatial": Only(1, Refusal("its statistics are of each position")), "is_test": _MODE,
}  # fmt: skip
_ROW = {
    "axis": From(AXIS, default=-1),
    **_EPS,
    **_STASH,
    **_WIDTH,
    "normalized_shape": As("normalized_shape"),
}
_SKIP = Refusal("it adds a second input first", {"type": "LayerNorm"}, "and add it to x")

NORMS = (
    Norm(("BatchNormalization",), "BatchNorm{}d", _BATCH, {"unbiased": False}),
    Norm((_FIXED,), "FrozenBatchNorm{}d", {**_BATCH, "momentum": Unused("statistics are fixed")}),
    Norm(("InstanceNormalization",), "InstanceNorm{}d", {**_EPS, **_WIDTH}, {"affine": True}),
    Norm(("LayerNormalization",), "LayerNorm", {**_ROW, "has_bias": As(SHIFT, default=True)}),
    Norm(("RMSNormalization", "SimplifiedLayerNormalization"), "RMSNorm", _ROW),
    Norm(("GroupNormalization",), "GroupNorm", {
        "num_groups": As("num_groups", default=REQUIRED), **_EPS, **_STASH, **_WIDTH,
        "since_version": Opset()}),
    Norm(("LRN",), "LocalResponseNorm", {
        "size": Size("size", default=REQUIRED), "alpha": As("alpha", default=1e-4),
        "beta": As("beta", default=0.75), "bias": As("k", default=1.0)}),
    Norm(("LpNormalization",), "LpNormalization", {
        "axis": As("axis", default=-1), "p": As("p", default=2)}),
    Norm(("MeanVarianceNormalization",), "MeanVarianceNormalization", {
        "axes": As("axes", default=(0, 2, 3))}),
    Norm(("SkipLayerNormalization",), refused=_SKIP),
    Norm(("SkipSimplifiedLayerNormalization",), refused=Refusal(
        _SKIP.why, {"type": "RMSNorm", "eps": 1e-5}, _SKIP.then)),
)  # fmt: skip

_ABOUT = ("name", "input", "output", "inputs", "outputs", "domain", "doc_string", "docString")
_VALUES = ("f", "i", "s", "floats", "ints", "strings")


def _parts(spec: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]] | None:
    key = next((key for key in ("op_type", "opType") if key in spec), None)
    if key is None:
        return None
    options = {k: v for k, v in spec.items() if k != key and k not in _ABOUT}
    for holder in ("attribute", "attributes", "attrs"):
        options.update(_attributes(options.pop(holder, {})))
    inputs, outputs = (spec.get(key, spec.get(f"{key}s")) for key in ("input", "output"))
    if spec[key] == "LayerNormalization" and isinstance(inputs, list):
        options["has_bias"] = len(inputs) > 2
    if spec[key] == "BatchNormalization" and isinstance(outputs, list) and len(outputs) > 1:
        options.setdefault("training_mode", 1)  # as it was said before version 14
    return spec[key], options


def _attributes(given: Any) -> dict[str, Any]:
    if isinstance(given, Mapping):
        return dict(given)
    if not isinstance(given, list) or not all(isinstance(each, Mapping) for each in given):
        raise ValueError(f"the attributes of a node are a table or a list, got {shown(given)}")
    return {
        str(each.get("name")): _number(next((each[v] for v in _VALUES if v in each), None))
        for each in given
    }


def _number(value: Any) -> Any:
    # protobuf writes integers of 64 bits as text
    digits = isinstance(value, str) and len(value) < 20 and value.removeprefix("-").isdecimal()
    return int(value) if digits else value


def _mode(name: Any, options: Mapping[str, Any]) -> Any:
    trains = options.get("training_mode", 0) in (1, True)
    return _FIXED if name == "BatchNormalization" and not trains else name


DIALECT = Dialect(
    "onnx",
    "ONNX",
    (
        "https://onnx.ai/onnx/operators/onnx__BatchNormalization.html",
        "https://onnx.ai/onnx/operators/onnx__GroupNormalization.html",
        "https://github.com/onnx/onnx/blob/main/docs/Operators.md",
        "https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md",
    ),
    NORMS,
    parse=_parts,
    adjust=_mode,
    state=StateNames(
        {
            "weight": ("scale", "Scale"),
            "bias": ("B",),
            "running_mean": ("input_mean", "mean"),
            "running_var": ("input_var", "var"),
        }
    ),
)
