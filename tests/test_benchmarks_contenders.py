"""benchmarks/: what contenders compute, and that the check of it can fail."""

import re
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from benchmarking import SMALL

from benchmarks import calls, cases, check, company, footprint, runner
from benchmarks.contenders import CONTENDERS, LIMITS, Contender, find, layer_of
from benchmarks.data import EPS, Data, arrays_needed, last_level_cache
from benchmarks.grid import grid
from cybn import kernels, reference

pytestmark = pytest.mark.usefixtures("restore_threads", "in_a_hurry")


@pytest.fixture
def in_a_hurry(monkeypatch):
    """What is checked is what contenders compute; how long they take is of no interest here."""
    monkeypatch.setattr(runner, "WARM_UP_SECONDS", 0)
    monkeypatch.setattr(runner, "SAMPLE_SECONDS", 0)


EVERY = [
    *grid(patterns=["4x6x3x5"], norms=["batch"]),
    *grid(patterns=["16x64x3x5", "256x6", "2x3x4x2x2", "16x32x9"]),
]
EVERY += [
    replace(case, layout="last")
    for case in EVERY
    if case.norm in ("group", "instance", "fused", "ghost") and len(case.shape) == 4
]
RESEARCH = [case for case in EVERY if case.norm == "research"]
KNOWN = [case for case in EVERY if case.norm != "research"]
every_case = pytest.mark.parametrize("case", EVERY, ids=str)
known_case = pytest.mark.parametrize("case", KNOWN, ids=str)


def by_reference(case, data):
    """What `cybn.reference` makes of the first input: y, or dx, dweight, dbias and dz."""
    weight, bias, mean, var = (a.astype(float) for a in data.arrays.values())
    x, dy, z = (a[0].astype(float) for a in (data.x, data.dy, data.z))
    if case.norm in ("layer", "rms", "group", "instance"):
        name = "group" if case.norm == "instance" else case.norm
        sizes = cases.GROUPS if case.norm == "group" else case.channels
        x, dy = (np.moveaxis(a, case.axis, 1) for a in (x, dy))
        if case.mode == "backward":
            large, *rest = getattr(reference, f"{name}_norm_backward")(dy, x, sizes, weight, EPS)
        else:
            given, rest = (weight,) if name == "rms" else (weight, bias), []
            large = getattr(reference, f"{name}_norm")(x, sizes, *given, EPS)
        return [np.moveaxis(large, 1, case.axis), *rest]
    x, dy, z = (reference.to_ncl(a, case.axis) for a in (x, dy, z))
    size = len(x)  # samples, or with the channels last their positions
    if case.norm == "ghost":
        size = size // case.shape[0] * cases.virtual_batch_size(case.shape)
    parts = []
    for some in (slice(start, start + size) for start in range(0, len(x), size)):
        moments = (mean, var) if case.mode == "evaluation" else reference.moments(x[some])
        y = reference.normalize(x[some], *moments, weight, bias, EPS)
        y += z[some] * (case.does.extra is not None)
        g = dy[some] * (y > 0) if case.norm == "fused" else dy[some]
        if case.mode == "backward":
            parts.append([*reference.backward_training(g, x[some], *moments, weight, EPS), g])
        else:
            parts.append([np.maximum(y, 0) if case.norm == "fused" else y])
    return [
        sum(arrays) if arrays[0].ndim == 1 else np.concatenate(arrays).reshape(case.memory_shape)
        for arrays in zip(*parts, strict=True)
    ]


@known_case
def test_the_check_is_the_reference(case):
    data = Data(case, 2)
    names = ["dx", "dweight", "dbias", "dz"] if case.mode == "backward" else ["y"]
    right = dict(zip(names, by_reference(case, data), strict=False))
    want = check.expected(case, data, 0)
    assert want.keys() <= right.keys()
    assert (want.keys() >= {"dx", "dweight"}) == (case.mode == "backward")
    for name, (value, _) in want.items():
        np.testing.assert_allclose(value, right[name], rtol=1e-9, atol=1e-9)


