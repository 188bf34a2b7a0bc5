"""SyncBatchNorm: batch normalization by the statistics of all processes.

A part of the batch gives its moments, hears those of the others and is normalized by the whole
(functional/halves.py); what is exchanged, and how errors travel, is in distributed/. Where nothing
is to be exchanged, in evaluation and for a process that is alone, it is BatchNorm, to the bit.

Rejected: an average of the parts' means and variances, which is wrong for parts of different sizes;
`comm` as an option, since a config that is read on another machine means the processes there.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from ...arrays._looks import affine_grads
from ...arrays.dtypes import PARAMETERS
from ...arrays.fixes import eval_fix
from ...arrays.validation import as_float_array, check_eps, check_separate
from ...exchange.connect import check_comm, link_of
from ...exchange.link import Link
from ...functional import (
    Moments,
    batch_norm_apply,
    batch_norm_backward_apply,
    batch_norm_backward_reduce,
)
from ...functional.batch_checked import sums_checked
from ...functional.gates import check_residual, gate_of
from ...functional.masks import check_mask, pick
from ...functional.merging import added
from ...functional.running import Step, fits, follow
from ...options import AT_RUN_TIME, takes_options_of
from ...terms.registry import register
from ..base.fixed import Fixed
from ..base.ranks import ranked
from .batches import check_running, unfit_batch
from .batchnorm import BatchNorm


class _Comm:
    """A communicator: copies of a layer share it, and it does not travel to another process."""

    def __init__(self, comm: Any = None) -> None:
        self.comm = comm
        self._link: Link | None = None

    def link(self) -> Link:
        """The link over it; what None stands for may change, and is asked each time."""
        if self._link is None or self.comm is None:
            self._link = link_of(self.comm)
        return self._link

    def __deepcopy__(self, memo: dict) -> Self:
        return self

    def __reduce__(self) -> tuple:
        return _Comm, ()


class _Sent(NamedTuple):
    """Of a forward in parts: over what, as which layer, the count of the whole, and the gate."""

    link: Link
    name: str
    count: int
    gate: dict[str, Any]


@register("SyncBatchNorm", aliases=("SyncBN",))
class SyncBatchNorm(BatchNorm):
    r"""Batch normalization of <shapes> by the statistics of all processes.

    In training each process brings a part of the batch, and every part comes out, forward and
    backward, as if it had been normalized in the whole; the running statistics follow the whole,
    with the same bits on every process. Evaluation is BatchNorm<d>, without communication.

    Attributes
    ----------
    comm : object or None
        The communicator, which may be assigned.
    label : str
        What errors call the layer, besides its number; `cybn.distributed.connect` sets it.

    Other Parameters
    ----------------
    comm
        Which processes: an mpi4py communicator, a process group of torch.distributed, or an object
        of the protocol `cybn.distributed.Group`. None is all of them: MPI's world where the program
        runs under MPI, else the default process group where there is one, else this process alone.
        It is set at run time and no part of the config.

    Raises
    ------
    SyncError
        If another process fails in this layer, is at another one, or with another dtype, or does
        not come in time; on all processes, which name it. The layer is unchanged then.

    Notes
    -----
    With the count n_r, mean and variance of the part of process r, in the order of r,

    .. math::

        mean &= \frac{1}{n} \sum_r n_r \cdot mean_r \qquad n = \sum_r n_r

        var &= \frac{1}{n} \sum_r n_r \left(var_r + (mean_r - mean)^2\right)

    and then each part is normalized as by BatchNorm<d>. The parts may differ in size, and be empty
    or all masked: a process without data calls the layer with an empty array. Sums are merged in
    float64, in the order of processes, as by `cybn.functional.merge_moments`.

    One exchange in a forward, of a count and three numbers for each channel, and one in a backward,
    of two. The gradients of weight and bias are those of the part, as in PyTorch;
    `cybn.distributed.sum_over_ranks` adds them up.

    x is <shapes>. `residual` and `mask` are those of BatchNorm<d>. One value per channel in the
    whole batch is what `on_single` is for.

    References
    ----------
    .. [1] Ioffe and Szegedy, Batch Normalization: Accelerating Deep Network Training by Reducing
       Internal Covariate Shift, 2015 (arXiv 1502.03167).
    .. [2] Peng et al., MegDet: A Large Mini-Batch Object Detector, 2018 (arXiv 1711.07240), which
       has it as cross-GPU batch normalization.

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> x = np.array([1.0, 2.0, 3.0, 4.0]).reshape(4, 1, 1<ones>)
    >>> def process(group):  # a thread in the place of each of two processes
    ...     layer = cybn.<name>(1, comm=group)
    ...     y = layer(x[:1] if group.rank == 0 else x[1:])
    ...     return y.ravel().round(3), layer.running_mean
    >>> for y, mean in cybn.distributed.run_threads(2, process):
    ...     print(y, mean)
    [-1.342] [0.25]
    [-0.447  0.447  1.342] [0.25]
    """

    ranks: ClassVar[tuple[int, ...]] = (2, 3, 4, 5)
    running_moments = True
    label: str = ""
    _held = _Comm()

    class Saved(NamedTuple):
        """What pullback needs: of BatchNorm, and of the exchange if there was one."""

        x: np.ndarray
        own: BatchNorm.Saved
        sent: _Sent | None

    @takes_options_of(BatchNorm)
    def __init__(self, *args, comm: AT_RUN_TIME = None, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.comm = comm

    def fixed(self, who: str) -> Fixed:
        """A scale and a shift in evaluation."""
        return super().fixed(who)

    @property
    def comm(self) -> Any:
        """The communicator, None for all processes."""
        return self._held.comm

    @comm.setter
    def comm(self, comm: Any) -> None:
        check_comm(comm, type(self).__name__)
        vars(self)["_held"] = _Comm(comm)
        with suppress(Exception):  # which the first forward raises, if it is still so
            self._held.link()  # from here on the others hear of it when this process ends

    def apply(
        self,
        x: np.ndarray,
        *,
        out: np.ndarray | None = None,
        residual: np.ndarray | None = None,
        mask: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Saved]:
        """Normalize x by the statistics of all processes. See the class."""
        link = self._held.link() if self.training else None
        if link is None or link.size == 1:
            y, own = super().apply(x, out=out, residual=residual, mask=mask)
            return y, self.Saved(own.x, own, None)
        return self._apply_in_part(link, x, out, residual, mask)

    def pullback(
        self, saved: Saved, dy: np.ndarray, *, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Compute dx, past the statistics of all processes, and the gradients of the part."""
        if isinstance(saved, self.Saved) and saved.sent is not None:
            return self._pulled_back_in_part(saved, dy, out)
        dy, own = self.resume(saved, dy, out), saved.own
        if out is not None and own.y is not None:
            check_separate(type(self).__name__, "out", out, y=own.y)
        dx, dweight, dbias, dz = self._pulled_back(own, dy, out)
        return dx, affine_grads(self._learned(), dweight, dbias, dz)

    # Inside

    def _name(self, link: Link) -> str:
        name = type(self).__name__
        where = f" {self.label}" if self.label else ""
        return f"layer {link.number(self)}{where}, {name}({self.num_features})"

    def _apply_in_part(self, link, x, out, residual, mask):
        who, axis, name = type(self).__name__, self.channel_axis, self._name(link)
        kind = getattr(x, "dtype", None)
        place = f"the forward of {name} of {kind}"
        with link.reporting(place, 3 * self.num_features):
            x = as_float_array(who, "x", x)
            if residual is not None:
                residual = check_residual(who, residual, x)
            kept = self.begin(
                x, out, ndim=self.ranks, channels=self.num_features, residual=residual
            )
            if mask is not None:
                mask = check_mask(who, mask, kept, axis).copy()
            check_eps(who, self.eps, True)
            way = self._way_with(self.channel_arrays())
            valid = kept if mask is None else pick(kept, mask, axis)
            values, sums = valid.size // self.num_features, np.zeros((3, self.num_features))
            if values:
                sums = sums_checked(valid, axis if mask is None else 1)
        whole = Moments.of_parts(*link.exchange(place, values, sums))
        step = None
        if whole.count == 1:
            if self.on_single != "running":
                raise ValueError(_one_value(self, link.size))
            check_running(self, way)
            stats = given = self._running_stats(way)
        else:
            stats = whole.stats(self.eps)
            given = whole if whole.count else stats
            step = self._step_of(whole, stats, way, kept, mask)
        gate = {
            "activation": self.activation, "negative_slope": self.negative_slope,
            "alpha": self.alpha,
        }  # fmt: skip
        try:
            y = batch_norm_apply(
                kept, given, way.weight, way.bias, eps=self.eps, mask=mask, channel_axis=axis,
                out=out, residual=residual, who=who, **gate,
            )  # fmt: skip
        except BaseException:
            self.undo(x, kept, out)
            raise
        if step is not None:
            follow([step])
        own = BatchNorm.Saved(
            kept, stats, None if way.weight is None else way.weight.copy(), whole.count != 1, axis,
            None if self.activation is None else y, gate_of(who, **gate), residual is not None,
            mask, None if mask is None else valid,
            None if way.bias is None else way.bias.copy(),
            residual.copy() if residual is not None and out is residual else residual,
        )  # fmt: skip
        sent = _Sent(link, name, whole.count, gate) if whole.count > 1 else None
        return y, self.Saved(kept, own, sent)

    def _running_stats(self, way: Any) -> np.ndarray:
        """The running mean and variance as (3, C) statistics."""
        mean, var = (a.astype(np.float64) for a in (way.running_mean, way.running_var))
        return np.stack([mean, var, 1 / np.sqrt(var + self.eps)])

    def _step_of(self, whole, stats, way, x, mask):
        """How the running statistics are to move, or None; ValueError for data that is refused."""
        m = whole.count if self.unbiased else 0
        fit = fits(stats, m, PARAMETERS[self.dtype])
        if self.on_nonfinite == "error" and not (fit if way.moves else np.isfinite(stats)).all():
            raise ValueError(unfit_batch(self, stats, fit, x, mask, None))
        if not (way.moves and whole.count and (self.on_nonfinite != "skip" or fit.all())):
            return None
        running = way.running_mean, way.running_var, way.num_batches_tracked
        return Step(*running, stats, m, self.step_size(way.num_batches_tracked))

    def _pulled_back_in_part(self, saved, dy, out):
        own, (link, name, count, gate) = saved.own, saved.sent
        place, who = f"the backward of {name} of {own.x.dtype}", type(self).__name__
        how = {"mask": own.mask, "channel_axis": own.axis, "y": own.y, "who": who, **gate}
        how |= {"bias": own.bias, "residual": own.residual}
        with link.reporting(place, 2 * self.num_features):
            dy = self.resume(saved, dy, out)
            if out is not None and own.y is not None:
                check_separate(who, "out", out, y=own.y)
            sums = batch_norm_backward_reduce(dy, own.x, own.stats, weight=own.weight, **how)
        total = added(link.exchange(place, 0, sums).sums)
        dz = np.empty_like(own.x) if own.added else None
        dx = batch_norm_backward_apply(
            dy, own.x, own.stats, total, count, own.weight, out=out, dresidual=dz, **how
        )
        dbias, dweight = sums.astype(PARAMETERS[self.dtype])
        return dx, affine_grads(self._learned(), dweight, dbias, dz)


def _one_value(layer: SyncBatchNorm, size: int) -> str:
    return (
        f"Expected more than 1 value per channel when training, got one in the parts of all {size} "
        f"processes; pass larger parts, or {eval_fix(layer.track_running_stats)}"
    )


SyncBatchNorm1d, SyncBatchNorm2d, SyncBatchNorm3d = ranked(
    SyncBatchNorm, "SyncBN", frozen_form="FrozenBatchNorm{}d"
)
