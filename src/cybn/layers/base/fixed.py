"""Fixed: what a layer is where it does the same to every input, a scale and a shift a channel.

A class says by `Layer.fixed` that it is one, and in which state; `cybn.fold` and `cybn.freeze` ask.
What a class says of itself holds for a subclass as long as it computes as its parent does:
`overridden` names what a subclass does otherwise. Lists of classes in the tools were rejected: they
take a subclass that computes something else for its parent, and no layer of a plugin.
"""

from __future__ import annotations

from inspect import isroutine, unwrap
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from .layer import Layer

__all__ = ["Fixed", "fixed_batch_norm", "overridden"]

# What a subclass may have of its own without another output
_APART = {
    "__doc__", "__init__", "__repr__", "extra_repr", "get_config", "state_dict", "load_state_dict",
    "keeps_finite", "fixed", "pullback", "backward", "reset_parameters", "reset_running_stats",
    "sample_inputs", "train", "eval",
}  # fmt: skip


class Fixed(NamedTuple):
    """y = (x - mean) / std * weight + bias, each (C,); std is sqrt(var + eps) where it is None.

    A std of 0 divides as 1, weight None is 1, and bias None 0. Where `any_width` is True the arrays
    have one value, for however many channels there are.
    """

    mean: np.ndarray
    var: np.ndarray | None = None
    std: np.ndarray | None = None
    weight: np.ndarray | None = None
    bias: np.ndarray | None = None
    eps: float = 0.0
    any_width: bool = False


def fixed_batch_norm(layer: Layer, who: str, always: bool = False) -> Fixed:
    """A batch norm by its running statistics; `always`, or in evaluation alone."""
    name = type(layer).__name__
    if layer.training and not always:
        raise ValueError(
            f"{who} got a {name} in training, which normalizes by each batch; call eval() first"
        )
    if getattr(layer, "num_features", None) is None:
        raise ValueError(f"{who} got a {name} that has no num_features yet; call it with x first")
    if layer.running_mean is None or layer.running_var is None:
        raise ValueError(
            f"{who} got a {name} without running statistics, which normalizes by each batch; "
            f"build it with track_running_stats=True"
        )
    activation = getattr(layer, "activation", None)
    if activation is not None:
        raise ValueError(
            f"{who} cannot fold activation={activation!r} of {name} into weights; set activation "
            f"to None and apply it yourself"
        )
    return Fixed(layer.running_mean, layer.running_var, None, layer.weight, layer.bias, layer.eps)


def overridden(layer: Layer, declaration: str) -> str | None:
    """What the layer computes otherwise than the class that has made this declaration of itself.

    The name of a method, or None where it does all as that class does.
    """
    for name in ("forward", "apply"):
        if name in vars(layer):  # of the object alone
            return name
    order = type(layer).__mro__
    for i, cls in enumerate(order):
        if declaration in vars(cls):
            return None
        for name, value in vars(cls).items():
            if name in _APART or not (isroutine(value) or isinstance(value, property)):
                continue
            parents = (vars(parent) for parent in order[i + 1 :])
            inherited = [unwrap(own[name]) for own in parents if name in own]
            # for sixteen bits a class is given what it inherits wrapped, or as it was before
            if inherited and unwrap(value) not in inherited:
                return name
    return None
