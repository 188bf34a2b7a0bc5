"""SpectralNorm: a weight over its largest singular value, which a few steps of iteration follow.

As with WeightStandardization, what it normalizes is the weight of a linear layer or convolution, in
the names and by the definition of PyTorch's parametrization. PyTorch draws the vectors when the
weight is registered and takes fifteen steps with it; here that is done in the first training call,
from vectors that are drawn alike every time. Products of matrices are einsum's: those of BLAS add
in an order that depends on the machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np

from ...arrays.outputs import empty_like
from ...options import Bounds, DType, PositiveInt
from ...terms.registry import register
from ..base.layer import Layer
from ..base.state import IncompatibleKeys
from ._common import quiet
from ._lines import Lines, axes_of, lengths, lines_of, scaled, scaled_back

_FIRST_STEPS = 15  # as many as PyTorch takes when a weight is registered


class Vectors(NamedTuple):
    """The singular vectors, float64, (out_channels,) and (fan_in,)."""

    u: np.ndarray
    v: np.ndarray


@register("SpectralNorm", aliases=("SpectralNormalization",))
class SpectralNorm(Layer):
    r"""Spectral normalization: a weight over its largest singular value.

    What it normalizes is the weight of a linear layer or convolution, not an activation [1]_. The
    singular value is that of the weight as a matrix, with a row for each filter, and is found by
    power iteration, some steps in each training call. It is PyTorch's parametrization of this name.

    Parameters
    ----------
    n_power_iterations
        The steps of a training call.
    eps
        The least length that a vector is divided by.
    dim
        The axis of the filters: 0, or 1 for transposed convolutions in PyTorch.
    out_channels
        The number of filters; None leaves it to the first weight, or to a state dict.
    fan_in
        The number of values of a filter; None leaves it to the first weight as well.
    dtype
        Of the buffers. Inputs may be float16, bfloat16, float32 or float64 with either.

    Attributes
    ----------
    _u, _v : (out_channels,), (fan_in,), or None
        The singular vectors, under PyTorch's names; zeros before the first training call, and None
        until their sizes are known. A vector as the weight has none.
    grads : dict
        Empty, since nothing is learned.

    Raises
    ------
    TypeError
        For an option of another type, and for a weight of another dtype than float16, bfloat16,
        float32 and float64.
    ValueError
        For an option out of range; for a weight without that axis, or of other sizes than those
        before; for an `out` that cannot be written to.

    Notes
    -----
    .. math:: y = \frac{x}{u^T W v}

    with W the weight as a matrix. A step of the iteration sets u to W v and v to W^T u, each over
    its length. The first training call takes fifteen more, from vectors that are drawn alike
    every time; evaluation takes u and v as they are, and before any training call those of
    fifteen steps, which it does not keep. A weight of one axis is divided by its length.

    The gradient takes u and v as constants, as PyTorch does, which is exact once they have
    converged:

    .. math:: dx = \frac{dy}{\sigma} - \frac{\sum dy \cdot x}{\sigma^2} u v^T

    A weight of zeros gives zeros, where PyTorch has NaN.

    x is a weight, 2-D or more, or a vector; y has its shape, dtype and memory order, and is written
    to `out` where it is given. `backward` turns the gradient of y, which the layer that uses it
    gives, into that of x. x is kept for it, not copied (unless in place).

    References
    ----------
    .. [1] Miyato, Kataoka, Koyama and Yoshida, Spectral Normalization for Generative Adversarial
       Networks, 2018 (arXiv 1802.05957).

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.SpectralNorm()
    >>> weight = np.array([[3.0, 0.0], [0.0, 1.0]])
    >>> layer(weight).round(3)
    array([[1.   , 0.   ],
           [0.   , 0.333]])
    >>> layer
    SpectralNorm(n_power_iterations=1, eps=1e-12, dim=0, out_channels=2, fan_in=2)
    """

    num_features_option = None
    optional_arrays = ("_u", "_v")
    _constants: ClassVar[str] = "in training u and v are taken as constants, and follow x"
    excused_checks: ClassVar[Mapping[str, str]] = {
        "gradient-x": _constants, "gradient-adjoint": _constants,
        "sixteen-bits": "by the vectors of another weight a gradient may be beyond float16",
    }  # fmt: skip

    class Saved(NamedTuple):
        """What pullback needs."""

        x: np.ndarray
        lines: Lines
        sizes: np.ndarray
        vectors: Vectors | None  # of a matrix

    def __init__(
        self,
        n_power_iterations: PositiveInt = 1,
        eps: Annotated[float, Bounds(ge=0)] = 1e-12,
        dim: int = 0,
        *,
        out_channels: PositiveInt | None = None,
        fan_in: PositiveInt | None = None,
        dtype: DType = "float32",
    ) -> None:
        for name, size in (("_u", out_channels), ("_v", fan_in)):
            self.register_buffer(name, None if size is None else np.zeros(size, dtype))

    @quiet
    def apply(self, x: np.ndarray, *, out: np.ndarray | None = None) -> tuple[np.ndarray, Saved]:
        """Divide a weight by its singular value; in training move the vectors. See the class."""
        who = type(self).__name__
        kept = self.begin(x, out)
        (axis,) = axes_of(who, kept, (self.dim,))
        alone = kept.ndim == 1
        if alone:
            lines, vectors = lines_of(kept, (0,)), None
            size = np.maximum(lengths(lines, kept), self.eps)
        else:
            lines = lines_of(kept, tuple(i for i in range(kept.ndim) if i != axis))
            matrix = lines.maps.arrangement.gather(kept)[0].astype(np.float64)
            self._check_sizes(matrix.shape, kept.shape)
            vectors = self._followed(matrix)
            along = np.einsum("ij,j->i", matrix, vectors.v)
            sigma = (vectors.u * along).sum() if kept.size else 0.0
            size = np.full(len(matrix), sigma)
        try:
            y = scaled(lines, kept, size, np.ones_like(size), out)
        except BaseException:
            self.undo(x, kept, out)
            raise
        if self.training and vectors is not None and kept.size:
            self._keep_vectors(vectors)
        return y, self.Saved(kept, lines, size, vectors)

    @quiet
    def pullback(
        self, saved: Saved, dy: np.ndarray, *, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Compute dx, in `out` where it is given, with u and v as constants."""
        dy, (x, lines, sizes, vectors) = self.resume(saved, dy, out), saved
        if vectors is None:
            fixed = sizes <= self.eps
            dx, _ = scaled_back(lines, dy, x, sizes, np.ones_like(sizes), out, 2, fixed)
            return dx, self.gradients()
        scale = np.divide(1, sizes, out=np.zeros_like(sizes), where=sizes != 0)
        along = (lines.maps.sums(dy, x, 1.0)[0, 0] * scale).sum()
        outer = empty_like(x)
        lines.maps.arrangement.scatter(np.multiply.outer(*vectors)[None].astype(x.dtype), outer)
        dx = lines.maps.gradient(dy, outer, scale, k=-along * scale, out=out)
        return dx, self.gradients()

    def load_state_dict(
        self, state: Mapping[str, np.ndarray], strict: bool = True
    ) -> IncompatibleKeys:
        """Load as Layer.load_state_dict does; the state dict may tell the sizes."""
        arrays = [state.get(name) for name in ("_u", "_v")] if isinstance(state, Mapping) else []
        sizes = [np.shape(a) for a in arrays]
        if self._u is None and len(sizes) == 2 and all(len(s) == 1 and s[0] for s in sizes):
            (out_channels,), (fan_in,) = sizes
            options = {**self.get_config(), "out_channels": out_channels, "fan_in": fan_in}
            options.pop("type")
            twin = type(self)(**options)
            twin.load_state_dict(state, strict)  # whether all is well
            self._keep_vectors(Vectors(twin._u, twin._v))
        return super().load_state_dict(state, strict)

    def _check_sizes(self, sizes: tuple[int, int], shape: tuple[int, ...]) -> None:
        names = "out_channels", "fan_in"
        for name, size, own in zip(names, sizes, (self.out_channels, self.fan_in), strict=True):
            if own is not None and own != size:
                raise ValueError(
                    f"{type(self).__name__} expects a weight of {self.out_channels} filters on "
                    f"dim {self.dim} with {self.fan_in} values each, got {shape}; build another "
                    f"layer with {name}={size}"
                )

    def _followed(self, matrix: np.ndarray) -> Vectors:
        """u and v for this weight, as they are kept."""
        steps = self.n_power_iterations if self.training else 0
        u, v = self._u, self._v
        if u is None or v is None or not (u.any() and v.any()):
            rng = np.random.default_rng(0)
            u, v = (_unit(rng.standard_normal(n), self.eps) for n in matrix.shape)
            steps += _FIRST_STEPS
        for _ in range(steps if matrix.size else 0):
            u = _unit(np.einsum("ij,j->i", matrix, v), self.eps)
            v = _unit(np.einsum("ij,i->j", matrix, u), self.eps)
        return Vectors(*(a.astype(self.dtype).astype(np.float64) for a in (u, v)))

    def _keep_vectors(self, vectors: Vectors) -> None:
        for name, option, a in zip(("_u", "_v"), ("out_channels", "fan_in"), vectors, strict=True):
            own: Any = getattr(self, name)
            if own is None:
                self.settle_option(option, len(a))
                self.register_buffer(name, a.astype(self.dtype))
            else:
                own[...] = a


def _unit(a: np.ndarray, eps: float) -> np.ndarray:
    """a over its length, at least eps, in two steps, since squares may be out of range."""
    top = np.abs(a).max(initial=0)
    if not 0 < top < np.inf:
        return a.astype(np.float64)
    a = a / top
    size = np.sqrt((a * a).sum())
    return a / max(size, eps / top)
