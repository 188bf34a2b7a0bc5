# Written by .ci/stubs.py from the registry. Do not edit: run `python .ci/stubs.py`.

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict, TypeVar, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from . import dialects, distributed, functional, reference, testing
from .arrays.outputs import release_output_cache, set_output_cache
from .command.info import show_config
from .config.build import build, load_config, register
from .config.catalogue import available, describe, schema
from .config.dialects.table import Dialect
from .config.plugins import PluginError, PluginWarning, use_plugins
from .include import get_include
from .kernels.policy import get_num_threads, set_num_threads
from .layers.base.layer import Layer
from .layers.base.ranks import ranked
from .layers.batch.batchnorm import BatchNorm as _BatchNorm
from .layers.batch.conditional import ConditionalBatchNorm as _ConditionalBatchNorm
from .layers.batch.domain import DomainSpecificBatchNorm as _DomainSpecificBatchNorm
from .layers.batch.frozen import FrozenBatchNorm as _FrozenBatchNorm
from .layers.batch.ghost import GhostBatchNorm as _GhostBatchNorm
from .layers.batch.lazy import LazyBatchNorm as _LazyBatchNorm
from .layers.batch.renorm import BatchRenorm as _BatchRenorm
from .layers.batch.split import SplitBatchNorm as _SplitBatchNorm
from .layers.batch.syncbatchnorm import SyncBatchNorm as _SyncBatchNorm
from .layers.dataset.normalize import Normalize as _Normalize
from .layers.research.adain import AdaIN as _AdaIN
from .layers.research.adaptive_layernorm import AdaptiveLayerNorm as _AdaptiveLayerNorm
from .layers.research.dyt import DyT as _DyT
from .layers.research.evonorm_b import EvoNormB0 as _EvoNormB0
from .layers.research.evonorm_b import EvoNormB1 as _EvoNormB1
from .layers.research.evonorm_b import EvoNormB2 as _EvoNormB2
from .layers.research.evonorm_s import EvoNormS0 as _EvoNormS0
from .layers.research.evonorm_s import EvoNormS1 as _EvoNormS1
from .layers.research.evonorm_s import EvoNormS2 as _EvoNormS2
from .layers.research.frn import FilterResponseNorm as _FilterResponseNorm
from .layers.research.gatedrms import GatedRMSNorm as _GatedRMSNorm
from .layers.research.grn import GlobalResponseNorm as _GlobalResponseNorm
from .layers.research.ibn import IBN as _IBN
from .layers.research.iternorm import IterNorm as _IterNorm
from .layers.research.lpnorm import LpNormalization as _LpNormalization
from .layers.research.mvn import MeanVarianceNormalization as _MeanVarianceNormalization
from .layers.research.partialrms import PartialRMSNorm as _PartialRMSNorm
from .layers.research.powernorm import PowerNorm as _PowerNorm
from .layers.research.revin import RevIN as _RevIN
from .layers.research.scalenorm import ScaleNorm as _ScaleNorm
from .layers.research.simplenorm import SimpleNorm as _SimpleNorm
from .layers.research.spectral_norm import SpectralNorm as _SpectralNorm
from .layers.research.switchable import SwitchableNorm as _SwitchableNorm
from .layers.research.weight_norm import WeightNorm as _WeightNorm
from .layers.research.weight_standardization import WeightStandardization as _WeightStandardization
from .layers.sample.groupnorm import GroupNorm as _GroupNorm
from .layers.sample.instancenorm import InstanceNorm as _InstanceNorm
from .layers.sample.layernorm import LayerNorm as _LayerNorm
from .layers.sample.lazy import LazyInstanceNorm as _LazyInstanceNorm
from .layers.sample.localresponsenorm import LocalResponseNorm as _LocalResponseNorm
from .layers.sample.rmsnorm import RMSNorm as _RMSNorm
from .terms.registry import UnknownName, UnknownOption
from .tools.convert import convert, freeze, unfreeze
from .tools.fold import fold, fold_into_next
from .tools.parameters import norm_parameters
from .tools.recalibrate import recalibrate
from .tools.saving import load, save
from .tools.state import load_state_dict, state_dict

_Activation = Literal[
    "relu",
    "leaky_relu",
    "relu6",
    "silu",
    "gelu",
    "gelu_tanh",
    "hardswish",
    "elu",
    "mish",
]

__version__: str

__all__ = [
    "IBN",
    "AdaIN",
    "AdaptiveLayerNorm",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "BatchRenorm",
    "BatchRenorm1d",
    "BatchRenorm2d",
    "BatchRenorm3d",
    "ConditionalBatchNorm",
    "ConditionalBatchNorm1d",
    "ConditionalBatchNorm2d",
    "ConditionalBatchNorm3d",
    "DomainSpecificBatchNorm",
    "DomainSpecificBatchNorm1d",
    "DomainSpecificBatchNorm2d",
    "DomainSpecificBatchNorm3d",
    "DyT",
    "EvoNormB0",
    "EvoNormB1",
    "EvoNormB2",
    "EvoNormS0",
    "EvoNormS1",
    "EvoNormS2",
    "FilterResponseNorm",
    "FrozenBatchNorm1d",
    "FrozenBatchNorm2d",
    "FrozenBatchNorm3d",
    "GatedRMSNorm",
    "GhostBatchNorm",
    "GhostBatchNorm1d",
    "GhostBatchNorm2d",
    "GhostBatchNorm3d",
    "GlobalResponseNorm",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "IterNorm",
    "Layer",
    "LayerNorm",
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
    "LocalResponseNorm",
    "LpNormalization",
    "MeanVarianceNormalization",
    "Normalize",
    "PartialRMSNorm",
    "PluginError",
    "PluginWarning",
    "PowerNorm",
    "RMSNorm",
    "RevIN",
    "ScaleNorm",
    "SimpleNorm",
    "SpectralNorm",
    "SplitBatchNorm",
    "SplitBatchNorm1d",
    "SplitBatchNorm2d",
    "SplitBatchNorm3d",
    "SwitchableNorm1d",
    "SwitchableNorm2d",
    "SwitchableNorm3d",
    "SyncBatchNorm",
    "SyncBatchNorm1d",
    "SyncBatchNorm2d",
    "SyncBatchNorm3d",
    "UnknownName",
    "UnknownOption",
    "WeightNorm",
    "WeightStandardization",
    "available",
    "build",
    "convert",
    "create",
    "describe",
    "dialects",
    "distributed",
    "fold",
    "fold_into_next",
    "freeze",
    "functional",
    "get_include",
    "get_num_threads",
    "load",
    "load_config",
    "load_state_dict",
    "norm_parameters",
    "ranked",
    "recalibrate",
    "reference",
    "register",
    "release_output_cache",
    "save",
    "schema",
    "set_num_threads",
    "set_output_cache",
    "show_config",
    "state_dict",
    "testing",
    "unfreeze",
    "use_plugins",
]

