"""A batch that comes in parts, normalized and differentiated by the halves of batch norm."""

from itertools import pairwise

import numpy as np
from hypothesis import strategies as st
from sixteen import BFLOAT16
from strategies import DTYPES

from cybn.functional import (
    batch_norm_apply,
    batch_norm_backward_apply,
    batch_norm_backward_reduce,
    batch_norm_moments,
    merge_moments,
)

EVERY = (*DTYPES, np.float16, BFLOAT16)
cuts = st.lists(st.floats(0, 1), max_size=4)


def upstream(x, seed=0):
    """dy like x, and a weight and a bias for each channel."""
    rng = np.random.default_rng(seed)
    dy = rng.normal(0.3, 1, x.shape).astype(x.dtype)
    return dy, rng.uniform(0.5, 2, x.shape[1]), rng.normal(0, 1, x.shape[1])


def places(n, cuts):
    """Slices of n samples: uneven ones, and empty ones at the ends and in between."""
    edges = sorted([0, 0, n, n, *(int(cut * n) for cut in cuts), n // 2, n // 2])
    return [slice(*edge) for edge in pairwise(edges)]


def in_parts(x, dy, weight, bias, at, eps=1e-5, **how):
    """y, dx, the sums and the statistics of a batch that comes in parts."""
    moments = merge_moments(batch_norm_moments(x[each], **how) for each in at)
    stats = moments.stats(eps)
    y, dx = np.empty_like(x), np.empty_like(x)
    for each in at:
        y[each] = batch_norm_apply(x[each], moments, weight, bias, eps=eps, **how)
    sums = sum(batch_norm_backward_reduce(dy[each], x[each], stats, **how) for each in at)
    for each in at:
        dx[each] = batch_norm_backward_apply(
            dy[each], x[each], stats, sums, moments.count, weight, **how
        )
    return y, dx, sums, stats
