"""What is measured: a case is a record, and the grid is a list of shapes.

Shapes are written channels first, as PyTorch writes them, whatever the layout; layout "last" means
that the channels lie last in memory. Rows, for the norms over features, are (rows, features).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from math import prod
from typing import Any

from .norms import MODES, NORMS, OPERATIONS, Operation, virtual_batch_size

LAYOUTS = ("first", "last")
DTYPES = ("float32", "float64")
_ITEM = {"float32": 4, "float64": 8}


@dataclass(frozen=True)
class Case:
    """One thing to do: `mode` of `operation` on an input."""

    operation: str
    shape: tuple[int, ...]
    layout: str = "first"
    dtype: str = "float32"
    mode: str = "forward"
    group: str = "other"

    @property
    def does(self) -> Operation:
        return OPERATIONS[self.operation]

    @property
    def norm(self) -> str:
        return self.does.norm

    @property
    def layer(self) -> str | None:
        """The layer of cybn for it, whether or not there is one."""
        return self.does.layers.get(len(self.shape))

    @property
    def options(self) -> dict[str, Any]:
        """Those of the layer, its width aside."""
        options = {**self.does.options, "dtype": self.dtype}
        if self.layout == "last":
            options["channel_axis"] = -1
        if self.norm == "ghost":
            options["virtual_batch_size"] = self.virtual_batch_size
        return options

    @property
    def virtual_batch_size(self) -> int:
        return virtual_batch_size(self.shape)

    @property
    def label(self) -> str:
        """The shape as text, with a star where the channels lie last."""
        return "x".join(map(str, self.shape)) + ("*" if self.layout == "last" else "")

    @property
    def key(self) -> str:
        """Names the case, also between runs."""
        return f"{self.operation} {self.label} {self.dtype} {self.mode}"

    @property
    def channels(self) -> int:
        return self.shape[1]

    @property
    def channel_axis(self) -> int:
        """Of the array as it lies in memory."""
        return 1 if self.layout == "first" else -1

    @property
    def memory_shape(self) -> tuple[int, ...]:
        """The shape of the C-ordered array that holds the input."""
        if self.layout == "first":
            return self.shape
        return (self.shape[0], *self.shape[2:], self.shape[1])

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the input."""
        return self.size * _ITEM[self.dtype]

    @property
    def traffic(self) -> int:
        """Bytes that must move: x and y, or x, dy and dx; residuals and their gradients too."""
        return self.nbytes * self.does.streams[self.mode]


RESNET50 = [
    (32, 64, 112, 112),
    (32, 64, 56, 56),
    (32, 256, 56, 56),
    (32, 128, 28, 28),
    (32, 512, 28, 28),
    (32, 256, 14, 14),
    (32, 1024, 14, 14),
    (32, 512, 7, 7),
    (32, 2048, 7, 7),
]
DENSENET121 = [(32, 96, 57, 57), (32, 416, 29, 29), (32, 1000, 15, 15), (32, 640, 8, 8)]
ONE_D = [(32, 64), (128, 512), (4096, 256), (100, 16, 784), (9, 128, 1), (32, 27, 7)]
ROWS = [(30, 300), (256, 768), (5120, 1024), (64 * 512, 768), (128 * 40, 1024), (8192, 4096)]

#: what ends a residual block of ResNet-50: a batch norm, the sum, a ReLU; elsewhere is no sum
ENDS = [(32, 256, 56, 56), (32, 512, 28, 28), (32, 1024, 14, 14), (32, 2048, 7, 7)]
INNER = [shape for shape in RESNET50 if shape not in ENDS]

