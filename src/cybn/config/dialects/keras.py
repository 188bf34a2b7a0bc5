"""Keras 2 and 3: a layer as ``to_json`` and ``get_config`` write it.

Channels are last. momentum weighs what was, eps is 1e-3, and the running variance is biased. (With
TensorFlow's fused kernel, Keras 2 kept the unbiased one of (N, H, W, C).) A batch norm that is not
trainable runs in inference mode, so it is a frozen one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...terms.messages import shown
from .acts import KERAS, Act
from .names import StateNames
from .table import Dialect, Norm
from .words import (
    ALL,
    AXIS,
    NDIM,
    SCALE,
    SHIFT,
    As,
    DTypeOf,
    Learns,
    OneMinus,
    Only,
    Refusal,
    Unused,
    Word,
)  # fmt: skip

_WEIGHTS = Unused("arrays begin as usual, and are neither regularized nor constrained here")
_LAYER: dict[str, Word] = {
    "num_features": As("num_features"),
    "ndim": As(NDIM),  # of build_config
    "name": Unused("a name"),
    "dtype": DTypeOf(),
    "batch_input_shape": Unused("inputs are known when they come"),
    "input_shape": Unused("inputs are known when they come"),
    "autocast": Unused("inputs are taken in their own dtype"),
    "supports_masking": Unused("a mask is given in the call"),
    "activation": Act(KERAS),  # that of the Activation layer after it
}
_AFFINE = {
    "center": As(SHIFT, default=True),
    "scale": As(SCALE, default=True),
    **{
        f"{array}_{what}": _WEIGHTS
        for array in ("beta", "gamma")
        for what in ("initializer", "regularizer", "constraint")
    },
}
_AXIS = {"axis": As(AXIS, default=-1)}
_EPS = {"epsilon": As("eps", default=1e-3)}
_TRAINABLE: dict[str, Word] = {"trainable": Learns(default=True)}


class Frozen(Word):
    """`trainable` of a batch norm: `_mode` has looked at it."""

    def read(self, value: Any) -> Mapping[str, Any]:
        return {}

    def says(self) -> str:
        return "false: `FrozenBatchNorm`"


class Groups(As):
    """`groups`: -1 is as many as there are channels."""

    def read(self, value: Any) -> Mapping[str, Any]:
        return {self.ours: ALL if type(value) is int and value == -1 else value}

    def says(self) -> str:
        return "`num_groups`, -1 for one of each channel"


_BATCH = {
    **_AXIS,
    "momentum": OneMinus("momentum", default=0.99),
    **_EPS,
    **_AFFINE,
    "trainable": Frozen(),
    "moving_mean_initializer": _WEIGHTS,
    "moving_variance_initializer": _WEIGHTS,
    "synchronized": Unused("in one process it means nothing"),
    "fused": Only(None, Refusal("there is one kernel"), (True, False)),
    "renorm": Only(False, Refusal("batch renormalization is a layer of its own", {"type": "BRN"})),
    "renorm_clipping": Only(None, Refusal("it is an option of `renorm`")),
    "renorm_momentum": Unused("it is an option of `renorm`"),
    "virtual_batch_size": Only(
        None, Refusal("ghost batches are a layer of its own", {"type": "GhostBN"})
    ),
    **_LAYER,
}
_FROZEN = {**_BATCH, "momentum": Unused("statistics are fixed"), "center": Unused("the bias is 0"),
           "scale": Unused("the weight is 1")}  # fmt: skip
_SAMPLE = {**_AXIS, **_EPS, **_AFFINE, **_TRAINABLE, **_LAYER}
_RMS_SCALING = Only(False, Refusal("it divides by the deviation without centring"))
_GROUP = {**_SAMPLE, "groups": Groups("num_groups", default=32)}
_RMS = {
    **_AXIS, "epsilon": As("eps", default=1e-6), **_TRAINABLE, **_LAYER,
    "gamma_initializer": _WEIGHTS,
}  # fmt: skip
_FIXED = "BatchNormalization that is not trainable"
_BATCHES = ("BatchNormalization", "BatchNormalizationV1", "BatchNormalizationV2")

NORMS = (
    Norm(_BATCHES, "BatchNorm{}d",
         _BATCH, {"unbiased": False}),
    Norm(("SyncBatchNormalization",), "BatchNorm{}d", _BATCH, {"unbiased": False},
         synchronized=True),
    Norm((_FIXED,), "FrozenBatchNorm{}d", _FROZEN),
    Norm(("LayerNormalization",), "LayerNorm",
         {**_SAMPLE, "normalized_shape": As("normalized_shape"), "rms_scaling": _RMS_SCALING}),
    Norm(("GroupNormalization",), "GroupNorm", _GROUP),
    Norm(("RMSNormalization",), "RMSNorm", _RMS),
    Norm(("InstanceNormalization",), refused=Refusal(
        "Keras has none, and that of tensorflow_addons is another than that of keras_contrib",
        {"type": "InstanceNorm2d", "eps": 1e-3, "affine": True, "channel_axis": -1},
        "for that of tensorflow_addons")),
    Norm(("UnitNormalization",), refused=Refusal(
        "it divides by the length and learns nothing: there is none")),
    Norm(("SpectralNormalization",), refused=Refusal(
        "it normalizes the weights of a layer, and norms here are of data")),
    Norm(("Normalization",), refused=Refusal(
        "its statistics are those of a data set", {"type": "Normalize", "channel_axis": -1},
        "and fit it")),
)  # fmt: skip


def _parts(spec: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]] | None:
    if "class_name" not in spec:
        return None
    config = spec.get("config") or {}
    if not isinstance(config, Mapping):
        raise ValueError(f"'config' of a Keras layer is a table of options, got {shown(config)}")
    options, built = dict(config), spec.get("build_config")
    shape = built.get("input_shape") if isinstance(built, Mapping) else None
    axis = options.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if isinstance(shape, list) and type(axis) is int and -len(shape) <= axis < len(shape):
        if axis == len(shape) - 1:
            options["axis"] = -1
        if isinstance(shape[axis], int):
            options["num_features"] = shape[axis]
        options["ndim"] = len(shape)
    return spec["class_name"], options


def _mode(name: Any, options: Mapping[str, Any]) -> Any:
    return _FIXED if name in _BATCHES and options.get("trainable") is False else name


DIALECT = Dialect(
    "keras",
    "Keras, TensorFlow",
    (
        "https://keras.io/api/layers/normalization_layers/",
        "https://github.com/keras-team/keras/blob/master/keras/src/layers/normalization/batch_normalization.py",
        "https://github.com/keras-team/keras/blob/master/keras/src/layers/normalization/group_normalization.py",
        "https://github.com/keras-team/keras/blob/master/keras/src/layers/normalization/rms_normalization.py",
    ),
    NORMS,
    packages=("keras", "tensorflow", "tf", "tf_keras"),
    parse=_parts,
    adjust=_mode,
    state=StateNames(
        {
            "weight": ("gamma", "scale"),
            "bias": ("beta",),
            "running_mean": ("moving_mean",),
            "running_var": ("moving_variance",),
        },
        separator="/",
        tails=("/.ATTRIBUTES/VARIABLE_VALUE", ":0"),
    ),
)
