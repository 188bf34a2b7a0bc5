"""A right layer, what wrong ones are made from, and the list of them."""

from typing import Annotated, NamedTuple

import numpy as np

import cybn
from cybn.options import Bounds, DType, PositiveInt, Trainable

WRONG = []


def wrong(check, says):
    """Decorator: this layer fails that check, with a message that `says` matches."""

    def decorate(cls):
        WRONG.append((check, cls, says))
        return cls

    return decorate


class Right(cybn.Layer):
    """Batch normalization of (N, C) in NumPy, as the author of a plugin might write it."""

    class Saved(NamedTuple):
        x: np.ndarray
        xhat: np.ndarray
        rstd: np.ndarray
        weight: np.ndarray
        of_batch: bool

    def __init__(
        self,
        num_features: PositiveInt,
        eps: Annotated[float, Bounds(gt=0)] = 1e-2,
        momentum: Annotated[float, Bounds(ge=0, le=1)] = 0.1,
        *,
        dtype: DType = "float32",
        trainable: Trainable = True,
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

    def apply(self, x, *, out=None):
        x = self.begin(x, out, ndim=2, channels=self.num_features)
        of_batch = self.training and len(x) > 0
        mean, var = self.moments(x) if of_batch else (self.running_mean, self.running_var)
        rstd = 1 / np.sqrt(var + self.eps)
        xhat = (x - mean) * rstd
        saved = self.Saved(x, xhat, rstd, self.weight.copy(), of_batch)
        y = np.add(xhat * saved.weight, self.bias, out=out, dtype=x.dtype, casting="same_kind")
        if of_batch:  # last, so that a call that fails changes nothing
            self.follow(mean, var)
        return y, saved

    def pullback(self, saved, dy, *, out=None):
        dy = self.resume(saved, dy, out)
        grads = self.gradients(weight=(dy * saved.xhat).sum(0), bias=dy.sum(0))
        g = dy * saved.weight
        if saved.of_batch:
            g = g - g.mean(0) - saved.xhat * (g * saved.xhat).mean(0)
        return np.multiply(g, saved.rstd, out=out, dtype=dy.dtype, casting="same_kind"), grads


class After(Right):
    """Right, with the output and dx changed afterwards; for mistakes that an out would hide."""

    def change_y(self, y, x):
        return y

    def change_dx(self, dx, saved):
        return dx

    def apply(self, x, *, out=None):
        y, saved = super().apply(x)
        return self._filled(out, self.change_y(y, x)), saved

    def pullback(self, saved, dy, *, out=None):
        dx, grads = super().pullback(saved, dy)
        return self._filled(out, self.change_dx(dx, saved)), grads

    def _filled(self, out, a):
        if out is None:
            return a
        out[...] = a
        return out


class WrongGrads(Right):
    """Right, with other gradients beside dx."""

    def changed(self, grads, dy):
        return grads

    def pullback(self, saved, dy, *, out=None):
        dx, grads = super().pullback(saved, dy, out=out)
        return dx, self.changed(grads, dy)


class OwnBackward(Right):
    """Right, with a backward of its own that sets grads as Layer's would not."""

    def changed(self, grads):
        return grads

    def backward(self, dy, *, out=None):
        dx = super().backward(dy, out=out)
        vars(self)["grads"] = self.changed(self.grads)
        return dx
