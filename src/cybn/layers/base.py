"""Layer: what every normalization layer is, built-in or plugin.

A variant writes `__init__` with its options, `forward` and `backward`, and declares its parameters
and buffers with `register_parameter` and `register_buffer`. The rest comes by itself: options are
checked and become attributes before `__init__` runs; config, repr, state dict, train and eval,
copying and pickling follow from the options and the declared arrays.

Parameters and buffers are plain ndarrays under the names PyTorch gives them, so that a checkpoint's
arrays go in and out as they are. Metaclasses and a second list of fields were rejected: the
signature of `__init__` already says everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

import numpy as np

from ..options import bind, check, options_of
from ..registry import registry
from ..validation import as_float_array, check_channels, check_upstream, keep_input
from .fixed import Fixed
from .state import IncompatibleKeys, checked_state

_PASSING = ("_saved", "_checked")  # attributes that are no part of a copy


class Layer:
    """Base of every layer.

    A layer is a class with options, a forward and a backward:

    >>> import numpy as np
    >>> import cybn
    >>> @cybn.register("Scale", force=True)
    ... class Scale(cybn.Layer):
    ...     '''Multiply each feature of x, (N, C), by a weight.'''
    ...     def __init__(self, num_features: int, init: float = 1.0):
    ...         self.register_parameter("weight", np.full(num_features, init, np.float32))
    ...     def forward(self, x, out=None):
    ...         x = self.checked_x(x, out, ndim=2, channels=self.num_features)
    ...         self._saved = x, self.weight.copy()
    ...         return np.multiply(x, self.weight, out=out, dtype=x.dtype)
    ...     def backward(self, dy, out=None):
    ...         dy, (x, weight) = self.checked_dy(dy, out)
    ...         self.grads = {"weight": (dy * x).sum(0)}
    ...         return np.multiply(dy, weight, out=out, dtype=dy.dtype)
    >>> cybn.create({"type": "scale", "num_features": 2, "init": 3})
    Scale(2, init=3.0)
    >>> cybn.testing.check_layer("Scale", strict=True).named("failed")
    []

    Attributes
    ----------
    training: bool, set by train() and eval().
    grads: dict, parameter name to its gradient, replaced by every backward. Assigning a dict makes
        a new one, with each gradient in its parameter's dtype.
    Every option of the class, checked again when it is assigned to; every parameter and buffer.
    """

    registered_name: ClassVar[str]
    #: the option that `num_features` of a shared config goes to; None where there is no such thing
    num_features_option: ClassVar[str | None] = "num_features"
    #: checks of `cybn.testing` that the layer fails by design, and why
    excused_checks: ClassVar[Mapping[str, str]] = {}
    #: the registered name of the class that is this one with its statistics fixed, as `cybn.freeze`
    #: makes it
    frozen_form: ClassVar[str | None] = None
    #: the same the other way: the class that a frozen one was before, for `cybn.unfreeze`
    thawed_form: ClassVar[str | None] = None
    #: options and arrays that mean nothing to the frozen form: freezing drops them
    thawed_only: ClassVar[tuple[str, ...]] = ()
    #: do running_mean and running_var follow the moments of all that a channel is called with? Then
    #: `cybn.recalibrate` sets them
    running_moments: ClassVar[bool] = False

    training: bool
    grads: dict[str, np.ndarray]
    #: what the last forward keeps for backward
    _saved: Any = None
    #: what a layer has found out about its arrays; None once one of them is another array
    _checked: Any = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        options = check(cls, bind(cls, args, kwargs))
        self = super().__new__(cls)
        vars(self).update(
            training=True,
            _parameters={},
            _buffers={},
            _options=options,
            grads={},
            **options,
        )
        return self

    def __init__(self) -> None:
        """A variant's own __init__ lists its options; calling this one is never needed."""

    # What a variant declares and writes

    def register_parameter(self, name: str, value: np.ndarray | None) -> None:
        """Declare a learned array, or None where an option leaves it out."""
        self._declare(self._parameters, name, value)

    def register_buffer(self, name: str, value: np.ndarray | None) -> None:
        """Declare an array that is part of the state but not learned, or None."""
        self._declare(self._buffers, name, value)

    def checked_x(
        self,
        x: np.ndarray,
        out: np.ndarray | None = None,
        *,
        ndim: int | tuple[int, ...] = (),
        channels: int | None = None,
        channel_axis: int = 1,
    ) -> np.ndarray:
        """x as a forward may use and keep it, once x and `out` are known to be good.

        A copy where `out` is x itself, since the forward then writes over x. TypeError for a dtype
        other than float32 and float64; ValueError unless x.ndim is `ndim`, or one of them, and x
        has so many `channels`, and for an `out` that cannot be written to.
        """
        who, ranks = type(self).__name__, (ndim,) if isinstance(ndim, int) else ndim
        x = as_float_array(who, "x", x)
        if x.ndim not in (ranks or (x.ndim,)):
            expected = " or ".join(f"{n}-D" for n in ranks)
            raise ValueError(f"{who} expects {expected} input, got {x.ndim}-D {x.shape}")
        if channels is not None:
            if not -x.ndim <= channel_axis < x.ndim:
                raise ValueError(f"{who} expects channels on axis {channel_axis}, got {x.shape}")
            check_channels(who, x, channels, channel_axis, own=ranks or None)
        return keep_input(who, x, out)

    def checked_dy(self, dy: np.ndarray, out: np.ndarray | None = None) -> tuple[np.ndarray, Any]:
        """dy, checked as `checked_x` does, and `_saved`, whose first item must be like x.

        RuntimeError before any forward.
        """
        who = type(self).__name__
        if self._saved is None:
            raise RuntimeError(f"{who}.backward needs a forward first: call the layer with x")
        return check_upstream(who, dy, self._saved[0], out), self._saved

    def forward(self, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """The output for x, in `out` where it is given."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(self, dy: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """dx for the last forward, given the gradient of its output; sets `grads`."""
        raise NotImplementedError(f"{type(self).__name__} has no backward")

    def fixed(self, who: str) -> Fixed:
        """What the layer is as a scale and a shift in its present state, for `cybn.fold`.

        Raises ValueError, with a message that begins with `who`, where it is none; a class that
        never is one does not define this.
        """
        raise TypeError(f"{who} cannot take {type(self).__name__}, which is no scale and shift")

    def sample_inputs(self, x: np.ndarray) -> dict[str, Any]:
        """What else a call of this layer with x may take, by name: a sample for tests and checks.

        A layer that takes labels, a mask or a second array returns a fitting one; most take none.
        """
        return {}

    def __call__(self, x: np.ndarray, out: np.ndarray | None = None, **inputs: Any) -> np.ndarray:
        return self.forward(x, out, **inputs)

    # Modes

    def train(self, mode: bool = True) -> Self:
        """Switch to training (or evaluation) and return the layer."""
        if not isinstance(mode, (bool, np.bool_)):
            raise ValueError(f"train() takes True or False, got {mode!r}")
        self.training = bool(mode)
        return self

    def eval(self) -> Self:
        """Switch to evaluation and return the layer."""
        return self.train(False)

    # Parameters, buffers and state

    def named_parameters(self) -> Iterator[tuple[str, np.ndarray]]:
        return ((name, a) for name, a in self._parameters.items() if a is not None)

    def parameters(self) -> Iterator[np.ndarray]:
        return (a for _, a in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, np.ndarray]]:
        return ((name, a) for name, a in self._buffers.items() if a is not None)

    def buffers(self) -> Iterator[np.ndarray]:
        return (a for _, a in self.named_buffers())

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and buffers by name: what np.savez can save."""
        return {name: a.copy() for name, a in self._arrays().items()}

    def load_state_dict(
        self, state: Mapping[str, np.ndarray], strict: bool = True
    ) -> IncompatibleKeys:
        """Copy a state dict, of this library or of PyTorch, into the layer's arrays.

        Names, dtypes, shapes, finiteness and variances >= 0 are all checked first; if anything is
        wrong nothing is changed. Floats are converted to the layer's dtype. With strict=False
        missing and unexpected names are left alone.

        Returns the missing and the unexpected names. Raises StateError, a LookupError and
        ValueError, for missing or unexpected names, ValueError for a shape or value, TypeError for
        a dtype.
        """
        arrays = self._arrays()
        loaded, keys = checked_state(type(self).__name__, arrays, state, strict)
        for name, value in loaded.items():
            arrays[name][...] = value
        return keys

    # Options

    def get_config(self) -> dict[str, Any]:
        """The layer as a plain dict: `cybn.create(layer.get_config())` builds an equal one."""
        cls = type(self)
        options = {name: vars(self).get(name, value) for name, value in self._options.items()}
        return {"type": vars(cls).get("registered_name", cls.__name__), **check(cls, options)}

    def extra_repr(self) -> str:
        """The options as repr shows them: what must be given, then what may be, by name."""
        config = self.get_config()
        shown = []
        for name, option in options_of(type(self)).items():
            if option.required:
                shown.append(repr(config[name]))
            elif not option.keyword_only or config[name] != option.default:
                shown.append(f"{name}={config[name]!r}")
        return ", ".join(shown)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.extra_repr()})"

    # Attributes: declared arrays and options behave as plain attributes, and are checked

    def __getattr__(self, name: str) -> Any:
        for store in ("_parameters", "_buffers"):
            arrays = vars(self).get(store, {})
            if name in arrays:
                return arrays[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "grads" and isinstance(value, dict):
            value = {key: self._like_parameter(key, grad) for key, grad in value.items()}
        for store in (self._parameters, self._buffers):
            if name in store:
                store[name] = self._array(name, value)
                vars(self)["_checked"] = None
                return
        option = options_of(type(self)).get(name)
        if option is not None:
            value = option.kind.check(value, f"{type(self).__name__}: {name}")
        object.__setattr__(self, name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._parameters, *self._buffers})

    # Copying and pickling: the options build the layer, then its attributes follow. The last
    # forward does not come along: it holds somebody's input.

    def __getnewargs_ex__(self) -> tuple[tuple, dict[str, Any]]:
        return (), self._options

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in _PASSING}

    def __setstate__(self, state: dict[str, Any]) -> None:
        own = {name: dict(state[name]) for name in ("_parameters", "_buffers", "_options")}
        vars(self).clear()  # of options that an array has taken the name of, such as `bias`
        vars(self).update({**state, **own})

    # Inside

    def _arrays(self) -> dict[str, np.ndarray]:
        return {**dict(self.named_parameters()), **dict(self.named_buffers())}

    def _like_parameter(self, name: str, grad: Any) -> Any:
        """A gradient in its parameter's dtype, as an optimizer wants it."""
        parameter = self._parameters.get(name)
        return grad if parameter is None else np.asarray(grad, parameter.dtype)

    def _declare(self, store: dict[str, Any], name: str, value: np.ndarray | None) -> None:
        parts = name.split(".")  # dotted names are those of arrays in PyTorch's nested modules
        good = parts[0].isidentifier() and all(p.isidentifier() or p.isdigit() for p in parts)
        if not good or hasattr(type(self), name):
            raise ValueError(f"{type(self).__name__}: {name!r} cannot name a parameter or buffer")
        vars(self).pop(name, None)  # an option such as `bias` gives its name to the array
        store[name] = self._array(name, value)
        vars(self)["_checked"] = None

    def _array(self, name: str, value: Any) -> np.ndarray | None:
        if value is not None and not isinstance(value, np.ndarray):
            raise TypeError(
                f"{type(self).__name__}: {name} must be an ndarray or None, got {value!r} "
                f"({type(value).__name__}); to change its values assign to {name}[...]"
            )
        return value


registry.base = Layer
