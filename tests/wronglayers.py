"""A right layer, and wrong ones that differ from it in one thing each.

`WRONG` has (check, class, what the message says) for every mistake: the check is to fail for that
class. Most mistakes are such as people make; a few are there so that each check can fail.
"""

import threading
import time
from typing import Annotated, Any, Literal

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


# Building


@wrong("builds", r"no plain value fits the option channels \(dict of str to int\)")
class WantsATable(cybn.Layer):
    def __init__(self, channels: dict[str, int]):
        self.register_parameter("weight", np.ones(channels["out"], np.float32))


@wrong("builds", "takes none of these input shapes")
class TakesNothing(Right):
    def forward(self, x, out=None):
        raise ValueError("not this one")


@wrong("builds", "cannot be built: ZeroDivisionError")
class BreaksInInit(cybn.Layer):
    def __init__(self, num_features: int = 4):
        raise ZeroDivisionError


# The output


@wrong("output-type", "is of type Odd")
class OwnArrayType(After):
    class Odd(np.ndarray):
        pass

    def change_y(self, y, x):
        return y.view(self.Odd)


@wrong("output-shape", r"the output for float32 x has shape \(4,\), not \(6, 4\)")
class LosesAnAxis(After):
    def change_y(self, y, x):
        return y.sum(0)


@wrong("output-shape", "dx for float32 dy has shape")
class FlattensDx(After):
    def change_dx(self, dx, dy):
        return dx.ravel()


@wrong("output-dtype", "the output for float32 x is float64")
class AlwaysFloat64(After):
    def change_y(self, y, x):
        return y.astype(np.float64)


@wrong("output-dtype", "dx for float64 dy is float32")
class DxInFloat32(After):
    def change_dx(self, dx, dy):
        return dx.astype(np.float32)


@wrong("output-finite", "is nan at|is inf at")
class DividesByZero(After):
    def change_y(self, y, x):
        return np.log(y)


@wrong("output-accuracy", "with a mean of 1000 in float32")
class CancellingVariance(Right):
    def moments(self, x):
        mean = x.mean(0)
        return mean, (x * x).mean(0) - mean * mean


# Memory


@wrong("input-unchanged", "forward has changed x")
class CentresInPlace(Right):
    def forward(self, x, out=None):
        y = super().forward(x, out)
        if x is not out and x.flags.writeable:
            x -= x.mean(0)
        return y


@wrong("input-unchanged", "backward has changed dy")
class ScalesDyInPlace(Right):
    def backward(self, dy, out=None):
        dx = super().backward(dy, out)
        if dy is not out and dy.flags.writeable:
            dy *= 2
        return dx


@wrong("input-read-only", "raises ValueError: buffer source array is read-only")
class WantsWriteable(Right):
    def forward(self, x, out=None):
        memory = memoryview(np.asarray(x))
        if memory.readonly:
            raise ValueError("buffer source array is read-only")
        return super().forward(x, out)


@wrong("output-own-memory", "the output keeps the memory of x")
class ReturnsItsInput(cybn.Layer):
    num_features_option = None

    def forward(self, x, out=None):
        self._saved = (x,)
        return x

    def backward(self, dy, out=None):
        self.grads = {}
        return dy.copy()


@wrong("output-own-memory", "dx keeps the memory of dy")
class ReturnsAViewOfDy(ReturnsItsInput):
    def forward(self, x, out=None):
        return super().forward(x).copy()

    def backward(self, dy, out=None):
        super().backward(dy)
        return dy[:]


@wrong("output-stays", "the second call has changed the output of the first")
class FillsOneOutput(After):
    def change_y(self, y, x):
        if getattr(self, "kept", None) is None or self.kept.shape != y.shape:
            self.kept = y
        self.kept[...] = y
        return self.kept


@wrong("out", "forward with an out in C order")
class IgnoresOut(Right):
    def forward(self, x, out=None):
        return super().forward(x)


@wrong("out", "backward returns another array than out")
class ReturnsACopyOfOut(Right):
    def backward(self, dy, out=None):
        dx = super().backward(dy, out)
        return dx if out is None else dx.copy()


@wrong("out-in-place", "forward with out=x is off")
class WritesBeforeItReads(Right):
    def forward(self, x, out=None):
        if out is not None:
            out[...] = 0
        return super().forward(x, out)


@wrong("out-in-place", "backward after a forward with out=x is off")
class KeepsWhatIsWrittenOver(Right):
    def forward(self, x, out=None):
        y = super().forward(x, out)
        self._saved = (x, y if out is not None else self._saved[1], *self._saved[2:])
        return y


