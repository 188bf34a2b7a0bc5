"""A good call of every compiled entry point, and what may be missing in it.

Arguments stand in the order of the entry point, by name.
"""

import numpy as np

from cybn import kernels
from cybn.functional.gates import OPEN

N, C, L = 4, 3, 5
HOW = {"threads": 1, "cache": 1 << 20, "stream": False}
GATE = {"slope": OPEN.slope, "most": OPEN.most}
CURVED = {**GATE, "curve": OPEN.curve}


def items(*shape, dtype=np.float32):
    return np.random.default_rng(len(shape)).normal(2, 1, shape).astype(dtype)


def per_channel(count=C):
    return np.arange(1, count + 1, dtype=np.float32)


def new_stats(count=C):
    return np.ones((3, count))


def training():
    return dict(
        y=items(N, C, L), stats=new_stats(), running_mean=per_channel(), running_var=per_channel(),
        num_batches_tracked=np.array([3]), x=items(N, C, L), residual=items(N, C, L),
        weight=per_channel(), bias=per_channel(), eps=1e-5, momentum=0.1, **CURVED,
        training=True, **HOW,
    )  # fmt: skip


def inference():
    return training() | {"training": False}


def backward():
    return dict(
        dx=items(N, C, L), dresidual=items(N, C, L), dweight=per_channel(), dbias=per_channel(),
        dy=items(N, C, L), x=items(N, C, L), y=items(N, C, L), stats=new_stats(),
        weight=per_channel(), **GATE, training=True, **HOW,
    )  # fmt: skip


def moments():
    return training() | {"y": None, "residual": None, "stats": np.ones((6, C))}


def output():
    return dict(
        y=items(N, C, L), stats=np.ones((6, C)), x=items(N, C, L), residual=items(N, C, L),
        weight=per_channel(), bias=per_channel(), count=7.0, **CURVED, **HOW,
    )  # fmt: skip


def sums():
    call = backward()
    names = "dy", "x", "y", "stats", "slope", "most", "threads", "cache"
    return {"sums": np.ones((2, C)), **{name: call[name] for name in names}}


def gradient():
    call = backward()
    names = "dx", "dresidual", "dy", "x", "y", "stats"
    return dict(
        **{name: call[name] for name in names}, sums=np.ones((2, C)), weight=per_channel(),
        **GATE, **HOW,
    )  # fmt: skip


def given():
    return dict(
        out=items(N, C, L), stats=new_stats(), dy=items(N, C, L), x=items(N, C, L),
        residual=items(N, C, L), weight=per_channel(), bias=per_channel(), **GATE, curve=1,
        threads=1, cache=1 << 20,
    )  # fmt: skip


def backward_past_a_curve():
    return backward() | {"y": None, "curve": 1, "bias": per_channel(), "residual": items(N, C, L)}


def rows():
    return dict(
        y=items(1, N, L), stats=new_stats(N), x=items(1, N, L), weight=per_channel(L),
        bias=per_channel(L), run=1, eps=1e-5, centred=True, **HOW,
    )  # fmt: skip


def rows_backward():
    return dict(
        dx=items(1, N, L), dweight=per_channel(L), dbias=per_channel(L), dy=items(1, N, L),
        x=items(1, N, L), stats=new_stats(N), weight=per_channel(L), run=1, centred=True, **HOW,
    )  # fmt: skip


def positions():
    return {
        "y": items(N, C, L),
        "stats": new_stats(N * L),
        "x": items(N, C, L),
        "weight": per_channel(),
        "bias": per_channel(),
        "eps": 1e-5,
        "centred": True,
        "threads": 1,
        "stream": False,
    }


def positions_backward():
    return {
        "dx": items(N, C, L),
        "dweight": per_channel(),
        "dbias": per_channel(),
        "dy": items(N, C, L),
        "x": items(N, C, L),
        "stats": new_stats(N * L),
        "weight": per_channel(),
        "centred": True,
        "threads": 1,
        "stream": False,
    }


RESPONSE = {"size": 2, "alpha": 1.0, "beta": 0.75, "k": 1.0, "threads": 1}


def response():
    return {
        "y": items(N, C, L),
        "x": items(N, C, L),
        **RESPONSE,
    }


def response_backward():
    return {
        "dx": items(N, C, L),
        "dy": items(N, C, L),
        "x": items(N, C, L),
        **RESPONSE,
    }


def map_output():
    return {
        "out": items(N, C, L),
        "x": items(N, C, L),
        "dy": items(N, C, L),
        "coefs": np.ones((7 * N, C)),
        "sums": None,
        "last": False,
        "which": 1,
        "words": 0,
        "threads": 1,
    }


def map_sums():
    return map_output() | {"out": None, "coefs": np.ones((3, C)), "sums": np.zeros((3 * N, C))}


def map_squash():
    return map_output() | {"coefs": np.ones((4, C)), "sums": np.zeros((3 * N, C)), "which": 3}


def gram():
    return {
        "out": np.ones((C, C)),
        "a": items(N, C, L),
        "a_before": np.ones((2, C)),
        "b": items(N, C, L),
        "b_before": np.ones((2, C)),
        "groups": 1,
        "scale": 1.0,
        "threads": 1,
    }


def mapped():
    return {
        "out": items(N, C, L),
        "after": np.ones((2, C)),
        "a": items(N, C, L),
        "a_before": np.ones((2, C)),
        "b": items(N, C, L),
        "b_before": np.ones((2, C)),
        "matrices": np.ones((2 * C, C)),
        "groups": 1,
        "threads": 1,
    }


def squares():
    call = {name: np.eye(C) for name in ("out", "a", "b", "c", "e")}
    return call | {"groups": 1, "d": C, "threads": 1}


# the entry point, a call of it that succeeds, and what may be None in it
KERNELS = kernels.of[np.dtype(np.float32)]
ENTRIES = [
    (KERNELS.batch_forward, training,
     "y running_mean running_var num_batches_tracked residual weight bias"),
    (KERNELS.batch_forward, inference, "num_batches_tracked residual weight bias"),
    (KERNELS.batch_forward, moments, "running_mean running_var num_batches_tracked weight bias"),
    (KERNELS.batch_output, output, "residual weight bias"),
    (KERNELS.batch_backward, backward, "dresidual dweight dbias weight"),
    (KERNELS.batch_backward, backward_past_a_curve, "dresidual dweight dbias weight bias residual"),
    (KERNELS.batch_given, given, "residual weight bias"),
    (KERNELS.batch_sums, sums, "y"),
    (KERNELS.batch_gradient, gradient, "dresidual weight"),
    (KERNELS.rows_forward, rows, "weight bias"),
    (KERNELS.rows_backward, rows_backward, "weight dweight dbias"),
    (KERNELS.positions_forward, positions, "weight bias"),
    (KERNELS.positions_backward, positions_backward, "weight dweight dbias"),
    (KERNELS.response_forward, response, ""),
    (KERNELS.response_backward, response_backward, ""),
    (KERNELS.map_points, map_output, ""),
    (KERNELS.map_points, map_sums, ""),
    (KERNELS.map_points, map_squash, ""),
    (KERNELS.covariances, gram, "b"),
    (KERNELS.map_channels, mapped, ""),
    (KERNELS.square_products, squares, "c"),
]  # fmt: skip
