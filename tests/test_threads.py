"""How many threads there are, who says so, and that Python threads and forks lose nothing."""

import math
import os
import threading

import numpy as np
import pytest
from runs import bits, python

import cybn
from cybn.functional import batch_norm_forward
from cybn.kernels import _machine, policy

needs_openmp = pytest.mark.skipif(
    not cybn.show_config("dict")["openmp"], reason="built without OpenMP: there is one thread"
)
GET = "import cybn; print(cybn.get_num_threads())"


@needs_openmp
@pytest.mark.parametrize("n", [1, 2, 7, np.int64(3), 4096])
def test_set_and_get(n, restore_threads):
    cybn.set_num_threads(n)
    assert cybn.get_num_threads() == n
    assert cybn.show_config("dict")["threads"] == n


@pytest.mark.parametrize(
    ("n", "error", "message"),
    [
        (0, ValueError, "set_num_threads takes an int from 1 to 4096, got 0"),
        (-1, ValueError, "got -1"),
        (4097, ValueError, "got 4097"),
        (2.0, TypeError, r"set_num_threads takes an int >= 1, got 2.0 \(float\)"),
        ("2", TypeError, r"got '2' \(str\)"),
        (None, TypeError, "got None"),
        (True, TypeError, r"got True \(bool\)"),
    ],
)
def test_what_is_no_number_of_threads(n, error, message, restore_threads):
    before = cybn.get_num_threads()
    with pytest.raises(error, match=message):
        cybn.set_num_threads(n)
    assert cybn.get_num_threads() == before


@needs_openmp
def test_omp_num_threads():
    assert python(GET, OMP_NUM_THREADS="3") == "3"
    assert python(GET, OMP_NUM_THREADS="1") == "1"
    assert python(f"import cybn; cybn.set_num_threads(2); {GET}", OMP_NUM_THREADS="3") == "2"


@needs_openmp
def test_threadpoolctl_limits_and_lets_go():
    """It sees the runtime that the kernels use; its limit holds until set_num_threads is called."""
    pytest.importorskip("threadpoolctl")
    code = """
import cybn
from threadpoolctl import threadpool_info, threadpool_limits
cybn.get_num_threads()
seen = [p["num_threads"] for p in threadpool_info() if p["user_api"] == "openmp"]
numbers = [4 in seen]
with threadpool_limits(2, user_api="openmp"):
    numbers.append(cybn.get_num_threads())
    cybn.set_num_threads(3)
    numbers.append(cybn.get_num_threads())
    cybn.set_num_threads(1)
    numbers.append(cybn.get_num_threads())
cybn.set_num_threads(4)
print(*numbers, cybn.get_num_threads())
"""
    assert python(code, OMP_NUM_THREADS="4") == "True 2 3 1 4"


def test_small_inputs_stay_on_the_calling_thread(restore_threads):
    cybn.set_num_threads(4)
    share = policy.ITEMS_PER_THREAD
    assert policy.plan(2 * share - 1, 4).threads == 1
    if cybn.get_num_threads() == 4:  # with OpenMP
        assert policy.plan(2 * share, 4).threads == 2
        assert policy.plan(100 * share, 4).threads == 4


def _calls_alone(items):
    """How many calls one thread takes until threads are tried again."""
    alone = [policy.plan(items, 4).threads for _ in range(2001)]
    assert set(alone[alone.index(2) :]) == {2}
    return alone.index(2)


@needs_openmp
def test_what_threads_lose_is_paid_back_on_one(restore_threads):
    cybn.set_num_threads(2)
    items = 100 * policy.ITEMS_PER_THREAD
    each = items * policy.SECONDS_PER_ITEM
    for _ in range(2):  # each is a loss by itself: calls without one lie between
        _machine.owe(0.01)
        assert _calls_alone(items) == math.ceil(2 * 0.01 / each)
    _machine.owe(1e9)  # at most a second
    assert _calls_alone(items) == math.ceil(1.0 / each)
    _machine.owe(1.0)
    cybn.set_num_threads(2)  # as said again, and not as it was
    assert policy.plan(items, 4).threads == 2


@needs_openmp
def test_losses_that_follow_each_other_are_paid_back_for_longer(restore_threads):
    cybn.set_num_threads(2)
    items = 100 * policy.ITEMS_PER_THREAD
    each = items * policy.SECONDS_PER_ITEM
    for times in (2, 4, 8, 16, 32, 32):
        _machine.owe(0.01)
        for _ in range(math.ceil(times * 0.01 / each)):
            assert policy.plan(items, 4).threads == 1
        assert policy.plan(items, 4).threads == 2
    assert _calls_alone(items) == 0  # and for calls enough that go well
    _machine.owe(0.01)
    assert _calls_alone(items) == math.ceil(2 * 0.01 / each)
    _machine.owe(0.01)
    cybn.set_num_threads(2)
    _machine.owe(0.01)  # the first of new threads
    assert _calls_alone(items) == math.ceil(2 * 0.01 / each)


TOGETHER = """
import os
import numpy as np, cybn
from cybn.kernels import _machine, policy
{setup}
cybn.set_num_threads(4)
x = np.random.default_rng(0).normal(size=(64, 64, 32 * 16)).astype(np.float32)
layer = cybn.BatchNorm1d(64)
expected, lost = layer(x), False
for _ in range(50):
    assert (layer(x) == expected).all()
    lost = lost or _machine.pays(0.0)
print(lost, policy.plan(x.size, 4).threads)
"""


