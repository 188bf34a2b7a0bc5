"""Public attributes after the layer was built: whatever is assigned to them acts, or is refused.

Each layer gets one change, or an option and an array together, since rules between the two are
where a compiled kernel is handed an array that is not there. All of it runs in a process of its
own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...layers.base.layer import Layer
from ...terms.signature import options_of
from .._compare import array_bits, changed, state_bits
from .._isolated import doing, isolated
from .._rules import broken, expect, rule
from .._subject import Case
from .basics import step_of
from .config import built_again, sample_values

FILL = 7  # what an `out` is full of before a call that is to fail


@dataclass(frozen=True)
class Change:
    """Something that is done to a public attribute of a layer."""

    name: str
    text: str
    do: Callable[[Layer], None]
    value: Any = None

    def refusal(self, layer: Layer) -> Exception | None:
        """The error if it is refused; broken where that does not name it or has done something."""
        doing(self.text)
        before = state_bits(layer), layer.get_config()
        try:
            self.do(layer)
        except Exception as error:
            expect(_names(error, self.name), f"{self.text} raises {_shown(error)}")
            same = (state_bits(layer), layer.get_config()) == before
            expect(same, f"{self.text} is refused, and has changed the layer")
            return error
        return None


def _names(error: Exception, *names: str) -> bool:
    """Is one of the names in the message? Of a dotted name the last part will do."""
    lasts = [re.escape(name.rpartition(".")[2]) for name in names]
    return re.search(rf"\b({'|'.join(lasts)})\b", str(error)) is not None


def _shown(error: Exception) -> str:
    return f"{type(error).__name__}: {error}, which does not name it"


def _assigned(name: str, value: Any) -> Change:
    text = f"layer.{name} = {value!r}"
    return Change(name, text, lambda layer: setattr(layer, name, value), value)


def _options(case: Case) -> Iterator[Change]:
    """Every option of the layer with a few values that its annotation takes."""
    for name, value in sample_values(case.subject.cls, case.width):
        yield _assigned(name, value)


@rule(
    "options-assigned",
    "Leave __setattr__ to cybn.Layer, which refuses an option that has shaped the arrays, and read "
    "every option where it is used, at each call: what __init__ computes of it stays.",
    strict=True,
    once=True,
)
@isolated
def options_assigned(case: Case) -> None:
    """An option that is assigned to acts, as in a layer that is built with it, or is refused with
    an error that names it."""
    for change in (*_options(case), _assigned("training", "no")):
        layer = case.layer()
        if change.refusal(layer) is not None:
            continue
        expect(change.name != "training", f"{change.text} is accepted, training is a bool")
        try:
            twin = built_again(layer, layer.get_config())
            twin.load_state_dict(layer.state_dict())
        except Exception as error:
            broken(
                f"after {change.text} no layer is built from its config that loads its state: "
                f"{type(error).__name__}: {error}"
            )
        twin.train(layer.training)
        names = changed(step_of(case, layer), step_of(case, twin))
        expect(
            not names,
            f"{change.text} is in the config and does not act: a layer built from it gives "
            f"another {', '.join(names)}",
        )


@rule(
    "attributes-missing",
    "Check at each call, before anything is computed or changed, that every option and array is "
    "there, as x = self.begin(x, out) does, and raise a ValueError that names the one that is not.",
    strict=True,
    once=True,
)
@isolated
def attributes_missing(case: Case) -> None:
    """With an option or array set to None or deleted a call works, or raises an error that names it
    and changes nothing, `out` neither."""
    names = [name for name, _ in _arrays(case.layer())]
    for name in dict.fromkeys((*names, *options_of(case.subject.cls))):
        delete = Change(name, f"del layer.{name}", lambda layer, name=name: delattr(layer, name))
        for change in (_assigned(name, None), delete):
            layer = case.layer()
            if change.refusal(layer) is None:
                _expect_calls(case, layer, change)
            layer = case.layer()
            case.call(layer, case.x())
            if change.refusal(layer) is None:
                _expect_backward(case, layer, (change,), case.x(seed=2))
    for option in _options(case):
        # which array a layer needs is no matter of degree
        layer = None if isinstance(option.value, float) else case.layer()
        if layer is not None and option.refusal(layer) is None:
            for name, a in _arrays(layer):
                change = _assigned(name, None)
                if change.refusal(layer) is None:
                    _expect_calls(case, layer, option, change)
                    setattr(layer, name, a)


def _arrays(layer: Layer) -> list[tuple[str, np.ndarray]]:
    return [*layer.named_parameters(), *layer.named_buffers()]


def _expect_calls(case: Case, layer: Layer, *changes: Change) -> None:
    """Calls with all samples, and with one."""
    for samples in (case.shape[0], 1):
        x, dy = (case.x(seed=seed)[:samples] for seed in (1, 2))
        inputs = _further(case, x)
        call = _Call(case, layer, changes, f"a call with x of shape {x.shape}")
        if call.works(x, lambda out, x=x, inputs=inputs: layer(x, out=out, **inputs)):
            _expect_backward(case, layer, changes, dy)


def _further(case: Case, x: np.ndarray) -> dict[str, Any]:
    """Further inputs for the first samples."""
    whole = case.inputs(case.layer(), case.x())
    return {k: a[: len(x)] if isinstance(a, np.ndarray) else a for k, a in whole.items()}


def _expect_backward(case: Case, layer: Layer, changes: tuple[Change, ...], dy: np.ndarray) -> None:
    call = _Call(case, layer, changes, f"a backward with dy of shape {dy.shape}")
    call.works(dy, lambda out: layer.backward(dy, out=out))


@dataclass(frozen=True)
class _Call:
    """A call of a layer after changes of its attributes."""

    case: Case
    layer: Layer
    changes: tuple[Change, ...]
    what: str

    def works(self, x: np.ndarray, call: Callable[[np.ndarray], np.ndarray]) -> bool:
        """Does it work, or else raise as it should? Broken if neither."""
        after = f"after {' and '.join(change.text for change in self.changes)} {self.what}"
        doing(after.removeprefix("after "))
        out, before = np.full_like(x, FILL), array_bits(self.layer)
        try:
            got = call(out)
        except Exception as error:
            # one sample may be too few for the layer as it is, which is another matter
            if len(x) == self.case.shape[0]:
                named = _names(error, *(change.name for change in self.changes))
                expect(named, f"{after} raises {_shown(error)}")
            names = changed(before, array_bits(self.layer))
            expect(not names, f"{after} raises {type(error).__name__} and changes {names}")
            untouched = bool((out == FILL).all())
            expect(untouched, f"{after} raises {type(error).__name__} and has written to out")
            return False
        expect(np.shape(got) == x.shape, f"{after} gives an array of shape {np.shape(got)}")
        return True
