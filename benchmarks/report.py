"""Tables for the terminal: speed, the goals, what two runs differ in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from statistics import median

from . import company
from .cases import GROUPS, MODES, NORMS, SMALLEST, Case
from .contenders import INTO_OUT
from .footprint import MEMORY_SHAPE
from .goals import FOOTPRINT, verdicts
from .grid import grid
from .results import FEWEST_SAMPLES, LIMIT, Results, geometric_mean, spread, threads_text

MODE_TITLES = {"forward": "forward, training", "backward": "backward", "evaluation": "evaluation"}
NORM_TITLES = {
    "batch": "batch norm", "layer": "layer norm", "rms": "RMS norm",
    "group": f"group norm, {GROUPS} groups", "instance": "instance norm",
    "fused": "batch norm with ReLU, and with sum and ReLU", "ghost": "ghost batch norm",
    "research": "norms from papers",
}  # fmt: skip
NONE = "-"
UNKNOWN = ["", NONE, NONE, "not measured", "", ""]
MOST_NAMED = 8
#: a change below this is none, however quiet the machine was
LEAST_CHANGE = 0.03


def table(rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """Columns of text, these to the left and the others to the right, under a headed line."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    return "\n".join([lines[0], rule, *lines[1:]])


def number(value: float | None, digits: int = 3) -> str:
    """Some significant digits, never an exponent."""
    if value is None or not math.isfinite(value) or value <= 0:
        return NONE
    decimals = digits - 1 - math.floor(math.log10(value))
    return f"{value:.{min(max(decimals, 0), 6)}f}"


def whole(results: Results) -> str:
    """Everything, as `python -m benchmarks` prints it."""
    known = results.machine
    head = [
        f"{known['processor']}, {known['cpus']} CPUs, {known['system']}, "
        f"last-level cache {known['cache'] / 2**20:.0f} MiB",
        ", ".join(f"{k} {v}" for k, v in {"Python": known["python"], **known["versions"]}.items()),
        "; ".join(f"{name}: {note}" for name, note in known["notes"].items()),
        ", ".join(f"{name} {value}" for name, value in results.options.items()),
        *(f"left out: {name}: {reason}" for name, reason in results.left_out.items()),
    ]
    legend = (
        "us: a call of cybn. GB/s of what a caller wants moved: x and y, or x, dy and dx; with a\n"
        "residual (+ z) x, z and y, or x, y, dy, dx and dz. A star: channels last. MiB: the input."
    )
    parts = [
        "\n".join(filter(None, head)),
        legend,
        speeds(results),
        in_company(results),
        footprint(results),
        f"The goals, from {len(results.cases)} cases ({len(grid())} in the whole grid): geometric "
        f"mean of the figures, and the lowest.\n\n{goals(results)}",
        "\n".join(f"PROBLEM: {problem}" for problem in results.problems),
    ]
    return "\n\n".join(filter(None, parts))


def speeds(results: Results) -> str:
    """For each norm, number of threads, mode: GB/s, fraction of the limit, ratio to each peer."""
    tables = []
    measured = [case for case in results.cases if results.contenders([case])]
    for norm, threads, mode in product(NORMS, results.threads, MODES):
        if cases := [case for case in measured if (case.norm, case.mode) == (norm, mode)]:
            title = f"{NORM_TITLES[norm]}: {MODE_TITLES[mode]}, {threads_text(threads)}"
            tables.append(f"{title}\n\n{table(_speed_rows(results, cases, threads))}")
    return "\n\n\n".join(tables)


def _speed_rows(results: Results, cases: list[Case], threads: int) -> list[list[str]]:
    names = results.contenders(cases)
    ours = [name for name in ("cybn", "cybn-out") if name in names]
    pairs = [(name, LIMIT) for name in ours]
    # Fresh outputs are held against fresh outputs, and existing arrays against existing arrays.
    beside = [("cybn-out" if name in INTO_OUT else "cybn", name) for name in names]
    pairs += [(mine, who) for mine, who in beside if mine in names and who not in ours]
    titles = [f"{mine}/limit" if who == LIMIT else f"x {who}" for mine, who in pairs]
    rows = [["GB/s", "dtype", "MiB", "us", LIMIT, *names, *titles]]
    for case in cases:
        seconds = results.seconds(case, threads, "cybn")
        figures = [case.nbytes / 2**20, seconds and seconds * 1e6]
        figures += [results.speed(case, threads, name) for name in (LIMIT, *names)]
        figures += [results.ratio(case, threads, *pair) for pair in pairs]
        name = f"{case.operation} {case.label}" if case.norm == "research" else case.label
        rows.append([name, case.dtype, *map(number, figures)])
    counted = [case for case in cases if case.group != SMALLEST]
    means = (geometric_mean(results.ratio(c, threads, *pair) for c in counted) for pair in pairs)
    return [*rows, ["geometric mean", *[""] * (4 + len(names)), *map(number, means)]]


