"""Norms as other libraries write them, under their names, to be recognized without those."""

import torch
from torch import nn
from torch.nn import functional


class LlamaRMSNorm(nn.Module):
    """Cast back, then scaled; the 140 copies of it are alike."""

    def __init__(self, width, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.variance_epsilon = eps

    def forward(self, hidden_states):
        dtype = hidden_states.dtype
        hidden_states = hidden_states.to(torch.float32)
        variance = hidden_states.pow(2).mean(-1, keepdim=True)
        hidden_states = hidden_states * torch.rsqrt(variance + self.variance_epsilon)
        return self.weight * hidden_states.to(dtype)


class Olmo2RMSNorm(LlamaRMSNorm):
    """Scaled, then cast back."""

    def forward(self, hidden_states):
        dtype = hidden_states.dtype
        hidden_states = hidden_states.to(torch.float32)
        variance = hidden_states.pow(2).mean(-1, keepdim=True)
        hidden_states = hidden_states * torch.rsqrt(variance + self.variance_epsilon)
        return (self.weight * hidden_states).to(dtype)


class T5LayerNorm(LlamaRMSNorm):
    """Its own arithmetic in x's dtype."""

    def forward(self, hidden_states):
        variance = hidden_states.to(torch.float32).pow(2).mean(-1, keepdim=True)
        hidden_states = hidden_states * torch.rsqrt(variance + self.variance_epsilon)
        if self.weight.dtype in (torch.float16, torch.bfloat16):
            hidden_states = hidden_states.to(self.weight.dtype)
        return self.weight * hidden_states


class GemmaRMSNorm(nn.Module):
    """1 + weight, which is zeros at first."""

    def __init__(self, width, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.zeros(width))

    def _norm(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)

    def forward(self, x):
        return (self._norm(x.float()) * (1.0 + self.weight.float())).type_as(x)


class Weightless(nn.Module):
    def __init__(self, eps=1e-6):
        super().__init__()
        self.eps = eps

    def forward(self, x):
        return (
            x.float() * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + self.eps)
        ).type_as(x)


class L2Norm(Weightless):
    pass


class CohereLayerNorm(LlamaRMSNorm):
    """A layer norm without bias."""

    def forward(self, hidden_states):
        dtype = hidden_states.dtype
        hidden_states = hidden_states.to(torch.float32)
        mean = hidden_states.mean(-1, keepdim=True)
        variance = (hidden_states - mean).pow(2).mean(-1, keepdim=True)
        hidden_states = (hidden_states - mean) * torch.rsqrt(variance + self.variance_epsilon)
        return (self.weight.to(torch.float32) * hidden_states).to(dtype)


class ConvNextLayerNorm(nn.LayerNorm):
    """Over the channels of (N, C, H, W), or over the last axis."""

    def __init__(self, width, *, data_format="channels_first", **options):
        super().__init__(width, **options)
        self.data_format = data_format

    def forward(self, features):
        if self.data_format == "channels_first":
            features = features.permute(0, 2, 3, 1)
            features = super().forward(features)
            return features.permute(0, 3, 1, 2)
        return super().forward(features)


