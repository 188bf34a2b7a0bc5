"""Runs to compare: bits of arrays and layers, kernels called directly, fresh interpreters."""

import os
import subprocess
import sys

import numpy as np

from cybn.functional.gates import OPEN, Gate
from cybn.testing._compare import bits, state_bits

__all__ = ["HUGE", "LEAKY6", "bits", "python", "run_kernels", "state_bits"]

HUGE = 1 << 60  # a cache that everything fits in: walk by units
KERNEL_DTYPES = {"f": "float", "d": "double"}
LEAKY6 = Gate(0.125, 6.0)  # every branch of a gate


def run_kernels(module, x, dy, *, parameters=None, threads=1, cache=HUGE, stream=False, y=None):
    """Every output of every kernel of a compiled module for the (N, C, L) arrays x and dy."""
    data, other = x.dtype.char, parameters or x.dtype.char
    key, dtype = (KERNEL_DTYPES[data], KERNEL_DTYPES[other]), np.dtype(other)
    channels = x.shape[1]
    y = np.empty_like(x) if y is None else y
    how = (threads, cache, stream)
    weight = np.linspace(-1, 2, channels).astype(dtype)
    bias = np.linspace(3, -1, channels).astype(dtype)
    mean, var, count = np.full(channels, 0.5, dtype), np.full(channels, 2, dtype), np.array([2])
    result = {}

    stats = np.empty((3, channels))
    module.normalize_training[key](
        y, stats, mean, var, count, x, None, weight, bias, 1e-5, -1.0, *OPEN, *how
    )
    result.update(y=y.copy(), stats=stats, running_mean=mean, running_var=var, count=count)
    dx, dweight, dbias = y, np.empty(channels, dtype), np.empty(channels, dtype)
    module.gradient[key](
        dx, None, dweight, dbias, dy, x, None, stats, weight, True, *OPEN, *how
    )
    result.update(dx=dx.copy(), dweight=dweight.copy(), dbias=dbias.copy())

    mean = np.linspace(-1, 1, channels).astype(dtype)
    var = np.linspace(0.5, 2, channels).astype(dtype)
    given = np.empty((3, channels))
    module.normalize_inference[key](
        y, given, x, None, mean, var, weight, bias, 1e-5, *OPEN, *how
    )
    result.update(y_eval=y.copy(), stats_eval=given)
    module.gradient[key](
        dx, None, dweight, dbias, dy, x, None, given, weight, False, *OPEN, *how
    )
    result.update(dx_eval=dx.copy(), dweight_eval=dweight.copy(), dbias_eval=dbias.copy())

    module.normalize_training[key](
        y, stats, None, None, None, x, dy, weight, bias, 1e-5, -1.0, *LEAKY6, *how
    )
    result.update(y_gated=y.copy(), stats_gated=stats)
    kept, dresidual = y.copy(order="K"), np.empty_like(y)
    module.gradient[key](
        dx, dresidual, dweight, dbias, dy, x, kept, stats, weight, True, *LEAKY6, *how
    )
    result.update(dx_gated=dx, dresidual=dresidual, dweight_gated=dweight, dbias_gated=dbias)
    return {name: bits(a) for name, a in result.items()}


def python(code, timeout=60, stdin="", **environment):
    """What a fresh interpreter prints for the code, stripped; it must succeed."""
    paths = [p for p in sys.path if p]
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **environment},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
