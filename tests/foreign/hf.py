"""Hugging Face: config files of models, with the defaults of their classes."""

from . import rows

T = "huggingface/transformers:src/transformers/models/"


def model(path, means, **config):
    name = path.partition("/")[0]
    return rows(f"{T}{path}", ({"model_type": name, "vocab_size": 32000, **config}, means, {}))


def rms(width, eps):
    return {"type": "RMSNorm", "normalized_shape": width, "eps": eps}


def ln(width, eps, **more):
    return {"type": "LayerNorm", "normalized_shape": width, "eps": eps, **more}


GEMMA = {**rms(3072, 1e-6), "unit_offset": True}
BATCH = {"type": "BatchNorm2d", "num_features": 64, "eps": 1e-3}

GATED = {"type": "GatedRMSNorm", "num_features": 64, "eps": 1e-6}

ROWS = [
    *model("llama/configuration_llama.py", rms(4096, 1e-6), hidden_size=4096, rms_norm_eps=1e-6),
    *model(
        "mistral/configuration_mistral.py", rms(4096, 1e-6), hidden_size=4096, rms_norm_eps=1e-6
    ),
    *model("gemma/configuration_gemma.py", GEMMA, hidden_size=3072, rms_norm_eps=1e-6),
    *model("t5/configuration_t5.py", rms(512, 1e-6), d_model=512, layer_norm_epsilon=1e-6),
    *model(
        "mamba/configuration_mamba.py", rms(768, 1e-5), hidden_size=768, layer_norm_epsilon=1e-5
    ),
    *model("bert/configuration_bert.py", ln(768, 1e-12), hidden_size=768, layer_norm_eps=1e-12),
    *model("vit/configuration_vit.py", ln(768, 1e-12), hidden_size=768, layer_norm_eps=1e-12),
    *model("gpt2/configuration_gpt2.py", ln(768, 1e-5), n_embd=768, layer_norm_epsilon=1e-5),
    *model("distilbert/configuration_distilbert.py", ln(768, 1e-12), dim=768),
    *model(
        "falcon/configuration_falcon.py", ln(4544, 1e-5), hidden_size=4544, layer_norm_epsilon=1e-5
    ),
    *model(
        "starcoder2/configuration_starcoder2.py",
        ln(3072, 1e-5),
        hidden_size=3072,
        norm_epsilon=1e-5,
    ),
    *model(
        "cohere/configuration_cohere.py",
        ln(8192, 1e-5, bias=False),
        hidden_size=8192,
        layer_norm_eps=1e-5,
    ),
    *model(
        "nemotron/configuration_nemotron.py",
        ln(6144, 1e-5, unit_offset=True),
        hidden_size=6144,
        norm_eps=1e-5,
    ),
    *rows(
        f"{T}mobilenet_v2/configuration_mobilenet_v2.py",
        ({"model_type": "mobilenet_v2", "layer_norm_eps": 0.001}, {**BATCH, "momentum": 0.997}),
    ),
    *rows(
        f"{T}efficientnet/configuration_efficientnet.py",
        (
            {"model_type": "efficientnet", "batch_norm_eps": 0.001, "batch_norm_momentum": 0.99},
            {**BATCH, "momentum": 0.99},
        ),
    ),
    *rows(
        "huggingface/diffusers:src/diffusers/models/unets/unet_2d.py",
        (
            {"_class_name": "UNet2DModel", "norm_num_groups": 32, "norm_eps": 1e-5},
            {"type": "GroupNorm", "num_groups": 32, "num_channels": 64},
        ),
    ),
    *rows(
        f"{T}llama/configuration_llama.py",
        ({"rms_norm_eps": 1e-6, "hidden_size": 4096}, "give model_type", {}),
        ({"model_type": "llama", "hidden_size": 4096}, "give rms_norm_eps", {}),
        ({"type": "LlamaRMSNorm", "eps": 1e-6}, rms(64, 1e-6)),
    ),
    *rows(
        f"{T}t5/modeling_t5.py",
        ("T5LayerNorm", rms(64, 1e-6)),
    ),
    *rows(
        f"{T}gemma/modeling_gemma.py",
        ("GemmaRMSNorm", {**rms(64, 1e-6), "unit_offset": True}),
    ),
    *rows(
        f"{T}mamba2/modeling_mamba2.py",
        (
            {"type": "MambaRMSNormGated", "hidden_size": 64, "group_size": 16, "eps": 1e-5},
            {**GATED, "group_size": 16, "eps": 1e-5, "norm_before_gate": False},
            {},
        ),
    ),
    *rows(f"{T}qwen3_next/modeling_qwen3_next.py", ("Qwen3NextRMSNormGated", GATED)),
    *rows(
        f"{T}kimi_linear/modeling_kimi_linear.py",
        ("KimiLinearRMSNormGated", {**GATED, "activation": "sigmoid"}),
    ),
    *model("gpt_oss/modeling_gpt_oss.py", rms(2880, 1e-5), hidden_size=2880, rms_norm_eps=1e-5),
    *model("exaone4/modeling_exaone4.py", rms(4096, 1e-5), hidden_size=4096, rms_norm_eps=1e-5),
    *rows(f"{T}llama4/modeling_llama4.py", ("Llama4TextRMSNorm", rms(64, 1e-5))),
    *rows(
        f"{T}llama4/modeling_llama4.py",
        ("Llama4TextL2Norm", {**rms(64, 1e-6), "elementwise_affine": False}),
    ),
    *rows(f"{T}imagegpt/modeling_imagegpt.py", ("ImageGPTLayerNorm", rms(64, 1e-5))),
    *rows(f"{T}olmoe/modeling_olmoe.py", ("OlmoeRMSNorm", rms(64, 1e-5))),
    *rows(
        f"{T}gemma3/modeling_gemma3.py",
        ("Gemma3RMSNorm", {**rms(64, 1e-6), "unit_offset": True}),
    ),
    *rows(
        f"{T}gemma3n/modeling_gemma3n.py",
        ("Gemma3nRMSNorm", rms(64, 1e-6)),
        (
            {"type": "Gemma3nRMSNorm", "with_scale": False},
            {**rms(64, 1e-6), "elementwise_affine": False},
        ),
    ),
    *rows(
        f"{T}detr/modeling_detr.py",
        ("DetrFrozenBatchNorm2d", {"type": "FrozenBatchNorm2d", "num_features": 64}),
    ),
    *rows(
        f"{T}convnextv2/modeling_convnextv2.py",
        ("ConvNextV2GRN", {"type": "GRN", "num_features": 64, "channel_axis": -1}),
    ),
    *rows(f"{T}mobilebert/modeling_mobilebert.py", ("NoNorm", "it normalizes nothing")),
    *rows(f"{T}deberta/modeling_deberta.py", ("DebertaLayerNorm", ln(64, 1e-12))),
    *rows(
        f"{T}squeezebert/modeling_squeezebert.py",
        ("SqueezeBertLayerNorm", ln(64, 1e-12, channel_axis=1)),
    ),
    *rows(
        f"{T}poolformer/modeling_poolformer.py",
        ("PoolFormerGroupNorm", {"type": "GroupNorm", "num_groups": 1, "num_channels": 64}),
    ),
    *rows(
        "huggingface/transformers:src/transformers/models/bit/configuration_bit.py",
        (
            {
                "model_type": "bit",
                "layer_type": "preactivation",
                "hidden_act": "relu",
                "num_groups": 32,
                "embedding_size": 64,
                "global_padding": None,
            },
            {"type": "GroupNorm", "num_groups": 32, "num_channels": 64, "activation": "relu"},
        ),
    ),
]
