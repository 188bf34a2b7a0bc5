"""What a layer takes, in words, and what to do about an input that does not fit.

A fix names only what exists and takes the input: another class is looked up in the registry and is
named when it is the same norm for that rank; an option is named when the class has it.
"""

from __future__ import annotations

import re

import numpy as np

from ..terms.messages import listed
from ..terms.registry import registry
from ..terms.signature import options_of

__all__ = ["axes_text", "channels_fix", "dtype_fix", "eval_fix", "rank_fix"]

_AXES = {2: "(N, C)", 3: "(N, C, L)", 4: "(N, C, H, W)", 5: "(N, C, D, H, W)"}
_AXES_LAST = {2: "(N, C)", 3: "(N, L, C)", 4: "(N, H, W, C)", 5: "(N, D, H, W, C)"}
_RANKED = re.compile(r"(.*)([1-9])d")  # a name of one of several classes that differ in the rank


def axes_text(ndim: int, channel_axis: int | None, batched: bool = True) -> str:
    """`(N, C, H, W)`: the axes of an input as they are called; `(C, H, W)` of one sample.

    Empty where they have no names, or nobody knows the axis of the channels.
    """
    names = {1: _AXES, -1: _AXES_LAST}.get(channel_axis, {})
    return names.get(ndim, "") if batched else names.get(ndim + 1, "").replace("N, ", "")


def rank_fix(
    who: str,
    x: np.ndarray,
    own: tuple[int, ...],
    channels: int | None,
    channel_axis: int | None,
    unbatched: int = 0,
) -> str:
    """What to do where x.ndim is none of `own`; empty where nothing is known to help.

    channels: of the layer; None where any number will do. unbatched: the rank of a sample by
    itself, where the layer takes one.
    """
    sample = []
    if channels is not None and not unbatched:
        sample = _of_a_sample(who, x, own, channels, channel_axis)
    other, batched = _relative(who, x.ndim)
    axis = 0 if unbatched and not batched and channel_axis == 1 else channel_axis
    fits = other and (channels is None or channels == x.shape[axis])
    use = [f"use {other}"] if fits or (other and not sample and not unbatched) else []
    return f"; {listed(use + sample, 'or')}" if use or sample else ""


def channels_fix(
    who: str,
    x: np.ndarray,
    channels: int,
    channel_axis: int,
    build: str,
    own: tuple[int, ...] | None = None,
    name: str = "x",
) -> str:
    """What to do where x has another number of channels on its axis.

    build: what a layer for {} channels is built with. own: the ranks that the layer takes; None for
    any. name: what x is called.
    """
    other = 1 if channel_axis == -1 else -1
    if x.ndim > 2 and x.shape[other] == channels and _has(who, "channel_axis"):
        return f"for channels on axis {other} build the layer with channel_axis={other}"
    relative, batched = _relative(who, x.ndim) if channel_axis == 0 else (None, False)
    if batched and x.shape[1] == channels:  # taken for a sample, and a batch to a relative
        return f"use {relative} for a batch"
    own = (x.ndim + 1,) if own is None else own
    fixes = _of_a_sample(who, x, own, channels, channel_axis, name)
    got = x.shape[channel_axis]
    fixes += [f"build the layer with {build.format(got)}"] if got else []
    return listed(fixes, "or") if fixes else "pass an array that has channels"


def dtype_fix(name: str, dtype: np.dtype, is_array: bool = True) -> str:
    """What to do about an array of a dtype that is not taken; without is_array, a list of such."""
    kind, size = dtype.kind, dtype.itemsize
    if kind == "c":
        return f"normalize {name}.real and {name}.imag"
    if kind == "V" and dtype.type is np.void and size == 2 and dtype.names is None:
        return f"pass {name}.view(ml_dtypes.bfloat16) if that is what was saved"
    if kind not in "biufV" or dtype.type is np.void:
        return "pass an array of numbers"
    if not is_array:
        return f"convert it with np.asarray({name}, np.float32)"
    wanted = f"{name}.astype(np.{'float64' if kind == 'f' and size > 4 else 'float32'})"
    words = kind in "iu" and size == 2 and dtype.isnative
    return f"convert it with {wanted}" + (
        f", or with {name}.view(ml_dtypes.bfloat16) if it holds the words of bfloat16" * words
    )


def eval_fix(tracked: bool) -> str:
    """What takes a batch of one value per channel; `tracked`: are there running statistics?"""
    if tracked:
        return "call eval() to use the running statistics"
    return "build the layer with track_running_stats=True and evaluate"


def _of_a_sample(
    who: str, x: np.ndarray, own: tuple[int, ...], channels: int, channel_axis: int, name: str = "x"
) -> list[str]:
    # The fix for an x that looks like one sample without the axis N
    if x.ndim + 1 not in own or not x.ndim:
        return []
    # (C, ...) or (..., C); a single value for each channel is no batch to train on
    when = f"in evaluation pass {name}[None]" if x.ndim == 1 else f"pass {name}[None]"
    if x.shape[0 if channel_axis == 1 else -1] == channels:
        return [f"{when} if it is one sample"]
    other = 1 if channel_axis == -1 else -1
    if x.shape[0 if other == 1 else -1] == channels and _has(who, "channel_axis"):
        return [f"{when} to a layer with channel_axis={other} if it is one sample"]
    return []


def _has(who: str, option: str) -> bool:
    # Has the class that is called so this option? Of one that nobody registered nothing is known
    entry = registry.registered(who)
    return entry is not None and option in options_of(entry.cls)


def _relative(who: str, ndim: int) -> tuple[str | None, bool]:
    # The registered class that is the norm `who` for inputs of ndim axes, with the same options,
    # and whether such an input is a batch to it
    named = _RANKED.fullmatch(who)
    entry = registry.registered(who) if named else None
    if entry is None or entry.name != who:
        return None, False
    found = []
    for rank in "123":
        other = registry.registered(f"{named[1]}{rank}d")
        if other is None or other.cls is entry.cls or other.origin != entry.origin:
            continue
        ranks = getattr(other.cls, "ranks", ())
        if ndim in ranks and set(options_of(other.cls)) == set(options_of(entry.cls)):
            found.append((ndim == ranks[-1], other.name))
    batched, name = max(found, default=(False, None))
    return name, batched
