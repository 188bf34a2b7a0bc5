"""Names of norm classes of transformers, by what they compute: read from the source of each.

A name does not tell. `Gemma4RMSNorm` multiplies by its weight and `Gemma3RMSNorm` by 1 + weight;
`T5LayerNorm` is an RMS norm; eps differs between classes of one text. So all of them are listed,
and a class that is not here is refused. Rejected: a rule for names that end in RMSNorm, which would
build many of them wrongly. `python tests/zooclasses.py` compares each with the layer it is here,
and tells which classes of an installed transformers are in no table.
"""

from __future__ import annotations


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


#: weight and x / rms(x), eps 1e-6
RMS = _names(
    """
    LlamaRMSNorm AfmoeRMSNorm Aimv2RMSNorm Apertus1p5TextRMSNorm ApertusRMSNorm ArceeRMSNorm
    AriaTextRMSNorm AXK1RMSNorm AXK2RMSNorm BailingHybridRMSNorm BambaRMSNorm BeamRMSNorm
    BitNetRMSNorm BltRMSNorm ChameleonRMSNorm ClvpRMSNorm Cohere2MoeRMSNorm Cosmos3EdgeTextRMSNorm
    CpmAntLayerNorm CsmRMSNorm CwmRMSNorm DeepseekOcr2TextRMSNorm DeepseekOcr2VisionRMSNorm
    DeepseekV2RMSNorm DeepseekV32RMSNorm DeepseekV3RMSNorm DeepseekV4RMSNorm Deimv2RMSNorm
    DiaRMSNorm DiffLlamaRMSNorm DogeRMSNorm Dots1RMSNorm Dots3NoteRMSNorm Emu3RMSNorm
    Ernie4_5_MoeRMSNorm Ernie4_5_VLMoeRMSNorm Ernie4_5RMSNorm EvollaRMSNorm Exaone4_5_RMSNorm
    Exaone4RMSNorm ExaoneMoeRMSNorm FalconH1RMSNorm FalconMambaRMSNorm FlexOlmoRMSNorm
    FlintRMSNorm Glm4MoeLiteRMSNorm Glm4MoeRMSNorm Glm4RMSNorm Glm4vMoeRMSNorm Glm4vMoeTextRMSNorm
    Glm4vRMSNorm Glm5NextRMSNorm Glm5NextTextRMSNorm GlmImageRMSNorm GlmMoeDsaRMSNorm
    GlmOcrRMSNorm GlmRMSNorm GptOssRMSNorm Granite4VisionTextRMSNorm GraniteDoclingTextRMSNorm
    GraniteMoeHybridRMSNorm GraniteMoeRMSNorm GraniteMoeSharedRMSNorm GraniteMoeSWARMSNorm
    GraniteRMSNorm GraniteSWARMSNorm HeliumRMSNorm HiggsAudioV2RMSNorm HunYuanDenseV1RMSNorm
    HunYuanMoEV1RMSNorm HunYuanVLRMSNorm HyperCLOVAXRMSNorm HYV3RMSNorm HYV4RMSNorm HYV4VLRMSNorm
    Idefics2RMSNorm Idefics3RMSNorm IdeficsRMSNorm Inkling2LoopRMSNorm Inkling2RMSNorm
    InklingRMSNorm InternLM2RMSNorm InternVLVisionRMSNorm JambaRMSNorm JetMoeRMSNorm
    KimiLinearRMSNorm Kolibri1RMSNorm Kosmos2_5LayerNorm KyutaiSpeechToTextRMSNorm LagunaRMSNorm
    LaraMiniRMSNorm Lfm2MoeRMSNorm Lfm2RMSNorm Lfm3RMSNorm Lfm3VlVisionRMSNorm LightOnOcrRMSNorm
    LongcatFlashRMSNorm LongT5LayerNorm Mamba2RMSNorm MambaRMSNorm MellumRMSNorm
    MiMoV2FlashRMSNorm MiniCPM3RMSNorm MiniMaxM2RMSNorm MiniMaxRMSNorm Ministral3RMSNorm
    MinistralRMSNorm Mistral3RMSNorm Mistral4RMSNorm MistralLarge4RMSNorm MistralRMSNorm
    MixtralRMSNorm MllamaTextRMSNorm Molmo2RMSNorm MoshiRMSNorm MT5LayerNorm
    MuseGlimmerAssistantRMSNorm NemotronH_Omni_RMSNorm NemotronHRMSNorm NeuCodecRMSNorm
    Olmo2RMSNorm Olmo3RMSNorm OlmoHybridRMSNorm OpenAIPrivacyFilterRMSNorm Ovis2RMSNorm
    PaddleOCRRMSNorm PeAudioEncoderRMSNorm PeAudioVideoEncoderRMSNorm PeVideoEncoderRMSNorm
    Phi3RMSNorm Phi4MultimodalRMSNorm Pix2StructLayerNorm PixtralRMSNorm Pop2PianoLayerNorm
    QianfanOCRVisionRMSNorm Qwen2_5_VLRMSNorm Qwen2_5OmniRMSNorm Qwen2MoeRMSNorm Qwen2RMSNorm
    Qwen2VLRMSNorm Qwen3MoeRMSNorm Qwen3OmniMoeCode2WavRMSNorm Qwen3OmniMoeRMSNorm
    Qwen3OmniMoeTextRMSNorm Qwen3OmniMoeThinkerTextRMSNorm Qwen3RMSNorm Qwen3VLMoeTextRMSNorm
    Qwen3VLTextRMSNorm Sapiens2RMSNorm SeedOssRMSNorm SmolLM3RMSNorm SolarOpenRMSNorm
    SwitchTransformersLayerNorm T5LayerNorm TimesFm2_5RMSNorm TimesFmRMSNorm UdopLayerNorm
    UltrabertRMSNorm UltraVBertRMSNorm UMT5LayerNorm UnlimitedOcrTextRMSNorm
    VibeVoiceAcousticTokenizerRMSNorm VibeVoiceAsrRMSNorm VibeVoiceRMSNorm VoxtralRealtimeRMSNorm
    Xcodec2RMSNorm YoutuRMSNorm Zamba2RMSNorm ZambaRMSNorm ZayaRMSNorm
    """
)

