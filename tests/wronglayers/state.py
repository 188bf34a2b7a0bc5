"""Wrong layers: building, modes, state and options."""

import threading
from typing import Any, Literal

import numpy as np

import cybn
from cybn.options import PositiveInt

from .right import After, Right, wrong

# Building


@wrong("builds", r"no plain value fits the option channels \(dict of str to int\)")
class WantsATable(cybn.Layer):
    def __init__(self, channels: dict[str, int]):
        self.register_parameter("weight", np.ones(channels["out"], np.float32))


@wrong("builds", "takes none of these input shapes")
class TakesNothing(Right):
    def apply(self, x, *, out=None):
        raise ValueError("not this one")


@wrong("builds", "cannot be built: ZeroDivisionError")
class BreaksInInit(cybn.Layer):
    def __init__(self, num_features: int = 4):
        raise ZeroDivisionError


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
    def apply(self, x, *, out=None):
        result = super().apply(x, out=out)
        if not self.training and len(x):
            self.follow(*self.moments(x))
        return result


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


@wrong("modes-backward", "another dx after the mode has been switched")
class BackwardOfTheMoment(Right):
    def pullback(self, saved, dy, *, out=None):
        return super().pullback(saved._replace(of_batch=self.training), dy, out=out)


# State


@wrong("state-dict", "another output in evaluation")
class PlainNumbers(After):
    offset = 0.0

    def change_y(self, y, x):
        if self.training and x.size:
            self.offset += float(x.mean())
        return y if self.training else y + y.dtype.type(self.offset)


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
        super().load_state_dict({k: v for k, v in state.items() if k != "names"}, False)
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


@wrong("state-loads", "refuses the state dict after a batch with infinity: ValueError: not so")
class RefusesWhatItHas(Right):
    def load_state_dict(self, state, strict=True):
        if max(np.nan_to_num(a).max(initial=0) for a in state.values()) > 1e30:
            raise ValueError("not so large")
        return super().load_state_dict(state, strict)


@wrong("state-loads", r"batches goes from 9223372036854775807 to -92233720368547758\d\d")
class CountOverflows(Right):
    def __init__(self, num_features: PositiveInt, eps: float = 1e-2, momentum: float = 0.1):
        super().__init__(num_features, dtype="float32")
        self.register_buffer("batches", np.array(0))

    def follow(self, mean, var):
        super().follow(mean, var)
        self.batches += 1


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
