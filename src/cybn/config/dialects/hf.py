"""Hugging Face: a model's config.json, by its ``model_type``, or a norm by the name of its class.

The key of eps does not tell the norm: ``layer_norm_epsilon`` of T5 is that of an RMS norm, and that
of GPT-2 of a layer norm. So a config.json is read by a table of models, and a model that is not in
it is refused. The norm is the one between the blocks of the model; its other keys are left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...terms.messages import shown
from ...terms.registry import UnknownName
from . import acts, torch
from . import hf_classes as classes
from .names import TORCH as TORCH_STATE
from .table import Dialect, Norm
from .words import SCALE, SHIFT, As, Only, Refusal, Unused, Word

_EPS_KEYS = (
    "eps", "rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_eps",
    "norm_epsilon", "variance_epsilon",
)  # fmt: skip
_WIDTHS = (
    "hidden_size", "normalized_shape", "n_embd", "d_model", "dim", "num_features", "size", "c_in",
    "num_channels",
)  # fmt: skip


def _words(eps: float, **more: Word) -> dict[str, Word]:
    # Given by no key eps is the default of the class
    return {
        "eps": As("eps", default=eps),
        **{key: As("eps") for key in _EPS_KEYS if key != "eps"},
        **{key: As("num_features") for key in _WIDTHS},
        **more,
    }


class Format(Word):
    """`data_format`: where the channels are."""

    def read(self, value: Any) -> Mapping[str, Any]:
        return {} if value == "channels_last" else {"channel_axis": 1}

    def says(self) -> str:
        return '"channels_last"; over the channels of (N, C, ...) with "channels_first"'


_EPS6 = _words(1e-6)
_EPS5 = _words(1e-5)
_CHANNELS = {"channel_axis": 1}
_SCALE_SHIFT = {
    "use_weight": As(SCALE, default=True),
    "use_bias": As(SHIFT, default=False),
    "force_float32_reductions": Unused("statistics are exact in any case"),
}
_GROUP = {**torch.GROUP, "num_features": As("num_features")}
_GROUPED = Only(None, Refusal("it averages over groups of the last axis"))
_HEADS = Refusal("it averages over one head, and has a weight for each item of each")
_NETWORK = Refusal("its scale and shift come from a further input, in a network of their own")
_NO_NORM = Refusal("it normalizes nothing: it is a scale and a shift")

NORMS = (
    Norm(("RMSNorm", *classes.RMS), "RMSNorm", _EPS6),
    Norm(classes.RMS_1E5, "RMSNorm", _EPS5),
    Norm(classes.ONE_PLUS, "RMSNorm", _EPS6, {"unit_offset": True}),
    Norm(
        ("Qwen4ExpTextRMSNorm",), "RMSNorm",
        _words(1e-6, group_size=_GROUPED), {"unit_offset": True},
    ),
    Norm(
        classes.WITH_SCALE, "RMSNorm",
        _words(1e-6, with_scale=As("elementwise_affine", default=True)),
    ),
    Norm(classes.NO_WEIGHT, "RMSNorm", _EPS6, {"elementwise_affine": False}),
    Norm(("xLSTMRMSNorm",), "RMSNorm", {**_EPS6, **_SCALE_SHIFT}),
    Norm(("LayerNorm", "FP32LayerNorm"), "LayerNorm", _words(1e-5, bias=As("bias", default=True))),
    Norm(
        ("EsmFoldLayerNorm", "EsmcLayerNorm", "EsmFold2LayerNorm", "PocketTTSFlowLayerNorm",
         "GradiumPhononTTSFlowLayerNorm"),
        "LayerNorm",
        _words(
            1e-5, bias=As("bias", default=True),
            elementwise_affine=As("elementwise_affine", default=True),
        ),
    ),
    Norm(("DebertaLayerNorm",), "LayerNorm", _words(1e-12)),
    Norm(classes.NO_BIAS, "LayerNorm", _words(1e-5, bias=As("bias", default=False))),
    Norm(("OlmoLayerNorm",), "LayerNorm", _EPS5, {"elementwise_affine": False}),
    Norm(("NemotronLayerNorm1P", "VideoPrismLayerNorm"), "LayerNorm", _EPS5, {"unit_offset": True}),
    Norm(
        ("MoonshineStreamingLayerNorm",), "LayerNorm",
        {**_EPS5, "unit_offset": As("unit_offset", default=True)}, {"bias": False},
    ),
    Norm(
        classes.BY_FORMAT, "LayerNorm", _words(1e-6, data_format=Format(default="channels_last")),
    ),
    Norm(
        ("DINOv3ConvNextLayerNorm",), "LayerNorm",
        _words(1e-5, data_format=Format(default="channels_last")),
    ),
    Norm(
        classes.OVER_CHANNELS, "LayerNorm",
        _words(1e-6, affine=As("elementwise_affine", default=True)), _CHANNELS,
    ),
    Norm(("SqueezeBertLayerNorm",), "LayerNorm", _words(1e-12), _CHANNELS),
    Norm(
        ("GroupNorm", "Emu3VQVAEGroupNorm", "PeAudioMaskedGroupNorm", "PeVideoMaskedGroupNorm",
         "PeAudioVideoMaskedGroupNorm"),
        "GroupNorm", _GROUP,
    ),
    Norm(
        ("PoolFormerGroupNorm",), "GroupNorm",
        {name: word for name, word in _GROUP.items() if name != "num_groups"}, {"num_groups": 1},
    ),
    Norm(("BatchNorm2d",), "BatchNorm2d", torch.BATCH),
    Norm(
        ("PatchTSTBatchNorm", "PatchTSMixerBatchNorm"), "BatchNorm1d",
        _words(1e-5, d_model=As("num_features")), {"channel_axis": -1},
    ),
    Norm(classes.FROZEN, "FrozenBatchNorm2d", {**torch.FROZEN, "n": As("num_features")}),
    Norm(
        ("ConvNextV2GRN", "GlobalResponseNorm"), "GlobalResponseNorm",
        {"dim": As("num_features"), "num_features": As("num_features"),
         "eps": As("eps", default=1e-6)},
        {"channel_axis": -1},
    ),
    Norm(
        classes.GATED, "GatedRMSNorm",
        _words(1e-6, group_size=As("group_size")), {"norm_before_gate": False},
    ),
    Norm(classes.GATED_AFTER, "GatedRMSNorm", _EPS6),
    Norm(classes.GATED_SIGMOID, "GatedRMSNorm", _EPS6, {"activation": "sigmoid"}),
    Norm(
        ("Qwen4ExpTextRMSNormGated",), "GatedRMSNorm",
        _words(1e-6, activation=As("activation", default="silu")),
    ),
    Norm(
        ("FalconH1RMSNormGated",), "GatedRMSNorm",
        _words(
            1e-6, group_size=As("group_size"),
            n_groups=Only(1, Refusal("groups are given by their size; give group_size")),
            norm_before_gate=As("norm_before_gate", default=True),
        ),
    ),
    Norm(
        ("AdaLayerNorm", "AdaLayerNormZero", "AdaLayerNormSingle", "AdaLayerNormZeroSingle",
         "AdaLayerNormContinuous", "AdaGroupNorm", "SpatialNorm", "SD35AdaLayerNormZeroX",
         "LuminaRMSNormZero", "LuminaLayerNormContinuous", "CogVideoXLayerNormZero",
         "EsmFold2AdaptiveLayerNorm", "Qwen2_5_OmniAdaLayerNormZero",
         "Qwen2_5_OmniAdaLayerNormZero_Final", "VibeVoiceDiffusionHeadAdaLayerNorm",
         "WavTokenizerAdaLayerNorm", "Emu3VQVAESpatialNorm", "VoxtralRealtimeTextAdaRmsNorm",
         "AXK2GatedRMSNorm"),
        refused=_NETWORK,
    ),
    Norm(
        ("BitGroupNormActivation",), "GroupNorm",
        {**_GROUP, "num_groups": As("num_groups", default=32),
         "hidden_act": acts.Act(acts.HF, default="relu"),
         "apply_activation": acts.Apply(default=True)},
    ),
    Norm(("ChameleonLayerNorm", "StableLmLayerNormPerHead", "xLSTMMultiHeadLayerNorm"),
         refused=_HEADS),
    Norm(
        ("AutoformerLayernorm",),
        refused=Refusal("it takes the mean over the positions from its output"),
    ),
    Norm(
        ("MuseSparkTextInputScaledRMSNorm",),
        refused=Refusal("it multiplies by 1 + weight before it normalizes, and here after"),
    ),
    Norm(
        ("HYV4UnweightedRMSNorm", "HYV4VLUnweightedRMSNorm"),
        refused=Refusal("it gives the factor 1 / rms(x) alone, and no x"),
    ),
    Norm(
        ("PocketTTSTimestepNorm",),
        refused=Refusal("it divides by the deviation and does not centre"),
    ),
    Norm(
        ("DoryL2Norm", "ZayaQKNorm"),
        refused=Refusal("it divides by the length of x: eps is added to a sum of squares, and here "
                        "to their mean"),
    ),
    Norm(
        ("Gemma3nAudioCumulativeGroupNorm",),
        refused=Refusal("its moments at a time are of all times up to it, and here of a sample"),
    ),
    Norm(("IntLayerNorm",), refused=Refusal("it is quantized, and data here is of floats")),
    Norm(
        ("Phi4MultimodalAudioMeanVarianceNormLayer",),
        refused=Refusal(
            "its statistics are those of a data set", {"type": "Normalize", "channel_axis": -1},
            "and fit it",
        ),
    ),
    Norm(("NoNorm",), refused=_NO_NORM),
    Norm(
        ("MuseGlimmerTextNormedEmbedding", "MuseSparkTextNormedEmbedding", "PatchTSMixerNormLayer"),
        refused=Refusal("it is a block with a norm in it, and no norm"),
    ),
)  # fmt: skip


class Model(NamedTuple):
    """Which norm stands between the blocks of a model, and which keys of its config say how."""

    norm: str
    eps: str | float  # the key, or what it always is
    width: str | None = "hidden_size"
    always: Mapping[str, Any] = {}
    keys: Mapping[str, str] = {}  # further options: by theirs, the key


def _models(names: str, *row: Any) -> dict[str, Model]:
    return dict.fromkeys(names.split(), Model(*row))


MODELS: dict[str, Model] = {
    **_models(
        "llama mistral mixtral qwen2 qwen2_moe qwen3 qwen3_moe phi3 deepseek_v2 deepseek_v3 olmo2"
        " olmoe granite granitemoe internlm2 internlm3 glm glm4 smollm3 minicpm minicpm3 yi"
        " baichuan jamba ministral mllama_text_model",
        "LlamaRMSNorm", "rms_norm_eps",
    ),
    **_models(
        "gemma gemma2 gemma3_text recurrent_gemma qwen3_next", "GemmaRMSNorm", "rms_norm_eps"
    ),
    **_models(
        "afmoe arcee aria_text bamba bitnet chameleon cosmos3_edge_text cwm deepseek_v4"
        " diffllama doge dots1 emu3_text_model ernie4_5 evolla exaone4 exaone_moe falcon_h1"
        " flex_olmo flint glm4_moe glm_image_text gpt_oss granite4_vision_text"
        " granite_docling_text granite_swa granitemoe_swa granitemoehybrid granitemoeshared"
        " helium higgs_audio_v2 hunyuan_v1_dense hunyuan_v1_moe hy_v3 hy_v4 hyperclovax"
        " idefics kolibri1 laguna lara_mini mellum minimax minimax_m2 ministral3 mistral4"
        " mistral_large4_text molmo2_text muse_glimmer_assistant neucodec olmo3 olmo_hybrid"
        " openai_privacy_filter paddleocr_vl_text pe_audio_encoder pe_audio_video_encoder"
        " pe_video_encoder phi4_multimodal qwen2_5_vl_text qwen2_vl_text qwen3_vl_text"
        " qwen3_vl_moe_text seed_oss solar_open timesfm timesfm2_5 ultrabert"
        " unlimited_ocr_text xcodec2 youtu zaya",
        "LlamaRMSNorm", "rms_norm_eps",
    ),
    **_models(
        "eurobert llama4_text",
        "EuroBertRMSNorm", "rms_norm_eps",
    ),
    **_models(
        "fun_asr_nano_encoder gpt_neox_japanese gradium_phonon_tts gte jais2"
        " jina_embeddings_v3 nomic_bert pocket_tts",
        "LayerNorm", "layer_norm_eps",
    ),
    **_models(
        "mimi pocket_tts_audio_tokenizer",
        "LayerNorm", "norm_eps",
    ),
    **_models(
        "minimax_m3_vl_text muse_spark_text qwen3_5_text qwen3_5_moe_text step3p5"
        " vaultgemma",
        "GemmaRMSNorm", "rms_norm_eps",
    ),
    **_models("t5 mt5 umt5 longt5", "T5LayerNorm", "layer_norm_epsilon", "d_model"),
    **_models("mamba falcon_mamba mamba2", "MambaRMSNorm", "layer_norm_epsilon"),
    **_models(
        "bert roberta xlm-roberta albert electra deberta deberta-v2 camembert esm vit"
        " deit beit dpt clip_text_model clip_vision_model siglip_text_model siglip_vision_model"
        " layoutlm layoutlmv3 longformer big_bird nystromformer data2vec-text phi gpt_neox"
        " stablelm persimmon dinov2 ijepa",
        "LayerNorm", "layer_norm_eps",
    ),
    **_models("gpt2 gptj codegen gpt_bigcode", "LayerNorm", "layer_norm_epsilon", "n_embd"),
    **_models("gpt_neo bloom falcon", "LayerNorm", "layer_norm_epsilon"),
    **_models("imagegpt", "ImageGPTLayerNorm", "layer_norm_epsilon", "n_embd"),
    **_models("starcoder2", "LayerNorm", "norm_epsilon"),
    **_models("distilbert", "LayerNorm", 1e-12, "dim"),
    **_models("opt", "LayerNorm", 1e-5),
    **_models("bart mbart pegasus marian whisper", "LayerNorm", 1e-5, "d_model"),
    **_models("cohere cohere2", "CohereLayerNorm", "layer_norm_eps"),
    **_models("olmo", "OlmoLayerNorm", 1e-5),
    **_models("nemotron", "NemotronLayerNorm1P", "norm_eps"),
    **_models("resnet", "BatchNorm2d", 1e-5, None),
    **_models(
        "bit", "BitGroupNormActivation", 1e-5, None, {},
        {"num_groups": "num_groups", "hidden_act": "hidden_act"},
    ),
    **_models("mobilenet_v1", "BatchNorm2d", "layer_norm_eps", None, {"momentum": 0.9997}),
    **_models("mobilenet_v2", "BatchNorm2d", "layer_norm_eps", None, {"momentum": 0.997}),
    **_models(
        "efficientnet", "BatchNorm2d", "batch_norm_eps", None, {},
        {"momentum": "batch_norm_momentum"},
    ),
    **_models(
        "UNet2DModel UNet2DConditionModel", "GroupNorm", "norm_eps", None, {},
        {"num_groups": "norm_num_groups"},
    ),
    **_models(
        "AutoencoderKL VQModel", "GroupNorm", 1e-6, None, {}, {"num_groups": "norm_num_groups"}
    ),
}  # fmt: skip


def _parts(spec: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]] | None:
    kind = next((spec[key] for key in ("model_type", "_class_name") if key in spec), None)
    if kind is None and "type" not in spec and any(key in spec for key in _EPS_KEYS[1:]):
        raise ValueError(
            "the key of eps does not tell the norm of a model; give model_type as well, or type, "
            "the class of the norm"
        )
    if kind is None:
        return None
    model = MODELS.get(kind) if isinstance(kind, str) else None
    if model is None:
        raise UnknownName(
            f"hf does not know the norm of the model {shown(kind, False)}; say its class, as "
            f"{{'type': 'LlamaRMSNorm', 'eps': 1e-06}}"
        )
    wanted = {"eps": model.eps, **model.keys}
    options = dict(model.always)
    for theirs, key in wanted.items():
        if isinstance(key, str) and key not in spec:
            raise ValueError(f"a config of {kind} has {key!r}, and this one lacks it; give {key}")
        options[theirs] = spec[key] if isinstance(key, str) else key
    if model.width in spec:
        options["num_features"] = spec[model.width]
    return model.norm, options


DIALECT = Dialect(
    "hf",
    "Hugging Face: transformers, diffusers",
    (
        "https://github.com/huggingface/transformers/tree/main/src/transformers/models",
        "https://github.com/huggingface/diffusers/tree/main/src/diffusers/models",
    ),
    NORMS,
    packages=("transformers", "diffusers"),
    parse=_parts,
    state=TORCH_STATE,
    unknown=(
        "names do not tell what a class computes: write {'type': 'LlamaRMSNorm', 'eps': 1e-06} if "
        "it is x / rms(x) * weight, 'GemmaRMSNorm' if it multiplies by 1 + weight, or 'LayerNorm'"
    ),
)
