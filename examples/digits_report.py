"""Tables and findings of `digits.py`, as text.

A finding is a list of comparisons under one rule: the claim holds if every comparison favours the
norm layers, holds in part if some do, and does not hold otherwise. An equal comparison does not
favour.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from digits_claims import CLAIMS, Comparison
from digits_runs import GUESS, STUCK, Runs

if TYPE_CHECKING:
    from digits import History
    from digits_config import Config, Setting


def report(config: Config, results: dict[Setting, History]) -> str:
    """The tables and the five findings as text."""
    runs = Runs(config, results)
    rate, _, scale = config.reference
    parts = [
        f"Training loss and test accuracy (%) by epoch, without and {runs.label(True)}, mean of "
        f"seeds {', '.join(map(str, config.seeds))}.\n"
        f"Guessing has loss {GUESS:.3f} and accuracy 10. Diverged: loss NaN, infinite or in the "
        f"end above {2 * GUESS:.3f}.\n"
        f"Stuck: not diverged, but less than {STUCK:.0%} correct in the end."
    ]
    for size in config.batch_sizes:
        groups = {
            rate: (runs.at(False, rate, size), runs.at(True, rate, size))
            for rate in config.learning_rates
        }
        parts.append(
            f"Batch size {size}, weight scale {scale:g}\n" + table(runs, "learning rate", groups)
        )
    groups = {
        scale: (runs.at(False, init_scale=scale), runs.at(True, init_scale=scale))
        for scale in config.init_scales
    }
    parts.append(
        f"Batch size {config.batch_size}, learning rate {rate:g}\n"
        + table(runs, "weight scale", groups)
    )
    parts += [
        f"{number}. {finding(claim, measure(runs))}"
        for number, (claim, measure) in enumerate(CLAIMS.items(), 1)
    ]
    return "\n\n".join(parts) + "\n"


def table(runs: Runs, varied: str, groups: dict[float, tuple[list[History], list[History]]]) -> str:
    """Two rows, without and with norm, for each value of what is varied."""
    epochs = [e for e in (1, 2, 5, 10, 20, 50, 100) if e < runs.config.epochs]
    epochs.append(runs.config.epochs)
    lines = [
        f"{varied:>13}  norm    "
        + "".join(f"{f'epoch {e}':>14}" for e in epochs)
        + "  diverged  stuck"
    ]
    for value, pair in groups.items():
        for name, histories in zip(("without", "with"), pair, strict=True):
            loss = mean(runs.loss(history) for history in histories)
            accuracy = mean(runs.accuracy(history) for history in histories)
            cells = "".join(_cell(loss[e - 1], accuracy[e - 1]) for e in epochs)
            diverged = sum(map(runs.diverged, histories))
            stuck = sum(
                runs.final(history) < STUCK and not runs.diverged(history) for history in histories
            )
            lines.append(f"{value:13g}  {name:8}{cells}{diverged:10}{stuck:7}")
    return "\n".join(lines)


def _cell(loss: float, accuracy: float) -> str:
    return f"{'-':>14}" if math.isnan(loss) else f"{loss:8.3f} {100 * accuracy:5.1f}"


def mean(rows: Iterable[np.ndarray]) -> np.ndarray:
    """Mean over the seeds that have not diverged; NaN where all have."""
    values = np.array(list(rows))
    alive = np.isfinite(values)
    total = np.where(alive, values, 0).sum(axis=0)
    return np.where(alive.any(axis=0), total / np.maximum(alive.sum(axis=0), 1), np.nan)


def finding(claim: str, comparisons: Sequence[Comparison]) -> str:
    """The verdict on one claim, and the figures behind it."""
    outcomes = [comparison.outcome for comparison in comparisons]
    better, equal, worse = outcomes.count(1), outcomes.count(0), outcomes.count(-1)
    verdict = "holds" if better == len(outcomes) else "holds in part" if better else "does not hold"
    lines = [
        f"{claim}: {verdict} ({better} better, {equal} equal, {worse} worse)",
        f"{'':58}{'without':>19}{'with':>19}",
    ]
    words = {1: "better", 0: "equal", -1: "worse"}
    lines += [
        f"   {c.what:55}{c.without:>19}{c.with_norm:>19}  {words[c.outcome]}" for c in comparisons
    ]
    return "\n".join(lines)
