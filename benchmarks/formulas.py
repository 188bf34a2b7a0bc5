"""Every norm in the operations that NumPy and JAX share, for the contenders that have no library.

A norm is a view of x, the axes of the view over which moments are taken, and the shape in which
weight and bias meet it:

    norm                    view               moments over     weight
    batch, channels first   (N, C, ...)        all but C        (C, 1 ...)
    batch, channels last    (N, ..., C)        all but C        (C,)
    ghost                   (N/V, V, C, ...)   all but N/V, C   (C, 1 ...)
    instance                (N, C, ...)        ...              (C, 1 ...)
    group                   (N, G, C/G, L)     C/G, L           (G, C/G, 1)
    layer, RMS              (rows, features)   features         (features,)

Forward and backward are then one formula each, written as one would for speed: what is alike for
many items is multiplied first, and a sum over axes that two results need is taken once. One formula
per norm and library was rejected: twelve pairs that must agree.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

from .data import EPS, MOMENTUM
from .norms import GROUPS
from .shapes import Case

Array = Any  # of NumPy or of JAX


class View(NamedTuple):
    shape: tuple[int, ...]  # of x
    over: tuple[int, ...]  # axes of the moments
    along: tuple[int, ...]  # shape of weight and bias, with an axis for each of x


def view_of(case: Case) -> View:
    """How the input of a case, as it lies in memory, is looked at."""
    shape, rank, norm = case.memory_shape, len(case.shape), case.norm
    inner = tuple(range(2, rank))
    ones = (1,) * len(inner)
    if norm in ("layer", "rms"):
        return View(shape, (1,), (1, shape[1]))
    if norm == "instance":
        return View(shape, inner, (1, shape[1], *ones))
    if norm == "group":
        n, c, *rest = shape
        return View((n, GROUPS, c // GROUPS, prod(rest)), (2, 3), (1, GROUPS, c // GROUPS, 1))
    if norm == "ghost":
        n, size = shape[0], case.virtual_batch_size
        over = (1, *(axis + 1 for axis in inner))
        return View((n // size, size, *shape[1:]), over, (1, 1, shape[1], *ones))
    axis = case.channel_axis % rank
    over = tuple(i for i in range(rank) if i != axis)
    return View(shape, over, tuple(shape[axis] if i == axis else 1 for i in range(rank)))


class Formulas:
    """The norm of a case, with `numpy` or `jax.numpy`; changes nothing that it is given."""

    def __init__(self, np: Any, case: Case):
        self.np, self.case, self.view = np, case, view_of(case)
        shape, over, along = self.view
        self.m = prod(shape[axis] for axis in over)
        self.centred = case.norm != "rms"
        self.tracked = case.norm in ("batch", "fused", "ghost")
        self.activated = case.norm == "fused"
        # Sums of the gradients of weight and bias, and those in the gradient of x, share some axes.
        summed = tuple(axis for axis, side in enumerate(along) if side == 1)
        self.common = tuple(axis for axis in summed if axis in over)
        self.rest_summed = tuple(axis for axis in summed if axis not in over)
        self.rest_over = tuple(axis for axis in over if axis not in summed)

    def forward(self, x, weight, bias, mean, var, z=None) -> tuple[Array, tuple, tuple]:
        """y; mean and rstd of x; and the running statistics that follow, mean and var."""
        shape, over, along = self.view
        away, mu = x.reshape(shape), None
        if self.centred:
            mu = away.mean(over, keepdims=True)
            away = away - mu
        moment = self.np.square(away).mean(over, keepdims=True)
        rstd = 1 / self.np.sqrt(moment + EPS)
        y = away * (weight.reshape(along) * rstd)
        if self.centred:
            y = y + bias.reshape(along)
        y = y.reshape(x.shape)
        if z is not None:
            y = y + z
        if self.activated:
            y = self.np.maximum(y, 0)
        running = self._moved(mean, var, mu, moment) if self.tracked else (mean, var)
        return y, (mu, rstd), running

    def kept(self, y, moments, running) -> tuple:
        """What backward needs of what forward returned."""
        return (*moments, y) if self.activated else moments

    def evaluate(self, x, weight, bias, mean, var) -> Array:
        """y of batch norm by the running statistics."""
        along = self.view.along
        scale = (weight / self.np.sqrt(var + EPS)).reshape(along)
        return (x - mean.reshape(along)) * scale + bias.reshape(along)

    def backward(self, dy, x, weight, mu, rstd, y=None) -> dict[str, Array]:
        """The gradients, by what they belong to."""
        grads = {}
        if self.activated:
            dy = dy * (y > 0)
            if self.case.does.residual:
                grads["dz"] = dy
        shape, _, along = self.view
        weight, g, xhat = weight.reshape(along), dy.reshape(shape), x.reshape(shape)
        xhat = (xhat - mu if self.centred else xhat) * rstd
        sums = self._sum(g, self.common) if self.centred else None
        products = self._sum(g * xhat, self.common)
        dx = g * (weight * rstd) - xhat * (rstd * self._mean(products * weight))
        if self.centred:
            dx = dx - rstd * self._mean(sums * weight)
            grads["dbias"] = self._sum(sums, self.rest_summed).ravel()
        grads["dweight"] = self._sum(products, self.rest_summed).ravel()
        return {"dx": dx.reshape(x.shape), **grads}

    def _moved(self, mean, var, mu, moment):
        """One step for each virtual batch; batch norm has one."""
        channels = self.case.channels
        for a, b in zip(mu.reshape(-1, channels), moment.reshape(-1, channels), strict=True):
            mean = mean + MOMENTUM * (a - mean)
            var = var + MOMENTUM * (b * (self.m / (self.m - 1)) - var)
        return mean, var

    def _sum(self, a, axes):
        return a.sum(axes, keepdims=True) if axes else a

    def _mean(self, a):
        return self._sum(a, self.rest_over) / self.m
