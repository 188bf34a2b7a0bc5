"""Lazy: what makes a layer take num_features from its first input.

A lazy class is the plain one with one option that may wait and a state before the first input, in
which every array is None. The class stays what it is afterwards, where PyTorch's changes into the
plain one under its owner's hands; `to_plain` gives that one on request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np

from ..validation import as_float_array
from .base import Layer
from .state import IncompatibleKeys


class Lazy(Layer):
    """What makes a layer lazy; a class has it before the plain class, which is `plain`, and calls
    `_declare_arrays` in its __init__.

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

    plain: ClassVar[type[Layer]]

    def forward(self, x: np.ndarray, out: np.ndarray | None = None, **inputs: Any) -> np.ndarray:
        """The plain layer's forward; the first x decides num_features."""
        if self.num_features is not None:
            return super().forward(x, out, **inputs)
        x = as_float_array(type(self).__name__, "x", x)
        with self._initialized(self._width_of(x)):
            return super().forward(x, out, **inputs)

    def load_state_dict(
        self, state: Mapping[str, np.ndarray], strict: bool = True
    ) -> IncompatibleKeys:
        """As Layer.load_state_dict; num_features is that of the state dict if there is none yet."""
        width = None
        if self.num_features is None and isinstance(state, Mapping):
            names = (*self._parameters, *self._buffers)
            shapes = (np.shape(state[name]) for name in names if name in state)
            width = next((shape[0] for shape in shapes if len(shape) == 1), None)
        if width is None:
            return super().load_state_dict(state, strict)
        with self._initialized(width):
            return super().load_state_dict(state, strict)

    def to_plain(self) -> Layer:
        """The plain layer with this one's options, mode and arrays, which the two share.

        Raises RuntimeError before the first input.
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
        self.num_features = width or 1
        self.plain.__init__(self, **self._plain_options())
        self.num_features = width
        if width is None:
            for store in (self._parameters, self._buffers):
                store.update(dict.fromkeys(store))

    @contextmanager
    def _initialized(self, width: int) -> Iterator[None]:
        """The layer with so many features, to be used; if that fails, there are none again."""
        try:
            self.num_features = width
            self._declare_arrays()
            yield
        except BaseException:
            self.num_features = None
            self._declare_arrays()
            raise
