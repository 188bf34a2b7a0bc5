"""oneDNN through its C library, versions 2 and 3: on the layout of the data, and on its own.

No binding is needed: the library is loaded with ctypes. It is looked for where the linker looks, in
the library folder of this Python (`pip install onednn-cpu-gomp` puts it there), or where --onednn
says. Only a library that uses OpenMP can be given a number of threads from outside; others are left
out. Outputs are written into existing memory: the library has no other way.

onednn-blocked has its input in blocks of 16 or 8 channels beforehand, the first of them for which
the library has a compiled kernel of its own, and gives its output so. A network that stays in that
layout pays nothing for it.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import sys
from ctypes import POINTER, byref, c_char_p, c_float, c_int, c_int64, c_uint, c_void_p
from pathlib import Path
from typing import Any

import numpy as np

from .contenders import Arrays, Contender, Run, Settings, UnavailableError
from .data import EPS, Data, aligned
from .shapes import Case

FLOAT32, CPU, IMPLEMENTATION = 3, 1, 8
KIND = {"forward": 64, "evaluation": 96, "backward": 128}
OPENMP, SEQUENTIAL = 2, 1
GLOBAL_STATISTICS = 1
SRC, DST, MEAN, VARIANCE, SCALE, SHIFT = 1, 17, 49, 50, 51, 52
DIFF_SRC, DIFF_DST, DIFF_SCALE, DIFF_SHIFT = 129, 145, 255, 256
#: version -> (the flags for scale and for shift, rank -> block of channels -> format tag)
VERSIONS = {
    2: (8 | 16, {3: {16: 47, 8: 60}, 4: {16: 69, 8: 93}, 5: {16: 112, 8: 133}}),
    3: (2 | 4, {3: {16: 56, 8: 69}, 4: {16: 78, 8: 102}, 5: {16: 121, 8: 142}}),
}
DESCRIPTOR_BYTES = 1 << 14  # version 2 wants room for its structures; they take less than 4 KiB


class _Version(ctypes.Structure):
    _fields_ = [
        ("major", c_int), ("minor", c_int), ("patch", c_int),
        ("hash", c_char_p), ("cpu_runtime", c_uint), ("gpu_runtime", c_uint),
    ]  # fmt: skip


class _Argument(ctypes.Structure):
    _fields_ = [("arg", c_int), ("memory", c_void_p)]


class Library:
    """What is needed of the C interface, alike for both versions."""

    def __init__(self, path: str | None):
        """Raises UnavailableError."""
        self._c = _load(path)
        self._c.dnnl_version.restype = POINTER(_Version)
        version = self._c.dnnl_version().contents
        self.version = f"{version.major}.{version.minor}.{version.patch}"
        if version.major not in VERSIONS:
            raise UnavailableError(f"oneDNN {self.version} has another interface than 2 and 3")
        if version.cpu_runtime not in (OPENMP, SEQUENTIAL):
            raise UnavailableError(f"oneDNN {self.version} does not use OpenMP for its threads")
        self._major = version.major
        self.shift_in_backward = version.major == 2  # needed there, refused later
        self.flags, self.tags = VERSIONS[version.major]
        self._engine = self._new(self._c.dnnl_engine_create, CPU, ctypes.c_size_t(0))
        self.stream = self._new(self._c.dnnl_stream_create, self._engine, c_uint(1))
        self.execute = self._c.dnnl_primitive_execute
        self.execute.argtypes = [c_void_p, c_void_p, c_int, c_void_p]

    def describe(self, shape: tuple[int, ...], *, tag: int = 0, axis: int = 1) -> Any:
        """The memory of an array: of that format tag, or C-ordered with channels on `axis`."""
        dims, rank = (c_int64 * 12)(*shape), c_int(len(shape))
        if tag:
            how, name = c_int(tag), "tag"
        else:
            how, name = _strides(shape, axis), "strides"
        if self._major == 3:
            create = getattr(self._c, f"dnnl_memory_desc_create_with_{name}")
            return self._new(create, rank, dims, c_int(FLOAT32), how)
        room = ctypes.create_string_buffer(DESCRIPTOR_BYTES)
        create = getattr(self._c, f"dnnl_memory_desc_init_by_{name}")
        self._call(create, room, rank, dims, c_int(FLOAT32), how)
        return room

    def memory(self, description: Any, a: np.ndarray) -> c_void_p:
        return self._new(self._c.dnnl_memory_create, description, self._engine, _address(a))

    def batch_norm(self, mode: str, description: Any, hint: Any = None) -> Any:
        """The descriptor of the operation; `hint` is that of the forward."""
        kind, flags, eps = KIND[mode], self.flags, c_float(EPS)
        if mode == "evaluation":
            flags |= GLOBAL_STATISTICS
        backward = mode == "backward"
        if self._major == 3:
            start = "dnnl_batch_normalization_"
            if backward:
                create = getattr(self._c, f"{start}backward_primitive_desc_create")
                args = (description, description, description, eps, c_uint(flags), hint, None)
            else:
                create = getattr(self._c, f"{start}forward_primitive_desc_create")
                args = (description, description, eps, c_uint(flags), None)
            return self._new(create, self._engine, c_int(kind), *args)
        room = ctypes.create_string_buffer(DESCRIPTOR_BYTES)
        descriptions = (description, description) if backward else (description,)
        direction = "backward" if backward else "forward"
        fill = getattr(self._c, f"dnnl_batch_normalization_{direction}_desc_init")
        self._call(fill, room, c_int(kind), *descriptions, eps, c_uint(flags))
        return self._new(self._c.dnnl_primitive_desc_create, room, None, self._engine, hint)

    def implementation(self, operation: Any) -> str:
        """Which of the library's kernels it picked, for instance `bnorm_jit:avx2`."""
        text = c_char_p()
        self._call(
            self._c.dnnl_primitive_desc_query, operation, c_int(IMPLEMENTATION), c_int(0),
            byref(text),
        )  # fmt: skip
        return (text.value or b"").decode()

    def primitive(self, operation: Any) -> c_void_p:
        return self._new(self._c.dnnl_primitive_create, operation)

    def _new(self, create: Any, *args: Any) -> c_void_p:
        made = c_void_p()
        self._call(create, byref(made), *args)
        return made

    def _call(self, function: Any, *args: Any) -> None:
        if status := function(*args):
            raise RuntimeError(f"{function.__name__} returned {status}")


