"""A right layer, and wrong ones that differ from it in one thing each.

`WRONG` has (check, class, what the message says) for every mistake: the check is to fail for that
class. Most mistakes are such as people make; a few are there so that each check can fail.
"""

from . import assigned, backward, calls, hidden, state, values
from .right import WRONG, Right

__all__ = ["WRONG", "Right", "assigned", "backward", "calls", "hidden", "state", "values"]
