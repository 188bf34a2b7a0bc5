# Written by .ci/stubs.py from the registry. Do not edit: run `python .ci/stubs.py`.

from collections.abc import Mapping
from typing import Any, Literal, TypeVar, overload

from . import dialects, functional, reference, testing
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
from .layers.batch.conditional import ConditionalBatchNorm
from .layers.batch.domain import DomainSpecificBatchNorm
from .layers.batch.frozen import FrozenBatchNorm as _FrozenBatchNorm
from .layers.batch.ghost import GhostBatchNorm
from .layers.batch.lazy import LazyBatchNorm as _LazyBatchNorm
from .layers.batch.renorm import BatchRenorm
from .layers.batch.split import SplitBatchNorm
from .layers.dataset.normalize import Normalize
from .layers.research.adain import AdaIN
from .layers.research.dyt import DyT
from .layers.research.evonorm import EvoNormB0, EvoNormS0
from .layers.research.frn import FilterResponseNorm
from .layers.research.grn import GlobalResponseNorm
from .layers.research.ibn import IBN
from .layers.research.iternorm import IterNorm
from .layers.research.partialrms import PartialRMSNorm
from .layers.research.powernorm import PowerNorm
from .layers.research.revin import RevIN
from .layers.research.scalenorm import ScaleNorm
from .layers.research.switchable import SwitchableNorm as _SwitchableNorm
from .layers.research.weight_standardization import WeightStandardization
from .layers.sample.groupnorm import GroupNorm
from .layers.sample.instancenorm import InstanceNorm as _InstanceNorm
from .layers.sample.layernorm import LayerNorm
from .layers.sample.lazy import LazyInstanceNorm as _LazyInstanceNorm
from .layers.sample.localresponsenorm import LocalResponseNorm
from .layers.sample.rmsnorm import RMSNorm
from .terms.registry import UnknownName, UnknownOption
from .tools.convert import convert, freeze, unfreeze
from .tools.fold import fold, fold_into_next
from .tools.recalibrate import recalibrate

__version__: str

__all__ = [
    "IBN",
    "AdaIN",
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
    "EvoNormS0",
    "FilterResponseNorm",
    "FrozenBatchNorm1d",
    "FrozenBatchNorm2d",
    "FrozenBatchNorm3d",
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
    "Normalize",
    "PartialRMSNorm",
    "PluginError",
    "PluginWarning",
    "PowerNorm",
    "RMSNorm",
    "RevIN",
    "ScaleNorm",
    "SplitBatchNorm",
    "SplitBatchNorm1d",
    "SplitBatchNorm2d",
    "SplitBatchNorm3d",
    "SwitchableNorm1d",
    "SwitchableNorm2d",
    "SwitchableNorm3d",
    "UnknownName",
    "UnknownOption",
    "WeightStandardization",
    "available",
    "build",
    "convert",
    "create",
    "describe",
    "dialects",
    "fold",
    "fold_into_next",
    "freeze",
    "functional",
    "get_include",
    "get_num_threads",
    "load_config",
    "ranked",
    "recalibrate",
    "reference",
    "register",
    "release_output_cache",
    "schema",
    "set_num_threads",
    "set_output_cache",
    "show_config",
    "testing",
    "unfreeze",
    "use_plugins",
]

class BatchNorm1d(_BatchNorm): ...
class BatchNorm2d(_BatchNorm): ...
class BatchNorm3d(_BatchNorm): ...
class BatchRenorm1d(BatchRenorm): ...
class BatchRenorm2d(BatchRenorm): ...
class BatchRenorm3d(BatchRenorm): ...
class ConditionalBatchNorm1d(ConditionalBatchNorm): ...
class ConditionalBatchNorm2d(ConditionalBatchNorm): ...
class ConditionalBatchNorm3d(ConditionalBatchNorm): ...
class DomainSpecificBatchNorm1d(DomainSpecificBatchNorm): ...
class DomainSpecificBatchNorm2d(DomainSpecificBatchNorm): ...
class DomainSpecificBatchNorm3d(DomainSpecificBatchNorm): ...
class FrozenBatchNorm1d(_FrozenBatchNorm): ...
class FrozenBatchNorm2d(_FrozenBatchNorm): ...
class FrozenBatchNorm3d(_FrozenBatchNorm): ...
class GhostBatchNorm1d(GhostBatchNorm): ...
class GhostBatchNorm2d(GhostBatchNorm): ...
class GhostBatchNorm3d(GhostBatchNorm): ...
class InstanceNorm1d(_InstanceNorm): ...
class InstanceNorm2d(_InstanceNorm): ...
class InstanceNorm3d(_InstanceNorm): ...
class LazyBatchNorm1d(_LazyBatchNorm, BatchNorm1d): ...
class LazyBatchNorm2d(_LazyBatchNorm, BatchNorm2d): ...
class LazyBatchNorm3d(_LazyBatchNorm, BatchNorm3d): ...
class LazyInstanceNorm1d(_LazyInstanceNorm, InstanceNorm1d): ...
class LazyInstanceNorm2d(_LazyInstanceNorm, InstanceNorm2d): ...
class LazyInstanceNorm3d(_LazyInstanceNorm, InstanceNorm3d): ...
class SplitBatchNorm1d(SplitBatchNorm): ...
class SplitBatchNorm2d(SplitBatchNorm): ...
class SplitBatchNorm3d(SplitBatchNorm): ...
class SwitchableNorm1d(_SwitchableNorm): ...
class SwitchableNorm2d(_SwitchableNorm): ...
class SwitchableNorm3d(_SwitchableNorm): ...

