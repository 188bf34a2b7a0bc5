"""What the lecture says of batch norm, each claim as comparisons of figures of `digits.py`.

A small difference is no proof, so shares closer than `TIE` count as equal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from digits_runs import GOOD, Runs

if TYPE_CHECKING:
    from digits import History

TIE = 0.01  # five of the 500 test images; about one standard error of a difference near 98 %


@dataclass(frozen=True)
class Comparison:
    """One measured figure, without and with norm."""

    what: str
    without: str
    with_norm: str
    outcome: int  # 1: norm is better, 0: equal, -1: norm is worse


def compare(
    what: str,
    values: Sequence[float],
    show: Callable[[float], str],
    *,
    higher: bool = False,
    tie: float = 0.0,
    notes: Sequence[str] = ("", ""),
) -> Comparison:
    """Compare (without, with); lower is better unless `higher`."""
    without, with_norm = values
    equal = without == with_norm or abs(with_norm - without) < tie or np.isnan(values).any()
    outcome = 0 if equal else 1 if (with_norm > without) == higher else -1
    shown = [show(value) + note for value, note in zip(values, notes, strict=True)]
    return Comparison(what, *shown, outcome)


def converges_faster(runs: Runs) -> list[Comparison]:
    """Epochs until the network is trained, at one learning rate and at each one's best."""
    config = runs.config

    def show(epochs: float) -> str:
        return f"{epochs:.1f}" if math.isfinite(epochs) else f"> {config.epochs}"

    same = [runs.epochs_to_good(runs.at(norm)) for norm in (False, True)]
    comparisons = [
        compare(
            f"epochs to {GOOD:.0%}, both at learning rate {config.learning_rate:g}, "
            f"batch {config.batch_size}",
            same,
            show,
        )
    ]
    for size in config.batch_sizes:
        rates = [runs.best_rate(norm, size) for norm in (False, True)]
        best = [runs.epochs_to_good(runs.at(norm, rates[norm], size)) for norm in (False, True)]
        comparisons.append(
            compare(
                f"epochs to {GOOD:.0%}, each at its best learning rate, batch {size}",
                best,
                show,
                notes=_rates(rates),
            )
        )
    return comparisons


def better_result(runs: Runs) -> list[Comparison]:
    """Test accuracy at the end, at each one's best learning rate."""
    comparisons = []
    for size in runs.config.batch_sizes:
        rates = [runs.best_rate(norm, size) for norm in (False, True)]
        best = [
            np.mean([runs.final(history) for history in runs.at(norm, rates[norm], size)])
            for norm in (False, True)
        ]
        comparisons.append(
            compare(
                f"accuracy, each at its best learning rate, batch {size}",
                best,
                _percent,
                higher=True,
                tie=TIE,
                notes=_rates(rates),
            )
        )
    return comparisons


def robust(runs: Runs) -> list[Comparison]:
    """Test accuracy over the scales of the first weights, all else held."""
    scales = runs.config.init_scales
    finals = [
        [[runs.final(history) for history in runs.at(norm, init_scale=scale)] for scale in scales]
        for norm in (False, True)
    ]
    means = [np.mean(each, axis=1) for each in finals]
    trained = [sum(min(seeds) >= GOOD for seeds in each) for each in finals]
    span = f"{min(scales):g} to {max(scales):g}"
    return [
        compare(
            f"worst accuracy, weight scales {span}",
            [m.min() for m in means],
            _percent,
            higher=True,
            tie=TIE,
        ),
        compare("best less worst accuracy", [np.ptp(m) for m in means], _percent, tie=TIE),
        compare(
            f"scales at which every seed gets to {GOOD:.0%}",
            trained,
            lambda count: f"{count} of {len(scales)}",
            higher=True,
        ),
    ]


def stable(runs: Runs) -> list[Comparison]:
    """Divergence, loss that rises, luck of the seed, and drift of what a hidden unit is fed."""
    sweeps = [runs.sweep(norm) for norm in (False, True)]
    flat = [[history for seeds in sweep for history in seeds] for sweep in sweeps]
    overflowed = [sum(map(runs.overflowed, histories)) for histories in flat]
    diverged = [sum(map(runs.diverged, histories)) for histories in flat]
    rises = [
        np.concatenate([np.diff(history.loss) > 0 for history in histories]) for histories in flat
    ]
    share = [float(rise.sum()) / max(1, rise.size) for rise in rises]
    spread = [
        np.mean([np.ptp([runs.final(history) for history in seeds]) for seeds in sweep])
        for sweep in sweeps
    ]
    drift, change = zip(*(typical_drift(runs.at(norm)) for norm in (False, True)), strict=True)
    return [
        compare(f"runs with NaN or infinite loss, of {len(flat[0])}", overflowed, str),
        compare(f"runs that diverged by any of the signs, of {len(flat[0])}", diverged, str),
        compare("epochs in which the training loss rose", share, _percent, tie=TIE),
        compare("accuracy, best less worst seed, mean of all settings", spread, _percent, tie=TIE),
        compare("drift of a hidden input's median, in its 15-85 % widths", drift, "{:.2f}".format),
        compare("change of that width, first to last", change, "x {:.2f}".format),
    ]


def larger_learning_rate(runs: Runs) -> list[Comparison]:
    """The highest learning rate at which every seed is trained."""

    def highest(norm: bool, size: int) -> float:
        return max(
            (
                rate
                for rate in runs.config.learning_rates
                if min(map(runs.final, runs.at(norm, rate, size))) >= GOOD
            ),
            default=0.0,
        )

    return [
        compare(
            f"highest at which every seed gets to {GOOD:.0%}, batch {size}",
            [highest(norm, size) for norm in (False, True)],
            lambda rate: f"{rate:g}" if rate else "none",
            higher=True,
        )
        for size in runs.config.batch_sizes
    ]


CLAIMS: dict[str, Callable[[Runs], list[Comparison]]] = {  # in the lecture's order
    "Converges faster": converges_faster,
    "Better result": better_result,
    "Robust to initialization": robust,
    "Stable": stable,
    "Larger learning rate": larger_learning_rate,
}


def typical_drift(histories: Iterable[History]) -> tuple[float, float]:
    """Drift and change of width, median over the units of the last hidden layer and the seeds."""
    return tuple(np.median(np.hstack([drifts(history) for history in histories]), axis=1))


def drifts(history: History) -> np.ndarray:
    """For each unit, how far the distribution of its input moves in training, as (2, units).

    First how far the median wanders, in mean widths from the lowest to the highest percentile;
    then by what factor, up or down, that width has changed at the end.
    """
    low, median, high = np.moveaxis(np.array(history.percentiles), 1, 0)  # each (points, units)
    width = high - low
    with np.errstate(all="ignore"):  # a diverged run
        change = width[-1] / width[0]
        return np.array(
            [np.ptp(median, axis=0) / width.mean(axis=0), np.maximum(change, 1 / change)]
        )


def _percent(share: float) -> str:
    return f"{share:.1%}".replace("%", " %")


def _rates(rates: Sequence[float]) -> list[str]:
    return [f" (rate {rate:g})" for rate in rates]
