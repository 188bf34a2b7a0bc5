"""The norm layers of models of Hugging Face transformers and timm, rebuilt and compared.

A model is made without its weights (PyTorch's meta device), each of its norms gets memory and
random arrays, and ours is built from what the norm says of itself by the dialect of its library,
and loads its state by prefix. Output, gradients and statistics are compared, in training and in
evaluation.
`test_zoo.py` does so with a few models; all of them, with a table of what does not match:

    python tests/zoo.py [hf|timm] [PATTERN]
"""

import contextlib
import copy
import re
import sys
import warnings
from collections import Counter, defaultdict
from typing import NamedTuple

import numpy as np

import cybn
from cybn.config.dialects.shelf import find

#: how far apart float32 results may be: both are rounded, and sums of a gradient differ in order
CLOSE = {"rtol": 2e-4, "atol": 2e-5}
SMALL = 3  # samples, and positions along each axis
WIDTH = 8  # of what has none
_SIZES = {  # that make a model of a few blocks; what a config has not is left alone
    "num_hidden_layers": 2, "num_layers": 2, "n_layer": 2, "encoder_layers": 2,
    "decoder_layers": 2, "n_layers": 2, "num_encoder_layers": 2, "num_decoder_layers": 2,
    "depth": 2,
}  # fmt: skip


class Outcome(NamedTuple):
    """What has become of a norm: "match", "refused" or "differs", and why."""

    what: str
    why: str = ""


class Found(NamedTuple):
    """A norm of a model."""

    model: str
    path: str
    cls: str
    outcome: Outcome


def hf_models(pattern=""):
    """Name and model of each architecture of transformers; None if it is not made by itself."""
    import torch
    from transformers import AutoModel
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    for name in sorted(CONFIG_MAPPING):
        if not re.search(pattern, name):
            continue
        try:
            config = _shrunk(CONFIG_MAPPING[name]())
            with torch.device("meta"):
                model = AutoModel.from_config(config)
        except Exception:  # one that needs another package, or a config of parts
            model = None
        yield name, model


def _shrunk(config):
    for name, size in _SIZES.items():
        value = getattr(config, name, None)
        if isinstance(value, int) and not isinstance(value, bool) and value > size:
            try:
                setattr(config, name, size)
            except Exception:  # an alias
                continue
    for value in vars(config).values():
        if type(value).__name__.endswith("Config"):
            _shrunk(value)
    return config


def timm_models(pattern=""):
    """Name and model of the smallest of each family of timm, by the order of its list."""
    import timm
    import torch

    for module in timm.list_modules():
        names = [name for name in timm.list_models(module=module) if re.search(pattern, name)]
        for name in names[:1] if not pattern else names:
            try:
                with torch.device("meta"):
                    model = timm.create_model(name, pretrained=False)
            except Exception:
                model = None
            yield name, model


def norms_of(model):
    """The norms of a model by their paths: what is called so and has no other norm in it."""
    for path, module in model.named_modules():
        if not path or not re.search(r"norm|^GRN|GRN$|LRN", type(module).__name__, re.IGNORECASE):
            continue
        inner = [m for m in module.modules() if m is not module]
        if any(m for m in inner if list(m.parameters(recurse=False))):
            continue  # a block
        yield path, module


def with_values(module):
    """A copy of the norm with random arrays."""
    import torch

    module = copy.deepcopy(module).to_empty(device="cpu").float()
    generator = torch.Generator().manual_seed(0)
    for a in (*module.parameters(), *module.buffers()):
        if a.is_floating_point():
            a.data.copy_(torch.rand(a.shape, generator=generator) + 0.5)
        else:
            a.data.zero_()
    for name, a in list(module.named_buffers()):
        if name.endswith("eps") and a.ndim == 0:
            a.data.fill_(1e-6)
    return module


