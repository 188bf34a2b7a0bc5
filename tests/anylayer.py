"""Every registered layer with every input it takes: a new layer is tested without a new line.

How a layer is built and which inputs it takes is found out by `cybn.testing`.
"""

from functools import cache

import cybn
from cybn.testing._subject import WIDTH, Case, Subject

__all__ = ["WIDTH", "layer_specs"]


@cache
def layer_specs() -> list[Case]:
    """Every registered layer with every rank it takes."""
    cases = [case for name in cybn.available() for case in Subject(name).cases]
    return [case for case in cases if not case.further]
