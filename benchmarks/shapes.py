"""What is measured: a case is a record, and the grid is a list of shapes.

Shapes are written channels first, as PyTorch writes them, whatever the layout; layout "last" means
that the channels lie last in memory. Rows, for the norms over features, are (rows, features).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from math import prod

MODES = ("forward", "backward", "evaluation")  # the first two in training mode
LAYOUTS = ("first", "last")
DTYPES = ("float32", "float64")
_ITEM = {"float32": 4, "float64": 8}
STREAMS = {"forward": 2, "backward": 3, "evaluation": 2}  # arrays that must be read or written

#: operation and rank of the input -> the layer of cybn that does it
LAYERS = {
    ("batch_norm", 2): "BatchNorm1d",
    ("batch_norm", 3): "BatchNorm1d",
    ("batch_norm", 4): "BatchNorm2d",
    ("batch_norm", 5): "BatchNorm3d",
    ("layer_norm", 2): "LayerNorm",
    ("rms_norm", 2): "RMSNorm",
}


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
    def layer(self) -> str | None:
        """The layer of cybn for it, whether or not there is one yet."""
        return LAYERS.get((self.operation, len(self.shape)))

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
        """Bytes that must move: x and y, or x, dy and dx."""
        return self.nbytes * STREAMS[self.mode]


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

#: group, operations, shapes, layouts
GRID = [
    ("resnet50", ("batch_norm",), RESNET50, LAYOUTS),
    ("densenet121", ("batch_norm",), DENSENET121, ("first",)),
    ("1d", ("batch_norm",), ONE_D, ("first",)),
    ("3d", ("batch_norm",), [(2, 16, 40, 40, 40)], ("first",)),
    ("image", ("batch_norm",), [(1, 16, 7, 7), (1, 64, 112, 112)], ("first",)),
    ("smallest", ("batch_norm",), [(8, 4)], ("first",)),
    ("rows", ("layer_norm", "rms_norm"), list(dict.fromkeys(ROWS)), ("first",)),
]
#: what --quick keeps: a plane, a small plane, a sequence, plain features, and one tensor to stream
QUICK = {
    (32, 512, 28, 28), (32, 64, 56, 56), (32, 512, 7, 7), (100, 16, 784), (4096, 256), (8, 4),
    (256, 768),
}  # fmt: skip


def grid(
    *,
    quick: bool = False,
    patterns: Sequence[str] = (),
    layouts: Sequence[str] = LAYOUTS,
    modes: Sequence[str] = MODES,
    dtypes: Sequence[str] = ("float32",),
) -> list[Case]:
    """The cases of the grid that are asked for.

    A pattern is a group, an operation, or a shape such as `32x64x56x56` (with wildcards, as in
    `32x*`). One that is a shape but not of the grid is a batch norm of that shape.

    Raises ValueError for a pattern that is none of these, and for a choice that leaves no case.
    """
    shapes = [
        Case(operation, shape, layout, group=group)
        for group, operations, shapes, where in GRID
        for operation in operations
        for shape in shapes
        for layout in where
        if not quick or shape in QUICK
    ]
    if patterns:
        shapes = _matching(shapes, patterns)
    cases = [
        replace(case, dtype=dtype, mode=mode)
        for case in shapes
        for dtype in dtypes
        for mode in modes
        if case.layout in layouts
    ]
    if not cases:
        raise ValueError("the choice of shapes and layouts leaves no case")
    return cases


def _matching(shapes: Iterable[Case], patterns: Sequence[str]) -> list[Case]:
    shapes, chosen = list(shapes), {}
    for pattern in patterns:
        found = [
            case
            for case in shapes
            if any(fnmatchcase(name, pattern) for name in names_of(case))
        ] or _as_shape(pattern)
        if not found:
            groups = ", ".join(dict.fromkeys(case.group for case in shapes))
            raise ValueError(
                f"{pattern!r} is no group ({groups}), operation, or shape such as 32x64x56x56"
            )
        chosen.update(dict.fromkeys(found))
    return list(chosen)


def names_of(case: Case) -> tuple[str, ...]:
    """What a case is found by."""
    return case.group, case.operation, case.label.rstrip("*")


def _as_shape(text: str) -> list[Case]:
    sides = text.split("x")
    if not 2 <= len(sides) <= 5 or not all(side.isascii() and side.isdigit() for side in sides):
        return []
    shape = tuple(map(int, sides))
    if 0 in shape or prod(shape) == shape[1]:
        raise ValueError(f"{text}: batch norm needs more than one value per channel")
    layouts = LAYOUTS if len(shape) > 2 else ("first",)
    return [Case("batch_norm", shape, layout, group="other") for layout in layouts]
