"""Pair: what the pure pair of a layer begins and ends with, for built-ins and authors alike.

All that can be wrong with an input, an output and the arrays of the layer is looked at here, before
anything changes.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ...arrays.fixes import rank_fix
from ...arrays.validation import (
    as_float_array,
    check_channels,
    check_out,
    check_separate,
    check_upstream,
)
from .declared import Declared


class Pair(Declared):
    """What a variant writes its `apply` and `pullback` with; see Layer."""

    #: arrays that may be set to None after the layer was built, as they are where options say so
    optional_arrays: ClassVar[tuple[str, ...]] = ()
    #: what `apply` hands to `pullback`: a NamedTuple whose first field is x, or an array like it
    Saved: ClassVar[type]

    def begin(
        self,
        x: np.ndarray,
        out: np.ndarray | None = None,
        *,
        ndim: int | tuple[int, ...] = (),
        channels: int | None = None,
        channel_axis: int = 1,
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
            The axis of the channels.
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
        who = type(self).__name__
        x = as_float_array(who, "x", x)
        ranks = (ndim,) if isinstance(ndim, int) else ndim
        if ranks and x.ndim not in ranks:
            expected = " or ".join(f"{n}-D" for n in ranks)
            fix = rank_fix(who, x, ranks, channels, channel_axis)
            raise ValueError(f"{who} expects {expected} input, got {x.ndim}-D {x.shape}{fix}")
        if channels is not None:
            if not -x.ndim <= channel_axis < x.ndim:
                raise ValueError(f"{who} expects channels on axis {channel_axis}, got {x.shape}")
            check_channels(who, x, channels, channel_axis, own=ranks or None)
        if self._checked is None:
            self._check_there()
        if out is None:
            return x
        in_place = check_out(who, out, x, **others)
        if residual is not None:
            check_out(who, out, residual)
        check_separate(who, "out", out, **self._arrays())
        return x.copy(order="K") if in_place and keep else x

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
        if kept is not x and out is not None:
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
        who = type(self).__name__
        if not isinstance(saved, self.Saved):
            raise TypeError(
                f"{who}.pullback takes what {who}.apply has returned beside y, "
                f"got {type(saved).__module__}.{type(saved).__qualname__}"
            )
        dy = check_upstream(who, dy, saved[0], out)
        if out is not None:
            check_separate(who, "out", out, **self._arrays())
        return dy

    def gradients(self, **grads: Any) -> dict[str, np.ndarray]:
        """Make the dict of gradients that a pullback returns.

        Parameters
        ----------
        **grads
            The gradients by name, those of parameters that options leave out, too.

        Returns
        -------
        dict
            Those of the parameters that the layer has, in their shape and dtype, and those of
            further inputs that are not None.

        Raises
        ------
        TypeError
            If the gradient of a parameter is missing.
        """
        own = {}
        for name, a in self._parameters.items():
            g = grads.pop(name, None)
            if a is None:
                continue
            if g is None:
                raise TypeError(
                    f"{type(self).__name__}.gradients needs one of {name}, got "
                    f"{', '.join([*own, *grads]) or 'none'}"
                )
            if type(g) is not np.ndarray or g.dtype is not a.dtype or g.shape != a.shape:
                g = np.asarray(g, a.dtype).reshape(a.shape)
            own[name] = g
        for name, g in grads.items():
            if g is not None:
                own[name] = g
        return own

    def _check_there(self) -> None:
        """ValueError for an array that the layer was built with and that is None now."""
        for name in (*self._parameters, *self._buffers):
            missing = getattr(self, name, None) is None and name in self._needed
            if missing and name not in self.optional_arrays:
                raise ValueError(
                    f"{type(self).__name__} needs {name}, which is None; assign an array to it"
                )
