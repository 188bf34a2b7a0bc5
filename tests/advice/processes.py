"""Layers over several processes, which are threads here."""

import sys
from types import SimpleNamespace

import numpy as np

import cybn
from cybn.distributed import Alone, run_threads

_X = np.random.default_rng(0).normal(3, 2, (8, 3)).astype(np.float32)


def _first(work):
    """What the first of two ranks returns, or its error."""
    result = run_threads(2, work)[0]
    if isinstance(result, BaseException):
        raise result
    return result


def one_value_in_all_parts(given):
    def work(change=lambda layer: layer, x=_X[:1]):
        def on_rank(group):
            layer = cybn.SyncBatchNorm1d(3, comm=group)
            change(layer)
            return layer(x[group.rank :])

        return _first(on_rank)

    yield work
    yield lambda: work(x=_X)
    yield lambda: work(lambda layer: layer.eval())


def ranks_at_different_layers(given):
    def work(names):
        def on_rank(group):
            layers = {name: cybn.SyncBatchNorm1d(3, comm=group) for name in "ab"}
            for name in "ab":
                layers[name](_X)
            return [layers[name](_X) for name in names[group.rank]]

        return _first(on_rank)

    yield lambda: work(("ab", "ba"))
    yield lambda: work(("ab", "ab"))


class _Deaf(Alone):
    """A group whose all_gather returns what this rank has said, and no more."""

    size = 2


class _Hearing(_Deaf):
    def all_gather(self, message, place):
        return [message, message]


def a_group_that_does_not_hear_all(given):
    yield lambda: cybn.SyncBatchNorm1d(3, comm=_Deaf())(_X)
    yield lambda: cybn.SyncBatchNorm1d(3, comm=_Hearing())(_X)


def started_by_mpi_without_mpi4py(given):
    given.monkeypatch.setenv("PMI_SIZE", "2")
    given.monkeypatch.setitem(sys.modules, "mpi4py", None)
    given.monkeypatch.delitem(sys.modules, "mpi4py.MPI", raising=False)
    yield lambda: cybn.SyncBatchNorm1d(3)(_X)
    yield lambda: cybn.SyncBatchNorm1d(3, comm=cybn.distributed.Alone())(_X)


def started_by_another_mpi(given):
    world = SimpleNamespace(COMM_WORLD=SimpleNamespace(Get_size=lambda: 1), Comm=type(None))
    given.monkeypatch.setenv("PMI_SIZE", "2")
    given.monkeypatch.setitem(sys.modules, "mpi4py.MPI", world)
    yield lambda: cybn.SyncBatchNorm1d(3)(_X)
    yield lambda: cybn.SyncBatchNorm1d(3, comm=Alone())(_X)
