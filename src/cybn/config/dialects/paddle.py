"""PaddlePaddle: PyTorch's shapes, and momentum that weighs what was.

``weight_attr`` and ``bias_attr`` are false for no weight and no bias. The running variance is the
biased one. PaddleDetection's ``norm_type`` stands among the options of a network, which are left
alone; its group norm has 32 groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .names import StateNames
from .table import Dialect, Norm
from .words import REQUIRED, SCALE, SHIFT, As, OneMinus, Only, Refusal, Refused, Unused, Word


class Attr(As):
    """`weight_attr` or `bias_attr`: false for none; null is as usual."""

    def read(self, value: Any) -> Mapping[str, Any]:
        if value not in (None, True, False):
            raise Refused(f"{value!r}: how an array begins and learns is not read; leave it out")
        return {self.ours: value is not False}


class Format(Word):
    """`data_format`: where the channels are, and how many axes there are."""

    def read(self, value: Any) -> Mapping[str, Any]:
        if value in ("NC", "NCL", "NCHW", "NCDHW"):
            return {"channel_axis": 1}
        if value in ("NLC", "NHWC", "NDHWC"):
            return {"channel_axis": -1}
        raise Refused(f"{value!r}: it is 'NCHW', 'NHWC' or another order of N, C and D, H, W or L")

    def says(self) -> str:
        return "`channel_axis`"


_WIDTH = {"num_features": As("num_features"), "name": Unused("a name")}
_ATTRS = {"weight_attr": Attr(SCALE, default=None), "bias_attr": Attr(SHIFT, default=None)}
_EPS = {"epsilon": As("eps", default=1e-5)}
_BATCH: dict[str, Word] = {
    **_WIDTH,
    "momentum": OneMinus("momentum", default=0.9),
    **_EPS,
    **_ATTRS,
    "data_format": Format(),
    "use_global_stats": Only(
        None, Refusal("it says in which mode the layer is: eval() does here"), (False,)
    ),
}
_INSTANCE = {**_BATCH, "momentum": Unused("there are no running statistics")}
_GROUP = {
    **_WIDTH,
    "num_groups": As("num_groups", default=REQUIRED),
    "num_channels": As("num_features"),
    **_EPS,
    **_ATTRS,
    "data_format": Format(),
}
_BIASED = {"unbiased": False}

NORMS = (
    Norm(("BatchNorm2D", "BatchNorm"), "BatchNorm2d", _BATCH, _BIASED),
    Norm(("BatchNorm1D",), "BatchNorm1d", _BATCH, _BIASED),
    Norm(("BatchNorm3D",), "BatchNorm3d", _BATCH, _BIASED),
    Norm(("SyncBatchNorm", "sync_bn"), "BatchNorm{}d", _BATCH, _BIASED, synchronized=True),
    Norm(("InstanceNorm1D",), "InstanceNorm1d", _INSTANCE),
    Norm(("InstanceNorm2D",), "InstanceNorm2d", _INSTANCE),
    Norm(("InstanceNorm3D",), "InstanceNorm3d", _INSTANCE),
    Norm(
        ("LayerNorm",), "LayerNorm",
        {**_WIDTH, "normalized_shape": As("normalized_shape"), **_EPS, **_ATTRS},
    ),
    Norm(("GroupNorm",), "GroupNorm", _GROUP),
)  # fmt: skip

_FREEZES = Refusal(
    "PaddleDetection holds the statistics fixed with it in some blocks, and in others not",
    {"type": "FrozenBatchNorm2d"}, "where they are",
)  # fmt: skip


def _parts(spec: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]] | None:
    if "norm_type" not in spec:
        return None
    if spec.get("freeze_norm") not in (None, False):
        raise Refused(f"freeze_norm of PaddleDetection: {_FREEZES}")
    name = spec["norm_type"]
    return name, {"num_groups": spec.get("norm_groups", 32)} if name == "gn" else {}


DIALECT = Dialect(
    "paddle",
    "PaddlePaddle",
    (
        "https://www.paddlepaddle.org.cn/documentation/docs/en/api/paddle/nn/BatchNorm2D_en.html",
        "https://github.com/PaddlePaddle/Paddle/blob/develop/python/paddle/nn/layer/norm.py",
        "https://github.com/PaddlePaddle/PaddleDetection/blob/develop/ppdet/modeling/layers.py",
    ),
    NORMS,
    packages=("paddle", "nn"),
    parse=_parts,
    state=StateNames(
        {"weight": ("scale",), "running_mean": ("_mean",), "running_var": ("_variance",)}
    ),
)
