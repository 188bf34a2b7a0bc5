"""The layer under test: how it is built, and which inputs it takes.

Nothing is asked of a layer but that it can be built: required options get the first plain value
that their annotation takes, and input shapes are found by trying. A table of shapes for each layer
was rejected: a new layer would then need a second file.

An input has as many items on every axis but the first as the layer is wide, so that it fits
wherever the layer looks for its features; a wide layer gets its width on one axis at a time.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from operator import index
from typing import Any

import numpy as np

from ..arrays.validation import whole
from ..config.build import create
from ..config.plugins import plugins
from ..layers.base.layer import Layer
from ..terms.messages import shown
from ..terms.registry import registry
from ..terms.signature import Option, options_of

WIDTH = 4
BATCH = 6  # other than WIDTH, so that axes that are mixed up show; can be halved
RANKS = (2, 3, 4, 5)
_VALUES = (2, 0.5, True, "float32", [WIDTH], None)  # for a required option, in this order

Spec = str | Mapping[str, Any] | type[Layer] | Layer | Callable[[], Layer]


@contextmanager
def quiet() -> Iterator[None]:
    """Numerical warnings of a layer are no matter of the checks; what comes of them is."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


class NotBuilt(Exception):  # noqa: N818
    """The layer cannot be built, or takes no input that was tried."""


