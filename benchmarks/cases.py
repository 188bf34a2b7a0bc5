"""What is measured: operations, shapes, and cases, which are one of each with a layout and a mode.

Shapes are written channels first, as PyTorch writes them, whatever the layout; layout "last" means
that the channels lie last in memory. Rows, for the norms over features, are (rows, features).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from math import prod
from typing import Any, NamedTuple

MODES = ("forward", "backward", "evaluation")  # the first two in training
LAYOUTS = ("first", "last")
DTYPES = {"float32": 4, "float64": 8}  # bytes of an item
GROUPS = 32
SMALLEST = "smallest"  # the group of the calls that have next to nothing to compute


#: What must move, in arrays like x, by mode and whether there is a residual: read, written, and
#: read again where the sums take a look of their own that no cache serves. That is x and y; x, dy
#: and dx; with a residual x, z and y; and x, dy, y for the slope of the ReLU, dx and dz.
STREAMS = {
    ("forward", False): (1, 1, 1), ("backward", False): (2, 1, 2), ("evaluation", False): (1, 1, 0),
    ("forward", True): (2, 1, 1), ("backward", True): (3, 2, 3),
}  # fmt: skip


class Operation(NamedTuple):
    """What a case does; `norm` is what --norms and the goals call it."""

    norm: str
    layers: Mapping[int, str]  # rank of the input -> the layer of cybn
    options: Mapping[str, Any] = {}  # of the layer
    residual: bool = False

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether an input of that shape can be normalized."""
        if len(shape) not in self.layers or 0 in shape:
            return False
        samples, channels, positions = shape[0], shape[1], prod(shape[2:])
        virtual = virtual_batch_size(shape)
        return {
            "layer": channels > 1,
            "rms": channels > 1,
            "group": channels % GROUPS == 0 and channels * positions > GROUPS,
            "instance": positions > 1,
            "ghost": samples % virtual == 0 and samples > virtual,
        }.get(self.norm, samples * positions > 1)


def virtual_batch_size(shape: tuple[int, ...]) -> int:
    """Samples to a virtual batch of ghost batch norm: 8 of images, 128 of plain features."""
    return 128 if len(shape) == 2 else 8


_BATCH = {2: "BatchNorm1d", 3: "BatchNorm1d", 4: "BatchNorm2d", 5: "BatchNorm3d"}
_GHOST = {rank: f"Ghost{name}" for rank, name in _BATCH.items()}
_INSTANCE = {3: "InstanceNorm1d", 4: "InstanceNorm2d", 5: "InstanceNorm3d"}
_GROUP = dict.fromkeys(_INSTANCE, "GroupNorm")
_RELU = {"activation": "relu"}
OPERATIONS = {
    "batch_norm": Operation("batch", _BATCH),
    "layer_norm": Operation("layer", {2: "LayerNorm"}),
    "rms_norm": Operation("rms", {2: "RMSNorm"}),
    "group_norm": Operation("group", _GROUP, {"num_groups": GROUPS}),
    "instance_norm": Operation("instance", _INSTANCE, {"affine": True}),
    "batch_norm_relu": Operation("fused", _BATCH, _RELU),
    "batch_norm_add_relu": Operation("fused", _BATCH, _RELU, residual=True),
    "ghost_batch_norm": Operation("ghost", _GHOST),
}
NORMS = tuple(dict.fromkeys(operation.norm for operation in OPERATIONS.values()))


@dataclass(frozen=True)
class Case:
    """One thing to do: `mode` of `operation` on an input."""

    operation: str
    shape: tuple[int, ...]
    layout: str = "first"
    dtype: str = "float32"
    mode: str = "forward"
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
        return "x".join(map(str, self.shape)) + star + (" + z" if self.does.residual else "")

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
    def useful(self) -> int:
        """Bytes that a caller wants moved, however often a library moves them."""
        return self.nbytes * sum(STREAMS[self.mode, self.does.residual][:2])

    def forced(self, cache: int) -> tuple[int, int]:
        """Arrays like x that must be read and written, beside a last-level cache of that size.

        Channels first, the unit whose moments are taken fits a cache, so that each byte moves once.
        Channels last (plain features lie so, too) there is no unit below the whole.
        """
        last = self.layout == "last" or (len(self.shape) == 2 and self.norm in ("batch", "fused"))
        reads, writes, again = STREAMS[self.mode, self.does.residual]
        return reads + again * (last and self.nbytes > cache), writes


