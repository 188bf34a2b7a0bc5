"""Error of a variance, and of a normalized output, where the mean is large beside the deviation.

Draws the picture of docs/numerics.md and prints its table: relative errors of cybn, NumPy in
float32 and, where it is installed, PyTorch, against float64, whose own error is far below what is
measured.

    pip install ".[examples]" && python examples/numerics.py docs/pictures/errors.png
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import cybn

RATIOS = 10.0 ** np.arange(0, 7.5, 0.5)  # mean over standard deviation
SHAPE = (32, 8, 56, 56)  # m = 100,352 values for each of 8 channels
EPS = 1e-30  # next to nothing: what is measured is the variance


def by_cybn(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variance of each channel, and output."""
    y, stats = cybn.functional.batch_norm_forward(x, eps=EPS)
    return stats[1], y


def by_numpy(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As NumPy does it for float32: two passes with float32 sums."""
    var = x.var((0, 2, 3), keepdims=True)
    return var.ravel(), (x - x.mean((0, 2, 3), keepdims=True)) / np.sqrt(var + np.float32(EPS))


def by_squares(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean of the squares less the square of the mean, in float32."""
    mean = x.mean((0, 2, 3), keepdims=True)
    var = np.maximum((x * x).mean((0, 2, 3), keepdims=True) - mean * mean, 0)
    return var.ravel(), (x - mean) / np.sqrt(var + np.float32(EPS))


def by_torch(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """PyTorch's batch norm on its CPU, which saves 1/sqrt(var + eps)."""
    import torch

    y, _, rstd = torch.native_batch_norm(
        torch.from_numpy(x), None, None, None, None, True, 0.0, EPS
    )
    return 1 / rstd.numpy().astype(np.float64) ** 2, y.numpy()


def contenders() -> dict[str, tuple[Callable, str, str]]:
    """Who takes part: by name, how, with a colour and a marker."""
    found = {
        "cybn": (by_cybn, "#0072B2", "o"),
        "PyTorch": (by_torch, "#D55E00", "s"),
        "NumPy, float32": (by_numpy, "#009E73", "^"),
        "mean of squares - squared mean": (by_squares, "#6A6A6A", "x"),
    }
    try:
        import torch  # noqa: F401
    except ImportError:
        del found["PyTorch"]
    return found


def measure() -> dict[str, np.ndarray]:
    """Relative error of var and error of y, the largest of 8 channels: (2, ratios) for each."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, SHAPE)
    errors: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders()}
    for ratio in RATIOS:
        x = (noise + ratio).astype(np.float32)
        exact = x.astype(np.float64)  # what float32 holds is exact here
        mean, var = exact.mean((0, 2, 3)), exact.var((0, 2, 3))
        y = (exact - mean[:, None, None]) / np.sqrt(var)[:, None, None]
        for name, (compute, *_) in contenders().items():
            with np.errstate(all="ignore"):
                got_var, got_y = compute(x)
                off = float(np.max(np.abs(got_var / var - 1)))
                errors[name].append((off, float(np.max(np.abs(got_y - y)))))
    return {name: np.array(each).T for name, each in errors.items()}


def table(errors: dict[str, np.ndarray]) -> str:
    """Relative errors of the variance, in Markdown."""
    lines = ["| mean / std | " + " | ".join(errors) + " |", "|---|" + "---|" * len(errors)]
    for i, ratio in enumerate(RATIOS):
        if np.log10(ratio) % 1 == 0 and ratio >= 1:
            of_var = (f"{each[0, i]:.0e}" for each in errors.values())
            lines.append(f"| {ratio:,.0f} | {' | '.join(of_var)} |")
    return "\n".join(lines)


def draw(errors: dict[str, np.ndarray]) -> Figure:
    """Two panels: variance, and output."""
    figure = Figure(figsize=(9, 3.6), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2, sharey=True)
    for panel, row, title in zip(
        panels, (0, 1), ("relative error of the variance", "error of the output"), strict=True
    ):
        for name, (_, colour, marker) in contenders().items():
            values = np.maximum(errors[name][row], 1e-9)
            panel.plot(RATIOS, values, marker=marker, markersize=4, color=colour, label=name)
        panel.axhline(2.0**-24, color="0.5", linewidth=0.8, linestyle=":")
        panel.set(title=title, xlabel="mean / standard deviation", xscale="log", yscale="log",
                  ylim=(5e-10, 1e3))  # fmt: skip
        panel.grid(alpha=0.3)
    panels[0].annotate("2⁻²⁴", (1e6, 2.0**-24), (0, -11), textcoords="offset points", color="0.4")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4,
                  frameon=False)  # fmt: skip
    return figure


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table, write the picture."""
    (path,) = sys.argv[1:] if argv is None else argv
    errors = measure()
    print(table(errors))
    draw(errors).savefig(Path(path))
    return 0


if __name__ == "__main__":
    sys.exit(main())
