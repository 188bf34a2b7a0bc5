"""oneDNN 3 through its C library: on the layout of the data, and on its own.

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

from .cases import Case
from .contenders import Contender, Run, UnavailableError
from .data import EPS, Data, aligned

# From dnnl_types.h and dnnl_common_types.h
FLOAT32, CPU, IMPLEMENTATION, IN_ORDER = 3, 1, 8, c_uint(1)
FORWARD, EVALUATION, BACKWARD = 64, 96, 128
OPENMP, SEQUENTIAL = 2, 1
GLOBAL_STATISTICS, SCALE_AND_SHIFT = 1, 2 | 4
SRC, DST, MEAN, VARIANCE, SCALE, SHIFT = 1, 17, 49, 50, 51, 52
DIFF_SRC, DIFF_DST, DIFF_SCALE, DIFF_SHIFT = 129, 145, 255, 256
#: rank -> block of channels -> format tag
TAGS = {3: {16: 56, 8: 69}, 4: {16: 78, 8: 102}, 5: {16: 121, 8: 142}}


class _Version(ctypes.Structure):
    _fields_ = [*((name, c_int) for name in ("major", "minor", "patch")), ("hash", c_char_p),
                ("cpu_runtime", c_uint), ("gpu_runtime", c_uint)]  # fmt: skip


class _Argument(ctypes.Structure):
    _fields_ = [("arg", c_int), ("memory", c_void_p)]


class OneDNN(Contender):
    """The layout of the data as it is: nchw or nhwc."""

    name = "onednn"

    def start(self) -> None:
        self._c = _load(self.onednn)
        self._c.dnnl_version.restype = POINTER(_Version)
        found = self._c.dnnl_version().contents
        self.note = f"oneDNN {found.major}.{found.minor}.{found.patch}"
        if found.major != 3:
            raise UnavailableError(f"{self.note} has another interface than version 3")
        if found.cpu_runtime not in (OPENMP, SEQUENTIAL):
            raise UnavailableError(f"{self.note} does not use OpenMP for its threads")
        self._engine = self._new("engine_create", CPU, ctypes.c_size_t(0))
        self._stream = self._new("stream_create", self._engine, IN_ORDER)

    def can(self, case: Case) -> bool:
        return case.operation == "batch_norm" and case.dtype == "float32"

    def prepare(self, case: Case, data: Data) -> Run:
        x = data.x[0] if case.layout == "first" else np.moveaxis(data.x[0], -1, 1)
        steps = (c_int64 * 12)(*(step // x.itemsize for step in x.strides))
        description = self._describe(case.shape, strides=steps)
        return self._run(case, data, description, data.x, data.dy, data.out)

    def _run(self, case: Case, data: Data, description: Any, x, dy, out) -> Run:
        # Created once and kept: nothing here is freed before the process ends.
        backward, channels = case.mode == "backward", (case.channels,)
        primitive = self._new("primitive_create", self._operation(case.mode, description))
        vector = self._describe(channels, strides=(c_int64 * 12)(1))
        small = {SCALE: data.arrays["weight"]}
        if backward:
            small |= {arg: np.empty(channels, np.float32) for arg in (DIFF_SCALE, DIFF_SHIFT)}
        else:
            small[SHIFT] = data.arrays["bias"]
        calls, kept = [], [x, dy, out, small]  # the library holds their addresses only
        for i in range(data.count):
            moments = self._moments(case, data, i)
            kept.append(moments)
            vectors = {**small, **dict(zip((MEAN, VARIANCE), moments, strict=True))}
            large = {SRC: x[i], DST: out[i]}
            if backward:
                large = {SRC: x[i], DIFF_DST: dy[i], DIFF_SRC: out[i]}
            given = [(arg, self._memory(vector, a)) for arg, a in vectors.items()]
            given += [(arg, self._memory(description, a)) for arg, a in large.items()]
            calls.append((len(given), (_Argument * len(given))(*given)))
        execute, wait, stream = (
            self._c.dnnl_primitive_execute,
            self._c.dnnl_stream_wait,
            self._stream,
        )

        def call(i: int) -> None:
            if execute(primitive, stream, *calls[i]) or wait(stream):
                raise RuntimeError("dnnl_primitive_execute failed")

        def read(i: int, _: None) -> dict[str, np.ndarray]:
            y = self._to_memory(case, out[i])
            sums = {"dweight": small.get(DIFF_SCALE), "dbias": small.get(DIFF_SHIFT)}
            return {"dx": y, **sums} if backward else {"y": y}

        return Run(call, read, kept)

    def _moments(self, case: Case, data: Data, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance: those to evaluate with, room for new ones, or those of a forward."""
        mean, var = data.arrays["running_mean"], data.arrays["running_var"]
        if case.mode == "forward":
            return np.empty_like(mean), np.empty_like(var)
        if case.mode == "evaluation":
            return mean, var
        x = data.x[i]
        axes = tuple(axis for axis in range(x.ndim) if axis != case.axis)
        both = x.mean(axes, dtype=np.float64), x.var(axes, dtype=np.float64)
        return tuple(a.astype(np.float32) for a in both)

    def _to_memory(self, case: Case, a: np.ndarray) -> np.ndarray:
        return a

    # The C interface

    def _new(self, create: str, *args: Any) -> c_void_p:
        made = c_void_p()
        if status := getattr(self._c, f"dnnl_{create}")(byref(made), *args):
            raise RuntimeError(f"dnnl_{create} returned {status}")
        return made

    def _describe(self, shape: tuple[int, ...], **how: Any) -> c_void_p:
        """The memory of an array, by its `strides` in items or by a format `tag`."""
        ((kind, value),) = how.items()
        dims = (c_int64 * 12)(*shape)
        return self._new(f"memory_desc_create_with_{kind}", len(shape), dims, FLOAT32, value)

    def _memory(self, description: Any, a: np.ndarray) -> c_void_p:
        return self._new("memory_create", description, self._engine, c_void_p(a.ctypes.data))

    def _operation(self, mode: str, described: Any) -> c_void_p:
        create, eps = "batch_normalization_{}_primitive_desc_create", c_float(EPS)
        kind, flags = FORWARD, SCALE_AND_SHIFT
        if mode == "evaluation":
            kind, flags = EVALUATION, flags | GLOBAL_STATISTICS
        args = (self._engine, kind, described, described, eps, c_uint(flags), None)
        forward = self._new(create.format("forward"), *args)
        if mode != "backward":
            return forward
        args = (self._engine, BACKWARD, *[described] * 3, eps, c_uint(flags), forward, None)
        return self._new(create.format("backward"), *args)

    def _implementation(self, operation: Any) -> str:
        """Which of the library's kernels it picked, for instance `bnorm_jit:avx2`."""
        text = c_char_p()
        self._c.dnnl_primitive_desc_query(operation, IMPLEMENTATION, 0, byref(text))
        return (text.value or b"").decode()


