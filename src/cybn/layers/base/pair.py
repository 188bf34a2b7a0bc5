"""Pair: what the pure pair of a layer begins and ends with, for built-ins and authors alike.

All that can be wrong with an input, an output and the arrays of the layer is looked at here, before
anything changes. Then come the views that a norm is written on, and the way back from them.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ...arrays._looks import alike, clear, is_known, known_arrays, ordered_grads
from ...arrays.overlaps import same_memory
from ...arrays.validation import (
    FLOAT32,
    FLOAT64,
    as_float_array,
    check_channels,
    check_count,
    check_out,
    check_parameters,
    check_rank,
    check_separate,
    check_updatable,
    check_upstream,
)
from ...arrays.views import as_ncl, as_rows, room, settle
from .declared import Declared

new = tuple.__new__  # makes a NamedTuple of a tuple, without a look at every field
_MOVING = ("running_", "num_batches_tracked")  # names of buffers that move in training


class Pair(Declared):
    """What a variant writes its `apply` and `pullback` with; see Layer."""

    #: arrays that may be set to None after the layer was built, as they are where options say so
    optional_arrays: ClassVar[tuple[str, ...]] = ()
    thawed_form: ClassVar[str | None]  # see Layer: statistics of a frozen form move no more
    #: what `apply` hands to `pullback`: a NamedTuple whose first field is x, or an array like it
    Saved: ClassVar[type]
    #: the arrays that `begin` has looked at
    _known: Any = None

    def begin(
        self,
        x: np.ndarray,
        out: np.ndarray | None = None,
        *,
        ndim: int | tuple[int, ...] = (),
        channels: int | None = None,
        channel_axis: int | None = None,
        residual: np.ndarray | None = None,
        keep: bool = True,
        **others: np.ndarray,
    ) -> np.ndarray:
        """Take x as an apply may use and keep it, once x, `out` and the layer are known to be good.

        An `out` has the shape and dtype of x. It may be x, or `residual`; it must not overlap them
        in part, nor any of the `others` or an array of the layer.

        Parameters
        ----------
        x
            The input.
        out
            What the output is to be written to, or None.
        ndim
            The number of axes that x must have, or several; any without.
        channels
            The number of channels that x must have; any for None.
        channel_axis
            The axis of the channels; if it is left out, the option of this name, or else 1.
        residual
            An input that is like x.
        keep
            Whether the layer keeps x.
        **others
            Further inputs, by name.

        Returns
        -------
        ndarray
            The input x, or a copy where `out` is x itself, since y is then written over x.

        Raises
        ------
        TypeError
            For a dtype that is not taken.
        ValueError
            For another number of axes or channels, for an `out` that cannot be written to, and for
            an array of the layer that is missing.
        """
        who, attributes = type(self).__name__, vars(self)
        ranks = (ndim,) if isinstance(ndim, int) else tuple(ndim)
        axis = attributes.get("channel_axis") if channel_axis is None else channel_axis
        if axis is None and channels is not None:
            axis = 1
        if out is None and is_known(self._known, attributes, x, ranks, channels, axis):
            return x
        x = as_float_array(who, "x", x)
        if ranks:
            check_rank(who, x, ranks, axis, channels)
        if channels is not None:
            if not -x.ndim <= axis < x.ndim:
                raise ValueError(f"{who} expects channels on axis {axis}, got {x.shape}")
            check_channels(who, x, channels, axis, own=ranks or None)
        if self._built and self._checked is None:
            self._check_own()
            attributes["_known"] = known_arrays(attributes)
        own = self._parameters, self._buffers
        if out is None or clear(out, x, residual, *others.values(), *own):
            return x
        in_place = check_out(who, out, x, **others)
        if residual is not None:
            check_out(who, out, residual)
        check_separate(who, "out", out, **self._arrays())
        return x.copy(order="K") if in_place and keep else x

    as_ncl = staticmethod(as_ncl)
    as_rows = staticmethod(as_rows)
    room = staticmethod(room)
    settle = staticmethod(settle)

    def per_channel(self, a: np.ndarray, **otherwise: float) -> tuple[np.ndarray, ...]:
        """Take parameters or buffers of (C,) as they go with an array: float64 copies.

        Later changes of the layer do not reach them, so they may be saved.

        Parameters
        ----------
        a
            The array, (N, C, L) or rows of features, as `as_ncl` and `as_rows` give it.
        **otherwise
            The names, and what stands for one that options leave out.

        Returns
        -------
        tuple of ndarray
            One for each name: (C, 1) for an (N, C, L), (C,) for rows.
        """
        shape = (a.shape[1],) + (1,) * (a.ndim - 2)
        found = []
        for name, value in otherwise.items():
            own = getattr(self, name)
            own = np.full(shape[0], value) if own is None else own
            found.append(own.astype(np.float64).reshape(shape))
        return tuple(found)

    def undo(self, x: np.ndarray, kept: np.ndarray, out: np.ndarray | None) -> None:
        """Write what `begin` made of x back where `out` was x, after a call that has failed.

        Parameters
        ----------
        x
            The input.
        kept
            What `begin` returned.
        out
            What the output was to be written to, or None.
        """
        if out is not None and kept is not x and same_memory(out, np.asanyarray(x)):
            out[...] = kept

    def resume(self, saved: Any, dy: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Take dy, once `saved`, dy and `out` are known to be good: the first line of a pullback.

        Parameters
        ----------
        saved
            What the pullback was given.
        dy
            The gradient of y.
        out
            What dx is to be written to, or None.

        Returns
        -------
        ndarray
            The gradient dy.

        Raises
        ------
        TypeError
            For what another layer has saved, and for a dtype.
        ValueError
            For a shape, and for an `out` that cannot be written to.
        """
        if not isinstance(saved, self.Saved):
            who = type(self).__name__
            raise TypeError(
                f"{who}.pullback takes what {who}.apply has returned beside y, "
                f"got {type(saved).__module__}.{type(saved).__qualname__}"
            )
        if alike(dy, saved[0]) and (
            out is None or clear(out, dy, saved[0], self._parameters, self._buffers)
        ):
            return dy
        who = type(self).__name__
        dy = check_upstream(who, dy, saved[0], out)
        if out is not None:
            check_separate(who, "out", out, **self._arrays())
        return dy

    def gradients(self, **grads: Any) -> dict[str, np.ndarray]:
        """Make the dict of gradients that a pullback returns.

        Parameters
        ----------
        **grads
            The gradients by name, those of parameters that options leave out or hold fixed, too.

        Returns
        -------
        dict
            Those of the parameters that the layer learns, in their shape and dtype, and those of
            further inputs that are not None.

        Raises
        ------
        TypeError
            If the gradient of a parameter is missing.
        """
        try:
            return ordered_grads(grads, self._parameters, self._learned())
        except KeyError as error:
            missing, given = error.args
            raise TypeError(
                f"{type(self).__name__}.gradients needs one of {missing}, got "
                f"{', '.join(given) or 'none'}"
            ) from None

    def _check_own(self) -> None:
        """Raise for an array that is None, or not as it was built, or cannot move in training."""
        who, arrays, each = type(self).__name__, self._arrays(), vars(self).get("num_features")
        for name, (shape, dtype) in self._built.items():
            a = arrays.get(name)
            if a is None:
                if name not in self.optional_arrays:
                    raise ValueError(f"{who} needs {name}, which is None; assign an array to it")
            elif dtype in (FLOAT32, FLOAT64):
                meaning = "one for each channel" if shape == (each,) else "as it was built"
                check_parameters(who, {name: a}, shape, meaning, dtype)
            elif name.endswith("num_batches_tracked"):
                check_count(who, a)
        if self.training and self.thawed_form is None:
            moving = ((name.rpartition(".")[2], name) for name in self._buffers)
            names = [name for last, name in moving if last.startswith(_MOVING)]
            check_updatable(who, {name: self._buffers[name] for name in names})
