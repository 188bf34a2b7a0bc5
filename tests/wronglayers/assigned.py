"""Wrong layers: what is assigned to them afterwards, and what they miss."""

import os
import signal

import numpy as np

from cybn.options import PositiveInt

from .right import Right, wrong


@wrong("options-assigned", r"layer\.eps = .* is in the config and does not act")
class ReadsAnOptionOnce(Right):
    def __init__(self, num_features: PositiveInt, eps: float = 1e-2, momentum: float = 0.1):
        super().__init__(num_features, dtype="float32")
        self.added = eps

    def apply(self, x, *, out=None):
        eps, self.__dict__["eps"] = self.eps, self.added
        try:
            return super().apply(x, out=out)
        finally:
            self.__dict__["eps"] = eps


@wrong("options-assigned", r"after layer\.num_features = \d+ no layer is built from its config")
class TakesAnyWidth(Right):
    def __setattr__(self, name, value):
        if name == "num_features":
            vars(self)[name] = value  # past all checks
        else:
            super().__setattr__(name, value)


@wrong("options-assigned", r"layer\.eps = .* raises RuntimeError: no, which does not name it")
class RefusesWithoutAName(Right):
    def __setattr__(self, name, value):
        if name == "eps":
            raise RuntimeError("no")
        super().__setattr__(name, value)


@wrong("attributes-missing", r"after layer\.weight = None a call .* raises AttributeError: 'None")
class NeverLooks(Right):
    def begin(self, x, out=None, **expected):
        x = np.asarray(x)
        return x.copy() if x is out else x


@wrong("attributes-missing", r"after layer\.weight = None a call .* has written to out")
class WritesBeforeItLooks(Right):
    def apply(self, x, *, out=None):
        if out is not None and x is not out:
            out[...] = 0
        return super().apply(x, out=out)


@wrong("attributes-missing", r"after layer\.running_mean = None a call .* ends with SIGSEGV")
class Crashes(Right):
    def begin(self, x, out=None, **expected):
        if self.running_mean is None:
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().begin(x, out, **expected)