class AdaIN(_AdaIN):
    eps: float
    channel_axis: Literal[1, -1]
    dstyle: NDArray[Any] | None
    def __init__(self, eps: float = 1e-05, *, channel_axis: Literal[1, -1] = 1) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class AdaptiveLayerNorm(_AdaptiveLayerNorm):
    num_features: int
    eps: float
    affine: bool
    unit_offset: bool
    dtype: str
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    dscale: NDArray[Any] | None
    dshift: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-06,
        affine: bool = False,
        *,
        unit_offset: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = -1,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class BatchNorm1d(_BatchNorm):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    dtype: str
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    weight_init: Literal["ones", "zeros", "uniform"]
    on_single: Literal["error", "running"]
    on_nonfinite: Literal["propagate", "skip", "error"]
    unbiased: bool
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    running_mean: NDArray[Any] | None
    running_var: NDArray[Any] | None
    num_batches_tracked: NDArray[Any] | None
    dresidual: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        weight: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        activation: _Activation | None = None,
        negative_slope: float = 0.01,
        alpha: float = 1.0,
        weight_init: Literal["ones", "zeros", "uniform"] = "ones",
        on_single: Literal["error", "running"] = "error",
        on_nonfinite: Literal["propagate", "skip", "error"] = "propagate",
        unbiased: bool = True,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class BatchNorm2d(_BatchNorm):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    dtype: str
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    weight_init: Literal["ones", "zeros", "uniform"]
    on_single: Literal["error", "running"]
    on_nonfinite: Literal["propagate", "skip", "error"]
    unbiased: bool
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    running_mean: NDArray[Any] | None
    running_var: NDArray[Any] | None
    num_batches_tracked: NDArray[Any] | None
    dresidual: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        weight: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        activation: _Activation | None = None,
        negative_slope: float = 0.01,
        alpha: float = 1.0,
        weight_init: Literal["ones", "zeros", "uniform"] = "ones",
        on_single: Literal["error", "running"] = "error",
        on_nonfinite: Literal["propagate", "skip", "error"] = "propagate",
        unbiased: bool = True,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class BatchNorm3d(_BatchNorm):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    dtype: str
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    weight_init: Literal["ones", "zeros", "uniform"]
    on_single: Literal["error", "running"]
    on_nonfinite: Literal["propagate", "skip", "error"]
    unbiased: bool
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    running_mean: NDArray[Any] | None
    running_var: NDArray[Any] | None
    num_batches_tracked: NDArray[Any] | None
    dresidual: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        weight: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        activation: _Activation | None = None,
        negative_slope: float = 0.01,
        alpha: float = 1.0,
        weight_init: Literal["ones", "zeros", "uniform"] = "ones",
        on_single: Literal["error", "running"] = "error",
        on_nonfinite: Literal["propagate", "skip", "error"] = "propagate",
        unbiased: bool = True,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class BatchRenorm(_BatchRenorm):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    rmax: float
    dmax: float
    warmup_steps: int
    rmax_steps: int
    dmax_steps: int
    dtype: str
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    running_mean: NDArray[Any]
    running_var: NDArray[Any]
    num_batches_tracked: NDArray[Any]
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.01,
        affine: bool = True,
        *,
        rmax: float = 3.0,
        dmax: float = 5.0,
        warmup_steps: int = 5000,
        rmax_steps: int = 40000,
        dmax_steps: int = 25000,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class BatchRenorm1d(_BatchRenorm):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    rmax: float
    dmax: float
    warmup_steps: int
    rmax_steps: int
    dmax_steps: int
    dtype: str
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    running_mean: NDArray[Any]
    running_var: NDArray[Any]
    num_batches_tracked: NDArray[Any]
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.01,
        affine: bool = True,
        *,
        rmax: float = 3.0,
        dmax: float = 5.0,
        warmup_steps: int = 5000,
        rmax_steps: int = 40000,
        dmax_steps: int = 25000,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class BatchRenorm2d(_BatchRenorm):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    rmax: float
    dmax: float
    warmup_steps: int
    rmax_steps: int
    dmax_steps: int
    dtype: str
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    running_mean: NDArray[Any]
    running_var: NDArray[Any]
    num_batches_tracked: NDArray[Any]
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.01,
        affine: bool = True,
        *,
        rmax: float = 3.0,
        dmax: float = 5.0,
        warmup_steps: int = 5000,
        rmax_steps: int = 40000,
        dmax_steps: int = 25000,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class BatchRenorm3d(_BatchRenorm):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    rmax: float
    dmax: float
    warmup_steps: int
    rmax_steps: int
    dmax_steps: int
    dtype: str
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    running_mean: NDArray[Any]
    running_var: NDArray[Any]
    num_batches_tracked: NDArray[Any]
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.01,
        affine: bool = True,
        *,
        rmax: float = 3.0,
        dmax: float = 5.0,
        warmup_steps: int = 5000,
        rmax_steps: int = 40000,
        dmax_steps: int = 25000,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class ConditionalBatchNorm(_ConditionalBatchNorm):
    num_features: int
    eps: float
    momentum: float | None
    num_classes: int
    track_running_stats: bool
    dtype: str
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any]
    bias: NDArray[Any] | None
    running_mean: NDArray[Any] | None
    running_var: NDArray[Any] | None
    num_batches_tracked: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        *,
        num_classes: int = 1,
        track_running_stats: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class ConditionalBatchNorm1d(_ConditionalBatchNorm):
    num_features: int
    eps: float
    momentum: float | None
    num_classes: int
    track_running_stats: bool
    dtype: str
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any]
    bias: NDArray[Any] | None
    running_mean: NDArray[Any] | None
    running_var: NDArray[Any] | None
    num_batches_tracked: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        *,
        num_classes: int = 1,
        track_running_stats: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class ConditionalBatchNorm2d(_ConditionalBatchNorm):
    num_features: int
    eps: float
    momentum: float | None
    num_classes: int
    track_running_stats: bool
    dtype: str
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any]
    bias: NDArray[Any] | None
    running_mean: NDArray[Any] | None
    running_var: NDArray[Any] | None
    num_batches_tracked: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        *,
        num_classes: int = 1,
        track_running_stats: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class ConditionalBatchNorm3d(_ConditionalBatchNorm):
    num_features: int
    eps: float
    momentum: float | None
    num_classes: int
    track_running_stats: bool
    dtype: str
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any]
    bias: NDArray[Any] | None
    running_mean: NDArray[Any] | None
    running_var: NDArray[Any] | None
    num_batches_tracked: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        *,
        num_classes: int = 1,
        track_running_stats: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class DomainSpecificBatchNorm(_DomainSpecificBatchNorm):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    num_domains: int
    weight: bool
    bias: bool
    dtype: str
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    weight_init: Literal["ones", "zeros", "uniform"]
    on_single: Literal["error", "running"]
    on_nonfinite: Literal["propagate", "skip", "error"]
    unbiased: bool
    trainable: bool | Literal["weight", "bias"]
    dresidual: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        num_domains: int = 2,
        weight: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        activation: _Activation | None = None,
        negative_slope: float = 0.01,
        alpha: float = 1.0,
        weight_init: Literal["ones", "zeros", "uniform"] = "ones",
        on_single: Literal["error", "running"] = "error",
        on_nonfinite: Literal["propagate", "skip", "error"] = "propagate",
        unbiased: bool = True,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class DomainSpecificBatchNorm1d(_DomainSpecificBatchNorm):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    num_domains: int
    weight: bool
    bias: bool
    dtype: str
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    weight_init: Literal["ones", "zeros", "uniform"]
    on_single: Literal["error", "running"]
    on_nonfinite: Literal["propagate", "skip", "error"]
    unbiased: bool
    trainable: bool | Literal["weight", "bias"]
    dresidual: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        num_domains: int = 2,
        weight: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        activation: _Activation | None = None,
        negative_slope: float = 0.01,
        alpha: float = 1.0,
        weight_init: Literal["ones", "zeros", "uniform"] = "ones",
        on_single: Literal["error", "running"] = "error",
        on_nonfinite: Literal["propagate", "skip", "error"] = "propagate",
        unbiased: bool = True,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class DomainSpecificBatchNorm2d(_DomainSpecificBatchNorm):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    num_domains: int
    weight: bool
    bias: bool
    dtype: str
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    weight_init: Literal["ones", "zeros", "uniform"]
    on_single: Literal["error", "running"]
    on_nonfinite: Literal["propagate", "skip", "error"]
    unbiased: bool
    trainable: bool | Literal["weight", "bias"]
    dresidual: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        num_domains: int = 2,
        weight: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        activation: _Activation | None = None,
        negative_slope: float = 0.01,
        alpha: float = 1.0,
        weight_init: Literal["ones", "zeros", "uniform"] = "ones",
        on_single: Literal["error", "running"] = "error",
        on_nonfinite: Literal["propagate", "skip", "error"] = "propagate",
        unbiased: bool = True,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class DomainSpecificBatchNorm3d(_DomainSpecificBatchNorm):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    num_domains: int
    weight: bool
    bias: bool
    dtype: str
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    weight_init: Literal["ones", "zeros", "uniform"]
    on_single: Literal["error", "running"]
    on_nonfinite: Literal["propagate", "skip", "error"]
    unbiased: bool
    trainable: bool | Literal["weight", "bias"]
    dresidual: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        num_domains: int = 2,
        weight: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        activation: _Activation | None = None,
        negative_slope: float = 0.01,
        alpha: float = 1.0,
        weight_init: Literal["ones", "zeros", "uniform"] = "ones",
        on_single: Literal["error", "running"] = "error",
        on_nonfinite: Literal["propagate", "skip", "error"] = "propagate",
        unbiased: bool = True,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class DyT(_DyT):
    num_features: int
    alpha_init_value: float
    affine: bool
    dtype: str
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]
    alpha: NDArray[Any]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        alpha_init_value: float = 0.5,
        affine: bool = True,
        *,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = -1,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class EvoNormB0(_EvoNormB0):
    num_features: int
    eps: float
    momentum: float
    dtype: str
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any]
    bias: NDArray[Any]
    v1: NDArray[Any]
    running_var: NDArray[Any]
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float = 0.1,
        *,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class EvoNormB1(_EvoNormB1):
    num_features: int
    eps: float
    momentum: float
    dtype: str
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any]
    bias: NDArray[Any]
    running_var: NDArray[Any]
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float = 0.1,
        *,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class EvoNormB2(_EvoNormB2):
    num_features: int
    eps: float
    momentum: float
    dtype: str
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any]
    bias: NDArray[Any]
    running_var: NDArray[Any]
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float = 0.1,
        *,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class EvoNormS0(_EvoNormS0):
    num_features: int
    groups: int
    eps: float
    dtype: str
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any]
    bias: NDArray[Any]
    v1: NDArray[Any]
    def __init__(
        self,
        num_features: int,
        groups: int = 32,
        eps: float = 1e-05,
        *,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class EvoNormS1(_EvoNormS1):
    num_features: int
    groups: int
    eps: float
    dtype: str
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any]
    bias: NDArray[Any]
    def __init__(
        self,
        num_features: int,
        groups: int = 32,
        eps: float = 1e-05,
        *,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class EvoNormS2(_EvoNormS2):
    num_features: int
    groups: int
    eps: float
    dtype: str
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any]
    bias: NDArray[Any]
    def __init__(
        self,
        num_features: int,
        groups: int = 32,
        eps: float = 1e-05,
        *,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class FilterResponseNorm(_FilterResponseNorm):
    num_features: int
    eps: float
    tlu: bool
    learn_eps: bool
    dtype: str
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any]
    bias: NDArray[Any]
    tau: NDArray[Any] | None
    learned_eps: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-06,
        *,
        tlu: bool = True,
        learn_eps: bool = False,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class FrozenBatchNorm1d(_FrozenBatchNorm):
    num_features: int
    eps: float
    dtype: str
    channel_axis: Literal[1, -1]
    weight: NDArray[Any]
    bias: NDArray[Any]
    running_mean: NDArray[Any]
    running_var: NDArray[Any]
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        *,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class FrozenBatchNorm2d(_FrozenBatchNorm):
    num_features: int
    eps: float
    dtype: str
    channel_axis: Literal[1, -1]
    weight: NDArray[Any]
    bias: NDArray[Any]
    running_mean: NDArray[Any]
    running_var: NDArray[Any]
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        *,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class FrozenBatchNorm3d(_FrozenBatchNorm):
    num_features: int
    eps: float
    dtype: str
    channel_axis: Literal[1, -1]
    weight: NDArray[Any]
    bias: NDArray[Any]
    running_mean: NDArray[Any]
    running_var: NDArray[Any]
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        *,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class GatedRMSNorm(_GatedRMSNorm):
    num_features: int
    eps: float
    group_size: int | None
    norm_before_gate: bool
    activation: Literal["silu", "sigmoid"]
    affine: bool
    dtype: str
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    dgate: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        group_size: int | None = None,
        norm_before_gate: bool = True,
        activation: Literal["silu", "sigmoid"] = "silu",
        affine: bool = True,
        *,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = -1,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class GhostBatchNorm(_GhostBatchNorm):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    virtual_batch_size: int
    ghost_inference: bool
    dtype: str
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    weight_init: Literal["ones", "zeros", "uniform"]
    on_single: Literal["error", "running"]
    on_nonfinite: Literal["propagate", "skip", "error"]
    unbiased: bool
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    running_mean: NDArray[Any] | None
    running_var: NDArray[Any] | None
    num_batches_tracked: NDArray[Any] | None
    dresidual: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        virtual_batch_size: int = 128,
        ghost_inference: bool = False,
        weight: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        activation: _Activation | None = None,
        negative_slope: float = 0.01,
        alpha: float = 1.0,
        weight_init: Literal["ones", "zeros", "uniform"] = "ones",
        on_single: Literal["error", "running"] = "error",
        on_nonfinite: Literal["propagate", "skip", "error"] = "propagate",
        unbiased: bool = True,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class GhostBatchNorm1d(_GhostBatchNorm):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    virtual_batch_size: int
    ghost_inference: bool
    dtype: str
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    weight_init: Literal["ones", "zeros", "uniform"]
    on_single: Literal["error", "running"]
    on_nonfinite: Literal["propagate", "skip", "error"]
    unbiased: bool
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    running_mean: NDArray[Any] | None
    running_var: NDArray[Any] | None
    num_batches_tracked: NDArray[Any] | None
    dresidual: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        virtual_batch_size: int = 128,
        ghost_inference: bool = False,
        weight: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        activation: _Activation | None = None,
        negative_slope: float = 0.01,
        alpha: float = 1.0,
        weight_init: Literal["ones", "zeros", "uniform"] = "ones",
        on_single: Literal["error", "running"] = "error",
        on_nonfinite: Literal["propagate", "skip", "error"] = "propagate",
        unbiased: bool = True,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class GhostBatchNorm2d(_GhostBatchNorm):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    virtual_batch_size: int
    ghost_inference: bool
    dtype: str
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    weight_init: Literal["ones", "zeros", "uniform"]
    on_single: Literal["error", "running"]
    on_nonfinite: Literal["propagate", "skip", "error"]
    unbiased: bool
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    running_mean: NDArray[Any] | None
    running_var: NDArray[Any] | None
    num_batches_tracked: NDArray[Any] | None
    dresidual: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        virtual_batch_size: int = 128,
        ghost_inference: bool = False,
        weight: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        activation: _Activation | None = None,
        negative_slope: float = 0.01,
        alpha: float = 1.0,
        weight_init: Literal["ones", "zeros", "uniform"] = "ones",
        on_single: Literal["error", "running"] = "error",
        on_nonfinite: Literal["propagate", "skip", "error"] = "propagate",
        unbiased: bool = True,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class GhostBatchNorm3d(_GhostBatchNorm):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    virtual_batch_size: int
    ghost_inference: bool
    dtype: str
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    weight_init: Literal["ones", "zeros", "uniform"]
    on_single: Literal["error", "running"]
    on_nonfinite: Literal["propagate", "skip", "error"]
    unbiased: bool
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    running_mean: NDArray[Any] | None
    running_var: NDArray[Any] | None
    num_batches_tracked: NDArray[Any] | None
    dresidual: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        virtual_batch_size: int = 128,
        ghost_inference: bool = False,
        weight: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        activation: _Activation | None = None,
        negative_slope: float = 0.01,
        alpha: float = 1.0,
        weight_init: Literal["ones", "zeros", "uniform"] = "ones",
        on_single: Literal["error", "running"] = "error",
        on_nonfinite: Literal["propagate", "skip", "error"] = "propagate",
        unbiased: bool = True,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class GlobalResponseNorm(_GlobalResponseNorm):
    num_features: int
    eps: float
    dtype: str
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any]
    bias: NDArray[Any]
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-06,
        *,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class GroupNorm(_GroupNorm):
    num_groups: int
    num_channels: int
    eps: float
    affine: bool
    dtype: str
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    dresidual: NDArray[Any] | None
    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-05,
        affine: bool = True,
        *,
        weight: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        activation: _Activation | None = None,
        negative_slope: float = 0.01,
        alpha: float = 1.0,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class IBN(_IBN):
    num_features: int
    ratio: float
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    dtype: str
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    running_mean: NDArray[Any] | None
    running_var: NDArray[Any] | None
    num_batches_tracked: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        ratio: float = 0.5,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class InstanceNorm1d(_InstanceNorm):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    dtype: str
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    running_mean: NDArray[Any] | None
    running_var: NDArray[Any] | None
    num_batches_tracked: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        weight: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        activation: _Activation | None = None,
        negative_slope: float = 0.01,
        alpha: float = 1.0,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class InstanceNorm2d(_InstanceNorm):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    dtype: str
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    running_mean: NDArray[Any] | None
    running_var: NDArray[Any] | None
    num_batches_tracked: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        weight: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        activation: _Activation | None = None,
        negative_slope: float = 0.01,
        alpha: float = 1.0,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class InstanceNorm3d(_InstanceNorm):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    dtype: str
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    running_mean: NDArray[Any] | None
    running_var: NDArray[Any] | None
    num_batches_tracked: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        weight: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        activation: _Activation | None = None,
        negative_slope: float = 0.01,
        alpha: float = 1.0,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class IterNorm(_IterNorm):
    num_features: int
    num_groups: int
    iterations: int
    eps: float
    momentum: float
    affine: bool
    dtype: str
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    running_mean: NDArray[Any]
    running_wm: NDArray[Any]
    def __init__(
        self,
        num_features: int,
        num_groups: int = 1,
        iterations: int = 5,
        eps: float = 1e-05,
        momentum: float = 0.1,
        affine: bool = True,
        *,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class LayerNorm(_LayerNorm):
    normalized_shape: tuple[int, ...]
    eps: float
    elementwise_affine: bool
    unit_offset: bool
    dtype: str
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    dresidual: NDArray[Any] | None
    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-05,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        weight: bool = True,
        unit_offset: bool = False,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = -1,
        activation: _Activation | None = None,
        negative_slope: float = 0.01,
        alpha: float = 1.0,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class LazyBatchNorm1d(_LazyBatchNorm, BatchNorm1d):
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    num_features: int | None  # type: ignore[assignment, unused-ignore]
    dtype: str
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    weight_init: Literal["ones", "zeros", "uniform"]
    on_single: Literal["error", "running"]
    on_nonfinite: Literal["propagate", "skip", "error"]
    unbiased: bool
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    running_mean: NDArray[Any] | None
    running_var: NDArray[Any] | None
    num_batches_tracked: NDArray[Any] | None
    dresidual: NDArray[Any] | None
    def __init__(
        self,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        num_features: int | None = None,
        weight: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        activation: _Activation | None = None,
        negative_slope: float = 0.01,
        alpha: float = 1.0,
        weight_init: Literal["ones", "zeros", "uniform"] = "ones",
        on_single: Literal["error", "running"] = "error",
        on_nonfinite: Literal["propagate", "skip", "error"] = "propagate",
        unbiased: bool = True,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class LazyBatchNorm2d(_LazyBatchNorm, BatchNorm2d):
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    num_features: int | None  # type: ignore[assignment, unused-ignore]
    dtype: str
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    weight_init: Literal["ones", "zeros", "uniform"]
    on_single: Literal["error", "running"]
    on_nonfinite: Literal["propagate", "skip", "error"]
    unbiased: bool
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    running_mean: NDArray[Any] | None
    running_var: NDArray[Any] | None
    num_batches_tracked: NDArray[Any] | None
    dresidual: NDArray[Any] | None
    def __init__(
        self,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        num_features: int | None = None,
        weight: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        activation: _Activation | None = None,
        negative_slope: float = 0.01,
        alpha: float = 1.0,
        weight_init: Literal["ones", "zeros", "uniform"] = "ones",
        on_single: Literal["error", "running"] = "error",
        on_nonfinite: Literal["propagate", "skip", "error"] = "propagate",
        unbiased: bool = True,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class LazyBatchNorm3d(_LazyBatchNorm, BatchNorm3d):
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    num_features: int | None  # type: ignore[assignment, unused-ignore]
    dtype: str
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    weight_init: Literal["ones", "zeros", "uniform"]
    on_single: Literal["error", "running"]
    on_nonfinite: Literal["propagate", "skip", "error"]
    unbiased: bool
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    running_mean: NDArray[Any] | None
    running_var: NDArray[Any] | None
    num_batches_tracked: NDArray[Any] | None
    dresidual: NDArray[Any] | None
    def __init__(
        self,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        num_features: int | None = None,
        weight: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        activation: _Activation | None = None,
        negative_slope: float = 0.01,
        alpha: float = 1.0,
        weight_init: Literal["ones", "zeros", "uniform"] = "ones",
        on_single: Literal["error", "running"] = "error",
        on_nonfinite: Literal["propagate", "skip", "error"] = "propagate",
        unbiased: bool = True,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class LazyInstanceNorm1d(_LazyInstanceNorm, InstanceNorm1d):
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    num_features: int | None  # type: ignore[assignment, unused-ignore]
    dtype: str
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    running_mean: NDArray[Any] | None
    running_var: NDArray[Any] | None
    num_batches_tracked: NDArray[Any] | None
    def __init__(
        self,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        num_features: int | None = None,
        weight: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        activation: _Activation | None = None,
        negative_slope: float = 0.01,
        alpha: float = 1.0,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class LazyInstanceNorm2d(_LazyInstanceNorm, InstanceNorm2d):
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    num_features: int | None  # type: ignore[assignment, unused-ignore]
    dtype: str
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    running_mean: NDArray[Any] | None
    running_var: NDArray[Any] | None
    num_batches_tracked: NDArray[Any] | None
    def __init__(
        self,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        num_features: int | None = None,
        weight: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        activation: _Activation | None = None,
        negative_slope: float = 0.01,
        alpha: float = 1.0,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class LazyInstanceNorm3d(_LazyInstanceNorm, InstanceNorm3d):
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    num_features: int | None  # type: ignore[assignment, unused-ignore]
    dtype: str
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    running_mean: NDArray[Any] | None
    running_var: NDArray[Any] | None
    num_batches_tracked: NDArray[Any] | None
    def __init__(
        self,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        num_features: int | None = None,
        weight: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        activation: _Activation | None = None,
        negative_slope: float = 0.01,
        alpha: float = 1.0,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class LocalResponseNorm(_LocalResponseNorm):
    size: int
    alpha: float
    beta: float
    k: float
    channel_axis: Literal[1, -1]
    def __init__(
        self,
        size: int,
        alpha: float = 0.0001,
        beta: float = 0.75,
        k: float = 1.0,
        *,
        channel_axis: Literal[1, -1] = 1,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class LpNormalization(_LpNormalization):
    axis: int
    p: Literal[1, 2]
    eps: float
    def __init__(self, axis: int = -1, p: Literal[1, 2] = 2, eps: float = 0.0) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class MeanVarianceNormalization(_MeanVarianceNormalization):
    axes: tuple[int, ...]
    eps: float
    def __init__(self, axes: Sequence[int] = ..., eps: float = 1e-09) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class Normalize(_Normalize):
    num_features: int | None
    unbiased: bool
    channel_axis: Literal[1, -1]
    mean: NDArray[Any]
    std: NDArray[Any]
    count: NDArray[Any]
    def __init__(
        self,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        *,
        num_features: int | None = None,
        unbiased: bool = False,
        channel_axis: Literal[1, -1] = 1,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class PartialRMSNorm(_PartialRMSNorm):
    num_features: int
    p: float
    eps: float
    affine: bool
    dtype: str
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: None
    dresidual: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        p: float = 0.0625,
        eps: float = 1e-06,
        affine: bool = True,
        *,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = -1,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class PowerNorm(_PowerNorm):
    num_features: int
    eps: float
    momentum: float
    affine: bool
    warmup: int | None
    gradient: Literal["exact", "paper"]
    dtype: str
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    running_phi: NDArray[Any]
    running_nu: NDArray[Any] | None
    num_batches_tracked: NDArray[Any]
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float = 0.1,
        affine: bool = True,
        *,
        warmup: int | None = 0,
        gradient: Literal["exact", "paper"] = "exact",
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class RevIN(_RevIN):
    num_features: int
    eps: float
    affine: bool
    subtract_last: bool
    detach: bool
    dtype: str
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        affine: bool = True,
        subtract_last: bool = False,
        detach: bool = False,
        *,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = -1,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class RMSNorm(_RMSNorm):
    normalized_shape: tuple[int, ...]
    eps: float | None
    elementwise_affine: bool
    unit_offset: bool
    dtype: str
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    dresidual: NDArray[Any] | None
    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        weight: bool = True,
        bias: bool = False,
        unit_offset: bool = False,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = -1,
        activation: _Activation | None = None,
        negative_slope: float = 0.01,
        alpha: float = 1.0,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class ScaleNorm(_ScaleNorm):
    num_features: int
    eps: float
    dtype: str
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any]
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-10,
        *,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = -1,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class SimpleNorm(_SimpleNorm):
    num_features: int
    eps: float
    affine: bool
    dtype: str
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-06,
        affine: bool = True,
        *,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = -1,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class SpectralNorm(_SpectralNorm):
    n_power_iterations: int
    eps: float
    dim: int
    out_channels: int | None
    fan_in: int | None
    dtype: str
    _u: None
    _v: None
    def __init__(
        self,
        n_power_iterations: int = 1,
        eps: float = 1e-12,
        dim: int = 0,
        *,
        out_channels: int | None = None,
        fan_in: int | None = None,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class SplitBatchNorm(_SplitBatchNorm):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    num_splits: int
    dtype: str
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    weight_init: Literal["ones", "zeros", "uniform"]
    on_single: Literal["error", "running"]
    on_nonfinite: Literal["propagate", "skip", "error"]
    unbiased: bool
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    running_mean: NDArray[Any] | None
    running_var: NDArray[Any] | None
    num_batches_tracked: NDArray[Any] | None
    dresidual: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        num_splits: int = 2,
        weight: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        activation: _Activation | None = None,
        negative_slope: float = 0.01,
        alpha: float = 1.0,
        weight_init: Literal["ones", "zeros", "uniform"] = "ones",
        on_single: Literal["error", "running"] = "error",
        on_nonfinite: Literal["propagate", "skip", "error"] = "propagate",
        unbiased: bool = True,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class SplitBatchNorm1d(_SplitBatchNorm):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    num_splits: int
    dtype: str
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    weight_init: Literal["ones", "zeros", "uniform"]
    on_single: Literal["error", "running"]
    on_nonfinite: Literal["propagate", "skip", "error"]
    unbiased: bool
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    running_mean: NDArray[Any] | None
    running_var: NDArray[Any] | None
    num_batches_tracked: NDArray[Any] | None
    dresidual: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        num_splits: int = 2,
        weight: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        activation: _Activation | None = None,
        negative_slope: float = 0.01,
        alpha: float = 1.0,
        weight_init: Literal["ones", "zeros", "uniform"] = "ones",
        on_single: Literal["error", "running"] = "error",
        on_nonfinite: Literal["propagate", "skip", "error"] = "propagate",
        unbiased: bool = True,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class SplitBatchNorm2d(_SplitBatchNorm):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    num_splits: int
    dtype: str
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    weight_init: Literal["ones", "zeros", "uniform"]
    on_single: Literal["error", "running"]
    on_nonfinite: Literal["propagate", "skip", "error"]
    unbiased: bool
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    running_mean: NDArray[Any] | None
    running_var: NDArray[Any] | None
    num_batches_tracked: NDArray[Any] | None
    dresidual: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        num_splits: int = 2,
        weight: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        activation: _Activation | None = None,
        negative_slope: float = 0.01,
        alpha: float = 1.0,
        weight_init: Literal["ones", "zeros", "uniform"] = "ones",
        on_single: Literal["error", "running"] = "error",
        on_nonfinite: Literal["propagate", "skip", "error"] = "propagate",
        unbiased: bool = True,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class SplitBatchNorm3d(_SplitBatchNorm):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    num_splits: int
    dtype: str
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    weight_init: Literal["ones", "zeros", "uniform"]
    on_single: Literal["error", "running"]
    on_nonfinite: Literal["propagate", "skip", "error"]
    unbiased: bool
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    running_mean: NDArray[Any] | None
    running_var: NDArray[Any] | None
    num_batches_tracked: NDArray[Any] | None
    dresidual: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        num_splits: int = 2,
        weight: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        activation: _Activation | None = None,
        negative_slope: float = 0.01,
        alpha: float = 1.0,
        weight_init: Literal["ones", "zeros", "uniform"] = "ones",
        on_single: Literal["error", "running"] = "error",
        on_nonfinite: Literal["propagate", "skip", "error"] = "propagate",
        unbiased: bool = True,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class SwitchableNorm1d(_SwitchableNorm):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    dtype: str
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    mean_weight: NDArray[Any]
    var_weight: NDArray[Any]
    running_mean: NDArray[Any] | None
    running_var: NDArray[Any] | None
    num_batches_tracked: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class SwitchableNorm2d(_SwitchableNorm):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    dtype: str
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    mean_weight: NDArray[Any]
    var_weight: NDArray[Any]
    running_mean: NDArray[Any] | None
    running_var: NDArray[Any] | None
    num_batches_tracked: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class SwitchableNorm3d(_SwitchableNorm):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    dtype: str
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    mean_weight: NDArray[Any]
    var_weight: NDArray[Any]
    running_mean: NDArray[Any] | None
    running_var: NDArray[Any] | None
    num_batches_tracked: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class SyncBatchNorm(_SyncBatchNorm):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    dtype: str
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    weight_init: Literal["ones", "zeros", "uniform"]
    on_single: Literal["error", "running"]
    on_nonfinite: Literal["propagate", "skip", "error"]
    unbiased: bool
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    running_mean: NDArray[Any] | None
    running_var: NDArray[Any] | None
    num_batches_tracked: NDArray[Any] | None
    dresidual: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        weight: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        activation: _Activation | None = None,
        negative_slope: float = 0.01,
        alpha: float = 1.0,
        weight_init: Literal["ones", "zeros", "uniform"] = "ones",
        on_single: Literal["error", "running"] = "error",
        on_nonfinite: Literal["propagate", "skip", "error"] = "propagate",
        unbiased: bool = True,
        trainable: bool | Literal["weight", "bias"] = True,
        comm: Any = ...,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class SyncBatchNorm1d(_SyncBatchNorm):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    dtype: str
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    weight_init: Literal["ones", "zeros", "uniform"]
    on_single: Literal["error", "running"]
    on_nonfinite: Literal["propagate", "skip", "error"]
    unbiased: bool
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    running_mean: NDArray[Any] | None
    running_var: NDArray[Any] | None
    num_batches_tracked: NDArray[Any] | None
    dresidual: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        weight: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        activation: _Activation | None = None,
        negative_slope: float = 0.01,
        alpha: float = 1.0,
        weight_init: Literal["ones", "zeros", "uniform"] = "ones",
        on_single: Literal["error", "running"] = "error",
        on_nonfinite: Literal["propagate", "skip", "error"] = "propagate",
        unbiased: bool = True,
        trainable: bool | Literal["weight", "bias"] = True,
        comm: Any = ...,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class SyncBatchNorm2d(_SyncBatchNorm):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    dtype: str
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    weight_init: Literal["ones", "zeros", "uniform"]
    on_single: Literal["error", "running"]
    on_nonfinite: Literal["propagate", "skip", "error"]
    unbiased: bool
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    running_mean: NDArray[Any] | None
    running_var: NDArray[Any] | None
    num_batches_tracked: NDArray[Any] | None
    dresidual: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        weight: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        activation: _Activation | None = None,
        negative_slope: float = 0.01,
        alpha: float = 1.0,
        weight_init: Literal["ones", "zeros", "uniform"] = "ones",
        on_single: Literal["error", "running"] = "error",
        on_nonfinite: Literal["propagate", "skip", "error"] = "propagate",
        unbiased: bool = True,
        trainable: bool | Literal["weight", "bias"] = True,
        comm: Any = ...,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class SyncBatchNorm3d(_SyncBatchNorm):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    dtype: str
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    weight_init: Literal["ones", "zeros", "uniform"]
    on_single: Literal["error", "running"]
    on_nonfinite: Literal["propagate", "skip", "error"]
    unbiased: bool
    trainable: bool | Literal["weight", "bias"]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    running_mean: NDArray[Any] | None
    running_var: NDArray[Any] | None
    num_batches_tracked: NDArray[Any] | None
    dresidual: NDArray[Any] | None
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        weight: bool = True,
        bias: bool = True,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[1, -1] = 1,
        activation: _Activation | None = None,
        negative_slope: float = 0.01,
        alpha: float = 1.0,
        weight_init: Literal["ones", "zeros", "uniform"] = "ones",
        on_single: Literal["error", "running"] = "error",
        on_nonfinite: Literal["propagate", "skip", "error"] = "propagate",
        unbiased: bool = True,
        trainable: bool | Literal["weight", "bias"] = True,
        comm: Any = ...,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class WeightNorm(_WeightNorm):
    out_channels: int | None
    dim: int | None
    dtype: str
    trainable: bool | Literal["weight", "bias"]
    gain: None
    def __init__(
        self,
        out_channels: int | None = None,
        dim: int | None = 0,
        *,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class WeightStandardization(_WeightStandardization):
    out_channels: int | None
    eps: float
    scaled: bool
    dtype: str
    channel_axis: Literal[0, -1]
    trainable: bool | Literal["weight", "bias"]
    gain: None
    def __init__(
        self,
        out_channels: int | None = None,
        eps: float = 1e-05,
        scaled: bool = False,
        *,
        dtype: str | type[Any] | np.dtype[Any] = "float32",
        channel_axis: Literal[0, -1] = 0,
        trainable: bool | Literal["weight", "bias"] = True,
    ) -> None: ...
    __getattr__: None  # type: ignore[misc, assignment, unused-ignore]
    __setattr__: None  # type: ignore[misc, assignment, unused-ignore]

class _AdaINOptions(TypedDict, total=False):
    num_features: int
    eps: float
    channel_axis: Literal[1, -1]

class _AdaptiveLayerNormOptions(TypedDict, total=False):
    num_features: int
    eps: float
    affine: bool
    unit_offset: bool
    bias: bool
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]

class _BatchNormOptions(TypedDict, total=False):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    weight: bool
    bias: bool
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    weight_init: Literal["ones", "zeros", "uniform"]
    on_single: Literal["error", "running"]
    on_nonfinite: Literal["propagate", "skip", "error"]
    unbiased: bool
    trainable: bool | Literal["weight", "bias"]

class _BatchRenormOptions(TypedDict, total=False):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    rmax: float
    dmax: float
    warmup_steps: int
    rmax_steps: int
    dmax_steps: int
    bias: bool
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]

class _ConditionalBatchNormOptions(TypedDict, total=False):
    num_features: int
    eps: float
    momentum: float | None
    num_classes: int
    track_running_stats: bool
    bias: bool
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]

class _DomainSpecificBatchNormOptions(TypedDict, total=False):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    num_domains: int
    weight: bool
    bias: bool
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    weight_init: Literal["ones", "zeros", "uniform"]
    on_single: Literal["error", "running"]
    on_nonfinite: Literal["propagate", "skip", "error"]
    unbiased: bool
    trainable: bool | Literal["weight", "bias"]

class _DyTOptions(TypedDict, total=False):
    num_features: int
    alpha_init_value: float
    affine: bool
    bias: bool
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]

class _EvoNormB0Options(TypedDict, total=False):
    num_features: int
    eps: float
    momentum: float
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]

class _EvoNormB1Options(TypedDict, total=False):
    num_features: int
    eps: float
    momentum: float
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]

class _EvoNormB2Options(TypedDict, total=False):
    num_features: int
    eps: float
    momentum: float
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]

class _EvoNormS0Options(TypedDict, total=False):
    num_features: int
    groups: int
    eps: float
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]

class _EvoNormS1Options(TypedDict, total=False):
    num_features: int
    groups: int
    eps: float
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]

class _EvoNormS2Options(TypedDict, total=False):
    num_features: int
    groups: int
    eps: float
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]