_Layer = TypeVar("_Layer", bound=Layer)

@overload
def create(spec: None, /, **options: Any) -> None: ...
@overload
def create(spec: Any, /, *, dialect: str | Dialect, **options: Any) -> Layer | None: ...
@overload
def create(spec: type[_Layer], /, **options: Any) -> _Layer: ...
@overload
def create(spec: Literal["AdaIN", "AdaptiveInstanceNorm"], /, **options: Any) -> AdaIN: ...
@overload
def create(spec: Literal["BatchNorm1d", "BN1d"], /, **options: Any) -> BatchNorm1d: ...
@overload
def create(
    spec: Literal["BatchNorm2d", "BN", "BN2d", "BatchNorm"],
    /,
    **options: Any,
) -> BatchNorm2d: ...
@overload
def create(spec: Literal["BatchNorm3d", "BN3d"], /, **options: Any) -> BatchNorm3d: ...
@overload
def create(spec: Literal["BatchRenorm", "BRN"], /, **options: Any) -> BatchRenorm: ...
@overload
def create(spec: Literal["BatchRenorm1d", "BRN1d"], /, **options: Any) -> BatchRenorm1d: ...
@overload
def create(spec: Literal["BatchRenorm2d", "BRN2d"], /, **options: Any) -> BatchRenorm2d: ...
@overload
def create(spec: Literal["BatchRenorm3d", "BRN3d"], /, **options: Any) -> BatchRenorm3d: ...
@overload
def create(
    spec: Literal["ConditionalBatchNorm", "CBN"],
    /,
    **options: Any,
) -> ConditionalBatchNorm: ...
@overload
def create(
    spec: Literal["ConditionalBatchNorm1d", "CBN1d"],
    /,
    **options: Any,
) -> ConditionalBatchNorm1d: ...
@overload
def create(
    spec: Literal["ConditionalBatchNorm2d", "CBN2d"],
    /,
    **options: Any,
) -> ConditionalBatchNorm2d: ...
@overload
def create(
    spec: Literal["ConditionalBatchNorm3d", "CBN3d"],
    /,
    **options: Any,
) -> ConditionalBatchNorm3d: ...
@overload
def create(
    spec: Literal["DomainSpecificBatchNorm", "DSBN"],
    /,
    **options: Any,
) -> DomainSpecificBatchNorm: ...
@overload
def create(
    spec: Literal["DomainSpecificBatchNorm1d", "DSBN1d"],
    /,
    **options: Any,
) -> DomainSpecificBatchNorm1d: ...
@overload
def create(
    spec: Literal["DomainSpecificBatchNorm2d", "DSBN2d"],
    /,
    **options: Any,
) -> DomainSpecificBatchNorm2d: ...
@overload
def create(
    spec: Literal["DomainSpecificBatchNorm3d", "DSBN3d"],
    /,
    **options: Any,
) -> DomainSpecificBatchNorm3d: ...
@overload
def create(spec: Literal["DyT", "DynamicTanh"], /, **options: Any) -> DyT: ...
@overload
def create(spec: Literal["EvoNormB0"], /, **options: Any) -> EvoNormB0: ...
@overload
def create(spec: Literal["EvoNormS0"], /, **options: Any) -> EvoNormS0: ...
@overload
def create(spec: Literal["FilterResponseNorm", "FRN"], /, **options: Any) -> FilterResponseNorm: ...
@overload
def create(
    spec: Literal["FrozenBatchNorm1d", "FrozenBN1d"],
    /,
    **options: Any,
) -> FrozenBatchNorm1d: ...
@overload
def create(
    spec: Literal["FrozenBatchNorm2d", "FrozenBN", "FrozenBN2d", "FrozenBatchNorm"],
    /,
    **options: Any,
) -> FrozenBatchNorm2d: ...
@overload
def create(
    spec: Literal["FrozenBatchNorm3d", "FrozenBN3d"],
    /,
    **options: Any,
) -> FrozenBatchNorm3d: ...
@overload
def create(
    spec: Literal["GhostBatchNorm", "GhostBN", "GBN"],
    /,
    **options: Any,
) -> GhostBatchNorm: ...
@overload
def create(
    spec: Literal["GhostBatchNorm1d", "GhostBN1d"],
    /,
    **options: Any,
) -> GhostBatchNorm1d: ...
@overload
def create(
    spec: Literal["GhostBatchNorm2d", "GhostBN2d"],
    /,
    **options: Any,
) -> GhostBatchNorm2d: ...
@overload
def create(
    spec: Literal["GhostBatchNorm3d", "GhostBN3d"],
    /,
    **options: Any,
) -> GhostBatchNorm3d: ...
@overload
def create(spec: Literal["GlobalResponseNorm", "GRN"], /, **options: Any) -> GlobalResponseNorm: ...
@overload
def create(spec: Literal["GroupNorm", "GN"], /, **options: Any) -> GroupNorm: ...
@overload
def create(spec: Literal["IBN", "InstanceBatchNorm"], /, **options: Any) -> IBN: ...
@overload
def create(spec: Literal["InstanceNorm1d", "IN1d"], /, **options: Any) -> InstanceNorm1d: ...
@overload
def create(
    spec: Literal["InstanceNorm2d", "IN", "IN2d", "InstanceNorm"],
    /,
    **options: Any,
) -> InstanceNorm2d: ...
@overload
def create(spec: Literal["InstanceNorm3d", "IN3d"], /, **options: Any) -> InstanceNorm3d: ...
@overload
def create(spec: Literal["IterNorm", "IterativeNorm"], /, **options: Any) -> IterNorm: ...
@overload
def create(spec: Literal["LayerNorm", "LN"], /, **options: Any) -> LayerNorm: ...
@overload
def create(spec: Literal["LazyBatchNorm1d", "LazyBN1d"], /, **options: Any) -> LazyBatchNorm1d: ...
@overload
def create(
    spec: Literal["LazyBatchNorm2d", "LazyBN", "LazyBN2d", "LazyBatchNorm"],
    /,
    **options: Any,
) -> LazyBatchNorm2d: ...
@overload
def create(spec: Literal["LazyBatchNorm3d", "LazyBN3d"], /, **options: Any) -> LazyBatchNorm3d: ...
@overload
def create(
    spec: Literal["LazyInstanceNorm1d", "LazyIN1d"],
    /,
    **options: Any,
) -> LazyInstanceNorm1d: ...
@overload
def create(
    spec: Literal["LazyInstanceNorm2d", "LazyIN", "LazyIN2d", "LazyInstanceNorm"],
    /,
    **options: Any,
) -> LazyInstanceNorm2d: ...
@overload
def create(
    spec: Literal["LazyInstanceNorm3d", "LazyIN3d"],
    /,
    **options: Any,
) -> LazyInstanceNorm3d: ...
@overload
def create(spec: Literal["LocalResponseNorm", "LRN"], /, **options: Any) -> LocalResponseNorm: ...
@overload
def create(spec: Literal["Normalize"], /, **options: Any) -> Normalize: ...
@overload
def create(spec: Literal["PartialRMSNorm", "pRMSNorm"], /, **options: Any) -> PartialRMSNorm: ...
@overload
def create(spec: Literal["PowerNorm", "PN"], /, **options: Any) -> PowerNorm: ...
@overload
def create(spec: Literal["RevIN", "ReversibleInstanceNorm"], /, **options: Any) -> RevIN: ...
@overload
def create(spec: Literal["RMSNorm", "RMS"], /, **options: Any) -> RMSNorm: ...
@overload
def create(spec: Literal["ScaleNorm"], /, **options: Any) -> ScaleNorm: ...
@overload
def create(spec: Literal["SplitBatchNorm", "SplitBN"], /, **options: Any) -> SplitBatchNorm: ...
@overload
def create(
    spec: Literal["SplitBatchNorm1d", "SplitBN1d"],
    /,
    **options: Any,
) -> SplitBatchNorm1d: ...
@overload
def create(
    spec: Literal["SplitBatchNorm2d", "SplitBN2d"],
    /,
    **options: Any,
) -> SplitBatchNorm2d: ...
@overload
def create(
    spec: Literal["SplitBatchNorm3d", "SplitBN3d"],
    /,
    **options: Any,
) -> SplitBatchNorm3d: ...
@overload
def create(spec: Literal["SwitchableNorm1d", "SN1d"], /, **options: Any) -> SwitchableNorm1d: ...
@overload
def create(
    spec: Literal["SwitchableNorm2d", "SN", "SN2d", "SwitchableNorm"],
    /,
    **options: Any,
) -> SwitchableNorm2d: ...
@overload
def create(spec: Literal["SwitchableNorm3d", "SN3d"], /, **options: Any) -> SwitchableNorm3d: ...
@overload
def create(
    spec: Literal["WeightStandardization", "WS", "WeightStandardisation"],
    /,
    **options: Any,
) -> WeightStandardization: ...
@overload
def create(
    spec: str | Mapping[str, Any], /, *, dialect: None = None, **options: Any
) -> Layer: ...
