"""What the variants share: an apply in two halves, and the layers of features.

Where statistics lie within a sample or a map and the equation is a function of its own, the walk
over the data is `functional/maps.py`, and a variant says how coefficients follow from sums.
Rejected: NumPy over blocks that stay in cache, several times slower; a kernel for each variant.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np

from ...functional.running import Step, follow
from ..base.layer import Layer

# NaN, infinity and overflow in the data give NaN and infinity, without NumPy's warnings.
quiet = np.errstate(all="ignore")


class Guarded(Layer):
    """A layer whose apply is made of two halves: all that is checked, then all that is computed.

    A variant writes `_accepted`, `_computed` and `_pulled_back`. Running statistics move last, by
    the steps that `_computed` returns; where anything fails before, they and an x that was to be
    overwritten are as they were.
    """

    #: would NumPy warn of what `_computed` makes of some data? Kernels alone warn of nothing
    warned: ClassVar[bool] = True

    def apply(
        self, x: np.ndarray, *, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, NamedTuple]:
        """Compute y, in `out` where it is given, and what `pullback` needs. See the class."""
        return self._guarded(x, self._accepted(x, out), out)

    @quiet
    def pullback(
        self, saved: NamedTuple, dy: np.ndarray, *, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Compute dx, in `out` where it is given, and the gradients of the parameters."""
        return self._pulled_back(saved, self.resume(saved, dy, out), out)

    def _accepted(self, x: np.ndarray, out: np.ndarray | None) -> np.ndarray:
        """x as it may be kept, once x, `out` and all arrays of the layer are known to be good."""
        raise NotImplementedError

    def _computed(
        self, x: np.ndarray, out: np.ndarray | None, **inputs: Any
    ) -> tuple[np.ndarray, NamedTuple, list[Step]]:
        """y, what pullback needs, and how the running statistics are to move."""
        raise NotImplementedError

    def _pulled_back(
        self, saved: NamedTuple, dy: np.ndarray, out: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """dx and the gradients, of arguments that were checked."""
        raise NotImplementedError

    def _guarded(
        self, x: np.ndarray, kept: np.ndarray, out: np.ndarray | None, **inputs: Any
    ) -> tuple[np.ndarray, NamedTuple]:
        run = _run_quietly if self.warned else _run
        return run(self, x, kept, out, inputs)


def _run(
    layer: Guarded,
    x: np.ndarray,
    kept: np.ndarray,
    out: np.ndarray | None,
    inputs: dict[str, Any],
) -> tuple[np.ndarray, NamedTuple]:
    try:
        y, saved, steps = layer._computed(kept, out, **inputs)
        follow(steps)
    except BaseException:
        layer.undo(x, kept, out)
        raise
    return y, saved


_run_quietly = quiet(_run)


class Featured(Guarded):
    """A layer of `num_features`, `dtype` and `channel_axis`, whose parameters are of these.

    It declares them with `learn`, and takes its own copies with `copied`.
    """

    ranks: ClassVar[tuple[int, ...]] = (2, 3, 4, 5)
    #: parameters of one value; the others have one for each channel
    scalars: ClassVar[tuple[str, ...]] = ()

    num_features: int
    dtype: str
    channel_axis: int

    def learn(self, name: str, value: float | None) -> None:
        """Declare a parameter full of a value.

        Parameters
        ----------
        name
            Its name.
        value
            The value; None leaves the parameter out.
        """
        size = 1 if name in self.scalars else self.num_features
        filled = None if value is None else np.full(size, value, self.dtype)
        self.register_parameter(name, filled)

    def copied(self, name: str, otherwise: float = 0.0) -> np.ndarray:
        """Copy a parameter in float64, so that later changes do not reach a pullback.

        Parameters
        ----------
        name
            Its name.
        otherwise
            What stands for one that options leave out.

        Returns
        -------
        ndarray
            The copy, (C,) or (1,).
        """
        own = getattr(self, name)
        return np.full(1, otherwise) if own is None else own.astype(np.float64)

    def _accepted(self, x: np.ndarray, out: np.ndarray | None) -> np.ndarray:
        return self.begin(x, out, ndim=self.ranks, channels=self.num_features)
