"""Whatever a layer's statistics have become, it takes its own state dict."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np

from ...layers.base.layer import Layer
from ...terms.kinds import Choice, Either, Kind
from ...terms.signature import options_of
from .._compare import array_bits, changed
from .._rules import TRAINING, broken, expect, rule
from .._subject import Case

# what fills a batch: items by turns
BATCHES: dict[str, tuple[type, tuple[float, ...]]] = {
    "a batch with NaN": (np.float32, (1, np.nan, 2)),
    "a batch with infinity": (np.float32, (1, np.inf, 2)),
    "a batch of ±1e20": (np.float32, (1e20, -1e20, 1)),
    "a batch of ±3e38": (np.float32, (3e38, -3e38, 3e38, 1)),
    "a batch of ±1e200": (np.float64, (1e200, -1e200, 1)),
    "a batch of ±1e-45": (np.float32, (1e-45, -1e-45, 0)),
    "a batch of zeros": (np.float32, (0,)),
}


def _modes(cls: type[Layer]) -> Iterator[dict[str, Any]]:
    """No option, then each value of each that has a few to choose from."""
    yield {}
    for option in options_of(cls).values():
        for value in _choices(option.kind):
            if value != option.default and option.name != cls.num_features_option:
                yield {option.name: value}


def _choices(kind: Kind) -> Iterator[Any]:
    if isinstance(kind, Either):
        for each in kind.kinds:
            yield from _choices(each)
    elif isinstance(kind, Choice):
        yield from kind.values


def _batch(case: Case, what: str) -> np.ndarray:
    dtype, values = BATCHES[what]
    # as many of each as of the others on every axis that the layer may normalize over
    index = np.add.reduce(np.indices(case.shape), axis=0)
    return np.array(values, dtype)[index % len(values)]


def _expect_loads(case: Case, layer: Layer, options: dict[str, Any], after: str) -> None:
    """Does a new layer take the state, and the layer itself that of the new one?"""
    twin = case.make(seed=9, **options)
    state, before = layer.state_dict(), array_bits(layer)
    for who, other in (("a new layer", twin), ("the layer itself", layer)):
        try:
            missing, unexpected = other.load_state_dict(state)
        except Exception as error:
            broken(f"{who} refuses the state dict after {after}: {type(error).__name__}: {error}")
        odd = [*missing, *unexpected]
        expect(not odd, f"{who} finds {', '.join(odd)} missing or unexpected after {after}")
        state = other.state_dict()
    for other in (twin, layer):
        names = changed(before, array_bits(other))
        expect(not names, f"loading the state after {after} gives another {', '.join(names)}")


@rule(
    "state-loads",
    "Keep out of the statistics what load_state_dict refuses: declare no more of a buffer, by "
    "register_buffer(..., holds=Bounds(...)), than is so after any batch, and stop a count at its "
    "largest value.",
    TRAINING,
    needs=("state-dict",),
)
def state_loads(case: Case) -> None:
    """Whatever batches have made of the state, NaN and infinity too, it loads into a new layer and
    back, and counts do not overflow.

    With the default options, and each value of those that have a few to choose from.
    """
    for options in _modes(case.subject.cls):
        try:
            case.make(**options)
        except ValueError:  # an option that does not go with the others
            continue
        _expect_every_state_loads(case, options)


def _expect_every_state_loads(case: Case, options: dict[str, Any]) -> None:
    where = "".join(f" with {name}={value!r}" for name, value in options.items())
    for what in BATCHES:
        layer = case.make(**options)
        for x, also in ((_batch(case, what), ""), (case.x(), " and an ordinary one")):
            with suppress(Exception):  # a layer may refuse such a batch
                case.run(layer, x, case.x(x.dtype, seed=2))
            _expect_loads(case, layer, options, f"{what}{also}{where}")
    for name, a in case.make(**options).named_buffers():
        if a.dtype.kind in "iu":
            for below in (0, 1):
                _expect_counts(case, options, name, np.iinfo(a.dtype).max - below, where)


def _expect_counts(case: Case, options: dict[str, Any], name: str, n: int, where: str) -> None:
    """Does a layer whose count is about as large as it can be go on to have a state that loads?"""
    layer = case.make(**options)
    state = layer.state_dict()
    state[name][...] = n
    try:
        layer.load_state_dict(state)
    except (ValueError, OverflowError):
        return  # a count that nobody gets to
    for _ in range(2):
        with suppress(Exception):
            case.run(layer, case.x(), case.x(seed=2))
    counted = layer.state_dict()[name]
    expect((counted >= 0).all(), f"{name} goes from {n} to {counted}{where}")
    _expect_loads(case, layer, options, f"{name} has got to {counted}{where}")
