"""The norms as autograd has them in eager mode; what they do is in `_calls`."""

from __future__ import annotations

from torch.autograd import Function

from . import _calls


class CybnBatchNorm(Function):
    forward = staticmethod(_calls.batch_begin)
    backward = staticmethod(_calls.batch_end)


class CybnRowNorm(Function):
    forward = staticmethod(_calls.rows_begin)
    backward = staticmethod(_calls.rows_end)


class CybnPositionNorm(Function):
    forward = staticmethod(_calls.positions_begin)
    backward = staticmethod(_calls.positions_end)


class CybnLocalResponseNorm(Function):
    forward = staticmethod(_calls.response_begin)
    backward = staticmethod(_calls.response_end)


# `Function.apply` looks for transforms first; where there is one, no call comes here.
_calls.differentiate_by(
    *(
        super(Function, function).apply
        for function in (
            CybnBatchNorm,
            CybnRowNorm,
            CybnPositionNorm,
            CybnLocalResponseNorm,
        )
    )
)
