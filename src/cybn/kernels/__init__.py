"""The compiled kernels of the level that this CPU gets, by the dtypes of data and parameters.

`normalize_training["fd"]` takes float32 data and float64 parameters: the letters are
`dtype.char`. Picking the build by a key costs a tenth of letting Cython look at every argument.
They trust their callers: only validating code may call them (see kernels/batch_norm.pxi).
"""

from __future__ import annotations

from collections.abc import Callable

from . import levels

LEVEL = levels.choose()
_module = levels.load(LEVEL)
_CTYPES = {"f": "float", "d": "double"}


def _by_dtypes(function: Callable) -> dict[str, Callable]:
    return {
        data + parameters: function[_CTYPES[data], _CTYPES[parameters]]
        for data in _CTYPES
        for parameters in _CTYPES
    }


normalize_training = _by_dtypes(_module.normalize_training)
normalize_inference = _by_dtypes(_module.normalize_inference)
gradient = _by_dtypes(_module.gradient)
normalize_small = _by_dtypes(_module.normalize_small)
normalize_rows = _by_dtypes(_module.normalize_rows)
gradient_rows = _by_dtypes(_module.gradient_rows)

# by one dtype: of the parameters, or of the data where there are no parameters
move_running, move_anew, respond, respond_back = (
    {char: function[ctype] for char, ctype in _CTYPES.items()}
    for function in (
        _module.move_running, _module.move_anew, _module.respond, _module.respond_back
    )
)  # fmt: skip
