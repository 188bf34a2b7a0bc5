# Written by .ci/stubs.py from the registry. Do not edit: run `python .ci/stubs.py`.

from collections.abc import Mapping
from typing import Any, Literal, TypeVar, overload

from . import functional, reference
from .config import available, describe, load_config, register, schema
from .info import show_config
from .kernels.outputs import release_output_cache, set_output_cache
from .kernels.policy import get_num_threads, set_num_threads
from .layers.base import Layer
from .layers.batch.batchnorm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from .layers.batch.conditional import (
    ConditionalBatchNorm,
    ConditionalBatchNorm1d,
    ConditionalBatchNorm2d,
    ConditionalBatchNorm3d,
)
from .layers.batch.domain import (
    DomainSpecificBatchNorm,
    DomainSpecificBatchNorm1d,
    DomainSpecificBatchNorm2d,
    DomainSpecificBatchNorm3d,
)
from .layers.batch.frozen import FrozenBatchNorm1d, FrozenBatchNorm2d, FrozenBatchNorm3d
from .layers.batch.ghost import GhostBatchNorm, GhostBatchNorm1d, GhostBatchNorm2d, GhostBatchNorm3d
from .layers.batch.lazy import LazyBatchNorm1d, LazyBatchNorm2d, LazyBatchNorm3d
from .layers.batch.renorm import BatchRenorm, BatchRenorm1d, BatchRenorm2d, BatchRenorm3d
from .layers.batch.split import SplitBatchNorm, SplitBatchNorm1d, SplitBatchNorm2d, SplitBatchNorm3d
from .registry import UnknownName, UnknownOption

__version__: str

__all__ = [
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
    "FrozenBatchNorm1d",
    "FrozenBatchNorm2d",
    "FrozenBatchNorm3d",
    "GhostBatchNorm",
    "GhostBatchNorm1d",
    "GhostBatchNorm2d",
    "GhostBatchNorm3d",
    "Layer",
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "SplitBatchNorm",
    "SplitBatchNorm1d",
    "SplitBatchNorm2d",
    "SplitBatchNorm3d",
    "UnknownName",
    "UnknownOption",
    "available",
    "create",
    "describe",
    "functional",
    "get_num_threads",
    "load_config",
    "reference",
    "register",
    "release_output_cache",
    "schema",
    "set_num_threads",
    "set_output_cache",
    "show_config",
]

_Layer = TypeVar("_Layer", bound=Layer)

@overload
def create(spec: None, /, **options: Any) -> None: ...
@overload
def create(spec: type[_Layer], /, **options: Any) -> _Layer: ...
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
def create(spec: str | Mapping[str, Any], /, **options: Any) -> Layer: ...
