"""RowNorm: what the norms have in common that know nothing but the moments of their input."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np

from ...arrays._looks import affine_grads, clear
from ...arrays.dtypes import PARAMETERS
from ...arrays.layout import Rows, trailing_rows
from ...arrays.validation import as_float_array, check_normalized_shape, check_parameters
from ...functional._checked import RowsWay, gradient_checked
from ..base.layer import Layer
from ..base.pair import new


class RowNorm(Layer):
    """Base of LayerNorm, RMSNorm and GroupNorm: the same in training and evaluation.

    A row, of which the moments are taken, is what lies on the last axes, `normalized_shape`; a
    subclass with other rows overrides `_rows` and `_affine_shape`.
    """

    sixteen_bits = "native"

    class Saved(NamedTuple):
        """What pullback needs."""

        x: np.ndarray
        rows: Rows
        stats: np.ndarray
        weight: np.ndarray | None

    optional_arrays = ("weight", "bias")
    affine_meaning: ClassVar[str] = "the normalized_shape"  # the shape's, in an error
    centred: ClassVar[bool] = True

    def reset_parameters(self) -> None:
        """Set weight to 1 and bias to 0, as in a new layer."""
        for name, a in self.named_parameters():
            a[...] = name == "weight"

    def apply(self, x: np.ndarray, *, out: np.ndarray | None = None) -> tuple[np.ndarray, Saved]:
        """Normalize x. See the class."""
        way = self._checked or self._check_arrays()
        found = way.known(x)
        if found is None:
            x = as_float_array(type(self).__name__, "x", x)
            found = way.learn(x, self._rows(x), self._eps(x))
        rows, eps = found
        kept = x
        if out is not None and not clear(out, x, self._parameters, self._buffers):
            kept = self.begin(x, out)
        try:
            y, stats, weight = way.normalize(kept, rows, eps, out)
        except BaseException as error:
            self.undo(x, kept, out)
            if isinstance(error, ValueError):
                self._check_arrays()  # an array was spoilt since it was checked: says which
            raise
        return y, new(RowNorm.Saved, (kept, rows, stats, weight))

    def pullback(
        self, saved: Saved, dy: np.ndarray, *, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Compute dx, in `out` where it is given, and the gradients of weight and bias."""
        dy, (x, rows, stats, weight) = self.resume(saved, dy, out), saved
        parameters = self._parameters
        wanted = parameters.get("weight") is not None, parameters.get("bias") is not None
        dx, dweight, dbias = gradient_checked(
            dy, x, rows, stats, weight, self.centred, out, PARAMETERS[self.dtype], wanted
        )
        return dx, affine_grads(parameters, dweight, dbias)

    def _rows(self, x: np.ndarray) -> Rows:
        # How the rows of x lie; ValueError for a shape that does not fit
        check_normalized_shape(type(self).__name__, x, self.normalized_shape)
        return trailing_rows(x, len(self.normalized_shape))

    def _affine_shape(self) -> tuple[int, ...]:
        return self.normalized_shape

    def _eps(self, x: np.ndarray) -> float:
        return self.eps

    def _check_arrays(self) -> RowsWay:
        # How to go about x, with weight and bias fit for the kernels
        who, dtype, arrays = type(self).__name__, PARAMETERS[self.dtype], self._parameters
        check_parameters(who, arrays, self._affine_shape(), self.affine_meaning, dtype)
        self._checked = RowsWay(arrays.get("weight"), arrays.get("bias"), self.centred)
        return self._checked
