"""Declared: what a layer consists of, its options and its arrays, as attributes, config and state.

Options are the parameters of `__init__`, checked and made attributes before it runs. Parameters and
buffers are plain ndarrays under the names PyTorch gives them, so that a checkpoint's arrays go in
and out as they are. Metaclasses and a second list of fields were rejected: the signature of
`__init__` already says everything.

What holds when a layer is built holds after an assignment, too. Whether an option has shaped the
layer is not declared but seen: two layers are built, with the old value and with the new one, and
have to have the same arrays. Their constructor also tells the rules between options.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Self

import numpy as np

from ..options import Bounds, bind, check, options_of
from ..validation import as_plain_array
from .documented import Documented
from .state import IncompatibleKeys, checked_state

_PASSING = ("_saved", "_checked")  # attributes that are no part of a copy
_trying: ContextVar[bool] = ContextVar("trying", default=False)  # is a value being tried on a twin?


class Declared:
    """Options and arrays of a layer; see Layer."""

    #: what a layer has found out about its arrays; None once one of them is another array
    _checked: Any = None
    grads: dict[str, np.ndarray]
    training: bool

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if isinstance(cls.__doc__, str):
            cls.__doc__ = Documented(cls.__doc__)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        options = check(cls, bind(cls, args, kwargs))
        self = super().__new__(cls)
        vars(self).update(
            training=True,
            _parameters={},
            _buffers={},
            _bounds={},
            _needed=set(),
            _options=options,
            grads={},
            **options,
        )
        return self

    def __init__(self) -> None:
        """A variant's own __init__ lists its options; calling this one is never needed."""

    # What a variant declares

    def register_parameter(self, name: str, value: np.ndarray | None) -> None:
        """Declare a learned array, or None where an option leaves it out."""
        self._declare(self._parameters, name, value)

    def register_buffer(
        self, name: str, value: np.ndarray | None, *, holds: Bounds | None = None
    ) -> None:
        """Declare an array that is part of the state but not learned, or None.

        `holds` bounds its values: a state dict with others is refused. Where nothing is said the
        values of a name that ends in `_var` are to be >= 0.
        """
        self._declare(self._buffers, name, value)
        if holds is None and name.endswith("_var"):
            holds = Bounds(ge=0)
        if holds is not None:
            self._bounds[name] = holds

    def settle_option(self, name: str, value: Any) -> None:
        """Set an option that the layer finds out by itself, as a lazy one its width."""
        vars(self)[name] = value

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

        Names, dtypes, shapes and values are all checked first; if anything is wrong nothing is
        changed. Floats are converted to the layer's dtype. Parameters have to be finite, and
        buffers within what the layer declares of them; statistics that are not finite load where
        the layer's own may become so. A count that is missing, as in checkpoints from before there
        was one, stays as it is. With strict=False missing and unexpected names are left alone.

        Returns the missing and the unexpected names. Raises StateError, a LookupError and
        ValueError, for missing or unexpected names, ValueError for a shape or value, TypeError for
        a dtype.
        """
        arrays = self._arrays()
        loaded, keys = checked_state(self, state, strict)
        for name, value in loaded.items():
            arrays[name][...] = value
        return keys

    def keeps_finite(self, name: str) -> bool:
        """Are the values of this parameter or buffer finite whatever the layer is called with?"""
        return name in self._parameters

    def check_values(self, loaded: Mapping[str, np.ndarray]) -> None:
        """ValueError for arrays of a state dict, each in order by itself, that do not go together.

        For a layer to override. Whatever its own arrays may become has to pass.
        """

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
        for store in (self._parameters, self._buffers):
            if name in store:
                store[name] = self._array(name, value)
                vars(self)["_checked"] = None
                return
        option = options_of(type(self)).get(name)
        if option is not None:
            value = option.kind.check(value, f"{type(self).__name__}: {name}")
            self._try_option(name, value)
        elif name == "grads" and isinstance(value, dict):
            value = {key: self._like_parameter(key, grad) for key, grad in value.items()}
        elif name == "training":
            value = self._checked_mode(value)
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        if name in self._parameters or name in self._buffers or name in self._options:
            raise AttributeError(
                f"{type(self).__name__}: {name} is a part of the layer and cannot be deleted"
            )
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._parameters, *self._buffers})

    # Copying and pickling: the options build the layer, then its attributes follow. The last
    # forward does not come along: it holds somebody's input.

    def __getnewargs_ex__(self) -> tuple[tuple, dict[str, Any]]:
        return (), self._options

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in _PASSING}

    def __setstate__(self, state: dict[str, Any]) -> None:
        stores = "_parameters", "_buffers", "_bounds", "_needed", "_options"
        own = {name: state[name].copy() for name in stores}
        vars(self).clear()  # of options that an array has taken the name of, such as `bias`
        vars(self).update({**state, **own})

    # Inside

    def _arrays(self) -> dict[str, np.ndarray]:
        return {**dict(self.named_parameters()), **dict(self.named_buffers())}

    def _like_parameter(self, name: str, grad: Any) -> Any:
        """A gradient in its parameter's dtype, as an optimizer wants it."""
        parameter = self._parameters.get(name)
        return grad if parameter is None else np.asarray(grad, parameter.dtype)

    def _checked_mode(self, mode: object) -> bool:
        if not isinstance(mode, (bool, np.bool_)):
            raise ValueError(
                f"{type(self).__name__}: training is True or False, got {mode!r}; "
                f"train() and eval() set it"
            )
        return bool(mode)

    def _declare(self, store: dict[str, Any], name: str, value: np.ndarray | None) -> None:
        parts = name.split(".")  # dotted names are those of arrays in PyTorch's nested modules
        good = parts[0].isidentifier() and all(p.isidentifier() or p.isdigit() for p in parts)
        if not good or hasattr(type(self), name):
            raise ValueError(f"{type(self).__name__}: {name!r} cannot name a parameter or buffer")
        vars(self).pop(name, None)  # an option such as `bias` gives its name to the array
        store[name] = self._array(name, value)
        (self._needed.discard if value is None else self._needed.add)(name)
        vars(self)["_checked"] = None

    def _array(self, name: str, value: Any) -> np.ndarray | None:
        if value is not None and not isinstance(value, np.ndarray):
            raise TypeError(
                f"{type(self).__name__}: {name} must be an ndarray or None, got {value!r} "
                f"({type(value).__name__}); to change its values assign to {name}[...]"
            )
        return value if value is None else as_plain_array(type(self).__name__, name, value)

    def _try_option(self, name: str, value: Any) -> None:
        """Raise unless a layer with this value of an option is one with the same arrays."""
        own = {each: vars(self).get(each, old) for each, old in self._options.items()}
        if _trying.get() or (type(own[name]) is type(value) and own[name] == value):
            return
        cls = type(self)
        with _on_a_twin():
            before, after = cls(**own), cls(**{**own, name: value})
        if _shapes(before) != _shapes(after):
            raise AttributeError(
                f"{cls.__name__}: {name} has shaped the layer and cannot be assigned; build "
                f"another layer: cybn.create({{**layer.get_config(), {name!r}: {value!r}}})"
            )


@contextmanager
def _on_a_twin() -> Iterator[None]:
    """Layers built within are for a look: random numbers that they draw are drawn again."""
    token, state = _trying.set(True), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
        _trying.reset(token)


def _shapes(layer: Declared) -> dict[str, Any]:
    stores = layer._parameters, layer._buffers
    return {
        name: None if a is None else (a.shape, a.dtype)
        for store in stores
        for name, a in store.items()
    }
