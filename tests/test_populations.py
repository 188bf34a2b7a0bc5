"""Normalize.fit, recalibrate and sums of gradients over ranks, which are threads here."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ranks import all_of, cuts_of
from runs import bits, state_bits

import cybn
from cybn.distributed import Alone, SyncError, guard, run_threads, sum_over_ranks


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.sampled_from(["float32", "int16"]))
def test_fit_to_any_split_is_fit_to_the_whole(seed, size, dtype):
    rng = np.random.default_rng(seed)
    x = rng.normal(50, 20, (int(rng.integers(2, 40)), 3, 2)).astype(dtype)
    places, whole = cuts_of(rng, len(x), size), cybn.Normalize.fit(x)

    def fit(group):
        part = x[places[group.rank]]
        data = part if group.rank % 2 else [part[:1], part[1:]]
        return cybn.Normalize.fit(data if len(part) else [], comm=group)

    layers = all_of(run_threads(size, fit))
    assert len({bits(layer.mean) + bits(layer.std) for layer in layers}) == 1
    assert layers[0].count == whole.count
    np.testing.assert_allclose(layers[0].mean, whole.mean, rtol=1e-13)
    np.testing.assert_allclose(layers[0].std, whole.std, rtol=1e-12)


def test_errors_of_a_fit_are_those_of_all():
    x = np.ones((4, 3))

    def fit(parts):
        return run_threads(2, lambda group: cybn.Normalize.fit(parts[group.rank], comm=group))

    first, second = fit([x, np.full((4, 3), np.nan)])
    assert isinstance(second, ValueError)
    assert isinstance(first, SyncError)
    assert "rank 1 failed in Normalize.fit" in str(first)
    of_two_widths = fit([x, x[:, 1:]])
    assert all("number of channels on all ranks, got [3, 2]" in str(e) for e in of_two_widths)
    assert all("got no data" in str(e) for e in fit([[], []]))


@pytest.mark.parametrize("name", ["BatchNorm1d", "SyncBatchNorm1d"])
def test_recalibrate_to_a_split_population(name):
    x = np.random.default_rng(0).normal(3, 2, (20, 4)).astype(np.float32)
    whole = cybn.BatchNorm1d(4)
    cybn.recalibrate(whole, whole, [x])
    parts = [[x[:3], x[3:9]], [x[9:15], x[15:]]]

    def work(group):
        layer = cybn.create(name, num_features=4)
        if name.startswith("Sync"):
            layer.comm = group
        cybn.recalibrate(layer, layer, parts[group.rank], comm=group)
        return layer

    layers = all_of(run_threads(2, work))
    assert len({bits(layer.running_var) for layer in layers}) == 1
    np.testing.assert_allclose(layers[0].running_mean, whole.running_mean, rtol=1e-6)
    np.testing.assert_allclose(layers[0].running_var, whole.running_var, rtol=1e-6)
    assert layers[0].num_batches_tracked == (2 if name.startswith("Sync") else 4)


def test_a_rank_that_fails_while_it_recalibrates():
    def work(group):
        layer = cybn.BatchNorm1d(4)
        before = state_bits(layer)[1]

        def forward(batch):
            if group.rank:
                raise KeyError("data")
            layer(batch)

        try:
            cybn.recalibrate(layer, forward, [np.ones((4, 4))], comm=group)
        except (KeyError, SyncError) as error:
            assert state_bits(layer)[1] == before
            return error

    first, second = all_of_errors(run_threads(2, work))
    assert "rank 1 failed in recalibrate" in str(first)
    assert isinstance(second, KeyError)


def all_of_errors(results):
    assert all(isinstance(each, Exception) for each in results)
    return results


def test_the_bar_is_that_of_rank_0(monkeypatch):
    tqdm = pytest.importorskip("tqdm", reason='pip install ".[progress]"')
    shown = []

    def bar(items, *args, **kwargs):
        shown.append(args[0])
        return items

    monkeypatch.setattr(tqdm, "tqdm", bar)
    x = np.random.default_rng(0).normal(3, 2, (8, 4))
    all_of(run_threads(3, lambda group: cybn.Normalize.fit(x, progress=True, comm=group)))
    assert shown == ["fit"]


def test_sums_of_a_tree():
    def work(group):
        layer = cybn.SyncBatchNorm(3, comm=group)
        layer.backward(np.ones_like(layer(np.arange(12.0).reshape(4, 3) + group.rank)))
        tree = [layer.grads, (np.float64(group.rank), np.zeros((0, 2), np.float32))]
        return layer.grads, sum_over_ranks(tree, group), sum_over_ranks(tree, group, mean=True)

    results = all_of(run_threads(3, work))
    want = sum(np.float64(own["weight"]) for own, _, _ in results)
    for _, summed, mean in results:
        assert summed[0]["weight"].dtype == np.float32
        np.testing.assert_allclose(summed[0]["weight"], want, atol=1e-6)
        np.testing.assert_allclose(mean[0]["bias"] * 3, summed[0]["bias"], rtol=1e-6)
        assert summed[1][0] == 3
        assert summed[1][1].shape == (0, 2)
    assert len({bits(summed[0]["weight"]) for _, summed, _ in results}) == 1


def test_sums_of_different_trees():
    results = run_threads(2, lambda group: sum_over_ranks([np.ones(2 + group.rank)], group))
    assert all("rank 1 is in sum_over_ranks of 1 arrays: (3,) float64" in str(e) for e in results)
    with pytest.raises(TypeError, match="takes arrays of floats, got str"):
        sum_over_ranks(["a"], Alone())


def test_a_guard_aborts_its_group(capsys):
    class Group(Alone):
        size, aborted = 2, 0

        def abort(self):
            self.aborted += 1

    group = Group()
    with pytest.raises(KeyError), guard(group):
        raise KeyError("boom")
    assert group.aborted == 1
    assert "rank 0 of 2 ended with KeyError after no exchange" in capsys.readouterr().err
    with pytest.raises(SystemExit), guard(group):
        sys.exit(0)
    assert group.aborted == 1
    with guard():
        pass