class VitDetLayerNorm(nn.Module):
    """Over channels, by hand."""

    def __init__(self, width, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.eps = eps

    def forward(self, x):
        u = x.mean(1, keepdim=True)
        s = (x - u).pow(2).mean(1, keepdim=True)
        x = (x - u) / torch.sqrt(s + self.eps)
        return self.weight[:, None, None] * x + self.bias[:, None, None]


class MambaRMSNormGated(LlamaRMSNorm):
    """Gated before the norm, which is one of groups."""

    def __init__(self, width, group_size, eps=1e-6):
        super().__init__(width, eps)
        self.group_size = group_size

    def forward(self, hidden_states, gate=None):
        dtype = hidden_states.dtype
        hidden_states = hidden_states.to(torch.float32)
        if gate is not None:
            hidden_states = hidden_states * functional.silu(gate.to(torch.float32))
        *prefix, last = hidden_states.shape
        groups = hidden_states.view(*prefix, last // self.group_size, self.group_size)
        variance = groups.pow(2).mean(-1, keepdim=True)
        groups = groups * torch.rsqrt(variance + self.variance_epsilon)
        return self.weight * groups.view(*prefix, last).to(dtype)


class Qwen3NextRMSNormGated(LlamaRMSNorm):
    """Gated after it."""

    def forward(self, hidden_states, gate=None):
        dtype = hidden_states.dtype
        hidden_states = hidden_states.to(torch.float32)
        variance = hidden_states.pow(2).mean(-1, keepdim=True)
        hidden_states = hidden_states * torch.rsqrt(variance + self.variance_epsilon)
        hidden_states = self.weight * hidden_states.to(dtype)
        hidden_states = hidden_states * functional.silu(gate.to(torch.float32))
        return hidden_states.to(dtype)


class FalconH1RMSNormGated(LlamaRMSNorm):
    """Gated after it, and for three axes alone."""

    def forward(self, hidden_states, gate=None):
        dtype = hidden_states.dtype
        batch, length, width = hidden_states.shape
        groups = hidden_states.to(torch.float32).view(batch, length, 1, width)
        variance = groups.pow(2).mean(-1, keepdim=True)
        groups = groups * torch.rsqrt(variance + self.variance_epsilon)
        hidden_states = (self.weight.view(1, width) * groups).view(batch, length, width)
        if gate is not None:
            hidden_states = hidden_states * functional.silu(gate.to(torch.float32))
        return hidden_states.to(dtype)


class GroupedRMSNorm(GemmaRMSNorm):
    """1 + weight, and a norm of groups."""

    def __init__(self, width, group_size):
        super().__init__(width)
        self.group_size = group_size

    def _norm(self, x):
        return super()._norm(x.unflatten(-1, (-1, self.group_size))).flatten(-2)


class FrozenBatchNorm2d(nn.Module):
    """detectron2's: by a scale and shift where x needs a gradient, else PyTorch's in evaluation."""

    def __init__(self, num_features, eps=1e-5):
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.register_buffer("weight", torch.ones(num_features))
        self.register_buffer("bias", torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features) - eps)
        self.register_buffer("num_batches_tracked", None)

    def forward(self, x):
        if x.requires_grad:
            scale = self.weight * (self.running_var + self.eps).rsqrt()
            bias = self.bias - self.running_mean * scale
            scale, bias = scale.reshape(1, -1, 1, 1), bias.reshape(1, -1, 1, 1)
            dtype = x.dtype
            return x * scale.to(dtype) + bias.to(dtype)
        return functional.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, False, eps=self.eps
        )


class GroupNorm1(nn.GroupNorm):
    def __init__(self, width):
        super().__init__(1, width)

    def forward(self, x):
        return functional.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


ROWS, IMAGE, PAIR = ((3, 4, 8),), ((2, 8, 3, 3),), ((3, 4, 8),) * 2
FAMILIES = {
    "LlamaRMSNorm": (lambda: LlamaRMSNorm(8), ROWS, "rms_norm"),
    "Olmo2RMSNorm": (lambda: Olmo2RMSNorm(8), ROWS, "rms_norm"),
    "T5LayerNorm": (lambda: T5LayerNorm(8), ROWS, "rms_norm"),
    "GemmaRMSNorm": (lambda: GemmaRMSNorm(8), ROWS, "rms_norm"),
    "L2Norm": (lambda: L2Norm(), ROWS, "rms_norm"),
    "CohereLayerNorm": (lambda: CohereLayerNorm(8), ROWS, "layer_norm"),
    "channels first": (lambda: ConvNextLayerNorm(8, eps=1e-6), IMAGE, "layer_norm"),
    "channels last": (
        lambda: ConvNextLayerNorm(8, data_format="channels_last"), ROWS, "layer_norm"
    ),
    "VitDetLayerNorm": (lambda: VitDetLayerNorm(8), IMAGE, "layer_norm"),
    "gated before": (lambda: MambaRMSNormGated(8, 8), PAIR, "rms_norm"),
    "gated groups": (lambda: MambaRMSNormGated(8, 4), PAIR, "rms_norm"),
    "grouped": (lambda: GroupedRMSNorm(8, 4), ROWS, "rms_norm"),
    "gated after": (lambda: Qwen3NextRMSNormGated(8), PAIR, "rms_norm"),
    "gated rows": (lambda: FalconH1RMSNormGated(8), PAIR, "rms_norm"),
    "FrozenBatchNorm2d": (lambda: FrozenBatchNorm2d(8), IMAGE, "frozen_batch_norm"),
    "GroupNorm1": (lambda: GroupNorm1(8), IMAGE, "group_norm"),
}  # fmt: skip
