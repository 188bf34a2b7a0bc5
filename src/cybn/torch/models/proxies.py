"""What a forward is given while it is traced: tensors to be, and why it may not be traced."""

from __future__ import annotations

import operator
import sys
from typing import Any

from torch import Tensor, fx

__all__ = ["Proxy", "Unknown", "Untraceable"]

_IN_PLACE = ("add", "sub", "mul", "truediv", "matmul", "floordiv", "mod", "pow", "and", "or", "xor")


class Untraceable(Exception):  # noqa: N818  it is no error
    """Why a forward cannot be written as a graph."""


class Proxy(fx.Proxy):
    """A tensor to be, for isinstance too; what is done to it in place is written down as such."""

    __class__ = property(lambda self: Tensor)  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise Untraceable("its forward depends on values")

    def __iter__(self) -> Any:
        raise Untraceable("its forward goes through a tensor")


class Unknown(Proxy):
    """What a module or function returns: a tensor as a rule, but nothing may depend on that."""

    @property
    def __class__(self) -> Any:
        if sys._getframe(1).f_globals.get("__name__", "").startswith("torch."):
            return Unknown  # fx, which looks through arguments
        raise Untraceable("its forward asks what it was returned")


def _in_place(name: str) -> Any:
    target = getattr(operator, name)

    def method(self, other):
        return self.tracer.create_proxy("call_function", target, (self, other), {})

    return method


for _name in _IN_PLACE:
    setattr(Proxy, f"__i{_name}__", _in_place(f"i{_name}"))
