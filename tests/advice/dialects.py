"""Configs of other libraries, and parts of files."""

import json

import cybn
from cybn.config.dialects import shelf
from cybn.dialects import Dialect, Norm, register

BN = {"type": "BatchNorm2d", "num_features": 4}


def _file(given, content):
    path = given.folder / "net.json"
    path.write_text(json.dumps(content), "utf-8")
    return path


def words_of_keras(given):
    spec = {"type": "BatchNormalization", "epsilon": 1e-3, "momentum": 0.99, "axis": -1}
    yield lambda: cybn.create(spec, num_features=4)
    yield lambda: cybn.create(spec, num_features=4, dialect="keras")


def words_of_several(given):
    spec = {**BN, "epsilon": 1e-3, "momentum": 0.99}
    yield lambda: cybn.create(spec)
    for name in ("keras", "flax", "onnx", "paddle"):
        yield lambda name=name: cybn.create(spec, dialect=name)


def one_word_of_several(given):
    yield lambda: cybn.create({**BN, "epsilon": 1e-3})
    yield lambda: cybn.create({**BN, "eps": 1e-3})
    yield lambda: cybn.create({**BN, "epsilon": 1e-3}, dialect="flax")


def a_momentum_that_weighs_what_was(given):
    yield lambda: cybn.create({**BN, "momentum": 0.99})
    for name in ("keras", "flax", "onnx", "paddle", "torch"):
        yield lambda name=name: cybn.create({**BN, "momentum": 0.99}, dialect=name)


def a_norm_that_only_looks_like_one(given):
    yield lambda: cybn.create("T5LayerNorm", num_features=4)
    yield lambda: cybn.create("T5LayerNorm", num_features=4, dialect="hf")


def a_norm_that_its_dialect_refuses(given):
    yield lambda: cybn.create({"type": "GemmaRMSNorm"}, num_features=4)
    yield lambda: cybn.create({"type": "RMSNorm", "eps": 1e-06, "num_features": 4})


def an_activation_that_no_norm_has(given):
    yield lambda: cybn.create("BatchNormAct2d", dialect="timm", act_layer="quick_gelu")
    yield lambda: cybn.create("BatchNormAct2d", dialect="timm", act_layer=None, num_features=4)


def an_option_that_no_activation_has(given):
    act = {"act_layer": "relu", "act_kwargs": {"threshold": 1}}
    yield lambda: cybn.create({"type": "BatchNormAct2d", **act}, dialect="timm", num_features=4)
    yield lambda: cybn.create("BatchNormAct2d", dialect="timm", act_layer=None, num_features=4)


def hydra(given):
    spec = {"_target_": "torch.nn.BatchNorm2d", "num_features": 4}
    yield lambda: cybn.create(spec)
    yield lambda: cybn.create(spec, dialect="torch")


def the_channels_elsewhere(given):
    yield lambda: cybn.create({"type": "BatchNormalization", "axis": 5}, dialect="keras")
    for axis in (1, -1):
        spec = {"type": "BatchNormalization", "axis": axis}
        yield lambda spec=spec: cybn.create(spec, dialect="keras", num_features=4)


def an_axis_that_may_not_be_the_last(given):
    def layer(axis, **options):
        return cybn.create({"type": "LayerNormalization", "axis": axis}, dialect="keras", **options)

    yield lambda: layer(2, num_features=4)
    yield lambda: layer(-1, num_features=4)
    yield lambda: layer([-2, -1], normalized_shape=[3, 4])


def an_axis_of_onnx_with_all_after_it(given):
    def layer(axis, **options):
        spec = {"op_type": "LayerNormalization", "axis": axis}
        return cybn.create(spec, dialect="onnx", **options)

    yield lambda: layer(2, num_features=4)
    yield lambda: layer(2, normalized_shape=[4, 5])


def a_class_that_hf_does_not_know(given):
    yield lambda: cybn.create("MineRMSNorm", dialect="hf", num_features=4)
    yield lambda: cybn.create({"type": "LlamaRMSNorm", "eps": 1e-06}, dialect="hf", num_features=4)
    for name in ("GemmaRMSNorm", "LayerNorm"):
        yield lambda name=name: cybn.create(name, dialect="hf", num_features=4)


def a_value_to_be_filled_in(given):
    spec = {"_target_": "torch.nn.GroupNorm", "num_groups": "${model.groups}"}

    def layer(**options):
        return cybn.create(spec, dialect="torch", num_features=4, **options)

    yield layer
    yield lambda: layer(num_groups=2)


def groups_of_hf_by_their_number(given):
    yield lambda: cybn.create(
        {"type": "FalconH1RMSNormGated", "n_groups": 2}, dialect="hf", num_features=4
    )
    yield lambda: cybn.create(
        {"type": "FalconH1RMSNormGated", "group_size": 2}, dialect="hf", num_features=4
    )


