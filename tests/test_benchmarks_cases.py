"""benchmarks/: the grid, cases and their data."""

import re

import benchmarking  # noqa: F401
import numpy as np
import pytest

from benchmarks import norms, shapes
from benchmarks.data import Data, arrays_needed, last_level_cache


def test_grid_has_every_mode_of_every_shape_once():
    cases = shapes.grid()
    assert len({case.key for case in cases}) == len(cases)
    assert {case.mode for case in cases} == set(norms.MODES)
    resnet = [case for case in cases if case.group == "resnet50" and case.norm == "batch"]
    assert len(resnet) == 9 * 2 * 3
    assert {case.operation for case in cases} == set(norms.OPERATIONS)
    assert all(case.does.takes(case.shape) and case.layer for case in cases)


def test_grid_has_the_shapes_of_each_norm():
    found = {}
    for case in shapes.grid(modes=["forward"]):
        found.setdefault(case.norm, []).append(case.shape)
    assert found["layer"] == found["rms"] == [*dict.fromkeys(shapes.ROWS)]
    assert len(shapes.ROWS) == 6
    images = [*shapes.RESNET50, *shapes.DENSENET121]
    assert found["instance"] == images
    assert found["group"] == [shape for shape in images if shape[1] % 32 == 0]
    assert (32, 1000, 15, 15) not in found["group"]
    assert sorted(found["fused"]) == sorted(shapes.RESNET50)
    assert found["ghost"] == [*shapes.RESNET50, (4096, 256)]


@pytest.mark.parametrize("norm", norms.NORMS)
def test_norms_are_chosen_by_name(norm):
    cases = shapes.grid(norms=[norm])
    assert {case.norm for case in cases} == {norm}
    assert {case.operation for case in cases} == {
        name for name, operation in norms.OPERATIONS.items() if operation.norm == norm
    }
    assert shapes.grid(norms=[norm], quick=True)


def test_quick_grid_is_part_of_the_grid():
    quick, whole = shapes.grid(quick=True), shapes.grid()
    assert {case.key for case in quick} < {case.key for case in whole}
    for norm in norms.NORMS:
        assert {case.shape for case in quick if case.norm == norm} == set(shapes.QUICK[norm])


@pytest.mark.parametrize(("patterns", "labels"), [
    (["32x64x56x56"], {"32x64x56x56", "32x64x56x56*"}),
    (["3d", "9x128x1"], {"2x16x40x40x40", "9x128x1"}),
    (["100x16*"], {"100x16x784"}),
    (["5x6"], {"5x6"}),
    (["2x3x4"], {"2x3x4", "2x3x4*"}),
    (["layer_norm"], {"x".join(map(str, shape)) for shape in shapes.ROWS}),
])
def test_shapes_by_name(patterns, labels):
    assert {case.label for case in shapes.grid(patterns=patterns)} == labels


@pytest.mark.parametrize("pattern", ["resnet", "5", "0x3", "1x1", "2x-3", "2x3x4x5x6x7", "²x3"])
def test_unknown_shape_is_an_error(pattern):
    with pytest.raises(ValueError, match=re.escape(pattern)):
        shapes.grid(patterns=[pattern])


@pytest.mark.parametrize(("shape", "operations"), [
    ("5x6", {"batch_norm", "layer_norm", "rms_norm", "batch_norm_relu", "batch_norm_add_relu"}),
    ("1x6", {"layer_norm", "rms_norm"}),
    ("1x32x2", {"batch_norm", "group_norm", "instance_norm", "batch_norm_relu",
                "batch_norm_add_relu"}),
    ("16x6x1x1", {"batch_norm", "batch_norm_relu", "batch_norm_add_relu", "ghost_batch_norm"}),
    ("256x6", {"batch_norm", "layer_norm", "rms_norm", "batch_norm_relu", "batch_norm_add_relu",
               "ghost_batch_norm"}),
])
def test_a_shape_is_a_case_for_each_norm_that_takes_it(shape, operations):
    assert {case.operation for case in shapes.grid(patterns=[shape])} == operations


def test_case_in_numbers():
    case = shapes.Case("batch_norm", (2, 3, 4, 5), "last", "float64", "backward")
    assert (case.size, case.nbytes, case.traffic) == (120, 960, 2880)
    assert (case.memory_shape, case.channel_axis, case.channels) == ((2, 4, 5, 3), -1, 3)
    assert case.layer == "BatchNorm2d"
    assert case.options == {"dtype": "float64", "channel_axis": -1}


def test_case_of_a_fused_form_counts_the_residual():
    forward = shapes.Case("batch_norm_add_relu", (2, 3, 4, 5))
    backward = shapes.Case("batch_norm_add_relu", (2, 3, 4, 5), mode="backward")
    assert (forward.traffic, backward.traffic) == (3 * 480, 5 * 480)
    assert forward.options["activation"] == "relu"
    assert shapes.Case("batch_norm_relu", (2, 3, 4, 5)).traffic == 2 * 480


@pytest.mark.parametrize(("shape", "size"), [((32, 4, 7, 7), 8), ((4096, 256), 128)])
def test_virtual_batches(shape, size):
    case = shapes.Case("ghost_batch_norm", shape)
    assert case.options["virtual_batch_size"] == size
    assert case.layer.startswith("GhostBatchNorm")


def test_arrays_exceed_the_cache():
    for nbytes in (1 << 20, 10 << 20, 100 << 20):
        count = arrays_needed(nbytes)
        assert count >= 2
        assert count == 64 or (count - 1) * nbytes >= 2 * last_level_cache()


def test_data_is_random_and_aligned():
    case = shapes.Case("batch_norm", (4, 3, 50))
    first, second, again = Data(case, 1), Data(case, 2), Data(case, 1)
    assert all(a.ctypes.data % 64 == 0 and a.shape == (4, 3, 50) for a in first.x)
    assert np.array_equal(first.x[0], again.x[0])
    assert not np.array_equal(first.x[0], second.x[0])
    assert not np.array_equal(first.x[0], first.x[1])


