"""Which cases a run has: the shapes of each operation, and the choice among them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import product
from typing import NamedTuple

from .cases import (
    GROUPS,
    LAYOUTS,
    MODES,
    NORMS,
    OPERATIONS,
    RESEARCH,
    SIXTEEN,
    SMALLEST,
    Case,
)

Shapes = Sequence[tuple[int, ...]]
_RESNET50 = [
    (32, 64, 112, 112), (32, 64, 56, 56), (32, 256, 56, 56), (32, 128, 28, 28), (32, 512, 28, 28),
    (32, 256, 14, 14), (32, 1024, 14, 14), (32, 512, 7, 7), (32, 2048, 7, 7),
]  # fmt: skip
#: what ends a residual block of ResNet-50: a batch norm, the sum, a ReLU; elsewhere is no sum
_ENDS = [(32, 256, 56, 56), (32, 512, 28, 28), (32, 1024, 14, 14), (32, 2048, 7, 7)]
_STARTS = [shape for shape in _RESNET50 if shape not in _ENDS]
_DENSENET121 = [(32, 96, 57, 57), (32, 416, 29, 29), (32, 1000, 15, 15), (32, 640, 8, 8)]
_ONE_D = [(32, 64), (128, 512), (4096, 256), (100, 16, 784), (9, 128, 1), (32, 27, 7)]
_ROWS = [(30, 300), (256, 768), (5120, 1024), (64 * 512, 768), (8192, 4096)]
_FITTING = [(16, 256, 9, 9), (8, 64, 16, 16), (4, 512, 7, 7), (2, 96, 28, 28), (8, 160, 5, 5),
            (8, 384, 10, 10), (40, 200, 90)]  # fmt: skip
_LARGE, _SOME = [(32, 256, 56, 56)], [(32, 512, 28, 28), (32, 256, 14, 14), (32, 512, 7, 7)]
_VARIED = [(256, 768), (5120, 1024), (8, 64, 28, 28), (32, 256, 14, 14), (64, 32, 512)]

_SAMPLE, _OF_ROWS = ("group_norm", "instance_norm"), ("layer_norm", "rms_norm")
_FUSED = ("batch_norm_relu", "batch_norm_add_relu")


class Row(NamedTuple):
    """Operations on shapes; what an operation cannot take is left out."""

    group: str
    operations: Sequence[str]
    shapes: Shapes
    quick: Shapes = ()  # those that --quick keeps
    layouts: Sequence[str] = LAYOUTS[:1]
    modes: Sequence[str] = MODES
    dtypes: Sequence[str] = ("float32",)  # unless others are asked for
    cached: bool = False


GRID = [
    Row("resnet50", ("batch_norm",), _RESNET50, [(32, 512, 28, 28), (32, 512, 7, 7)], LAYOUTS),
    Row("resnet50", (*_SAMPLE, "ghost_batch_norm"), _RESNET50, [(32, 256, 14, 14)],
        modes=MODES[:2]),
    Row("resnet50", _FUSED[:1], _STARTS, [(32, 256, 14, 14)]),
    Row("resnet50", _FUSED[1:], _ENDS, [(32, 2048, 7, 7)]),
    Row("last", (*_SAMPLE, *_FUSED), _SOME, layouts=LAYOUTS[1:]),
    Row("densenet121", ("batch_norm",), _DENSENET121),
    Row("densenet121", _SAMPLE, _DENSENET121, modes=MODES[:2]),
    Row("1d", ("batch_norm",), _ONE_D, [(32, 64), (4096, 256)]),
    Row("1d", ("ghost_batch_norm",), [(4096, 256)]),
    Row("3d", ("batch_norm",), [(2, 16, 40, 40, 40)]),
    Row("image", ("batch_norm",), [(1, 16, 7, 7), (1, 64, 112, 112)]),
    Row("rows", _OF_ROWS, _ROWS, [(256, 768), (5120, 1024)]),
    Row("cached", _OF_ROWS, [(30, 300), (256, 768), (2000, 96), (900, 700)], [(900, 700)],
        cached=True),
    Row("cached", _SAMPLE, _FITTING, [(16, 256, 9, 9)], cached=True),
    Row("cached", ("batch_norm",), [*_FITTING, (128, 512)], [(8, 384, 10, 10)], LAYOUTS,
        cached=True),
    Row("sixteen", ("batch_norm",), _LARGE, layouts=LAYOUTS, dtypes=SIXTEEN),
    Row("sixteen", _SAMPLE, _LARGE, modes=MODES[:2], dtypes=SIXTEEN),
    Row("sixteen", _OF_ROWS, [(64 * 512, 768)], modes=MODES[:2], dtypes=SIXTEEN),
    Row("research", RESEARCH, _VARIED, [(256, 768), (8, 64, 28, 28), (64, 32, 512)]),
    Row(SMALLEST, ("batch_norm", *_FUSED, *_OF_ROWS), [(8, 4)], [(8, 4)]),
    Row(SMALLEST, _SAMPLE, [(1, GROUPS, 2, 2)], [(1, GROUPS, 2, 2)]),
    Row(SMALLEST, RESEARCH, [(8, 4), (1, GROUPS, 2, 2), (1, GROUPS, 4)]),
    Row(SMALLEST, ("ghost_batch_norm",), [(256, 4)], [(256, 4)]),
]  # fmt: skip


def grid(*, quick: bool = False, norms: Sequence[str] = NORMS, patterns: Sequence[str] = (),
         layouts: Sequence[str] = LAYOUTS, modes: Sequence[str] = MODES,
         dtypes: Sequence[str] = ()) -> list[Case]:  # fmt: skip
    """The cases of the grid that are asked for, norm by norm; in the grid's dtypes if none is.

    A pattern is a group, an operation, or a shape such as `32x64x56x56` (with wildcards, as in
    `32x*`). A shape is a case for each of the norms that can take it, in the grid or not.

    Raises ValueError for a pattern that is none of these, and for a choice that leaves no case.
    """
    chosen = list(_cases(norms, GRID, quick, dtypes))
    if patterns:
        chosen = [case for each in patterns for case in _matching(each, chosen, norms, dtypes)]
    chosen = [case for case in chosen if case.layout in layouts and case.mode in modes]
    if not chosen:
        raise ValueError("the choice of norms, shapes, modes and layouts leaves no case")
    return list(dict.fromkeys(chosen))


def _cases(
    norms: Sequence[str], rows: Sequence[Row], quick: bool, dtypes: Sequence[str]
) -> Iterator[Case]:
    for name, operation in OPERATIONS.items():
        for row in rows:
            if operation.norm not in norms or name not in row.operations:
                continue
            layouts = LAYOUTS[1:] if operation.last else row.layouts
            for shape, layout, dtype, mode in product(
                row.quick if quick else row.shapes, layouts, dtypes or row.dtypes, row.modes
            ):
                # Ghost batch norm is batch norm in evaluation.
                if operation.takes(shape) and (operation.norm, mode) != ("ghost", MODES[2]):
                    yield Case(name, shape, layout, dtype, mode, row.cached, row.group)


def _matching(
    pattern: str, cases: Sequence[Case], norms: Sequence[str], dtypes: Sequence[str]
) -> list[Case]:
    found = [
        case
        for case in cases
        for name in (case.group, case.operation, "x".join(map(str, case.shape)))
        if fnmatchcase(name, pattern)
    ]
    if re.fullmatch("[0-9]+(x[0-9]+){1,4}", pattern):
        there = {case.operation for case in found}
        shape = tuple(map(int, pattern.split("x")))
        rest = [name for name in OPERATIONS if name not in there]
        both = LAYOUTS if len(shape) > 2 else LAYOUTS[:1]
        rows = [Row("other", [name], [shape], layouts=both if name == "batch_norm" else both[:1])
                for name in rest]  # fmt: skip
        found += _cases(norms, rows, False, dtypes)
    if not found:
        groups = ", ".join(dict.fromkeys(case.group for case in cases))
        raise ValueError(
            f"{pattern!r} is no group ({groups}), operation, or shape such as 32x64x56x56 that "
            f"the norms can take"
        )
    return found
