"""Flax, linen and nnx: channels last, epsilon 1e-5 or 1e-6, momentum weighs what was.

The running variance of a batch norm is the biased one, as ``_compute_stats`` gives it.
"""

from __future__ import annotations

from .names import StateNames
from .table import Dialect, Norm
from .words import AXIS, SCALE, SHIFT, As, DTypeOf, OneMinus, Only, Refusal, Unused, Word

_INIT = Unused("arrays begin as usual")
_SYNC = Unused("in one process it means nothing")
_MODULE: dict[str, Word] = {
    "num_features": As("num_features"),
    "dtype": Unused("the output has the dtype of x"),
    "param_dtype": DTypeOf(),
    "name": Unused("a name"),
    "rngs": Unused("nothing is drawn at random"),
    "axis_name": _SYNC,
    "axis_index_groups": _SYNC,
    "use_fast_variance": Unused("the variance is exact in any case"),
    "fast_variance": Unused("the variance is exact in any case"),
    "force_float32_reductions": Unused("statistics are exact in any case"),
    "promote_dtype": Unused("the output has the dtype of x"),
}
_SCALE: dict[str, Word] = {"use_scale": As(SCALE, default=True), "scale_init": _INIT}
_AFFINE = {**_SCALE, "use_bias": As(SHIFT, default=True), "bias_init": _INIT}
_EPS = {"epsilon": As("eps", default=1e-6)}
_LAST = Only(-1, Refusal("weight and bias lie on the last axis here"), ([-1],))
_REDUCED = {"reduction_axes": As(AXIS, default=-1), "feature_axes": _LAST}
_BATCH = {
    "use_running_average": Only(
        None, Refusal("it says in which mode the layer is: eval() does here"), (False,)
    ),
    "axis": As(AXIS, default=-1),
    "momentum": OneMinus("momentum", default=0.99),
    "epsilon": As("eps", default=1e-5),
    **_AFFINE,
    **_MODULE,
}
_GROUP = {
    "num_groups": As("num_groups", default=32),
    "group_size": Only(None, Refusal("groups are given by their number; give num_groups")),
    **_EPS,
    **_AFFINE,
    "reduction_axes": Only(None, Refusal("it averages over all axes of a group")),
    **_MODULE,
}
_INSTANCE = {**_EPS, **_AFFINE, "feature_axes": As(AXIS, default=-1), **_MODULE}

NORMS = (
    Norm(("BatchNorm",), "BatchNorm{}d", _BATCH, {"unbiased": False}),
    Norm(("LayerNorm",), "LayerNorm", {**_EPS, **_AFFINE, **_REDUCED, **_MODULE}),
    Norm(("RMSNorm",), "RMSNorm", {**_EPS, **_SCALE, **_REDUCED, **_MODULE}),
    Norm(("GroupNorm",), "GroupNorm", _GROUP, {"channel_axis": -1}),
    Norm(("InstanceNorm",), "InstanceNorm{}d", _INSTANCE),
    Norm(
        ("WeightNorm", "SpectralNorm"),
        refused=Refusal("it normalizes the weights of a layer, and norms here are of data"),
    ),
)

DIALECT = Dialect(
    "flax",
    "Flax, linen and nnx",
    (
        "https://flax.readthedocs.io/en/latest/api_reference/flax.linen/layers.html#normalization",
        "https://flax.readthedocs.io/en/latest/api_reference/flax.nnx/nn/normalization.html",
        "https://github.com/google/flax/blob/main/flax/linen/normalization.py",
    ),
    NORMS,
    packages=("flax", "nn", "nnx", "linen"),
    state=StateNames(
        {"weight": ("scale",), "running_mean": ("mean",), "running_var": ("var",)},
        first=("params", "batch_stats"),
        separator="/",
    ),
)
