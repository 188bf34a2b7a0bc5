"""How far parts of a batch are from the whole: `python -m benchmarks.differences`.

Random batches are split at random over 2 to 8 ranks, threads of this process, some of them without
samples; the worst difference of each result from BatchNorm on the whole batch is printed, in units
of the last place of the largest value of that result.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

import cybn
from cybn.distributed import run_threads

NAMES = ("y", "dx", "dweight", "dbias", "running_mean", "running_var")


def split(rng: np.random.Generator, dtype: str) -> dict[str, float]:
    """The differences of one random split of one random batch, in last places."""
    n, width, size = int(rng.integers(2, 65)), int(rng.integers(1, 17)), int(rng.integers(2, 9))
    shape = (n, width, int(rng.integers(1, 30)))
    x = rng.normal(rng.normal(0, 4), rng.uniform(0.1, 4), shape).astype(dtype)
    dy, weight = rng.normal(0, 1, shape).astype(dtype), rng.uniform(0.5, 2, width)
    edges = np.sort(rng.integers(0, n + 1, size - 1))
    places = [slice(*each) for each in pairwise([0, *map(int, edges), n])]

    def results(layer: cybn.Layer, place: slice) -> tuple[np.ndarray, ...]:
        layer.weight[...] = weight
        y = layer(x[place])
        dx, grads = layer.backward(dy[place]), layer.grads
        return y, dx, grads["weight"], grads["bias"], layer.running_mean, layer.running_var

    parts = run_threads(size, lambda group: results(
        cybn.SyncBatchNorm(width, dtype=dtype, comm=group), places[group.rank]
    ))  # fmt: skip
    for each in parts:
        if isinstance(each, BaseException):
            raise each
        if not all(np.array_equal(a, b) for a, b in zip(each[4:], parts[0][4:], strict=True)):
            raise AssertionError("running statistics differ between ranks")
    whole = results(cybn.BatchNorm1d(width, dtype=dtype), slice(None))
    found = {}
    for i, (name, want) in enumerate(zip(NAMES, whole, strict=True)):
        each = [part[i] for part in parts]
        got = np.concatenate(each) if i < 2 else sum(each) if i < 4 else each[0]
        last = np.finfo(dtype).eps * max(1.0, float(np.abs(want).max()))
        found[name] = float(np.abs(got.astype(float) - want.astype(float)).max() / last)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.differences")
    parser.add_argument("--splits", type=int, default=1000, metavar="N", help="default: 1000")
    splits = parser.parse_args(argv).splits
    print(f"worst of {splits} random splits, in last places")
    for dtype in ("float32", "float64"):
        rng, worst = np.random.default_rng(0), dict.fromkeys(NAMES, 0.0)
        for _ in range(splits):
            for name, value in split(rng, dtype).items():
                worst[name] = max(worst[name], value)
        print(f"{dtype}: " + ", ".join(f"{name} {value:.1f}" for name, value in worst.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
