"""Real models with random weights: converted, they train as they did."""

import importlib
import warnings

import pytest

torch = pytest.importorskip("torch", reason='PyTorch is not installed: pip install "cybn[torch]"')

from torchmodels import assert_trains_alike  # noqa: E402

from cybn.torch import convert, report, revert  # noqa: E402


def library(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(name)
        except ImportError:
            pytest.skip(f"{name} is not installed: pip install {name}")


SMALL = {"vocab_size": 99, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
         "num_attention_heads": 4}  # fmt: skip
GROUPED = {**SMALL, "num_key_value_heads": 2}
FOUR = {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 2, 1]}
# model, options of its config, how many norms are swapped and places fused
TRANSFORMERS = {
    "ResNet": ({"embedding_size": 8, "layer_type": "bottleneck", **FOUR}, 19, 16),
    "RegNet": ({"embedding_size": 8, "groups_width": 8, **FOUR}, 20, 16),
    "MobileNetV2": ({"depth_multiplier": 0.35}, 52, 45),
    "ConvNext": (FOUR, 10, 0),
    "ConvNextV2": (FOUR, 10, 0),
    "Llama": (GROUPED, 5, 0),
    "Gemma": ({**GROUPED, "head_dim": 8}, 5, 0),
    "Gemma2": ({**GROUPED, "head_dim": 8}, 9, 0),
    "Qwen3": ({**GROUPED, "head_dim": 8}, 9, 0),
    "T5Encoder": ({"vocab_size": 99, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2,
                   "num_heads": 4}, 5, 0),
    "Bert": (SMALL, 5, 0),
    "Cohere": (GROUPED, 3, 0),
    "Olmo": (GROUPED, 5, 0),
    "Mamba2": ({"vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 2, "num_heads": 8,
                "head_dim": 8, "state_size": 8, "n_groups": 2, "chunk_size": 8}, 5, 0),
}  # fmt: skip


def counts(found):
    """Norms that are swapped, and places that are fused."""
    return len(found.swapped), found.places


def first(output):
    values = output.values() if isinstance(output, dict) else [output]
    return next(v for v in values if isinstance(v, torch.Tensor))


def call(model, inputs):
    output = model(**inputs) if isinstance(inputs, dict) else model(inputs)
    if isinstance(output, dict):
        return first(output)
    return output


@pytest.mark.parametrize("name", TRANSFORMERS)
@pytest.mark.filterwarnings("ignore")
def test_transformers(name):
    transformers = library("transformers")
    options, swapped, fused = TRANSFORMERS[name]
    config = getattr(transformers, f"{name.removesuffix('Encoder')}Config")(**options)
    config._attn_implementation = "eager"
    torch.manual_seed(0)
    model = getattr(transformers, f"{name}Model")(config).double()
    if hasattr(config, "vocab_size"):
        inputs = {"input_ids": torch.randint(3, 99, (2, 6))}
    else:
        inputs = {"pixel_values": torch.randn(3, 3, 64, 64, dtype=torch.float64)}
    ours = assert_trains_alike(model, inputs, convert, call=call)
    found = report(ours)
    assert not found.left
    assert counts(found) == (swapped, fused)
    before = [type(m) for m in model.modules()]
    assert [type(m) for m in revert(ours).modules()] == before


@pytest.mark.filterwarnings("ignore")
def test_a_layer_norm_of_nemotron_is_left_alone():
    transformers = library("transformers")
    model = convert(transformers.NemotronModel(transformers.NemotronConfig(**GROUPED)))
    assert {entry.cls for entry in report(model).left} == {"NemotronLayerNorm1P"}


# options, norms, places
TIMM = {
    "mobilenetv3_small_050": ({}, 34, 7),
    "regnetx_002": ({}, 44, 13),
    "convnext_atto": ({}, 17, 0),
    "vit_tiny_patch16_224": ({"img_size": 32}, 25, 0),
}


@pytest.mark.parametrize("name", TIMM)
@pytest.mark.filterwarnings("ignore")
def test_timm(name):
    timm = library("timm")
    options, swapped, fused = TIMM[name]
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=7, **options).double()
    side = options.get("img_size", 64)
    x = torch.randn(4, 3, side, side, dtype=torch.float64)
    ours = assert_trains_alike(model, x, convert, call=call)
    found = report(ours)
    assert not found.left
    assert counts(found) == (swapped, fused)


LAYERS = {
    "BatchNormAct2d": {},
    "FrozenBatchNormAct2d": {"act_layer": torch.nn.ReLU6},
    "FrozenBatchNorm2d": {},
    "GroupNormAct": {"num_groups": 4},
    "GroupNorm1": {},
    "LayerNorm2d": {},
    "LayerNormAct2d": {"act_layer": torch.nn.SiLU},
    "RmsNorm2d": {},
    "LayerNormFp32": {},
    "RmsNorm": {},
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.filterwarnings("ignore")
def test_layers_of_timm(name):
    layers = library("timm.layers")
    if not hasattr(layers, name):
        pytest.skip(f"this timm has no {name}")
    options = {"inplace": False, **LAYERS[name]} if "Act" in name else LAYERS[name]
    norm = getattr(layers, name)(8, **options)
    shape = (4, 5, 8) if name in ("LayerNormFp32", "RmsNorm") else (4, 8, 5, 5)
    ours = assert_trains_alike(
        torch.nn.Sequential(torch.nn.Conv2d(8, 8, 1), norm) if len(shape) == 4 else norm,
        torch.randn(shape), convert, close=1e-4,
    )  # fmt: skip
    assert [entry.cls for entry in report(ours).swapped] == [name]


TORCHVISION = {
    "resnet18": ({}, 20, 17),
    "mobilenet_v2": ({"width_mult": 0.35}, 52, 45),
    "DenseNet": ({"block_config": (2, 2), "growth_rate": 8, "num_init_features": 16}, 11, 11),
}


@pytest.mark.parametrize("name", TORCHVISION)
@pytest.mark.filterwarnings("ignore")
def test_torchvision(name):
    models = library("torchvision.models")
    options, swapped, fused = TORCHVISION[name]
    torch.manual_seed(0)
    model = getattr(models, name)(num_classes=7, **options).double()
    x = torch.randn(3, 3, 64, 64, dtype=torch.float64)
    ours = assert_trains_alike(model, x, convert, call=call)
    assert counts(report(ours)) == (swapped, fused)


@pytest.mark.filterwarnings("ignore")
def test_a_detector_with_frozen_batch_norms():
    library("torchvision")
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
    from torchvision.ops import FrozenBatchNorm2d

    torch.manual_seed(0)
    model = resnet_fpn_backbone(
        backbone_name="resnet18", weights=None, norm_layer=FrozenBatchNorm2d
    ).double()
    x = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    ours = assert_trains_alike(model, x, convert, call=lambda m, x: m(x)["0"])
    found = report(ours)
    assert {entry.cls for entry in found.swapped} == {"FrozenBatchNorm2d"}
    assert not found.left
    assert counts(found) == (20, 17)