class Subject:
    """A layer by its spec: a name, a dict, a class, a built layer, or what returns a new layer."""

    def __init__(
        self, spec: Spec, input_shapes: Sequence[Sequence[int]] | None = None, **options: Any
    ) -> None:
        if not (isinstance(spec, (str, Mapping, Layer)) or callable(spec)):
            raise TypeError(
                f"a layer to check is given as a name, a dict with 'type', a Layer class, a layer "
                f"or a function that returns a new layer, got {shown(spec)}"
            )
        if isinstance(spec, Mapping) and "type" not in spec:
            raise ValueError(f"a layer's config needs 'type', the layer's name; got {shown(spec)}")
        self.spec, self.options = spec, options
        if isinstance(self._type, str):  # a name that is unknown is said at once
            entry = registry.entry(self._type)
            self.name, self.cls = entry.name, entry.cls
        found = vars(self).get("cls", self._type)
        if isinstance(found, type) and not issubclass(found, Layer):
            raise TypeError(f"{found.__module__}.{found.__qualname__} is no subclass of cybn.Layer")
        self.shapes = None if input_shapes is None else _shapes(input_shapes)
        self.verdicts: dict[str, AssertionError | None] = {}  # of checks that have run

    @property
    def _type(self) -> Any:
        return self.spec.get("type") if isinstance(self.spec, Mapping) else self.spec

    @cached_property
    def name(self) -> str:
        """What to call the layer, built or not."""
        spec = type(self.spec) if isinstance(self.spec, Layer) else self._type
        return getattr(spec, "__name__", "layer")

    @cached_property
    def cls(self) -> type[Layer]:
        """The layer's class."""
        return self._type if isinstance(self._type, type) else type(self._example)

    @property
    def _has_class(self) -> bool:
        """Is the class known without calling anybody's function?"""
        return isinstance(self._type, type) or "cls" in vars(self) or isinstance(self.spec, Layer)

    @property
    def owned_name(self) -> str:
        """The name, with the plugin that brings the layer."""
        plugin = plugins.of(self.cls) if self._has_class else None
        return f"{self.name} of {plugin}" if plugin else self.name

    @property
    def excuses(self) -> Mapping[str, str]:
        """What the class itself excuses; a function's layer is not built to find out."""
        return self.cls.excused_checks if self._has_class else {}

    @cached_property
    def _example(self) -> Layer:
        made = self.spec if isinstance(self.spec, Layer) else self.spec()
        if not isinstance(made, Layer):
            raise TypeError(f"{self.name} returned {shown(made)}, which is no cybn.Layer")
        return made

    def build(self, width: int, **options: Any) -> Layer:
        """A new layer, `width` features wide unless the spec has a width of its own."""
        if isinstance(self.spec, (str, Mapping, type)):
            given = dict(self.spec) if isinstance(self.spec, Mapping) else {"type": self.spec}
            given = {**self._required(given, width), **given, **self.options, **options}
            layer = create({"num_features": width, **given})
        elif options or self.options or isinstance(self.spec, Layer):
            layer = type(self._example)(**{**self._example._options, **self.options, **options})
        else:
            layer = self.spec()
        return layer

    def has_options(self) -> bool:
        """Is more given than which layer it is?"""
        given = self.spec.keys() - {"type"} if isinstance(self.spec, Mapping) else ()
        return bool(self.options or given) or not isinstance(self.spec, (str, type, Mapping))

    def has_dtype(self) -> bool:
        """Can parameters be float64 by an option?"""
        option = options_of(self.cls).get("dtype")
        return option is not None and option.kind.takes("float64")

    def _required(self, given: Mapping[str, Any], width: int) -> dict[str, Any]:
        known = {"num_features", self.cls.num_features_option, *given, *self.options}
        needed = [o for o in options_of(self.cls).values() if o.required and o.name not in known]
        return {option.name: _plain_value(option, width) for option in needed}

    @cached_property
    def cases(self) -> list[Case]:
        """Every input that the layer takes, among those given or those that are tried.

        Raises NotBuilt where the layer cannot be built or takes none of them.
        """
        try:
            with quiet():
                fitting, reasons = self._fitting()
                cases = [each for case in fitting for each in case.with_further_inputs()]
        except Exception as error:
            raise NotBuilt(f"it cannot be built: {_reason(error)}") from error
        if not cases:
            tried = "; ".join(f"{shape}: {reason}" for shape, reason in reasons.items())
            raise NotBuilt(f"it takes none of these input shapes: {tried}")
        return cases

    def _fitting(self) -> tuple[list[Case], dict[tuple[int, ...], str]]:
        """Cases that fit, and the reasons of those that do not; all that were given have to."""
        fitting, reasons = [], {}
        for alternatives in self._candidates():
            for case in alternatives:
                reason = case.refusal()
                if reason is None:
                    fitting.append(case)
                    break
                reasons[case.shape] = reason
            else:
                if self.shapes is not None:
                    return [], reasons
        return fitting, reasons

    def _candidates(self) -> list[list[Case]]:
        """For each rank or given shape the cases to try, in order."""
        if self.shapes is not None:
            return [[Case(self, shape, w) for w in _widths(shape)] for shape in self.shapes]
        width = self._own_width()
        build_for = width if isinstance(width, int) else WIDTH
        self.build(build_for)  # an error in building is to be told from that of a call
        return [
            [Case(self, shape, build_for) for shape in _shapes_of(rank, width)] for rank in RANKS
        ]

    def _own_width(self) -> int | Sequence[int]:
        """The width that the spec itself sets, as `num_features` or under another name."""
        if isinstance(self.spec, Mapping):
            given = self.spec
        else:
            given = {} if isinstance(self.spec, (str, type)) else self._example.get_config()
        given = {**given, **self.options}
        width = given.get(self.cls.num_features_option, given.get("num_features"))
        plain = whole(width)
        return WIDTH if width is None else width if plain is None else plain


