"""Converters between forms of a layer: plain and frozen, or any two that are registered.

A converted layer is a new one with the options and arrays of the old, copied; what has no place in
the new one is an error that names it, since a network that has silently lost an option still runs.
Conversion in place, by changing `__class__`, was rejected: the original would be gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..config.build import create
from ..layers.base.fixed import overridden
from ..layers.base.layer import Layer
from ..terms.messages import listed
from ..terms.registry import registry
from ..terms.signature import options_of
from .ties import Ties
from .trees import mapped

__all__ = ["convert", "freeze", "unfreeze"]


def convert(
    layers: Any,
    target: str | type[Layer] | Mapping[str, str | type[Layer]],
    *,
    drop: Iterable[str] = (),
    **options: Any,
) -> Any:
    """Make layers of another class with the options, arrays and mode of `layers`.

    Options and arrays that both classes have are carried over, and the width, whatever a class
    calls it. Other options of the new class have their defaults, its other arrays the values of a
    new layer. Lost, which is an error unless it is in `drop`, are an option that the new class has
    not and that is not at its default, and an array that it has not and that has changed since the
    layer was new.

    Parameters
    ----------
    layers
        A layer, or a list, tuple or dict of them, nested at will; None in it stays None. The layers
        are not modified, and share no memory with the new ones. A layer that is there twice is
        converted once, and an array that two layers share (the same array, not a view) is shared by
        the new ones.
    target
        The registered name of the new class, or the class; or a dict that gives one for the names
        of the classes to convert, and then all other layers are left as they are, the same objects.
    drop
        Names of options and arrays that may be lost.
    **options
        Options of the new layers, which go before those of the old.

    Returns
    -------
    Layer, list, tuple or dict
        The new layers, in the form of `layers`.

    Raises
    ------
    UnknownName
        For an unknown target.
    UnknownOption
        For an option that the target has not.
    TypeError
        For what is no layer.
    ValueError
        For what would be lost, for an array of another shape, and for one that a converted layer
        shares with one that is left as it is.

    Examples
    --------
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
    ties = Ties("convert")

    def change(place: str, layer: Layer) -> Layer:
        if isinstance(target, Mapping) and type(layer) not in targets:
            return ties.left_alone(place, layer)
        cls = targets.get(type(layer)) or every
        new, lost = _converted("convert", place, layer, cls, options)
        _check_lost("convert", place, layer, cls, lost, drop)
        return ties.kept(place, layer, new)

    return ties.checked(mapped(layers, change, "convert"))


def freeze(layers: Any) -> Any:
    """Make frozen layers of batch norms: the same in evaluation, and always in evaluation.

    Not kept is what a frozen layer has no use for: momentum, num_batches_tracked, weight_init,
    on_single, on_nonfinite and unbiased; all other options and arrays are. What is shared stays so,
    as in `convert`.

    Parameters
    ----------
    layers
        A layer, or a list, tuple or dict of them, nested at will. What has no running statistics to
        freeze, and what is frozen already, stays as it is, the same object.

    Returns
    -------
    Layer, list, tuple or dict
        The frozen layers, in the form of `layers`.

    Raises
    ------
    TypeError
        For what is no layer, and for a layer with running statistics of which there is no frozen
        form.
    ValueError
        For a batch norm without running statistics, which would go on normalizing by each batch,
        and for one with an activation.

    Examples
    --------
    >>> import numpy as np
    >>> import cybn
    >>> net = {"norm1": cybn.BatchNorm1d(2), "norm2": None, "norm3": cybn.Normalize(0.5)}
    >>> cybn.freeze(net)["norm1"]
    FrozenBatchNorm1d(2, eps=1e-05)
    """
    ties = Ties("freeze")

    def change(place: str, layer: Layer) -> Layer:
        if layer.thawed_form is not None:
            return ties.left_alone(place, layer)
        if layer.frozen_form is not None and overridden(layer, "frozen_form") is None:
            return ties.kept(place, layer, _frozen(place, layer))
        if layer.frozen_form is None and not _keeps_statistics(layer):
            return ties.left_alone(place, layer)
        names = (entry.cls.thawed_form for entry in registry.entries())
        raise TypeError(
            f"freeze takes {listed(sorted(filter(None, names)), 'and')}, got {layer!r} at {place}; "
            f"leave it out{', or convert it into one of them first' if _is_plain(layer) else ''}"
        )

    return ties.checked(mapped(layers, change, "freeze"))


