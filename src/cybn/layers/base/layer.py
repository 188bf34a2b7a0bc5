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
from typing import Any, ClassVar, Literal, Self

import numpy as np

from ...arrays._looks import keep_grads
from ...options import Rule
from ...terms.messages import did_you_mean, listed
from ...terms.registry import registry
from .fixed import Fixed
from .pair import Pair
from .sixteen import adapted


class Layer(Pair):
    """Base of every layer.

    A layer is a class with options and a pure pair. Every option and every array is an attribute.
    An option is checked again when it is assigned to; one that has shaped the layer, as `dtype` and
    `affine` do, cannot be assigned.

    Parameters
    ----------
    *args, **kwargs
        The options of the class, by position and by name.

    Attributes
    ----------
    training : bool
        The mode, which `train` and `eval` set.
    grads : dict
        The gradients by the name of the parameter, replaced by every backward. There are none of
        parameters that the option `trainable` holds fixed.

    Examples
    --------
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
    #: further inputs whose gradients `pullback` gives beside those of the parameters; after
    #: `backward` that of `residual` is `layer.dresidual`, None where there was none
    differentiated: ClassVar[tuple[str, ...]] = ()
    #: what becomes of float16 and bfloat16 data: "widened", the pair is given float32 copies, and
    #: what it returns is rounded once; "native", the pair takes them as they are; or "refused"
    sixteen_bits: ClassVar[Literal["widened", "native", "refused"]] = "widened"
    #: what the last forward keeps for backward
    _saved: Any = None

    # The pure pair, which a variant writes

    def apply(self, x: np.ndarray, *, out: np.ndarray | None = None) -> tuple[np.ndarray, Any]:
        """Compute the output for x, and what `pullback` needs.

        In training running statistics move, and nothing else of the layer changes. A layer that
        takes further inputs takes them by name. x is kept in what is returned, not copied (unless
        `out` is x): leave it unchanged until the pullback.

        Parameters
        ----------
        x
            The input, float16, bfloat16, float32 or float64, any strides.
        out
            An array like x to write to; it may be x itself.

        Returns
        -------
        y : ndarray
            The output, of x's shape, dtype and memory order; `out` where it is given.
        saved : NamedTuple
            What `pullback` needs; its first field is x, or an array like it.
        """
        raise NotImplementedError(f"{type(self).__name__} has no apply")

    def pullback(
        self, saved: Any, dy: np.ndarray, *, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Compute the gradients of an `apply`, given that of its output.

        They are those of the layer as it was then, and may be asked for again.

        Parameters
        ----------
        saved
            What `apply` has returned beside y.
        dy
            The gradient of y, of x's shape and dtype.
        out
            An array like x to write to; it may be dy itself.

        Returns
        -------
        dx : ndarray
            The gradient of x; `out` where it is given.
        grads : dict
            The gradients of the parameters, and of further inputs that have one, by name.
        """
        raise NotImplementedError(f"{type(self).__name__} has no pullback")

    # The same pair with a memory of one call

    def forward(self, x: np.ndarray, *, out: np.ndarray | None = None, **inputs: Any) -> np.ndarray:
        """Compute the output for x; `backward` is then that of this call.

        Parameters
        ----------
        x
            The input, float16, bfloat16, float32 or float64, any strides.
        out
            An array like x to write to; it may be x itself.
        **inputs
            Further inputs that the layer takes.

        Returns
        -------
        ndarray
            The output, of x's shape, dtype and memory order; `out` where it is given.
        """
        if inputs:
            self._check_inputs(inputs)
            y, saved = self.apply(x, out=out, **inputs)
        else:  # a dict that is handed on costs a small call a twentieth
            y, saved = self.apply(x, out=out)
        self.__dict__["_saved"] = saved  # past __setattr__, which has nothing to check here
        return y

    __call__ = forward  # itself, not by way of it: a call costs as much as a tenth of a small one

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "forward" in vars(cls):
            cls.__call__ = cls.forward
        adapted(cls, "apply", "pullback")

    def backward(self, dy: np.ndarray, *, out: np.ndarray | None = None) -> np.ndarray:
        """Compute dx of the last forward, and set `grads`.

        The gradient is that of the forward as it was, with the weight of that time, and may be
        asked for again.

        Parameters
        ----------
        dy
            The gradient of the output, of the shape and dtype of that forward's x.
        out
            An array like x to write to; it may be dy itself.

        Returns
        -------
        ndarray
            The gradient of x; `out` where it is given.

        Raises
        ------
        RuntimeError
            Before any forward.
        TypeError
            For a dtype.
        ValueError
            For a shape, and for an `out` that cannot be written to.
        """
        saved = self._saved
        if saved is None:
            raise RuntimeError(
                f"{type(self).__name__}.backward needs a forward first: call the layer with x"
            )
        dx, grads = self.pullback(saved, dy, out=out)
        keep_grads(self.__dict__, grads, self.differentiated)
        return dx

    def fixed(self, who: str) -> Fixed:
        """Tell what the layer is as a scale and a shift in its present state, for `cybn.fold`.

        A class that never is one does not define this.

        Parameters
        ----------
        who
            What the message of an error begins with.

        Returns
        -------
        Fixed
            The scale and shift.

        Raises
        ------
        TypeError
            If the class never is one.
        ValueError
            If the layer is none in its present state.
        """
        raise TypeError(f"{who} cannot take {type(self).__name__}, which is no scale and shift")

    def sample_inputs(self, x: np.ndarray) -> dict[str, Any]:
        """Make what else a call of this layer with x may take: a sample for tests and checks.

        A layer that takes labels, a mask or a second array returns a fitting one; most take none.

        Parameters
        ----------
        x
            The input.

        Returns
        -------
        dict
            The further inputs by name.
        """
        return {}

    # Modes

    def train(self, mode: bool = True) -> Self:
        """Switch to training, or to evaluation.

        Parameters
        ----------
        mode
            True for training.

        Returns
        -------
        Layer
            The layer itself.
        """
        if not isinstance(mode, (bool, np.bool_)):
            raise ValueError(f"train() takes True or False, got {mode!r}")
        self.training = mode
        return self

    def eval(self) -> Self:
        """Switch to evaluation.

        Returns
        -------
        Layer
            The layer itself.
        """
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