@wrong("out-in-place", "after a forward with out=x the gradient of weight is off")
class KeepsXItself(cybn.Layer):
    def __init__(self, num_features: PositiveInt):
        self.register_parameter("weight", np.ones(num_features, np.float32))

    def forward(self, x, out=None):
        self.checked_x(x, out, ndim=2, channels=self.num_features)
        self._saved = (x,)
        return np.multiply(x, self.weight, out=out, dtype=x.dtype)

    def backward(self, dy, out=None):
        self.grads = {"weight": (dy * self._saved[0]).sum(0)}
        return np.multiply(dy, self.weight, out=out, dtype=dy.dtype)


# Gradients


@wrong("gradient-x", "in training: along a random direction of x backward gives the slope")
class TakesVarianceAsConstant(Right):
    def backward(self, dy, out=None):
        dy, (_, xhat, rstd, weight, of_batch) = self.checked_dy(dy, out)
        self.grads = {"weight": (dy * xhat).sum(0), "bias": dy.sum(0)}
        g = dy * weight
        if of_batch:
            g = g - g.mean(0)
        return np.multiply(g, rstd, out=out, dtype=dy.dtype, casting="same_kind")


@wrong("gradient-x", "in evaluation: .* which is 2 times as much")
class DoublesDxInEvaluation(After):
    def change_dx(self, dx, dy):
        return dx if self._saved[-1] else 2 * dx


@wrong("gradient-x", r"in training: .* which is 1\.01 times as much")
class OnePercentTooMuch(After):
    def change_dx(self, dx, dy):
        return dx if not self._saved[-1] else dx * dx.dtype.type(1.01)


class WrongGrads(Right):
    def changed(self, grads, dy):
        return grads

    def backward(self, dy, out=None):
        dx = super().backward(dy, out)
        vars(self)["grads"] = self.changed(dict(self.grads), dy)
        return dx


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
    def change_dx(self, dx, dy):
        return np.roll(dx, 1, 0)


@wrong("gradient-linear", r"dy = 3\*g - 2\*h, dx")
class ClipsDy(Right):
    def backward(self, dy, out=None):
        return super().backward(np.clip(dy, -1, 1), out)


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
class TupleOfGrads(WrongGrads):
    def changed(self, grads, dy):
        return tuple(grads.values())


@wrong("grads-shape", r"has shape \(1, 4\), weight has \(4,\)")
class KeepsTheAxis(WrongGrads):
    def changed(self, grads, dy):
        return {**grads, "weight": grads["weight"][None]}


@wrong("grads-shape", "is float64, weight is float32")
class GradsInFloat64(WrongGrads):
    def changed(self, grads, dy):
        return {name: a.astype(np.float64) for name, a in grads.items()}


@wrong("grads-new", "has changed the first gradient of weight, bias")
class Accumulates(WrongGrads):
    def changed(self, grads, dy):
        sums = vars(self).setdefault("sums", {k: np.zeros_like(a) for k, a in grads.items()})
        for name, a in grads.items():
            sums[name] += a
        return dict(sums)


@wrong("grads-new", "has the dict of the first")
class FillsOneDict(WrongGrads):
    def changed(self, grads, dy):
        kept = vars(self).setdefault("kept", {})
        kept.update(grads)
        return kept


@wrong("backward-again", "RuntimeError")
class BackwardOnlyOnce(Right):
    def backward(self, dy, out=None):
        dx = super().backward(dy, out)
        self._saved = None
        return dx


@wrong("backward-again", "the same dy gives another dx the second time")
class SpoilsWhatItSaved(Right):
    def backward(self, dy, out=None):
        dx = super().backward(dy, out)
        self._saved[2][...] *= 2
        return dx


@wrong("backward-parameters", "dx changes with a parameter that is changed after the forward")
class WeightOfTheMoment(Right):
    def backward(self, dy, out=None):
        if self._saved is not None:
            self._saved = (*self._saved[:3], self.weight, self._saved[4])
        return super().backward(dy, out)


@wrong("backward-keeps-state", "backward has changed weight, bias")
class TakesTheStepItself(Right):
    def backward(self, dy, out=None):
        dx = super().backward(dy, out)
        for name, a in self.named_parameters():
            a -= 0.1 * self.grads[name]
        return dx


@wrong("backward-keeps-state", "forward has changed the parameter weight")
class ClipsItsWeight(Right):
    def forward(self, x, out=None):
        np.clip(self.weight, 0, 1, out=self.weight)
        return super().forward(x, out)


@wrong("backward-first", "backward before any forward returns something")
class BackwardOfNothing(Right):
    def backward(self, dy, out=None):
        return np.zeros_like(dy) if self._saved is None else super().backward(dy, out)


# Modes


@wrong("modes-return", r"eval\(\) does not return the layer")
class EvalReturnsNone(Right):
    def eval(self):
        super().eval()


