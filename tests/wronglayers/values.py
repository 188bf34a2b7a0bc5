"""Wrong layers: what comes out: type, shape, values, memory, layout."""

from typing import NamedTuple

import numpy as np

import cybn
from cybn.options import PositiveInt

from .right import After, Right, WrongGrads, wrong

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
    def change_dx(self, dx, saved):
        return dx.ravel()


@wrong("output-dtype", "the output for float32 x is float64")
class AlwaysFloat64(After):
    def change_y(self, y, x):
        return y.astype(np.float64)


@wrong("output-dtype", "dx for float64 dy is float32")
class DxInFloat32(After):
    def change_dx(self, dx, saved):
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


# Data of sixteen bits


@wrong("sixteen-bits", r"the output for float16 x with a mean of 10, compared to float64")
class SumsInSixteenBits(Right):
    sixteen_bits = "native"

    def moments(self, x):
        return x.mean(0), x.var(0)


@wrong("sixteen-bits", r"the output for float16 x with a mean of \d+ is float32")
class GivesFloat32(After):
    sixteen_bits = "native"

    def change_y(self, y, x):
        return y.astype(np.result_type(x, np.float32))


@wrong("sixteen-bits", r"sixteen_bits is 'refused' and float16 x is taken")
class RefusesAndTakes(Right):
    sixteen_bits = "refused"

    def forward(self, x, *, out=None):
        return super().forward(x.astype(np.float32) if x.itemsize == 2 else x, out=out)


# Large and tiny data


@wrong("large-and-tiny", r"x of about 1e\+27 and dy of about 1e\+00 the output is .* in float32")
class SquaresInFloat32(Right):
    def moments(self, x):
        mean = x.mean(0, dtype=np.float64)
        return mean, np.square((x - mean).astype(x.dtype)).mean(0, dtype=np.float64)


@wrong("large-and-tiny", r"x of about 1e\+27 and dy of about 1e\+00 dx is .* in float32")
class SquaresRstdInFloat32(After):
    def pullback(self, saved, dy, *, out=None):
        dx, grads = super().pullback(saved, dy)
        if saved.of_batch:
            g = dy * saved.weight
            square = np.square(saved.rstd).astype(dy.dtype)  # of large x it is nothing
            centred = saved.x - saved.x.mean(0, dtype=np.float64)
            g = g - g.mean(0) - centred * square * (g * centred).mean(0)
            dx = (g * saved.rstd).astype(dy.dtype)
        return self._filled(out, dx), grads


@wrong("large-and-tiny", r"and dy of about 1e\+30 grads\['weight'\] is nan")
class SquaresDy(WrongGrads):
    def changed(self, grads, dy):
        loud = np.sqrt(np.sum(np.square(dy))) + 1
        return {**grads, "weight": grads["weight"] * loud / loud}


# Memory


@wrong("input-unchanged", "forward has changed x")
class CentresInPlace(Right):
    def apply(self, x, *, out=None):
        result = super().apply(x, out=out)
        if x is not out and x.flags.writeable:
            x -= x.mean(0)
        return result


@wrong("input-unchanged", "backward has changed dy")
class ScalesDyInPlace(Right):
    def pullback(self, saved, dy, *, out=None):
        result = super().pullback(saved, dy, out=out)
        if dy is not out and dy.flags.writeable:
            dy *= 2
        return result


@wrong("input-read-only", "raises ValueError: buffer source array is read-only")
class WantsWriteable(Right):
    def apply(self, x, *, out=None):
        memory = memoryview(np.asarray(x))
        if memory.readonly:
            raise ValueError("buffer source array is read-only")
        return super().apply(x, out=out)


@wrong("output-own-memory", "the output keeps the memory of x")
class ReturnsItsInput(cybn.Layer):
    num_features_option = None

    class Saved(NamedTuple):
        x: np.ndarray

    def apply(self, x, *, out=None):
        return x, self.Saved(x)

    def pullback(self, saved, dy, *, out=None):
        return dy.copy(), {}


@wrong("output-own-memory", "dx keeps the memory of dy")
class ReturnsAViewOfDy(ReturnsItsInput):
    def apply(self, x, *, out=None):
        return x.copy(), self.Saved(x)

    def pullback(self, saved, dy, *, out=None):
        return dy[:], {}


@wrong("output-stays", "the second call has changed the output of the first")
class FillsOneOutput(After):
    def change_y(self, y, x):
        kept = getattr(self, "kept", None)
        if kept is None or (kept.shape, kept.dtype) != (y.shape, y.dtype):
            self.kept = y
        self.kept[...] = y
        return self.kept


@wrong("out", "forward with an out in C order")
class IgnoresOut(Right):
    def apply(self, x, *, out=None):
        return super().apply(x)


@wrong("out", "backward returns another array than out")
class ReturnsACopyOfOut(Right):
    def pullback(self, saved, dy, *, out=None):
        dx, grads = super().pullback(saved, dy, out=out)
        return dx if out is None else dx.copy(), grads


@wrong("out-in-place", "forward with out=x is off")
class WritesBeforeItReads(Right):
    def apply(self, x, *, out=None):
        if out is not None:
            out[...] = 0
        return super().apply(x, out=out)


@wrong("out-in-place", "backward after a forward with out=x is off")
class KeepsWhatIsWrittenOver(Right):
    def apply(self, x, *, out=None):
        y, saved = super().apply(x, out=out)
        return y, saved._replace(x=x, xhat=y) if out is x else saved


@wrong("out-in-place", "after a forward with out=x the gradient of weight is off")
class KeepsXItself(cybn.Layer):
    class Saved(NamedTuple):
        x: np.ndarray
        weight: np.ndarray

    def __init__(self, num_features: PositiveInt):
        self.register_parameter("weight", np.ones(num_features, np.float32))

    def apply(self, x, *, out=None):
        self.begin(x, out, ndim=2, channels=self.num_features)
        saved = self.Saved(x, self.weight.copy())
        return np.multiply(x, self.weight, out=out, dtype=x.dtype), saved

    def pullback(self, saved, dy, *, out=None):
        grads = self.gradients(weight=(dy * saved.x).sum(0))
        return np.multiply(dy, saved.weight, out=out, dtype=dy.dtype), grads


# Memory layout


@wrong("layout-values", "y for x and dy in the layout asfortranarray|in the layout fortran")
class ReadsMemoryAsItLies(Right):
    def apply(self, x, *, out=None):
        if isinstance(x, np.ndarray) and x.ndim == 2:
            x = x.ravel(order="K").reshape(x.shape)
        return super().apply(x, out=out)


@wrong("layout-kept", "the output for the layout fortran has strides")
class AlwaysInCOrder(After):
    def change_y(self, y, x):
        return np.ascontiguousarray(y)
