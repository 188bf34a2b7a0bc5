"""The norms in plain NumPy, for the contender of that name and for the check.

A norm is a view of x, the axes of the view over which moments are taken, and the shape in which
weight and bias meet it:

    norm        view                moments over     weight
    batch       (N, C, ...)         all but C        (1, C, 1 ...)
    ghost       (N/V, V, C, ...)    all but N/V, C   (1, 1, C, 1 ...)
    instance    (N, C, ...)         all but N, C     (1, C, 1 ...)
    group       (N, G, C/G, L)      C/G, L           (1, G, C/G, 1)
    layer, RMS  (rows, features)    features         (1, features)

C, or G and C/G, stand last where the channels do.

Forward and backward are then one formula each, written as one would for speed: what is alike for
many items is multiplied first, and a sum over axes that two results need is taken once. One formula
for each norm was rejected: six pairs that must agree. The norms from papers are in `composed`.
"""

from __future__ import annotations

from math import prod

import numpy as np

from .cases import GROUPS, Case, virtual_batch_size
from .data import EPS, MOMENTUM

Axes = tuple[int, ...]


def view_of(case: Case) -> tuple[Axes, Axes, Axes]:
    """How an input is looked at: its shape, the axes of the moments, and the shape of a weight."""
    shape, axis, channels = case.memory_shape, case.axis, case.channels
    if case.norm == "group":
        n, positions = shape[0], prod(case.shape[2:])
        parts = (GROUPS, channels // GROUPS)
        if case.layout == "last":
            return (n, positions, *parts), (1, 3), (1, 1, *parts)
        return (n, *parts, positions), (2, 3), (1, *parts, 1)
    if case.norm == "ghost":
        size = virtual_batch_size(shape)
        shape, axis = (shape[0] // size, size, *shape[1:]), axis + 1
    along = tuple(channels if each == axis else 1 for each in range(len(shape)))
    if case.norm in ("layer", "rms"):
        return shape, (1,), along
    alone = (0, axis) if case.norm in ("instance", "ghost") else (axis,)
    return shape, tuple(each for each in range(len(shape)) if each not in alone), along


class Formulas:
    """The norm of a case; changes nothing that it is given."""

    def __init__(self, case: Case):
        self.case = case
        self.shape, self.over, self.along = view_of(case)
        self.m = prod(self.shape[axis] for axis in self.over)
        self.centred = case.norm != "rms"
        self.activated = case.norm == "fused"
        # Sums of the gradients of weight and bias, and those in the gradient of x, share some axes.
        summed = [axis for axis, side in enumerate(self.along) if side == 1]
        self.common = tuple(axis for axis in summed if axis in self.over)
        self.rest_summed = tuple(axis for axis in summed if axis not in self.over)
        self.rest_over = tuple(axis for axis in self.over if axis not in summed)

    def forward(self, x, weight, bias, mean, var, z=None) -> tuple[np.ndarray, tuple, tuple]:
        """y; mean and rstd of x; and the running statistics that follow, mean and var."""
        running, x_shape, x = (mean, var), x.shape, x.reshape(self.shape)
        weight, bias = weight.reshape(self.along), bias.reshape(self.along)
        if self.case.mode == "evaluation" and self.case.norm in ("batch", "fused"):
            mu, moment = mean.reshape(self.along), var.reshape(self.along)
            away = x - mu
        else:
            mu = x.mean(self.over, keepdims=True) if self.centred else None
            away = x - mu if self.centred else x
            moment = np.square(away).mean(self.over, keepdims=True)
            if self.case.norm in ("batch", "fused", "ghost"):
                running = self._moved(mean, var, mu, moment)
        rstd = 1 / np.sqrt(moment + EPS)
        y = away * (weight * rstd)
        y = (y + bias if self.centred else y).reshape(x_shape)
        if z is not None:
            y = y + z
        if self.activated:
            y = np.maximum(y, 0)
        return y, (mu, rstd), running

    def backward(self, dy, x, weight, y, moments) -> dict[str, np.ndarray]:
        """The gradients, by what they belong to; y and the moments are those of forward."""
        grads, (mu, rstd) = {}, moments
        if self.activated:
            dy = dy * (y > 0)
            if self.case.does.extra:
                grads["dz"] = dy
        weight, g, xhat = weight.reshape(self.along), dy.reshape(self.shape), x.reshape(self.shape)
        xhat = (xhat - mu if self.centred else xhat) * rstd
        products = self._sum(g * xhat, self.common)
        dx = g * (weight * rstd) - xhat * (rstd * self._mean(products * weight))
        if self.centred:
            sums = self._sum(g, self.common)
            dx = dx - rstd * self._mean(sums * weight)
            grads["dbias"] = self._sum(sums, self.rest_summed).ravel()
        grads["dweight"] = self._sum(products, self.rest_summed).ravel()
        return {"dx": dx.reshape(x.shape), **grads}

    def _moved(self, mean, var, mu, moment):
        """One step for each virtual batch; batch norm has one."""
        for a, b in zip(mu.reshape(-1, mean.size), moment.reshape(-1, mean.size), strict=True):
            mean = mean + MOMENTUM * (a - mean)
            var = var + MOMENTUM * (b * (self.m / (self.m - 1)) - var)
        return mean, var

    def _sum(self, a, axes):
        return a.sum(axes, keepdims=True) if axes else a

    def _mean(self, a):
        return self._sum(a, self.rest_over) / self.m
