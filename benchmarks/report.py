"""Tables for the terminal: speed, the goals, what two runs differ in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path

from .contenders import INTO_OUT
from .footprint import MEMORY_SHAPE
from .goals import FOOTPRINT_GOALS, GOALS, SMALLEST, Goal, Verdict, judge
from .norms import GROUPS, MODES, NORMS
from .results import FEWEST_SAMPLES, Change, Results, changes, geometric_mean
from .shapes import DTYPES, Case

MODE_TITLES = {"forward": "forward, training", "backward": "backward", "evaluation": "evaluation"}
NORM_TITLES = {
    "batch": "batch norm", "layer": "layer norm", "rms": "RMS norm",
    "group": f"group norm, {GROUPS} groups", "instance": "instance norm",
    "fused": "batch norm with ReLU, and with sum and ReLU", "ghost": "ghost batch norm",
}  # fmt: skip
NONE = "-"
NOT_MEASURED = "not measured"


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


def threads_text(n: int) -> str:
    return f"{n} thread" if n == 1 else f"{n} threads"


def speeds(results: Results) -> str:
    """For each norm, mode, number of threads: GB/s, fraction of the limit, ratio to each peer."""
    cases = [case for case in results.cases if case.group != SMALLEST]
    kinds = dict.fromkeys((case.norm, case.mode, case.dtype) for case in cases)
    order = product(NORMS, results.threads, MODES, DTYPES)
    return "\n\n\n".join(
        f"{NORM_TITLES[norm]}: {MODE_TITLES[mode]}, {threads_text(threads)}, {dtype}\n\n"
        + _speed_table(
            results, [c for c in cases if (c.norm, c.mode, c.dtype) == (norm, mode, dtype)], threads
        )
        for norm, threads, mode, dtype in order
        if (norm, mode, dtype) in kinds
    )


def _speed_table(results: Results, cases: list[Case], threads: int) -> str:
    names = _present(results, cases, [threads])
    # Fresh outputs are held against fresh outputs, and existing arrays against existing arrays.
    pairs = [
        ("cybn-out" if name in INTO_OUT else "cybn", name)
        for name in names
        if name not in ("cybn", "cybn-out")
    ]
    pairs = [(ours, theirs) for ours, theirs in pairs if ours in names]
    within = [name for name in ("cybn", "cybn-out") if name in names]
    rows = [
        [
            "GB/s", "MiB", "limit", *names,
            *(f"{name}/limit" for name in within), *(f"x {theirs}" for _, theirs in pairs),
        ]
    ]  # fmt: skip
    for case in cases:
        limit = results.limit(case, threads)
        got = [results.get(case, threads, name) for name in names]
        rows.append(
            [
                f"{case.label} + z" if case.does.residual else case.label,
                number(case.nbytes / 2**20),
                number(limit and limit.speed / 1e9),
                *(number(row and row.speed / 1e9) for row in got),
                *(number(results.fraction(case, threads, name)) for name in within),
                *(number(results.ratio(case, threads, *pair)) for pair in pairs),
            ]
        )
    means = [_mean(results.fraction(c, threads, name) for c in cases) for name in within]
    means += [_mean(results.ratio(c, threads, *pair) for c in cases) for pair in pairs]
    rows.append(["geometric mean", *[""] * (2 + len(names)), *map(number, means)])
    return table(rows)


def _present(results: Results, cases: list[Case], threads: Iterable[int]) -> list[str]:
    return [
        name
        for name in results.contenders
        if any(results.get(case, n, name) for case in cases for n in threads)
    ]


def _mean(values) -> float | None:
    present = [value for value in values if value is not None]
    return geometric_mean(present) if present else None


def smallest(results: Results) -> str | None:
    """Microseconds of the smallest call."""
    cases = [case for case in results.cases if case.group == SMALLEST]
    if not cases:
        return None
    names = _present(results, cases, results.threads)
    rows = [["microseconds of the smallest call", *names]]
    for threads in results.threads:
        for case in cases:
            got = [results.get(case, threads, name) for name in names]
            label = f"{case.label}, {MODE_TITLES[case.mode]}, {threads_text(threads)}"
            rows.append([label, *(number(row and row.seconds * 1e6) for row in got)])
    return table(rows)


def footprint(results: Results) -> str | None:
    """Import time, memory, wheel and build, as far as they were measured."""
    got, lines = results.footprint, []
    if "import_ms" in got:
        lines.append(
            f"import cybn beyond NumPy: {number(got['import_ms'])} ms; "
            f"with a first layer: {number(got['import_layer_ms'])} ms"
        )
    memory = {name: value for name, value in got.get("memory", {}).items() if value is not None}
    if memory:
        shape = "x".join(map(str, MEMORY_SHAPE))
        peaks = ", ".join(f"{name} {number(value)}" for name, value in memory.items())
        lines.append(f"peak memory of forward and backward of {shape}, in inputs: {peaks}")
    if "wheel_mb" in got:
        lines.append(
            f"{got.get('wheel', 'wheel')}: {number(got['wheel_mb'])} MB, "
            f"built in {number(got['build_s'])} s"
        )
    return "\n".join(lines) or None


def goals(results: Results) -> str:
    """Every goal with the figure beside it, geometric mean and lowest; then where it is missed."""
    header = ["goal", "wanted"]
    for threads in results.threads:
        header += [threads_text(threads), "lowest", ""]
    rows, misses = [header], []
    for goal in GOALS:
        row = [goal.what, goal.wanted]
        for threads in results.threads:
            verdict = judge(goal, results, threads)
            if verdict is None:
                row += [NONE, NONE, NOT_MEASURED]
                continue
            row += [number(verdict.mean), number(verdict.lowest), _met(verdict.met)]
            if not verdict.met:
                misses.append(_miss(goal, verdict, threads))
        rows.append(row)
    for what, wanted, name, most, unit in FOOTPRINT_GOALS:
        value = results.footprint.get(name)
        cells = [NONE, NONE, NOT_MEASURED]
        if value is not None:
            cells = [f"{number(value)} {unit}", "", _met(value <= most)]
        rows.append([what, wanted, *cells, *[""] * 3 * (len(results.threads) - 1)])
    return "\n".join([table(rows), *(["", *misses] if misses else [])])


def _miss(goal: Goal, verdict: Verdict, threads: int) -> str:
    """Where a goal is missed: the lowest cases."""
    shown = ", ".join(f"{label} {number(value)}" for label, value in verdict.lowest_first[:6])
    rest = len(verdict.lowest_first) - 6
    more = f", {rest} more" if rest > 0 else ""
    return f"{goal.what}, {threads_text(threads)}, lowest first: {shown}{more}"


def _met(met: bool) -> str:
    return "met" if met else "MISSED"


def comparison(old: Path, new: Path) -> str:
    """What moved between two files. Raises OSError and ValueError."""
    before, after = Results.load(old), Results.load(new)
    both = changes(before, after)
    if not both:
        raise ValueError(f"{old} and {new} have no case in common")
    rows = [["what moved", "threads", "contender", "old us", "new us", "x faster", "noise", ""]]
    moved = sorted((c for c in both if c.moved), key=lambda c: c.ratio)
    rows += [_change(change) for change in moved]
    means = [["all cases, geometric mean", "cases", "x faster"]]
    for names, group in _grouped(both):
        means.append([", ".join(names), str(len(group)), number(_mean(c.ratio for c in group))])
    few = sum(change.noise == math.inf for change in both)
    parts = [
        f"{old} -> {new}",
        table(rows) if moved else "Nothing moved beyond noise.",
        f"Of {few}, fewer than {FEWEST_SAMPLES} repeats: whether they moved cannot be told."
        if few
        else "",
        table(means),
        f"{len(moved)} of {len(both)} moved beyond noise; "
        f"{len(before.rows) - len(both)} only in the old file, "
        f"{len(after.rows) - len(both)} only in the new one.",
    ]
    for key in ("processor", "cpus", "system"):
        if before.machine.get(key) != after.machine.get(key):
            parts.append(f"{key}: {before.machine.get(key)} -> {after.machine.get(key)}")
    return "\n\n".join(filter(None, parts))


def _grouped(both: list[Change]) -> list[tuple[tuple[str, ...], list[Change]]]:
    groups: dict[tuple[str, ...], list[Change]] = {}
    for change in both:
        case = change.new.case
        groups.setdefault((case.norm, change.new.contender, case.mode), []).append(change)
    return list(groups.items())


def _change(change: Change) -> list[str]:
    new = change.new
    return [
        new.case.key, str(new.threads), new.contender,
        number(change.old.seconds * 1e6), number(new.seconds * 1e6), number(change.ratio),
        f"{change.noise:.0%}", "faster" if change.ratio > 1 else "SLOWER",
    ]  # fmt: skip