#: the same, eps 1e-5
RMS_1E5 = _names(
    """
    EuroBertRMSNorm GradiumPhononTTSTimestepNorm ImageGPTLayerNorm Llama4TextRMSNorm OlmoeRMSNorm
    """
)

#: 1 + weight, eps 1e-6
ONE_PLUS = _names(
    """
    Gemma2RMSNorm Gemma3RMSNorm GemmaRMSNorm MiniMaxM3VLRMSNorm MuseGlimmerTextCenteredRMSNorm
    MuseSparkTextCenteredRMSNorm Qwen3_5MoeRMSNorm Qwen3_5RMSNorm Qwen3NextRMSNorm
    RecurrentGemmaRMSNorm Step3p7RMSNorm T5Gemma2RMSNorm T5GemmaRMSNorm VaultGemmaRMSNorm
    """
)

#: a weight or none, by `with_scale`, eps 1e-6
WITH_SCALE = _names(
    """
    DiffusionGemmaRMSNorm EmbeddingGemma2RMSNorm Gemma3nRMSNorm Gemma4RMSNorm Gemma4UnifiedRMSNorm
    MuseGlimmerRMSNorm MuseSparkRMSNorm NeoMMERMSNorm
    """
)

#: x / rms(x) alone, eps 1e-6
NO_WEIGHT = _names(
    """
    DeepseekV4UnweightedRMSNorm EsmFold2RMSNorm FalconMambaWeightlessRMSNorm
    Glm5NextTextUnweightedRMSNorm HrmTextRMSNorm Inkling2LoopUnweightedRMSNorm
    Inkling2UnweightedRMSNorm Llama4TextL2Norm NanoChatRMSNorm
    """
)

#: an RMS norm of groups of x * silu(gate), eps 1e-6
GATED = _names(
    """
    BambaRMSNormGated GraniteMoeHybridRMSNormGated MambaRMSNormGated NemotronHRMSNormGated
    Zamba2RMSNormGated
    """
)

#: an RMS norm of x, times silu(gate), eps 1e-6
GATED_AFTER = _names(
    """
    LaraMiniRMSNormGated OlmoHybridRMSNormGated Qwen3_5MoeRMSNormGated Qwen3_5RMSNormGated
    Qwen3NextRMSNormGated
    """
)

#: an RMS norm of x, times sigmoid(gate), eps 1e-6
GATED_SIGMOID = _names(
    """
    BailingHybridRMSNormGated Glm5NextTextRMSNormGated KimiLinearRMSNormGated
    """
)

#: layer norm without a bias, eps 1e-5
NO_BIAS = _names(
    """
    Cohere2LayerNorm Cohere2MoeLayerNorm CohereCompassLayerNorm CohereLayerNorm
    """
)

#: layer norm, over the last axis or over axis 1, by `data_format`, eps 1e-6
BY_FORMAT = _names(
    """
    ConvNextLayerNorm ConvNextV2LayerNorm DeepseekOcr2SamLayerNorm DeepseekVLHybridLayerNorm
    EdgeTamLayerNorm EdgeTamVideoLayerNorm GotOcr2LayerNorm LwDetrLayerNorm PPFormulaNetLayerNorm
    RfDetrLayerNorm Sam2LayerNorm Sam2VideoLayerNorm Sam3TrackerLayerNorm
    Sam3TrackerVideoLayerNorm SamHQLayerNorm SamLayerNorm SegGptLayerNorm SLANeXtLayerNorm
    UnlimitedOcrSamLayerNorm
    """
)

#: layer norm over axis 1, eps 1e-6
OVER_CHANNELS = _names(
    """
    EomtDinov3LayerNorm2d EomtLayerNorm2d VideomtLayerNorm2d VitDetLayerNorm
    """
)

#: batch norm with fixed statistics and parameters, eps 1e-5
FROZEN = _names(
    """
    ConditionalDetrFrozenBatchNorm2d DabDetrFrozenBatchNorm2d DeformableDetrFrozenBatchNorm2d
    Deimv2FrozenBatchNorm2d DetrFrozenBatchNorm2d DFineFrozenBatchNorm2d
    GroundingDinoFrozenBatchNorm2d MMGroundingDinoFrozenBatchNorm2d PPDocLayoutV2FrozenBatchNorm2d
    PPDocLayoutV3FrozenBatchNorm2d PPDocLayoutV4FrozenBatchNorm2d RTDetrFrozenBatchNorm2d
    RTDetrV2FrozenBatchNorm2d TableTransformerFrozenBatchNorm2d
    """
)
