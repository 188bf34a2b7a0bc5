"""DomainSpecificBatchNorm: one batch norm per domain, and the call says which."""

from __future__ import annotations

from numbers import Integral
from typing import Annotated, NamedTuple

import numpy as np

from ...options import Bounds, takes_options_of
from ...registry import register
from ...validation import check_input
from .batchnorm import BatchNorm
from .parts import MEMBERS, Part, PartedBatchNorm


@register("DomainSpecificBatchNorm", aliases=("DSBN",))
class DomainSpecificBatchNorm(PartedBatchNorm):
    r"""Batch normalization with weight, bias and running statistics of its own for each domain.

    `layer(x, domain=d)` is BatchNorm with the arrays of domain d, 0 to num_domains - 1. In training
    the running statistics of that domain alone move; the gradients of the others are zero.

    Chang, You, Seo, Kwak and Han, Domain-Specific Batch Normalization for Unsupervised Domain
    Adaptation, 2019 (arXiv 1906.03950). Names in state dicts are those of the authors' code.

    Options, input and output are those of BatchNorm, with residual= and mask=, and:

    Parameters
    ----------
    num_domains: how many there are, >= 1.

    Attributes
    ----------
    named_parameters(), named_buffers(), state_dict(), grads: `bns.0.weight`, `bns.0.bias`,
        `bns.0.running_mean` and so on for each domain.

    forward takes `domain`, an int; without it domain 0 is meant. Raises what BatchNorm raises,
    TypeError for a domain that is no int, and ValueError for one that there is not.

    DomainSpecificBatchNorm takes (N, C), (N, C, L), (N, C, H, W) and (N, C, D, H, W);
    DomainSpecificBatchNorm1d, 2d and 3d take what BatchNorm1d, 2d and 3d take.

    >>> import numpy as np
    >>> import cybn
    >>> layer = cybn.DomainSpecificBatchNorm(1, momentum=1)
    >>> photos, sketches = np.array([[1.0], [3.0]]), np.array([[10.0], [30.0]])
    >>> layer(photos, domain=0).round(3).ravel(), layer(sketches, domain=1).round(3).ravel()
    (array([-1.,  1.]), array([-1.,  1.]))
    >>> state = layer.state_dict()
    >>> state["bns.0.running_mean"].item(), state["bns.1.running_mean"].item()
    (2.0, 20.0)
    """

    ranks = (2, 3, 4, 5)
    sized_by = ("num_features", "num_domains")

    @takes_options_of(BatchNorm)
    def __init__(
        self, *args, num_domains: Annotated[int, Bounds(ge=1, le=MEMBERS)] = 2, **kwargs
    ) -> None:
        super().__init__(*args, **kwargs)
        self._declare_further(tuple(f"bns.{i}." for i in range(num_domains)), keep=False)

    def apply(
        self,
        x: np.ndarray,
        *,
        out: np.ndarray | None = None,
        domain: int = 0,
        residual: np.ndarray | None = None,
        mask: np.ndarray | None = None,
    ) -> tuple[np.ndarray, NamedTuple]:
        """Normalize x by the batch norm of `domain`. See the class."""
        who = type(self).__name__
        x = check_input(who, x, self.ranks, self.num_features, self.channel_axis)
        many = self.num_domains
        if isinstance(domain, (bool, np.bool_)) or not isinstance(domain, Integral):
            raise TypeError(
                f"{who} takes an int as domain, got {domain!r} ({type(domain).__name__}); "
                f"a batch is of one domain"
            )
        if not 0 <= domain < many:
            raise ValueError(
                f"{who} has the domains 0 to {many - 1}, got domain={domain}; build the layer with "
                f"a larger num_domains, or pass one that it has"
            )
        prefix = f"bns.{domain}."
        parts = [Part(slice(None), prefix, self.channel_arrays(prefix))]
        return self._apply_parts(x, out, residual, mask, parts)

    def sample_inputs(self, x: np.ndarray) -> dict[str, int]:
        """The last domain."""
        return {"domain": self.num_domains - 1}


@register("DomainSpecificBatchNorm1d", aliases=("DSBN1d",))
class DomainSpecificBatchNorm1d(DomainSpecificBatchNorm):
    """Domain-specific batch normalization of (N, C) or (N, C, L); see DomainSpecificBatchNorm."""

    ranks = (2, 3)


@register("DomainSpecificBatchNorm2d", aliases=("DSBN2d",))
class DomainSpecificBatchNorm2d(DomainSpecificBatchNorm):
    """Domain-specific batch normalization of (N, C, H, W); see DomainSpecificBatchNorm."""

    ranks = (4,)


@register("DomainSpecificBatchNorm3d", aliases=("DSBN3d",))
class DomainSpecificBatchNorm3d(DomainSpecificBatchNorm):
    """Domain-specific batch normalization of (N, C, D, H, W); see DomainSpecificBatchNorm."""

    ranks = (5,)