class _FilterResponseNormOptions(TypedDict, total=False):
    num_features: int
    eps: float
    tlu: bool
    learn_eps: bool
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]

class _FrozenBatchNormOptions(TypedDict, total=False):
    num_features: int
    eps: float
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[1, -1]

class _GatedRMSNormOptions(TypedDict, total=False):
    num_features: int
    eps: float
    group_size: int | None
    norm_before_gate: bool
    activation: Literal["silu", "sigmoid"]
    affine: bool
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]

class _GhostBatchNormOptions(TypedDict, total=False):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    virtual_batch_size: int
    ghost_inference: bool
    weight: bool
    bias: bool
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    weight_init: Literal["ones", "zeros", "uniform"]
    on_single: Literal["error", "running"]
    on_nonfinite: Literal["propagate", "skip", "error"]
    unbiased: bool
    trainable: bool | Literal["weight", "bias"]

class _GlobalResponseNormOptions(TypedDict, total=False):
    num_features: int
    eps: float
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]

class _GroupNormOptions(TypedDict, total=False):
    num_features: int
    num_groups: int
    num_channels: int
    eps: float
    affine: bool
    weight: bool
    bias: bool
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    trainable: bool | Literal["weight", "bias"]

class _IBNOptions(TypedDict, total=False):
    num_features: int
    ratio: float
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    bias: bool
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]