@needs_openmp
@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="Linux alone pins threads to a CPU"
)
def test_threads_that_come_one_after_the_other_are_noticed():
    """Four threads on one CPU: each waits until those before it have done their share."""
    assert (
        python(TOGETHER.format(setup="os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])"))
        == "True 1"
    )


FORK = """
import os, sys
import numpy as np, cybn
{setup}
def work():
    digest = []
    for axis, shape in ((1, (40, 8, 30, 30)), (1, (2, 1, 400, 400)), (-1, (400, 20, 20, 3))):
        x = np.random.default_rng(0).normal(3, 2, shape).astype(np.float32)
        layer = cybn.BatchNorm2d(shape[axis], channel_axis=axis)
        digest.append(hash((layer(x).tobytes(), layer.backward(x).tobytes())))
    return digest
expected = work()  # the parent's team of threads exists from here on
"""
IN_A_FORK = (
    FORK
    + """
child = os.fork()
if child == 0:
    os._exit(0 if work() == expected and cybn.get_num_threads() == 1 else 3)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(status, work() == expected, cybn.get_num_threads())
"""
)
IN_A_POOL = (
    FORK
    + """
import multiprocessing
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(*[r.get(30) == expected for r in [pool.apply_async(work) for _ in range(4)]])
"""
)
needs_fork = pytest.mark.skipif(not hasattr(policy.os, "fork"), reason="this system cannot fork")


@needs_fork
@needs_openmp
def test_a_forked_child_works_on_one_thread():
    """GNU OpenMP would wait for ever for threads that the child has not got."""
    code = IN_A_FORK.format(setup="cybn.set_num_threads(3)")
    assert python(code, timeout=60, PYTHONHASHSEED="0") == "0 True 3"


@needs_fork
def test_a_pool_of_forked_workers():
    code = IN_A_POOL.format(setup="cybn.set_num_threads(2)")
    assert python(code, timeout=90, PYTHONHASHSEED="0") == "True True True True"


def in_threads(work, count=4):
    """work(i) in so many threads that begin together; their results, or the first exception."""
    together, results, errors = threading.Barrier(count), {}, []

    def run(i):
        together.wait()
        try:
            results[i] = work(i)
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if errors:
        raise errors[0]
    return [results[i] for i in range(count)]


@pytest.mark.parametrize("shape", [(64, 8), (16, 8, 40, 40), (3, 2, 200, 200)], ids=str)
def test_threads_with_layers_of_their_own(shape, threads):
    """Small and shared-out inputs at once: each thread gets what it would get alone."""

    def work(i):
        x = np.random.default_rng(i).normal(i, 1 + i, shape).astype(np.float32)
        layer = cybn.create("BN1d" if len(shape) == 2 else "BN2d", num_features=shape[1])
        for _ in range(5):
            y, dx = layer(x), layer.backward(x)
        return list(map(bits, (y, dx, *layer.buffers(), *layer.grads.values())))

    assert in_threads(work) == [work(i) for i in range(4)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_shared_layer_loses_no_update(dtype, threads):
    """Cumulative averages count every batch once, in whatever order the threads come."""
    layer = cybn.BatchNorm1d(4, momentum=None, dtype=dtype)
    calls, workers = 25, 4
    batches = [
        np.random.default_rng(k).normal(k, 1 + k % 7, (600, 4, 40)).astype(np.float32)
        for k in range(calls * workers)
    ]

    def work(i):
        return [bits(layer(x)) for x in batches[i * calls : (i + 1) * calls]]

    outputs = [y for each in in_threads(work, workers) for y in each]
    stats = [batch_norm_forward(x) for x in batches]
    assert outputs == [bits(y) for y, _ in stats]
    assert layer.num_batches_tracked == len(batches)
    mean = np.mean([s[0] for _, s in stats], axis=0)
    var = np.mean([s[1] * 24_000 / 23_999 for _, s in stats], axis=0)
    # one rounding of a value below 128 for each batch; a lost batch would move the mean by 0.25
    off = len(batches) * float(np.finfo(dtype).eps) / 2 * 128
    np.testing.assert_allclose(layer.running_mean, mean, rtol=0, atol=off)
    np.testing.assert_allclose(layer.running_var, var, rtol=0, atol=off)


def test_calls_release_the_interpreter():
    """A long kernel leaves the others running: a thread counts while this one is inside."""
    ticks, stop = [], threading.Event()

    def count():
        while not stop.is_set():
            ticks.append(None)

    x = np.zeros((64, 16, 128, 128), np.float32)
    layer, out = cybn.BatchNorm2d(16), np.empty_like(x)
    other = threading.Thread(target=count)
    other.start()
    try:
        before = len(ticks)
        for _ in range(5):
            layer(x, out=out)
        during = len(ticks) - before
    finally:
        stop.set()
        other.join()
    assert during > 0


def test_evaluation_and_training_of_one_layer_at_once():
    """Nothing crashes, and every batch that was trained on is counted."""
    layer = cybn.BatchNorm1d(3)
    x = np.random.default_rng(0).normal(0, 1, (50, 3)).astype(np.float32)

    def work(i):
        for _ in range(200):
            if i % 2:
                layer(x)
                layer.backward(x)
            else:
                assert np.isfinite(batch_norm_forward(x, layer.weight, layer.bias)[0]).all()

    in_threads(work)
    assert layer.num_batches_tracked == 400
