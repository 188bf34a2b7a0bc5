"""Train a deep sigmoid network on handwritten digits, with and without normalization layers.

The network is that of Ioffe and Szegedy (2015), section 4.1: fully connected layers of 100
sigmoid units, here on scikit-learn's digits (1,797 images of 8x8 pixels, nothing to download).
`digits.toml` says what the norm layer is and what is varied. Linear layer, sigmoid, loss and SGD
are a few lines of NumPy; everything that normalizes is cybn. Beside this file, `digits_config.py`
reads the config, `digits_runs.py` and `digits_claims.py` make figures of the runs, and
`digits_report.py` and `digits_pictures.py` show them.

Rejected: ReLU and Adam, which hide most of what normalization does; and a validation set, which
would leave few of the 1,797 images, so learning rates are compared by their training loss.
"""

from __future__ import annotations

import argparse
import copy
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, NoReturn

try:
    import numpy as np
    from sklearn.datasets import load_digits
    from threadpoolctl import threadpool_limits
    from tqdm import tqdm

    import cybn
    from digits_config import TRAIN_IMAGES, Config, Setting, UsageError, read_config, with_options
    from digits_pictures import draw
    from digits_report import report
except ImportError as missing:
    raise SystemExit(
        f'digits.py: error: cannot import {missing.name}; run: pip install ".[examples]"'
    ) from None

CLASSES = 10
PERCENTILES = (15, 50, 85)
PROBES = 100  # how often the hidden units' inputs are looked at during one run


class Digits(NamedTuple):
    """The images, scaled, as (N, 64) float32, and their classes as (N,) integers."""

    x: np.ndarray
    labels: np.ndarray
    test_x: np.ndarray
    test_labels: np.ndarray


def load_data() -> Digits:
    """Split the digits always in the same way, and scale them by the training images."""
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    images = pixels[order].reshape(len(labels), 1, 8, 8)  # (N, C, H, W); grey: one channel
    images = normalize(images, images[:TRAIN_IMAGES]).reshape(len(labels), -1).astype(np.float32)
    labels = labels[order]
    return Digits(
        images[:TRAIN_IMAGES], labels[:TRAIN_IMAGES], images[TRAIN_IMAGES:], labels[TRAIN_IMAGES:]
    )


def normalize(images: np.ndarray, train_images: np.ndarray) -> np.ndarray:
    """Feature scaling: every channel by the mean and standard deviation of the training images."""
    mean = train_images.mean(axis=(0, 2, 3), keepdims=True)
    std = train_images.std(axis=(0, 2, 3), keepdims=True)
    return (images - mean) / std


class Linear:
    """y = x @ weight + bias, with x as (N, fan_in)."""

    def __init__(self, rng: np.random.Generator, fan_in: int, fan_out: int, scale: float):
        std = scale / math.sqrt(fan_in)
        self.weight = rng.normal(0, std, (fan_in, fan_out)).astype(np.float32)
        self.bias = np.zeros(fan_out, np.float32)

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.x = x
        return x @ self.weight + self.bias

    def backward(self, dy: np.ndarray) -> np.ndarray:
        self.grads = {"weight": self.x.T @ dy, "bias": dy.sum(axis=0)}
        return dy @ self.weight.T


class Sigmoid:
    """y = 1 / (1 + exp(-x)), written with tanh, which does not overflow."""

    grads: ClassVar[dict[str, np.ndarray]] = {}  # nothing to learn

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.y = 0.5 * np.tanh(0.5 * x) + 0.5
        return self.y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return dy * self.y * (1 - self.y)


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean loss of softmax(logits), and its gradient by the logits, both (N, CLASSES)."""
    rows = np.arange(len(labels))
    log_p = logits - logits.max(axis=1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(axis=1, keepdims=True))
    dlogits = np.exp(log_p)
    dlogits[rows, labels] -= 1
    return float(-log_p[rows, labels].mean()), dlogits / len(labels)


class Network:
    """Linear, norm and sigmoid for each hidden width (no norm if it is None), then Linear."""

    def __init__(self, widths: Sequence[int], norm: dict[str, Any] | None, scale: float, seed: int):
        rng = np.random.default_rng(seed)  # the same weights with and without norm
        self.layers: list[Any] = []
        self.norms = []
        for fan_in, width in pairwise(widths[:-1]):
            self.layers.append(Linear(rng, fan_in, width, scale))  # a batch norm idles its bias
            if norm is not None:
                self.norms.append(cybn.create(norm, num_features=width))
                self.layers.append(self.norms[-1])
            self.layers.append(Sigmoid())
        self.layers.append(Linear(rng, widths[-2], widths[-1], scale))

    def forward(self, x: np.ndarray) -> np.ndarray:
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def train_step(self, x: np.ndarray, labels: np.ndarray, learning_rate: float) -> float:
        """One step of plain SGD; returns the loss before it."""
        loss, dy = cross_entropy(self.forward(x), labels)
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        for layer in self.layers:
            for name, grad in layer.grads.items():
                parameter = getattr(layer, name)
                parameter -= learning_rate * grad  # in place
        return loss

    def accuracy(self, x: np.ndarray, labels: np.ndarray) -> float:
        """Share of the images classified rightly, with the running statistics."""
        for norm in self.norms:
            norm.eval()
        hits = self.forward(x).argmax(axis=1) == labels
        for norm in self.norms:
            norm.train()
        return float(hits.mean())

    def last_inputs(self, x: np.ndarray) -> np.ndarray:
        """Percentiles over the images of what the last hidden sigmoids are fed, (3, width)."""
        for layer in copy.deepcopy(self.layers[:-2]):  # leaves the running statistics alone
            x = layer.forward(x)
        return np.percentile(x, PERCENTILES, axis=0)


@dataclass
class History:
    """What one run left behind; shorter than `epochs` where the loss became NaN or infinite."""

    loss: list[float] = field(default_factory=list)  # mean training loss of each epoch
    accuracy: list[float] = field(default_factory=list)  # test accuracy after each epoch
    steps: list[int] = field(default_factory=list)  # at which the percentiles were taken
    percentiles: list[np.ndarray] = field(default_factory=list)  # each (3, units)


def batches(rng: np.random.Generator, images: int, size: int) -> Iterator[np.ndarray]:
    """Rows of one epoch's mini-batches; a last, smaller one is left out, as is usual."""
    order = rng.permutation(images)
    for start in range(0, images - size + 1, size):
        yield order[start : start + size]


