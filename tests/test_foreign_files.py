"""Whole files in the shapes of other projects: the norm is loaded by its section."""

import ast
import json
import subprocess
import sys

import pytest

import cybn

LLAMA = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "rms_norm_eps": 1e-5}

#: name of the file, its content, section, dialect, what is given, and what it means
FILES = {
    "OpenMMLab": (
        {
            "_base_": ["default_runtime.py"],
            "norm_cfg": {"type": "SyncBN", "requires_grad": True},
            "model": {
                "type": "EncoderDecoder",
                "backbone": {"type": "ResNetV1c", "depth": 50, "norm_cfg": {"type": "SyncBN"}},
            },
            "optimizer": {"type": "SGD", "lr": 0.01, "momentum": 0.9},
        },
        "model.backbone.norm_cfg", "mmengine", {"num_features": 64},
        {"type": "BatchNorm2d", "num_features": 64},
    ),
    "timm": (
        {"model": "maxvit_tiny", "lr": 1e-3, "model_kwargs": {"norm_layer": "layer_norm"}},
        "model_kwargs.norm_layer", "timm", {"num_features": 64},
        {"type": "LayerNorm", "normalized_shape": 64, "eps": 1e-6},
    ),
    "detectron2": (
        {
            "_BASE_": "../Base-RCNN-FPN.yaml",
            "MODEL": {
                "MASK_ON": True,
                "RESNETS": {"DEPTH": 50, "NORM": "GN", "STRIDE_IN_1X1": False},
                "FPN": {"NORM": "GN"},
            },
            "SOLVER": {"STEPS": "(210000, 250000)", "MAX_ITER": 270000},
        },
        "MODEL.RESNETS.NORM", "detectron2", {"num_features": 64},
        {"type": "GroupNorm", "num_groups": 32, "num_channels": 64},
    ),
    "Keras": (
        {
            "class_name": "Functional",
            "config": {
                "name": "net",
                "layers": [
                    {"class_name": "InputLayer", "config": {"name": "in"}},
                    {"class_name": "Conv2D", "config": {"filters": 8, "activation": "linear"}},
                    {
                        "module": "keras.layers", "class_name": "BatchNormalization",
                        "registered_name": None,
                        "config": {
                            "name": "bn", "trainable": True, "axis": [3], "momentum": 0.99,
                            "epsilon": 0.001, "center": True, "scale": True,
                            "beta_initializer": {"class_name": "Zeros", "config": {}},
                            "dtype": {
                                "class_name": "DTypePolicy", "config": {"name": "float32"}
                            },
                        },
                        "build_config": {"input_shape": [None, 32, 32, 8]},
                        "inbound_nodes": [],
                    },
                ],
            },
        },
        "config.layers[2]", "keras", {},
        {
            "type": "BatchNorm2d", "num_features": 8, "eps": 1e-3, "momentum": 0.01,
            "channel_axis": -1, "unbiased": False,
        },
    ),
    "Hugging Face": (
        {**LLAMA, "hidden_size": 2048, "torch_dtype": "bfloat16", "vocab_size": 128256},
        None, "hf", {},
        {"type": "RMSNorm", "normalized_shape": 2048, "eps": 1e-5},
    ),
    "Hugging Face, nested": (
        {"model_type": "llava", "text_config": {**LLAMA, "hidden_size": 4096}},
        "text_config", "hf", {},
        {"type": "RMSNorm", "normalized_shape": 4096, "eps": 1e-5},
    ),
    "MONAI": (
        {
            "imports": ["$import glob"],
            "network_def": {
                "_target_": "UNet", "spatial_dims": 3, "channels": [16, 32],
                "norm": ["group", {"num_groups": 4}],
            },
            "network": "$@network_def.to(@device)",
        },
        "network_def.norm", "monai", {"num_features": 16, "spatial_dims": 3},
        {"type": "GroupNorm", "num_groups": 4, "num_channels": 16},
    ),
    "nnU-Net": (
        {
            "dataset_name": "Dataset004",
            "configurations": {
                "3d_fullres": {
                    "batch_size": 2,
                    "architecture": {
                        "network_class_name": "PlainConvUNet",
                        "arch_kwargs": {
                            "n_stages": 6, "conv_op": "torch.nn.modules.conv.Conv3d",
                            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
                            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
                        },
                    },
                }
            },
        },
        "configurations.3d_fullres.architecture.arch_kwargs", "torch", {"num_features": 32},
        {"type": "InstanceNorm3d", "num_features": 32, "affine": True},
    ),
    "hydra": (
        {
            "model": {
                "_target_": "src.Net", "hidden": 64,
                "norm": {"_target_": "torch.nn.LayerNorm", "normalized_shape": 64, "eps": 1e-6},
            },
            "trainer": {"_target_": "lightning.Trainer", "max_epochs": 10},
        },
        "model.norm", "torch", {},
        {"type": "LayerNorm", "normalized_shape": 64, "eps": 1e-6},
    ),
    "ONNX": (
        {
            "irVersion": "8",
            "graph": {
                "node": [
                    {"opType": "Conv", "input": ["x", "w"], "output": ["y"]},
                    {
                        "opType": "BatchNormalization", "name": "bn", "output": ["z"],
                        "input": ["y", "s", "b", "m", "v"],
                        "attribute": [
                            {"name": "epsilon", "f": 1e-5, "type": "FLOAT"},
                            {"name": "training_mode", "i": "0", "type": "INT"},
                        ],
                    },
                ]
            },
        },
        "graph.node[1]", "onnx", {"num_features": 8},
        {"type": "FrozenBatchNorm2d", "num_features": 8},
    ),
}  # fmt: skip


@pytest.mark.parametrize("project", FILES)
def test_a_whole_file_loads_by_section(write, project):
    content, section, dialect, given, means = FILES[project]
    layer = cybn.load_config(write(content), section, dialect=dialect, **given)
    assert layer.get_config() == cybn.create(means).get_config()


@pytest.mark.parametrize("project", [name for name, row in FILES.items() if row[1]])
def test_the_whole_of_it_points_at_the_part(write, project):
    content, section, dialect, given, _ = FILES[project]
    path = write(content)
    with pytest.raises((TypeError, ValueError)) as error:
        cybn.load_config(path, dialect=dialect, **given)
    if "section=" in str(error.value):
        assert section in str(error.value) or section.rpartition("[")[0] in str(error.value)


def test_nothing_is_imported_for_them(write):
    """Not the libraries, nor anything that a file names: in a process that has none of them."""
    paths = [write(row[0], f"{i}.json") for i, row in enumerate(FILES.values())]
    calls = [(str(path), *row[1:4]) for path, row in zip(paths, FILES.values(), strict=True)]
    source = (
        "import sys, cybn\n"
        f"for path, section, dialect, given in {calls!r}:\n"
        "    cybn.load_config(path, section, dialect=dialect, **given)\n"
        "print({name.partition('.')[0] for name in sys.modules})\n"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = ast.literal_eval(done.stdout)
    assert not loaded & {"torch", "keras", "flax", "monai", "transformers", "onnx", "src", "timm"}


def test_from_the_command_line(write, capsys):
    from cybn.command.cli import main

    content, section, dialect, _, _ = FILES["OpenMMLab"]
    path = write(content)
    arguments = ["--section", section, "--dialect", dialect, "--set", "num_features=64", "--json"]
    assert main(["check", str(path), *arguments]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["entries"]
    assert (entry["entry"], entry["builds"]) == (section, repr(cybn.BatchNorm2d(64)))
