"""Layer: what every normalization layer is, built-in or plugin.

A variant writes `__init__` with its options, declares its parameters and buffers, and writes the
pure pair: `apply`, from x to y and what backward needs, and `pullback`, from that and dy to dx and
the gradients. A pair keeps nothing in the layer, so a layer may be used twice before its backward,
and by several threads. `forward` and `backward`, which remember the last call as PyTorch's modules
do, are written here alone, around the pair.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, Self

import numpy as np

from ..fixes import rank_fix
from ..messages import did_you_mean, listed
from ..options import Rule
from ..registry import registry
from ..validation import (
    as_float_array,
    check_channels,
    check_out,
    check_separate,
    check_upstream,
)
from .declared import Declared
from .fixed import Fixed


class Layer(Declared):
    """Base of every layer.

    A layer is a class with options and a pure pair:

    >>> from typing import NamedTuple
    >>> import numpy as np
    >>> import cybn
    >>> @cybn.register("Scale", force=True)
    ... class Scale(cybn.Layer):
    ...     '''Multiply each feature of x, (N, C), by a weight.'''
    ...     class Saved(NamedTuple):
    ...         x: np.ndarray
    ...         weight: np.ndarray
    ...     def __init__(self, num_features: int, init: float = 1.0):
    ...         self.register_parameter("weight", np.full(num_features, init, np.float32))
    ...     def apply(self, x, *, out=None):
    ...         x = self.begin(x, out, ndim=2, channels=self.num_features)
    ...         saved = self.Saved(x, self.weight.copy())
    ...         return np.multiply(x, self.weight, out=out, dtype=x.dtype), saved
    ...     def pullback(self, saved, dy, *, out=None):
    ...         dy = self.resume(saved, dy, out)
    ...         grads = self.gradients(weight=(dy * saved.x).sum(0))
    ...         return np.multiply(dy, saved.weight, out=out, dtype=dy.dtype), grads
    >>> cybn.create({"type": "scale", "num_features": 2, "init": 3})
    Scale(2, init=3.0)
    >>> cybn.testing.check_layer("Scale", strict=True).named("failed")
    []

    Attributes
    ----------
    training: bool, set by train() and eval().
    grads: dict, parameter name to its gradient, replaced by every backward.
    Every option of the class, checked again when it is assigned to; one that has shaped the layer,
    as `dtype` and `affine` do, cannot be assigned. Every parameter and buffer.
    """

    registered_name: ClassVar[str]
    #: the option that `num_features` of a shared config goes to; None where there is no such thing
    num_features_option: ClassVar[str | None] = "num_features"
    #: rules between options; those of base classes hold as well
    rules: ClassVar[tuple[Rule, ...]] = ()
    #: the options whose product is the number of values in the largest array, as far as a config
    #: file is concerned; None for the width and each PositiveInt and Shape
    sized_by: ClassVar[tuple[str, ...] | None] = None
    #: checks of `cybn.testing` that the layer fails by design, and why
    excused_checks: ClassVar[Mapping[str, str]] = {}
    #: the registered name of the class that is this one with its statistics fixed, as `cybn.freeze`
    #: makes it
    frozen_form: ClassVar[str | None] = None
    #: the same the other way: the class that a frozen one was before, for `cybn.unfreeze`
    thawed_form: ClassVar[str | None] = None
    #: options and arrays that mean nothing to the frozen form: freezing drops them
    thawed_only: ClassVar[tuple[str, ...]] = ()
    #: do running_mean and running_var follow the moments of all that a channel is called with? Then
    #: `cybn.recalibrate` sets them
    running_moments: ClassVar[bool] = False
    #: arrays that may be set to None after the layer was built, as they are where options say so
    optional_arrays: ClassVar[tuple[str, ...]] = ()
    #: further inputs whose gradients `pullback` gives beside those of the parameters; after
    #: `backward` that of `residual` is `layer.dresidual`, None where there was none
    differentiated: ClassVar[tuple[str, ...]] = ()
    #: what `apply` hands to `pullback`: a NamedTuple whose first field is x, or an array like it
    Saved: ClassVar[type]

    #: what the last forward keeps for backward
    _saved: Any = None

    # The pure pair, which a variant writes

    def apply(self, x: np.ndarray, *, out: np.ndarray | None = None) -> tuple[np.ndarray, Any]:
        """The output for x, in `out` where it is given, and what `pullback` needs.

        In training running statistics move, and nothing else of the layer changes. Further inputs
        are given by name. x is kept in what is returned, not copied (unless `out` is x): leave it
        unchanged until the pullback.
        """
        raise NotImplementedError(f"{type(self).__name__} has no apply")

    def pullback(
        self, saved: Any, dy: np.ndarray, *, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """dx, in `out` where it is given, and the gradients by name, for the gradient dy of y.

        `saved` is what `apply` has returned; the gradient is that of the layer as it was then, and
        may be asked for again. dy has the shape and dtype of x; `out` may be dy itself.
        """
        raise NotImplementedError(f"{type(self).__name__} has no pullback")

    # What a variant writes its pair with

    def begin(
        self,
        x: np.ndarray,
        out: np.ndarray | None = None,
        *,
        ndim: int | tuple[int, ...] = (),
        channels: int | None = None,
        channel_axis: int = 1,
        residual: np.ndarray | None = None,
        keep: bool = True,
        **others: np.ndarray,
    ) -> np.ndarray:
        """x as an apply may use and keep it, once x, `out` and the layer are known to be good.

        A copy where `out` is x itself, since y is then written over x, unless the layer need not
        `keep` it. TypeError for a dtype other
        than float32 and float64; ValueError unless x.ndim is `ndim`, or one of them, and x has so
        many `channels`, and for an array of the layer that is missing.

        An `out` has the shape and dtype of x. It may be x, or `residual`, an input that is like x;
        it must not overlap them in part, nor any of the `others` or an array of the layer.
        """
        who = type(self).__name__
        x = as_float_array(who, "x", x)
        ranks = (ndim,) if isinstance(ndim, int) else ndim
        if ranks and x.ndim not in ranks:
            expected = " or ".join(f"{n}-D" for n in ranks)
            fix = rank_fix(who, x, ranks, channels, channel_axis)
            raise ValueError(f"{who} expects {expected} input, got {x.ndim}-D {x.shape}{fix}")
        if channels is not None:
            if not -x.ndim <= channel_axis < x.ndim:
                raise ValueError(f"{who} expects channels on axis {channel_axis}, got {x.shape}")
            check_channels(who, x, channels, channel_axis, own=ranks or None)
        if self._checked is None:
            self._check_there()
        if out is None:
            return x
        in_place = check_out(who, out, x, **others)
        if residual is not None:
            check_out(who, out, residual)
        check_separate(who, "out", out, **self._arrays())
        return x.copy(order="K") if in_place and keep else x

    def undo(self, x: np.ndarray, kept: np.ndarray, out: np.ndarray | None) -> None:
        """After a call that has failed: what `begin` made of x, written back where `out` was x."""
        if kept is not x and out is not None:
            out[...] = kept

    def resume(self, saved: Any, dy: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """dy, once `saved`, dy and `out` are known to be good: the first line of a pullback.

        TypeError for what another layer has saved and for a dtype, ValueError for a shape and an
        `out` that cannot be written to.
        """
        who = type(self).__name__
        if not isinstance(saved, self.Saved):
            raise TypeError(
                f"{who}.pullback takes what {who}.apply has returned beside y, "
                f"got {type(saved).__module__}.{type(saved).__qualname__}"
            )
        dy = check_upstream(who, dy, saved[0], out)
        if out is not None:
            check_separate(who, "out", out, **self._arrays())
        return dy

    def gradients(self, **grads: Any) -> dict[str, np.ndarray]:
        """Gradients by name, in the shape and dtype of their parameters.

        Left out are those of parameters that the layer has not, and those that are None.
        """
        own = {}
        for name, a in self._parameters.items():
            g = grads.pop(name, None)
            if a is None:
                continue
            if g is None:
                raise TypeError(
                    f"{type(self).__name__}.gradients needs one of {name}, got "
                    f"{', '.join([*own, *grads]) or 'none'}"
                )
            if type(g) is not np.ndarray or g.dtype is not a.dtype or g.shape != a.shape:
                g = np.asarray(g, a.dtype).reshape(a.shape)
            own[name] = g
        for name, g in grads.items():
            if g is not None:
                own[name] = g
        return own

    # The same pair with a memory of one call

    def forward(self, x: np.ndarray, *, out: np.ndarray | None = None, **inputs: Any) -> np.ndarray:
        """The output for x, in `out` where it is given; `backward` is then that of this call."""
        if inputs:
            self._check_inputs(inputs)
        y, saved = self.apply(x, out=out, **inputs)
        self.__dict__["_saved"] = saved  # past __setattr__, which has nothing to check here
        return y

    __call__ = forward  # itself, not by way of it: a call costs as much as a tenth of a small one

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "forward" in vars(cls):
            cls.__call__ = cls.forward

    def backward(self, dy: np.ndarray, *, out: np.ndarray | None = None) -> np.ndarray:
        """dx of the last forward, in `out` where it is given; sets `grads`.

        dy has the shape and dtype of that forward's x; `out` may be dy itself. The gradient is that
        of the forward as it was, with the weight of that time, and may be asked for again.

        Raises RuntimeError before any forward; TypeError and ValueError as the forward does.
        """
        saved = self._saved
        if saved is None:
            raise RuntimeError(
                f"{type(self).__name__}.backward needs a forward first: call the layer with x"
            )
        dx, grads = self.pullback(saved, dy, out=out)
        own, parameters = self.__dict__, self._parameters
        for name in self.differentiated:
            own["d" + name] = grads.pop(name, None)
        for name, g in grads.items():
            if getattr(g, "dtype", None) is not getattr(parameters.get(name), "dtype", None):
                grads[name] = self._like_parameter(name, g)
        own["grads"] = grads
        return dx

    def fixed(self, who: str) -> Fixed:
        """What the layer is as a scale and a shift in its present state, for `cybn.fold`.

        Raises ValueError, with a message that begins with `who`, where it is none; a class that
        never is one does not define this.
        """
        raise TypeError(f"{who} cannot take {type(self).__name__}, which is no scale and shift")

    def sample_inputs(self, x: np.ndarray) -> dict[str, Any]:
        """What else a call of this layer with x may take, by name: a sample for tests and checks.

        A layer that takes labels, a mask or a second array returns a fitting one; most take none.
        """
        return {}

    # Modes

    def train(self, mode: bool = True) -> Self:
        """Switch to training (or evaluation) and return the layer."""
        if not isinstance(mode, (bool, np.bool_)):
            raise ValueError(f"train() takes True or False, got {mode!r}")
        self.training = mode
        return self

    def eval(self) -> Self:
        """Switch to evaluation and return the layer."""
        return self.train(False)

    # Inside

    def _check_inputs(self, inputs: Mapping[str, Any]) -> None:
        """TypeError for an input that the layer does not take."""
        known = _inputs_of(type(self))
        wrong = next((each for each in inputs if known is not None and each not in known), None)
        if wrong is None:
            return
        fix = f"it takes {listed(('out', *known), 'and')}"
        if wrong == "training":
            fix = "call train() or eval() first"
        elif wrong in self._options:
            fix = "it is an option; give it when you build the layer"
        elif hint := did_you_mean(wrong, ("out", *known)):
            fix = hint.removeprefix("; ")
        raise TypeError(f"{type(self).__name__} takes no {wrong} in a call; {fix}")

    def _check_there(self) -> None:
        """ValueError for an array that the layer was built with and that is None now."""
        for name in (*self._parameters, *self._buffers):
            missing = getattr(self, name, None) is None and name in self._needed
            if missing and name not in self.optional_arrays:
                raise ValueError(
                    f"{type(self).__name__} needs {name}, which is None; assign an array to it"
                )


@cache
def _inputs_of(cls: type[Layer]) -> tuple[str, ...] | None:
    """What an apply takes beside x and out, by name; None where it takes whatever it is given."""
    names: list[str] = []
    for each in cls.__mro__[: cls.__mro__.index(Layer)]:
        if "apply" not in vars(each):
            continue
        own = inspect.signature(vars(each)["apply"]).parameters.values()
        names += [one.name for one in own if one.kind is one.KEYWORD_ONLY]
        if not any(one.kind is one.VAR_KEYWORD for one in own):
            return tuple(dict.fromkeys(name for name in names if name != "out"))
    return None  # what it takes as **inputs it hands on, and to nobody who says more


registry.base = Layer