@wrong("modes-return", r"after train\(False\) training is True")
class TrainIgnoresItsMode(Right):
    def train(self, mode=True):
        return super().train(True)

    def eval(self):
        return super().train(False)


@wrong("eval-keeps-state", "evaluation has changed running_mean, running_var")
class AlwaysFollows(Right):
    def forward(self, x, out=None):
        y = super().forward(x, out)
        if not self.training and len(x):
            self.follow(*self.moments(x))
        return y


@wrong("eval-keeps-state", "another output after another x")
class FollowsInSecret(After):
    last = 0.0

    def change_y(self, y, x):
        y = y + y.dtype.type(self.last)
        if not self.training and x.size:
            self.last = float(x.mean())
        return y


@wrong("train-moves-statistics", "changed none of the buffers")
class NeverFollows(Right):
    def follow(self, mean, var):
        pass


@wrong("train-moves-statistics", "has not changed running_var")
class FollowsTheMeanOnly(Right):
    def follow(self, mean, var):
        self.running_mean += self.momentum * (mean - self.running_mean)


@wrong("train-moves-statistics", "has not changed num_batches_tracked")
class NeverCounts(cybn.BatchNorm1d):
    def forward(self, x, out=None):
        y = super().forward(x, out)
        self.num_batches_tracked[...] = 0
        return y


@wrong("modes-backward", "another dx after the mode has been switched")
class BackwardOfTheMoment(Right):
    def backward(self, dy, out=None):
        if self._saved is not None:
            self._saved = (*self._saved[:-1], self.training)
        return super().backward(dy, out)


# Memory layout


@wrong("layout-values", "y for x and dy in the layout asfortranarray|in the layout fortran")
class ReadsMemoryAsItLies(Right):
    def forward(self, x, out=None):
        if isinstance(x, np.ndarray) and x.ndim == 2:
            x = x.ravel(order="K").reshape(x.shape)
        return super().forward(x, out)


@wrong("layout-kept", "the output for the layout fortran has strides")
class AlwaysInCOrder(After):
    def change_y(self, y, x):
        return np.ascontiguousarray(y)


# State


@wrong("state-dict", "another output in evaluation")
class PlainAttribute(Right):
    def __init__(self, num_features: PositiveInt):
        self.eps = self.momentum = 0.1
        self.register_parameter("weight", np.ones(num_features, np.float32))
        self.register_parameter("bias", np.zeros(num_features, np.float32))
        self.running_mean = np.zeros(num_features)
        self.running_var = np.ones(num_features)


@wrong("state-dict", "has not the present running_var")
class StateLacksABuffer(Right):
    def state_dict(self):
        state = super().state_dict()
        del state["running_var"]
        return state

    def load_state_dict(self, state, strict=True):
        super().load_state_dict(state, strict=False)
        return [], []


@wrong("state-dict-copy", "has changed weight, bias, running_mean, running_var in an earlier")
class StateIsNoCopy(Right):
    def state_dict(self):
        return {**dict(self.named_parameters()), **dict(self.named_buffers())}


@wrong("state-npz", "allow_pickle")
class ObjectArray(Right):
    def __init__(self, num_features: PositiveInt, eps: float = 1e-2, momentum: float = 0.1):
        self.dtype = "float32"
        super().__init__(num_features, dtype="float32")
        self.register_buffer("names", np.array(["a", None], object))

    def load_state_dict(self, state, strict=True):
        self.names = state["names"]
        return [], []


@wrong("state-refused", "no_such_name|a name that is not the layer's is accepted")
class LoadsAnything(Right):
    def load_state_dict(self, state, strict=True):
        super().load_state_dict(state, strict=False)
        return [], []


@wrong("state-refused", "is refused half loaded")
class LoadsAsItGoes(Right):
    def load_state_dict(self, state, strict=True):
        for name, a in (*self.named_parameters(), *self.named_buffers()):
            a[...] = state.get(name, a)
        return super().load_state_dict(state, strict)


@wrong("deepcopy", "cannot pickle '_thread.lock' object")
class HoldsALock(Right):
    def __init__(self, num_features: PositiveInt, eps: float = 1e-2, momentum: float = 0.1):
        super().__init__(num_features, dtype="float32")
        self.lock = threading.Lock()


@wrong("deepcopy", "shares state")
class CopyIsItself(Right):
    def __deepcopy__(self, memo):
        return self


@wrong("pickle", "pickle")
class HoldsALambda(Right):
    def __init__(self, num_features: PositiveInt, eps: float = 1e-2, momentum: float = 0.1):
        super().__init__(num_features, dtype="float32")
        self.activation = lambda x: x


# Options


@wrong("config", "config and options of __init__ differ in eps")
class ConfigLacksAnOption(Right):
    def get_config(self):
        config = super().get_config()
        del config["eps"]
        return config


