"""Bit for bit the same: any threads, any CPU level, any walk, streaming stores or none."""

import os
from itertools import product

import numpy as np
import pytest
from runs import HUGE, bits, python, run_kernels
from strategies import DTYPES, VIEWS, view_id

import cybn
from cybn.kernels import levels

LARGER = [(40, 3, 5000), (3000, 3, 1), (600, 130, 7), (40, 700, 1), (20, 64, 49), (1, 5, 20_000)]
LEVELS = [
    pytest.param(
        level,
        marks=pytest.mark.skipif(
            level not in levels.built() or not supported(),
            reason=f"{level} is not built here, or not what this CPU can run",
        ),
    )
    for level, supported in levels.LEVELS.items()
]
every_level = pytest.mark.parametrize("level", LEVELS)
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)


def data(view, dtype):
    """Channels of every kind that takes a path of its own: doubtful sums, constants, NaN.

    Of those of dy there are so many that each meets each of x.
    """
    rng = np.random.default_rng(sum(view))
    x, dy = rng.normal(1, 2, (2, *view))
    kinds = [
        lambda a: a, lambda a: a + 1e6, lambda a: a * 0 + 0.1, lambda a: a * 1e-42,
        lambda a: np.where(a > 3, np.nan, a), lambda a: a * 1e30, np.sort,
        lambda a: np.where(a > 1, 3e38, -3e38),
    ]  # fmt: skip
    above = [
        lambda a: a, lambda a: a, lambda a: a + 1e5, lambda a: a * 0 + 3e37, lambda a: a * 1e-43,
        lambda a: np.clip(a * 1e38, -3e38, 3e38), lambda a: a * 0, lambda a: a * 1e-25,
        lambda a: np.where(a > 6, np.nan, a), lambda a: a + 17 * 2, lambda a: a,
    ]  # fmt: skip
    for c in range(view[1]):
        x[:, c] = kinds[(c + sum(view)) % len(kinds)](x[:, c])
        dy[:, c] = above[(c + sum(view)) % len(above)](dy[:, c])
    with np.errstate(under="ignore"):
        return x.astype(dtype), dy.astype(dtype)


def expected(view, dtype):
    """The plainest run: one thread, unit by unit, no streaming, the baseline."""
    return run_kernels("baseline", *data(view, dtype))


@every_level
@both_dtypes
@pytest.mark.parametrize("view", VIEWS + LARGER, ids=view_id)
def test_threads_walks_stores_and_levels(view, dtype, level):
    x, dy = data(view, dtype)
    plain = expected(view, dtype)
    for threads, cache in product([1, 2, 3, 7], [0, HUGE]):
        how = {"threads": threads, "cache": cache, "stream": (threads + (cache > 0)) % 2 > 0}
        got = run_kernels(level, x, dy, **how)
        wrong = [name for name in plain if got[name] != plain[name]]
        assert not wrong, (how, wrong)


@every_level
@pytest.mark.parametrize("view", [(3, 2, 300), (40, 16, 33), (70, 600, 1)], ids=view_id)
def test_parameters_of_the_other_dtype(view, level):
    for dtype, other in ((np.float32, "d"), (np.float64, "f")):
        x, dy = data(view, dtype)
        plain = run_kernels("baseline", x, dy, parameters=other)
        for threads, cache in product([1, 3], [0, HUGE]):
            how = {"threads": threads, "cache": cache, "parameters": other}
            assert run_kernels(level, x, dy, **how) == plain


@every_level
@both_dtypes
@pytest.mark.parametrize("view", [(3, 2, 300), (40, 16, 33), (9, 600, 1)], ids=view_id)
def test_the_address_of_the_output_does_not_matter(view, dtype, level):
    """Streaming stores begin at a multiple of 64 bytes: every offset from one."""
    x, dy = data(view, dtype)
    plain = expected(view, dtype)
    room = np.empty(x.size + 16, dtype)
    for offset in range(16):
        y = room[offset : offset + x.size].reshape(view)
        got = run_kernels(level, x, dy, y=y, stream=True)
        assert got == plain, offset


