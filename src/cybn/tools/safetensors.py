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

    if "__metadata__" in arrays:
        raise ValueError(
            f"{where}: '__metadata__' cannot be the name of an array in a .safetensors file; "
            f"rename it, or save an .npz file"
        )
    for name, a in arrays.items():
        if a.dtype.itemsize > 8:
            raise ValueError(
                f"{where}: {name} is {a.dtype}, which .safetensors has no word for; save an .npz "
                f"file, or convert it with .astype"
            )
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
        header = _header(file)[0]
        for name in opened.keys():  # noqa: SIM118
            if not wanted(name):
                continue
            kind = header[name]["dtype"]
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


def _header(file: BinaryIO) -> tuple[dict[str, Any], int]:
    # The table of arrays and where they begin. The library has checked it, but for a name that is
    # given twice, of which it would take the last
    file.seek(0)
    size = int.from_bytes(file.read(8), "little")
    return json.loads(file.read(size), object_pairs_hook=_once), 8 + size


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {shown(twice, False)} is given twice")
    return table


def _widened(file: BinaryIO, name: str) -> np.ndarray:
    # Words of bfloat16 are the upper halves of float32
    header, start = _header(file)
    begin, end = header[name]["data_offsets"]
    file.seek(start + begin)
    words = np.frombuffer(file.read(end - begin), "<u2").astype(np.uint32)
    return (words << 16).view(np.float32).reshape(header[name]["shape"])
