"""How fast this machine moves the bytes of a case: the limit that a kernel is held against.

A loop in C reads as many arrays and writes as many as the case is forced to (`Case.forced`), on all
threads, and does nothing else: what it writes is the XOR of what it reads. It does so with ordinary
stores, which are the faster ones where a cache holds the output, and with streaming stores, which
do not read a line before they write it; the limit is the faster of the two.

They are contenders like any other: interleaved, on the same rotating arrays. The loop is compiled
when it is first needed, by the compiler that the installation of cybn needed; without one there are
no fractions. cybn's own kernels were rejected: a limit that shares their loops hides what these
lose.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from .cases import Case
from .contenders import Contender, Run, UnavailableError
from .data import Data, last_level_cache

SOURCE = r"""
#include <stddef.h>
#ifdef __SSE2__
#include <emmintrin.h>
#define STREAM(p, v) _mm_stream_si128((__m128i *)(p), (__m128i)(v))
#else
#define STREAM(p, v) (*(p) = (v))
#endif
typedef long long word __attribute__((vector_size(16), aligned(8), may_alias));

static inline __attribute__((always_inline)) void
move(ptrdiff_t i, ptrdiff_t end, int reads, int writes, int stream, word **in, word **out) {
    for (; i < end; i++) {
        word v = in[0][i];
        for (int k = 1; k < reads; k++) v ^= in[k][i];
        for (int k = 0; k < writes; k++)
            if (stream) STREAM(&out[k][i], v);
            else out[k][i] = v;
    }
}

#define CASE(R, W) case 10 * R + W: \
    if (stream) move(i, end, R, W, 1, in, out); else move(i, end, R, W, 0, in, out); break;

void run(ptrdiff_t n, int reads, int writes, int stream, int threads, word **in, word **out) {
    #pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int t = 0; t < threads; t++) {
        ptrdiff_t i = n * t / threads, end = n * (t + 1) / threads;
        switch (10 * reads + writes) {
            CASE(1, 1) CASE(2, 1) CASE(3, 1) CASE(4, 1) CASE(3, 2) CASE(6, 2)
        }
#ifdef __SSE2__
        _mm_sfence();
#endif
    }
}
"""
FLAGS = ("-O3", "-march=native", "-fopenmp", "-shared", "-fPIC")
WORD = 16
LEAST_BYTES = 1 << 18  # for a thread more than one


@cache
def library() -> ctypes.CDLL:
    """The compiled loop. Raises UnavailableError."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder, "limit.c"), Path(folder, "limit.so")
        source.write_text(SOURCE)
        command = [*compiler, *FLAGS, "-o", str(made), str(source)]
        try:
            subprocess.run(command, capture_output=True, text=True, check=True)
            return ctypes.CDLL(str(made))
        except (OSError, subprocess.CalledProcessError) as error:
            last = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[-1]
            raise UnavailableError(f"its loop was not compiled: {last}") from None


class Limit(Contender):
    """With ordinary stores."""

    name = "limit-plain"
    stream = 0

    def start(self) -> None:
        self._run = library().run

    def can(self, case: Case) -> bool:
        return case.nbytes >= WORD

    def prepare(self, case: Case, data: Data) -> Run:
        reads, writes = case.forced(last_level_cache())
        threads = min(self.threads, 1 + case.nbytes // LEAST_BYTES)
        head = ctypes.c_ssize_t(case.nbytes // WORD), reads, writes, self.stream, threads
        kinds = [data.x]
        kinds += [data.dy] if case.mode == "backward" else []
        kinds += [data.z] if case.does.extra else []
        calls = []
        for i in range(data.count):
            # No array twice in a call: a second look is at one that comes half a round later.
            later = (i + data.count // 2) % data.count
            inputs = [kind[j] for j in (i, later) for kind in kinds][:reads]
            outputs = [data.out[i], data.out[i - 1]][:writes]
            calls.append((*head, _pointers(inputs), _pointers(outputs)))
        run = self._run
        return Run(lambda i: run(*calls[i]), None)


class StreamingLimit(Limit):
    """With streaming stores."""

    name = "limit-streaming"
    stream = 1


def _pointers(arrays: list) -> ctypes.Array:
    return (ctypes.c_void_p * len(arrays))(*(a.ctypes.data for a in arrays))
