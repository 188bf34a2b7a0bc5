"""State dicts, npz files, pickles and copies: all of a layer travels, and nothing is shared."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import numpy as np

from ...layers.base.layer import Layer
from .._compare import array_bits, bits, changed, state_bits
from .._reach import arrays_of
from .._rules import TRAINING, broken, expect, rule
from .._subject import Case
from .basics import step_of

_COMPLETE = (
    "Keep all state in arrays declared by register_parameter and register_buffer, counters and "
    "flags too; what is in other attributes does not travel with a state dict."
)


def _perturb(a: np.ndarray) -> None:
    """Other values of the same kind: where they may be indices, those that are there."""
    if a.dtype.kind == "b":
        np.logical_not(a, out=a)
    elif a.dtype.kind in "iu":
        moved = np.roll(a.ravel(), 1).reshape(a.shape)
        a[...] = moved if (moved != a).any() else a + 1
    else:
        a[...] = np.where(np.isfinite(a), a * 1.5 + 0.25, 1.5)


def _with_perturbed(case: Case, path: str, reloaded: bool) -> dict[str, Any]:
    """A step of a new layer with that array changed; `reloaded`: and its state loaded after."""
    layer = case.layer()
    a = arrays_of(layer)[path]
    before = a.copy()
    try:
        _perturb(a)
        if reloaded:
            layer.load_state_dict(layer.state_dict())
        return step_of(case, layer)
    finally:
        a[...] = before  # it may be the class's


@rule(
    "state-declared",
    "Declare what is learned by register_parameter and what follows the data by register_buffer, "
    "and give the gradients of parameters in grads; make a constant that options determine "
    "read-only, a.flags.writeable = False.",
)
def state_declared(case: Case) -> None:
    """Every array that the output depends on is a parameter, a buffer, or read-only.

    Arrays in lists, dicts, objects, closures and the class are looked for as well; one that loading
    a state dict computes anew is none of them. Plain numbers may be constants: those that training
    moves fail `state-dict`.
    """
    expected = step_of(case, case.layer())
    for path, a in arrays_of(case.layer()).items():
        names = changed(expected, _with_perturbed(case, path, reloaded=False))
        if names and changed(expected, _with_perturbed(case, path, reloaded=True)):
            broken(
                f"self.{path}, an array of shape {a.shape}, is no parameter and no buffer, and "
                f"other values in it change {', '.join(names)}"
            )


def _trained(case: Case) -> Layer:
    layer = case.layer()
    case.run(layer, case.x(seed=7), case.x(seed=2))
    return layer


def _alike(case: Case, layer: Layer, twin: Layer, how: str) -> None:
    """Do both go on alike: in evaluation, over a step of training, and in evaluation again?"""
    for step in ("evaluation", "training", "evaluation after that"):
        x = case.x(seed=8)
        layer.train(step == "training")
        twin.train(step == "training")
        same = bits(case.call(layer, x)) == bits(case.call(twin, x))
        expect(same, f"{how} gives another output in {step}")
        names = changed(array_bits(layer), array_bits(twin))
        expect(not names, f"{how} has another {', '.join(names)} after {step}")


def _loaded(case: Case, layer: Layer, state: Any) -> Layer:
    """Another layer that has loaded the state."""
    twin = case.make(seed=9)
    missing, unexpected = twin.load_state_dict(state)
    expect(
        not missing and not unexpected,
        f"load_state_dict finds {list(missing)} missing and {list(unexpected)} unexpected",
    )
    return twin


@rule("state-dict", _COMPLETE, TRAINING, needs=("state-declared",))
def state_dict(case: Case) -> None:
    """A new layer that loads the state dict goes on as the old one does, to the bit."""
    layer = _trained(case)
    state = layer.state_dict()
    declared = array_bits(layer)
    names = changed(declared, {name: bits(a) for name, a in state.items()})
    expect(not names, f"the state dict has not the present {', '.join(names)}")
    _alike(case, layer, _loaded(case, layer, state), "a layer that has loaded the state dict")


@rule(
    "state-dict-copy",
    "Return copies from state_dict, {name: a.copy() ...}, and copy in load_state_dict, "
    "a[...] = value; cybn.Layer does both.",
    TRAINING,
    needs=("state-dict",),
)
def state_dict_copy(case: Case) -> None:
    """A state dict is a copy: training goes on without changing it, before and after loading."""
    layer = _trained(case)
    state = layer.state_dict()
    before = {name: bits(a) for name, a in state.items()}
    for each in (layer, _loaded(case, layer, state)):
        for _, a in each.named_parameters():
            a += 1
        case.call(each, case.x(seed=8))
        names = changed(before, {name: bits(a) for name, a in state.items()})
        expect(not names, f"training has changed {', '.join(names)} in an earlier state dict")


@rule(
    "state-npz",
    "Keep to arrays of numbers: registered arrays of dtype object need pickle, which a file from "
    "elsewhere must not.",
    TRAINING,
    needs=("state-dict",),
)
def state_npz(case: Case) -> None:
    """np.savez and np.load(allow_pickle=False) carry the state dict."""
    layer, file = _trained(case), io.BytesIO()
    np.savez(file, **layer.state_dict())
    file.seek(0)
    with np.load(file, allow_pickle=False) as loaded:
        twin = _loaded(case, layer, dict(loaded))
    names = changed(array_bits(layer), array_bits(twin))
    expect(not names, f"another {', '.join(names)} comes back from the file")


@rule(
    "state-refused",
    "Check a whole state dict before assigning anything; cybn.Layer.load_state_dict does, so call "
    "it first where a layer has its own.",
    TRAINING,
)
def state_refused(case: Case) -> None:
    """A state dict with a name too many, one missing or a wrong shape is refused, as a whole.

    A count of batches may be missing, as it is in checkpoints of old.
    """
    layer = _trained(case)
    state = {name: a + 1 for name, a in layer.state_dict().items()}
    before = state_bits(layer)
    bad = {"a name that is not the layer's": {**state, "no_such_name": np.zeros(2)}}
    needed = [name for name in state if not name.endswith("num_batches_tracked")]
    if needed:
        last = needed[-1]
        bad[f"no {last}"] = {name: a for name, a in state.items() if name != last}
        bad[f"{last} of another shape"] = {**state, last: np.zeros((7, *state[last].shape))}
    for what, each in bad.items():
        try:
            layer.load_state_dict(each)
        except (ValueError, TypeError, LookupError):
            pass
        else:
            broken(f"a state dict with {what} is accepted")
        expect(state_bits(layer) == before, f"a state dict with {what} is refused half loaded")


class _ByReference:
    """A pickle of a layer's attributes: classes that cannot be imported again, as those in a
    function, go by reference. That is the matter of where they stand, not of the layer."""

    def __call__(self, layer: Layer) -> Layer:
        file, classes = io.BytesIO(), {}

        class Pickler(pickle.Pickler):
            def persistent_id(self, obj: Any) -> int | None:
                if not isinstance(obj, type) or not issubclass(obj, Layer):
                    return None
                classes[id(obj)] = obj
                return id(obj)

        class Unpickler(pickle.Unpickler):
            def persistent_load(self, pid: int) -> type:
                return classes[pid]

        Pickler(file, pickle.HIGHEST_PROTOCOL).dump(layer)
        file.seek(0)
        return Unpickler(file).load()


_pickled = _ByReference()


def _copied(case: Case, how: str, copied: Any) -> None:
    layer = _trained(case)
    twin = copied(layer)
    expect(type(twin) is type(layer), f"{how} gives a {type(twin).__name__}")
    expect(twin.get_config() == layer.get_config(), f"{how} gives {twin!r} of {layer!r}")
    names = changed(array_bits(layer), array_bits(twin))
    expect(not names, f"{how} gives another {', '.join(names)}")
    for name, a in (*twin.named_parameters(), *twin.named_buffers()):
        expect(getattr(twin, name) is a, f"{how} has the array {name} and another attribute {name}")
    before = state_bits(layer)
    for _, a in twin.named_parameters():
        a += 1
    case.run(twin, case.x(seed=8), case.x(seed=2))
    expect(state_bits(layer) == before, f"{how} shares state: using the copy changes the original")
    _alike(case, layer, copied(layer), how)


@rule(
    "deepcopy",
    "Keep attributes that copy.deepcopy can copy, and call super().__setstate__ where the layer "
    "has its own; locks, files and views of the layer's arrays do not copy well.",
    TRAINING,
)
def deepcopy(case: Case) -> None:
    """copy.deepcopy gives an equal layer that goes its own way."""
    _copied(case, "a deep copy", copy.deepcopy)


@rule(
    "pickle",
    "Keep attributes that pickle can store: no lambdas, locks, open files or generators on self; "
    "what belongs to one call is returned by apply, and stays out.",
    TRAINING,
)
def pickled(case: Case) -> None:
    """A layer that was pickled and unpickled is equal and goes its own way."""
    _copied(case, "pickling", _pickled)