@dataclass(frozen=True)
class Case:
    """A layer, the shape of an input that it takes, the mode, and whether to pass further inputs.

    Parameters are away from ones and zeros and exact in few bits, and the layer has seen one batch
    in training, so that its running statistics are away from those of a new layer as well.
    """

    subject: Subject
    shape: tuple[int, ...]
    width: int = WIDTH
    further: bool = False
    training: bool = True

    def __str__(self) -> str:
        return f"{self.subject.name}-{len(self.shape)}d{'-inputs' if self.further else ''}"

    def make(self, seed: int = 0, **options: Any) -> Layer:
        """A new layer with other parameters than it starts with."""
        layer = self.subject.build(self.width, **options)
        _set_parameters(layer, seed)
        return layer

    def make_precise(self, seed: int = 0) -> Layer:
        """The same with float64 parameters, where the layer has such an option."""
        return self.make(seed, **({"dtype": "float64"} if self.subject.has_dtype() else {}))

    def layer(self, precise: bool = False, warm: bool = True) -> Layer:
        """A layer in the mode of the case; all that come from one case are alike."""
        layer = self.make_precise() if precise else self.make()
        if warm:
            self.call(layer, self.x(np.float64 if precise else np.float32, seed=17))
            _set_parameters(layer, 0)  # some set their own by the first batch
            layer.grads = {}
        layer.train(self.training)
        return layer

    def x(
        self, dtype: Any = np.float32, seed: int = 1, shape: tuple[int, ...] | None = None
    ) -> np.ndarray:
        """An input."""
        shape = self.shape if shape is None else shape
        return np.random.default_rng(seed).normal(0.5, 2, shape).astype(dtype)

    def inputs(self, layer: Layer, x: np.ndarray) -> dict[str, Any]:
        """What to pass beside x."""
        return layer.sample_inputs(x) if self.further else {}

    def call(self, layer: Layer, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """layer(x, out=out) with the further inputs of the case."""
        given = {} if out is None else {"out": out}
        return layer(x, **given, **self.inputs(layer, x))

    def run(self, layer: Layer, x: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The output and dx."""
        y = self.call(layer, x)
        return y, layer.backward(dy)

    def refusal(self, shape: tuple[int, ...] | None = None) -> str | None:
        """Why the layer does not take this shape, that of the case if none is given; or None."""
        layer, x = self.make(), self.x(shape=shape)
        # what apply returns is another matter
        take = layer.apply if writes_pair(layer) else layer
        try:
            take(x, **self.inputs(layer, x))
        except Exception as error:
            return _reason(error)
        return None

    def large_shape(self, items: int = 200_000) -> tuple[int, ...]:
        """The shape with so many more samples that the kernels share it out among threads."""
        more = max(1, items // prod(self.shape))  # a multiple: some cut the batch into parts
        return (self.shape[0] * more, *self.shape[1:]) if self.has_batch() else self.shape

    def has_batch(self) -> bool:
        """Is the first axis one of samples, of which there may be more or fewer?

        A layer is asked that has seen an input, which may have settled what it takes.
        """
        layer = self.make()
        try:
            for shape in (self.shape, (2 * self.shape[0], *self.shape[1:])):
                x = self.x(shape=shape)
                layer(x, **self.inputs(layer, x))
        except Exception:
            return False
        return True

    def with_further_inputs(self) -> Iterator[Case]:
        """The case, and once more with a sample of further inputs where the layer takes any."""
        yield self
        if self.make().sample_inputs(self.x()):
            yield replace(self, further=True)


def writes_pair(layer: Layer) -> bool:
    """Does the layer write apply and pullback? One may write forward and backward alone."""
    return type(layer).apply is not Layer.apply


def _set_parameters(layer: Layer, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for parameter in layer.parameters():
        parameter[...] = rng.integers(3, 9, parameter.shape) / 4


def _plain_value(option: Option, width: int) -> Any:
    for value in (*_VALUES, width):
        if option.kind.takes(value):
            return value
    raise TypeError(
        f"no plain value fits the option {option.name} ({option.kind.text}), which has no default; "
        f"pass one"
    )


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _shapes(given: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    one = isinstance(given, tuple) and given and not any(isinstance(n, Iterable) for n in given)
    try:
        shapes = [tuple(map(index, shape)) for shape in ([given] if one else given)]
    except TypeError:
        shapes = []
    if not shapes or not all(shape and min(shape) > 0 for shape in shapes):
        raise ValueError(f"input_shapes are shapes without empty axes, as [(8, 16)], got {given!r}")
    return shapes


def _widths(shape: tuple[int, ...]) -> list[int]:
    """What may be the width of a layer for an input of that shape: the second axis, or the last."""
    return list(dict.fromkeys((shape[min(1, len(shape) - 1)], shape[-1])))


def _shapes_of(rank: int, width: int | Sequence[int]) -> list[tuple[int, ...]]:
    """Shapes of that rank for a layer of that width, which may stand for several axes."""
    if not isinstance(width, int):
        last = tuple(width)
        return [(BATCH, *(2,) * (rank - 1 - len(last)), *last)] if len(last) < rank else []
    if 1 < width <= WIDTH:
        return [(BATCH, *(width,) * (rank - 1))]
    rest = (WIDTH if width == 1 else 2,) * (rank - 2)
    return list(dict.fromkeys([(BATCH, width, *rest), (BATCH, *rest, width)]))
