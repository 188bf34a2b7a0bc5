"""Reversible: the way back of a normalization that keeps what it has taken away."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...arrays.validation import (
    as_float_array,
    check_channels,
    check_rank,
    check_separate,
    check_upstream,
    keep_input,
)
from ._common import Guarded, quiet
from ._planes import move_planes, products

_RANKS = (3,)


class Inverse(NamedTuple):
    """What the pullback of an inverse needs."""

    y: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    axis: int


class Reached(NamedTuple):
    """What an inverse has done to the gradient of the forward before it."""

    by_std: np.ndarray
    by_centre: np.ndarray
    dweight: np.ndarray
    dbias: np.ndarray


class Reversible(Guarded):
    """Base of a layer with an inverse, and a pure pair of it, beside its own pair; see RevIN.

    What a subclass saves has the fields x, centre, rstd, inverse and reached; `_affine` gives its
    weight and bias in float64.
    """

    def inverse(self, y: np.ndarray, *, out: np.ndarray | None = None) -> np.ndarray:
        """Take y back to the level and scale of the last forward.

        It is (y - bias)/weight * std + centre, with the std and centre of that forward and the
        present weight and bias. y is kept for `inverse_backward`.

        Parameters
        ----------
        y
            The forecast, (N, H, C) with the N of that forward and any number of steps.
        out
            An array like y to write to; it may be y itself.

        Returns
        -------
        ndarray
            The forecast at the level of x.
        """
        if self._saved is None:
            raise RuntimeError(
                f"{type(self).__name__}.inverse needs a forward first: call the layer with x"
            )
        z, vars(self)["_saved"] = self.apply_inverse(self._saved, y, out=out)
        return z

    def inverse_backward(self, dz: np.ndarray, *, out: np.ndarray | None = None) -> np.ndarray:
        """Compute the gradient of the last inverse's y, and set `grads`.

        The next `backward` adds these to its own, and takes what reaches std and centre to x.

        Parameters
        ----------
        dz
            The gradient of the inverse's output.
        out
            An array like dz to write to; it may be dz itself.

        Returns
        -------
        ndarray
            The gradient of y.
        """
        saved = self._saved
        if saved is None or saved.inverse is None:
            raise RuntimeError(
                f"{type(self).__name__}.inverse_backward needs an inverse since the last forward: "
                f"call inverse(y)"
            )
        dy, self.grads, vars(self)["_saved"] = self.pullback_inverse(saved, dz, out=out)
        return dy

    @quiet
    def apply_inverse(
        self, saved: Any, y: np.ndarray, *, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, Any]:
        """Compute `inverse` of the apply that has returned `saved`.

        Parameters
        ----------
        saved
            What `apply` has returned.
        y
            The forecast.
        out
            An array like y to write to; it may be y itself.

        Returns
        -------
        z : ndarray
            The forecast at the level of x.
        saved : NamedTuple
            What `pullback_inverse` needs.
        """
        who, axis = f"{type(self).__name__}.inverse", self.channel_axis
        x, centre, rstd = saved.x, saved.centre, saved.rstd
        y = as_float_array(who, "y", y)
        check_rank(who, y, _RANKS, axis)
        check_channels(who, y, self.num_features, axis)
        if len(y) != len(x):
            raise ValueError(
                f"{who} expects {len(x)} samples, as many as the last forward had, got {len(y)} in "
                f"{y.shape}"
            )
        self._check_own()
        weight, bias = self._affine()
        if not weight.all():
            raise ValueError(
                f"{who} cannot divide by the weight 0 of channel {int(np.argmin(weight != 0))}; "
                f"keep weights away from 0, or build the layer with affine=False"
            )
        kept = keep_input(who, y, out, x=x, **self._arrays())
        try:
            z = move_planes(kept, bias, 1 / (rstd * weight), centre, axis, out)
        except BaseException:
            self.undo(y, kept, out)
            raise
        return z, saved._replace(inverse=Inverse(kept, weight, bias, axis), reached=None)

    @quiet
    def pullback_inverse(
        self, saved: Any, dz: np.ndarray, *, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray], Any]:
        r"""Compute the gradients of an `apply_inverse`, given that of its output.

        Parameters
        ----------
        saved
            What `apply_inverse` has returned.
        dz
            The gradient of its output.
        out
            An array like dz to write to; it may be dz itself.

        Returns
        -------
        dy : ndarray
            The gradient of y.
        grads : dict
            The gradients of weight and bias.
        saved : NamedTuple
            What the `pullback` of the apply needs, which adds these gradients to its own and takes
            what reaches std and centre to x.

        Notes
        -----
        .. math::

            dy &= dz \cdot std / weight \qquad dbias = -\sum dz \cdot std / weight

            dweight &= -\sum dz \cdot (y - bias) \cdot std / weight^2

            dstd &= \sum dz \cdot (y - bias) / weight \qquad dcentre = \sum dz
        """
        who = f"{type(self).__name__}.inverse_backward"
        y, weight, bias, axis = saved.inverse
        dz = check_upstream(who, dz, y, out)
        if out is not None:
            check_separate(who, "out", out, x=saved.x, **self._arrays())
        scale = 1 / (saved.rstd * weight)
        dy, along, total = products(dz, y, bias, np.ones(1), scale, axis, out)
        dweight, dbias = -(along * scale / weight).sum(0), -(total * scale).sum(0)
        reached = Reached(along / weight, total, dweight, dbias)
        grads = self.gradients(weight=dweight, bias=dbias)
        return dy, grads, saved._replace(reached=reached)
