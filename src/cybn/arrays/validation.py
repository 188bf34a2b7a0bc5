"""Checks of arrays, each once and in Python, before anything is computed or changed.

Every error says what was got, what was expected and what to do about it. Kernels check nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd, inf
from numbers import Real
from operator import index

import numpy as np

from ..terms.messages import one_line, shown
from ._looks import alike, clear, fits, is_usual, overlaps_itself, values_per_channel
from .dtypes import DATA, FLOAT32, FLOAT64, is_data, spelled
from .fixes import axes_text, channels_fix, dtype_fix, eval_fix, rank_fix
from .overlaps import overlap, same_memory


def as_float_array(who: str, name: str, a: object) -> np.ndarray:
    """`a` as an ndarray of float16, bfloat16, float32 or float64; TypeError otherwise."""
    if is_usual(a):
        return a
    given, a = a, as_plain_array(who, name, a)
    if not is_data(a.dtype):
        got = shown(a.item()) if a.dtype.kind == "O" and not a.ndim else a.dtype
        fix = dtype_fix(name, a.dtype, isinstance(given, np.ndarray))
        raise TypeError(f"{who} takes {DATA} {name}, got {got}; {fix}")
    return a


def as_plain_array(who: str, name: str, a: object) -> np.ndarray:
    """`a` as an ndarray of any dtype; TypeError for a masked one."""
    if isinstance(a, np.ma.MaskedArray):
        raise TypeError(
            f"{who} got a masked array for {name} and would take masked items as data; "
            f"pass {name}.filled(value) or an array without the masked rows"
        )
    try:
        return np.asarray(a)
    except ValueError as error:  # lists of different lengths
        raise TypeError(
            f"{who} takes an array of numbers as {name}, got {shown(a)}: {one_line(error)}"
        ) from None


def whole(value: object) -> int | None:
    """`value` as an int, which NumPy's integers are and bool is not; None for what is none."""
    if type(value) is int:
        return value
    if isinstance(value, (bool, np.bool_)):
        return None
    try:
        return index(value)
    except TypeError:
        return None


def as_int(who: str, name: str, value: object) -> int:
    """`value` as an int; TypeError otherwise."""
    plain = whole(value)
    if plain is None:
        raise TypeError(f"{who} needs an int as {name}, got {shown(value, False)}")
    return plain


def check_rank(who: str, x: np.ndarray, own: tuple[int, ...], channel_axis: int | None,
               channels: int | None = None, unbatched: int = 0) -> None:
    """ValueError unless x.ndim is one of `own`; it names what takes x, where that is known.

    channel_axis, channels: None where not known. unbatched: the rank that a sample alone may have.
    """
    if x.ndim in own:
        return
    axes = {n: axes_text(n, channel_axis, n != unbatched) for n in own}
    each = (f"{n}-D input {text}" if text else f"{n}-D" for n, text in axes.items())
    expected = " or ".join(each) + ("" if axes[own[-1]] else " input")
    fix = rank_fix(who, x, own, channels, channel_axis, unbatched)
    raise ValueError(f"{who} expects {expected}, got {x.ndim}-D {x.shape}{fix}")


def check_channels(who: str, x: np.ndarray, channels: int, channel_axis: int,
                   build: str = "num_features={}", own: tuple[int, ...] | None = None,
                   name: str = "x") -> None:
    """ValueError unless x has so many channels on that axis.

    build: what a layer for {} channels is built with. own: the ranks that the layer takes; None for
    any. name: what x is called.
    """
    got = x.shape[channel_axis]
    if got == channels:
        return
    fix = channels_fix(who, x, channels, channel_axis, build, own, name)
    raise ValueError(
        f"{who} expects {channels} channels on axis {channel_axis}, got {got} in {x.shape}; {fix}"
    )


def check_input(who: str, x: object, ranks: tuple[int, ...], channels: int,
                channel_axis: int) -> np.ndarray:
    """x as an array of floats, of one of the ranks and with so many channels.

    `who` is the class's name, by which the error for another rank finds the class of the same
    family that takes it.
    """
    if values_per_channel(x, ranks, channels, channel_axis) < 0:
        x = as_float_array(who, "x", x)
        check_rank(who, x, ranks, channel_axis, channels)
        check_channels(who, x, channels, channel_axis, own=ranks)
    return x


