"""Tables for the terminal: speed, the goals, what two runs differ in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from statistics import median

from .cases import GROUPS, MODES, NORMS, SMALLEST, Case, grid
from .contenders import INTO_OUT
from .footprint import MEMORY_SHAPE
from .goals import FOOTPRINT, verdicts
from .results import FEWEST_SAMPLES, LIMIT, Results, geometric_mean, spread, threads_text

MODE_TITLES = {"forward": "forward, training", "backward": "backward", "evaluation": "evaluation"}
NORM_TITLES = {
    "batch": "batch norm", "layer": "layer norm", "rms": "RMS norm",
    "group": f"group norm, {GROUPS} groups", "instance": "instance norm",
    "fused": "batch norm with ReLU, and with sum and ReLU", "ghost": "ghost batch norm",
}  # fmt: skip
NONE = "-"
UNKNOWN = [NONE, NONE, "not measured"]
#: a change below this is none, however quiet the machine was
LEAST_CHANGE = 0.03


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns of text, the first to the left and the others to the right, under a headed line."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
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
        footprint(results),
        f"The goals, from {len(results.cases)} cases ({len(grid())} in the whole grid): geometric "
        f"mean of the figures, and the lowest.\n\n{goals(results)}",
        "\n".join(f"PROBLEM: {problem}" for problem in results.problems),
    ]
    return "\n\n".join(filter(None, parts))


def speeds(results: Results) -> str:
    """For each norm, number of threads, mode: GB/s, fraction of the limit, ratio to each peer."""
    tables = []
    for norm, threads, mode in product(NORMS, results.threads, MODES):
        if cases := [case for case in results.cases if (case.norm, case.mode) == (norm, mode)]:
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
        rows.append([case.label, case.dtype, *map(number, figures)])
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
    every = {threads: verdicts(results, threads) for threads in results.threads}
    header = ["goal", "wanted"]
    for threads in every:
        header += [threads_text(threads), "lowest", ""]
    rows, misses = [header], []
    for line in zip(*every.values(), strict=True):
        row = [line[0].what, line[0].wanted]
        for threads, verdict in zip(every, line, strict=True):
            low = verdict.lowest_first
            row += [number(verdict.mean), number(low[0][1]), _met(verdict.met)] if low else UNKNOWN
            if low and not verdict.met:
                shown = ", ".join(f"{name} {number(value)}" for name, value in low[:6])
                more = f", {len(low) - 6} more" if len(low) > 6 else ""
                where = f"{verdict.what}, {threads_text(threads)}"
                misses.append(f"{where}, lowest first: {shown}{more}")
        rows.append(row)
    for what, name, most, unit in FOOTPRINT:
        value = results.footprint.get(name)
        cells = [f"{number(value)} {unit}", "", _met(value <= most)] if value else UNKNOWN
        rows.append([what, f"<= {most:g} {unit}", *cells, *[""] * 3 * (len(every) - 1)])
    return "\n".join([table(rows), *(["", *misses] if misses else [])])


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
