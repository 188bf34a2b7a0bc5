"""A picture of batch norm: the fraction of the limit that each contender reaches, by shape."""

from __future__ import annotations

from pathlib import Path

from .contenders import CONTENDERS
from .norms import MODES
from .report import MODE_TITLES, threads_text
from .results import Results
from .shapes import Case

LEAST_BYTES = 1 << 20  # below this, what is timed is the call
#: colours that can be told apart by everyone (Okabe and Ito), for those that do batch norm
COLOURS = [
    "#0072B2", "#56B4E9", "#D55E00", "#E69F00", "#CC79A7",
    "#F0E442", "#8C8C8C", "#4D4D4D", "#009E73",
]  # fmt: skip
STYLE = dict(zip([n for n in CONTENDERS if n != "cybn-unfused"], COLOURS, strict=True))


class PlotError(RuntimeError):
    """Nothing to plot, or nothing to plot with."""


def plot(results: Results, path: Path) -> None:
    """Write the picture. Raises PlotError and OSError."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise PlotError("--plot needs matplotlib: pip install matplotlib") from None
    shown = [c for c in results.cases if c.norm == "batch" and c.nbytes >= LEAST_BYTES]
    panels = [
        (mode, threads, _ordered(case for case in shown if case.mode == mode))
        for mode in MODES
        for threads in results.threads
        if any(case.mode == mode for case in shown)
    ]
    if not panels:
        raise PlotError("--plot: no batch norm above 1 MiB was measured")
    widest = max(len(cases) for *_, cases in panels)
    width = max(7.0, 1.6 + 0.062 * widest * (len(results.contenders) + 2))
    figure = Figure(figsize=(width, 0.6 + 2.7 * len(panels)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(panels), 1, squeeze=False, sharey=True)[:, 0]
    for ax, (mode, threads, cases) in zip(axes, panels, strict=True):
        _panel(ax, results, cases, threads)
        ax.set_title(f"{MODE_TITLES[mode]}, {threads_text(threads)}", loc="left", fontsize=10)
    handles = {}
    for ax in axes:
        found, labels = ax.get_legend_handles_labels()
        handles.update(zip(labels, found, strict=True))
    figure.legend(
        handles.values(), handles.keys(), loc="outside upper center", frameon=False,
        ncols=min(len(handles), int(width / 1.7)),
    )  # fmt: skip
    figure.savefig(path, dpi=130)


def _ordered(cases) -> list[Case]:
    """By layout and then by size, so that the last-level cache is one line across a panel."""
    return sorted(cases, key=lambda c: (c.layout, c.dtype, -c.nbytes))


def _panel(ax, results: Results, cases: list[Case], threads: int) -> None:
    names = [
        name
        for name in results.contenders
        if any(results.get(case, threads, name) for case in cases)
    ]
    width = 0.84 / max(1, len(names))
    for i, name in enumerate(names):
        fractions = [results.fraction(case, threads, name) or 0.0 for case in cases]
        at = [j - 0.42 + (i + 0.5) * width for j in range(len(cases))]
        ax.bar(at, fractions, width, color=STYLE[name], label=name)
    ax.axhline(1, color="black", linewidth=0.8)
    ax.set_ylabel("fraction of the limit")
    limits = [results.limit(case, threads) for case in cases]
    labels = [
        f"{case.label}\n{limit.speed / 1e9:.0f} GB/s" if limit else case.label
        for case, limit in zip(cases, limits, strict=True)
    ]
    ax.set_xticks(range(len(cases)), labels, fontsize=7)
    ax.tick_params("x", rotation=40)
    for label in ax.get_xticklabels():
        label.set(ha="right", rotation_mode="anchor")
    ax.set_xlim(-0.6, len(cases) - 0.4)
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1])
    ax.grid(axis="y", color="0.88", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
