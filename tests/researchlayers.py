"""The research norms, each with the options that change what it computes, and inputs for them."""

import numpy as np
import pytest

import cybn

FEATURES = 6
SPECS = [
    {"type": "DyT"},
    {"type": "FilterResponseNorm"},
    {"type": "FilterResponseNorm", "learn_eps": True, "tlu": False},
    {"type": "GlobalResponseNorm"},
    {"type": "ScaleNorm"},
    {"type": "PartialRMSNorm", "p": 0.5},
    {"type": "EvoNormS0"},
    {"type": "EvoNormS0", "groups": 2},
    {"type": "EvoNormB0"},
    {"type": "EvoNormS1", "groups": 2},
    {"type": "EvoNormS2"},
    {"type": "EvoNormB1"},
    {"type": "EvoNormB2"},
    {"type": "SimpleNorm"},
    {"type": "SimpleNorm", "affine": False},
    {"type": "GatedRMSNorm"},
    {"type": "GatedRMSNorm", "norm_before_gate": False, "group_size": 3},
    {"type": "AdaptiveLayerNorm"},
    {"type": "AdaptiveLayerNorm", "affine": True, "unit_offset": False},
    {"type": "LpNormalization"},
    {"type": "LpNormalization", "p": 1, "axis": 1},
    {"type": "MeanVarianceNormalization", "axes": [0, 2]},
    {"type": "WeightNorm"},
    {"type": "WeightNorm", "out_channels": 8},
    {"type": "SwitchableNorm1d"},
    {"type": "IBN"},
    {"type": "IBN", "ratio": 0},
    {"type": "IterNorm"},
    {"type": "IterNorm", "num_groups": 3},
    {"type": "WeightStandardization"},
    {"type": "WeightStandardization", "out_channels": 8, "scaled": True},
    {"type": "AdaIN"},
    {"type": "RevIN"},
    {"type": "RevIN", "subtract_last": True},
    {"type": "PowerNorm"},
    {"type": "PowerNorm", "warmup": None},
    {"type": "PowerNorm", "gradient": "paper"},
]
each_spec = pytest.mark.parametrize(
    "spec", SPECS, ids=["-".join(map(str, spec.values())) for spec in SPECS]
)


def channels_last(spec):
    last = "DyT", "ScaleNorm", "PartialRMSNorm", "RevIN", "SimpleNorm"
    return spec["type"] in (*last, "GatedRMSNorm", "AdaptiveLayerNorm")


def make(spec, training=True, **options):
    """A layer with parameters of both signs."""
    layer = cybn.create({**spec, **options}, num_features=FEATURES).train(training)
    rng = np.random.default_rng(5)
    for a in layer.parameters():
        a[...] = rng.uniform(0.3, 1.5, a.shape) * rng.choice([-1, 1], a.shape)
    return layer


def shape_for(spec, samples=8, length=7):
    """(N, C, L), or (N, L, C) where that is the layer's way."""
    return (samples, length, FEATURES) if channels_last(spec) else (samples, FEATURES, length)


def inputs_for(spec, x):
    """Further inputs: a style, a gate, or scale and shift."""
    shapes = {
        "AdaIN": {"style": x.shape},
        "GatedRMSNorm": {"gate": x.shape},
        "AdaptiveLayerNorm": dict.fromkeys(("scale", "shift"), (len(x), FEATURES)),
    }
    rng = np.random.default_rng(7)
    given = shapes.get(spec["type"], {}).items()
    return {name: rng.normal(3, 2, shape).astype(x.dtype) for name, shape in given}
