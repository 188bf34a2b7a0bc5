"""Classes with options, and one option checked."""

from __future__ import annotations

from typing import Annotated, Literal

from cybn.terms.signature import REQUIRED, Bounds, DType, PositiveInt, check


class Norm:
    """A class with the options of a batch norm."""

    def __init__(
        self,
        num_features: PositiveInt,
        eps: Annotated[float, Bounds(gt=0)] = 1e-5,
        momentum: Annotated[float | None, Bounds(ge=0, le=1)] = 0.1,
        affine: bool = True,
        *,
        mode: Literal["batch", "group"] = "batch",
        channel_axis: Literal[1, -1] = 1,
        dtype: DType = "float32",
    ):
        """Nothing to do."""


def taking(annotation, default=REQUIRED):
    """A class with one option ``x``."""

    class One:
        def __init__(self, x): ...

    One.__init__.__annotations__ = {"x": annotation}
    if default is not REQUIRED:
        One.__init__.__defaults__ = (default,)
    return One


def checked(annotation, value):
    return check(taking(annotation), {"x": value})["x"]
