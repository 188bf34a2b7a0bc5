"""DomainSpecificBatchNorm: one batch norm per domain, and the call says which."""

from __future__ import annotations

from numbers import Integral
from typing import Annotated, ClassVar, NamedTuple

import numpy as np

from ...options import Bounds, takes_options_of
from ...terms.registry import register
from ..base.fixed import Fixed
from ..base.ranks import ranked
from .batchnorm import BatchNorm
from .parts import MEMBERS, Part, PartedBatchNorm


@register("DomainSpecificBatchNorm", aliases=("DSBN",))
class DomainSpecificBatchNorm(PartedBatchNorm):
    r"""Batch normalization of <shapes> with arrays of its own for each domain.

    `layer(x, domain=d)` is BatchNorm<d> with the weight, bias and running statistics of domain d, 0
    to num_domains - 1; without `domain` domain 0 is meant. In training the running statistics of
    that domain alone move; the gradients of the others are zero [1]_.

    Parameters
    ----------
    num_domains
        How many domains there are.

    Attributes
    ----------
    grads : dict
        The gradients after `backward`, of `bns.0.weight`, `bns.0.bias` and so on for each domain.
        The names in `named_parameters`, `named_buffers` and `state_dict` are alike, with
        `bns.0.running_mean`, `bns.0.running_var` and `bns.0.num_batches_tracked`.
    dresidual : ndarray or None
        The gradient of the residual after the backward of a forward that had one.

    Raises
    ------
    TypeError
        For an option of another type, for an x of another dtype than float16, bfloat16, float32 and
        float64, and for a domain that is no int.
    ValueError
        For an option out of range; for an x of another rank or number of channels, or, in training,
        with one value per channel; for a domain that there is not; for an `out` that cannot be
        written to. The layer is unchanged then.

    Notes
    -----
    .. math:: y = \frac{x - \mathrm{mean}}{\sqrt{\mathrm{var} + \epsilon}} \cdot weight_d + bias_d

    with mean and var (biased) those of the batch in training, and the running statistics of domain
    d in evaluation. Names in state dicts are those of the authors' code.

    x is <shapes>.
    `layer(x, residual=z)` adds z before the activation, and `layer(x, mask=m)` takes the positions
    where m is True as the data; the others come out as 0.

    References
    ----------
    .. [1] Chang, You, Seo, Kwak and Han, Domain-Specific Batch Normalization for Unsupervised
       Domain Adaptation, 2019 (arXiv 1906.03950).

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.<name>(1, momentum=1)
    >>> photos = np.array([1.0, 3.0]).reshape(1, 1, 2<ones>)
    >>> layer(photos, domain=0).round(3).ravel(), layer(10 * photos, domain=1).round(3).ravel()
    (array([-1.,  1.]), array([-1.,  1.]))
    >>> state = layer.state_dict()
    >>> state["bns.0.running_mean"].item(), state["bns.1.running_mean"].item()
    (2.0, 20.0)
    """

    ranks: ClassVar[tuple[int, ...]] = (2, 3, 4, 5)
    sized_by = ("num_features", "num_domains")

    @takes_options_of(BatchNorm)
    def __init__(
        self, *args, num_domains: Annotated[int, Bounds(ge=1, le=MEMBERS)] = 2, **kwargs
    ) -> None:
        super().__init__(*args, **kwargs)
        self._declare_further(tuple(f"bns.{i}." for i in range(num_domains)), keep=False)

    def fixed(self, who: str) -> Fixed:
        """Each domain is one in evaluation, and the layer is none."""
        raise ValueError(
            f"{who} got a {type(self).__name__}, which has running statistics for each domain; "
            f"load those of one, such as bns.0., into a BatchNorm and take that"
        )

    def apply(
        self, x: np.ndarray, *, out: np.ndarray | None = None, domain: int = 0, **inputs: np.ndarray
    ) -> tuple[np.ndarray, NamedTuple]:
        """Normalize x by the batch norm of `domain`. See the class."""
        return super().apply(x, out=out, domain=domain, **inputs)

    def _parts(self, x: np.ndarray, domain: int) -> list[Part]:
        """All of x, of one domain."""
        who, many = type(self).__name__, self.num_domains
        if isinstance(domain, (bool, np.bool_)) or not isinstance(domain, Integral):
            raise TypeError(
                f"{who} takes an int as domain, got {domain!r} ({type(domain).__name__}); "
                f"a batch is of one domain"
            )
        if not 0 <= domain < many:
            raise ValueError(
                f"{who} has the domains 0 to {many - 1}, got domain={domain}; pass one that it has"
                f"{', or build the layer with a larger num_domains' if domain > 0 else ''}"
            )
        prefix = f"bns.{domain}."
        return [Part(slice(None), prefix, self.channel_arrays(prefix))]

    def sample_inputs(self, x: np.ndarray) -> dict[str, int]:
        """The last domain."""
        return {"domain": self.num_domains - 1}


DomainSpecificBatchNorm1d, DomainSpecificBatchNorm2d, DomainSpecificBatchNorm3d = ranked(
    DomainSpecificBatchNorm, "DSBN"
)
