"""The dict `layer.grads`, and calling backward again or too early."""

from __future__ import annotations

import numpy as np

from ...terms.signature import options_of
from .._compare import array_bits, bits, changed
from .._rules import NotApplicable, broken, expect, rule
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
    "grads-fixed",
    "Return self.gradients(weight=..., bias=...) from pullback, which leaves out what does not "
    "learn, and let apply and dx be the same whatever learns.",
    needs=("grads-shape",),
)
def grads_fixed(case: Case) -> None:
    """With trainable=False there are no gradients, and all else is the same to the bit.

    Of parameters that a layer holds fixed, one at a time, it has gradients of the others alone.
    """
    option = options_of(case.subject.cls).get("trainable")
    if option is None:
        raise NotApplicable("no option trainable")
    x, dy, layer = case.x(), case.x(seed=2), case.layer()
    every, names = layer.state_dict().keys(), [name for name, _ in layer.named_parameters()]
    y, dx = case.run(layer, x, dy)
    expected, grads, after = (bits(y), bits(dx)), layer.grads, array_bits(layer)
    for value in filter(option.kind.takes, (False, "weight", "bias")):
        layer = case.layer()
        layer.trainable = value
        learn = [name for name in names if value and name.rpartition(".")[2] == value]
        got = [name for name, _ in layer.named_parameters()]
        expect(got == learn, f"with trainable={value!r} named_parameters has {got}, not {learn}")
        y, dx = case.run(layer, x, dy)
        same = (bits(y), bits(dx)) == expected and array_bits(layer) == after
        expect(same, f"with trainable={value!r} a call or the gradient of x is another one")
        own = {name: bits(a) for name, a in layer.grads.items()}
        expect(
            own == {name: bits(grads[name]) for name in learn},
            f"with trainable={value!r} there are gradients of {', '.join(own) or 'nothing'}, where "
            f"{', '.join(learn) or 'nothing'} learns",
        )
        _, saved = layer.apply(x, **case.inputs(layer, x))
        own = {*layer.pullback(saved, dy)[1]} - {*layer.differentiated}
        expect(own == {*learn}, f"with trainable={value!r} pullback has gradients of {sorted(own)}")
        expect(layer.state_dict().keys() == every, "the state dict has other names")


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