class _InstanceNormOptions(TypedDict, total=False):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    weight: bool
    bias: bool
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    trainable: bool | Literal["weight", "bias"]

class _IterNormOptions(TypedDict, total=False):
    num_features: int
    num_groups: int
    iterations: int
    eps: float
    momentum: float
    affine: bool
    bias: bool
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]

class _LayerNormOptions(TypedDict, total=False):
    num_features: int
    normalized_shape: int | Sequence[int]
    eps: float
    elementwise_affine: bool
    bias: bool
    weight: bool
    unit_offset: bool
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    trainable: bool | Literal["weight", "bias"]

class _LazyBatchNormOptions(TypedDict, total=False):
    num_features: int | None
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    weight: bool
    bias: bool
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    weight_init: Literal["ones", "zeros", "uniform"]
    on_single: Literal["error", "running"]
    on_nonfinite: Literal["propagate", "skip", "error"]
    unbiased: bool
    trainable: bool | Literal["weight", "bias"]

class _LazyInstanceNormOptions(TypedDict, total=False):
    num_features: int | None
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    weight: bool
    bias: bool
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    trainable: bool | Literal["weight", "bias"]

class _LocalResponseNormOptions(TypedDict, total=False):
    num_features: int
    size: int
    alpha: float
    beta: float
    k: float
    channel_axis: Literal[1, -1]

