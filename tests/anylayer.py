"""A layer and a fitting input for any registered name: a new layer is tested without a new line.

Required options get the first plain value that their annotation takes; the input has four items on
every axis but the first, so that it fits wherever the layer looks for its features.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

import cybn
from cybn.options import options_of
from cybn.registry import registry

WIDTH = 4
_VALUES = (2, 0.5, True, "float32", [WIDTH], None)  # tried in this order
BATCH = 6  # can be halved, and is no width
_SHAPES = [(BATCH, *(WIDTH,) * n) for n in range(1, 5)]


@dataclass(frozen=True)
class LayerSpec:
    """A registered layer and the shape of an input that it takes."""

    name: str
    shape: tuple[int, ...]

    def __str__(self):
        return f"{self.name}-{len(self.shape)}d"

    def config(self, **options):
        """A config that builds the layer."""
        return {"type": self.name, "num_features": WIDTH, **_required(self.name), **options}

    def make(self, seed=0, **options):
        """A layer with parameters away from ones and zeros, exact in few bits."""
        layer = cybn.create(self.config(**options))
        rng = np.random.default_rng(seed)
        for parameter in layer.parameters():
            parameter[...] = rng.integers(3, 9, parameter.shape) / 4
        return layer

    def make_precise(self, seed=0):
        """The same with float64 parameters, where the layer has such an option."""
        has = "dtype" in options_of(registry.find(self.name))
        return self.make(seed, **({"dtype": "float64"} if has else {}))

    def x(self, dtype=np.float32, seed=1):
        """An input."""
        return np.random.default_rng(seed).normal(0.5, 2, self.shape).astype(dtype)


def _takes(kind, value):
    try:
        kind.check(value, "")
    except (TypeError, ValueError):
        return False
    return True


def _required(name):
    cls = registry.find(name)
    known = ("num_features", cls.num_features_option)
    needed = [o for o in options_of(cls).values() if o.required and o.name not in known]
    return {o.name: next(v for v in _VALUES if _takes(o.kind, v)) for o in needed}


def _accepts(spec):
    try:
        spec.make()(spec.x())
    except ValueError:
        return False
    return True


@cache
def layer_specs():
    """Every registered layer with every rank it takes."""
    specs = []
    for name in cybn.available():
        fitting = [spec for shape in _SHAPES if _accepts(spec := LayerSpec(name, shape))]
        assert fitting, f"no input of {_SHAPES} fits {name}"
        specs += fitting
    return specs
