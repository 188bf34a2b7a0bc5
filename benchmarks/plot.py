"""A picture of batch norm: the fraction of the limit that contenders reach, for a few shapes.

It is to be read at the width of a page, so it shows six shapes by name and four contenders, on the
most threads that were measured; the tables have the others. Where there is no bar, words say why.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from .cases import LAYOUTS, MODES, Case
from .report import MODE_TITLES
from .results import LIMIT, Results, threads_text

SHOWN = 6
#: the contenders that are shown, with colours that can be told apart by everyone (Okabe and Ito)
BARS = {
    "cybn-out": ("cybn", "#0072B2"),
    "onednn-blocked": ("oneDNN, own layout", "#4D4D4D"),
    "torch": ("PyTorch", "#D55E00"),
    "numpy": ("NumPy", "#009E73"),
}
#: those to be shown where they were measured; else the largest
WANTED = ["32x64x112x112", "32x512x28x28", "32x512x7x7", "100x16x784", "32x512x28x28*",
          "32x512x7x7*"]  # fmt: skip
LEAST_BYTES = 1 << 20  # below this, what is timed is the call
LETTERS, SMALL_LETTERS = 17, 13
HIGHEST, ROOM = 1.35, 0.22  # the axis, and what the figure over a bar takes; higher bars are cut


class PlotError(RuntimeError):
    """Nothing to plot, or nothing to plot with."""


def check_installed() -> None:
    """Raises PlotError; to be called before a long run, too."""
    if find_spec("matplotlib") is None:
        raise PlotError("--plot needs matplotlib: pip install matplotlib")


def plot(results: Results, path: Path) -> None:
    """Write the picture. Raises PlotError and OSError."""
    check_installed()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    cases = [c for c in results.cases if c.norm == "batch" and c.nbytes >= LEAST_BYTES]
    cases = [c for c in cases if c.dtype == cases[0].dtype and not c.cached]
    names = [name for name in BARS if name in results.contenders(cases)]
    if not names:
        raise PlotError(f"--plot: no batch norm above 1 MiB was measured of {', '.join(BARS)}")
    labels = list(dict.fromkeys(c.label for c in sorted(cases, key=lambda c: -c.nbytes)))
    labels = sorted(labels, key=lambda label: label not in WANTED)[:SHOWN]
    labels.sort(key=lambda label: "*" in label)
    threads = results.threads[-1]
    modes = [mode for mode in MODES if any(case.mode == mode for case in cases)]
    figure = Figure(figsize=(12, 1.6 + 3.7 * len(modes)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(modes), 1, squeeze=False, sharex=True)[:, 0]
    for mode, ax in zip(modes, axes, strict=True):
        ax.set_title(f"{MODE_TITLES[mode]}, {threads_text(threads)}", loc="left", fontsize=LETTERS)
        ax.set_ylabel("of the limit", fontsize=LETTERS)
        found = {case.label: case for case in cases if case.mode == mode}
        _panel(ax, results, [found.get(label) for label in labels], threads, names)
    axes[-1].set_xticks(range(len(labels)), [_in_lines(each) for each in labels],
                        fontsize=SMALL_LETTERS + 2)  # fmt: skip
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", frameon=False, ncols=4, fontsize=LETTERS)
    absent = [f"{BARS[name][0]} is absent: {why}" for name, why in results.left_out.items()
              if name in BARS]  # fmt: skip
    if absent:
        figure.supxlabel("\n".join(absent), fontsize=SMALL_LETTERS)
    figure.savefig(path, dpi=80)


def _in_lines(label: str) -> str:
    """A shape in two lines: its sides, and where the channels lie."""
    return f"{label.rstrip('*')}\nchannels {LAYOUTS[label.endswith('*')]}"


def _panel(ax, results: Results, cases: list[Case | None], threads: int, names: list[str]) -> None:
    width = 0.84 / len(names)
    for k, name in enumerate(names):
        at = [j - 0.42 + (k + 0.5) * width for j in range(len(cases))]
        got = [case and results.ratio(case, threads, name, LIMIT) for case in cases]
        title, colour = BARS[name]
        heights = [min(value or 0, HIGHEST - ROOM) for value in got]
        ax.bar(at, heights, width, color=colour, label=title)
        for place, height, value, case in zip(at, heights, got, cases, strict=True):
            absent = "does not do it" if _never(results, case, name) else "not measured"
            word = absent if value is None else f"{value:.2f}"
            ax.text(place, height + 0.03, word, ha="center", va="bottom", rotation=90, color=colour,
                    fontsize=SMALL_LETTERS)  # fmt: skip
    ax.axhline(1, color="black", linewidth=1)
    ax.set_xlim(-0.5, len(cases) - 0.5)
    ax.set_ylim(0, HIGHEST)
    ax.set_yticks([0, 0.5, 1], ["0", "0.5", "1"], fontsize=LETTERS)
    ax.grid(axis="y", color="0.88")
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def _never(results: Results, case: Case | None, name: str) -> bool:
    """Whether a contender that takes part elsewhere in the layout and mode is in none of them."""
    if case is None:
        return False
    alike = [c for c in results.cases if (c.layout, c.mode) == (case.layout, case.mode)]
    return name not in results.contenders(alike)
