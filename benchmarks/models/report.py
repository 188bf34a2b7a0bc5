"""What a run says: tables of ratios, the goals and what misses them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from math import comb
from statistics import median
from typing import Any, NamedTuple

from ..report import number, table
from ..results import geometric_mean
from .steps import MODES, name_of, ratio, spread

#: models: the ratio of whole training steps that is wanted of their geometric mean
GOALS = {"resnet50": 1.10, "mobilenet_v2": 1.20, "llama": 1.05}
NOWHERE_BELOW = 1.00
LOSSES = 1e-8
CHANCE = 0.05
#: of PyTorch's: what peaks of two processes that do the same differ by
MEMORY = 1.01
MET = {True: "met", False: "MISSED", None: "not measured"}


class Verdict(NamedTuple):
    what: str
    wanted: str
    got: str
    met: bool | None
    misses: tuple[str, ...] = ()

    @property
    def cells(self) -> list[str]:
        return [self.what, self.wanted, self.got, MET[self.met]]


def verdicts(run: dict[str, Any]) -> Iterator[Verdict]:
    """All goals."""
    rows = run["rows"]
    memory = {name: each for name, each in run["memory"].items() if len(each) == 2}
    for model, wanted in GOALS.items():
        got = geometric_mean(
            ratio(row) for row in rows if (row["model"], row["mode"]) == (model, MODES[0])
        )
        met = None if got is None else got >= wanted
        yield Verdict(f"{model}, training, mean", f">= {wanted:.2f}", number(got), met)
    low = sorted((ratio(row), name_of(row)) for row in rows)
    misses = tuple(f"{name} {number(got)}" for got, name in low if got < NOWHERE_BELOW)
    yield Verdict("every ratio", f">= {NOWHERE_BELOW:.2f}", number(low[0][0]) if low else "-",
                  not misses if low else None, misses)  # fmt: skip
    yield _gradients(run["agreement"])
    for what, wanted, figures, most, text in (
        ("float64, losses of five steps apart", f"<= {LOSSES:.0e}",
         {name: _losses(each) for name, each in run["agreement"].items()}, LOSSES, "{:.1e}"),
        ("peak memory of training, of PyTorch's", f"<= {MEMORY:g}",
         {name: each["ours"] / each["theirs"] for name, each in memory.items()}, MEMORY,
         "{:.3f}"),
    ):  # fmt: skip
        misses = tuple(f"{name} {text.format(v)}" for name, v in figures.items() if v > most)
        worst = text.format(max(figures.values())) if figures else "-"
        yield Verdict(what, wanted, worst, not misses if figures else None, misses)


def _losses(apart: dict[str, Any]) -> float:
    """How far losses are from PyTorch's, or from those of long batch norms if that is nearer."""
    return min(each for each in (apart["losses"], apart["long"]) if each is not None)


def _gradients(agreement: dict[str, Any]) -> Verdict:
    """By memory order, the median over seeds beside PyTorch's.

    A larger one is a miss where chance does not make it: where a fair coin would say as seldom as
    `CHANCE` that the converted model is nearer to float64 in so few seeds.
    """
    ratios, misses = {}, []
    for model, each in agreement.items():
        for order, pairs in each["gradients"].items():
            name = f"{model}, channels {order}" if order else model
            theirs, ours = map(median, zip(*pairs, strict=True))
            ratios[name] = ours / theirs
            nearer = sum(b < a for a, b in pairs)
            if ours > theirs and at_most(nearer, len(pairs)) < CHANCE:
                misses.append(f"{name} {ours / theirs:.3f}, nearer in {nearer} of {len(pairs)}")
    worst = f"{max(ratios.values()):.3f}" if ratios else "-"
    what = "float32, distance of the gradient, of PyTorch's"
    return Verdict(what, "<= 1", worst, not misses if ratios else None, tuple(misses))


def at_most(heads: int, tosses: int) -> float:
    """The probability of so many heads or fewer."""
    return sum(comb(tosses, k) for k in range(heads + 1)) / 2**tosses


def whole(run: dict[str, Any], markdown: bool = False) -> str:
    """Everything, as the command prints it."""
    show = in_markdown if markdown else table
    known, parts = run["machine"], []
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    options = ", ".join(f"{name} {value}" for name, value in run["options"].items())
    left_out = [f"left out: {name}: {why}" for name, why in run["left_out"].items()]
    on = f"{known['processor']}, {known['cpus']} CPUs; Python {known['python']}, {versions}"
    parts.append("\n".join([on, options, *left_out]))
    if run["rows"]:
        parts.append(
            "How many times faster the converted model is, training / inference; +- half the range "
            "of\nthe middle half of the rounds, of the training step, in %."
        )
        parts.append(show(_ratios(run["rows"])))
    if run["agreement"]:
        parts.append(show(_agreement(run["agreement"])))
    if run["memory"]:
        parts.append(show(_memory(run["memory"])))
    found = list(verdicts(run))
    parts.append(show([["goal", "wanted", "got", ""], *(each.cells for each in found)]))
    parts += [f"misses of {each.what}: {'; '.join(each.misses)}" for each in found if each.misses]
    parts += [f"PROBLEM: {each}" for each in run["problems"]]
    return "\n\n".join(parts)


def _ratios(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    batches = sorted({row["batch"] for row in rows})
    lines = [["model", "channels", "threads", *(f"batch {n}" for n in batches), "ms of a step"]]

    def key(row):
        return row["model"], row["format"], row["threads"]

    for (model, layout, threads), group in groupby(rows, key):
        cells = {(row["batch"], row["mode"]): row for row in group}
        texts = []
        for n in batches:
            got = [cells.get((n, mode)) for mode in MODES]
            text = " / ".join(f"{ratio(row):.2f}" if row else "-" for row in got)
            texts.append(text + (f" +-{100 * spread(got[0]):.0f}" if got[0] else ""))
        steps = (cells.get((n, MODES[0])) for n in batches)
        taken = [number(1e3 * sorted(t for t, _ in row["pairs"])[len(row["pairs"]) // 2])
                 if row else "-" for row in steps]  # fmt: skip
        lines.append([model, layout or "-", str(threads), *texts, " ".join(taken)])
    return lines


def _agreement(found: dict[str, Any]) -> list[list[str]]:
    rows = [["model", "losses apart, float64", "PyTorch's of itself", "from long double: PyTorch's",
             "converted", "channels", "gradient apart, float32: PyTorch's", "converted",
             "nearer in"]]  # fmt: skip
    for name, each in found.items():
        apart = (each[which] for which in ("losses", "itself", "theirs_long", "long"))
        first = [name, *("-" if value is None else f"{value:.1e}" for value in apart)]
        for order, pairs in each["gradients"].items():
            theirs, ours = map(median, zip(*pairs, strict=True))
            nearer = f"{sum(b < a for a, b in pairs)} of {len(pairs)}"
            rows.append([*first, order or "-", f"{theirs:.2e}", f"{ours:.2e}", nearer])
            first = [""] * len(first)
    return rows


def _memory(found: dict[str, Any]) -> list[list[str]]:
    rows = [["model", "peak memory, MB: PyTorch", "converted", "of it"]]
    for name, each in found.items():
        if len(each) < 2:
            continue
        theirs, ours = (each[who] / 1e6 for who in ("theirs", "ours"))
        rows.append([name, f"{theirs:.0f}", f"{ours:.0f}", f"{ours / theirs:.3f}"])
    return rows


def in_markdown(rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])
