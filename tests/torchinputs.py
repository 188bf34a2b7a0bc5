"""Small models of transformers, timm and torchvision with random weights, and how to call them.

A maker gives names and functions, each of which makes a model and a call of it: ``call(model,
dtype)``. Nothing is downloaded.
"""

import importlib
import inspect
import re

import torch

PIXELS = 64
MOST = 30_000_000  # parameters of a model that is worth the time
_COUNTS = {
    2: "num_hidden_layers num_layers n_layer n_layers encoder_layers decoder_layers depth "
       "num_encoder_layers num_decoder_layers layers num_experts_per_tok num_key_value_heads "
       "num_kv_heads",
    4: "num_attention_heads n_head n_heads num_heads encoder_attention_heads heads "
       "decoder_attention_heads num_experts num_local_experts n_routed_experts",
    16: "head_dim",
    64: "hidden_size d_model n_embd dim embed_dim hidden_dim width encoder_hidden_size "
        "decoder_hidden_size embedding_size word_embed_proj_dim",
    96: "intermediate_size d_ff ffn_dim n_inner encoder_ffn_dim decoder_ffn_dim mlp_dim d_inner "
        "moe_intermediate_size hidden_dim_ff shared_expert_intermediate_size",
    128: "vocab_size text_vocab_size max_position_embeddings n_positions",
}  # fmt: skip
_SIZES = {name: size for size, names in _COUNTS.items() for name in names.split()}
_IMAGES = {"image_size": 96, "img_size": 96, "num_frames": 4}
_DEPTHS = {name: size for name, size in _SIZES.items() if size == 2 and "layer" in name}


