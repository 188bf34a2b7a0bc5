"""benchmarks/: what contenders compute, and that the check of it can fail."""

from dataclasses import replace

import numpy as np
import pytest
from benchmarking import SMALL

from benchmarks import check, limit, memory, norms, shapes, timing
from benchmarks.contenders import CONTENDERS, ON_REQUEST, Contender, Run, Settings, find
from benchmarks.data import Data

pytestmark = pytest.mark.usefixtures("restore_threads", "in_a_hurry")


@pytest.fixture
def in_a_hurry(monkeypatch):
    """What is checked is what contenders compute; how long they take is of no interest here."""
    monkeypatch.setattr(timing, "WARM_UP_SECONDS", 0)
    monkeypatch.setattr(timing, "SAMPLE_SECONDS", 0)


EVERY = [
    *(shapes.Case("batch_norm", (4, 6, 3, 5), layout, mode=mode)
      for layout in shapes.LAYOUTS for mode in norms.MODES),
    *(case for shape in ("16x64x3x5", "256x6", "2x3x4x2x2")
      for case in shapes.grid(patterns=[shape], layouts=["first"])),
]  # fmt: skip


@pytest.mark.parametrize("dtype", shapes.DTYPES)
@pytest.mark.parametrize("case", EVERY, ids=lambda case: case.key.replace(" float32", ""))
def test_our_contenders_compute_what_they_should(case, dtype):
    case = replace(case, dtype=dtype)
    names = ["cybn", "cybn-out", "cybn-unfused", "numpy"]
    contenders = find(names, Settings())[0] + limit.limits(Settings())
    timings = timing.measure(case, contenders, Data(case, 3), 1)
    assert [t.problem for t in timings] == [None] * len(timings)
    assert all(len(t.samples) == 1 and t.samples[0] > 0 for t in timings)
    took_part = {t.contender.name for t in timings}
    assert {"cybn", "cybn-out", "numpy", "copy-streaming"} <= took_part
    assert ("cybn-unfused" in took_part) == (case.norm == "fused")


@pytest.mark.filterwarnings("ignore")  # those of peers are theirs
@pytest.mark.parametrize("name", [n for n in CONTENDERS if n not in ON_REQUEST])
def test_every_contender_takes_part_or_says_why(name):
    found, left_out = find([name], Settings())
    assert len(found) + len(left_out) == 1
    assert all(reason and "\n" not in reason for reason in left_out.values())
    for contender in found:
        assert contender.name == name
        for case in shapes.grid(patterns=["16x64x2x2", "256x6"]):
            if not contender.can(case):
                continue
            timings = timing.measure(case, [contender], Data(case, 4), 1)
            assert [t.problem for t in timings] == [None] * len(timings)


@pytest.mark.parametrize(("name", "spoil"), [
    ("y", lambda y: y * 1.01),
    ("y", lambda y: np.where(y == y.max(), np.nan, y)),
    ("y", lambda y: y[:-1]),
    ("z", lambda y: y),
])
def test_another_result_is_a_problem(name, spoil):
    class Wrong(Contender):
        name = "wrong"

        def prepare(self, case, data):
            right = find(["numpy"], Settings())[0][0].prepare(case, data)
            return Run(right.call, lambda i, got: {key: spoil(right.read(i, got)["y"])})

    key, case = name, shapes.Case("batch_norm", (8, 4, 5))
    (measured,) = timing.measure(case, [Wrong(Settings())], Data(case, 5), 1)
    assert measured.problem is not None
    assert measured.problem.startswith("y")


def test_a_contender_that_fails_harms_no_other():
    class Broken(Contender):
        name = "broken"

        def prepare(self, case, data):
            raise RuntimeError("two\nlines")

    case = shapes.Case("batch_norm", (8, 4))
    contenders = [Broken(Settings()), *find(["numpy"], Settings())[0]]
    broken, fine = timing.measure(case, contenders, Data(case, 6), 1)
    assert broken.problem == "RuntimeError: two lines"
    assert fine.problem is None


def result_of(case, data):
    """What plain NumPy makes of the first input, as a contender reads it; arrays of its own."""
    run = find(["numpy"], Settings())[0][0].prepare(case, data)
    return {name: np.array(a) for name, a in run.read(0, run.call(0)).items()}


@pytest.mark.parametrize("case", EVERY, ids=lambda case: case.key.replace(" float32", ""))
def test_every_output_is_checked(case):
    data = Data(case, 7)
    right = result_of(case, data)
    assert check.problem(case, data, 0, right) is None
    assert right.keys() == check.expected(case, data, 0).keys()
    for name, a in right.items():
        other = {**right, name: a + 0.05 * (1 + np.abs(a).max())}
        assert check.problem(case, data, 0, other).startswith(f"{name} is off by")
        shorter = {**right, name: a[:-1]}
        assert check.problem(case, data, 0, shorter).startswith(f"{name}: its shape is")
        missing = {key: a for key, a in right.items() if key != name}
        assert check.problem(case, data, 0, missing) == f"{name} missing"


def test_a_value_of_zero_but_for_rounding_may_pass_the_relu_or_not():
    case = shapes.Case("batch_norm_add_relu", (8, 4), mode="backward")
    data = Data(case, 8)
    normalized = result_of(shapes.Case("batch_norm", (8, 4)), data)["y"]
    data.z[0][3, 2] = -normalized[3, 2]
    data.dy[0][3, 2] = 5
    raw = np.array(data.z[0])
    for nudge in (-1e-5, 1e-5):
        data.z[0][...] = raw
        data.z[0][3, 2] += nudge
        got = result_of(case, data)
        data.z[0][...] = raw
        assert check.problem(case, data, 0, got) is None
    data.z[0][3, 2] -= 0.01  # now it is below 0 for sure
    assert check.problem(case, data, 0, got).startswith("dx is off by")


@pytest.mark.parametrize(("operation", "shape"), [
    ("batch_norm", (32, 512, 28, 28)), ("group_norm", (32, 512, 28, 28)),
    ("instance_norm", (32, 512, 28, 28)), ("layer_norm", (8192, 1024)), ("rms_norm", (8192, 1024)),
    ("batch_norm_add_relu", (32, 512, 28, 28)), ("ghost_batch_norm", (32, 512, 28, 28)),
])
def test_of_large_tensors_a_part_is_checked_from_the_first_to_the_last(operation, shape):
    case = shapes.Case(operation, shape, mode="backward")
    data = Data(case, 9)
    data.count = 1
    places = np.arange(case.size, dtype=np.float32).reshape(shape)
    want = check.expected(case, data, 0)
    part = want["dx"].part(places)
    assert part.size <= check.MOST_VALUES
    assert part.flat[0] == 0
    assert part.flat[-1] == places.flat[-1]
    weights = want["dweight"].part(np.arange(case.channels))
    assert (weights[0], weights[-1]) == (0, case.channels - 1)
    assert want["dweight"].value.shape == weights.shape


def test_small_tensors_are_checked_whole():
    assert len(check.spread(SMALL.channels, SMALL.size)) == SMALL.channels


@pytest.mark.parametrize("name", ["cybn", "numpy"])
def test_memory_is_measured_of_a_forward_and_a_backward(name):
    case = shapes.Case("batch_norm", (4, 6, 3, 5))
    both = memory.PASSES[name](case)
    for shape in (case.shape, (2, 6, 3, 3)):
        x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        y, grads = both(x, x)
        dx = grads["dx"] if name == "numpy" else grads
        assert y.shape == dx.shape == shape
    peak = memory.peak(name, case.shape)
    assert peak is None or peak >= 0
