"""Wrong layers: errors, determinism, and inputs at the edge."""

import time

import numpy as np

import cybn

from .right import After, Right, wrong

# Errors


@wrong("error-dtype", "x of int64 is accepted, TypeError is expected")
class TakesInts(Right):
    def apply(self, x, *, out=None):
        x = np.asarray(x)
        return super().apply(x if x.dtype.kind == "f" else x.astype(np.float32), out=out)


@wrong("error-dtype", "raises ValueError where TypeError is expected")
class ValueErrorForADtype(Right):
    def apply(self, x, *, out=None):
        if x.dtype.kind != "f":
            raise ValueError("not this dtype")
        return super().apply(x, out=out)


@wrong("error-shape", "raises KeyError where ValueError is expected")
class KeyErrorForARank(Right):
    def apply(self, x, *, out=None):
        if x.ndim != 2:
            raise KeyError(x.ndim)
        return super().apply(x, out=out)


@wrong("error-shape", r"x of shape \(6, 1\) is accepted, and the output has shape \(6, 4\)")
class BroadcastsX(Right):
    def begin(self, x, out=None, *, channels=None, **expected):
        return super().begin(x, out, **expected)


@wrong("error-out", "forward with an out with one sample more is accepted")
class DropsAnOutThatDoesNotFit(Right):
    def apply(self, x, *, out=None):
        fits = out is None or np.shape(out) == x.shape
        return super().apply(x, out=out if fits else None)


@wrong("error-out-odd", "forward with a float64 out for float32 is accepted")
class ConvertsToOut(Right):
    def begin(self, x, out=None, **expected):
        return super().begin(x, **expected)


@wrong("error-dy", "dy of int64 is accepted")
class TakesAnyDy(Right):
    def pullback(self, saved, dy, *, out=None):
        dy = np.asarray(dy)
        dy = dy if dy.dtype.kind == "f" else dy.astype(np.float32)
        return super().pullback(saved, dy, out=out)


@wrong("error-keeps-state", "x of int64 is refused and has changed the layer")
class CountsBeforeItChecks(Right):
    batches = 0

    def apply(self, x, *, out=None):
        self.batches += 1
        return super().apply(x, out=out)


@wrong("error-keeps-state", "refused and backward then raises RuntimeError")
class ForgetsBeforeItChecks(Right):
    def forward(self, x, *, out=None):
        self._saved = None
        return super().forward(x, out=out)


# Determinism


@wrong("determinism-repeat", "gives another output")
class AddsNoise(After):
    def change_y(self, y, x):
        noise = np.random.default_rng().normal(0, 1e-3, y.shape)
        return y + noise.astype(y.dtype)


@wrong("determinism-threads", "2 threads give another output")
class SumsByThreads(Right):
    def moments(self, x):
        parts = np.array_split(x, cybn.get_num_threads())
        mean = sum(part.sum(0, dtype=np.float32) for part in parts) / len(x)
        return mean, ((x - mean) ** 2).mean(0)


@wrong("threads-share", "the output is not that of the thread's own x")
class SharedScratch(After):
    def change_y(self, y, x):
        self.scratch = y
        time.sleep(1e-3)  # lets the other threads in, as a long computation would
        return self.scratch.copy()


@wrong("threads-share", "RuntimeError: entered twice")
class NotReentrant(After):
    busy = 0

    def change_y(self, y, x):
        self.busy += 1
        time.sleep(1e-3)
        if self.busy > 1:
            raise RuntimeError("entered twice")
        self.busy -= 1
        return y


# Edges


@wrong("empty", "an empty batch has changed running_mean, running_var")
class FollowsNothing(Right):
    def apply(self, x, *, out=None):
        result = super().apply(x, out=out)
        if self.training and not len(x):
            self.follow(np.nan, np.nan)
        return result


@wrong("empty", "raises IndexError")
class LooksAtTheFirstSample(Right):
    def apply(self, x, *, out=None):
        y, saved = super().apply(x, out=out)
        y[0]
        return y, saved


@wrong("tiny", "in evaluation: one sample raises ValueError, though others do not matter")
class WantsABatch(Right):
    def apply(self, x, *, out=None):
        if len(x) == 1:
            raise ValueError("Expected more than 1 value per channel")
        return super().apply(x, out=out)


@wrong("tiny", "is not finite")
class DividesByOneLess(Right):
    def moments(self, x):
        mean, var = super().moments(x)
        return mean, var * len(x) / np.float64(len(x) - 1)


@wrong("nan", "one item of x is NaN, and the output has none")
class SwallowsNaN(Right):
    def apply(self, x, *, out=None):
        fresh = x if x is out or x.dtype.kind != "f" else np.nan_to_num(x)
        return super().apply(fresh, out=out)
