"""Lazy: what makes a layer take num_features from its first input.

A lazy class is the plain one with one option that may wait and a state before the first input, in
which every array is None. The class stays what it is afterwards, where PyTorch's changes into the
plain one under its owner's hands; `to_plain` gives that one on request.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from threading import RLock
from typing import Any, ClassVar, Self

import numpy as np

from ...arrays.validation import as_float_array
from .layer import Layer

# Held while a layer is initialized, and by nobody afterwards: the first call of one of several
# threads initializes, on a layer of its own, which this one becomes once the call has succeeded.
_first_call = RLock()


class Lazy(Layer):
    """What makes a layer lazy.

    A class has it before the plain class among its bases and calls `_declare_arrays` in its
    `__init__`.

    Options are those of the plain class by name, num_features among them: None, the default, leaves
    it to the first input, and a number initializes the layer at once, so that one norm config
    serves lazy layers as well. Before it is initialized every parameter and buffer is None and the
    state dict is empty; x of any width initializes it, and so does a state dict that is loaded.
    A first call or a loading that fails leaves it as it was.

    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.LazyBatchNorm1d(eps=1e-3)
    >>> layer.weight is None, layer.num_features is None, layer.state_dict()
    (True, True, {})
    >>> layer(np.ones((4, 3), np.float32)).shape
    (4, 3)
    >>> layer.num_features, layer.weight.shape
    (3, (3,))
    >>> layer.to_plain()
    BatchNorm1d(3, eps=0.001, momentum=0.1, affine=True, track_running_stats=True)
    """

    plain: ClassVar[type[Layer]]  # the base that is not lazy

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for base in cls.__bases__:
            if issubclass(base, Layer) and not issubclass(base, Lazy):
                cls.plain = base

    def apply(
        self, x: np.ndarray, *, out: np.ndarray | None = None, **inputs: Any
    ) -> tuple[np.ndarray, Any]:
        """The plain layer's apply; the first x decides num_features."""
        if self.num_features is None:
            x = as_float_array(type(self).__name__, "x", x)
            with _first_call:
                if self.num_features is None:  # no other thread was here before
                    one = self._initialized(self._width_of(x))
                    made = one.apply(x, out=out, **inputs)
                    self._become(one)
                    return made
        return super().apply(x, out=out, **inputs)

    def to_plain(self) -> Layer:
        """Make the plain layer with this one's options, mode and arrays, which the two share.

        Returns
        -------
        Layer
            The plain layer.

        Raises
        ------
        RuntimeError
            Before the first input.
        """
        if self.num_features is None:
            raise RuntimeError(
                f"{type(self).__name__}.to_plain needs num_features: call the layer with x first"
            )
        other = self.plain(**self._plain_options()).train(self.training)
        for name, a in (*self._parameters.items(), *self._buffers.items()):
            setattr(other, name, a)
        return other

    def _width_of(self, x: np.ndarray) -> int:
        """The num_features that x tells; an x of too few axes is refused later, whatever it is."""
        return x.shape[self.channel_axis] if x.ndim > 1 else 1

    def _plain_options(self) -> dict[str, Any]:
        return {name: value for name, value in self.get_config().items() if name != "type"}

    def _declare_arrays(self) -> None:
        """Declare what the plain class declares, or, without num_features, the names alone."""
        width = self.num_features
        self.settle_option("num_features", width or 1)
        self.plain.__init__(self, **self._plain_options())
        self.settle_option("num_features", width)
        if width is None:
            for store in (self._parameters, self._buffers):
                for name in store:
                    self._keep(store, name, None)
            self._built.clear()

    def _for_state(self, shapes: Mapping[str, tuple[int, ...]]) -> Self:
        """One of the width that the state dict tells, if this one has none yet."""
        width = next((shape[0] for shape in shapes.values() if len(shape) == 1), None)
        return self if width is None or self.num_features is not None else self._initialized(width)

    def _take_state(self, loaded: Mapping[str, np.ndarray]) -> None:
        with _first_call:
            if self.num_features is None and loaded:
                one = self._for_state({name: a.shape for name, a in loaded.items()})
                one._take_state(loaded)
                self._become(one)
                return
        super()._take_state(loaded)

    def _initialized(self, width: int) -> Self:
        """A layer like this one with so many features."""
        return type(self)(**{**self._plain_options(), "num_features": width}).train(self.training)

    def _become(self, one: Self) -> None:
        """Take over the arrays of `one`. num_features comes last: it tells other threads."""
        arrays = (*one._parameters, *one._buffers)
        names = ("_parameters", "_buffers", "_built", "_checked", *arrays, "num_features")
        vars(self).update((name, getattr(one, name)) for name in names)


def _after_fork() -> None:
    # A thread of the parent that held the lock does not exist in the child.
    global _first_call
    _first_call = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
