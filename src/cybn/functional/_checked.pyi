from collections.abc import Iterable
from typing import Any

import numpy as np

from ..arrays.layout import Rows
from .gates import Gate

class BatchWay:
    weight: np.ndarray | None
    bias: np.ndarray | None
    running_mean: np.ndarray | None
    running_var: np.ndarray | None
    num_batches_tracked: np.ndarray | None
    of_batch: bool
    moves: bool
    careful: bool
    channels: int

    def __init__(
        self,
        saved: type,
        arrays: Iterable[np.ndarray | None],
        of_batch: bool,
        moves: bool,
        at_once: bool,
        careful: bool,
        ranks: tuple[int, ...],
        channels: int,
        axis: int,
        momentum: float,
        eps: float,
        gate: Gate,
    ) -> None: ...
    def by_running(self) -> BatchWay: ...
    def values(self, x: object) -> int: ...
    def alone(self, x: object) -> tuple[np.ndarray, Any] | None: ...
    def normalize(
        self,
        x: np.ndarray,
        residual: np.ndarray | None,
        out: np.ndarray | None,
        last: bool,
        valid: bool,
    ) -> tuple[np.ndarray, Any, bool]: ...

class RowsWay:
    weight: np.ndarray | None
    bias: np.ndarray | None

    def __init__(
        self,
        weight: np.ndarray | None,
        bias: np.ndarray | None,
        centred: bool,
        unit_offset: bool = ...,
        saved: type | None = ...,
        rest: tuple[Any, ...] | None = ...,
    ) -> None: ...
    def alone(self, x: object) -> tuple[np.ndarray, Any] | None: ...
    def known(self, x: object) -> tuple[Rows, float] | None: ...
    def learn(self, x: np.ndarray, rows: Rows, eps: float) -> tuple[Rows, float]: ...
    def normalize(
        self,
        x: np.ndarray,
        rows: Rows,
        eps: float,
        out: np.ndarray | None,
        residual: np.ndarray | None = ...,
        gate: Gate = ...,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]: ...

def forward_checked(
    x: np.ndarray,
    weight: np.ndarray | None,
    bias: np.ndarray | None,
    running_mean: np.ndarray | None,
    running_var: np.ndarray | None,
    num_batches_tracked: np.ndarray | None,
    training: bool,
    momentum: float,
    eps: float,
    channel_axis: int,
    out: np.ndarray | None,
    residual: np.ndarray | None = None,
    gate: Gate = ...,
) -> tuple[np.ndarray, np.ndarray]: ...
def batch_back(
    saved: Any, dy: object, dtype: np.dtype, own: dict[str, Any]
) -> tuple[np.ndarray, dict[str, np.ndarray]] | None: ...
def backward_checked(
    dy: np.ndarray,
    x: np.ndarray,
    stats: np.ndarray,
    weight: np.ndarray | None,
    training: bool,
    channel_axis: int,
    out: np.ndarray | None,
    dtype: np.dtype,
    y: np.ndarray | None = None,
    gate: Gate = ...,
    dresidual: np.ndarray | None = None,
    sums: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    residual: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]: ...
def normalize_checked(
    x: np.ndarray,
    rows: Rows,
    weight: np.ndarray | None,
    bias: np.ndarray | None,
    eps: float,
    centred: bool,
    out: np.ndarray | None,
    residual: np.ndarray | None = ...,
    gate: Gate = ...,
) -> tuple[np.ndarray, np.ndarray]: ...
def rows_back(
    saved: Any,
    dy: object,
    rest: tuple[Any, ...],
    centred: bool,
    dtype: np.dtype,
    own: dict[str, Any],
) -> tuple[np.ndarray, dict[str, np.ndarray]] | None: ...
def gradient_checked(
    dy: np.ndarray,
    x: np.ndarray,
    rows: Rows,
    stats: np.ndarray,
    weight: np.ndarray | None,
    centred: bool,
    out: np.ndarray | None,
    dtype: np.dtype,
    wanted: tuple[bool, bool] = ...,
    bias: np.ndarray | None = None,
    residual: np.ndarray | None = None,
    gate: Gate = ...,
    dresidual: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]: ...
def let_through(
    dy: np.ndarray,
    x: np.ndarray,
    stats: np.ndarray,
    weight: np.ndarray | None,
    bias: np.ndarray | None,
    residual: np.ndarray | None,
    channel_axis: int,
    gate: Gate,
) -> np.ndarray: ...
def respond_checked(
    x: np.ndarray,
    size: int,
    alpha: float,
    beta: float,
    k: float,
    channel_axis: int,
    out: np.ndarray | None,
) -> np.ndarray: ...
def respond_back_checked(
    dy: np.ndarray,
    x: np.ndarray,
    size: int,
    alpha: float,
    beta: float,
    k: float,
    channel_axis: int,
    out: np.ndarray | None,
) -> np.ndarray: ...
