"""A right layer, what wrong ones are made from, and the list of them."""

from typing import Annotated

import numpy as np

import cybn
from cybn.options import Bounds, DType, PositiveInt

WRONG = []


def wrong(check, says):
    """Decorator: this layer fails that check, with a message that `says` matches."""

    def decorate(cls):
        WRONG.append((check, cls, says))
        return cls

    return decorate


class Right(cybn.Layer):
    """Batch normalization of (N, C) in NumPy, as the author of a plugin might write it."""

    def __init__(
        self,
        num_features: PositiveInt,
        eps: Annotated[float, Bounds(gt=0)] = 1e-2,
        momentum: Annotated[float, Bounds(ge=0, le=1)] = 0.1,
        *,
        dtype: DType = "float32",
    ):
        self.register_parameter("weight", np.ones(num_features, dtype))
        self.register_parameter("bias", np.zeros(num_features, dtype))
        self.register_buffer("running_mean", np.zeros(num_features, dtype))
        self.register_buffer("running_var", np.ones(num_features, dtype))

    def moments(self, x):
        return x.mean(0, dtype=np.float64), x.var(0, dtype=np.float64)

    def follow(self, mean, var):
        self.running_mean += self.momentum * (mean - self.running_mean)
        self.running_var += self.momentum * (var - self.running_var)

    def forward(self, x, out=None):
        x = self.checked_x(x, out, ndim=2, channels=self.num_features)
        of_batch = self.training and len(x) > 0
        mean, var = self.moments(x) if of_batch else (self.running_mean, self.running_var)
        rstd = 1 / np.sqrt(var + self.eps)
        xhat = (x - mean) * rstd
        weight = self.weight.copy()
        y = np.add(xhat * weight, self.bias, out=out, dtype=x.dtype, casting="same_kind")
        if of_batch:
            self.follow(mean, var)
        self._saved = x, xhat, rstd, weight, of_batch
        return y

    def backward(self, dy, out=None):
        dy, (_, xhat, rstd, weight, of_batch) = self.checked_dy(dy, out)
        self.grads = {"weight": (dy * xhat).sum(0), "bias": dy.sum(0)}
        g = dy * weight
        if of_batch:
            g = g - g.mean(0) - xhat * (g * xhat).mean(0)
        return np.multiply(g, rstd, out=out, dtype=dy.dtype, casting="same_kind")


class After(Right):
    """Right, with the output and dx changed afterwards; for mistakes that an out would hide."""

    def change_y(self, y, x):
        return y

    def change_dx(self, dx, dy):
        return dx

    def forward(self, x, out=None):
        y = self.change_y(super().forward(x), x)
        return y if out is None else self._filled(out, y)

    def backward(self, dy, out=None):
        dx = self.change_dx(super().backward(dy), dy)
        return dx if out is None else self._filled(out, dx)

    def _filled(self, out, a):
        out[...] = a
        return out


class WrongGrads(Right):
    def changed(self, grads, dy):
        return grads

    def backward(self, dy, out=None):
        dx = super().backward(dy, out)
        vars(self)["grads"] = self.changed(dict(self.grads), dy)
        return dx
