"""Arrays of other libraries as NumPy's, by what they offer themselves: nothing is imported.

A tensor of PyTorch is known by `detach`. One of a dtype that NumPy has not, as bfloat16, comes as
float32, which holds each of its values. JAX's, TensorFlow's and Keras's arrays and h5py's data sets
offer `__array__`; a variable of Flax has its array as `value`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..terms.messages import one_line
from .validation import as_plain_array

__all__ = ["as_numpy"]


def as_numpy(who: str, name: str, value: Any) -> np.ndarray:
    """`value` as an ndarray of any dtype; TypeError where there is none."""
    if isinstance(value, np.ndarray):
        return as_plain_array(who, name, value)
    try:
        if callable(getattr(value, "detach", None)):
            return _of_tensor(value.detach())
        if not hasattr(value, "__array__") and hasattr(value, "value"):
            value = value.value
    except Exception as error:  # of a device that has gone, a tensor without data, ...
        kind = type(value).__name__
        raise TypeError(
            f"{who} takes an array as {name}, and this {kind} gives none: {one_line(error)}"
        ) from error
    return as_plain_array(who, name, value)


def _of_tensor(tensor: Any) -> np.ndarray:
    tensor = tensor.cpu()
    try:
        return np.asarray(tensor.numpy())
    except TypeError:  # bfloat16, and the floats of eight bits
        return np.asarray(tensor.float().numpy())
