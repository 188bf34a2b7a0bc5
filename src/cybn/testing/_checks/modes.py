"""Training and evaluation: what may change, and what may not."""

from __future__ import annotations

import numpy as np

from .._compare import array_bits, bits, changed
from .._rules import EVALUATION, TRAINING, NotApplicable, expect, rule
from .._subject import Case


@rule(
    "modes-return",
    "Leave train and eval to cybn.Layer, or let them set self.training and return self.",
    TRAINING,
)
def modes_return(case: Case) -> None:
    """train(), train(False) and eval() set the mode and return the layer."""
    layer = case.layer(warm=False)
    expect(layer.training is True, f"a new layer has training={layer.training!r}")
    for text, call, mode in (
        ("eval()", layer.eval, False),
        ("train()", layer.train, True),
        ("train(False)", lambda: layer.train(False), False),
        ("train(True)", lambda: layer.train(True), True),
    ):
        expect(call() is layer, f"{text} does not return the layer")
        expect(layer.training is mode, f"after {text} training is {layer.training!r}")


@rule(
    "eval-keeps-state",
    "Update running statistics under `if self.training:` only, and in evaluation use them as they "
    "are.",
    EVALUATION,
)
def eval_keeps_state(case: Case) -> None:
    """In evaluation a call changes neither the state nor what later calls return."""
    layer, x = case.layer(), case.x()
    before, y = array_bits(layer), bits(case.call(layer, x))
    case.run(layer, case.x(seed=3) * 4 + 1, case.x(seed=2))
    names = changed(before, array_bits(layer))
    expect(not names, f"evaluation has changed {', '.join(names)}")
    expect(bits(case.call(layer, x)) == y, "the same x gives another output after another x")


@rule(
    "train-moves-statistics",
    "Move the running statistics in training, in place and last: "
    "self.running_mean += self.momentum * (mean - self.running_mean).",
    TRAINING,
)
def train_moves_statistics(case: Case) -> None:
    """In training, the running statistics that evaluation uses follow the batches.

    A layer that does the same in both modes, as a frozen one does, has nothing to move.
    """
    x = case.x(seed=4)
    layer = case.layer()
    buffers = layer.named_buffers()
    running = [name for name, a in buffers if name.startswith("running_") and a.size]
    before = array_bits(layer)
    y = case.call(layer, x)
    after = array_bits(layer)
    other = case.layer().eval()
    if not dict(layer.named_buffers()) or np.array_equal(case.call(other, x), y):
        raise NotApplicable("no buffers, or the same output in both modes")
    moved = changed(before, after)
    expect(moved, f"a training step has changed none of the buffers {list(after)}")
    still = [name for name in running if name not in moved]
    expect(not still, f"a training step has not changed {', '.join(still)}")


@rule(
    "modes-backward",
    "Save the mode in apply, self.Saved(x, self.training), and let pullback follow that, not the "
    "mode of the moment.",
)
def modes_backward(case: Case) -> None:
    """Backward is that of the last forward, whichever mode has been set since."""
    layer, dy = case.layer(), case.x(seed=2)
    case.call(layer, case.x())
    expected = bits(layer.backward(dy))
    layer.train(not case.training)
    got = bits(layer.backward(dy))
    expect(got == expected, "backward gives another dx after the mode has been switched")