def unfreeze(layers: Any, **options: Any) -> Any:
    """Make batch norms of frozen layers, with the same weight, bias and running statistics.

    num_batches_tracked begins at 0.

    Parameters
    ----------
    layers
        A layer, or a list, tuple or dict of them, nested at will. What is not frozen stays as it
        is, the same object.
    **options
        Options of the new layers, such as momentum; by default those of a new batch norm.

    Returns
    -------
    Layer, list, tuple or dict
        The batch norms, in the form of `layers`.

    Raises
    ------
    UnknownOption
        For an option that a batch norm has not.
    TypeError
        For what is no layer.

    Examples
    --------
    >>> import cybn
    >>> cybn.unfreeze(cybn.FrozenBatchNorm2d(3, eps=1e-3), momentum=0.01)
    BatchNorm2d(3, eps=0.001, momentum=0.01, affine=True, track_running_stats=True)
    """
    ties = Ties("unfreeze")

    def change(place: str, layer: Layer) -> Layer:
        if layer.thawed_form is None or overridden(layer, "thawed_form") is not None:
            return ties.left_alone(place, layer)
        cls = registry.find(layer.thawed_form)
        new, lost = _converted("unfreeze", place, layer, cls, options)
        _check_lost("unfreeze", place, layer, cls, lost)
        return ties.kept(place, layer, new)

    return ties.checked(mapped(layers, change, "unfreeze"))


def _frozen(place: str, layer: Layer) -> Layer:
    if layer.running_mean is None or layer.running_var is None:
        raise ValueError(
            f"freeze needs running statistics, {layer!r} at {place} has none and would go on "
            f"normalizing by each batch; recalibrate a layer with track_running_stats=True, or "
            f"call it with x first if it is lazy"
        )
    form = registry.find(layer.frozen_form)
    new, lost = _converted("freeze", place, layer, form, {})
    _check_lost("freeze", place, layer, form, lost, layer.thawed_only)
    return new


def _class(target: Any) -> type[Layer]:
    if isinstance(target, type) and issubclass(target, Layer):
        return target
    return registry.find(target)


def _keeps_statistics(layer: Layer) -> bool:
    names = (name.rpartition(".")[2] for name, _ in layer.named_buffers())
    return any(name.startswith("running_") for name in names)


def _is_plain(layer: Layer) -> bool:
    # Has it the arrays of a BatchNorm, and in evaluation the same use for them?
    if not layer.running_moments or overridden(layer, "running_moments") is not None:
        return False
    return all(a.ndim < 2 and "." not in name for name, a in layer._arrays().items())


def _converted(
    who: str, place: str, layer: Layer, cls: type[Layer], given: Mapping[str, Any]
) -> tuple[Layer, dict[str, str]]:
    # One layer as a new one of class cls, and what is lost by name, as messages tell it
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
                    f"{who} cannot make {layer!r} at {place} into {new!r}: {name} of shape "
                    f"{a.shape} would be {theirs[name].shape}"
                )
            theirs[name][...] = a
        elif name not in at_first or not np.array_equal(a, at_first[name]):
            lost[name] = name
    return new, lost


def _check_lost(
    who: str,
    place: str,
    layer: Layer,
    cls: type[Layer],
    lost: Mapping[str, str],
    drop: tuple[str, ...] = (),
) -> None:
    forgotten = [name for name in lost if name not in drop]
    if not forgotten:
        return
    name = vars(cls).get("registered_name", cls.__name__)
    with_drop = (
        f"drop={(*drop, *forgotten)}"
        if who == "convert"
        else (f"cybn.convert(layer, {name!r}, drop={tuple(lost)})")
    )
    raise ValueError(
        f"{who} would lose {listed((lost[each] for each in forgotten), 'and')} of {layer!r} at "
        f"{place}, which {cls.__name__} has not; {with_drop} lets go of it"
    )
