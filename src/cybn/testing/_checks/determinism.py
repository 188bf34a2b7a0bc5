"""The same bits for any number of threads, and a layer that threads share."""

from __future__ import annotations

import threading

from ...kernels.policy import using_threads
from .._compare import bits, changed
from .._rules import EVALUATION, expect, rule
from .._subject import Case
from .basics import results_of

WORKERS, ROUNDS = 4, 10


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
        expected = results_of(case, x, dy)
    for n in (2, 3):
        with using_threads(n):
            names = changed(expected, results_of(case, x, dy))
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
