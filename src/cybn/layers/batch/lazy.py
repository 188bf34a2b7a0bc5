"""LazyBatchNorm1d, 2d and 3d: batch normalization that takes num_features from its first input.

Each is the plain class with one option less and a state before the first input, in which every
array is None. The class stays what it is afterwards, where PyTorch's changes into the plain one
under its owner's hands; `to_plain` gives that one on request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from ...options import PositiveInt, takes_options_of
from ...registry import register
from ...validation import as_float_array
from ..base import Layer
from ..state import IncompatibleKeys
from .batchnorm import BatchNorm1d, BatchNorm2d, BatchNorm3d


class Lazy(Layer):
    """What makes a layer lazy; a class has it before the plain class, which is `plain`.

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
        # an x of too few axes is refused by the plain layer, whatever its width
        width = x.shape[self.channel_axis] if x.ndim > 1 else 1
        return self._initialized(width, lambda: super(Lazy, self).forward(x, out, **inputs))

    def load_state_dict(
        self, state: Mapping[str, np.ndarray], strict: bool = True
    ) -> IncompatibleKeys:
        """As Layer.load_state_dict; num_features is that of the state dict if there is none yet."""
        load = lambda: super(Lazy, self).load_state_dict(state, strict)  # noqa: E731
        if self.num_features is None and isinstance(state, Mapping):
            names = (*self._parameters, *self._buffers)
            shapes = (np.shape(state[name]) for name in names if name in state)
            width = next((shape[0] for shape in shapes if len(shape) == 1), None)
            if width is not None:
                return self._initialized(width, load)
        return load()

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

    def _initialized(self, width: int, action: Any) -> Any:
        """What action returns, with so many features; if it raises, there are none again."""
        try:
            self.num_features = width
            self._declare_arrays()
            return action()
        except BaseException:
            self.num_features = None
            self._declare_arrays()
            raise


@register("LazyBatchNorm1d", aliases=("LazyBN1d",))
class LazyBatchNorm1d(Lazy, BatchNorm1d):
    """BatchNorm1d with num_features from the first input; see Lazy and BatchNorm."""

    plain = BatchNorm1d

    @takes_options_of(BatchNorm1d)
    def __init__(self, *args, num_features: PositiveInt | None = None, **kwargs) -> None:
        self._declare_arrays()


@register("LazyBatchNorm2d", aliases=("LazyBN", "LazyBN2d", "LazyBatchNorm"))
class LazyBatchNorm2d(Lazy, BatchNorm2d):
    """BatchNorm2d with num_features from the first input; see Lazy and BatchNorm."""

    plain = BatchNorm2d

    @takes_options_of(BatchNorm2d)
    def __init__(self, *args, num_features: PositiveInt | None = None, **kwargs) -> None:
        self._declare_arrays()


@register("LazyBatchNorm3d", aliases=("LazyBN3d",))
class LazyBatchNorm3d(Lazy, BatchNorm3d):
    """BatchNorm3d with num_features from the first input; see Lazy and BatchNorm."""

    plain = BatchNorm3d

    @takes_options_of(BatchNorm3d)
    def __init__(self, *args, num_features: PositiveInt | None = None, **kwargs) -> None:
        self._declare_arrays()