_RESNET50 = [
    (32, 64, 112, 112), (32, 64, 56, 56), (32, 256, 56, 56), (32, 128, 28, 28), (32, 512, 28, 28),
    (32, 256, 14, 14), (32, 1024, 14, 14), (32, 512, 7, 7), (32, 2048, 7, 7),
]  # fmt: skip
#: what ends a residual block of ResNet-50: a batch norm, the sum, a ReLU; elsewhere is no sum
_ENDS = [(32, 256, 56, 56), (32, 512, 28, 28), (32, 1024, 14, 14), (32, 2048, 7, 7)]
_DENSENET121 = [(32, 96, 57, 57), (32, 416, 29, 29), (32, 1000, 15, 15), (32, 640, 8, 8)]
_ONE_D = [(32, 64), (128, 512), (4096, 256), (100, 16, 784), (9, 128, 1), (32, 27, 7)]
_ROWS = [(30, 300), (256, 768), (5120, 1024), (64 * 512, 768), (8192, 4096)]
_PLANES = ("group_norm", "instance_norm")
_FEATURES = ("layer_norm", "rms_norm")

#: group, operations, shapes; those that an operation cannot take are left out
GRID = [
    ("resnet50", ("batch_norm", *_PLANES, "ghost_batch_norm"), _RESNET50),
    ("resnet50", ("batch_norm_relu",), [shape for shape in _RESNET50 if shape not in _ENDS]),
    ("resnet50", ("batch_norm_add_relu",), _ENDS),
    ("densenet121", ("batch_norm", *_PLANES), _DENSENET121),
    ("1d", ("batch_norm",), _ONE_D),
    ("1d", ("ghost_batch_norm",), [(4096, 256)]),
    ("3d", ("batch_norm",), [(2, 16, 40, 40, 40)]),
    ("image", ("batch_norm",), [(1, 16, 7, 7), (1, 64, 112, 112)]),
    ("rows", _FEATURES, _ROWS),
    (SMALLEST, ("batch_norm", "batch_norm_relu", "batch_norm_add_relu", *_FEATURES), [(8, 4)]),
    (SMALLEST, _PLANES, [(1, GROUPS, 2, 2)]),
    (SMALLEST, ("ghost_batch_norm",), [(256, 4)]),
]
#: what --quick keeps: a plane, a small plane, one to stream, a sequence, features, rows
QUICK = [(32, 64, 56, 56), (32, 512, 7, 7), (32, 512, 28, 28), (100, 16, 784), (4096, 256),
         (256, 768), (5120, 1024)]  # fmt: skip


def grid(*, quick: bool = False, norms: Sequence[str] = NORMS, patterns: Sequence[str] = (),
         layouts: Sequence[str] = LAYOUTS, modes: Sequence[str] = MODES,
         dtypes: Sequence[str] = ("float32",)) -> list[Case]:  # fmt: skip
    """The cases of the grid that are asked for, norm by norm.

    A pattern is a group, an operation, or a shape such as `32x64x56x56` (with wildcards, as in
    `32x*`). A shape is a case for each of the norms that can take it, in the grid or not.

    Raises ValueError for a pattern that is none of these, and for a choice that leaves no case.
    """
    chosen = [
        Case(name, shape, layout, group=group)
        for name in OPERATIONS
        for group, names, shapes in GRID
        for shape in shapes
        for layout in (LAYOUTS if (name, group) == ("batch_norm", "resnet50") else LAYOUTS[:1])
        if name in names
        and OPERATIONS[name].norm in norms
        and OPERATIONS[name].takes(shape)
        and (not quick or shape in QUICK or group == SMALLEST)
    ]
    if patterns:
        found = [case for pattern in patterns for case in _matching(pattern, chosen, norms)]
        chosen = list(dict.fromkeys(found))
    cases = [
        replace(case, dtype=dtype, mode=mode)
        for case in chosen
        for dtype in dtypes
        for mode in modes
        # In evaluation the others compute what they compute in training, or nothing of note.
        if case.layout in layouts and (mode in MODES[:2] or case.norm == "batch")
    ]
    if not cases:
        raise ValueError("the choice of norms, shapes, modes and layouts leaves no case")
    return cases


def _matching(pattern: str, cases: Sequence[Case], norms: Sequence[str]) -> list[Case]:
    found = [
        case
        for case in cases
        for name in (case.group, case.operation, "x".join(map(str, case.shape)))
        if fnmatchcase(name, pattern)
    ]
    if re.fullmatch("[0-9]+(x[0-9]+){1,4}", pattern):
        there = {case.operation for case in found}
        shape = tuple(map(int, pattern.split("x")))
        found += [
            Case(name, shape, layout)
            for name, operation in OPERATIONS.items()
            if name not in there and operation.norm in norms and operation.takes(shape)
            for layout in (LAYOUTS if len(shape) > 2 and name == "batch_norm" else LAYOUTS[:1])
        ]
    if not found:
        groups = ", ".join(dict.fromkeys(case.group for case in cases))
        raise ValueError(
            f"{pattern!r} is no group ({groups}), operation, or shape such as 32x64x56x56 that "
            f"the norms can take"
        )
    return found
