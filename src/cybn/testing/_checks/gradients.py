"""Gradients against central differences, in float64.

A direction is drawn, and the slope of the loss sum(g * y) along it is compared with what backward
says: two calls for each array. Every loss is that of a new layer, so that running statistics are
where they were. One item at a time was rejected: a hundred times as many calls to find the same
errors.

A mismatch counts where the differences agree among themselves, at half the step too. Where they do
not, the input is near a kink, and another one is taken.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...layers.base.layer import Layer
from .._compare import furthest
from .._rules import NotApplicable, broken, expect, rule
from .._subject import Case

# Error of a central difference: step^2 / 6 of a third derivative, and u / step of rounding
STEPS = {np.dtype(np.float64): 1e-5, np.dtype(np.float32): 2.0**-8}
# relative to the sum of |terms|: what is wrong is off by far more
TOLERANCES = {np.dtype(np.float64): 1e-7, np.dtype(np.float32): 1e-4}
ATTEMPTS = 3


def _verdict(
    got: float, coarse: float, fine: float, dtype: np.dtype, scale: float
) -> tuple[bool | None, float]:
    """Is `got` the slope, by differences at a step and half of it? And what that slope is.

    None where the two disagree too much to tell.
    """
    expected = (4 * fine - coarse) / 3  # without the term in step^2
    off = abs(got - expected)
    if off <= TOLERANCES[dtype] * (scale + abs(expected)) + 1e-9:
        return True, expected
    return (False if abs(fine - coarse) <= off / 4 else None), expected


def _compare(case: Case, name: str) -> None:
    """The slope along a random direction of x or of a parameter, against backward's."""
    for attempt in range(ATTEMPTS):
        rng = np.random.default_rng(attempt)
        x = case.x(np.float64, seed=10 + attempt)
        layer = case.layer(precise=True)
        inputs = case.inputs(layer, x)
        y = layer(x, **inputs)
        g = rng.normal(0, 1, y.shape)
        dx = layer.backward(g)
        array = x if name == "x" else _parameters(layer)[name]
        got = dx if name == "x" else layer.grads.get(name)
        expect(got is not None, f"backward gives no gradient of {name}")
        expect(got.shape == array.shape, f"the gradient of {name} has shape {got.shape}")
        # whole steps: float32 parameters take them exactly
        direction = rng.choice([-3, -2, -1, 1, 2, 3], array.shape).astype(np.float64)

        def slope(step: float, x=x, g=g, inputs=inputs, direction=direction) -> float:
            losses = []
            for sign in (1, -1):
                probe, moved = case.layer(precise=True), x.copy()
                target = moved if name == "x" else _parameters(probe)[name]
                target += (sign * step * direction).astype(target.dtype)
                losses.append(float(np.sum(probe(moved, **inputs) * g, dtype=np.float64)))
            return (losses[0] - losses[1]) / (2 * step)

        step = STEPS[array.dtype]
        value, scale = float((got * direction).sum()), float(np.abs(got * direction).sum())
        agrees, expected = _verdict(value, slope(step), slope(step / 2), array.dtype, scale)
        if agrees:
            return
        if agrees is False:
            broken(
                f"along a random direction of {name} backward gives the slope {value:.7g}, central "
                f"differences {expected:.7g}{_times(value, expected)}"
            )
    broken(
        f"the output does not change smoothly with {name}: central differences disagree among "
        f"themselves at {ATTEMPTS} inputs, the last {expected:.7g}, backward {value:.7g}"
    )


def _parameters(layer: Layer) -> dict[str, np.ndarray]:
    return dict(layer.named_parameters())


def _times(got: float, expected: float) -> str:
    if not expected or not np.isfinite(got / expected) or got == 0:
        return ""
    return f", which is {got / expected:.4g} times as much"


@rule(
    "gradient-x",
    "Derive dx again: in training the mean and variance depend on every item of x and bring terms "
    "of their own, in evaluation they are constants; compute in float64 for float64 x.",
)
def gradient_x(case: Case) -> None:
    """dx is the gradient of the output with respect to x, as central differences give it."""
    _compare(case, "x")


