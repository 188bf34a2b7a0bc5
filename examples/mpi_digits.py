"""Train the network of digits.py in several processes, each with a part of every batch.

    mpiexec -n 4 python examples/mpi_digits.py

Its norms are `SyncBatchNorm`, its gradients are summed over the processes, and so the losses are
those of one process with the whole batch, but for the order of float32 sums: run it with 1, 2 and 4
processes and compare what it prints. With `--norm BatchNorm1d` each process normalizes its part by
itself, and they are not.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

try:
    import numpy as np
    from threadpoolctl import threadpool_limits

    import cybn
    from digits import CLASSES, Digits, Network, batches, cross_entropy, load_data
except ImportError as missing:
    raise SystemExit(
        f'mpi_digits.py: error: cannot import {missing.name}; run: pip install ".[examples,mpi]"'
    ) from None


def part_of(rows: np.ndarray, rank: int, size: int) -> np.ndarray:
    """The rows of one process: uneven ones where they cannot be even."""
    return np.array_split(rows, size)[rank]


def step(network: Network, data: Digits, rows: np.ndarray, rank: int, size: int, rate: float):
    """One step of SGD on a batch that is split over the processes; the loss of the whole."""
    mine = part_of(rows, rank, size)
    loss, dy = cross_entropy(network.forward(data.x[mine]), data.labels[mine])
    share = len(mine) / len(rows)  # a mean over the part becomes a part of the mean over all
    dy *= np.float32(share)
    for layer in reversed(network.layers):
        dy = layer.backward(dy)
    sums = cybn.distributed.sum_over_ranks(
        {"loss": np.array(loss * share), "grads": [layer.grads for layer in network.layers]}
    )
    for layer, grads in zip(network.layers, sums["grads"], strict=True):
        for name, grad in grads.items():
            parameter = getattr(layer, name)
            parameter -= rate * grad
    return float(sums["loss"])


def train(data: Digits, norm: str, epochs: int, batch: int, rate: float) -> Iterator[float]:
    """The mean loss of each epoch."""
    rank, size = rank_and_size()
    network = Network([data.x.shape[1], 100, 100, 100, CLASSES], {"type": norm}, 1.0, seed=0)
    cybn.distributed.connect(network.norms)  # names for errors
    rng = np.random.default_rng(0)  # the same batches on every process
    for _ in range(epochs):
        losses = [
            step(network, data, rows, rank, size, rate) for rows in batches(rng, len(data.x), batch)
        ]
        yield float(np.mean(losses))
    if rank == 0:
        accuracy = network.accuracy(data.test_x, data.test_labels)  # nothing is exchanged for it
        said = f"{size} process{'es' if size > 1 else ''}"
        print(f"{said}, test accuracy {accuracy:.3f}", flush=True)


def rank_and_size() -> tuple[int, int]:
    """Which of the processes this is, and of how many."""
    if cybn.distributed.processes() == 1:
        return 0, 1
    from mpi4py import MPI

    return MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        prog="mpi_digits.py",
        description="Train on handwritten digits in several processes of MPI, or in one.",
    )
    parser.add_argument("--norm", default="SyncBatchNorm1d", help="default: %(default)s")
    parser.add_argument("--epochs", type=int, default=5, help="default: %(default)s")
    parser.add_argument(
        "--batch", type=int, default=64, help="of all processes together, default: %(default)s"
    )
    parser.add_argument("--rate", type=float, default=1.0, help="default: %(default)s")
    arguments = parser.parse_args(argv)
    with threadpool_limits(1):
        given = arguments.norm, arguments.epochs, arguments.batch, arguments.rate
        for epoch, loss in enumerate(train(load_data(), *given), 1):
            if rank_and_size()[0] == 0:
                print(f"epoch {epoch}: loss {loss:.7f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