class OneDNN(Contender):
    """The layout of the data as it is: nchw or nhwc."""

    name = "onednn"

    def __init__(self, settings: Settings):
        super().__init__(settings)
        self._library = Library(settings.onednn)
        self.note = f"oneDNN {self._library.version}"

    def can(self, case: Case) -> bool:
        return super().can(case) and case.dtype == "float32"

    def prepare(self, case: Case, data: Data) -> Run:
        description = self._library.describe(case.shape, axis=case.channel_axis)
        return self._run(case, data, description, data.x, data.dy, data.out)

    def _run(self, case: Case, data: Data, description: Any, x, dy, out) -> Run:
        library, backward = self._library, case.mode == "backward"
        # Created once and kept: nothing here is freed before the process ends.
        mode = "forward" if backward else case.mode
        operation = hint = library.batch_norm(mode, description)
        if backward:
            operation = library.batch_norm("backward", description, hint)
        primitive, stream = library.primitive(operation), library.stream
        vector = library.describe((case.channels,), axis=0)
        small = {SCALE: data.weight}
        if not backward or library.shift_in_backward:
            small[SHIFT] = data.bias
        if backward:
            small |= {arg: np.empty_like(data.weight) for arg in (DIFF_SCALE, DIFF_SHIFT)}
        statistics = [self._statistics(case, data, x[i]) for i in range(data.count)]
        calls = []
        for i in range(data.count):
            mean, var = statistics[i]
            arrays = {MEAN: mean, VARIANCE: var, **small}
            memories = {arg: library.memory(vector, a) for arg, a in arrays.items()}
            large = {SRC: x[i], DST: out[i]}
            if backward:
                large = {SRC: x[i], DIFF_DST: dy[i], DIFF_SRC: out[i]}
            memories |= {arg: library.memory(description, a) for arg, a in large.items()}
            calls.append((_Argument * len(memories))(*memories.items()))
        execute, wait = library.execute, library._c.dnnl_stream_wait

        def call(i: int) -> None:
            if execute(primitive, stream, len(calls[i]), calls[i]) or wait(stream):
                raise RuntimeError("dnnl_primitive_execute failed")

        def read(i: int, _: None) -> Arrays:
            y = self._to_memory(case, out[i])
            if not backward:
                return {"y": y}
            return {"dx": y, "dweight": small[DIFF_SCALE], "dbias": small[DIFF_SHIFT]}

        call.kept = (x, dy, out, small, statistics)  # the library holds their addresses only
        return Run(call, read)

    def _statistics(self, case: Case, data: Data, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if case.mode == "evaluation":
            return data.mean, data.var
        mean, var = np.empty_like(data.mean), np.empty_like(data.var)
        if case.mode == "backward":
            ncl = self._to_memory(case, x)
            axes = tuple(i for i in range(ncl.ndim) if i != case.channel_axis % ncl.ndim)
            mean[...] = ncl.mean(axes, dtype=np.float64)
            var[...] = ncl.var(axes, dtype=np.float64)
        return mean, var

    def _to_memory(self, case: Case, a: np.ndarray) -> np.ndarray:
        return a


class OneDNNBlocked(OneDNN):
    """Channels in blocks, the library's own layout; channels first for everyone else."""

    name = "onednn-blocked"

    def can(self, case: Case) -> bool:
        ranks = self._library.tags
        first = case.layout == "first" and len(case.shape) in ranks
        return super().can(case) and first and case.channels % 8 == 0

    def prepare(self, case: Case, data: Data) -> Run:
        library = self._library
        tags = library.tags[len(case.shape)]
        blocks = [block for block in tags if case.channels % block == 0]
        descriptions = [library.describe(case.shape, tag=tags[block]) for block in blocks]
        chosen = 0
        for i, description in enumerate(descriptions):
            made = library.implementation(library.batch_norm("forward", description))
            if "jit" in made:
                chosen, self.note = i, f"oneDNN {library.version}, {made}"
                break
        block = blocks[chosen]
        x = [_blocked(a, block) for a in data.x]
        dy = [_blocked(a, block) for a in data.dy] if case.mode == "backward" else []
        out = [np.zeros_like(a) for a in x]
        return self._run(case, data, descriptions[chosen], x, dy, out)

    def _to_memory(self, case: Case, a: np.ndarray) -> np.ndarray:
        return np.moveaxis(a, -1, 2).reshape(case.memory_shape)


def _blocked(a: np.ndarray, block: int) -> np.ndarray:
    """(N, C, ...) to (N, C/block, ..., block)."""
    n, c, *rest = a.shape
    turned = np.moveaxis(a.reshape(n, c // block, block, *rest), 2, -1)
    result = aligned(turned.shape, str(a.dtype))
    result[...] = turned
    return result


def _address(a: np.ndarray) -> c_void_p:
    return c_void_p(a.ctypes.data)


def _strides(shape: tuple[int, ...], axis: int) -> Any:
    """In items, of the axes as `shape` has them, where memory has the channels on `axis`."""
    order = [0, *range(2, len(shape)), 1] if axis == -1 else list(range(len(shape)))
    steps, step = [0] * len(shape), 1
    for i in reversed(order):
        steps[i] = step
        step *= shape[i]
    return (c_int64 * 12)(*steps)


def _load(path: str | None) -> ctypes.CDLL:
    if path is not None:
        names = [path]
    else:
        here = [str(p) for p in sorted(Path(sys.prefix, "lib").glob("libdnnl.*"), reverse=True)]
        names = [*here, ctypes.util.find_library("dnnl"), "libdnnl.so.3", "libdnnl.so.2"]
    reason = "its library, libdnnl, was not found; --onednn tells where it is"
    for name in filter(None, names):
        try:
            return ctypes.CDLL(name)
        except OSError as error:
            if path is not None or Path(name).exists():
                reason = f"its library cannot be loaded: {error}"
    raise UnavailableError(reason)
