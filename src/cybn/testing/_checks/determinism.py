"""The same bits every time, for any number of threads, and a layer that threads share."""

from __future__ import annotations

import threading

import numpy as np

from ...kernels.policy import using_threads
from .._compare import array_bits, bits, changed
from .._rules import EVALUATION, expect, rule
from .._subject import Case

WORKERS, ROUNDS = 4, 10


def _results(case: Case, x: np.ndarray, dy: np.ndarray) -> dict:
    layer = case.layer()
    y, dx = case.run(layer, x, dy)
    grads = {f"grads[{name!r}]": bits(a) for name, a in layer.grads.items()}
    return {"output": bits(y), "dx": bits(dx), **grads, **array_bits(layer)}


@rule(
    "determinism-repeat",
    "Take nothing from chance, the clock, addresses or the order of a set; a layer that needs "
    "random numbers keeps a seed and a counter in its state.",
)
def determinism_repeat(case: Case) -> None:
    """Equal layers and equal inputs give equal bits."""
    x, dy = case.x(), case.x(seed=2)
    names = changed(_results(case, x, dy), _results(case, x, dy))
    expect(not names, f"the same call of two equal layers gives another {', '.join(names)}")


@rule(
    "determinism-threads",
    "Fix blocks and the order of their sums by the shape alone, and merge them in that order; "
    "BLAS (@, np.dot, np.matmul) shares sums out among threads, np.einsum and np.sum do not.",
)
def determinism_threads(case: Case) -> None:
    """One, two and three threads give the same bits, on an input large enough to share out."""
    shape = case.large_shape()
    x, dy = case.x(shape=shape), case.x(seed=2, shape=shape)
    with using_threads(1):
        expected = _results(case, x, dy)
    for n in (2, 3):
        with using_threads(n):
            names = changed(expected, _results(case, x, dy))
        expect(not names, f"{n} threads give another {', '.join(names)} than one, for x {shape}")


@rule(
    "threads-share",
    "Keep what a call works on in local variables and return what pullback needs; nothing but "
    "running statistics is assigned to, once, at the end.",
    EVALUATION,
)
def threads_share(case: Case) -> None:
    """Threads that share a layer get their own outputs in evaluation, and no crash in training."""
    layer = case.layer()
    xs = [case.x(seed=seed) for seed in range(WORKERS)]
    expected = [bits(case.call(layer, x)) for x in xs]
    for training in (False, True):
        layer.train(training)
        start, seen = threading.Barrier(WORKERS), []

        def work(i: int, start=start, seen=seen, training=training) -> None:
            start.wait()
            try:
                for _ in range(ROUNDS):
                    if bits(case.call(layer, xs[i])) != expected[i] and not training:
                        seen.append("the output is not that of the thread's own x")
                        return
            except Exception as error:
                seen.append(f"{type(error).__name__}: {error}")

        workers = [threading.Thread(target=work, args=(i,)) for i in range(WORKERS)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        where = "training" if training else "evaluation"
        expect(not seen, f"{WORKERS} threads call one layer in {where}: {seen[:1]}")