class _LpNormalizationOptions(TypedDict, total=False):
    num_features: int
    axis: int
    p: Literal[1, 2]
    eps: float

class _MeanVarianceNormalizationOptions(TypedDict, total=False):
    num_features: int
    axes: Sequence[int]
    eps: float

class _NormalizeOptions(TypedDict, total=False):
    num_features: int | None
    mean: float | Sequence[float] | None
    std: float | Sequence[float] | None
    unbiased: bool
    channel_axis: Literal[1, -1]

class _PartialRMSNormOptions(TypedDict, total=False):
    num_features: int
    p: float
    eps: float
    affine: bool
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]

class _PowerNormOptions(TypedDict, total=False):
    num_features: int
    eps: float
    momentum: float
    affine: bool
    warmup: int | None
    gradient: Literal["exact", "paper"]
    bias: bool
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]

class _RevINOptions(TypedDict, total=False):
    num_features: int
    eps: float
    affine: bool
    subtract_last: bool
    detach: bool
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]

class _RMSNormOptions(TypedDict, total=False):
    num_features: int
    normalized_shape: int | Sequence[int]
    eps: float | None
    elementwise_affine: bool
    weight: bool
    bias: bool
    unit_offset: bool
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    trainable: bool | Literal["weight", "bias"]

class _ScaleNormOptions(TypedDict, total=False):
    num_features: int
    eps: float
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]

