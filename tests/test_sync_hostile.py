"""SyncBatchNorm where ranks do not do the same: what is an error on all of them, and what is not.

The ranks are threads of this process; test_processes.py has real ones.
"""

import numpy as np
import pytest
from ranks import all_of, in_ranks, of_whole
from runs import state_bits

import cybn
from cybn.distributed import SyncError, ThreadGroup, run_threads

X, DY = np.random.default_rng(0).normal(1, 2, (2, 8, 3, 5)).astype(np.float32)
PARTS = [slice(0, 3), slice(3, 8)]


class Pair:
    """Two ranks of a larger group, as a communicator of a part of the processes."""

    def __init__(self, group, first):
        self.rank, self.size, self._group, self._first = group.rank - first, 2, group, first

    def all_gather(self, message, place):
        # All threads meet; what those of the other pair say is left out
        said = np.concatenate([np.array([len(message)]).view(np.uint8), message])
        said = np.pad(said, (0, 4096 - len(said)))
        found = self._group.all_gather(said, place)[self._first : self._first + 2]
        return [each[8 : 8 + int(each[:8].view(np.int64)[0])] for each in found]


def test_a_group_of_one_rank_is_batch_norm():
    def work(group):
        layer = cybn.SyncBatchNorm(3, comm=group)
        return layer(X), layer.backward(DY)

    ((y, dx),) = all_of(run_threads(1, work))
    want = of_whole(X, DY)
    assert (y.tobytes(), dx.tobytes()) == (want[0].tobytes(), want[1].tobytes())


