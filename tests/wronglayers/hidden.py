"""Wrong layers: arrays that the output depends on, and no state dict has."""

from typing import NamedTuple

import numpy as np

import cybn
from cybn.options import PositiveInt

from .right import Right, wrong


class Secret(cybn.Layer):
    """x times a gain that is in no state dict; each kind of place for it is a class below."""

    def __init__(self, num_features: PositiveInt):
        self.gain = self.hidden(np.ones(num_features, np.float32))

    def hidden(self, a):
        return a

    def found(self):
        return self.gain

    class Saved(NamedTuple):
        x: np.ndarray
        gain: np.ndarray

    def apply(self, x, *, out=None):
        x = self.begin(x, out, ndim=2, channels=self.num_features)
        saved = self.Saved(x, self.found().copy())
        return np.multiply(x, saved.gain, out=out, dtype=x.dtype), saved

    def pullback(self, saved, dy, *, out=None):
        dy = self.resume(saved, dy, out)
        return np.multiply(dy, saved.gain, out=out, dtype=dy.dtype), {}


@wrong("state-declared", r"self\.gain, an array of shape \(4,\), .* change output, dx")
class InAnAttribute(Secret):
    pass


@wrong("state-declared", r"self\.gain\['all'\]\[0\]")
class InADictOfLists(Secret):
    def hidden(self, a):
        return {"all": [a]}

    def found(self):
        return self.gain["all"][0]


class Box:
    __slots__ = ("a",)


@wrong("state-declared", r"self\.gain\.a")
class InAnObject(Secret):
    def hidden(self, a):
        box = Box()
        box.a = a
        return box

    def found(self):
        return self.gain.a


@wrong("state-declared", r"self\.gain\(a\)")
class InAClosure(Secret):
    def hidden(self, a):
        return lambda: a

    def found(self):
        return self.gain()


@wrong("state-declared", r"self\.gain\.weight")
class InALayer(Secret):
    def hidden(self, a):
        return cybn.LayerNorm(len(a))

    def found(self):
        return self.gain.weight


@wrong("state-declared", r"self\.shared")
class InTheClass(Secret):
    shared = np.ones(4, np.float32)

    def found(self):
        return self.shared[: self.num_features]


@wrong("state-declared", r"self\.running_(mean|var)")
class PlainAttribute(Right):
    def __init__(self, num_features: PositiveInt):
        self.eps = self.momentum = 0.1
        self.register_parameter("weight", np.ones(num_features, np.float32))
        self.register_parameter("bias", np.zeros(num_features, np.float32))
        self.running_mean = np.zeros(num_features)
        self.running_var = np.ones(num_features)
