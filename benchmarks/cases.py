"""What is measured: operations, and cases, each of which is one of them on a shape.

Shapes are written channels first, as PyTorch writes them, whatever the layout; layout "last" means
that the channels lie last in memory. Rows, for the norms over features, are (rows, features).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

MODES = ("forward", "backward", "evaluation")  # the first two in training
LAYOUTS = ("first", "last")
DTYPES = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2}  # bytes of an item
SIXTEEN = ("float16", "bfloat16")
GROUPS = 32
SMALLEST = "smallest"  # the group of the calls that have next to nothing to compute

#: What must move, in arrays like x, by mode and whether there is another input: read, written, and
#: read again where the sums take a look of their own that no cache serves. That is x and y; x, dy
#: and dx; with a residual x, z and y; and x, dy, y for the slope of the ReLU, dx and dz. With a
#: style it is the style in place of y.
STREAMS = {
    ("forward", False): (1, 1, 1), ("backward", False): (2, 1, 2), ("evaluation", False): (1, 1, 0),
    ("forward", True): (2, 1, 1), ("backward", True): (3, 2, 3), ("evaluation", True): (2, 1, 0),
}  # fmt: skip


class Operation(NamedTuple):
    """What a case does; `norm` is what --norms and the goals call it."""

    norm: str
    layers: Mapping[int, str]  # rank of the input -> the layer of cybn
    options: Mapping[str, Any] = {}  # of the layer
    extra: str | None = None  # another input, by the name that the layer gives it
    last: bool = False  # its channels lie last, always

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether an input of that shape can be normalized."""
        if len(shape) not in self.layers or 0 in shape:
            return False
        samples, channels, positions = shape[0], shape[1], prod(shape[2:])
        virtual = virtual_batch_size(shape)
        grouped = channels % GROUPS == 0 and channels * positions > GROUPS
        return {
            "layer": channels > 1,
            "rms": channels > 1,
            "group": grouped,
            "instance": positions > 1,
            "ghost": samples % virtual == 0 and samples > virtual,
            "research": len(shape) == 2 or (grouped and positions > 1),
        }.get(self.norm, samples * positions > 1)


def virtual_batch_size(shape: tuple[int, ...]) -> int:
    """Samples to a virtual batch of ghost batch norm: 8 of images, 128 of plain features."""
    return 128 if len(shape) == 2 else 8


_BATCH = {2: "BatchNorm1d", 3: "BatchNorm1d", 4: "BatchNorm2d", 5: "BatchNorm3d"}
_GHOST = {rank: f"Ghost{name}" for rank, name in _BATCH.items()}
_INSTANCE = {3: "InstanceNorm1d", 4: "InstanceNorm2d", 5: "InstanceNorm3d"}
_GROUP = dict.fromkeys(_INSTANCE, "GroupNorm")
_RELU = {"activation": "relu"}
#: the norms from papers: of rows; of planes, with options (PowerNorm is to compute the same in each
#: call, whatever went before)
_FEATURES = ("DyT", "ScaleNorm", "PartialRMSNorm", "GatedRMSNorm")
_EXTRAS = {"AdaIN": "style", "GatedRMSNorm": "gate"}
_PLANES = {
    "FilterResponseNorm": {}, "GlobalResponseNorm": {}, "EvoNormS0": {}, "EvoNormB0": {},
    "EvoNormS1": {}, "EvoNormS2": {}, "EvoNormB1": {}, "EvoNormB2": {},
    "SwitchableNorm2d": {}, "IBN": {}, "IterNorm": {"num_groups": 4},
    "PowerNorm": {"momentum": 0.0}, "WeightStandardization": {}, "AdaIN": {}, "RevIN": {},
}  # fmt: skip
OPERATIONS = {
    "batch_norm": Operation("batch", _BATCH),
    "layer_norm": Operation("layer", {2: "LayerNorm"}),
    "rms_norm": Operation("rms", {2: "RMSNorm"}),
    "group_norm": Operation("group", _GROUP, {"num_groups": GROUPS}),
    "instance_norm": Operation("instance", _INSTANCE, {"affine": True}),
    "batch_norm_relu": Operation("fused", _BATCH, _RELU),
    "batch_norm_add_relu": Operation("fused", _BATCH, _RELU, "residual"),
    "ghost_batch_norm": Operation("ghost", _GHOST),
    **{name: Operation("research", {2: name}, {}, _EXTRAS.get(name)) for name in _FEATURES},
    **{name: Operation("research", {3 if name == "RevIN" else 4: name}, options,
                       _EXTRAS.get(name), name == "RevIN")
       for name, options in _PLANES.items()},
}  # fmt: skip
RESEARCH = tuple(name for name, each in OPERATIONS.items() if each.norm == "research")
NORMS = tuple(dict.fromkeys(operation.norm for operation in OPERATIONS.values()))


@dataclass(frozen=True)
class Case:
    """One thing to do: `mode` of `operation` on an input."""

    operation: str
    shape: tuple[int, ...]
    layout: str = "first"
    dtype: str = "float32"
    mode: str = "forward"
    cached: bool = False  # on the same arrays again and again, which then come from a cache
    group: str = field(default="other", compare=False)

    @property
    def does(self) -> Operation:
        return OPERATIONS[self.operation]

    @property
    def norm(self) -> str:
        return self.does.norm

    @property
    def layer(self) -> str:
        """The layer of cybn for it, whether or not there is one."""
        return self.does.layers[len(self.shape)]

    @property
    def label(self) -> str:
        """The shape as text, with a star where the channels lie last and `+ z` with a residual."""
        star = "*" if self.layout == "last" else ""
        extra = " + z" if self.does.extra else ""
        return "x".join(map(str, self.shape)) + star + extra + " cached" * self.cached

    def __str__(self) -> str:
        return f"{self.operation} {self.label} {self.dtype} {self.mode}"

    @property
    def channels(self) -> int:
        return self.shape[1]

    @property
    def axis(self) -> int:
        """That of the channels, as the array lies in memory."""
        return 1 if self.layout == "first" else len(self.shape) - 1

    @property
    def memory_shape(self) -> tuple[int, ...]:
        """The shape of the C-ordered array that holds the input."""
        samples, channels, *inner = self.shape
        return self.shape if self.layout == "first" else (samples, *inner, channels)

    @property
    def nbytes(self) -> int:
        """Bytes of the input."""
        return prod(self.shape) * DTYPES[self.dtype]

    @property
    def streams(self) -> tuple[int, int, int]:
        return STREAMS[self.mode, self.does.extra is not None]

    @property
    def useful(self) -> int:
        """Bytes that a caller wants moved, however often a library moves them."""
        return self.nbytes * sum(self.streams[:2])

    def forced(self, cache: int) -> tuple[int, int]:
        """Arrays like x that must be read and written, beside a last-level cache of that size.

        Channels first, the unit whose moments are taken fits a cache, so that each byte moves once.
        Channels last (plain features lie so, too) there is no unit of a batch below the whole.
        """
        last = self.layout == "last" or len(self.shape) == 2
        whole = last and self.norm in ("batch", "fused") and self.nbytes > cache
        reads, writes, again = self.streams
        return reads + again * whole, writes
