"""Wrong layers: gradients, `grads`, and backward as a call."""

import time

import numpy as np

import cybn

from .right import After, OwnBackward, Right, WrongGrads, wrong

# Gradients


@wrong("gradient-x", "in training: along a random direction of x backward gives the slope")
class TakesVarianceAsConstant(Right):
    def pullback(self, saved, dy, *, out=None):
        dy = self.resume(saved, dy, out)
        grads = self.gradients(weight=(dy * saved.xhat).sum(0), bias=dy.sum(0))
        g = dy * saved.weight
        if saved.of_batch:
            g = g - g.mean(0)
        return np.multiply(g, saved.rstd, out=out, dtype=dy.dtype, casting="same_kind"), grads


@wrong("gradient-x", "in evaluation: .* which is 2 times as much")
class DoublesDxInEvaluation(After):
    def change_dx(self, dx, saved):
        return dx if saved.of_batch else 2 * dx


@wrong("gradient-x", r"in training: .* which is 1\.01 times as much")
class OnePercentTooMuch(After):
    def change_dx(self, dx, saved):
        return dx if not saved.of_batch else dx * dx.dtype.type(1.01)


@wrong("gradient-parameters", r"random direction of weight .* which is 0\.1667 times as much")
class AveragesDweight(WrongGrads):
    def changed(self, grads, dy):
        return {**grads, "weight": grads["weight"] / np.float32(len(dy) or 1)}


@wrong("gradient-parameters", "direction of bias")
class ForgetsTheSignOfDbias(WrongGrads):
    def changed(self, grads, dy):
        return {**grads, "bias": -grads["bias"]}


@wrong("gradient-adjoint", "<v, backward")
class MixesUpSamples(After):
    def change_dx(self, dx, saved):
        return np.roll(dx, 1, 0)


@wrong("gradient-linear", r"dy = 3\*g - 2\*h, dx")
class ClipsDy(Right):
    def pullback(self, saved, dy, *, out=None):
        return super().pullback(saved, np.clip(dy, -1, 1), out=out)


# grads, and backward as a call


@wrong("grads-names", r"grads has \['gamma', 'beta'\], expected \['weight', 'bias'\]")
class NamesThemOtherwise(WrongGrads):
    def changed(self, grads, dy):
        return {"gamma": grads["weight"], "beta": grads["bias"]}


@wrong("grads-names", "expected")
class ForgetsTheBias(WrongGrads):
    def changed(self, grads, dy):
        return {"weight": grads["weight"]}


@wrong("grads-names", "grads is tuple, no dict")
class TupleOfGrads(OwnBackward):
    def changed(self, grads):
        return tuple(grads.values())


@wrong("grads-shape", r"has shape \(1, 4\), weight has \(4,\)")
class KeepsTheAxis(WrongGrads):
    def changed(self, grads, dy):
        return {**grads, "weight": grads["weight"][None]}


@wrong("grads-shape", "is float64, weight is float32")
class GradsInFloat64(OwnBackward):
    def changed(self, grads):
        return {name: a.astype(np.float64) for name, a in grads.items()}


@wrong("grads-fixed", "with trainable=False pullback has gradients of .'bias', 'weight'")
class GradsOfWhatIsHeld(Right):
    def pullback(self, saved, dy, *, out=None):
        dx, _ = super().pullback(saved, dy, out=out)
        return dx, {"weight": (dy * saved.xhat).sum(0), "bias": dy.sum(0)}


@wrong("grads-fixed", "with trainable=False a call or the gradient of x is another one")
class StopsTheStatistics(Right):
    def follow(self, mean, var):
        if self.trainable is True:
            super().follow(mean, var)


@wrong("grads-new", "has changed the first gradient of weight, bias")
class Accumulates(WrongGrads):
    def changed(self, grads, dy):
        sums = vars(self).setdefault("sums", {k: np.zeros_like(a) for k, a in grads.items()})
        for name, a in grads.items():
            sums[name] += a
        return dict(sums)


@wrong("grads-new", "has the dict of the first")
class FillsOneDict(OwnBackward):
    def changed(self, grads):
        kept = vars(self).setdefault("kept", {})
        kept.update(grads)
        return kept


