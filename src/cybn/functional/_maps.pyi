from typing import Any

import numpy as np

from .maps import Maps

PIECE: int

def walk(
    maps: Maps,
    dy: np.ndarray | None,
    x: np.ndarray,
    out: np.ndarray | None,
    coefs: tuple[Any, ...],
    point: int,
    writing: bool,
    terms: int,
) -> Any: ...
def room(maps: Maps, terms: int) -> np.ndarray: ...
def joined(sums: np.ndarray, maps: Maps, terms: int) -> np.ndarray: ...
def pack(coefs: tuple[Any, ...], samples: int, channels: int) -> np.ndarray: ...
def group_moments(mean: np.ndarray, var: np.ndarray, groups: int, eps: float) -> np.ndarray: ...
def channel_moments(
    sums: np.ndarray, shift: np.ndarray, m: float
) -> tuple[np.ndarray, np.ndarray | None]: ...
def group_line(
    stats: np.ndarray, weight: np.ndarray | None, bias: np.ndarray | None, channels: int
) -> tuple[np.ndarray, np.ndarray | float, np.ndarray]: ...
def group_pull(
    sums: np.ndarray, stats: np.ndarray, weight: np.ndarray | None, m: float
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray, np.ndarray]: ...