def spec_of(module):
    """What the norm says of itself, in the words of its library: dialect, name, options."""
    cls, package = type(module).__name__, type(module).__module__.partition(".")[0]
    dialect = {"torch": "torch", "timm": "timm", "transformers": "hf"}.get(package, "torch")
    has = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    options = {}
    for name in ("eps", "variance_epsilon", "epsilon"):
        if isinstance(has.get(name), float):
            options["eps"] = has[name]
    for name in ("num_features", "num_groups", "num_channels", "normalized_shape", "momentum",
                 "affine", "elementwise_affine", "track_running_stats", "data_format",
                 "group_size", "n_groups", "with_scale", "norm_before_gate", "activation",
                 "size", "alpha", "beta", "k"):  # fmt: skip
        if name in has and (dialect == "torch" or name not in ("affine",)):
            options[name] = has[name]
    if "unit_offset" in has:
        options["unit_offset"] = bool(has["unit_offset"])
    if "channel_dim" in has:
        options["channels_last"] = has["channel_dim"] == -1
    weight = getattr(module, "weight", None)
    if dialect == "timm" and weight is None:
        options["affine"] = False
    for name, parameter in (("use_weight", "weight"), ("use_bias", "bias")):
        options[name] = getattr(module, parameter, None) is not None
    if "normalized_shape" in options:
        options["normalized_shape"] = np.atleast_1d(options["normalized_shape"]).tolist()
        options.pop("num_features", None)
    elif weight is None and not {"num_features", "num_channels"} & options.keys():
        options["num_features"] = WIDTH  # it takes any
    elif weight is not None and not {"num_features", "num_channels"} & options.keys():
        options["num_features"] = weight.numel()
    if weight is not None and getattr(module, "bias", None) is None and "LayerNorm" in cls:
        options["bias"] = False
    act = getattr(module, "activation", None)
    if type(act).__name__ == "Identity":
        options["apply_activation"] = False
    elif callable(act):
        options["hidden_act"] = type(act).__name__
    act = getattr(module, "act", None)
    if dialect == "timm" and act is not None:
        name = type(act).__name__
        options["act_layer" if name != "Identity" else "apply_act"] = (
            name if name != "Identity" else False
        )
        own = {key: getattr(act, key) for key in ("negative_slope", "alpha", "approximate")
               if hasattr(act, key)}  # fmt: skip
        options |= {"act_kwargs": own} if own else {}
    return dialect, cls, options


def built(module):
    """Our layer for a norm; TypeError or ValueError where there is none."""
    dialect, cls, options = spec_of(module)
    table = find(dialect)
    known = table.known(cls)
    if known is not None:
        own = {name for name in options if name in known.words or name == "num_features"}
        options = {name: value for name, value in options.items() if name in own}
    layer = cybn.create({"type": cls}, dialect=dialect, **options)
    state = {f"net.{name}": a for name, a in module.state_dict(keep_vars=True).items()}
    inner = next((name for name, _ in module.named_children() if hasattr(module, name)), "")
    inside = inner and f"net.{inner}.weight" in state  # a norm that turns the axes of another
    layer.load_state_dict(state, prefix=f"net.{inner}." if inside else "net.", dialect=dialect)
    return layer


def shapes_for(module, layer):
    """Inputs that the norm may take."""
    import torch

    cls = type(module).__name__
    shape = getattr(layer, "normalized_shape", None)
    width = shape[-1] if shape else getattr(layer, "num_features", None)
    width = width or getattr(layer, "num_channels", WIDTH)
    axis = getattr(layer, "channel_axis", 1 if not shape else -1)
    if isinstance(module, torch.nn.BatchNorm1d):
        return [(8, width)]
    if "3d" in cls:
        return [(SMALL, width, SMALL, SMALL, SMALL)]
    if axis == 1:
        return [(SMALL, width, SMALL, *([SMALL] if not takes_three(module) else []))]
    if "GRN" in cls or "GlobalResponse" in cls:
        return [(SMALL, SMALL, SMALL, width)]
    return [(SMALL, SMALL, *(shape or (width,)))]


def takes_three(module):
    """Has its x three axes, with the channels on axis 1?"""
    return type(module).__name__.startswith(("PeAudio", "PeVideo", "SqueezeBert"))


def compared(module):
    """The outcome of a norm: is ours the same?"""
    try:
        layer = built(module)
    except (TypeError, ValueError) as error:
        return Outcome("refused", f"{error}")
    for shape in shapes_for(module, layer):
        for training in (True, False):
            try:
                why = _unlike(copy.deepcopy(module), copy.deepcopy(layer), shape, training)
            except Exception as error:
                why = f"{type(error).__name__}: {error}"
            if why:
                break
        else:
            return Outcome("match")
    return Outcome("differs", why)