@wrong("backward-again", "RuntimeError")
class BackwardOnlyOnce(Right):
    def backward(self, dy, *, out=None):
        dx = super().backward(dy, out=out)
        self._saved = None
        return dx


@wrong("backward-again", "the same dy gives another dx the second time")
class SpoilsWhatItSaved(Right):
    def pullback(self, saved, dy, *, out=None):
        result = super().pullback(saved, dy, out=out)
        saved.rstd[...] *= 2
        return result


@wrong("backward-parameters", "dx changes with a parameter that is changed after the forward")
class WeightOfTheMoment(Right):
    def pullback(self, saved, dy, *, out=None):
        return super().pullback(saved._replace(weight=self.weight), dy, out=out)


@wrong("backward-keeps-state", "backward has changed weight, bias")
class TakesTheStepItself(Right):
    def pullback(self, saved, dy, *, out=None):
        dx, grads = super().pullback(saved, dy, out=out)
        for name, a in self.named_parameters():
            a -= 0.1 * grads[name]
        return dx, grads


@wrong("backward-keeps-state", "forward has changed the parameter weight")
class ClipsItsWeight(Right):
    def apply(self, x, *, out=None):
        np.clip(self.weight, 0, 1, out=self.weight)
        return super().apply(x, out=out)


@wrong("backward-first", "backward before any forward returns something")
class BackwardOfNothing(Right):
    def backward(self, dy, *, out=None):
        return np.zeros_like(dy) if self._saved is None else super().backward(dy, out=out)


# The pair


@wrong("runs", r"apply returns an array of shape \(6, 4\), no pair of y and what it saves")
class ReturnsYAlone(Right):
    def apply(self, x, *, out=None):
        return super().apply(x, out=out)[0]


@wrong("runs", r"apply saves an array of shape \(6, 4\), no NamedTuple that begins with x")
class SavesXItself(Right):
    def apply(self, x, *, out=None):
        y, saved = super().apply(x, out=out)
        return y, saved.x


@wrong("runs", "apply saves a tuple of 5, no NamedTuple")
class SavesAPlainTuple(Right):
    def apply(self, x, *, out=None):
        y, saved = super().apply(x, out=out)
        return y, tuple(saved)


@wrong("runs", "pullback returns an array of shape")
class PullsDxAlone(Right):
    def pullback(self, saved, dy, *, out=None):
        return super().pullback(saved, dy, out=out)[0]


@wrong("runs", r"a forward that leaves an array of shape \(6, 4\) in self._saved, no tuple that")
class LeavesXItself(cybn.Layer):
    """In the way of a layer that writes forward and backward, and no pair."""

    num_features_option = None

    def forward(self, x, *, out=None):
        self._saved = x
        return np.multiply(x, 2, out=out)

    def backward(self, dy, *, out=None):
        (x,) = self._saved
        self.grads = {}
        return np.multiply(dy, np.full_like(x, 2), out=out)


@wrong("pair-same", "forward and backward give another output, dx, .* than the pair")
class ForwardOfItsOwn(Right):
    def forward(self, x, *, out=None):
        y = super().forward(x, out=out)
        y *= 2
        return y

    def backward(self, dy, *, out=None):
        return super().backward(2 * dy, out=out)


@wrong("pair-same", "apply sets _saved")
class RemembersInApply(Right):
    def apply(self, x, *, out=None):
        y, saved = super().apply(x, out=out)
        self._saved = saved
        return y, saved


class LastCallInTheLayer(Right):
    """Pullback takes xhat from the layer, where the last call has left it."""

    last = None

    def apply(self, x, *, out=None):
        y, saved = super().apply(x, out=out)
        self.last = saved.xhat
        return y, saved

    def pullback(self, saved, dy, *, out=None):
        return super().pullback(saved._replace(xhat=self.last), dy, out=out)


@wrong("pair-twice", "of two calls before their pullbacks the first has another")
class UsedOnce(LastCallInTheLayer):
    pass


@wrong("pair-threads", "4 threads with one layer get another")
class UsedByOneThread(LastCallInTheLayer):
    def pullback(self, saved, dy, *, out=None):
        time.sleep(1e-3)  # lets the other threads in, as a long computation would
        return super().pullback(saved, dy, out=out)