@pytest.mark.filterwarnings("ignore")  # those of peers are theirs
@pytest.mark.parametrize("name", CONTENDERS)
def test_every_contender_computes_that_or_says_why_it_cannot_take_part(name):
    found, left_out = find([name])
    assert len(found) + len(left_out) == 1
    assert all(reason and "\n" not in reason for reason in left_out.values())
    done = set()
    for case in [replace(case, dtype=dtype) for case in EVERY for dtype in cases.DTYPES]:
        data = Data(case, 3, count=2)
        for timing in runner.measure(case, found, data, 1):
            assert (case, timing.problem) == (case, None)
            assert len(timing.samples) == 1
            done.add(case.norm)
    assert done or left_out
    if name in ("cybn", "cybn-out", "numpy", "torch") and not left_out:
        without = name == "numpy" or find(["torch"])[1]
        assert done == set(cases.NORMS) - ({"research"} if without else set())


@pytest.mark.parametrize("case", RESEARCH, ids=str)
def test_what_is_composed_in_pytorch_is_the_layer_of_cybn(case):
    pytest.importorskip("torch", reason="PyTorch is not installed; nothing else needs it")
    case = replace(case, dtype="float64")
    data, (cybn, torch) = Data(case, 7, count=1), find(["cybn", "torch"])[0]
    ours, theirs = (run.read(0, run.call(0)) for run in (
        contender.prepare(case, data) for contender in (cybn, torch)))  # fmt: skip
    assert ours.keys() == theirs.keys()
    assert (case.mode == "backward") == (ours.keys() >= {"dx"})
    for name, a in theirs.items():
        np.testing.assert_allclose(ours[name], a, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "name", ["EvoNormB0", "EvoNormB1", "SwitchableNorm2d", "IBN", "IterNorm", "PowerNorm"]
)
def test_composed_norms_move_the_running_statistics_of_the_layer(name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; nothing else needs it")
    from benchmarks import composed

    case = cases.Case(name, (4, 32, 3, 2), dtype="float64")
    data = Data(case, 7, count=1)
    layer = layer_of(case, data, momentum=0.25)
    forward, arrays = composed.compose(layer, name)
    layer(data.x[0])
    forward(torch.from_numpy(data.x[0]))
    running = [key for key in layer.state_dict() if key.startswith("running_")]
    assert running
    for key in running:
        np.testing.assert_allclose(getattr(layer, key), arrays[key], rtol=1e-9, atol=1e-9)


@every_case
def test_limits_move_what_a_case_forces(case, monkeypatch):
    data, (reads, writes) = Data(case, 4, count=4), case.forced(0)
    monkeypatch.setattr("benchmarks.limit.last_level_cache", lambda: 0)
    limits, left_out = find(LIMITS, threads=2)
    if left_out:
        pytest.skip(str(left_out))
    kinds = [data.x, *([data.dy] if case.mode == "backward" else []),
             *([data.z] if case.does.extra else [])]  # fmt: skip
    inputs = [kind[i] for i in (1, 3) for kind in kinds][:reads]
    want = np.bitwise_xor.reduce([a.view(np.int32).ravel() for a in inputs])
    size = want.size // 4 * 4  # the loop moves 16 bytes at a time
    for limit in limits:
        for a in data.out:
            a.fill(0)
        limit.prepare(case, data).call(1)
        outputs = [a.view(np.int32).ravel() for a in data.out]
        assert [a.any() for a in outputs] == [writes == 2, True, False, False]
        for a in outputs[2 - writes : 2]:
            assert np.array_equal(a[:size], want[:size])


@known_case
def test_every_output_is_checked(case):
    data = Data(case, 5, count=1)
    run, want = find(["numpy"])[0][0].prepare(case, data), check.expected(case, data, 0)
    right = run.read(0, run.call(0))
    assert check.problem(case, want, right) is None
    assert right.keys() == want.keys()
    for name, a in right.items():
        for wrong, told in (
            (a + 0.05 * (1 + np.abs(a).max()), "is off by"),
            (np.where(a == a.max(), np.nan, a), "is off by nan"),
            (a[:-1], ": its shape is"),
        ):
            assert re.match(f"{name} ?{told}", check.problem(case, want, {**right, name: wrong}))
        others = {key: other for key, other in right.items() if key != name}
        assert check.problem(case, want, others) == f"{name} missing"


def test_what_is_wrong_is_reported_and_harms_no_other():
    class Wrong(Contender):
        name = "wrong"

        def prepare(self, case, data):
            run = numpy.prepare(case, data)
            return run._replace(read=lambda i, got: {"y": run.read(i, got)["y"] + 1})

    class Broken(Contender):
        name = "broken"

        def prepare(self, case, data):
            raise RuntimeError("two\nlines")

    numpy = find(["numpy"])[0][0]
    timings = runner.measure(SMALL, [Wrong(), Broken(), numpy], Data(SMALL, 6), 1)
    wrong, broken, fine = (timing.problem for timing in timings)
    assert re.match("y is off by", wrong)
    assert (broken, fine) == ("RuntimeError: two lines", None)


def test_a_value_of_zero_but_for_rounding_may_pass_the_relu_or_not():
    case = cases.Case("batch_norm_add_relu", (8, 4), mode="backward")
    data, numpy = Data(case, 8, count=1), find(["numpy"])[0][0]
    plain = replace(case, operation="batch_norm", mode="forward")
    y = numpy.prepare(plain, data).call(0)[0]
    data.z[0][3, 2], data.dy[0][3, 2] = -y[3, 2], 5
    want = check.expected(case, data, 0)
    for nudge in (-1e-5, 1e-5):
        data.z[0][3, 2] = nudge - y[3, 2]
        run = numpy.prepare(case, data)
        got = run.read(0, run.call(0))
        assert check.problem(case, want, got) is None
    data.z[0][3, 2] = -0.01 - y[3, 2]  # below 0 for sure, where `got` let it through
    assert check.problem(case, check.expected(case, data, 0), got).startswith("dx is off by")


def test_data_is_random_aligned_and_larger_than_the_cache():
    first, second, again = (Data(SMALL, seed, count=2) for seed in (1, 2, 1))
    assert all(a.ctypes.data % 64 == 0 and a.shape == SMALL.shape for a in first.x)
    assert np.array_equal(first.x[0], again.x[0])
    assert not np.array_equal(first.x[0], second.x[0])
    assert not np.array_equal(first.x[0], first.x[1])
    for megabytes in (1, 10, 100):
        case = cases.Case("batch_norm", (megabytes, 1 << 18))
        count = arrays_needed(case)
        assert count == 64 or (count > 1 and (count - 1) * case.nbytes >= 2 * last_level_cache())
        assert arrays_needed(replace(case, cached=True)) == 1


# Group and instance norm of channels last write what their kernel has made into y afterwards.
@pytest.mark.parametrize("case", [
    case for case in KNOWN if case.layout == "first" or case.norm not in ("group", "instance")
], ids=str)  # fmt: skip
def test_the_kernels_alone_do_what_the_layer_does(case):
    data = Data(case, 1, count=1)
    tables = {name: dict(each) for name, each in vars(kernels).items() if isinstance(each, dict)}
    run = calls.Kernel().prepare(case, data)
    assert all(vars(kernels)[name] == each for name, each in tables.items())
    y = run.kept[0] if case.mode == "backward" else run.kept
    before = y.copy()
    y[...] = np.nan
    run.call(0)
    assert np.array_equal(y, before)


def test_company_is_measured(monkeypatch):
    for name, value in {"ROUNDS": 1, "BLOCK_SECONDS": 0, "BUSY_SECONDS": 0, "PAUSE": 0}.items():
        monkeypatch.setattr(company, name, value)
    started, popen = [], subprocess.Popen

    def start(*args):
        started.append(popen(*args))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    rows = company.run(1, 2, 3, [0.01])
    assert len(started) == 2 * 2
    assert all(each.poll() is not None for each in started)
    peers = {company.TORCH} if find(["torch"])[0] else set()
    for row, mode in zip(rows, cases.MODES, strict=False):
        assert (row.pop("mode"), row.pop("threads"), row.pop("megabytes")) == (mode, 1, 0.01)
        assert row.pop("share") == 2 / 3
        assert row.keys() == {company.ALONE, company.NUMPY, *peers, "mean", company.BUSY}
        assert min(row.values()) > 0


@pytest.mark.parametrize("name", ["cybn", "numpy"])
def test_memory_is_measured_of_a_forward_and_a_backward(name):
    peak = footprint.peak(name, (4, 6, 3, 5))
    assert peak is None or peak >= 0
