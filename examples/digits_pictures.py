"""Pictures of `digits.py`: loss curves, percentiles of a hidden unit's input, learning rates.

Drawn on `Figure` objects, not through pyplot: that keeps no global state and needs no display.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from digits_report import GUESS, Runs, drifts, mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from digits import History
    from digits_config import Config, Setting

# Okabe and Ito's colours, which the colour-blind can tell apart; the dashes help in grey.
LINES = {False: {"color": "#D55E00", "linestyle": "--"}, True: {"color": "#0072B2"}}
STYLE = {
    "axes.grid": True, "axes.spines.right": False, "axes.spines.top": False, "axes.titlesize": 10,
    "figure.constrained_layout.use": True, "figure.dpi": 150, "font.size": 9, "grid.alpha": 0.3,
    "legend.frameon": False,
}  # fmt: skip


def draw(config: Config, results: dict[Setting, History], folder: Path) -> list[Path]:
    """Write the three pictures and return their paths."""
    runs = Runs(config, results)
    paths = []
    with matplotlib.rc_context(STYLE):
        for name, picture in [
            ("loss-curves", loss_curves),
            ("percentiles", percentiles),
            ("learning-rates", learning_rates),
        ]:
            paths.append(folder / f"{name}.png")
            FigureCanvasAgg(picture(runs)).print_png(paths[-1])
    return paths


def loss_curves(runs: Runs) -> Figure:
    """Training loss by epoch, a panel for each learning rate: mean and range of the seeds."""
    config = runs.config
    columns = min(4, len(config.learning_rates))
    rows = math.ceil(len(config.learning_rates) / columns)
    figure = Figure(figsize=(max(4.5, 2.4 * columns + 0.6), 2.3 * rows + 0.7))
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat
    epochs = np.arange(1, config.epochs + 1)
    for panel, rate in zip(panels, config.learning_rates, strict=False):
        for norm in (False, True):
            losses = np.array([runs.loss(history) for history in runs.at(norm, rate)])
            panel.plot(epochs, mean(losses), label=runs.label(norm), **LINES[norm])
            panel.fill_between(
                epochs,
                losses.min(axis=0),
                losses.max(axis=0),
                alpha=0.2,
                linewidth=0,
                color=LINES[norm]["color"],
            )
        panel.axhline(GUESS, color="0.5", linewidth=0.8, linestyle=":")
        panel.set(title=f"learning rate {rate:g}", yscale="log", xlim=(0, config.epochs + 0.5))
    for panel in panels[len(config.learning_rates) - columns : len(config.learning_rates)]:
        panel.tick_params(labelbottom=True)  # also where no panel stands below
    for panel in panels[len(config.learning_rates) :]:
        panel.remove()
    mark_guessing(panels[columns - 1], GUESS)
    figure.supxlabel(f"epoch (batch size {config.batch_size}; mean and range of the seeds)")
    figure.supylabel("training loss (cross-entropy)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def percentiles(runs: Runs) -> Figure:
    """What a typical unit of the last hidden layer is fed, over training; one seed.

    Typical is the unit whose drift is the median of its layer's.
    """
    figure = Figure(figsize=(7.2, 3.2))
    for panel, norm in zip(figure.subplots(1, 2, sharey=True), (False, True), strict=True):
        history = runs.at(norm)[0]
        drift = drifts(history)[0]
        unit = np.argsort(drift)[len(drift) // 2]
        low, median, high = np.array(history.percentiles)[:, :, unit].T
        color = LINES[norm]["color"]
        panel.fill_between(history.steps, low, high, alpha=0.2, linewidth=0, color=color)
        panel.plot(history.steps, median, color=color)
        for edge in (low, high):
            panel.plot(history.steps, edge, color=color, linewidth=0.7)
        panel.set(title=f"{runs.label(norm)} (unit {unit})", xlabel="training step")
        for values, name in zip((low, median, high), ("15 %", "50 %", "85 %"), strict=True):
            panel.annotate(
                name,
                (history.steps[-1], values[-1]),
                (3, 0),
                va="center",
                textcoords="offset points",
                annotation_clip=False,
            )
    figure.axes[0].set_ylabel("input of the sigmoid")
    figure.suptitle(
        "Percentiles of what a typical unit of the last hidden layer is fed "
        f"(learning rate {runs.config.learning_rate:g}, "
        f"batch size {runs.config.batch_size})",
        size="medium",
    )
    return figure


def learning_rates(runs: Runs) -> Figure:
    """Test accuracy at the end by learning rate, a panel for each batch size."""
    config = runs.config
    figure = Figure(figsize=(max(4.5, 2.8 * len(config.batch_sizes) + 0.9), 3.2))
    panels = figure.subplots(1, len(config.batch_sizes), sharey=True, squeeze=False)[0]
    for panel, size in zip(panels, config.batch_sizes, strict=True):
        for norm, marker in ((False, "s"), (True, "o")):
            finals = 100 * np.array(
                [
                    [runs.final(history) for history in runs.at(norm, rate, size)]
                    for rate in config.learning_rates
                ]
            )  # (rates, seeds)
            panel.plot(
                config.learning_rates,
                finals.mean(axis=1),
                marker=marker,
                markersize=4,
                label=runs.label(norm),
                **LINES[norm],
            )
            panel.plot(
                config.learning_rates,
                finals,
                marker,
                markersize=2.5,
                alpha=0.5,
                linestyle="none",
                color=LINES[norm]["color"],
            )
        panel.axhline(10, color="0.5", linewidth=0.8, linestyle=":")
        panel.set(title=f"batch size {size}", xscale="log", ylim=(-3, 103))
        panel.set_xticks(config.learning_rates, [f"{rate:g}" for rate in config.learning_rates])
        panel.minorticks_off()
    mark_guessing(panels[-1], 10)
    panels[0].set_ylabel(f"test accuracy after {config.epochs} epochs (%)")
    figure.supxlabel("learning rate")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def mark_guessing(panel: Axes, value: float) -> None:
    """Name the dotted line to the right of the panel, where no curve can cross the word."""
    panel.annotate(
        "guessing", (1.02, value), xycoords=("axes fraction", "data"), color="0.4", va="center"
    )
