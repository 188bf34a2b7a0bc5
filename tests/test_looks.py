"""Looks at a glance: what they let pass, a long look would let pass too."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided

from cybn.arrays._looks import clear, is_seen, overlaps_itself

axes = st.tuples(st.integers(1, 4), st.sampled_from([-8, -4, -1, 0, 1, 2, 3, 4, 8, 16]))


def view(room, shape, steps, start):
    low = sum(min(0, step * (n - 1)) for n, step in zip(shape, steps, strict=True))
    high = sum(max(0, step * (n - 1)) for n, step in zip(shape, steps, strict=True))
    start = min(max(start, -low), len(room) - 1 - high)
    return as_strided(room[start:], shape, [4 * step for step in steps])


def items(a):
    """The address of each item."""
    where = np.zeros(a.shape, np.int64)
    for axis, (n, step) in enumerate(zip(a.shape, a.strides, strict=True)):
        where += (np.arange(n) * step).reshape([-1 if i == axis else 1 for i in range(a.ndim)])
    return (a.__array_interface__["data"][0] + where).ravel().tolist()


@given(st.lists(axes, max_size=3), st.data())
def test_what_is_clear_is_apart_and_not_folded(layout, data):
    shape, steps = [n for n, _ in layout], [step for _, step in layout]
    room = np.zeros(256, np.float32)
    others = [st.sampled_from([-8, -2, -1, 0, 1, 2, 8, 16]) for _ in shape]
    out = view(room, shape, steps, data.draw(st.integers(0, 255)))
    x = view(room, shape, data.draw(st.tuples(*others)), data.draw(st.integers(0, 255)))
    weight = room[data.draw(st.integers(0, 250)) :][:3]
    ours = items(out)
    if not overlaps_itself(out):
        assert len(set(ours)) == len(ours)
    if clear(out, x, None, {"weight": weight, "bias": None}):
        assert len(set(ours)) == len(ours)
        assert not set(ours) & {*items(x), *items(weight)}


def test_what_is_clear():
    x, out, weight = np.zeros((3, 4, 5)), np.zeros((3, 4, 5)), np.zeros(4)
    assert clear(out, x, weight, None, {"bias": np.zeros(4), "count": np.array(0)})
    assert clear(out.transpose(2, 0, 1), x.transpose(2, 0, 1))
    assert clear(out[::-1, ::2], x[:, ::2])
    assert clear(out.astype(np.float16), x.astype(np.float16))
    assert clear(out, x, np.zeros(2, "datetime64[s]"))  # without a letter in the buffer protocol
    room = np.zeros(120)
    assert clear(room[:60].reshape(3, 4, 5), room[60:].reshape(3, 4, 5))


def test_what_takes_a_longer_look():
    x, out = np.zeros((3, 4)), np.zeros((3, 4))
    locked = out.copy()
    locked.flags.writeable = False
    for doubtful in (x, locked, out.astype(np.float32), out[:2], out.tolist(), x[::-1]):
        assert not clear(doubtful, x)
    assert not clear(out, x, out[0])
    assert not clear(out, x, {"weight": out[:, 1]})
    assert not clear(np.zeros((0, 4)), x[:0])


@given(st.sampled_from(["f4", "f8", "i8", "u2"]), st.lists(axes, max_size=3), st.booleans())
def test_what_is_read_of_an_array_is_what_its_buffer_says(kind, layout, locked):
    shape, steps = [n for n, _ in layout], [step for _, step in layout]
    room = np.zeros(256, kind)
    a = as_strided(room[100:], shape, [room.itemsize * step for step in steps])
    if locked:
        a.flags.writeable = False
    assert is_seen(a)
    assert is_seen(a, True) is not locked


def test_what_is_asked_for_by_the_buffer_protocol():
    class Own(np.ndarray):
        pass

    other = [
        np.zeros(13, "u1")[1:].view("f4"),
        np.zeros(3, ">f4"),
        np.zeros(3, "i4"),
        np.zeros(3, "f2"),
        [1.0],
        None,
    ]
    for a in (*other, np.zeros(3).view(Own), np.zeros(3, "datetime64[s]"), memoryview(b"abcd")):
        assert not is_seen(a)
    warned = np.broadcast_to(np.zeros(1), 3)
    assert is_seen(warned)
    assert not is_seen(warned, True)
    assert is_seen(np.zeros((0, 3)))