class _SimpleNormOptions(TypedDict, total=False):
    num_features: int
    eps: float
    affine: bool
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]

class _SpectralNormOptions(TypedDict, total=False):
    num_features: int
    n_power_iterations: int
    eps: float
    dim: int
    out_channels: int | None
    fan_in: int | None
    dtype: str | type[Any] | np.dtype[Any]

class _SplitBatchNormOptions(TypedDict, total=False):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    num_splits: int
    weight: bool
    bias: bool
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    weight_init: Literal["ones", "zeros", "uniform"]
    on_single: Literal["error", "running"]
    on_nonfinite: Literal["propagate", "skip", "error"]
    unbiased: bool
    trainable: bool | Literal["weight", "bias"]

class _SwitchableNormOptions(TypedDict, total=False):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    bias: bool
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[1, -1]
    trainable: bool | Literal["weight", "bias"]

class _SyncBatchNormOptions(TypedDict, total=False):
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    weight: bool
    bias: bool
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[1, -1]
    activation: _Activation | None
    negative_slope: float
    alpha: float
    weight_init: Literal["ones", "zeros", "uniform"]
    on_single: Literal["error", "running"]
    on_nonfinite: Literal["propagate", "skip", "error"]
    unbiased: bool
    trainable: bool | Literal["weight", "bias"]

