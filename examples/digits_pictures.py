"""Pictures of `digits.py`: loss curves, percentiles of a hidden unit's input, learning rates.

Losses and errors are on logarithmic axes, where networks that all classify well can still be told
apart, and learning rates at which the norm layer loses are marked. Settings and seeds stand below.

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

from digits_claims import drifts
from digits_report import mean
from digits_runs import GUESS, Runs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from digits import History
    from digits_config import Config, Setting

# Okabe and Ito's colours, which the colour-blind can tell apart; the dashes help in grey.
LINES = {False: {"color": "#D55E00", "linestyle": "--"}, True: {"color": "#0072B2"}}
MARKERS = {False: "s", True: "o"}
LETTERS = 9  # points, of all text
STYLE = {
    "axes.grid": True, "axes.spines.right": False, "axes.spines.top": False,
    "figure.constrained_layout.use": True, "figure.dpi": 150, "grid.alpha": 0.3,
    "legend.frameon": False,
} | dict.fromkeys(
    ("font.size", "axes.titlesize", "axes.labelsize", "figure.titlesize", "figure.labelsize",
     "legend.fontsize", "legend.title_fontsize", "xtick.labelsize", "ytick.labelsize"), LETTERS
)  # fmt: skip
LEAST_ERROR = 0.1  # percent, half an image of the 500: where no error at all is drawn


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
    count = len(config.learning_rates)
    columns = min(4, count)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(max(4.5, 2.4 * columns + 0.6), 2.3 * rows + 0.9))
    panels = list(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat)
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
        guess = panel.axhline(GUESS, color="0.5", linewidth=0.8, linestyle=":")
        guess.set_label("guessing")
        panel.set(title=f"learning rate {rate:g}", yscale="log", xlim=(0, config.epochs + 0.5))
    for panel in panels[count - columns : count]:
        panel.tick_params(labelbottom=True)  # also where no panel stands below
    explain(figure, panels[0], panels[count:])
    figure.supxlabel(f"epoch\n{settings(runs)}, batch size {config.batch_size}; mean and range")
    figure.supylabel("training loss (cross-entropy)")
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
        panel.set(title=f"{runs.label(norm)} (unit {unit})")
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
    config = runs.config
    figure.suptitle("Percentiles of what a typical unit of the last hidden layer is fed")
    figure.supxlabel(
        f"training step\n{settings(runs, config.seeds[:1])}, batch size {config.batch_size}, "
        f"learning rate {config.learning_rate:g}"
    )
    return figure


def learning_rates(runs: Runs) -> Figure:
    """Test error at the end by learning rate, a panel for each batch size.

    Grey are the learning rates at which the mean is higher with the norm layer.
    """
    config = runs.config
    figure = Figure(figsize=(max(4.5, 2.8 * len(config.batch_sizes) + 0.6), 3.6))
    panels = figure.subplots(1, len(config.batch_sizes), sharey=True, squeeze=False)[0]
    places = range(len(config.learning_rates))
    for panel, size in zip(panels, config.batch_sizes, strict=True):
        means = {norm: _errors(panel, runs, size, norm) for norm in (False, True)}
        for place in places:
            if means[True][place] > means[False][place]:
                panel.axvspan(place - 0.5, place + 0.5, color="0.88", zorder=0, linewidth=0)
        panel.axhline(90, color="0.5", linewidth=0.8, linestyle=":", label="guessing")
        panel.set(title=f"batch size {size}", yscale="log", ylim=(LEAST_ERROR, 120),
                  xlim=(-0.5, places[-1] + 0.5))  # fmt: skip
        panel.set_xticks(places, [f"{rate:g}" for rate in config.learning_rates])
        panel.set_yticks([0.1, 1, 10, 100], ["0", "1", "10", "100"])
    panels[0].fill([], [], color="0.88", label=f"more errors with {config.norm['type']}")
    panels[0].set_ylabel(f"test error after {config.epochs} epochs (%)")
    explain(figure, panels[0])
    figure.supxlabel(f"learning rate\n{settings(runs)}; mean, and each seed")
    return figure


def _errors(panel: Axes, runs: Runs, size: int, norm: bool) -> np.ndarray:
    """Draw the errors with or without norm, of each seed and their mean, which is returned."""
    finals = [
        [runs.final(history) for history in runs.at(norm, rate, size)]
        for rate in runs.config.learning_rates
    ]
    errors = np.maximum(100 * (1 - np.array(finals)), LEAST_ERROR)  # (rates, seeds)
    means, look = errors.mean(axis=1), {"marker": MARKERS[norm], "color": LINES[norm]["color"]}
    panel.plot(means, marker=MARKERS[norm], markersize=4, label=runs.label(norm), **LINES[norm])
    panel.plot(errors, markersize=2.5, alpha=0.5, linestyle="none", **look)
    return means


def settings(runs: Runs, seeds: Sequence[int] | None = None) -> str:
    """What all runs of a picture have in common, in words."""
    config = runs.config
    seeds = config.seeds if seeds is None else seeds
    widths = "-".join(map(str, config.widths))
    many = "s" if len(seeds) > 1 else ""
    seeds = f"seed{many} {', '.join(map(str, seeds))}"
    return f"{widths} sigmoids, weight scale {config.init_scale:g}, {seeds}"


def explain(figure: Figure, panel: Axes, empty: Sequence[Axes] = ()) -> None:
    """The legend: in the first of the panels that are left over, else above."""
    told = panel.get_legend_handles_labels()
    if not empty:
        figure.legend(*told, loc="outside upper center", ncols=len(told[1]))
    for place in empty:
        place.set_axis_off()
    for place in empty[:1]:
        place.legend(*told, loc="center")
