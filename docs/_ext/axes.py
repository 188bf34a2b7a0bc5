"""The picture of which axes each norm averages over, found out by calling each (`survey`).

Run by itself it writes the picture that README.md shows:

    python docs/_ext/axes.py docs/pictures/axes.png
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import survey
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

PLAIN, REACHED, CHANGED = "#E8E8E8", "#0072B2", "#D55E00"
LETTERS = 10
SHORT = (
    "BatchNorm",
    "LayerNorm",
    "InstanceNorm",
    "GroupNorm",
    "GhostBatchNorm",
    "LocalResponseNorm",
)


def panel(ax: Axes, name: str, title: str, training: bool = True) -> None:
    """Rows are samples, columns are channels with their places; blue is what the orange one
    moves."""
    moves = survey.reach(name, training)
    n, c, place = survey.PLACE
    cells = np.zeros((survey.N, survey.C, survey.L))
    if moves is not None:
        cells[moves] = 1
        cells[n, c, place] = 2
    ax.pcolormesh(
        cells.reshape(survey.N, -1), cmap=ListedColormap([PLAIN, REACHED, CHANGED]), vmin=0, vmax=2
    )
    for column in range(0, survey.C * survey.L + 1, survey.L):
        ax.axvline(column, color="white", linewidth=3)
    for row in range(survey.N + 1):
        ax.axhline(row, color="white", linewidth=3)
    ax.set_title(title, fontsize=LETTERS, loc="left")
    ax.set(xticks=[], yticks=[], ylim=(survey.N, 0))
    for spine in ax.spines.values():
        spine.set_visible(False)


def draw(names: Sequence[str], columns: int = 2) -> Figure:
    """A panel for each family of these names, in training."""
    found = {family.name: family for family in survey.families()}
    chosen = [found[name] for name in names]
    rows = -(-len(chosen) // columns)
    figure = Figure(figsize=(3.9 * columns, 0.95 * rows + 0.55), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ax, family in zip(panels, chosen, strict=False):
        panel(ax, family.members[0], family.name)
    for ax in panels[len(chosen) :]:
        ax.remove()
    figure.supylabel("samples", fontsize=LETTERS)
    figure.supxlabel("channels, each with its places", fontsize=LETTERS)
    return figure


if __name__ == "__main__":
    draw(SHORT).savefig(sys.argv[1])