def check_more_than_one(
    x: np.ndarray,
    count: int,
    what: str = "value per channel when training",
    fix: str | None = None,
    tracked: bool = True,
) -> None:
    """ValueError where a statistic would be that of one value, whose variance means nothing."""
    if count == 1:
        fix = f"pass a larger batch, or {eval_fix(tracked)}" if fix is None else fix
        raise ValueError(f"Expected more than 1 {what}, got input size {x.shape}; {fix}")


def check_per_channel(who: str, arrays: Mapping[str, np.ndarray | None], channels: int,
                      dtype: np.dtype | None = None) -> np.dtype:
    """check_parameters for one float per channel."""
    return check_parameters(who, arrays, (channels,), "one for each channel", dtype)


def check_parameters(who: str, arrays: Mapping[str, np.ndarray | None], shape: tuple[int, ...],
                     meaning: str, dtype: np.dtype | None = None) -> np.dtype:
    """Check that every array that is not None has floats of that shape, all of one dtype.

    `meaning` tells in an error what the shape is. Returns the dtype; float32 where all are None.
    ValueError for a shape, TypeError for a dtype.
    """
    for name, a in arrays.items():
        if a is None:
            continue
        if fits(a, shape, dtype):
            dtype = a.dtype
            continue
        if not isinstance(a, np.ndarray):
            raise TypeError(f"{who} takes an ndarray as {name}, got {type(a).__name__}")
        if a.shape != shape:
            raise ValueError(f"{who} needs {name} of shape {shape}, {meaning}, got {a.shape}")
        if a.dtype not in (FLOAT32, FLOAT64):
            fix = dtype_fix(name, a.dtype)
            raise TypeError(f"{who} takes float32 or float64 {name}, got {a.dtype}; {fix}")
        if not a.flags.aligned:
            raise ValueError(f"{who} got a misaligned {name}; pass {name}.copy()")
        if dtype is None:
            dtype = a.dtype
        elif a.dtype != dtype:
            raise TypeError(
                f"{who} needs parameters and buffers of one dtype, {dtype}, got {name} of "
                f"{a.dtype}; convert it with {name}.astype(np.{dtype})"
            )
    return FLOAT32 if dtype is None else dtype


def check_updatable(who: str, arrays: Mapping[str, np.ndarray | None]) -> None:
    """ValueError for a read-only array that a training step is to update."""
    for name, a in arrays.items():
        if a is not None and not a.flags.writeable:
            raise ValueError(f"{who} updates {name} in training, got a read-only one; pass a copy")


def check_count(who: str, count: np.ndarray | None) -> None:
    """num_batches_tracked must be a 0-D int64 array or None."""
    if count is None:
        return
    got = f"{count.ndim}-D {count.dtype}" if isinstance(count, np.ndarray) else repr(count)
    if got != "0-D int64" or not count.flags.aligned:
        raise TypeError(
            f"{who} needs num_batches_tracked as a 0-D int64 array or None, got {got}; "
            f"np.array(0) is a new one"
        )


def check_normalized_shape(who: str, x: np.ndarray, shape: tuple[int, ...]) -> None:
    """ValueError unless the last axes of x have these sizes."""
    got = x.shape[max(0, x.ndim - len(shape)) :]
    if got != shape:
        expected = ", ".join(map(str, ("*", *shape)))
        fits = got and all(got)
        fix = f"normalized_shape={got} would fit" if fits else "pass an array with such axes"
        raise ValueError(
            f"{who} expects input ({expected}), whose last axes are normalized_shape, "
            f"got {x.shape}; {fix}"
        )


def check_groups(who: str, channels: int, groups: int) -> None:
    """ValueError unless the channels can be shared out to so many groups."""
    if channels % groups:
        raise ValueError(
            f"{who}: num_channels ({channels}) must be divisible by num_groups ({groups}), "
            f"as by {gcd(channels, groups)}"
        )


def check_axis(who: str, x: np.ndarray, channel_axis: object) -> tuple[int, int]:
    """channel_axis as an int, and how many channels x has there.

    TypeError for what is no int, ValueError for an axis that x has not.
    """
    axis = as_int(who, "channel_axis", channel_axis)
    if x.ndim < 2:
        raise ValueError(f"{who} expects at least 2-D input (N, C), got {x.ndim}-D {x.shape}")
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(
            f"{who} got channel_axis={axis} for {x.ndim}-D {x.shape}; 1 and -1 are usual"
        )
    return axis, x.shape[axis]


