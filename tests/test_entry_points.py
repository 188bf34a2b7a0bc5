"""The compiled entry points refuse what is missing or does not fit, before anything is written.

The layers and `functional` check first; but an array can be replaced, deleted or resized
afterwards, and what a kernel reads or writes out of bounds is a crash.
"""

import numpy as np
import pytest
from entrycalls import (
    ENTRIES,
    KERNELS,
    C,
    L,
    backward,
    gradient,
    map_output,
    mapped,
    moments,
    per_channel,
    positions_backward,
    rows,
    rows_backward,
    training,
)
from runs import bits

from cybn import kernels

entries = pytest.mark.parametrize(
    ("kernel", "make", "optional"),
    [pytest.param(*entry, id=entry[1].__name__) for entry in ENTRIES],
)
CASES = [
    pytest.param(kernel, make, name, id=f"{make.__name__}-{name}")
    for kernel, make, _ in ENTRIES
    for name, value in make().items()
    if isinstance(value, np.ndarray)
    if (make, name) != (moments, "x")  # of any N and L there: no other array has them
]
arrays = pytest.mark.parametrize(("kernel", "make", "name"), CASES)


def state(call):
    return {name: bits(a) for name, a in call.items() if isinstance(a, np.ndarray)}


def refused(kernel, call, match):
    before = state(call)
    with pytest.raises(ValueError, match=match):
        kernel(*call.values())
    assert state(call) == before


def test_every_entry_point_is_here():
    assert {kernel for kernel, _, _ in ENTRIES} == {*KERNELS}
    module = kernels.levels.load(kernels.LEVEL, "float32")
    public = [name for name, each in vars(module).items() if type(each) is type(len)]
    public = [name for name in public if not name.startswith("_")]
    assert {*public} == {*KERNELS._fields}


@entries
def test_the_calls_are_good_ones(kernel, make, optional):
    kernel(*make().values())
    for name in optional.split():
        call = make()
        call[name] = None
        kernel(*call.values())


@arrays
def test_an_array_that_is_missing(kernel, make, name):
    optional = next(o for k, m, o in ENTRIES if m is make).split()
    if name in optional:
        return  # as the test above has it
    says = f"kernel expected .*{name}.* of .*, got None"
    if name == "y" and make in (backward, gradient):
        says = "dresidual with y"
    if name == "dy" and make is map_output:
        says = "coefs of shape"  # those of a forward
    if name == "b" and make is mapped:
        says = "matrices of shape"  # those of one input
    refused(kernel, make() | {name: None}, says)


def trimmed(a, axis, by=1):
    return np.ascontiguousarray(a[(slice(None),) * axis + (slice(a.shape[axis] - by),)])


@arrays
@pytest.mark.parametrize("empty", [False, True], ids=["short", "empty"])
def test_an_array_of_another_length(kernel, make, name, empty):
    call = make()
    for axis in range(call[name].ndim):
        by = call[name].shape[axis] if empty else 1
        refused(kernel, call | {name: trimmed(call[name], axis, by)}, "a kernel expected .*, got")


@arrays
def test_an_array_that_was_resized(kernel, make, name):
    call = make()
    if call[name].ndim == 0:
        return
    call[name].resize((*call[name].shape[:-1], call[name].shape[-1] + 1), refcheck=False)
    refused(kernel, call, "a kernel expected .*, got")


@pytest.mark.parametrize("name", ["threads", "size", "run", "groups"])
@entries
def test_a_number_that_would_divide_by_zero(kernel, make, optional, name):
    if name in make():
        refused(kernel, make() | {name: 0}, r"a kernel expected .* of .*, got 0")


def test_what_lies_on_channels_may_be_strided_and_of_either_dtype():
    plain, other = training(), training()
    KERNELS.batch_forward(*plain.values())
    names = "running_mean", "running_var", "weight", "bias"
    for name in names:
        other[name] = np.repeat(other[name].astype(np.float64), 2)[::2]
    other["running_var"] = np.flip(np.flip(other["running_var"]).copy())
    KERNELS.batch_forward(*other.values())
    assert state(other)["y"] == state(plain)["y"]
    for name in names[:2]:
        np.testing.assert_allclose(other[name], plain[name], rtol=1e-6)


@pytest.mark.parametrize("name", ["running_var", "weight", "num_batches_tracked"])
def test_what_lies_on_channels_and_is_of_another_dtype(name):
    wrong = training()[name].astype(np.int32)
    refused(KERNELS.batch_forward, training() | {name: wrong}, f"a kernel expected {name} of .*")
    wrong = training()[name].astype(training()[name].dtype.newbyteorder())
    refused(KERNELS.batch_forward, training() | {name: wrong}, f"a kernel expected {name} of .*")


def test_what_is_written_must_be_writable():
    for make, kernel, names in (
        (training, KERNELS.batch_forward, ["running_mean", "running_var", "num_batches_tracked"]),
        (backward, KERNELS.batch_backward, ["dweight", "dbias"]),
        (rows_backward, KERNELS.rows_backward, ["dweight", "dbias"]),
        (positions_backward, KERNELS.positions_backward, ["dweight", "dbias"]),
    ):
        for name in names:
            call = make()
            call[name].flags.writeable = False
            refused(kernel, call, "read-only")


def test_rows_and_values_that_do_not_go_into_each_other():
    refused(KERNELS.rows_forward, rows() | {"run": 2}, "run of a divisor of 5, got 2")
    call = rows() | {"weight": per_channel(3), "bias": per_channel(3)}
    refused(KERNELS.rows_forward, call, "weight and bias of a divisor of 20 values, got 3")


def test_more_items_than_a_row_has_for_its_moments():
    call = rows() | {"centred": False}
    KERNELS.rows_forward(*call.values(), L)
    for counted, centred in ((L + 1, False), (-1, False), (2, True)):
        with pytest.raises(ValueError, match=f"counted of 0 to {L}, and 0 where .* got {counted}"):
            KERNELS.rows_forward(*(call | {"centred": centred}).values(), counted)


@pytest.mark.parametrize("place", range(4))
def test_a_step_of_running_statistics_with_an_array_that_does_not_fit(place):
    good = per_channel(), per_channel(), np.array([3]), np.ones((3, C))
    kernels.move_running([(None, None, None, good[3], 8, 0.5)])
    before = [a.copy() for a in good]
    wrong = [np.ones(C - 1, np.float32), np.ones(C + 1, np.float32), np.ones(0, int), None]
    step = [*good]
    step[place] = wrong[place]
    with pytest.raises(ValueError, match=r"a kernel expected .*, got"):
        kernels.move_running([(*good, 8, 0.5), (*step, 8, 0.5)])
    assert all(map(np.array_equal, good, before))


@pytest.mark.parametrize("place", range(2))
def test_a_move_that_is_made_anew_with_an_array_that_does_not_fit(place):
    arrays = [per_channel(), np.zeros(C)]
    arrays[place] = arrays[place][1:].copy()
    with pytest.raises(ValueError, match=r"a kernel expected .*, got 2"):
        kernels.move_anew(*arrays, np.ones(C))