class _WeightNormOptions(TypedDict, total=False):
    num_features: int
    out_channels: int | None
    dim: int | None
    dtype: str | type[Any] | np.dtype[Any]
    trainable: bool | Literal["weight", "bias"]

class _WeightStandardizationOptions(TypedDict, total=False):
    num_features: int
    out_channels: int | None
    eps: float
    scaled: bool
    dtype: str | type[Any] | np.dtype[Any]
    channel_axis: Literal[0, -1]
    trainable: bool | Literal["weight", "bias"]

class _AnyOptions(TypedDict, total=False):
    num_features: int | None
    eps: float | None
    channel_axis: Literal[1, -1] | Literal[0, -1]
    affine: bool
    unit_offset: bool
    bias: bool
    dtype: str | type[Any] | np.dtype[Any]
    trainable: bool | Literal["weight", "bias"]
    momentum: float | None
    track_running_stats: bool
    weight: bool
    activation: _Activation | Literal["silu", "sigmoid"] | None
    negative_slope: float
    alpha: float
    weight_init: Literal["ones", "zeros", "uniform"]
    on_single: Literal["error", "running"]
    on_nonfinite: Literal["propagate", "skip", "error"]
    unbiased: bool
    rmax: float
    dmax: float
    warmup_steps: int
    rmax_steps: int
    dmax_steps: int
    num_classes: int
    num_domains: int
    alpha_init_value: float
    groups: int
    tlu: bool
    learn_eps: bool
    group_size: int | None
    norm_before_gate: bool
    virtual_batch_size: int
    ghost_inference: bool
    num_groups: int
    num_channels: int
    ratio: float
    iterations: int
    normalized_shape: int | Sequence[int]
    elementwise_affine: bool
    size: int
    beta: float
    k: float
    axis: int
    p: Literal[1, 2] | float
    axes: Sequence[int]
    mean: float | Sequence[float] | None
    std: float | Sequence[float] | None
    warmup: int | None
    gradient: Literal["exact", "paper"]
    subtract_last: bool
    detach: bool
    n_power_iterations: int
    dim: int | None
    out_channels: int | None
    fan_in: int | None
    num_splits: int
    scaled: bool

_Layer = TypeVar("_Layer", bound=Layer)