def footprint(results: Results) -> str:
    """Import time, memory, wheel and build, as far as they were measured."""
    got, lines = results.footprint, []
    if "import_ms" in got:
        lines.append(
            f"import cybn beyond NumPy: {number(got['import_ms'])} ms; "
            f"with a first layer: {number(got['import_layer_ms'])} ms"
        )
    if memory := {name: value for name, value in got.get("memory", {}).items() if value}:
        shape = "x".join(map(str, MEMORY_SHAPE))
        peaks = ", ".join(f"{name} {number(value)}" for name, value in memory.items())
        lines.append(f"peak memory of forward and backward of {shape}, in inputs: {peaks}")
    if "wheel_mb" in got:
        lines.append(
            f"{got['wheel']}: {number(got['wheel_mb'])} MB, built in {number(got['build_s'])} s"
        )
    return "\n".join(lines)


def goals(results: Results) -> str:
    """Every goal with the figure beside it, geometric mean and lowest; then where it is missed."""
    rows = [["goal", "wanted", "nowhere <", "threads", "mean", "lowest", "", "cases", "lowest at"]]
    misses = []
    for verdict in (verdict for line in verdicts(results) for verdict in line):
        low = verdict.lowest_first
        bound = f"{verdict.nowhere_below:g}" if verdict.nowhere_below else ""
        row = [verdict.what, f">= {verdict.wanted:g}", bound]
        if not low:
            rows.append([*row, *UNKNOWN])
            continue
        figures = number(verdict.mean), number(low[0][1]), _met(verdict.met), str(len(low))
        rows.append([*row, str(verdict.threads), *figures, low[0][0]])
        below = [each for each in low if each[1] < (verdict.nowhere_below or verdict.wanted)]
        if len(below) > 1 and not verdict.met:
            shown = ", ".join(f"{name} {number(value)}" for name, value in below[:MOST_NAMED])
            more = f", {len(below) - MOST_NAMED} more" if len(below) > MOST_NAMED else ""
            where = f"{verdict.what}, {threads_text(verdict.threads)}"
            misses.append(f"{where}, below: {shown}{more}")
    for what, name, most, unit in FOOTPRINT:
        row, value = [what, f"<= {most:g} {unit}", ""], results.footprint.get(name)
        known = ["", f"{number(value)} {unit}", "", _met(value <= most), "", ""] if value else None
        rows.append([*row, *(known or UNKNOWN)])
    return "\n".join([table(rows, left=(0, 8)), *(["", *misses] if misses else [])])


def in_company(results: Results) -> str:
    """Calls in turn with another library's, and beside busy processes."""
    if not results.company:
        return ""
    head = ["MB", "mode", "us alone", "after NumPy", "after PyTorch", "alone/PyTorch",
            "NumPy/PyTorch", "mean us", "beside busy", "of the share"]  # fmt: skip
    rows = [head]
    for row in results.company:
        alone, torch, plain = row[company.ALONE], row.get(company.TORCH), row[company.NUMPY]
        share = row["mean"] / row["share"] / row[company.BUSY]
        cells = (alone, plain, torch, torch and alone / torch, torch and plain / torch,
                 row["mean"], row[company.BUSY], share)  # fmt: skip
        rows.append([f"{row['megabytes']:g}", row["mode"], *map(number, cells)])
    threads = threads_text(results.company[0]["threads"])
    return f"batch norm in company, {threads}\n\n{table(rows)}"


def _met(met: bool) -> str:
    return "met" if met else "MISSED"


def comparison(old: Path, new: Path) -> str:
    """What moved between two files. Raises OSError and ValueError."""
    before, after = Results.load(old), Results.load(new)
    both = [key for key in after.samples if key in before.samples]
    if not both:
        raise ValueError(f"{old} and {new} have no case in common")
    moved, groups, few = [], {}, 0
    for case, threads, who in both:
        was, now = (each.samples[case, threads, who] for each in (before, after))
        ratio, noise, beyond = change(was, now)
        few += noise == math.inf
        groups.setdefault(f"{case.norm}, {who}, {case.mode}", []).append(ratio)
        if beyond:
            figures = map(number, (median(was) * 1e6, median(now) * 1e6, ratio))
            verdict = f"{noise:.0%}", "faster" if ratio > 1 else "SLOWER"
            moved.append((ratio, [str(case), str(threads), who, *figures, *verdict]))
    header = ["what moved", "threads", "contender", "old us", "new us", "x faster", "noise", ""]
    rows = [row for _, row in sorted(moved)]
    means = [[what, str(len(r)), number(geometric_mean(r))] for what, r in groups.items()]
    known = [(key, before.machine[key], after.machine[key]) for key in ("processor", "cpus")]
    parts = [
        f"{old} -> {new}",
        table([header, *rows]) if rows else "Nothing moved beyond noise.",
        few and f"Of {few}, fewer than {FEWEST_SAMPLES} repeats: whether they moved is not known.",
        table([["all cases, geometric mean", "cases", "x faster"], *means]),
        f"{len(rows)} of {len(both)} moved beyond noise; "
        f"{len(before.samples) - len(both)} only in the old file, "
        f"{len(after.samples) - len(both)} only in the new one.",
        *(f"{key}: {one} -> {other}" for key, one, other in known if one != other),
    ]
    return "\n\n".join(filter(None, parts))


def change(old: list[float], new: list[float]) -> tuple[float, float, bool]:
    """How many times faster the new one is; what the repeats vary by; whether that is beyond it."""
    ratio, noise = median(old) / median(new), max(LEAST_CHANGE, spread(old) + spread(new))
    return ratio, noise, abs(math.log(ratio)) > math.log1p(noise)
