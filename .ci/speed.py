"""Writes the figures of docs/speed.md and README.md, and their picture, from a run of the
benchmarks.

    python -m benchmarks --quick --no-footprint --no-company --json run.json
    python .ci/speed.py run.json

Each figure is the geometric mean over the shapes of the run of how many times faster cybn is than
PyTorch, with the lowest beside it, so that what is slower is seen. The smallest calls are no part
of it.
"""

import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.cases import MODES, SMALLEST  # noqa: E402
from benchmarks.report import MODE_TITLES, NORM_TITLES  # noqa: E402
from benchmarks.results import Results, geometric_mean, threads_text  # noqa: E402

BEGIN, END = "<!-- Written by .ci/speed.py. -->\n", "<!-- The end of what it writes. -->\n"
PICTURE = ROOT / "docs" / "pictures" / "speed.png"
COLOURS = {"forward": "#0072B2", "backward": "#D55E00", "evaluation": "#009E73"}


class Figure(NamedTuple):
    """How many times as fast as PyTorch, over some shapes."""

    mean: float
    lowest: float

    def __str__(self) -> str:
        return f"{self.mean:.1f} ({self.lowest:.1f})"


def figures(results: Results) -> dict[str, dict[str, Figure]]:
    """By norm and mode, on the most threads that were measured."""
    found: dict[str, dict[str, Figure]] = {}
    for norm in NORM_TITLES:
        for mode in MODES:
            ratios = [
                results.ratio(case, results.threads[-1], "cybn", "torch")
                for case in results.cases
                if (case.norm, case.mode, case.dtype) == (norm, mode, "float32")
                and case.group != SMALLEST
            ]
            measured = [ratio for ratio in ratios if ratio]
            if measured:
                figure = Figure(geometric_mean(measured), min(measured))
                found.setdefault(norm, {})[mode] = figure
    return found


def table(results: Results) -> str:
    """In Markdown, with the machine and the command."""
    machine, modes = results.machine, [*COLOURS]
    lines = [
        "| times as fast as PyTorch: mean (lowest) | "
        + " | ".join(MODE_TITLES[m] for m in modes)
        + " |",
        "|---|" + "---|" * len(modes),
    ]
    for norm, row in figures(results).items():
        lines.append(
            f"| {NORM_TITLES[norm]} | " + " | ".join(str(row.get(m, "")) for m in modes) + " |"
        )
    versions = ", ".join(f"{name} {machine['versions'][name]}" for name in ("numpy", "torch"))
    quick = " --quick" if results.options.get("quick") else ""
    note = (
        f"float32, {threads_text(results.threads[-1])}, {machine['processor']}, {versions}; "
        f"the geometric mean over the shapes of `python -m benchmarks{quick}`, which prints each "
        "of them, and the lowest."
    )
    return "\n".join([*lines, "", note, ""])


def draw(results: Results) -> None:
    """Bars by norm and mode on a logarithmic axis, with a line where both are equally fast."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    found = figures(results)
    canvas = Canvas(figsize=(8, 0.62 * len(found) + 1.1), dpi=120, layout="constrained")
    FigureCanvasAgg(canvas)
    ax = canvas.subplots()
    for at, row in enumerate(found.values()):
        for k, (mode, colour) in enumerate(COLOURS.items()):
            if mode in row:
                y, mean = at + 0.27 * (k - 1), row[mode].mean
                ax.barh(
                    y, mean - 1, 0.25, left=1, color=colour, label=None if at else MODE_TITLES[mode]
                )
                ax.annotate(f"{mean:.1f}", (max(mean, 1), y), (3, 0), va="center", size=9,
                            textcoords="offset points", color=colour)  # fmt: skip
    ax.set_xscale("log")
    ax.set_yticks(
        range(len(found)), [NORM_TITLES[norm].replace(", and", ",\nand") for norm in found]
    )
    ax.invert_yaxis()
    ticks = [
        t
        for t in (0.5, 1, 2, 5, 10, 20, 50)
        if t <= 2.2 * max(f.mean for r in found.values() for f in r.values())
    ]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
    ax.axvline(1, color="black", linewidth=1)
    ax.set_xlabel(f"times as fast as PyTorch on its CPU ({threads_text(results.threads[-1])})")
    ax.grid(axis="x", alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)
    canvas.legend(loc="outside upper center", ncols=3, frameon=False)
    canvas.savefig(PICTURE)


def put(path: Path, text: str) -> None:
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin, f"{path} has no place for the figures: {BEGIN}"
    assert end, f"{path} has no end of the figures: {END}"
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def main(arguments: list[str]) -> int:
    (run,) = arguments
    results = Results.load(Path(run))
    for page in ("README.md", "docs/speed.md"):
        put(ROOT / page, table(results))
    draw(results)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