def _unlike(module, layer, shape, training):
    """What differs, or an empty text.

    Close to theirs in float64 is right as well: in float32 a gradient that is 0 has their errors.
    """
    rng = np.random.default_rng(sum(shape))
    x, dy, gate = rng.normal(0.5, 2, (3, *shape)).astype(np.float32)
    more = {"gate": gate} if isinstance(layer, cybn.GatedRMSNorm) else {}
    right = [_theirs(copy.deepcopy(module).train(training), x, dy, more, "float")]
    with contextlib.suppress(RuntimeError):  # one that is float32 alone
        right.append(_theirs(copy.deepcopy(module).train(training), x, dy, more, "double"))
    layer.train(training)
    ours = {"y": layer(x, **more), "dx": layer.backward(dy)}
    ours |= {f"d{name}": grad for name, grad in layer.grads.items()}
    ours |= {"dgate": layer.dgate} if more else {}
    ours |= {name: a for name, a in layer.named_buffers() if a.dtype.kind == "f"}
    for name, value in ours.items():
        if name in right[0] and not any(_close(value, theirs[name]) for theirs in right):
            return f"{name} differs {'in training' if training else 'in evaluation'}"
    return ""


def _theirs(module, x, dy, more, dtype):
    import torch

    def tensor(a):
        return getattr(torch.from_numpy(a.copy()), dtype)().requires_grad_()

    module = getattr(module, dtype)()
    given, extra = tensor(x), [tensor(a) for a in more.values()]
    out = module(given, *extra)
    out.backward(tensor(dy).detach().to(out.dtype))
    found = {"y": out, "dx": given.grad}
    found |= {f"d{name}": a.grad for name, a in zip(more, extra, strict=True)}
    found |= {f"d{name}": a.grad for name, a in module.named_parameters() if a.grad is not None}
    found |= dict(module.named_buffers())
    return {name: a.detach().numpy() for name, a in found.items()}


def _close(ours, theirs):
    scale = max(1.0, float(np.abs(theirs).max(initial=0)))
    flat = ours.reshape(-1) / scale, theirs.reshape(-1) / scale
    return ours.size == theirs.size and np.allclose(*flat, **CLOSE)


def survey(models):
    """The outcome of every norm; those that are alike in class and shape are compared once."""
    known = {}
    for name, model in models:
        for path, module in norms_of(model) if model is not None else ():
            sizes = tuple((n, tuple(a.shape)) for n, a in module.state_dict().items())
            key = type(module), repr(spec_of(module)), sizes
            if key not in known:
                known[key] = compared(with_values(module))
            yield Found(name, path, type(module).__name__, known[key])


MODELS = {"hf": hf_models, "timm": timm_models}


def main(arguments):
    warnings.simplefilter("ignore")
    which, pattern = [*arguments, "", ""][:2]
    for library, models in MODELS.items():
        if which not in ("", library):
            continue
        found, made = [], Counter()

        def counted(models=models, made=made):
            for name, model in models(pattern):
                made[model is not None] += 1
                yield name, model

        for each in survey(counted()):
            found.append(each)
        outcomes = Counter(each.outcome.what for each in found)
        total = max(1, len(found))
        print(f"{library}: {made[True]} models ({made[False]} not made), {len(found)} norms: "
              f"{outcomes['match']} match ({outcomes['match'] / total:.1%}), "
              f"{outcomes['refused']} refused, {outcomes['differs']} differ")  # fmt: skip
        rows = defaultdict(list)
        for each in found:
            if each.outcome.what != "match":
                rows[each.cls, each.outcome.what, each.outcome.why[:110]].append(each.model)
        for (cls, what, why), models_of in sorted(rows.items(), key=lambda row: -len(row[1])):
            names = ", ".join(dict.fromkeys(models_of))
            print(f"  {len(models_of):5} {cls} {what}: {why} [{names[:60]}]")


if __name__ == "__main__":
    main(sys.argv[1:])
