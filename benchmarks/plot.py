"""A picture of batch norm: the fraction of the limit that contenders reach, for a few shapes.

It is to be read at the width of a page, so it shows six shapes by name and five contenders; the
tables have the others. A bar that is missing says so: nothing was measured there.
"""

from __future__ import annotations

from pathlib import Path

from .cases import MODES, Case
from .report import MODE_TITLES
from .results import LIMIT, Results, threads_text

SHOWN = 6
#: the contenders that are shown, and colours that can be told apart by everyone (Okabe and Ito)
COLOURS = {
    "cybn-out": "#0072B2", "torch": "#D55E00", "onednn-blocked": "#4D4D4D", "jax": "#CC79A7",
    "numpy": "#009E73",
}  # fmt: skip
#: those to be shown where they were measured; else the largest
WANTED = ["32x64x112x112", "32x256x56x56", "32x512x7x7", "100x16x784", "32x256x56x56*",
          "32x512x7x7*"]  # fmt: skip
LEAST_BYTES = 1 << 20  # below this, what is timed is the call
SIZE = 15  # of the letters


class PlotError(RuntimeError):
    """Nothing to plot, or nothing to plot with."""


def plot(results: Results, path: Path) -> None:
    """Write the picture. Raises PlotError and OSError."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise PlotError("--plot needs matplotlib: pip install matplotlib") from None
    cases = [c for c in results.cases if c.norm == "batch" and c.nbytes >= LEAST_BYTES]
    cases = [c for c in cases if c.dtype == cases[0].dtype]
    if not set(COLOURS) & set(results.contenders(cases)):
        raise PlotError(f"--plot: no batch norm above 1 MiB was measured of {', '.join(COLOURS)}")
    labels = list(dict.fromkeys(c.label for c in sorted(cases, key=lambda c: -c.nbytes)))
    labels = sorted(labels, key=lambda label: label not in WANTED)[:SHOWN]
    labels.sort(key=lambda label: "*" in label)
    chosen = [case for case in cases if case.label in labels]
    modes = [mode for mode in MODES if any(case.mode == mode for case in chosen)]
    names = [name for name in COLOURS if name in results.contenders(chosen)]
    rows, columns = len(modes), len(results.threads)
    figure = Figure(figsize=(max(8, 6.5 * columns), 1.4 + 3.1 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for mode, line in zip(modes, axes, strict=True):
        line[0].set_ylabel("of the limit", fontsize=SIZE)
        for threads, ax in zip(results.threads, line, strict=True):
            ax.set_title(f"{MODE_TITLES[mode]}, {threads_text(threads)}", loc="left", fontsize=SIZE)
            found = {case.label: case for case in chosen if case.mode == mode}
            _panel(ax, results, [found.get(label) for label in labels], threads, names)
            ax.set_xticks(range(len(labels)), labels, rotation=30, ha="right",
                          rotation_mode="anchor", fontsize=SIZE)  # fmt: skip
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", frameon=False, ncols=5, fontsize=SIZE)
    figure.supxlabel("A star: channels last. n: not measured, or not done.", fontsize=SIZE)
    figure.savefig(path, dpi=100)


def _panel(ax, results: Results, cases: list[Case | None], threads: int, names: list[str]) -> None:
    width = 0.84 / len(names)
    for k, name in enumerate(names):
        at = [j - 0.42 + (k + 0.5) * width for j in range(len(cases))]
        got = [case and results.ratio(case, threads, name, LIMIT) for case in cases]
        ax.bar(at, [value or 0 for value in got], width, color=COLOURS[name], label=name)
        for place, value in zip(at, got, strict=True):
            if value is None:
                ax.text(place, 0.02, "n", ha="center", color=COLOURS[name], fontsize=SIZE - 2)
    ax.axhline(1, color="black", linewidth=1)
    ax.set_xlim(-0.6, len(cases) - 0.4)
    ax.tick_params("y", labelsize=SIZE)
    ax.grid(axis="y", color="0.88")
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