def test_groups_of_some_ranks():
    def work(group):
        pair = Pair(group, group.rank // 2 * 2)
        x = X * (1 + group.rank // 2)
        return cybn.SyncBatchNorm(3, comm=pair)(x[PARTS[pair.rank]])

    parts = all_of(run_threads(4, work))
    for first in (0, 2):
        want = cybn.BatchNorm1d(3)(X * (1 + first // 2))
        got = np.concatenate(parts[first : first + 2])
        np.testing.assert_allclose(got, want, rtol=0, atol=2e-6)


def test_two_layers_that_share_their_weights():
    def work(group):
        one, two = (cybn.SyncBatchNorm(3, comm=group) for _ in range(2))
        two.weight = one.weight
        one.weight[...] = [1, 2, 3]
        part = PARTS[group.rank]
        y, first = one.apply(X[part])
        z, second = two.apply(y)
        dy, grads = two.pullback(second, DY[part])
        dx, more = one.pullback(first, dy)
        return z, dx, grads["weight"] + more["weight"]

    one, two = cybn.BatchNorm1d(3), cybn.BatchNorm1d(3)
    one.weight[...] = two.weight[...] = [1, 2, 3]
    z = two(one(X))
    dx = one.backward(two.backward(DY))
    parts = all_of(run_threads(2, work))
    np.testing.assert_allclose(np.concatenate([p[0] for p in parts]), z, rtol=0, atol=5e-6)
    np.testing.assert_allclose(np.concatenate([p[1] for p in parts]), dx, rtol=0, atol=5e-6)
    total = parts[0][2] + parts[1][2]
    want = one.grads["weight"] + two.grads["weight"]
    np.testing.assert_allclose(total, want, rtol=0, atol=1e-4)


# Ranks that differ


def differing(make, rank=1):
    """What each of three ranks raises where one does something else, and then all do the same."""

    def work(group):
        layer = cybn.SyncBatchNorm(3, comm=group)
        layer(X)
        before, error = state_bits(layer), None
        try:
            make(layer, group, group.rank == rank)
        except Exception as raised:
            error = raised
            assert state_bits(layer) == before
        layer.train()
        np.testing.assert_allclose(layer(X), cybn.BatchNorm1d(3)(X), rtol=0, atol=2e-6)
        return error

    return all_of_errors(run_threads(3, work, timeout=20))


def all_of_errors(results):
    for each in results:
        if isinstance(each, AssertionError):
            raise each
    return results


def test_float16_beside_float32():
    errors = differing(lambda layer, group, it: layer(X.astype(np.float16) if it else X))
    for error in errors:
        assert isinstance(error, SyncError)
        assert error.ranks == (1,)
        assert "rank 1 is in the forward of layer 1, SyncBatchNorm(3) of float16" in str(error)


def test_another_width():
    def make(layer, group, it):
        (cybn.SyncBatchNorm(5, comm=group)(np.ones((2, 5), np.float32)) if it else layer(X))

    for error in differing(make):
        assert "rank 1 is in the forward of layer 2, SyncBatchNorm(5) of float32" in str(error)


def test_channels_elsewhere():
    """An axis of another length is named; one that fits is no error, and the whole is right."""
    errors = differing(lambda layer, group, it: layer(X.transpose(0, 2, 1) if it else X))
    assert isinstance(errors[1], ValueError)
    for rank in (0, 2):
        assert errors[rank].ranks == (1,)
        assert "rank 1 failed in the forward of layer 1, SyncBatchNorm(3)" in str(errors[rank])

    def work(group):
        layer = cybn.SyncBatchNorm(3, channel_axis=-1 if group.rank else 1, comm=group)
        part = X[PARTS[group.rank]]
        y = layer(np.ascontiguousarray(part.transpose(0, 2, 1)) if group.rank else part)
        return y.transpose(0, 2, 1) if group.rank else y

    got = np.concatenate(all_of(run_threads(2, work)))
    np.testing.assert_allclose(got, cybn.BatchNorm1d(3)(X), rtol=0, atol=2e-6)


def test_one_rank_in_evaluation_is_not_waited_for_without_end():
    def work(group):
        layer = cybn.SyncBatchNorm(3, comm=group)
        layer(X)
        before = state_bits(layer)
        if group.rank == 1:
            return layer.eval()(X)
        with pytest.raises(SyncError, match=r"rank 1 did not come to rank \d of 3 in the forward"):
            layer(X)
        assert state_bits(layer) == before
        return None

    all_of(run_threads(3, work, timeout=20))


def test_a_mask_on_one_rank_alone():
    mask = np.array([True, False, True, True, False])
    parts = all_of(run_threads(2, lambda group: cybn.SyncBatchNorm(3, comm=group)(
        X[PARTS[group.rank]], **({"mask": mask} if group.rank else {})
    )))  # fmt: skip
    every = np.concatenate([np.ones(3, bool), mask])
    want = cybn.BatchNorm1d(3)(X, mask=every)
    np.testing.assert_allclose(np.concatenate(parts), want, rtol=0, atol=2e-6)


def test_an_empty_rank_backward():
    parts = in_ranks([slice(0, 8), slice(8, 8), slice(8, 8)], X, DY)
    dx = of_whole(X, DY)[1]
    np.testing.assert_allclose(parts[0][1], dx, rtol=0, atol=2e-6)
    assert parts[1][1].shape == (0, 3, 5)
    assert not parts[1][2].grads["weight"].any()


@pytest.mark.parametrize("options", [{"eps": 1e-2}, {"momentum": 0.5}, {"momentum": None}], ids=str)
def test_options_of_one_rank_are_its_own(options):
    """eps and momentum are not exchanged: each rank takes its own, on the moments of all."""

    def work(group):
        layer = cybn.SyncBatchNorm(3, comm=group, **(options if group.rank else {}))
        return layer(X[PARTS[group.rank]]), layer

    for rank, (y, layer) in enumerate(all_of(run_threads(2, work))):
        whole = cybn.BatchNorm1d(3, **(options if rank else {}))
        np.testing.assert_allclose(y, whole(X)[PARTS[rank]], rtol=0, atol=2e-6)
        np.testing.assert_allclose(layer.running_var, whole.running_var, rtol=1e-6)


def test_an_exception_between_forward_and_backward():
    def make(layer, group, it):
        layer(X)
        if it:
            layer.backward(DY[:, :2])  # of another shape
        layer.backward(DY)

    errors = []

    def work(group):
        layer = cybn.SyncBatchNorm(3, comm=group)
        try:
            make(layer, group, group.rank == 1)
        except Exception as error:
            errors.append(error)
        return layer(X), layer.backward(DY)  # and it goes on

    for y, dx in all_of(run_threads(2, work)):
        np.testing.assert_allclose(y, of_whole(X, DY)[0], rtol=0, atol=2e-6)
        np.testing.assert_allclose(dx, of_whole(X, DY)[1], rtol=0, atol=2e-6)
    assert sorted(type(error).__name__ for error in errors) == ["SyncError", "ValueError"]
    assert "rank 1 failed in the backward of layer 1" in "".join(map(str, errors))


def test_a_rank_that_has_gone_is_named():
    def work(group: ThreadGroup):
        layer = cybn.SyncBatchNorm(3, comm=group)
        layer(X)
        if group.rank == 2:
            raise KeyError("boom")
        with pytest.raises(SyncError, match="rank 2 did not come") as caught:
            layer(X)
        return caught.value.ranks

    results = run_threads(3, work, timeout=20)
    assert results[:2] == [(2,), (2,)]
    assert isinstance(results[2], KeyError)
