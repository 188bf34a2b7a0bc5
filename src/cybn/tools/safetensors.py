"""The safetensors format, by the library of that name: imported when a file asks for it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import numpy as np

from ..terms.messages import shown

__all__ = ["read_safetensors", "write_safetensors"]


def write_safetensors(path: str, where: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays; `where` is how an error calls the file."""
    _library(where)
    from safetensors.numpy import save_file

    # in the order of this machine and of C, or a strided array would be written as it lies
    save_file(
        {name: np.asarray(a, a.dtype.newbyteorder("="), order="C") for name, a in arrays.items()},
        path,
    )


def read_safetensors(
    file: BinaryIO, where: str, wanted: Callable[[str], bool]
) -> dict[str, np.ndarray]:
    """Read the arrays that are wanted."""
    library, state = _library(where), {}
    with library.safe_open(os.fsdecode(file.name), framework="numpy") as opened:
        for name in opened.keys():  # noqa: SIM118
            if not wanted(name):
                continue
            kind = opened.get_slice(name).get_dtype()
            if kind == "BF16" and not _has_bfloat16():
                state[name] = _widened(file, name)
                continue
            try:
                state[name] = opened.get_tensor(name)
            except (AttributeError, TypeError) as error:  # a dtype that NumPy has not
                raise ValueError(
                    f"{shown(name, False)} is {kind}, which NumPy has not; leave it out with only="
                ) from error
    return state


def _library(where: str) -> Any:
    try:
        import safetensors
    except ImportError as error:
        raise ImportError(
            f'{where}: a .safetensors file needs safetensors: pip install "cybn[safetensors]"'
        ) from error
    return safetensors


def _has_bfloat16() -> bool:
    try:
        import ml_dtypes  # noqa: F401
    except ImportError:
        return False
    return True


def _widened(file: BinaryIO, name: str) -> np.ndarray:
    # Words of bfloat16 are the upper halves of float32; the library has checked the header
    file.seek(0)
    size = int.from_bytes(file.read(8), "little")
    entry = json.loads(file.read(size))[name]
    begin, end = entry["data_offsets"]
    file.seek(8 + size + begin)
    words = np.frombuffer(file.read(end - begin), "<u2").astype(np.uint32)
    return (words << 16).view(np.float32).reshape(entry["shape"])
