"""The models, built from their configs with random weights; nothing is downloaded.

Those of Hugging Face have the sizes of their papers, but for the language models, which are small:
large ones spend their time in products of matrices, whatever the norms do. Any model of timm's can
be named, `timm:NAME`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

CLASSES, WORDS = 1000, 1000
IMAGES, TEXT = "images", "text"
_TEXT = {
    "vocab_size": WORDS, "hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 4,
    "num_attention_heads": 4,
}  # fmt: skip


class Kind(NamedTuple):
    """A model of Hugging Face's: its class and config without the last word, options, input."""

    family: str
    task: str
    options: dict[str, Any]
    takes: str


KINDS = {
    "resnet50": Kind("ResNet", "ForImageClassification", {}, IMAGES),
    "mobilenet_v2": Kind("MobileNetV2", "ForImageClassification", {}, IMAGES),
    "convnext": Kind("ConvNext", "ForImageClassification", {}, IMAGES),
    "regnet": Kind("RegNet", "ForImageClassification", {}, IMAGES),
    "llama": Kind("Llama", "ForCausalLM", _TEXT, TEXT),
    "bert": Kind("Bert", "ForSequenceClassification", _TEXT, TEXT),
}
DEFAULT = (*KINDS, "timm:efficientnet_b0")


class Size(NamedTuple):
    """Of one sample."""

    side: int  # of an image, pixels
    words: int  # of a text


def library(name: str) -> str:
    return "timm" if name.startswith("timm:") else "transformers"


def missing(name: str) -> str:
    """Why a model cannot be built here; "" where it can."""
    wanted = library(name)
    return "" if find_spec(wanted) else f"{wanted} is not installed (pip install {wanted})"


def takes(name: str) -> str:
    return KINDS[name].takes if name in KINDS else IMAGES


def build(name: str, seed: int = 0) -> nn.Module:
    """The model of a name, the same for the same seed. Raises ValueError for a name of no model."""
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if library(name) == "timm":
            import timm

            try:
                return timm.create_model(name.removeprefix("timm:"), num_classes=CLASSES)
            except RuntimeError as error:
                raise ValueError(f"{name}: {error}") from error
        import transformers

        kind = KINDS[name]
        labels = {"num_labels": CLASSES} if kind.takes == IMAGES else {}
        config = getattr(transformers, f"{kind.family}Config")(**kind.options, **labels)
        return getattr(transformers, kind.family + kind.task)(config)


class Small(NamedTuple):
    """A model that is nothing beside those of the paper, and its input."""

    model: nn.Module
    x: Tensor


def smallest(name: str) -> Iterator[Small]:
    """Models that have a library imported, and the kernels of norms loaded."""
    layers = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.LayerNorm(32)
    yield Small(nn.Sequential(*layers), torch.randn(2, 3, 4, 4))
    if name == "timm":
        import timm

        small_model = timm.create_model("test_efficientnet", num_classes=2)
        yield Small(small_model, torch.randn(2, 3, 32, 32))
    else:
        import transformers

        small = dict.fromkeys(_TEXT, 8) | {"num_hidden_layers": 1, "num_attention_heads": 1}
        config = transformers.LlamaConfig(**small, num_key_value_heads=1)
        yield Small(transformers.LlamaForCausalLM(config), torch.zeros(1, 2, dtype=torch.long))


def batch(name: str, count: int, size: Size, last: bool = False, seed: int = 0) -> Tensor:
    """So many samples: images, float32, in C order or channels last, or texts."""
    generator = torch.Generator().manual_seed(seed)
    if takes(name) == TEXT:
        return torch.randint(0, WORDS, (count, size.words), generator=generator)
    x = torch.randn(count, 3, size.side, size.side, generator=generator)
    return x.contiguous(memory_format=torch.channels_last) if last else x


def output(model: nn.Module, x: Tensor) -> Tensor:
    y = model(x)
    return getattr(y, "logits", y)


def loss_of(model: nn.Module, x: Tensor) -> Tensor:
    """Cross entropy against labels that are as good as any."""
    y = output(model, x)
    y = y.reshape(-1, y.shape[-1])
    return functional.cross_entropy(y, torch.arange(len(y)) % y.shape[-1])


def step_of(model: nn.Module, x: Tensor, lr: float = 1e-3) -> Callable[[], float]:
    """A function that takes a whole step of training, and gives the loss."""
    optimizer = torch.optim.SGD(model.parameters(), lr, momentum=0.9)

    def step() -> float:
        torch.manual_seed(0)  # every model drops the same
        loss = loss_of(model, x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def inference_of(model: nn.Module, x: Tensor) -> Callable[[], Tensor]:
    def infer() -> Tensor:
        with torch.inference_mode():
            return output(model, x)

    return infer
