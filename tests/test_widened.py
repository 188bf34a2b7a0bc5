"""float16 by the kernels for float32: the bits of kernels of its own."""

import numpy as np
import pytest
from runs import HUGE, LEAKY6, bits

from cybn.functional.gates import OPEN
from cybn.kernels import LEVEL, levels
from cybn.kernels.widened import WRITTEN, widened

OWN, WIDE = levels.load(LEVEL, "float16"), widened(levels.load(LEVEL, "float32"))
HOW = 1, HUGE, False


def data(shape, count, gap=0):
    """Words of float16, whose rows lie so many items apart."""
    n, *rest = shape
    row = int(np.prod(rest))
    room = np.random.default_rng(row).normal(1, 2, (count, n, row + gap)).astype(np.float16)
    return [a[:, :row].reshape(shape).view(np.uint16) for a in room]


def batch(kernels, shape, gap):
    x, dy, z, y, dx, dz = data(shape, 6, gap)
    stats, sums = np.empty((3, shape[1])), np.empty((2, shape[1]))
    how = OPEN if gap else LEAKY6
    kernels.batch_forward(y, stats, None, None, None, x, z, None, None, 1e-5, 0.1, *how, True, *HOW)
    kernels.batch_backward(dx, dz, *sums, dy, x, y, stats, None, *how[:2], True, *HOW)
    kernels.batch_output(x, stats, x, None, *sums, 0.0, *OPEN, *HOW)  # in place
    return [bits(a.copy()) for a in (y, dx, dz, x, dy, stats, sums)]


@pytest.mark.parametrize("gap", [0, 24])
@pytest.mark.parametrize("shape", [(300, 5, 4), (20, 3, 1), (3, 4, 200)], ids=str)
def test_batch_norm(shape, gap):
    """Sums of rows that lie apart have another order than those of rows close together."""
    assert batch(WIDE, shape, gap) == batch(OWN, shape, gap)


def rows(kernels, by_name):
    x, dy, z, y, dx, dz = data((1, 12, 40), 6)
    stats = np.empty((3, 12))
    kernels.rows_forward(y, stats, x, None, None, 1, 1e-5, True, *HOW, 0, z, *LEAKY6)
    last = {"dresidual": dz} if by_name else {}
    kernels.rows_backward(
        dx, None, None, dy, x, stats, None, 1, True, *HOW, 0, None, z, *LEAKY6,
        *([] if by_name else [dz]), **last,
    )  # fmt: skip
    return [bits(a) for a in (y, dx, dz, z, stats)]


@pytest.mark.parametrize("by_name", [False, True])
def test_rows(by_name):
    assert rows(WIDE, by_name) == rows(OWN, by_name)


def test_an_error_leaves_everything_as_it_was():
    x, y = data((3, 4, 5), 2)
    before = y.copy()
    with pytest.raises(ValueError, match="stats"):
        WIDE.batch_output(y, np.empty((3, 7)), x, None, None, None, 0.0, *OPEN, *HOW)
    assert bits(y) == bits(before)


def test_every_kernel_for_float16_is_there():
    there = {name for name in dir(OWN) if name.startswith(("batch_", "rows_", "response_"))}
    assert there == WRITTEN.keys()