@wrong("config", "another eps")
class DoublesItsOption(Right):
    def __init__(self, num_features: PositiveInt, eps: float = 1e-2, momentum: float = 0.1):
        super().__init__(num_features, dtype="float32")
        self.eps = 2 * eps


@wrong("config-plain", "not JSON serializable")
class FunctionAsOption(Right):
    def __init__(
        self, num_features: PositiveInt, eps: float = 1e-2, momentum: float = 0.1, f: Any = len
    ):
        super().__init__(num_features, dtype="float32")


@wrong("options", r"takes mode='b', __init__ refuses: not yet")
class PromisesMore(Right):
    def __init__(
        self,
        num_features: PositiveInt,
        eps: float = 1e-2,
        momentum: float = 0.1,
        mode: Literal["a", "b"] = "a",
    ):
        super().__init__(num_features, dtype="float32")
        if mode == "b":
            raise ValueError("not yet")


@wrong("options", r"built with eps=1\.01, the config says 0\.01")
class FixedOption(Right):
    def get_config(self):
        return {**super().get_config(), "eps": 0.01}


@wrong("options", "num_features_option is 'width', and __init__ has no such option")
class NamesNoOption(Right):
    num_features_option = "width"


@wrong("repr", "does not begin with")
class ConstantRepr(Right):
    def __repr__(self):
        return "<a layer>"


@wrong("repr", "builds a layer with another eps")
class ReprLacksAnOption(Right):
    def extra_repr(self):
        return f"{self.num_features}"


# Errors


@wrong("error-dtype", "x of int64 is accepted, TypeError is expected")
class TakesInts(Right):
    def forward(self, x, out=None):
        x = np.asarray(x)
        return super().forward(x if x.dtype.kind == "f" else x.astype(np.float32), out)


@wrong("error-dtype", "raises ValueError where TypeError is expected")
class ValueErrorForADtype(Right):
    def forward(self, x, out=None):
        if x.dtype.kind != "f":
            raise ValueError("not this dtype")
        return super().forward(x, out)


@wrong("error-shape", "raises KeyError where ValueError is expected")
class KeyErrorForARank(Right):
    def forward(self, x, out=None):
        if x.ndim != 2:
            raise KeyError(x.ndim)
        return super().forward(x, out)


@wrong("error-shape", r"x of shape \(6, 1\) is accepted, and the output has shape \(6, 4\)")
class BroadcastsX(Right):
    def checked_x(self, x, out=None, *, ndim=(), channels=None, channel_axis=1):
        return super().checked_x(x, out, ndim=ndim)


@wrong("error-out", "forward with an out with one sample more is accepted")
class DropsAnOutThatDoesNotFit(Right):
    def forward(self, x, out=None):
        fits = out is None or np.shape(out) == x.shape
        return super().forward(x, out if fits else None)


@wrong("error-out-odd", "forward with a float64 out for float32 is accepted")
class ConvertsToOut(Right):
    def checked_x(self, x, out=None, **expected):
        return super().checked_x(x, **expected)


@wrong("error-dy", "dy of int64 is accepted")
class TakesAnyDy(Right):
    def backward(self, dy, out=None):
        return super().backward(np.asarray(dy).astype(np.float32), out)


@wrong("error-keeps-state", "x of int64 is refused and has changed the layer")
class CountsBeforeItChecks(Right):
    batches = 0

    def forward(self, x, out=None):
        self.batches += 1
        return super().forward(x, out)


@wrong("error-keeps-state", "refused and backward then raises RuntimeError")
class ForgetsBeforeItChecks(Right):
    def forward(self, x, out=None):
        self._saved = None
        return super().forward(x, out)


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
    def forward(self, x, out=None):
        y = super().forward(x, out)
        if self.training and not len(x):
            self.follow(np.nan, np.nan)
        return y


@wrong("empty", "raises IndexError")
class LooksAtTheFirstSample(Right):
    def forward(self, x, out=None):
        y = super().forward(x, out)
        y[0]
        return y


@wrong("tiny", "in evaluation: one sample raises ValueError, though others do not matter")
class WantsABatch(Right):
    def forward(self, x, out=None):
        if len(x) == 1:
            raise ValueError("Expected more than 1 value per channel")
        return super().forward(x, out)


@wrong("tiny", "is not finite")
class DividesByOneLess(Right):
    def moments(self, x):
        mean, var = super().moments(x)
        return mean, var * len(x) / np.float64(len(x) - 1)

    def backward(self, dy, out=None):
        return super().backward(dy, out)


@wrong("nan", "one item of x is NaN, and the output has none")
class SwallowsNaN(Right):
    def forward(self, x, out=None):
        fresh = x if x is out or x.dtype.kind != "f" else np.nan_to_num(x)
        return super().forward(fresh, out)