class OneDNNBlocked(OneDNN):
    """Channels in blocks, the library's own layout; channels first for everyone else."""

    name = "onednn-blocked"

    def can(self, case: Case) -> bool:
        first = case.layout == "first" and len(case.shape) in TAGS
        return super().can(case) and first and case.channels % 8 == 0

    def prepare(self, case: Case, data: Data) -> Run:
        tags = TAGS[len(case.shape)]
        fitting = {block: tag for block, tag in tags.items() if case.channels % block == 0}
        described = {block: self._describe(case.shape, tag=tag) for block, tag in fitting.items()}
        made = {
            block: self._implementation(self._operation("forward", description))
            for block, description in described.items()
        }
        block = next((block for block, kernel in made.items() if "jit" in kernel), max(made))
        self.note = f"{(self.note or '').partition(',')[0]}, {made[block]}"
        x = [_blocked(a, block) for a in data.x]
        dy = [_blocked(a, block) for a in data.dy] if case.mode == "backward" else []
        return self._run(case, data, described[block], x, dy, [np.zeros_like(a) for a in x])

    def _to_memory(self, case: Case, a: np.ndarray) -> np.ndarray:
        return np.moveaxis(a, -1, 2).reshape(case.memory_shape)


def _blocked(a: np.ndarray, block: int) -> np.ndarray:
    """(N, C, ...) to (N, C/block, ..., block)."""
    n, c, *rest = a.shape
    turned = np.moveaxis(a.reshape(n, c // block, block, *rest), 2, -1)
    result = aligned(turned.shape, str(a.dtype))
    result[...] = turned
    return result


def _load(path: str | None) -> ctypes.CDLL:
    here = sorted(Path(sys.prefix, "lib").glob("libdnnl.*"), reverse=True)
    found = [*map(str, here), ctypes.util.find_library("dnnl"), "libdnnl.so.3"]
    for name in filter(None, [path] if path else found):
        try:
            return ctypes.CDLL(name)
        except OSError as error:
            reason = f"its library cannot be loaded: {error}"
    if not path and not here:
        reason = "its library, libdnnl, was not found; --onednn tells where it is"
    raise UnavailableError(reason)
