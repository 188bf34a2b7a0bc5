"""Runs to compare: bits of arrays and layers, kernels called directly, fresh interpreters."""

import os
import subprocess
import sys

import numpy as np

from cybn.functional.gates import OPEN, Gate
from cybn.kernels import levels
from cybn.testing._compare import bits, state_bits

__all__ = ["HUGE", "LEAKY6", "bits", "python", "run_kernels", "state_bits"]

HUGE = 1 << 60  # a cache that everything fits in: walk by units
LEAKY6 = Gate(0.125, 6.0)  # every branch of a gate


def run_kernels(level, x, dy, *, parameters=None, threads=1, cache=HUGE, stream=False, y=None):
    """Every output of every kernel of batch norm at a level, for the (N, C, L) arrays x and dy."""
    module, dtype = levels.load(level, x.dtype.name), np.dtype(parameters or x.dtype)
    channels = x.shape[1]
    y = np.empty_like(x) if y is None else y
    how = (threads, cache, stream)
    weight = np.linspace(-1, 2, channels).astype(dtype)
    bias = np.linspace(3, -1, channels).astype(dtype)
    mean, var, count = np.full(channels, 0.5, dtype), np.full(channels, 2, dtype), np.array([2])
    result = {}

    stats = np.empty((3, channels))
    module.batch_forward(
        y, stats, mean, var, count, x, None, weight, bias, 1e-5, -1.0, *OPEN, True, *how
    )
    result.update(y=y.copy(), stats=stats, running_mean=mean, running_var=var, count=count)
    dx, dweight, dbias = y, np.empty(channels, dtype), np.empty(channels, dtype)
    module.batch_backward(
        dx, None, dweight, dbias, dy, x, None, stats, weight, *OPEN[:2], True, *how
    )
    result.update(dx=dx.copy(), dweight=dweight.copy(), dbias=dbias.copy())

    mean = np.linspace(-1, 1, channels).astype(dtype)
    var = np.linspace(0.5, 2, channels).astype(dtype)
    given = np.empty((3, channels))
    module.batch_forward(
        y, given, mean, var, None, x, None, weight, bias, 1e-5, 0.1, *OPEN, False, *how
    )
    result.update(y_eval=y.copy(), stats_eval=given)
    module.batch_backward(
        dx, None, dweight, dbias, dy, x, None, given, weight, *OPEN[:2], False, *how
    )
    result.update(dx_eval=dx.copy(), dweight_eval=dweight.copy(), dbias_eval=dbias.copy())

    module.batch_forward(
        y, stats, None, None, None, x, dy, weight, bias, 1e-5, -1.0, *LEAKY6, True, *how
    )
    result.update(y_gated=y.copy(), stats_gated=stats)
    kept, dresidual = y.copy(order="K"), np.empty_like(y)
    module.batch_backward(
        dx, dresidual, dweight, dbias, dy, x, kept, stats, weight, *LEAKY6[:2], True, *how
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
