"""Shapes, values and memory layouts: the hostile ones by name, the rest for Hypothesis."""

import numpy as np
from hypothesis import strategies as st

from cybn.testing._layouts import LAYOUTS, channels_last

__all__ = ["LAYOUTS", "channels_last"]  # from where the conformance check has them

DTYPES = [np.float32, np.float64]

# (N, C, L) around the borders in the kernels: lanes of 32, rows from 64 (or 8 images) on, blocks of
# 2048 items or 256 lines, folded lines of 512 positions, tiles of 64 channels.
VIEWS = [
    (1, 1, 2), (2, 1, 1), (3, 1, 1), (2, 513, 1), (1, 2, 31), (1, 3, 32), (1, 2, 33), (7, 2, 31),
    (7, 2, 33), (8, 2, 33), (7, 2, 255), (8, 2, 255), (3, 2, 256), (2, 3, 257), (1, 2, 2047),
    (1, 1, 2048), (1, 2, 2049), (9, 2, 300), (2, 2, 4100), (255, 5, 1), (256, 4, 1), (257, 7, 1),
    (300, 1, 1), (1025, 3, 1), (17, 511, 1), (16, 512, 1), (9, 513, 1), (12, 73, 7), (9, 171, 3),
    (8, 600, 2), (600, 1, 3), (70, 3, 49), (1, 600, 3), (33, 16, 32), (9, 3, 63), (9, 3, 64),
    (40, 2, 65), (33, 70, 65), (70, 2, 97), (1, 2, 2081), (3, 2, 2100), (5, 2, 700), (40, 2, 200),
]  # fmt: skip


def view_id(shape):
    return "x".join(map(str, shape))


@st.composite
def views(draw, most=1 << 13):
    """An (N, C, L) shape with two values or more per channel: a hostile or an arbitrary one."""
    if draw(st.booleans()):
        return draw(st.sampled_from(VIEWS))
    edges = st.tuples(*[st.sampled_from([1, 2, 3, 7, 8, 31, 32, 33, 64, 255, 257, 300, 513])] * 3)
    return draw(edges.filter(lambda s: s[0] * s[2] > 1 and s[0] * s[1] * s[2] <= most))


@st.composite
def batches(draw, shapes=None, dtypes=tuple(DTYPES), offsets=(0, 1, -30, 1e4)):
    """An (N, C, L) array of a drawn seed: each channel with a mean and a scale of its own."""
    shape = draw(shapes if shapes is not None else views())
    dtype = draw(st.sampled_from(dtypes))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scale = 2.0 ** draw(st.integers(-6, 6))
    offset = draw(st.sampled_from(offsets))
    x = rng.normal(0, scale, shape) + rng.uniform(0, 2, (shape[1], 1)) * offset
    return x.astype(dtype)


def layout_id(layout):
    return layout.__name__


layouts = st.sampled_from(LAYOUTS)
