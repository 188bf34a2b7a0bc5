"""MONAI: ``norm`` of a network, a name or a pair of a name and options, for 1, 2 or 3 spatial axes.

The name says no rank, so that ``spatial_dims`` is to be given, as MONAI's factories want it, too.
"""

from __future__ import annotations

from . import torch
from .acts import Act
from .names import TORCH as TORCH_STATE
from .table import Dialect, Form, Norm

_ACT = {"act": Act()}  # of the same block
_GROUP = {**torch.GROUP, **torch.WIDTH, **_ACT}

NORMS = (
    Norm(("batch",), "BatchNorm{}d", {**torch.BATCH, **_ACT}, ranked=True),
    Norm(("syncbatch",), "BatchNorm{}d", {**torch.SYNC, **_ACT}, ranked=True, synchronized=True),
    Norm(
        ("instance", "instance_nvfuser"), "InstanceNorm{}d", {**torch.INSTANCE, **_ACT}, ranked=True
    ),
    Norm(("group",), "GroupNorm", _GROUP),
    Norm(("layer",), "LayerNorm", {**torch.LAYER, **torch.WIDTH, **_ACT}),
    Norm(("localresponse",), "LocalResponseNorm", torch.RESPONSE),
)

DIALECT = Dialect(
    "monai",
    "MONAI",
    (
        "https://github.com/Project-MONAI/MONAI/blob/dev/monai/networks/layers/factories.py",
        "https://github.com/Project-MONAI/MONAI/blob/dev/monai/networks/layers/utils.py",
    ),
    NORMS,
    forms=(Form("name"),),
    pairs=True,
    state=TORCH_STATE,
)