def is_number(value: object) -> bool:
    """Is it a number, which bool is not?"""
    return type(value) is float or (isinstance(value, Real) and not isinstance(value, bool))


def check_eps(who: str, eps: float, training: bool) -> None:
    """ValueError for eps < 0, and in training for eps = 0, which may divide by zero."""
    if not is_number(eps):
        raise TypeError(f"{who} needs a number as eps, got {eps!r}; 1e-5 is usual")
    if not 0 <= eps < inf or (training and eps == 0):
        expected = "eps > 0 in training" if training else "eps >= 0"
        raise ValueError(f"{who} needs {expected}, got {eps!r}; 1e-5 is usual")


def check_momentum(who: str, momentum: float | None) -> None:
    """ValueError unless momentum is None or within [0, 1]."""
    if momentum is None:
        return
    if not is_number(momentum):
        raise TypeError(f"{who} needs a number or None as momentum, got {momentum!r}")
    if not 0 <= momentum <= 1:
        raise ValueError(
            f"{who} needs a momentum from 0 to 1, got {momentum!r}; it is the weight of the new "
            f"batch, 0.1 is usual, None averages all batches"
        )


def check_like(who: str, name: str, a: np.ndarray, x: np.ndarray) -> None:
    """`a` must have the shape and dtype of the forward's x: ValueError, TypeError."""
    if a.shape != x.shape:
        raise ValueError(f"{who} expects {name} of the input's shape {x.shape}, got {a.shape}")
    if a.dtype != x.dtype:
        fix = f"convert it with {name}.astype({spelled(x.dtype)})"
        if name == "out":  # it is written to: a converted one is another
            fix = "pass np.empty_like(x)"
        raise TypeError(
            f"{who} expects {name} of the input's dtype {x.dtype}, got {a.dtype}; {fix}"
        )


def check_out(who: str, out: object, x: np.ndarray, /, **others: np.ndarray | None) -> bool:
    """Is `out` exactly x (in place)? Raises where it cannot be written to.

    `others` are inputs that out must not touch at all. TypeError for what is no array or has
    another dtype, ValueError for shape, read-only memory and partial overlap.
    """
    if clear(out, x, *others.values()):
        return False
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{who} takes an ndarray as out, got {type(out).__name__}")
    check_like(who, "out", out, x)
    if not out.flags.writeable:
        raise ValueError(f"{who} cannot write to a read-only out; pass a writeable array")
    if overlaps_itself(out):
        raise ValueError(
            f"{who} cannot write to an out whose items share memory, as broadcast ones do; "
            f"pass an array of its own"
        )
    check_separate(who, "out", out, **others)
    if not overlap(out, x):
        return False
    if not same_memory(out, x):
        raise ValueError(
            f"{who} got an out that overlaps the input in part; pass the input itself to work in "
            f"place, or an array of its own"
        )
    return True


def keep_input(
    who: str, x: np.ndarray, out: object | None, /, **others: np.ndarray
) -> np.ndarray:
    """x as backward may keep it: a copy where `out`, which is checked as above, is x itself."""
    return x.copy(order="K") if out is not None and check_out(who, out, x, **others) else x


def check_upstream(
    who: str, dy: object, x: np.ndarray, out: np.ndarray | None, /, **others: np.ndarray | None
) -> np.ndarray:
    """dy as an array that fits x and out, which must touch neither x nor the others."""
    if not alike(dy, x):
        dy = as_float_array(who, "dy", dy)
        check_like(who, "dy", dy, x)
    if out is not None:
        check_out(who, out, dy, x=x, **others)
    return dy


def check_stats(who: str, stats: object, count: int) -> np.ndarray:
    """The statistics of a forward as the kernels take them: (3, count) float64."""
    if getattr(stats, "shape", None) != (3, count) or stats.dtype != np.float64:
        raise ValueError(
            f"{who} needs the stats that the forward returned, (3, {count}) float64, "
            f"got {getattr(stats, 'shape', stats)}"
        )
    return stats if stats.flags.carray else np.require(stats, requirements=["C", "A", "W"])


def check_separate(who: str, what: str, a: np.ndarray, /, **others: np.ndarray | None) -> None:
    """ValueError where `a`, which is to be written to, shares memory with any of the others."""
    for name, other in others.items():
        if other is not None and overlap(a, other):
            article = "an" if what[0] in "aeiou" else "a"
            raise ValueError(f"{who} got {article} {what} that overlaps {name}; pass another array")
