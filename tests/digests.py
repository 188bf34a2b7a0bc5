"""Digests of what the compiled kernels give: results do not change in their bits unnoticed.

`python tests/digests.py` writes digests.json anew, which is to be done on purpose only, and said in
the changelog. Norms computed in NumPy are left out: its sums and functions may differ from one CPU
to another, where the kernels promise the same bits on every one.
"""

import hashlib
import json
from pathlib import Path

import numpy as np

import cybn

FILE = Path(__file__).with_name("digests.json")

LAYERS = {  # a spec by the name of a case
    "batch": {"type": "BatchNorm"},
    "relu": {"type": "BatchNorm", "activation": "relu"},
    "leaky relu6": {"type": "BatchNorm", "activation": "leaky_relu", "negative_slope": 0.125},
    "batch last": {"type": "BatchNorm", "channel_axis": -1},
    "plain": {"type": "BatchNorm", "affine": False, "momentum": None},
    "float64 parameters": {"type": "BatchNorm", "dtype": "float64"},
    "ghost": {"type": "GhostBatchNorm", "virtual_batch_size": 3},
    "split": {"type": "SplitBatchNorm"},
    "renorm": {"type": "BatchRenorm", "warmup_steps": 0, "rmax_steps": 0, "dmax_steps": 0},
    "frozen": {"type": "FrozenBatchNorm"},
    "instance": {"type": "InstanceNorm", "affine": True, "track_running_stats": True},
    "group": {"type": "GroupNorm", "num_groups": 2},
    "layer": {"type": "LayerNorm"},
    "rms": {"type": "RMSNorm"},
}
SHAPES = {  # (N, C, ...): rows and columns, whole and cut, one and many blocks
    "vectors": (40, 6),
    "many vectors": (3000, 8),
    "wide vectors": (12, 700),
    "short": (10, 6, 7),
    "long": (4, 2, 5000),
    "planes": (6, 8, 14, 14),
    "large planes": (2, 4, 96, 96),
    "small planes": (70, 32, 5, 5),
    "cubes": (2, 4, 6, 5, 9),
}
DTYPES = ("float32", "float64")
RANKED = {"BatchNorm", "FrozenBatchNorm", "InstanceNorm"}


def build(spec, shape):
    """The layer for inputs of that shape, with weights that are not ones; None if it takes none."""
    name, options = spec["type"], {k: v for k, v in spec.items() if k != "type"}
    if name in RANKED:
        if name == "InstanceNorm" and len(shape) == 2:
            return None
        name += f"{max(len(shape) - 2, 1)}d"
    channels = shape[options.get("channel_axis", 1)]
    width = shape[-1] if name in ("LayerNorm", "RMSNorm") else channels
    if name == "GroupNorm" and len(shape) == 2:
        return None
    layer = cybn.create({"type": name, **options}, num_features=width)
    rng = np.random.default_rng(1)
    for a in layer.parameters():
        a[...] = rng.integers(-8, 9, a.shape) / 4
    return layer


def digest(*arrays):
    """A short hash of the bytes of arrays."""
    sha = hashlib.sha256()
    for a in arrays:
        sha.update(np.ascontiguousarray(a).tobytes())
    return sha.hexdigest()[:12]


def run(layer, x, dy):
    """Digests of a step of training and of evaluation: output, dx, gradients, state."""
    found = []
    for mode in (True, False):
        y = layer.train(mode)(x)
        dx = layer.backward(dy)
        found += [digest(y), digest(dx), digest(*layer.grads.values())]
    return " ".join([*found, digest(*layer.state_dict().values())])


def digests(name, dtype):
    """All of one layer and dtype by case."""
    found = {}
    for place, (what, shape) in enumerate(SHAPES.items()):
        rng = np.random.default_rng(place)
        x, dy = rng.normal(0.5, 2, shape), rng.normal(0.1, 1, shape)
        layer = build(LAYERS[name], shape)
        if layer is not None:
            found[f"{name}, {what}, {dtype}"] = run(layer, x.astype(dtype), dy.astype(dtype))
    return found


if __name__ == "__main__":
    every = {}
    for each in LAYERS:
        for kind in DTYPES:
            every.update(digests(each, kind))
    FILE.write_text(json.dumps(every, indent=0) + "\n", "utf-8")
