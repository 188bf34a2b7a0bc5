"""LocalResponseNorm: each item damped by its neighbours in other channels."""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

import numpy as np

from ...arrays.validation import as_float_array
from ...functional._checked import respond_back_checked, respond_checked
from ...options import PositiveInt
from ...terms.registry import register
from ..base.layer import Layer
from ..base.pair import new


@register("LocalResponseNorm", aliases=("LRN",))
class LocalResponseNorm(Layer):
    r"""Local response normalization: each item divided by a power of what is around it.

    The sum is over a window of `size` channels at the same place: size//2 before an item's own and
    (size-1)//2 after it; channels that are missing at the ends count as zero. There is nothing to
    learn, and training and evaluation are the same [1]_. Names, defaults and semantics are those of
    PyTorch.

    Parameters
    ----------
    size
        The channels in a window.
    alpha
        The weight of the sum of squares, which is divided by `size`, as in PyTorch; the alpha of
        the paper is not.
    beta
        The exponent.
    k
        Added to the weighted sum. Where that becomes 0 or negative, y is not finite.

    Attributes
    ----------
    grads : dict
        Empty, since nothing is learned.

    Raises
    ------
    ValueError
        For an option out of range; for an x of less than three axes; for an `out` that cannot be
        written to.

    Notes
    -----
    .. math:: y = \frac{x}{s^\beta} \qquad s = k + \frac{\alpha}{size} \sum x^2

    x is (N, C, L) or (N, C, ...) of any number of channels, with any strides: num_features in a
    config means nothing here. The sums are in the dtype of x. y has its shape, dtype and memory
    order, and is written to `out` where it is given; x itself as `out` works in place. x is kept
    for `backward` until the next `forward`, not copied (unless in place): leave it unchanged until
    then.

    References
    ----------
    .. [1] Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep Convolutional Neural
       Networks, 2012, section 3.3.

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.LocalResponseNorm(2, alpha=2, beta=0.5, k=0)
    >>> layer
    LocalResponseNorm(2, alpha=2.0, beta=0.5, k=0.0)
    >>> layer(np.array([[[3.0], [4.0]]]))
    array([[[1. ],
            [0.8]]])
    >>> layer.backward(np.array([[[0.0], [1.0]]]))
    array([[[-0.096],
            [ 0.072]]])
    """

    num_features_option: ClassVar[None] = None
    sized_by = ()
    sixteen_bits = "native"

    class Saved(NamedTuple):
        """What pullback needs: x and the options of then."""

        x: np.ndarray
        size: int
        alpha: float
        beta: float
        k: float
        channel_axis: int

    def __init__(
        self,
        size: PositiveInt,
        alpha: float = 1e-4,
        beta: float = 0.75,
        k: float = 1.0,
        *,
        channel_axis: Literal[1, -1] = 1,
    ) -> None:
        pass

    def apply(self, x: np.ndarray, *, out: np.ndarray | None = None) -> tuple[np.ndarray, Saved]:
        """Normalize x. See the class."""
        who = type(self).__name__
        x = as_float_array(who, "x", x)
        if x.ndim < 3:
            raise ValueError(
                f"{who} expects 3-D input (N, C, L) or more, got {x.ndim}-D {x.shape}; "
                f"x[:, :, None] has an axis of one place"
            )
        kept = self.begin(x, out)
        options = self.size, self.alpha, self.beta, self.k, self.channel_axis
        try:
            y = respond_checked(kept, *options, out)
        except BaseException:
            self.undo(x, kept, out)
            raise
        return y, new(self.Saved, (kept, *options))

    def pullback(
        self, saved: Saved, dy: np.ndarray, *, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Compute dx, in `out` where it is given, and {}."""
        return respond_back_checked(self.resume(saved, dy, out), *saved, out), {}
