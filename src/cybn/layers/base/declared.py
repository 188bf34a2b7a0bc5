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

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ...terms.signature import bind, check, options_of, run_time_of
from .arrays import Arrays
from .documented import Documented

_PASSING = ("_saved", "_checked", "_known")  # attributes that are no part of a copy
_trying: ContextVar[bool] = ContextVar("trying", default=False)  # is a value being tried on a twin?


class Declared(Arrays):
    """Options and arrays of a layer; see Layer."""

    grads: dict[str, np.ndarray]
    training: bool

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if isinstance(cls.__doc__, str):
            cls.__doc__ = Documented(cls.__doc__)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        for name in run_time_of(cls):
            kwargs.pop(name, None)
        options = check(cls, bind(cls, args, kwargs))
        self = super().__new__(cls)
        vars(self).update(
            training=True,
            _parameters={},
            _buffers={},
            _bounds={},
            _built={},
            _options=options,
            _known=None,
            grads={},
            **options,
        )
        return self

    def __init__(self) -> None:
        """A variant's own __init__ lists its options; calling this one is never needed."""

    # What a variant declares

    def settle_option(self, name: str, value: Any) -> None:
        """Set an option that the layer finds out by itself, as a lazy one its width.

        Parameters
        ----------
        name
            The option.
        value
            Its value.
        """
        vars(self).update({name: value, "_checked": None})

    # Options

    def get_config(self) -> dict[str, Any]:
        """Tell what the layer is: `cybn.create(layer.get_config())` builds an equal one.

        Returns
        -------
        dict
            The registered name as "type", and the options.
        """
        cls = type(self)
        options = check(cls, self._options_now())
        return {"type": vars(cls).get("registered_name", cls.__name__), **options}

    def extra_repr(self) -> str:
        """Show the options as repr does: what must be given, then what may be, by name.

        Returns
        -------
        str
            What stands in the brackets.
        """
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

    if TYPE_CHECKING:  # a method of this name would cost each attribute of a small call twice

        def __getattr__(self, name: str) -> Any: ...

    def __setattr__(self, name: str, value: Any) -> None:
        for store in (self._parameters, self._buffers):
            if name in store:
                self._keep(store, name, self._array(name, value))
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
        if option is not None or name == "training":
            vars(self)["_checked"] = None

    def __delattr__(self, name: str) -> None:
        if name in self._parameters or name in self._buffers or name in self._options:
            raise AttributeError(
                f"{type(self).__name__}: {name} is a part of the layer and cannot be deleted"
            )
        object.__delattr__(self, name)

    # Copying and pickling: the options build the layer, then its attributes follow. The last
    # forward does not come along: it holds somebody's input.

    def __getnewargs_ex__(self) -> tuple[tuple, dict[str, Any]]:
        return (), self._options

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in _PASSING}

    def __setstate__(self, state: dict[str, Any]) -> None:
        stores = "_parameters", "_buffers", "_bounds", "_built", "_options"
        own = {name: state[name].copy() for name in stores}
        vars(self).clear()  # of options that an array has taken the name of, such as `bias`
        vars(self).update({**state, **own})

    # Inside

    def _options_now(self) -> dict[str, Any]:
        """The options; where an array has taken the name of one, what the layer was built with."""
        arrays, own = {**self._parameters, **self._buffers}, vars(self)
        return {
            name: value if name in arrays else own.get(name, value)
            for name, value in self._options.items()
        }

    def _checked_mode(self, mode: object) -> bool:
        if not isinstance(mode, (bool, np.bool_)):
            raise ValueError(
                f"{type(self).__name__}: training is True or False, got {mode!r}; "
                f"train() and eval() set it"
            )
        return bool(mode)

    def _try_option(self, name: str, value: Any) -> None:
        """Raise unless a layer with this value of an option is one with the same arrays."""
        own = self._options_now()
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
