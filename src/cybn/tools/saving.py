"""Saving: state dicts in files, .npz or .safetensors, which hold arrays and nothing else.

Nothing is ever unpickled. A file is looked at before it is read: of an .npz each header has to say
as many bytes as there are, and what is packed is bounded, since a page can unpack to terabytes;
safetensors, which maps the file, does as much by itself. A file that is written takes the place of
the old one when it is whole, so that there is one at any time.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import zipfile
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays.foreign import as_numpy
from ..config.files import opened
from ..layers.base.layer import Layer
from ..terms.messages import one_line, place, shown
from .safetensors import read_safetensors, write_safetensors
from .state import state_dict

__all__ = ["load", "save"]

UNPACKED = 2**30  # bytes that the arrays of an .npz may have beyond those of the file
_LONGEST = 2**16 - 1  # bytes of the name of a member of a zip file
_ELSEWHERE = {  # how files of other kinds come here
    (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle"): (
        "it is a pickle, which runs code when it is read; load it where it is from and pass the "
        "arrays, or save them there as .safetensors"
    ),
    (".h5", ".hdf5", ".keras"): (
        "load the model with Keras and pass {v.path: v for v in model.weights}"
    ),
    (".msgpack",): "read it with flax.serialization.msgpack_restore, and pass what it gives",
    (".npy",): "it is one array without a name; read it with numpy.load",
}


def save(path: str | os.PathLike[str], state: Any) -> None:
    """Write the state of layers, or a state dict, to an .npz or .safetensors file.

    The file takes the place of one that is there once it is written whole; if that fails the old
    one stays.

    Parameters
    ----------
    path
        The file, .npz or .safetensors.
    state
        A layer, lists and dicts of layers and None, or a dict of arrays by name.

    Raises
    ------
    ImportError
        For .safetensors without the library safetensors.
    TypeError
        For what is neither layers nor arrays, and for arrays of anything but numbers.
    ValueError
        For another suffix, for bfloat16 in an .npz, which has no word for it, and for complex128 or
        longdouble in a .safetensors file.
    OSError
        Where the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import cybn
    >>> net = cybn.build({"stem": "BN2d", "head": "LN"}, num_features=8)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cybn.save(f"{folder}/norms.npz", net)
    ...     state = cybn.load(f"{folder}/norms.npz")
    >>> cybn.load_state_dict(net, state)
    IncompatibleKeys(missing_keys=[], unexpected_keys=[])
    """
    where = place(path)
    write = _of(path, where)[1]
    arrays = {name: _plain(where, name, value) for name, value in _named_arrays(state)}
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError(f"{where}: state is written to a file, and this is none")
    with _in_place_of(path) as new:
        write(new, where, arrays)


def load(
    path: str | os.PathLike[str], only: Container[str] | Callable[[str], bool] | None = None
) -> dict[str, np.ndarray]:
    """Read the arrays of an .npz or .safetensors file, whoever has written it.

    Parameters
    ----------
    path
        The file, .npz or .safetensors.
    only
        Which arrays are read, for a file that has more: a container of their names, as
        `state_dict(tree)`, or a function of a name. None reads all.

    Returns
    -------
    dict
        The arrays by name. bfloat16 is that of ml_dtypes, and float32, which has all its values,
        where that is not installed.

    Raises
    ------
    FileNotFoundError
        For a file that there is not.
    ImportError
        For .safetensors without the library safetensors.
    ValueError
        For another suffix, and for a file that is malformed or cut off, or that has arrays of
        anything but numbers.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import cybn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cybn.save(f"{folder}/net.npz", {"bn.weight": np.ones(2), "fc.weight": np.ones((9, 9))})
    ...     cybn.load(f"{folder}/net.npz", only=lambda name: name.startswith("bn."))
    {'bn.weight': array([1., 1.])}
    """
    where = place(path)
    read = _of(path, where)[0]
    wanted = only if callable(only) else (lambda name: only is None or name in only)
    with opened(path, where, "state") as file:
        try:
            return read(file, where, wanted)
        except ImportError:
            raise
        except Exception as error:
            suffix = Path(os.fsdecode(path)).suffix.lower()
            raise ValueError(f"{where}: not a sound {suffix} file: {one_line(error)}") from error


def _of(path: str | os.PathLike[str], where: str) -> tuple[Any, Any]:
    suffix = Path(os.fsdecode(path)).suffix.lower()
    if suffix not in _FORMATS:
        hint = next((fix for kinds, fix in _ELSEWHERE.items() if suffix in kinds), "")
        hint = hint and f"; {hint}"
        raise ValueError(f"{where}: state is in a .npz or .safetensors file, got {suffix!r}{hint}")
    return _FORMATS[suffix]


def _named_arrays(state: Any) -> Iterator[tuple[str, Any]]:
    arrays = isinstance(state, Mapping) and not any(
        isinstance(each, (Layer, Mapping, list, tuple, type(None))) for each in state.values()
    )
    yield from (state if arrays else state_dict(state)).items()


def _plain(where: str, name: object, value: object) -> np.ndarray:
    if not isinstance(name, str):
        raise TypeError(f"{where}: the name of an array is a str, got {shown(name)}")
    if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in name):  # no text
        raise ValueError(f"{where}: {shown(name, False)} cannot be the name of an array in a file")
    array = as_numpy(where, name, value)
    if not _of_numbers(array.dtype):
        raise TypeError(f"{where}: {name} must hold numbers, got {shown(value)}")
    return array


def _of_numbers(dtype: np.dtype) -> bool:
    # bfloat16 and its kin, of ml_dtypes, are of kind V and of a type of their own
    return dtype.kind in "biufc" or (dtype.kind == "V" and dtype.type is not np.void)


@contextmanager
def _in_place_of(path: str | os.PathLike[str]) -> Iterator[str]:
    """A file to be written, which takes the place of `path` when it is whole."""
    old = os.path.realpath(os.fsdecode(path))
    folder, name = os.path.split(old)
    new = os.path.join(folder, f"{name[:50]}.{secrets.token_hex(6)}.tmp")  # a name has 255 bytes
    try:
        os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        with suppress(FileNotFoundError):
            shutil.copymode(old, new)
        mode = stat.S_IMODE(os.stat(new).st_mode)
        yield new
        os.chmod(new, mode)  # a library may have made a file of its own
        with open(new, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(new, old)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(new)
        if isinstance(error, OSError) and error.filename == new:
            error.filename, error.filename2 = os.fsdecode(path), None  # what the caller knows
        raise
    if hasattr(os, "O_DIRECTORY"):  # the name, too, is to outlive a loss of power
        with suppress(OSError):
            opened_folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(opened_folder)
            finally:
                os.close(opened_folder)


def _write_npz(path: str, where: str, arrays: Mapping[str, np.ndarray]) -> None:
    # np.savez takes no array that is called `file`
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            if len(f"{name}.npy".encode()) > _LONGEST:
                raise ValueError(
                    f"{where}: {shown(name, False)} has more than {_LONGEST:,} bytes, which .npz "
                    f"has no room for; save a .safetensors file"
                )
            if array.dtype.kind == "V":
                raise ValueError(
                    f"{where}: {name} is {array.dtype}, which .npz has no word for; save a "
                    f".safetensors file, or convert it with .astype(np.float32)"
                )
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _read_npz(file: Any, where: str, wanted: Callable[[str], bool]) -> dict[str, np.ndarray]:
    state: dict[str, np.ndarray] = {}
    left = os.fstat(file.fileno()).st_size + UNPACKED
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if not wanted(name):
                continue
            if name in state:
                raise ValueError(f"the name {shown(name, False)} is given twice")
            left -= info.file_size
            if left < 0:
                raise ValueError(
                    f"its arrays have more than {UNPACKED:,} bytes beyond those of the file; "
                    f"read a part with only=, or save it without compression"
                )
            state[name] = _array_of(archive, info)
    return state


def _array_of(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        if version not in _HEADERS:
            raise ValueError(f"{shown(info.filename, False)} has version {version} of the format")
        shape, _, dtype = _HEADERS[version](member)
        if dtype.hasobject:
            raise ValueError(f"{shown(info.filename, False)} has Python objects, not numbers")
        if not _of_numbers(dtype):  # of no use to a layer, and not every byte is text or a date
            raise ValueError(
                f"{shown(info.filename, False)} is of {dtype}, not numbers; leave it out with only="
            )
        size = dtype.itemsize
        for n in shape:
            size *= n
        if min(shape, default=0) < 0 or size != info.file_size - member.tell():
            raise ValueError(f"{shown(info.filename, False)} has not the bytes of its shape")
    with archive.open(info) as member:
        array = np.lib.format.read_array(member, allow_pickle=False)
        member.read(1)  # the end, where the sum of all bytes is compared
    return array


_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_FORMATS = {
    ".npz": (_read_npz, _write_npz),
    ".safetensors": (read_safetensors, write_safetensors),
}
