"""Converters between forms of a layer: plain and frozen, or any two that are registered.

A converted layer is a new one with the options and arrays of the old, copied; what has no place in
the new one is an error that names it, since a network that has silently lost an option still runs.
Conversion in place, by changing `__class__`, was rejected: the original would be gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..config import create
from ..layers.base import Layer
from ..messages import listed
from ..options import options_of
from ..registry import registry
from .trees import mapped

__all__ = ["convert", "freeze", "unfreeze"]

_PLAIN = ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d")
_FROZEN = tuple(f"Frozen{name}" for name in _PLAIN)
_RUNNING = ("running_mean", "running_var")
# What a frozen layer does without: the arrays that affine and bias leave out are ones and zeros.
_THAWED = ("momentum", "num_batches_tracked", "affine", "bias")


def convert(
    layers: Any,
    target: str | type[Layer] | Mapping[str, str | type[Layer]],
    *,
    drop: Iterable[str] = (),
    **options: Any,
) -> Any:
    """New layers of another class with the options, arrays and mode of `layers`.

    Parameters
    ----------
    layers: a layer, or a list, tuple or dict of them, nested at will; the result has the same
        form. None in it stays None. The layers are not modified, and share no memory with the new
        ones.
    target: the registered name of the new class, or the class; or a dict that gives one for the
        names of the classes to convert, and then all other layers are left as they are, the same
        objects.
    drop: names of options and arrays that may be lost.
    options: options of the new layers, which go before those of the old.

    Options and arrays that both have are carried over, and the width, whatever a class calls it.
    Other options of the new class have their defaults, its other arrays the values of a new layer.
    Lost, which is an error unless it is in `drop`, are an option that the new class has not and
    that is not at its default, and an array that it has not and that has changed since the layer
    was new.

    Raises UnknownName for an unknown target, UnknownOption for an option it has not, TypeError for
    what is no layer, ValueError for what would be lost and for an array of another shape.

    >>> import cybn
    >>> layer = cybn.BatchNorm2d(3, eps=1e-3)
    >>> layer.weight[...] = 7
    >>> ghost = cybn.convert(layer, "GhostBatchNorm2d", virtual_batch_size=16)
    >>> ghost.eps, ghost.weight
    (0.001, array([7., 7., 7.], dtype=float32))
    """
    drop = (drop,) if isinstance(drop, str) else tuple(drop)
    if isinstance(target, Mapping):
        targets = {registry.find(name): _class(each) for name, each in target.items()}
    else:
        targets, every = {}, _class(target)

    def change(place: str, layer: Layer) -> Layer:
        if isinstance(target, Mapping) and type(layer) not in targets:
            return layer
        return _converted(place, layer, targets.get(type(layer)) or every, drop, options)

    return mapped(layers, change, "convert")


def freeze(layers: Any) -> Any:
    """BatchNorm layers as FrozenBatchNorm ones: the same in evaluation, and always in evaluation.

    layers: a layer, or a list, tuple or dict of them, nested at will; the result has the same form.
    What has no running statistics to freeze, and what is frozen already, stays as it is, the same
    object.

    momentum and num_batches_tracked are not kept, since a frozen layer has no use for them; all
    other options and arrays are. Raises ValueError for a BatchNorm without running statistics,
    which would go on normalizing by each batch, and TypeError for another layer that keeps them.

    >>> import numpy as np
    >>> import cybn
    >>> net = {"norm1": cybn.BatchNorm1d(2), "norm2": None, "norm3": cybn.Normalize(0.5)}
    >>> cybn.freeze(net)["norm1"]
    FrozenBatchNorm1d(2, eps=1e-05)
    """
    forms = dict(zip(map(registry.find, _PLAIN), map(registry.find, _FROZEN), strict=True))

    def change(place: str, layer: Layer) -> Layer:
        form = forms.get(type(layer))
        if form is None:
            if type(layer) not in forms.values() and _keeps_statistics(layer):
                raise TypeError(
                    f"freeze takes {listed(_PLAIN, 'and')}, got {layer!r} at {place}; "
                    f"convert it into one of them first"
                )
            return layer
        if layer.running_mean is None or layer.running_var is None:
            raise ValueError(
                f"freeze needs running statistics, {layer!r} at {place} has none and would go on "
                f"normalizing by each batch; recalibrate a layer with track_running_stats=True"
            )
        return _converted(place, layer, form, _THAWED, {})

    return mapped(layers, change, "freeze")


def unfreeze(layers: Any, **options: Any) -> Any:
    """FrozenBatchNorm layers as BatchNorm ones, with the same weight, bias and running statistics.

    layers: as in freeze; what is not frozen stays as it is, the same object.
    options: of the new layers, such as momentum; by default those of a new BatchNorm.

    num_batches_tracked begins at 0.

    >>> import cybn
    >>> cybn.unfreeze(cybn.FrozenBatchNorm2d(3, eps=1e-3), momentum=0.01)
    BatchNorm2d(3, eps=0.001, momentum=0.01, affine=True, track_running_stats=True)
    """
    return convert(layers, dict(zip(_FROZEN, _PLAIN, strict=True)), **options)


def _class(target: Any) -> type[Layer]:
    if isinstance(target, type) and issubclass(target, Layer):
        return target
    return registry.find(target)


def _keeps_statistics(layer: Layer) -> bool:
    names = (name.rpartition(".")[2] for name, _ in layer.named_buffers())
    return any(name in _RUNNING for name in names)


def _converted(
    place: str, layer: Layer, cls: type[Layer], drop: tuple[str, ...], given: Mapping[str, Any]
) -> Layer:
    # One layer as a new one of class cls; see convert
    own, known = options_of(type(layer)), options_of(cls)
    carried, lost = {}, {}
    for name, value in layer.get_config().items():
        width = name == layer.num_features_option
        new_name = cls.num_features_option if width else name
        if new_name in known:
            carried[new_name] = value
        elif name != "type" and not width and value != own[name].default:
            lost[name] = f"{name}={value!r}"
    new = cls(**{**carried, **given}).train(layer.training)
    theirs = new._arrays()
    at_first = create(layer.get_config() | {"type": type(layer)})._arrays()
    for name, a in layer._arrays().items():
        if name in theirs:
            if a.shape != theirs[name].shape:
                raise ValueError(
                    f"convert cannot make {layer!r} at {place} into {new!r}: {name} of shape "
                    f"{a.shape} would be {theirs[name].shape}"
                )
            theirs[name][...] = a
        elif name not in at_first or not np.array_equal(a, at_first[name]):
            lost[name] = name
    if forgotten := [text for name, text in lost.items() if name not in drop]:
        names = tuple(name for name in lost if name not in drop)
        raise ValueError(
            f"convert would lose {listed(forgotten, 'and')} of {layer!r} at {place}, which "
            f"{cls.__name__} has not; drop={names} lets go of it"
        )
    return new
