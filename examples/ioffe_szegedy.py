"""Figure 1 of Ioffe and Szegedy (2015), over again: what batch normalization does to sigmoids.

The paper trains three fully connected layers of 100 sigmoid units on MNIST, with and without batch
normalization, for 50,000 steps of 60 images, with first weights that are small Gaussian random
numbers, and shows (a) test accuracy over steps, (b, c) the 15th, 50th and 85th percentile of what
one typical sigmoid of the last hidden layer is fed. Here are the same network, batch size and
percentiles on scikit-learn's digits, 1,797 images of 8x8 pixels, which need not be downloaded. The
paper names neither its learning rate nor the size of its weights; both are options here.

    pip install ".[examples]" && python examples/ioffe_szegedy.py

Layers, loss and data are those of `digits.py`. Rejected: one seed, as in the paper, since a single
run says little about which of two curves is higher.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

try:
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from threadpoolctl import threadpool_limits

    from digits import CLASSES, Digits, Network, batches, load_data
except ImportError as missing:
    raise SystemExit(
        f'ioffe_szegedy.py: error: cannot import {missing.name}; run: pip install ".[examples]"'
    ) from None

WIDTHS, BATCH = (100, 100, 100), 60  # the paper's
NORM = {"type": "BatchNorm1d"}
COLOURS = {"without": "#D55E00", "with": "#0072B2"}


class Curves(NamedTuple):
    """What one training leaves behind: by step, test accuracy and percentiles (15, 50, 85)."""

    steps: np.ndarray  # (K,)
    accuracy: np.ndarray  # (K,)
    percentiles: np.ndarray  # (K, 3, units)


class Setting(NamedTuple):
    """What the paper leaves open, and how long to train."""

    steps: int = 6000
    rate: float = 0.5
    scale: float = 1.0  # first weights are N(0, scale²/fan_in)
    looks: int = 120


def train(data: Digits, norm: dict[str, Any] | None, seed: int, setting: Setting) -> Curves:
    """Train once; accuracy is that of evaluation, percentiles are over all training images."""
    network = Network([data.x.shape[1], *WIDTHS, CLASSES], norm, setting.scale, seed)
    rng = np.random.default_rng(seed)
    every = max(1, setting.steps // setting.looks)
    looked, step = [], 0
    while step < setting.steps:
        for rows in batches(rng, len(data.x), BATCH):
            if step % every == 0:
                accuracy = network.accuracy(data.test_x, data.test_labels)
                looked.append((step, accuracy, network.last_inputs(data.x)))
            network.train_step(data.x[rows], data.labels[rows], setting.rate)
            step += 1
            if step == setting.steps:
                break
    return Curves(*map(np.array, zip(*looked, strict=True)))


def typical(curves: Curves) -> int:
    """The unit whose median wanders as far as the median unit's does."""
    wander = np.ptp(curves.percentiles[:, 1], axis=0)
    return int(np.argsort(wander)[len(wander) // 2])


def findings(runs: dict[str, list[Curves]]) -> list[tuple[str, str, bool]]:
    """What the paper says of its figure, what was measured here, and whether the two agree."""
    curves = {name: np.mean([run.accuracy for run in each], axis=0) for name, each in runs.items()}
    steps = runs["with"][0].steps
    goal = 0.9
    first = {name: next((int(s) for s, a in zip(steps, each, strict=True) if a >= goal), None)
             for name, each in curves.items()}  # fmt: skip
    last = {name: float(each[-1]) for name, each in curves.items()}
    best = {name: float(each.max()) for name, each in curves.items()}
    wander = {name: _wander(each) for name, each in runs.items()}
    fall = {
        name: float(np.mean([_fall(run.accuracy) for run in each])) for name, each in runs.items()
    }
    told = {name: "never" if at is None else f"{at:,}" for name, at in first.items()}
    faster = first["with"] is not None and (
        first["without"] is None or first["with"] < first["without"]
    )
    return [
        ("trains faster: fewer steps to 90 % of the test images",
         f"{told['with']} with, {told['without']} without", faster),
        ("higher test accuracy at the end",
         f"{last['with']:.1%} with, {last['without']:.1%} without", last["with"] > last["without"]),
        ("higher test accuracy at its best",
         f"{best['with']:.1%} with, {best['without']:.1%} without", best["with"] > best["without"]),
        ("inputs of a sigmoid are more stable: the median of a typical unit wanders less, in "
         "widths of its 15 to 85 % band",
         f"{wander['with']:.2f} with, {wander['without']:.2f} without",
         wander["with"] < wander["without"]),
        ("its test accuracy falls back no further below the best so far, once above 90 %",
         f"by {fall['with']:.1%} with, {fall['without']:.1%} without",
         fall["with"] <= fall["without"]),
    ]  # fmt: skip


def _wander(runs: list[Curves]) -> float:
    """Range of the median over training, in mean widths of the band; median of units and runs."""
    ratios = []
    for run in runs:
        low, middle, high = run.percentiles.transpose(1, 0, 2)  # each (K, units)
        ratios.append(np.ptp(middle, axis=0) / (high - low).mean(axis=0))
    return float(np.median(ratios))


def _fall(accuracy: np.ndarray) -> float:
    """How far accuracy falls below the best before it, where that is above 90 %."""
    best = np.maximum.accumulate(accuracy)
    return float(np.max((best - accuracy)[best >= 0.9], initial=0.0))


def draw(runs: dict[str, list[Curves]], setting: Setting) -> Figure:
    """Three panels as in the paper: accuracy, and what one sigmoid is fed without and with."""
    figure = Figure(figsize=(9, 3.3), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    left, *others = figure.subplots(1, 3, width_ratios=(1.2, 1, 1))
    for name, each in runs.items():
        accuracy = np.array([run.accuracy for run in each])
        style = {"color": COLOURS[name], "linestyle": "--" if name == "without" else "-"}
        left.plot(each[0].steps, 1 - accuracy.mean(0), label=f"{name} batch norm", **style)
        left.fill_between(each[0].steps, 1 - accuracy.min(0), 1 - accuracy.max(0),
                          color=COLOURS[name], alpha=0.2, linewidth=0)  # fmt: skip
    left.set(title="(a) test error", xlabel="step", yscale="log", ylim=(0.002, 1.1))
    left.set_yticks([0.003, 0.01, 0.03, 0.1, 0.3, 1],
                    ["0.3 %", "1 %", "3 %", "10 %", "30 %", "100 %"])  # fmt: skip
    left.minorticks_off()
    left.legend(frameon=False)
    for letter, panel, (name, each) in zip("bc", others, runs.items(), strict=True):
        low, middle, high = each[0].percentiles[:, :, typical(each[0])].T
        panel.plot(each[0].steps, middle, color=COLOURS[name])
        panel.fill_between(each[0].steps, low, high, color=COLOURS[name], alpha=0.2, linewidth=0)
        panel.set(title=f"({letter}) fed, {name} batch norm", xlabel="step")
    others[1].sharey(others[0])
    others[0].autoscale()
    for panel in (left, *others):
        panel.grid(alpha=0.3)
    figure.suptitle(
        f"{len(runs['with'])} seeds; batches of {BATCH}, learning rate {setting.rate:g}, first "
        f"weights N(0, {setting.scale:g}²/fan-in); bands: range of seeds (a), 15 to 85 % (b, c)",
        size="small",
    )
    return figure


def report(found: list[tuple[str, str, bool]]) -> str:
    """The findings, in lines of 79 letters."""
    wrapper = textwrap.TextWrapper(79, subsequent_indent=" " * 9)
    return "\n".join(
        wrapper.fill(f"{'agrees' if agrees else 'DIFFERS':8} {claim}: {measured}")
        for claim, measured, agrees in found
    )


def compare(seeds: Sequence[int], setting: Setting) -> dict[str, list[Curves]]:
    """All trainings; two of one seed start from the same weights and see the same batches."""
    data = load_data()
    with threadpool_limits(1):  # arrays this small lose by being shared out
        return {
            name: [train(data, norm, seed, setting) for seed in seeds]
            for name, norm in (("without", None), ("with", NORM))
        }


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        prog="ioffe_szegedy.py", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--out", type=Path, default=Path("digits-out"), metavar="DIR",
                        help="where the picture goes (default: %(default)s)")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="two seeds and few steps")
    parser.add_argument("--rate", type=float, default=Setting().rate, help="learning rate")
    parser.add_argument("--scale", type=float, default=Setting().scale, help="of the first weights")
    arguments = parser.parse_args(argv)
    setting = Setting(rate=arguments.rate, scale=arguments.scale)
    if arguments.quick:
        setting = setting._replace(steps=300, looks=30)
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
        runs = compare(range(2 if arguments.quick else 5), setting)
        print(report(findings(runs)))
        path = arguments.out / "ioffe-szegedy.png"
        draw(runs, setting).savefig(path)
    except OSError as error:
        print(f"ioffe_szegedy.py: error: {error}", file=sys.stderr)
        return 2
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
