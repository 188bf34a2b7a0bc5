"""What test_processes.py runs on each rank of MPI: one function for each name on the command line.

Each rank prints lines "rank word value", and its seconds at the end.
"""

import os
import sys
import time

import numpy as np
from mpi4py import MPI

import cybn
from cybn.distributed import MPIGroup, SyncError

RANK, SIZE = MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size
LAST = SIZE - 1  # the one to which something is done
X, DY = np.random.default_rng(0).normal(1, 2, (2, 3 * SIZE + 1, 4, 5)).astype(np.float32)
# one sample for the first, none for the last, the rest in between
CUTS = [0, 1, *(1 + 3 * i for i in range(1, SIZE - 1)), len(X), len(X)]
MINE = slice(CUTS[RANK], CUTS[RANK + 1])


def tell(*words):
    sys.stdout.write(" ".join(map(str, (RANK, *words))) + "\n")
    sys.stdout.flush()


def state(layer):
    return [a.copy() for _, a in layer.named_buffers()]


def split():
    """Over the world by default, uneven, one sample, an empty rank; and the same once more."""
    whole = cybn.BatchNorm1d(4)
    y, dx = whole(X), whole.backward(DY)
    for _ in range(2):
        layer = cybn.SyncBatchNorm1d(4)
        got, gradient = layer(X[MINE]), layer.backward(DY[MINE])
        grads = cybn.distributed.sum_over_ranks(layer.grads)
        tell("y", abs(got - y[MINE]).max(initial=0))
        tell("dx", abs(gradient - dx[MINE]).max(initial=0))
        tell("dweight", abs(grads["weight"] - whole.grads["weight"]).max())
        tell("var", layer.running_var.tobytes().hex())
        tell("sum", grads["weight"].tobytes().hex())


def halves():
    """Two groups of processes by communicators of their own."""
    comm = MPI.COMM_WORLD.Split(RANK % 2, RANK)
    layer = cybn.SyncBatchNorm1d(4, comm=comm)
    x = X[: 2 * comm.size].reshape(comm.size, 2, 4, 5) + RANK % 2
    y = layer(x[comm.rank])
    whole = cybn.BatchNorm1d(4)(x.reshape(-1, 4, 5)).reshape(x.shape)
    tell("y", abs(y - whole[comm.rank]).max())


def population():
    """Normalize.fit and recalibrate over ranks."""
    fitted, whole = cybn.Normalize.fit(X[MINE], comm=MPI.COMM_WORLD), cybn.Normalize.fit(X)
    tell("mean", abs(fitted.mean - whole.mean).max())
    layer, plain = cybn.BatchNorm1d(4), cybn.BatchNorm1d(4)
    cybn.recalibrate(layer, layer, [X[MINE]], comm=MPI.COMM_WORLD, progress=False)
    cybn.recalibrate(plain, plain, [X], progress=False)
    tell("var", abs(layer.running_var - plain.running_var).max())
    config = cybn.create("SyncBN", dialect="mmengine", num_features=4, spatial_dims=1)
    tell("layer", type(config).__name__)


def fault(what):
    """Something is done to the last rank; the others tell what they see, and their state."""
    layer = cybn.SyncBatchNorm1d(4, comm=MPIGroup(MPI.COMM_WORLD, timeout=2))
    wide = cybn.SyncBatchNorm1d(30_000, comm=layer.comm)
    layer(X)
    before, it = state(layer), RANK == LAST
    MPI.COMM_WORLD.Barrier()
    began = time.monotonic()
    try:
        if what == "shape":
            layer(X[:, :3] if it else X)
        elif what == "dtype":
            layer(X.astype(np.float64) if it else X)
        elif what == "order":
            wide(np.ones((2, 30_000), np.float32)) if it else layer(X)
        elif what == "pass":
            layer.backward(X) if it else layer(X)
        elif what == "silent":
            time.sleep(7) if it else layer(X)
        elif what == "done":
            sys.exit(3) if it else layer(X)
        elif it and what == "killed":
            os.kill(os.getpid(), 9)
        elif it and what == "raises":
            raise KeyError("boom")
        else:
            layer(X)
    except (SyncError, ValueError) as error:
        tell("seconds", round(time.monotonic() - began, 2))
        tell("error", type(error).__name__, getattr(error, "ranks", ""), error)
        same = all(map(np.array_equal, before, state(layer)))
        tell("state", "unchanged" if same else "changed")
    if what in ("shape", "dtype"):  # and it goes on
        tell("after", abs(layer(X) - cybn.BatchNorm1d(4)(X)).max())


name, *arguments = sys.argv[1:]
globals()[name](*arguments)
