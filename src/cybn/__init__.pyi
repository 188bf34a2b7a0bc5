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
from .registry import UnknownName, UnknownOption

__version__: str

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "Layer",
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
def create(spec: str | Mapping[str, Any], /, **options: Any) -> Layer: ...
