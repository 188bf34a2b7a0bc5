"""timm (PyTorch image models): norms by the names of ``create_norm`` and ``create_norm_act``.

timm's own layer norm has eps 1e-6, its RMS norm 1e-6, EvoNorm B0 1e-3; group norm has 32 groups. A
name that both of timm's lists have is taken without an activation, as ``create_norm`` takes it; the
classes with one, as ``BatchNormAct2d``, end in their ``act_layer``, ReLU if none is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...terms.messages import shown
from . import torch
from .acts import Act, ActOptions, Apply
from .names import TORCH as TORCH_STATE
from .table import Dialect, Norm
from .words import As, Only, Refusal, Unused, Word


class Last(Word):
    """`channels_last`: where the channels are."""

    def read(self, value: Any) -> Mapping[str, Any]:
        if not isinstance(value, bool):
            raise TypeError(f"channels_last is true or false, got {shown(value)}")
        return {"channel_axis": -1 if value else 1}

    def says(self) -> str:
        return "`channel_axis`"


NO_ACT = Refusal("without its activation it is another function")
CHANNELS, NO_BIAS = {"channel_axis": 1}, {"bias": False}
WIDTH = {"num_features": As("num_features"), "num_channels": As("num_features")}
EPS6 = As("eps", default=1e-6)
LAYER = {
    **WIDTH,
    "normalized_shape": As("normalized_shape"),
    "eps": EPS6,
    "affine": As("elementwise_affine", default=True),
    **torch.PLACE,
}
RMS = {**LAYER, "channels": As("num_features")}
GROUP = {**torch.GROUP, "num_groups": As("num_groups", default=32), **WIDTH}
GROUP1 = {name: word for name, word in GROUP.items() if name != "num_groups"}
GROUP1_NO_BIAS = {name: word for name, word in GROUP1.items() if name != "bias"} | {"eps": EPS6}
ACT = {
    "act_layer": Act(default="relu"),
    "act_kwargs": ActOptions(),
    "inplace": Unused("out= is given in the call"),
    "drop_layer": Only(None, Refusal("there is no dropout here")),
    "apply_act": Apply(default=True),
}
BATCH_ACT = {**torch.BATCH, **ACT}
GROUP_ACT = {
    **GROUP,
    **ACT,
    "group_size": Only(None, Refusal("groups are given by their number; give num_groups")),
}
GROUP1_ACT = {**GROUP1, **ACT}
RMS_ACT = {**RMS, **ACT}
LAYER_ACT = {
    **LAYER,
    **ACT,
    "normalization_shape": As("normalized_shape"),
    "eps": As("eps", default=1e-5),
}
EVO_B = {
    **WIDTH,
    "apply_act": Only(True, NO_ACT),
    "momentum": As("momentum", default=0.1),
    "eps": As("eps", default=1e-5),
}
EVO_B0 = {**EVO_B, "eps": As("eps", default=1e-3)}
EVO_S0 = {
    **WIDTH,
    "groups": As("groups", default=32),
    "group_size": Only(None, Refusal("groups are given by their number; give groups")),
    "apply_act": Only(True, NO_ACT),
    "eps": As("eps", default=1e-5),
}
EVO_S = {
    **EVO_S0,
    "act_layer": Only(None, Refusal("its activation is SiLU"), ("silu", "SiLU", "torch.nn.SiLU")),
}
EVO_A = {"eps": As("eps", default=1e-3)}  # of the variants whose names end in a
SIMPLE = {
    **WIDTH,
    "channels": As("num_features"),
    "eps": EPS6,
    "affine": As("affine", default=True),
}
FRN = {
    **WIDTH,
    "apply_act": Only(True, Refusal("without its threshold", {"type": "FRN", "tlu": False})),
    "eps": As("eps", default=1e-5),
    "rms": Only(True, Refusal("it divides by the deviation, and here by the root mean square")),
}
GRN = {
    "dim": As("num_features"),
    "num_features": As("num_features"),
    "eps": EPS6,
    "channels_last": Last(default=True),
    **torch.PLACE,
}
SPLIT = {**torch.BATCH, "num_splits": As("num_splits", default=2)}

NORMS = (
    Norm(("batchnorm2d", "batchnorm"), "BatchNorm2d", torch.BATCH),
    Norm(("batchnorm1d",), "BatchNorm1d", torch.BATCH),
    Norm(("batchnorm3d",), "BatchNorm3d", torch.BATCH),
    Norm(("syncbatchnorm",), "BatchNorm2d", torch.SYNC, synchronized=True),
    Norm(("BatchNormAct2d", "batchnormact"), "BatchNorm2d", BATCH_ACT),
    Norm(("SplitBatchNorm2d", "splitbn"), "SplitBatchNorm2d", SPLIT),
    Norm(("frozenbatchnorm2d",), "FrozenBatchNorm2d", torch.FROZEN),
    Norm(("groupnorm",), "GroupNorm", GROUP),
    Norm(("groupnorm1",), "GroupNorm", GROUP1, {"num_groups": 1}),
    Norm(("GroupNorm1NoBias",), "GroupNorm", GROUP1_NO_BIAS, {"num_groups": 1, **NO_BIAS}),
    Norm(("instancenorm2d",), "InstanceNorm2d", torch.INSTANCE),
    Norm(("layernorm", "layernormfp32"), "LayerNorm", LAYER),
    Norm(("layernorm2d", "layernorm2dfp32", "LayerNormExp2d"), "LayerNorm", LAYER, CHANNELS),
    Norm(("LayerNormNoBias",), "LayerNorm", LAYER, NO_BIAS),
    Norm(("LayerNorm2dNoBias",), "LayerNorm", LAYER, {**CHANNELS, **NO_BIAS}),
    Norm(("rmsnorm", "rmsnormfp32"), "RMSNorm", RMS),
    Norm(("rmsnorm2d", "rmsnorm2dfp32"), "RMSNorm", RMS, CHANNELS),
    Norm(("evonormb0", "EvoNorm2dB0"), "EvoNormB0", EVO_B0),
    Norm(("evonorms0", "EvoNorm2dS0"), "EvoNormS0", EVO_S0),
    Norm(("frntlu", "FilterResponseNormTlu2d"), "FilterResponseNorm", FRN),
    Norm(
        ("frn", "FilterResponseNormAct2d"),
        refused=Refusal(
            "it ends in ReLU instead of a learned threshold",
            {"type": "FRN", "eps": 1e-5, "tlu": False}, "and apply ReLU to the output",
        ),
    ),
    Norm(("GroupNormAct",), "GroupNorm", GROUP_ACT),
    Norm(("GroupNorm1Act",), "GroupNorm", GROUP1_ACT, {"num_groups": 1}),
    Norm(("LayerNormAct", "LayerNormActFp32"), "LayerNorm", LAYER_ACT),
    Norm(("LayerNormAct2d", "LayerNormAct2dFp32"), "LayerNorm", LAYER_ACT, CHANNELS),
    Norm(("RmsNormAct", "RmsNormActFp32"), "RMSNorm", RMS_ACT),
    Norm(("RmsNormAct2d", "RmsNormAct2dFp32"), "RMSNorm", RMS_ACT, CHANNELS),
    Norm(("FrozenBatchNormAct2d",), "FrozenBatchNorm2d", {**torch.FROZEN, **ACT, **torch.PLACE}),
    Norm(("SyncBatchNormAct",), "BatchNorm2d", {**torch.SYNC, **ACT}, synchronized=True),
    Norm(
        ("inplaceabn", "iabn"),
        refused=Refusal(
            "its backward takes the input from the output",
            {"type": "BatchNorm2d", "activation": "leaky_relu"}, "for the same output",
        ),
    ),
    Norm(("GlobalResponseNorm",), "GlobalResponseNorm", GRN),
    Norm(("evonormb1", "EvoNorm2dB1"), "EvoNormB1", EVO_B),
    Norm(("evonormb2", "EvoNorm2dB2"), "EvoNormB2", EVO_B),
    Norm(("evonorms0a", "EvoNorm2dS0a"), "EvoNormS0", {**EVO_S0, **EVO_A}),
    Norm(("evonorms1", "EvoNorm2dS1"), "EvoNormS1", EVO_S),
    Norm(("evonorms1a", "EvoNorm2dS1a"), "EvoNormS1", {**EVO_S, **EVO_A}),
    Norm(("evonorms2", "EvoNorm2dS2"), "EvoNormS2", EVO_S),
    Norm(("evonorms2a", "EvoNorm2dS2a"), "EvoNormS2", {**EVO_S, **EVO_A}),
    Norm(("simplenorm", "simplenormfp32"), "SimpleNorm", SIMPLE),
    Norm(("simplenorm2d", "simplenorm2dfp32"), "SimpleNorm", SIMPLE, CHANNELS),
)  # fmt: skip

DIALECT = Dialect(
    "timm",
    "timm (PyTorch image models)",
    (
        "https://github.com/huggingface/pytorch-image-models/blob/main/timm/layers/create_norm.py",
        "https://github.com/huggingface/pytorch-image-models/blob/main/timm/layers/create_norm_act.py",
        "https://github.com/huggingface/pytorch-image-models/blob/main/timm/layers/norm.py",
        "https://github.com/huggingface/pytorch-image-models/blob/main/timm/layers/evo_norm.py",
        "https://github.com/huggingface/pytorch-image-models/blob/main/timm/layers/filter_response_norm.py",
    ),
    NORMS,
    packages=("timm", "torch", "nn", "torchvision"),
    state=TORCH_STATE,
)
