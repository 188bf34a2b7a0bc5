"""The norms that are measured: their operations, layers and options, and the shapes they can take.

An operation is what a case names; a norm is what --norms names, one or several operations whose
goals are the same. Ghost batch norm and the fused forms are operations of their own, since their
peers do them in several steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

_BATCH = {2: "BatchNorm1d", 3: "BatchNorm1d", 4: "BatchNorm2d", 5: "BatchNorm3d"}
_INSTANCE = {3: "InstanceNorm1d", 4: "InstanceNorm2d", 5: "InstanceNorm3d"}
_GHOST = {rank: f"Ghost{name}" for rank, name in _BATCH.items()}

GROUPS = 32
MODES = ("forward", "backward", "evaluation")  # the first two in training mode
TRAINING = MODES[:2]


@dataclass(frozen=True)
class Operation:
    """What a case does."""

    norm: str
    layers: Mapping[int, str]  # rank of the input -> the layer of cybn that does it
    modes: tuple[str, ...] = TRAINING  # those that differ from one another
    layouts: tuple[str, ...] = ("first",)
    options: Mapping[str, Any] = field(default_factory=dict)  # of the layer
    #: arrays that must be read or written, by mode; for the fused ones, those of the fused pass
    streams: Mapping[str, int] = field(
        default_factory=lambda: {"forward": 2, "backward": 3, "evaluation": 2}
    )
    residual: bool = False

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether an input of that shape can be normalized."""
        if len(shape) not in self.layers or 0 in shape:
            return False
        channels, values = shape[1], prod(shape)
        if self.norm in ("layer", "rms"):
            return channels > 1
        if self.norm == "group":
            return channels % GROUPS == 0 and values > shape[0] * GROUPS
        if self.norm == "instance":
            return prod(shape[2:]) > 1
        if self.norm == "ghost":
            size = virtual_batch_size(shape)
            return shape[0] % size == 0 and shape[0] > size
        return values > channels


def virtual_batch_size(shape: tuple[int, ...]) -> int:
    """Samples to a virtual batch of ghost batch norm: 8 of images, 128 of plain features."""
    return 128 if len(shape) == 2 else 8


OPERATIONS = {
    "batch_norm": Operation("batch", _BATCH, MODES, ("first", "last")),
    "layer_norm": Operation("layer", {2: "LayerNorm"}),
    "rms_norm": Operation("rms", {2: "RMSNorm"}),
    "group_norm": Operation(
        "group", dict.fromkeys(_INSTANCE, "GroupNorm"), options={"num_groups": GROUPS}
    ),
    "instance_norm": Operation("instance", _INSTANCE, options={"affine": True}),
    "batch_norm_relu": Operation("fused", _BATCH, options={"activation": "relu"}),
    "batch_norm_add_relu": Operation(
        "fused", _BATCH, options={"activation": "relu"}, residual=True,
        # x, z, y; and x, dy, dx, dz, with y for the slope of the ReLU
        streams={"forward": 3, "backward": 5},
    ),
    "ghost_batch_norm": Operation("ghost", _GHOST),
}  # fmt: skip
NORMS = tuple(dict.fromkeys(operation.norm for operation in OPERATIONS.values()))