def train(setting: Setting, config: Config, data: Digits) -> History:
    """Train one network and keep its history; a run ends early when its loss is not finite."""
    widths = [data.x.shape[1], *config.widths, CLASSES]
    norm = config.norm if setting.norm else None
    network = Network(widths, norm, setting.init_scale, setting.seed)
    rng = np.random.default_rng(setting.seed)
    steps = config.epochs * (len(data.x) // setting.batch_size)
    probe_every = max(1, steps // PROBES) if setting[:3] == config.reference else steps + 1
    history, step = History(), 0
    with np.errstate(all="ignore"):  # divergence is a result here, not a mishap
        for _ in range(config.epochs):
            losses = []
            for rows in batches(rng, len(data.x), setting.batch_size):
                if step % probe_every == 0:
                    history.steps.append(step)
                    history.percentiles.append(network.last_inputs(data.x))
                losses.append(
                    network.train_step(data.x[rows], data.labels[rows], setting.learning_rate)
                )
                step += 1
                if not math.isfinite(losses[-1]):
                    return history
            history.loss.append(float(np.mean(losses)))
            history.accuracy.append(network.accuracy(data.test_x, data.test_labels))
    return history


def try_norm(config: Config, path: Path, data: Digits) -> None:
    """Build and take one step, so that an unfit [norm] is told before anything is trained."""
    try:
        cybn.load_config(path, section="norm", num_features=config.widths[0])
    except (LookupError, TypeError, ValueError) as error:
        raise UsageError(str(error)) from None  # which names the file and the section
    try:
        network = Network([data.x.shape[1], *config.widths, CLASSES], config.norm, 1.0, seed=0)
        network.train_step(data.x[:32], data.labels[:32], learning_rate=0.0)
    except (LookupError, TypeError, ValueError) as error:
        raise UsageError(f"{path}: [norm] {error}") from None


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (--help shows the options)\n")


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser(
        prog="digits.py",
        description="Train sigmoid networks on handwritten digits, "
        "with and without normalization layers, and report the difference.",
    )
    parser.add_argument(
        "--config",
        type=Path,
        default=Path(__file__).with_name("digits.toml"),
        metavar="FILE",
        help="the experiment (default: the digits.toml beside this file)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("digits-out"),
        metavar="DIR",
        help="where the pictures go (default: %(default)s)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a short run of some seconds: [quick] of the config file",
    )
    parser.add_argument("--epochs", type=int, metavar="N", help="instead of the config file's")
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        metavar="N",
        help="seeds, one run each, instead of the config file's",
    )
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace) -> None:
    """Read, train, report, draw."""
    start = time.perf_counter()
    config = with_options(
        read_config(arguments.config, arguments.quick),
        epochs=arguments.epochs,
        seeds=arguments.seeds,
    )
    data = load_data()
    try_norm(config, arguments.config, data)
    arguments.out.mkdir(parents=True, exist_ok=True)  # before the work, in case it fails
    progress = tqdm(config.settings(), unit="run", disable=None)  # None: quiet without a terminal
    with threadpool_limits(1):  # arrays this small lose by being shared out
        results = {setting: train(setting, config, data) for setting in progress}
    print(report(config, results))
    pictures = draw(config, results, arguments.out)
    print(
        f"{len(results)} runs in {time.perf_counter() - start:.0f} s; pictures:",
        *pictures,
        sep="\n  ",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; 0 if all went well, 2 for a bad config, option or folder."""
    try:
        run(parse_arguments(argv))
    except (UsageError, OSError) as error:
        print(f"digits.py: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