@every_level
@both_dtypes
@pytest.mark.parametrize("view", [(3, 2, 300), (40, 16, 33), (9, 600, 1)], ids=view_id)
def test_rows_of_images_may_lie_apart(view, dtype, level):
    """The same bits where images are cut out of larger ones, or taken backwards."""
    x, dy = data(view, dtype)
    n, size = view[0], x[0].size
    plain = expected(view, dtype)
    room = np.full((2 * n, size + 5), 7, dtype)
    for rows in (room[:n, :size], room[::2, 5:], room[1::2, 3:-2][::-1]):
        apart = rows.reshape(view)
        apart[...] = x
        assert run_kernels(level, apart, dy, y=np.empty_like(x)) == plain
        apart[...] = dy
        assert run_kernels(level, x, apart) == plain
        assert run_kernels(level, x, dy, y=apart, stream=True) == plain


@both_dtypes
@pytest.mark.parametrize("axis", [1, -1])
@pytest.mark.parametrize("training", [True, False])
def test_a_layer_on_any_number_of_threads(axis, training, dtype, threads):
    shape = (40, 32, 28, 28) if axis == 1 else (40, 28, 28, 32)
    x, dy = np.random.default_rng(0).normal(3, 2, (2, *shape)).astype(dtype)

    def run():
        layer = cybn.BatchNorm2d(32, channel_axis=axis).train(training)
        y, dx = layer(x), layer.backward(dy)
        return list(map(bits, (y, dx, *layer.buffers(), *layer.grads.values())))

    got = run()
    cybn.set_num_threads(1)
    assert got == run()


DIGEST = """
import hashlib, numpy as np, cybn
digest = hashlib.sha256()
for dtype in ("float32", "float64"):
    for axis, shape in ((1, (40, 16, 40, 40)), (-1, (300, 9, 9, 40)), (1, (30, 5, 3, 3))):
        x, dy = np.random.default_rng(0).normal(3, 2, (2, *shape)).astype(dtype)
        layer = cybn.BatchNorm2d(shape[axis], channel_axis=axis)
        for a in (layer(x), layer.backward(dy), *layer.buffers(), *layer.grads.values(),
                  layer.eval()(x), layer.backward(dy)):
            digest.update(a.tobytes())
print(cybn.show_config("dict")["cpu_level"], cybn.get_num_threads(), digest.hexdigest())
"""


@every_level
@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_level_is_forced_by_name_and_gives_the_same_bits(level, threads):
    used, got, digest = python(DIGEST, CYBN_CPU=level, OMP_NUM_THREADS=threads).split()
    assert used == level
    openmp = cybn.show_config("dict")["openmp"]
    assert got == (threads if openmp else "1")
    assert digest == python(DIGEST, CYBN_CPU="baseline", OMP_NUM_THREADS="3").split()[2]


def test_the_best_level_is_taken_where_none_is_forced():
    best = next(level for level in levels.built() if levels.LEVELS[level]())
    code = "import cybn; print(cybn.show_config('dict')['cpu_level'])"
    assert python(code, CYBN_CPU="") == best


def test_an_impossible_level_is_an_error(monkeypatch):
    monkeypatch.setenv("CYBN_CPU", "x86-64-v9")
    with pytest.raises(ImportError, match=r"'x86-64-v9' is not a CPU level.*can use .*baseline"):
        levels.choose()
    monkeypatch.setitem(levels.LEVELS, "x86-64-v9", lambda: True)
    with pytest.raises(ImportError, match="is not in this build"):
        levels.choose()
    monkeypatch.setattr(levels, "built", lambda: ["x86-64-v9", "baseline"])
    monkeypatch.setitem(levels.LEVELS, "x86-64-v9", lambda: False)
    with pytest.raises(ImportError, match="needs a CPU that this one is not"):
        levels.choose()
    assert os.environ["CYBN_CPU"] == "x86-64-v9"
