"""What batch norm needs besides its arrays is bounded, and how it is shared changes no bit."""

import numpy as np
import pytest
from runs import LEAKY6, bits, python

from cybn.functional.gates import OPEN
from cybn.kernels import of

MIB = 1 << 20

PEAK = """
import resource
import numpy as np
from cybn.kernels import of
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
shape, char, threads = {shape}, {char!r}, {threads}
x = np.ones(shape, char)
kernels = of[x.dtype]
y, stats = np.empty_like(x), np.empty((3, shape[1]))
dweight, dbias, mean, var = (np.ones(shape[1], char) for _ in range(4))
y.fill(0), stats.fill(0)
gate, how = (1.0, float("inf"), 0), (threads, 1 << 20, False)
before = peak()
kernels.batch_forward(
    y, stats, None, None, None, x, None, None, None, 1e-5, 0.1, *gate, True, *how
)
kernels.batch_backward(y, None, dweight, dbias, x, x, None, stats, None, *gate[:2], True, *how)
kernels.batch_forward(y, stats, mean, var, None, x, None, None, None, 1e-5, 0.1, *gate, False, *how)
print(peak() - before, x.nbytes)
"""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("char", ["f", "d"])
@pytest.mark.parametrize(
    "shape", [(1, 1_000_000, 31), (31, 1_000_000, 1), (2, 500_000, 14), (3, 200_000, 70)], ids=str
)
def test_a_million_channels(shape, char, threads):
    """32 bytes a channel, and 8 MiB or an eighth of x; 4 MiB for what else a process may do."""
    used, nbytes = map(int, python(PEAK.format(shape=shape, char=char, threads=threads)).split())
    assert used <= 32 * shape[1] + max(8 * MIB, nbytes // 8) + 4 * MIB


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 12_000, 31), (9, 60_000, 3), (2, 70_000, 1), (2, 9000, 33)])
def test_a_channel_is_the_same_by_itself(shape, dtype):
    """Channels that are worked on one part after the other, against some of them alone."""
    channels = shape[1]
    rng = np.random.default_rng(0)
    x, dy, z = rng.normal(3, 2, (3, *shape)).astype(dtype)
    x[:, ::1000] *= 1e30  # to be looked at again
    few = np.array([0, 1, 3000, channels // 2, channels - 1])
    whole, alone = (run(*(a[:, at] for a in (x, dy, z))) for at in (slice(None), few))
    for name, a in alone.items():
        axis = 1 if a.ndim > 1 else 0
        assert bits(np.take(whole[name], few, axis)) == bits(a), name


def run(x, dy, z):
    x, dy, z = (np.ascontiguousarray(a) for a in (x, dy, z))
    kernels, channels = of[x.dtype], x.shape[1]
    y, gated, dx, dz = (np.empty_like(x) for _ in range(4))
    stats, given = np.empty((2, 3, channels))
    weight, bias = np.full((2, channels), [[2], [3]]).astype(x.dtype)
    dweight, dbias, dweight2, dbias2 = np.empty((4, channels), x.dtype)
    how = 2, 1 << 20, False
    kernels.batch_forward(
        y, stats, None, None, None, x, None, weight, bias, 1e-5, 0.1, *OPEN, True, *how
    )
    kernels.batch_backward(dx, None, dweight, dbias, dy, x, None, stats, weight, *OPEN, True, *how)
    kept = dx.copy()
    kernels.batch_forward(
        gated, stats, None, None, None, x, z, weight, bias, 1e-5, 0.1, *LEAKY6, True, *how
    )
    kernels.batch_backward(
        dx, dz, dweight2, dbias2, dy, x, gated, stats, weight, *LEAKY6[:2], True, *how
    )
    evaluated = np.empty_like(x)
    kernels.batch_forward(
        evaluated, given, bias, weight, None, x, z, weight, bias, 1e-5, 0.1, *LEAKY6, False, *how
    )
    return {
        "y": y,
        "stats": stats,
        "dx": kept,
        "dweight": dweight,
        "dbias": dbias,
        "gated": gated,
        "dx_gated": dx,
        "dz": dz,
        "dweight2": dweight2,
        "dbias2": dbias2,
        "evaluated": evaluated,
        "given": given,
    }
