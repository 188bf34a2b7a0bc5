"""Arrays: the parameters and buffers of a layer, and its state dict.

They are plain ndarrays under the names PyTorch gives them, so that a checkpoint's arrays go in and
out as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from ...arrays._looks import learned_of
from ...arrays.validation import as_plain_array
from ...options import Bounds
from .state import IncompatibleKeys, Names, Place, load

if TYPE_CHECKING:
    from ...config.dialects.table import Dialect


class Built(NamedTuple):
    """What an array was when it was declared, and has to be at every call."""

    shape: tuple[int, ...]
    dtype: np.dtype


class Arrays:
    """Learned and other arrays of a layer; see Layer."""

    #: what a layer has found out about its arrays, and how it goes about a call; None once an
    #: array, an option or the mode is another
    _checked: Any = None
    #: names in a state dict that mean nothing to the layer, and are no error
    passed_over: ClassVar[tuple[str, ...]] = ()

    # What a variant declares

    def register_parameter(self, name: str, value: np.ndarray | None) -> None:
        """Declare a learned array, or None where an option leaves it out.

        Parameters
        ----------
        name
            Its name, which is then an attribute.
        value
            The array, or None.
        """
        self._declare(self._parameters, name, value)

    def register_buffer(
        self, name: str, value: np.ndarray | None, *, holds: Bounds | None = None
    ) -> None:
        """Declare an array that is part of the state but not learned, or None.

        Parameters
        ----------
        name
            Its name, which is then an attribute.
        value
            The array, or None.
        holds
            The bounds of its values: a state dict with others is refused. Where nothing is said the
            values of a name that ends in `_var` are to be >= 0.
        """
        self._declare(self._buffers, name, value)
        if holds is None and name.endswith("_var"):
            holds = Bounds(ge=0)
        if holds is not None:
            self._bounds[name] = holds

    # What it has then

    def learns(self, name: str) -> bool:
        """Tell whether an array learns, as the option `trainable` says.

        Parameters
        ----------
        name
            The name of a parameter or buffer.

        Returns
        -------
        bool
            Whether it does; False for what is no parameter.
        """
        return name in self._learned()

    def named_parameters(self) -> Iterator[tuple[str, np.ndarray]]:
        """Go through the learned arrays that there are; those that are held fixed are buffers.

        Returns
        -------
        iterator
            Their names and the arrays.
        """
        return ((name, a) for name, a in self._learned().items() if a is not None)

    def parameters(self) -> Iterator[np.ndarray]:
        """Go through the learned arrays that there are.

        Returns
        -------
        iterator
            The arrays.
        """
        return (a for _, a in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, np.ndarray]]:
        """Go through the arrays of the state that are not learned.

        Returns
        -------
        iterator
            Their names and the arrays.
        """
        learned = self._learned()
        return ((name, a) for name, a in self._arrays().items() if name not in learned)

    def buffers(self) -> Iterator[np.ndarray]:
        """Go through the arrays of the state that are not learned.

        Returns
        -------
        iterator
            The arrays.
        """
        return (a for _, a in self.named_buffers())

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copy all parameters and buffers: what np.savez can save.

        Returns
        -------
        dict
            The copies by name.
        """
        return {name: a.copy() for name, a in self._arrays().items()}

    def load_state_dict(
        self,
        state: Mapping[str, Any],
        strict: bool = True,
        *,
        prefix: str = "",
        dialect: str | Dialect | None = None,
    ) -> IncompatibleKeys:
        """Copy a state dict, of this library or of another, into the layer's arrays.

        Names, dtypes, shapes and values are all checked first; if anything is wrong nothing is
        changed. Floats are converted to the layer's dtype. Parameters have to be finite, and
        buffers within what the layer declares of them; statistics that are not finite load where
        the layer's own may become so. A count that is missing, as in checkpoints from before there
        was one, stays as it is.

        Parameters
        ----------
        state
            The arrays by name: NumPy's, tensors of PyTorch, or whatever has an `__array__`.
        strict
            Whether missing and unexpected names are errors; else they are left alone.
        prefix
            What the names of the layer begin with, as "backbone.bn1."; others are left alone.
        dialect
            The library whose names they are, such as "keras" or "flax": see docs/saving.md.

        Returns
        -------
        IncompatibleKeys
            The missing and the unexpected names.

        Raises
        ------
        StateError
            For missing or unexpected names, and a prefix that no name has: a LookupError and
            ValueError.
        ValueError
            For a shape or value.
        TypeError
            For a dtype.
        """
        return load([Place("", self)], state, strict, prefix, _names(dialect))

    def keeps_finite(self, name: str) -> bool:
        """Tell whether an array is finite whatever the layer is called with.

        Parameters
        ----------
        name
            The name of a parameter or buffer.

        Returns
        -------
        bool
            Whether it is.
        """
        return name in self._parameters

    def check_values(self, loaded: Mapping[str, np.ndarray]) -> None:
        """Refuse arrays of a state dict, each in order by itself, that do not go together.

        For a layer to override. Whatever its own arrays may become has to pass.

        Parameters
        ----------
        loaded
            The arrays by name.

        Raises
        ------
        ValueError
            If they do not go together.
        """

    # Inside

    def _for_state(self, shapes: Mapping[str, tuple[int, ...]]) -> Arrays:
        """The layer that a state dict with arrays of these shapes is checked against."""
        return self

    def _take_state(self, loaded: Mapping[str, np.ndarray]) -> None:
        """Copy arrays that are checked into the layer's own."""
        for name, value in loaded.items():
            self._arrays()[name][...] = value

    def _arrays(self) -> dict[str, np.ndarray]:
        every = {**self._parameters, **self._buffers}
        return {name: a for name, a in every.items() if a is not None}

    def _learned(self) -> dict[str, np.ndarray | None]:
        """The parameters, but for those that the option `trainable` holds fixed."""
        return learned_of(vars(self))

    def _like_parameter(self, name: str, grad: Any) -> Any:
        """A gradient in its parameter's dtype, as an optimizer wants it."""
        parameter = self._parameters.get(name)
        return grad if parameter is None else np.asarray(grad, parameter.dtype)

    def _declare(self, store: dict[str, Any], name: str, value: np.ndarray | None) -> None:
        parts = name.split(".")  # dotted names are those of arrays in PyTorch's nested modules
        good = parts[0].isidentifier() and all(p.isidentifier() or p.isdigit() for p in parts)
        if not good or hasattr(type(self), name):
            raise ValueError(f"{type(self).__name__}: {name!r} cannot name a parameter or buffer")
        # an option such as `bias` gives its name to the array
        self._keep(store, name, self._array(name, value))
        self._built.pop(name, None)
        if value is not None:
            self._built[name] = Built(value.shape, value.dtype)

    def _keep(self, store: dict[str, Any], name: str, a: np.ndarray | None) -> None:
        """Let the layer have the array under this name, which is to be looked at again."""
        store[name] = vars(self)[name] = a
        vars(self)["_checked"] = None

    def _array(self, name: str, value: Any) -> np.ndarray | None:
        if value is not None and not isinstance(value, np.ndarray):
            raise TypeError(
                f"{type(self).__name__}: {name} must be an ndarray or None, got {value!r} "
                f"({type(value).__name__}); to change its values assign to {name}[...]"
            )
        return value if value is None else as_plain_array(type(self).__name__, name, value)


def _names(dialect: str | Dialect | None) -> Names | None:
    # Upwards, and not before it is asked for: a layer knows of no other library by itself
    if dialect is None:
        return None
    from ...config.dialects.shelf import find

    return find(dialect).state