@rule(
    "gradient-parameters",
    "Derive the gradient of that parameter again; it is summed over all axes that the parameter "
    "is broadcast over, and not divided by their length.",
)
def gradient_parameters(case: Case) -> None:
    """grads holds the gradient of every parameter, as central differences give it."""
    names = list(_parameters(case.layer()))
    if not names:
        raise NotApplicable("no parameters")
    for name in names:
        _compare(case, name)


@rule(
    "gradient-adjoint",
    "Let pullback be the transpose of apply's derivative: it takes dy as it is (no clipping, no "
    "scaling by what dy happens to be) and leaves what apply saved alone.",
)
def gradient_adjoint(case: Case) -> None:
    """<J v, g> = <v, backward(g)> for several v and g after one forward.

    Among them are one sample, one feature and one item alone, which tell samples and features
    that are mixed up.
    """
    for attempt in range(ATTEMPTS):
        x = case.x(np.float64, seed=20 + attempt)
        layer = case.layer(precise=True)
        inputs = case.inputs(layer, x)
        layer(x, **inputs)
        pairs = [(g, layer.backward(g)) for g in _directions(x.shape, attempt + 100)]

        def jacobian_times(v: np.ndarray, step: float, x=x, inputs=inputs) -> np.ndarray:
            up, down = (case.layer(precise=True)(x + s * v, **inputs) for s in (step, -step))
            return (up - down) / (2 * step)

        settled = True
        for v in _directions(x.shape, attempt):
            coarse, fine = (jacobian_times(v, STEPS[x.dtype] / part) for part in (1, 2))
            for g, dx in pairs:
                got, scale = float((v * dx).sum()), float(np.abs(v * dx).sum())
                slopes = float((coarse * g).sum()), float((fine * g).sum())
                agrees, expected = _verdict(got, *slopes, x.dtype, scale)
                if agrees is False:
                    broken(
                        f"<v, backward(g)> is {got:.7g} where <J v, g> is {expected:.7g}"
                        f"{_times(got, expected)}"
                    )
                settled = settled and agrees is True
        if settled:
            return
    broken(f"the output does not change smoothly with x at {ATTEMPTS} inputs")


def _directions(shape: tuple[int, ...], seed: int) -> Iterator[np.ndarray]:
    """Everything, one sample, one feature of all samples, one item."""
    rng = np.random.default_rng(seed)
    for alone in ((), (1,), (slice(None), 1), tuple(n - 1 for n in shape)):
        v = np.zeros(shape)
        inside = tuple(
            min(i, n - 1) if isinstance(i, int) else i for i, n in zip(alone, shape, strict=False)
        )
        v[inside] = rng.normal(0, 1, np.shape(v[inside]))
        yield v


@rule(
    "gradient-linear",
    "Let pullback be linear in dy: each term of dx and of grads has dy as a factor just once.",
)
def gradient_linear(case: Case) -> None:
    """backward(a*g + b*h) = a*backward(g) + b*backward(h), and so for grads."""
    g, h = case.x(np.float64, seed=2), case.x(np.float64, seed=3)
    layer = case.layer(precise=True)
    case.call(layer, case.x(np.float64))

    def results(dy: np.ndarray) -> dict[str, np.ndarray]:
        return {"dx": layer.backward(dy), **{f"grads[{k!r}]": a for k, a in layer.grads.items()}}

    parts, others, total = results(g), results(h), results(3 * g - 2 * h)
    for name, a in total.items():
        rounding = 16 * np.finfo(a.dtype).eps * a.size
        size = max(np.abs(parts[name]).max(initial=0), np.abs(others[name]).max(initial=0), 1)
        seen = furthest(a / size, (3 * parts[name] - 2 * others[name]) / size, max(rounding, 1e-10))
        expect(not seen, f"for dy = 3*g - 2*h, {name} scaled to one: {seen}")
