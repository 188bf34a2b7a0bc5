"""What the options of a layer are declared with, by built-ins and authors alike.

>>> from cybn.options import Bounds, PositiveInt
>>> def __init__(self, num_features: PositiveInt, strength: Bounds(0, 1) = 1.0): ...
"""

from .terms.kinds import Bounds, DType, PositiveInt, Shape, Trainable
from .terms.rules import Divides, GivenOne, Needs, OneLength, Rule
from .terms.signature import takes_options_of

__all__ = [
    "Bounds",
    "DType",
    "Divides",
    "GivenOne",
    "Needs",
    "OneLength",
    "PositiveInt",
    "Rule",
    "Shape",
    "Trainable",
    "takes_options_of",
]