def no_rank(given):
    yield lambda: cybn.create("batch", dialect="monai", num_features=4)
    for rank in (1, 2, 3):
        yield lambda rank=rank: cybn.create(
            "batch", dialect="monai", num_features=4, spatial_dims=rank
        )


def as_many_groups_as_channels(given):
    spec = {"type": "GroupNormalization", "groups": -1}
    yield lambda: cybn.create(spec, dialect="keras")
    yield lambda: cybn.create(spec, dialect="keras", num_features=4)


def a_scale_that_is_no_truth(given):
    yield lambda: cybn.create({"type": "LayerNorm", "use_scale": 1}, dialect="flax", num_features=4)
    yield lambda: cybn.create(
        {"type": "LayerNorm", "use_scale": True}, dialect="flax", num_features=4
    )


def no_spec_of_a_dialect(given):
    yield lambda: cybn.create(3, dialect="mmengine")
    yield lambda: cybn.create({"type": "BN"}, dialect="mmengine", num_features=4)


def groups_by_their_size(given):
    spec = {"type": "GroupNorm", "group_size": 2}
    yield lambda: cybn.create(spec, dialect="flax", num_features=4)
    yield lambda: cybn.create(
        {"type": "GroupNorm", "num_groups": 2}, dialect="flax", num_features=4
    )


def groups_of_timm_by_their_size(given):
    yield lambda: cybn.create(
        {"type": "evonorms0", "group_size": 2}, dialect="timm", num_features=4
    )
    yield lambda: cybn.create({"type": "evonorms0", "groups": 2}, dialect="timm", num_features=4)


def an_initializer_of_paddle(given):
    spec = {"type": "BatchNorm2D", "weight_attr": "kaiming"}
    yield lambda: cybn.create(spec, dialect="paddle", num_features=4)
    yield lambda: cybn.create({"type": "BatchNorm2D"}, dialect="paddle", num_features=4)


def an_even_size_of_onnx(given):
    yield lambda: cybn.create({"op_type": "LRN", "size": 4}, dialect="onnx")
    yield lambda: cybn.create({"op_type": "LRN", "size": 5}, dialect="onnx")


def eps_without_a_model(given):
    spec = {"layer_norm_epsilon": 1e-6, "d_model": 4}
    yield lambda: cybn.create(spec, dialect="hf")
    yield lambda: cybn.create({**spec, "model_type": "t5"}, dialect="hf")
    yield lambda: cybn.create({**spec, "type": "T5LayerNorm"}, dialect="hf")


def a_model_that_is_not_known(given):
    yield lambda: cybn.create({"model_type": "mine", "rms_norm_eps": 1e-6}, dialect="hf")
    yield lambda: cybn.create({"type": "LlamaRMSNorm", "eps": 1e-06}, dialect="hf", num_features=4)


def a_model_without_its_eps(given):
    spec = {"model_type": "llama", "hidden_size": 4}
    yield lambda: cybn.create(spec, dialect="hf")
    yield lambda: cybn.create({**spec, "rms_norm_eps": 1e-6}, dialect="hf")


def _dialect(name, norms=()):
    return Dialect(name, "mine", ("https://example.org",), norms)


def a_dialect_by_a_name_that_is_taken(given):
    given.monkeypatch.setattr(shelf, "_registered", {})
    yield lambda: register(_dialect("keras"))
    yield lambda: register(_dialect("mine"))


def a_dialect_with_a_name_twice(given):
    norm, other = Norm(("a",), "BatchNorm1d"), Norm(("A",), "BatchNorm2d")
    yield lambda: _dialect("mine", (norm, other))
    yield lambda: _dialect("mine", (norm,))


def a_dialect_that_is_a_table(given):
    given.monkeypatch.setattr(shelf, "_registered", {})
    yield lambda: register({"name": "mine"})
    yield lambda: register(_dialect("mine"))


def a_width_for_all_layers(given):
    tree = {"a": "BN1d", "b": ["LN"]}
    yield lambda: cybn.build(tree)
    yield lambda: cybn.build(tree, num_features=64)


def a_file_with_other_content(given):
    path = _file(given, {"train": {"lr": 0.1}, "norm": {"type": "BN1d", "num_features": 4}})
    yield lambda: cybn.load_config(path)
    yield lambda: cybn.load_config(path, section="norm")


def an_item_by_its_key(given):
    path = _file(given, {"norms": ["AdaIN"]})
    yield lambda: cybn.load_config(path, section="norms.AdaIN")
    yield lambda: cybn.load_config(path, section="norms[0]")
