"""RowNorm: what the norms have in common that know nothing but the moments of their input."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np

from ...arrays._looks import affine_grads, clear
from ...arrays.dtypes import PARAMETERS
from ...arrays.layout import Rows
from ...arrays.outputs import empty_like
from ...arrays.validation import as_float_array, check_parameters, check_separate
from ...functional._checked import RowsWay, gradient_checked, rows_back
from ...functional.gates import OPEN, Gate, check_residual, gate_of
from ...functional.masks import check_item_mask, check_mask
from ...functional.rows import rows_in
from ..base.layer import Layer
from ..base.pair import new
from .holes import apply_holes, pullback_holes
from .masked import Masked, apply_rows, pullback_rows

# What a Saved has beside x, its rows, statistics and weight, of x and nothing else
ALONE = False, None, OPEN, None, None


class RowNorm(Layer):
    """Base of LayerNorm, RMSNorm and GroupNorm: the same in training and evaluation.

    A row, of which the moments are taken, is what lies on the last axes, `normalized_shape`, or on
    `channel_axis`; a subclass with other rows overrides `_rows` and `_affine_shape`.
    """

    sixteen_bits = "native"

    class Saved(NamedTuple):
        """What pullback needs."""

        x: np.ndarray
        rows: Rows
        stats: np.ndarray
        weight: np.ndarray | None
        added: bool = False  # a residual
        masked: Masked | None = None
        gate: Gate = OPEN
        bias: np.ndarray | None = None  # past an activation
        residual: np.ndarray | None = None

    optional_arrays = ("weight", "bias")
    differentiated = ("residual",)
    dresidual: np.ndarray | None = None
    affine_meaning: ClassVar[str] = "the normalized_shape"  # the shape's, in an error
    centred: ClassVar[bool] = True
    channel_axis = -1  # of subclasses without that option, and
    unit_offset = False
    activation: str | None = None
    negative_slope, alpha = 0.01, 1.0

    def _declare_affine(self, shape: tuple[int, ...], weight: bool, bias: bool) -> None:
        first = 0.0 if self.unit_offset else 1.0
        self.register_parameter("weight", np.full(shape, first, self.dtype) if weight else None)
        self.register_parameter("bias", np.zeros(shape, self.dtype) if bias else None)

    def reset_parameters(self) -> None:
        """Set weight to 1, or to 0 with `unit_offset`, and bias to 0, as in a new layer."""
        for name, a in self._parameters.items():
            if a is not None:
                a[...] = name == "weight" and not self.unit_offset

    def apply(
        self,
        x: np.ndarray,
        *,
        out: np.ndarray | None = None,
        residual: np.ndarray | None = None,
        mask: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Saved]:
        """Normalize x, and add the residual. See the class."""
        if mask is not None:
            who = type(self).__name__
            x = as_float_array(who, "x", x)
            if residual is not None:
                residual = check_residual(who, residual, x)
            return self._apply_masked(x, mask, out, residual)
        way = self._checked or self._check_arrays()
        if out is None and residual is None:
            made = way.alone(x)
            if made is not None:
                return made
        found = way.known(x)
        if found is None:
            x = as_float_array(type(self).__name__, "x", x)
            found = way.learn(x, self._rows(x), self._eps(x))
        rows, eps = found
        kept = x
        if residual is not None:
            residual = check_residual(type(self).__name__, residual, x)
            kept = self.begin(x, out, residual=residual)
        elif out is not None and not clear(out, x, self._parameters, self._buffers):
            kept = self.begin(x, out)
        gate, bias = self._gate(), None
        again = residual if gate is not OPEN else None  # what backward is to add once more
        if gate is not OPEN:
            bias = None if way.bias is None else way.bias.copy()
            if again is not None and out is not None and np.may_share_memory(out, again):
                again = again.copy()
        try:
            y, stats, weight = way.normalize(kept, rows, eps, out, residual, gate)
        except BaseException as error:
            self.undo(x, kept, out)
            if isinstance(error, ValueError):
                self._check_arrays()  # an array was spoilt since it was checked: says which
            raise
        added = residual is not None
        saved = kept, rows, stats, weight, added, None, gate, bias, again
        return y, new(RowNorm.Saved, saved)

    def _gate(self) -> Gate:
        if self.activation is None:
            return OPEN
        return gate_of("", self.activation, self.negative_slope, self.alpha)

    def pullback(
        self, saved: Saved, dy: np.ndarray, *, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Compute dx, in `out` where it is given, and gradients of weight, bias and residual."""
        if out is None and type(saved) is RowNorm.Saved:
            dtype, own = PARAMETERS[self.dtype], vars(self)
            made = rows_back(saved, dy, ALONE, self.centred, dtype, own)
            if made is not None:
                return made
        dy = self.resume(saved, dy, out)
        x, rows, stats, weight, added, masked, gate, bias, residual = saved
        if masked is not None:
            return self._pullback_masked(saved, dy, out)
        if out is not None and residual is not None:
            check_separate(type(self).__name__, "out", out, residual=residual)
        parameters, dresidual = self._learned(), empty_like(x) if added else None
        wanted = parameters.get("weight") is not None, parameters.get("bias") is not None
        dx, dweight, dbias = gradient_checked(
            dy, x, rows, stats, weight, self.centred, out, PARAMETERS[self.dtype], wanted, bias,
            residual, gate, dresidual,
        )  # fmt: skip
        return dx, affine_grads(parameters, dweight, dbias, dresidual)

    def _rows(self, x: np.ndarray) -> Rows:
        # How the rows of x lie; ValueError for a shape that does not fit
        return rows_in(type(self).__name__, x, self.normalized_shape, self.channel_axis)

    def _apply_masked(
        self, x: np.ndarray, mask: np.ndarray, out: np.ndarray | None, residual: np.ndarray | None
    ) -> tuple[np.ndarray, Saved]:
        who, rows, how = type(self).__name__, self._rows(x), apply_rows
        if self.channel_axis == 1:
            mask = check_mask(who, mask, x, 1)
        else:
            mask = check_item_mask(who, mask, x, len(self.normalized_shape))
            how = apply_holes if mask.ndim == x.ndim else apply_rows
        y, masked, kept = how(self, x, mask, out, residual)
        return y, self._saved_masked(kept, rows, masked)

    def _saved_masked(self, kept: np.ndarray, rows: Rows, masked: Masked) -> Saved:
        return RowNorm.Saved(kept, rows, np.empty(0), None, masked=masked, gate=self._gate())

    def _pullback_masked(
        self, saved: Saved, dy: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        x, masked = saved.x, saved.masked
        if masked.mask.ndim == x.ndim:
            return pullback_holes(self, x, masked, dy, out, saved.gate)
        return pullback_rows(self, x, masked, dy, out)

    def _affine_shape(self) -> tuple[int, ...]:
        return self.normalized_shape

    def _eps(self, x: np.ndarray) -> float:
        return self.eps

    def _check_arrays(self) -> RowsWay:
        # How to go about x, with weight and bias fit for the kernels
        who, dtype, arrays = type(self).__name__, PARAMETERS[self.dtype], self._parameters
        check_parameters(who, arrays, self._affine_shape(), self.affine_meaning, dtype)
        self._checked = RowsWay(
            arrays.get("weight"), arrays.get("bias"), self.centred, self.unit_offset,
            RowNorm.Saved, ALONE if self.activation is None else None,
        )  # fmt: skip
        return self._checked