@overload
def create(spec: None, /, **options: Any) -> None: ...
@overload
def create(spec: Any, /, *, dialect: str | Dialect, **options: Any) -> Layer | None: ...
@overload
def create(spec: type[_Layer], /, **options: Any) -> _Layer: ...
@overload
def create(
    spec: Literal["AdaIN", "AdaptiveInstanceNorm"],
    /,
    **options: Unpack[_AdaINOptions],
) -> AdaIN: ...
@overload
def create(
    spec: Literal["AdaptiveLayerNorm", "AdaLN", "AdaLayerNorm"],
    /,
    **options: Unpack[_AdaptiveLayerNormOptions],
) -> AdaptiveLayerNorm: ...
@overload
def create(
    spec: Literal["BatchNorm1d", "BN1d"],
    /,
    **options: Unpack[_BatchNormOptions],
) -> BatchNorm1d: ...
@overload
def create(
    spec: Literal["BatchNorm2d", "BN", "BN2d", "BatchNorm"],
    /,
    **options: Unpack[_BatchNormOptions],
) -> BatchNorm2d: ...
@overload
def create(
    spec: Literal["BatchNorm3d", "BN3d"],
    /,
    **options: Unpack[_BatchNormOptions],
) -> BatchNorm3d: ...
@overload
def create(
    spec: Literal["BatchRenorm", "BRN"],
    /,
    **options: Unpack[_BatchRenormOptions],
) -> BatchRenorm: ...
@overload
def create(
    spec: Literal["BatchRenorm1d", "BRN1d"],
    /,
    **options: Unpack[_BatchRenormOptions],
) -> BatchRenorm1d: ...
@overload
def create(
    spec: Literal["BatchRenorm2d", "BRN2d"],
    /,
    **options: Unpack[_BatchRenormOptions],
) -> BatchRenorm2d: ...
@overload
def create(
    spec: Literal["BatchRenorm3d", "BRN3d"],
    /,
    **options: Unpack[_BatchRenormOptions],
) -> BatchRenorm3d: ...
@overload
def create(
    spec: Literal["ConditionalBatchNorm", "CBN"],
    /,
    **options: Unpack[_ConditionalBatchNormOptions],
) -> ConditionalBatchNorm: ...
@overload
def create(
    spec: Literal["ConditionalBatchNorm1d", "CBN1d"],
    /,
    **options: Unpack[_ConditionalBatchNormOptions],
) -> ConditionalBatchNorm1d: ...
@overload
def create(
    spec: Literal["ConditionalBatchNorm2d", "CBN2d"],
    /,
    **options: Unpack[_ConditionalBatchNormOptions],
) -> ConditionalBatchNorm2d: ...
@overload
def create(
    spec: Literal["ConditionalBatchNorm3d", "CBN3d"],
    /,
    **options: Unpack[_ConditionalBatchNormOptions],
) -> ConditionalBatchNorm3d: ...
@overload
def create(
    spec: Literal["DomainSpecificBatchNorm", "DSBN"],
    /,
    **options: Unpack[_DomainSpecificBatchNormOptions],
) -> DomainSpecificBatchNorm: ...
@overload
def create(
    spec: Literal["DomainSpecificBatchNorm1d", "DSBN1d"],
    /,
    **options: Unpack[_DomainSpecificBatchNormOptions],
) -> DomainSpecificBatchNorm1d: ...
@overload
def create(
    spec: Literal["DomainSpecificBatchNorm2d", "DSBN2d"],
    /,
    **options: Unpack[_DomainSpecificBatchNormOptions],
) -> DomainSpecificBatchNorm2d: ...
@overload
def create(
    spec: Literal["DomainSpecificBatchNorm3d", "DSBN3d"],
    /,
    **options: Unpack[_DomainSpecificBatchNormOptions],
) -> DomainSpecificBatchNorm3d: ...
@overload
def create(spec: Literal["DyT", "DynamicTanh"], /, **options: Unpack[_DyTOptions]) -> DyT: ...
@overload
def create(spec: Literal["EvoNormB0"], /, **options: Unpack[_EvoNormB0Options]) -> EvoNormB0: ...
@overload
def create(spec: Literal["EvoNormB1"], /, **options: Unpack[_EvoNormB1Options]) -> EvoNormB1: ...
@overload
def create(spec: Literal["EvoNormB2"], /, **options: Unpack[_EvoNormB2Options]) -> EvoNormB2: ...
@overload
def create(spec: Literal["EvoNormS0"], /, **options: Unpack[_EvoNormS0Options]) -> EvoNormS0: ...
@overload
def create(spec: Literal["EvoNormS1"], /, **options: Unpack[_EvoNormS1Options]) -> EvoNormS1: ...
@overload
def create(spec: Literal["EvoNormS2"], /, **options: Unpack[_EvoNormS2Options]) -> EvoNormS2: ...
@overload
def create(
    spec: Literal["FilterResponseNorm", "FRN"],
    /,
    **options: Unpack[_FilterResponseNormOptions],
) -> FilterResponseNorm: ...
@overload
def create(
    spec: Literal["FrozenBatchNorm1d", "FrozenBN1d"],
    /,
    **options: Unpack[_FrozenBatchNormOptions],
) -> FrozenBatchNorm1d: ...
@overload
def create(
    spec: Literal["FrozenBatchNorm2d", "FrozenBN", "FrozenBN2d", "FrozenBatchNorm"],
    /,
    **options: Unpack[_FrozenBatchNormOptions],
) -> FrozenBatchNorm2d: ...
@overload
def create(
    spec: Literal["FrozenBatchNorm3d", "FrozenBN3d"],
    /,
    **options: Unpack[_FrozenBatchNormOptions],
) -> FrozenBatchNorm3d: ...
@overload
def create(
    spec: Literal["GatedRMSNorm", "RMSNormGated"],
    /,
    **options: Unpack[_GatedRMSNormOptions],
) -> GatedRMSNorm: ...
@overload
def create(
    spec: Literal["GhostBatchNorm", "GhostBN", "GBN"],
    /,
    **options: Unpack[_GhostBatchNormOptions],
) -> GhostBatchNorm: ...
@overload
def create(
    spec: Literal["GhostBatchNorm1d", "GhostBN1d"],
    /,
    **options: Unpack[_GhostBatchNormOptions],
) -> GhostBatchNorm1d: ...
@overload
def create(
    spec: Literal["GhostBatchNorm2d", "GhostBN2d"],
    /,
    **options: Unpack[_GhostBatchNormOptions],
) -> GhostBatchNorm2d: ...
@overload
def create(
    spec: Literal["GhostBatchNorm3d", "GhostBN3d"],
    /,
    **options: Unpack[_GhostBatchNormOptions],
) -> GhostBatchNorm3d: ...
@overload
def create(
    spec: Literal["GlobalResponseNorm", "GRN"],
    /,
    **options: Unpack[_GlobalResponseNormOptions],
) -> GlobalResponseNorm: ...
@overload
def create(
    spec: Literal["GroupNorm", "GN"],
    /,
    **options: Unpack[_GroupNormOptions],
) -> GroupNorm: ...
@overload
def create(spec: Literal["IBN", "InstanceBatchNorm"], /, **options: Unpack[_IBNOptions]) -> IBN: ...
@overload
def create(
    spec: Literal["InstanceNorm1d", "IN1d"],
    /,
    **options: Unpack[_InstanceNormOptions],
) -> InstanceNorm1d: ...
@overload
def create(
    spec: Literal["InstanceNorm2d", "IN", "IN2d", "InstanceNorm"],
    /,
    **options: Unpack[_InstanceNormOptions],
) -> InstanceNorm2d: ...
@overload
def create(
    spec: Literal["InstanceNorm3d", "IN3d"],
    /,
    **options: Unpack[_InstanceNormOptions],
) -> InstanceNorm3d: ...
@overload
def create(
    spec: Literal["IterNorm", "IterativeNorm"],
    /,
    **options: Unpack[_IterNormOptions],
) -> IterNorm: ...
@overload
def create(
    spec: Literal["LayerNorm", "LN"],
    /,
    **options: Unpack[_LayerNormOptions],
) -> LayerNorm: ...
@overload
def create(
    spec: Literal["LazyBatchNorm1d", "LazyBN1d"],
    /,
    **options: Unpack[_LazyBatchNormOptions],
) -> LazyBatchNorm1d: ...
@overload
def create(
    spec: Literal["LazyBatchNorm2d", "LazyBN", "LazyBN2d", "LazyBatchNorm"],
    /,
    **options: Unpack[_LazyBatchNormOptions],
) -> LazyBatchNorm2d: ...
@overload
def create(
    spec: Literal["LazyBatchNorm3d", "LazyBN3d"],
    /,
    **options: Unpack[_LazyBatchNormOptions],
) -> LazyBatchNorm3d: ...
@overload
def create(
    spec: Literal["LazyInstanceNorm1d", "LazyIN1d"],
    /,
    **options: Unpack[_LazyInstanceNormOptions],
) -> LazyInstanceNorm1d: ...
@overload
def create(
    spec: Literal["LazyInstanceNorm2d", "LazyIN", "LazyIN2d", "LazyInstanceNorm"],
    /,
    **options: Unpack[_LazyInstanceNormOptions],
) -> LazyInstanceNorm2d: ...
@overload
def create(
    spec: Literal["LazyInstanceNorm3d", "LazyIN3d"],
    /,
    **options: Unpack[_LazyInstanceNormOptions],
) -> LazyInstanceNorm3d: ...
@overload
def create(
    spec: Literal["LocalResponseNorm", "LRN"],
    /,
    **options: Unpack[_LocalResponseNormOptions],
) -> LocalResponseNorm: ...
@overload
def create(
    spec: Literal["LpNormalization", "LpNorm", "L2Norm"],
    /,
    **options: Unpack[_LpNormalizationOptions],
) -> LpNormalization: ...
@overload
def create(
    spec: Literal["MeanVarianceNormalization", "MVN"],
    /,
    **options: Unpack[_MeanVarianceNormalizationOptions],
) -> MeanVarianceNormalization: ...
@overload
def create(spec: Literal["Normalize"], /, **options: Unpack[_NormalizeOptions]) -> Normalize: ...
@overload
def create(
    spec: Literal["PartialRMSNorm", "pRMSNorm"],
    /,
    **options: Unpack[_PartialRMSNormOptions],
) -> PartialRMSNorm: ...
@overload
def create(
    spec: Literal["PowerNorm", "PN"],
    /,
    **options: Unpack[_PowerNormOptions],
) -> PowerNorm: ...
@overload
def create(
    spec: Literal["RevIN", "ReversibleInstanceNorm"],
    /,
    **options: Unpack[_RevINOptions],
) -> RevIN: ...
@overload
def create(spec: Literal["RMSNorm", "RMS"], /, **options: Unpack[_RMSNormOptions]) -> RMSNorm: ...
@overload
def create(spec: Literal["ScaleNorm"], /, **options: Unpack[_ScaleNormOptions]) -> ScaleNorm: ...
@overload
def create(spec: Literal["SimpleNorm"], /, **options: Unpack[_SimpleNormOptions]) -> SimpleNorm: ...
@overload
def create(
    spec: Literal["SpectralNorm", "SpectralNormalization"],
    /,
    **options: Unpack[_SpectralNormOptions],
) -> SpectralNorm: ...
@overload
def create(
    spec: Literal["SplitBatchNorm", "SplitBN"],
    /,
    **options: Unpack[_SplitBatchNormOptions],
) -> SplitBatchNorm: ...
@overload
def create(
    spec: Literal["SplitBatchNorm1d", "SplitBN1d"],
    /,
    **options: Unpack[_SplitBatchNormOptions],
) -> SplitBatchNorm1d: ...
@overload
def create(
    spec: Literal["SplitBatchNorm2d", "SplitBN2d"],
    /,
    **options: Unpack[_SplitBatchNormOptions],
) -> SplitBatchNorm2d: ...
@overload
def create(
    spec: Literal["SplitBatchNorm3d", "SplitBN3d"],
    /,
    **options: Unpack[_SplitBatchNormOptions],
) -> SplitBatchNorm3d: ...
@overload
def create(
    spec: Literal["SwitchableNorm1d", "SN1d"],
    /,
    **options: Unpack[_SwitchableNormOptions],
) -> SwitchableNorm1d: ...
@overload
def create(
    spec: Literal["SwitchableNorm2d", "SN", "SN2d", "SwitchableNorm"],
    /,
    **options: Unpack[_SwitchableNormOptions],
) -> SwitchableNorm2d: ...
@overload
def create(
    spec: Literal["SwitchableNorm3d", "SN3d"],
    /,
    **options: Unpack[_SwitchableNormOptions],
) -> SwitchableNorm3d: ...
@overload
def create(
    spec: Literal["SyncBatchNorm", "SyncBN"],
    /,
    **options: Unpack[_SyncBatchNormOptions],
) -> SyncBatchNorm: ...
@overload
def create(
    spec: Literal["SyncBatchNorm1d", "SyncBN1d"],
    /,
    **options: Unpack[_SyncBatchNormOptions],
) -> SyncBatchNorm1d: ...
@overload
def create(
    spec: Literal["SyncBatchNorm2d", "SyncBN2d"],
    /,
    **options: Unpack[_SyncBatchNormOptions],
) -> SyncBatchNorm2d: ...
@overload
def create(
    spec: Literal["SyncBatchNorm3d", "SyncBN3d"],
    /,
    **options: Unpack[_SyncBatchNormOptions],
) -> SyncBatchNorm3d: ...
@overload
def create(
    spec: Literal["WeightNorm", "WN", "WeightNormalization"],
    /,
    **options: Unpack[_WeightNormOptions],
) -> WeightNorm: ...
@overload
def create(
    spec: Literal["WeightStandardization", "WS", "WeightStandardisation"],
    /,
    **options: Unpack[_WeightStandardizationOptions],
) -> WeightStandardization: ...
@overload
def create(spec: Mapping[str, Any], /, *, dialect: None = None, **options: Any) -> Layer: ...
@overload
def create(spec: str, /, *, dialect: None = None, **options: Unpack[_AnyOptions]) -> Layer: ...