def hf(pattern=""):
    """Architectures of transformers."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    for name in sorted(CONFIG_MAPPING.keys()):
        if re.search(pattern, name):
            yield name, lambda name=name: _hf(name)


def _hf(name):
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    error = made = None
    for sizes in ({**_SIZES, **_IMAGES}, _SIZES, {**_DEPTHS, "vocab_size": 128}):
        try:
            config = shrunk(CONFIG_MAPPING[name](), sizes)
            config._attn_implementation = "eager"
            with torch.device("meta"):
                size = sum(p.numel() for p in _of_config(config).parameters())
            if size > MOST:
                raise ValueError(f"{size / 1e6:.0f} million parameters")
            torch.manual_seed(0)
            model = _of_config(config).float()
            call = hf_call(model)
            made = made or (model, call)
            with torch.no_grad():
                call(model, torch.float32)
            return model, call
        except Exception as reason:
            error = error or reason
    if made is None:
        raise error
    return made


def _of_config(config):
    # Parts of models are no architectures of their own, and have a class beside their config
    from transformers import AutoModel, PreTrainedModel

    try:
        return AutoModel.from_config(config)
    except ValueError as error:
        room = type(config).__module__.replace("configuration", "modeling")
        for cls in vars(importlib.import_module(room)).values():
            model = isinstance(cls, type) and issubclass(cls, PreTrainedModel)
            if model and cls.config_class is type(config) and "forward" in vars(cls):
                return cls(config)
        raise error


def shrunk(config, sizes):
    """A config with small numbers where it has them."""
    for name in dir(type(config)) + list(vars(config)):
        if name.startswith("__"):
            continue
        try:
            value = getattr(config, name)
            if isinstance(value, bool):
                continue
            if isinstance(value, int) and value > sizes.get(name, value):
                setattr(config, name, sizes[name])
            elif isinstance(value, float) and "drop" in name:
                setattr(config, name, 0.0)
            elif name.endswith("_token_id") and isinstance(value, int) and value > 100:
                setattr(config, name, 1)
            elif name == "layer_types" and isinstance(value, list):
                setattr(config, name, value[:2])
        except Exception:  # an alias
            continue
    for value in list(vars(config).values()):
        if type(value).__name__.endswith("Config"):
            shrunk(value, sizes)
    return config


def hf_call(model):
    """A call with what its forward asks for."""
    parameters = inspect.signature(model.forward).parameters
    config = model.config
    names = {model.main_input_name}
    names |= {n for n, p in parameters.items() if p.default is p.empty
              and p.kind is p.POSITIONAL_OR_KEYWORD}  # fmt: skip
    kinds = {type(c).__name__ for c in vars(config).values()}
    if any("Vision" in kind for kind in kinds) and any("Text" in kind for kind in kinds):
        names |= {"input_ids", "pixel_values"} & parameters.keys()
    if getattr(config, "is_encoder_decoder", False):
        names |= {"decoder_input_ids"} & parameters.keys()
    generator = torch.Generator().manual_seed(0)
    given = {name: hf_input(name, config, generator) for name in sorted(names)}

    def call(model, dtype):
        return model(**{
            n: t.to(dtype) if isinstance(t, torch.Tensor) and t.is_floating_point() else t
            for n, t in given.items()
        })  # fmt: skip

    return call


def _of(config, *names, default=None):
    # The first of these that the config or a part of it has
    parts = [c for c in vars(config).values() if type(c).__name__.endswith("Config")]
    for each in (config, *parts):
        for name in names:
            value = getattr(each, name, None)
            if value is not None:
                return value
    return default


def hf_input(name, config, generator):
    """What an argument of that name takes."""
    if "ids" in name or name in ("input", "tokens"):
        most = _of(config, "vocab_size", default=100)
        return torch.randint(3, max(4, min(most, 99)), (2, 8), generator=generator)
    if name == "bbox":
        return torch.ones(2, 8, 4, dtype=torch.long)
    if "mask" in name:
        return torch.ones(2, 8, dtype=torch.long)
    if "pixel_values" in name or name == "images":
        size = _of(config, "image_size", "img_size", default=PIXELS)
        if isinstance(size, dict):
            size = size.get("height", PIXELS)
        side = tuple(size) if isinstance(size, (list, tuple)) else (size, size)
        channels = _of(config, "num_channels", "in_channels", "in_chans", default=3)
        frames = _of(config, "num_frames", default=None)
        lead = (2, frames) if frames and "Video" in type(config).__name__ else (2,)
        return torch.randn(*lead, channels, *side[-2:], generator=generator)
    if name == "input_features":
        bins = _of(config, "num_mel_bins", "feature_size", "input_feat_per_channel", default=80)
        length = 2 * _of(config, "max_source_positions", default=32)
        return torch.randn(2, bins, length, generator=generator)
    if name in ("input_values", "waveform", "audio_values"):
        bins = _of(config, "num_mel_bins", default=None)
        if bins and _of(config, "max_length"):
            return torch.randn(2, config.max_length, bins, generator=generator)
        return torch.randn(2, 4000, generator=generator)
    if name in ("inputs_embeds", "hidden_states"):
        return torch.randn(2, 8, _of(config, "hidden_size", "d_model"), generator=generator)
    raise ValueError(f"no input is known for {name}")


def timm(pattern=""):
    """The smallest of a few models of each module of timm."""
    import timm

    modules = [m for m in timm.list_modules() if re.search(pattern, m)]
    for module in modules:
        names = timm.list_models(module=module)
        if names:
            yield module, lambda names=names: _timm(names)
    for name in [] if modules else timm.list_models():
        if re.search(pattern, name):
            yield name, lambda name=name: _timm([name])


def _timm(names):
    import timm

    small = [n for n in names if re.search(r"test_|atto|femto|pico|nano|tiny|xx|_00|18|s0|b0", n)]
    found = {}
    for name in (small or names)[:6]:
        for options in ({"embed_dim": 96, "depth": 2, "num_heads": 4}, {}):
            try:
                with torch.device("meta"):
                    model = timm.create_model(name, **options)
            except Exception:
                continue
            found[sum(p.numel() for p in model.parameters())] = name, options
            break
    size = min(found)
    name, options = found[size]
    if size > MOST:
        raise ValueError(f"{name} has {size / 1e6:.0f} million parameters")
    for more in ({}, {"img_size": PIXELS}):
        try:
            torch.manual_seed(0)
            model = timm.create_model(name, num_classes=7, **options, **more)
        except Exception:
            continue
        wanted = model.default_cfg["input_size"][-1]
        for side in (PIXELS, 96, 128, wanted):
            call = image_call(3, side)
            try:
                with torch.no_grad():
                    call(model.eval(), torch.float32)
                return model, call
            except Exception:
                continue
    raise ValueError(f"{name} takes no image")


def image_call(channels, side, batch=2, wrap=lambda x: x):
    """A call with random images."""
    x = torch.randn(batch, channels, side, side, generator=torch.Generator().manual_seed(0))
    return lambda model, dtype: model(wrap(x.to(dtype)))


def torchvision(pattern=""):
    """Models of torchvision, but for the large ones."""
    from torchvision import models

    for name in models.list_models():
        if re.search(pattern, name):
            yield name, lambda name=name: _torchvision(name)


def _torchvision(name):
    from torchvision import models

    size = models.get_model_weights(name).DEFAULT.meta["num_params"]
    if size > MOST:
        raise ValueError(f"{size / 1e6:.0f} million parameters")
    options = {"weights_backbone": None} if re.search("rcnn|retina|fcos|ssd|lraspp|fcn|deeplab",
                                                      name) else {}  # fmt: skip
    torch.manual_seed(0)
    model = models.get_model(name, weights=None, **options)
    module = type(model).__module__
    if "detection" in module:
        boxes = [{"boxes": torch.tensor([[2.0, 3, 40, 50]]), "labels": torch.tensor([1])}] * 2

        def call(model, dtype):
            x = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0)).to(dtype)
            return model(list(x), boxes if model.training else None)

        return model, call
    if "video" in module or "optical" in module:
        raise ValueError("a video or flow")
    for side in (PIXELS, 128, 224, 299):
        call = image_call(3, side)
        try:
            with torch.no_grad():
                call(model.eval(), torch.float32)
            return model, call
        except Exception:
            continue
    raise ValueError("it takes no image")


MAKERS = {"hf": hf, "timm": timm, "torchvision": torchvision}