#: group, operation, shapes, layouts
GRID = [
    ("resnet50", "batch_norm", RESNET50, LAYOUTS),
    ("densenet121", "batch_norm", DENSENET121, ("first",)),
    ("1d", "batch_norm", ONE_D, ("first",)),
    ("3d", "batch_norm", [(2, 16, 40, 40, 40)], ("first",)),
    ("image", "batch_norm", [(1, 16, 7, 7), (1, 64, 112, 112)], ("first",)),
    ("smallest", "batch_norm", [(8, 4)], ("first",)),
    ("rows", "layer_norm", list(dict.fromkeys(ROWS)), ("first",)),
    ("rows", "rms_norm", list(dict.fromkeys(ROWS)), ("first",)),
    ("resnet50", "group_norm", RESNET50, ("first",)),
    ("densenet121", "group_norm", DENSENET121, ("first",)),
    ("resnet50", "instance_norm", RESNET50, ("first",)),
    ("densenet121", "instance_norm", DENSENET121, ("first",)),
    ("resnet50", "batch_norm_relu", INNER, ("first",)),
    ("resnet50", "batch_norm_add_relu", ENDS, ("first",)),
    ("resnet50", "ghost_batch_norm", RESNET50, ("first",)),
    ("1d", "ghost_batch_norm", [(4096, 256)], ("first",)),
]
#: what --quick keeps of each norm: a plane, a small plane, a sequence, plain features, and one
#: tensor to stream
QUICK = {
    "batch": [(32, 512, 28, 28), (32, 64, 56, 56), (32, 512, 7, 7), (100, 16, 784), (4096, 256),
              (8, 4)],
    "layer": [(256, 768), (5120, 1024)],
    "rms": [(256, 768), (5120, 1024)],
    "group": [(32, 64, 56, 56), (32, 512, 7, 7)],
    "instance": [(32, 64, 56, 56), (32, 512, 7, 7)],
    "fused": [(32, 64, 56, 56), (32, 512, 28, 28)],
    "ghost": [(32, 512, 7, 7), (4096, 256)],
}  # fmt: skip


def grid(
    *,
    quick: bool = False,
    norms: Sequence[str] = NORMS,
    patterns: Sequence[str] = (),
    layouts: Sequence[str] = LAYOUTS,
    modes: Sequence[str] = MODES,
    dtypes: Sequence[str] = ("float32",),
) -> list[Case]:
    """The cases of the grid that are asked for.

    A pattern is a group, an operation, or a shape such as `32x64x56x56` (with wildcards, as in
    `32x*`). A shape is a case for each of the norms that can take it, in the grid or not.

    Raises ValueError for a pattern that is none of these, and for a choice that leaves no case.
    """
    shapes = [
        Case(operation, shape, layout, group=group)
        for group, operation, shapes, where in GRID
        for shape in shapes
        for layout in where
        if OPERATIONS[operation].norm in norms
        and OPERATIONS[operation].takes(shape)
        and (not quick or shape in QUICK[OPERATIONS[operation].norm])
    ]
    if patterns:
        shapes = _matching(shapes, patterns, norms)
    cases = [
        replace(case, dtype=dtype, mode=mode)
        for case in shapes
        for dtype in dtypes
        for mode in modes
        if case.layout in layouts and mode in case.does.modes
    ]
    if not cases:
        raise ValueError("the choice of norms, shapes, modes and layouts leaves no case")
    return cases


def _matching(shapes: Iterable[Case], patterns: Sequence[str], norms: Sequence[str]) -> list[Case]:
    shapes, chosen = list(shapes), {}
    for pattern in patterns:
        found = [case for case in shapes if any(fnmatchcase(n, pattern) for n in names_of(case))]
        there = {case.operation for case in found}
        found += [case for case in _as_shape(pattern, norms) if case.operation not in there]
        if not found:
            groups = ", ".join(dict.fromkeys(case.group for case in shapes))
            raise ValueError(
                f"{pattern!r} is no group ({groups}), operation, or shape such as 32x64x56x56 "
                f"that the norms can take"
            )
        chosen.update(dict.fromkeys(found))
    return list(chosen)


def names_of(case: Case) -> tuple[str, ...]:
    """What a case is found by."""
    return case.group, case.operation, case.label.rstrip("*")


def _as_shape(text: str, norms: Sequence[str]) -> list[Case]:
    sides = text.split("x")
    if not 2 <= len(sides) <= 5 or not all(side.isascii() and side.isdigit() for side in sides):
        return []
    shape = tuple(map(int, sides))
    return [
        Case(name, shape, layout, group="other")
        for name, operation in OPERATIONS.items()
        if operation.norm in norms and operation.takes(shape)
        for layout in operation.layouts
        if layout == "first" or len(shape) > 2
    ]
