"""The dict `layer.grads`, and calling backward again or too early."""

from __future__ import annotations

import numpy as np

from .._compare import array_bits, bits, changed
from .._rules import broken, expect, rule
from .._subject import Case


@rule(
    "grads-shape",
    "Give each gradient the shape and dtype of its parameter: sum over every axis that the "
    "parameter is broadcast over, or refuse a rank that the layer is not for; and return "
    "self.gradients(weight=..., bias=...), which has the dtypes.",
)
def grads_shape(case: Case) -> None:
    """Each gradient is an ndarray of its parameter's shape and dtype, for float32 and float64 x."""
    for dtype in (np.float32, np.float64):
        layer = case.layer()
        case.run(layer, case.x(dtype), case.x(dtype, seed=2))
        for name, a in layer.named_parameters():
            grad = layer.grads.get(name)
            if grad is None:
                continue  # grads-names tells
            where = f"grads[{name!r}] for {np.dtype(dtype)} x"
            expect(isinstance(grad, np.ndarray), f"{where} is of type {type(grad).__name__}")
            expect(grad.shape == a.shape, f"{where} has shape {grad.shape}, {name} has {a.shape}")
            expect(grad.dtype == a.dtype, f"{where} is {grad.dtype}, {name} is {a.dtype}")


@rule(
    "grads-new",
    "Return a new dict with new arrays from every pullback; do not fill, add to or update one that "
    "the layer keeps.",
)
def grads_new(case: Case) -> None:
    """Every backward makes a new dict of new arrays, and leaves the last one as it was."""
    layer = case.layer()
    case.run(layer, case.x(), case.x(seed=2))
    first = layer.grads
    before = {name: bits(a) for name, a in first.items()}
    layer.backward(case.x(seed=3))
    expect(layer.grads is not first, "the second backward has the dict of the first")
    names = changed(before, {name: bits(a) for name, a in first.items()})
    expect(not names, f"the second backward has changed the first gradient of {', '.join(names)}")
    for name, grad in layer.grads.items():
        for owner, a in layer.named_parameters():
            expect(not np.shares_memory(grad, a), f"grads[{name!r}] has the memory of {owner}")


@rule(
    "backward-again",
    "Leave what apply saved as it is in pullback: do not pop, overwrite or scale it in place.",
)
def backward_again(case: Case) -> None:
    """Backward may be called again for one forward, and gives the same bits."""
    layer, dy = case.layer(), case.x(seed=2)
    case.call(layer, case.x())
    first, grads = bits(layer.backward(dy)), {k: bits(a) for k, a in layer.grads.items()}
    layer.backward(case.x(seed=3))
    expect(bits(layer.backward(dy)) == first, "the same dy gives another dx the second time")
    names = changed(grads, {k: bits(a) for k, a in layer.grads.items()})
    expect(not names, f"the same dy gives another gradient of {', '.join(names)} the second time")


@rule(
    "backward-parameters",
    "Save a copy of every parameter that pullback needs, self.Saved(x, self.weight.copy()), and "
    "take it from there.",
    strict=True,
)
def backward_parameters(case: Case) -> None:
    """Backward is that of the forward as it was: a step of an optimizer in between changes
    nothing."""
    layer, dy = case.layer(), case.x(seed=2)
    case.call(layer, case.x())
    expected, grads = bits(layer.backward(dy)), {k: bits(a) for k, a in layer.grads.items()}
    for a in layer.parameters():
        a *= 2
    got = bits(layer.backward(dy))
    expect(got == expected, "dx changes with a parameter that is changed after the forward")
    names = changed(grads, {k: bits(a) for k, a in layer.grads.items()})
    expect(not names, f"the gradient of {', '.join(names)} changes with the parameters of now")


@rule(
    "backward-keeps-state",
    "Leave parameters and buffers to the caller in pullback: it computes gradients, an optimizer "
    "takes the step.",
)
def backward_keeps_state(case: Case) -> None:
    """Backward changes no parameter and no buffer, and forward no parameter."""
    layer = case.layer()
    before = {name: bits(a) for name, a in layer.named_parameters()}
    case.call(layer, case.x())
    names = changed(before, {name: bits(a) for name, a in layer.named_parameters()})
    expect(not names, f"forward has changed the parameter {', '.join(names)}")
    before = array_bits(layer)
    layer.backward(case.x(seed=2))
    names = changed(before, array_bits(layer))
    expect(not names, f"backward has changed {', '.join(names)}")


@rule(
    "backward-first",
    "Leave backward to cybn.Layer, which raises RuntimeError where nothing has been saved, and "
    "write pullback.",
    strict=True,
)
def backward_first(case: Case) -> None:
    """Backward before any forward is a RuntimeError that says so."""
    layer = case.layer(warm=False)
    try:
        layer.backward(case.x())
    except RuntimeError:
        return
    except Exception as error:
        broken(f"backward before any forward raises {type(error).__name__}: {error}")
    broken("backward before any forward returns something")
