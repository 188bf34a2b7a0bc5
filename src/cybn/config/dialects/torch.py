"""PyTorch's own names, as hydra, Lightning and nnU-Net write them: ``torch.nn.BatchNorm2d``.

The layers here have PyTorch's options and meaning, so the table is short. What it is for is the
dotted path: it is taken by its last part, if it is one of PyTorch's or torchvision's.
"""

from __future__ import annotations

from .names import TORCH as TORCH_STATE
from .table import Dialect, Form, Norm
from .words import REQUIRED, As, DTypeOf, Refusal, Unused

PLACE = {
    "dtype": DTypeOf(),
    "device": Unused("arrays are NumPy's"),
}
EPS = As("eps", default=1e-5)
WIDTH = {"num_features": As("num_features")}
BATCH = {
    **WIDTH,
    "eps": EPS,
    "momentum": As("momentum", default=0.1),
    "affine": As("affine", default=True),
    "track_running_stats": As("track_running_stats", default=True),
    "bias": As("bias", default=True),
    **PLACE,
}
INSTANCE = {
    **BATCH,
    "affine": As("affine", default=False),
    "track_running_stats": As("track_running_stats", default=False),
}
SYNC = {**BATCH, "process_group": Unused("which processes there are is theirs to say")}
LAYER = {
    "normalized_shape": As("normalized_shape"),
    "eps": EPS,
    "elementwise_affine": As("elementwise_affine", default=True),
    "bias": As("bias", default=True),
    **PLACE,
}
RMS = {**LAYER, "eps": As("eps", default=None)}
del RMS["bias"]
GROUP = {
    "num_groups": As("num_groups", default=REQUIRED),
    "num_channels": As("num_channels"),
    "eps": EPS,
    "affine": As("affine", default=True),
    "bias": As("bias", default=True),
    **PLACE,
}
RESPONSE = {
    "size": As("size", default=REQUIRED),
    "alpha": As("alpha", default=1e-4),
    "beta": As("beta", default=0.75),
    "k": As("k", default=1.0),
}
FROZEN = {**WIDTH, "eps": EPS}
OF_WEIGHTS = Refusal(
    "it normalizes the weight of a layer by its largest singular value or its length, and norms "
    "here are of data"
)


def _ranked(name: str, words: dict, short: str, **more: bool) -> tuple[Norm, ...]:
    return tuple(Norm((f"{name}{rank}d",), f"{short}{rank}d", words, **more) for rank in (1, 2, 3))


NORMS = (
    *_ranked("BatchNorm", BATCH, "BatchNorm"),
    Norm(("SyncBatchNorm",), "BatchNorm{}d", SYNC, synchronized=True),
    *_ranked("LazyBatchNorm", BATCH, "LazyBatchNorm"),
    *_ranked("InstanceNorm", INSTANCE, "InstanceNorm"),
    *_ranked("LazyInstanceNorm", INSTANCE, "LazyInstanceNorm"),
    Norm(("LayerNorm",), "LayerNorm", LAYER),
    Norm(("RMSNorm",), "RMSNorm", RMS),
    Norm(("GroupNorm",), "GroupNorm", GROUP),
    Norm(("LocalResponseNorm",), "LocalResponseNorm", RESPONSE),
    Norm(("FrozenBatchNorm2d",), "FrozenBatchNorm2d", FROZEN),
    Norm(("spectral_norm", "weight_norm"), refused=OF_WEIGHTS),
)

DIALECT = Dialect(
    "torch",
    "PyTorch, hydra, Lightning, nnU-Net",
    (
        "https://docs.pytorch.org/docs/stable/nn.html#normalization-layers",
        "https://docs.pytorch.org/vision/stable/generated/torchvision.ops.FrozenBatchNorm2d.html",
        "https://hydra.cc/docs/advanced/instantiate_objects/overview/",
        "https://github.com/MIC-DKFZ/nnUNet/blob/master/documentation/explanation_plans_files.md",
    ),
    NORMS,
    packages=("torch", "torchvision", "nn"),
    forms=(Form("norm_op", "norm_op_kwargs", beside=True),),
    state=TORCH_STATE,
)
