from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from ..functional.gates import Gate

def batch_norm(
    module: nn.Module,
    x: Tensor,
    residual: Tensor | None,
    ranks: tuple[int, ...],
    gate: Gate | None = None,
    spare: bool = False,
) -> Tensor | None: ...
def batch_forward(
    x: Tensor,
    residual: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor | None,
    var: Tensor | None,
    count: Tensor | None,
    of_batch: bool,
    momentum: float,
    eps: float,
    gate: Gate,
    spare: bool = False,
) -> tuple[Tensor, np.ndarray] | None: ...
def batch_begin(
    ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, residual: Any, done: Any
) -> Tensor: ...
def batch_end(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]: ...
def batch_gradient(
    dy: Tensor,
    x: Tensor,
    y: Tensor | None,
    stats: np.ndarray,
    weight: Tensor | None,
    training: bool,
    gate: Gate,
    wanted: Sequence[bool],
    bias: Tensor | None = None,
    residual: Tensor | None = None,
) -> tuple[Tensor | None, ...]: ...
def move(
    mean: Tensor, var: Tensor, count: Tensor | None, stats: np.ndarray, m: int, momentum: float
) -> None: ...
def layer_norm(module: nn.Module, x: Tensor, centred: bool) -> Tensor | None: ...
def group_norm(module: nn.Module, x: Tensor, groups: int) -> Tensor | None: ...
def instance_norm(module: nn.Module, x: Tensor) -> Tensor | None: ...
def rows_forward(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    values: int,
    count: int,
    run: int,
    eps: float,
    centred: bool,
) -> tuple[Tensor, np.ndarray] | None: ...
def rows_begin(
    ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, done: Any
) -> Tensor: ...
def rows_end(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]: ...
def rows_gradient(
    dy: Tensor,
    x: Tensor,
    stats: np.ndarray,
    weight: Tensor | None,
    run: int,
    centred: bool,
    wanted: Sequence[bool],
) -> tuple[Tensor | None, ...]: ...
def over_channels(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, centred: bool
) -> Tensor | None: ...
def positions_begin(
    ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, done: Any
) -> Tensor: ...
def positions_end(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]: ...
def local_response_norm(
    x: Tensor, size: int, alpha: float, beta: float, k: float
) -> Tensor | None: ...
def respond(x: Tensor, options: Sequence[float]) -> Tensor: ...
def response_begin(ctx: Any, x: Tensor, options: Sequence[float]) -> Tensor: ...
def response_end(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]: ...
def response_gradient(dy: Tensor, x: Tensor, options: Sequence[float]) -> Tensor: ...
def can_take(x: object) -> bool: ...
def differentiate_by(
    batch: Callable[..., Tensor],
    rows: Callable[..., Tensor],
    positions: Callable[..., Tensor],
    response: Callable[..., Tensor],
) -> None: ...
