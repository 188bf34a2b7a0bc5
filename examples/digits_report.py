"""Tables and findings of `digits.py`, as text.

A finding is a list of comparisons under one rule: the claim holds if every comparison favours the
norm layers, holds in part if some do, and does not hold otherwise. A small difference is no proof,
so shares closer than `TIE` count as equal, and an equal comparison does not favour.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from digits import History
    from digits_config import Config, Setting

GOOD = 0.90  # test accuracy from which a network counts as trained
STUCK = 0.20  # below this, the network does little better than guess one of ten classes
GUESS = math.log(10)  # the loss of guessing
TIE = 0.01  # five of the 500 test images; about one standard error of a difference near 98 %


class Runs:
    """The histories of all runs, asked for by what was varied."""

    def __init__(self, config: Config, results: dict[Setting, History]):
        self.config = config
        self._results = results

    def at(
        self,
        norm: bool,
        learning_rate: float | None = None,
        batch_size: int | None = None,
        init_scale: float | None = None,
    ) -> list[History]:
        """One history per seed; what is None is at the config's reference."""
        asked = (learning_rate, batch_size, init_scale)
        point = [b if a is None else a for a, b in zip(asked, self.config.reference, strict=True)]
        return [
            history for setting, history in self._results.items() if setting[:4] == (*point, norm)
        ]

    def sweep(self, norm: bool) -> list[list[History]]:
        """The runs of every learning rate and batch size."""
        return [
            self.at(norm, rate, size)
            for rate in self.config.learning_rates
            for size in self.config.batch_sizes
        ]

    def label(self, norm: bool) -> str:
        """`with BatchNorm1d`, for example."""
        return f"{'with' if norm else 'without'} {self.config.norm['type']}"

    def best_rate(self, norm: bool, batch_size: int) -> float:
        """The learning rate with the lowest training loss at the end."""

        def final_loss(rate: float) -> float:
            losses = [self.loss(history)[-1] for history in self.at(norm, rate, batch_size)]
            return math.inf if np.isnan(losses).any() else float(np.mean(losses))

        return min(self.config.learning_rates, key=final_loss)

    def loss(self, history: History) -> np.ndarray:
        """Training loss of every epoch, NaN from the divergence on."""
        return self._padded(history.loss)

    def accuracy(self, history: History) -> np.ndarray:
        """Test accuracy of every epoch, NaN from the divergence on."""
        return self._padded(history.accuracy)

    def overflowed(self, history: History) -> bool:
        """Whether the loss became NaN or infinite, which ends a run."""
        return len(history.loss) < self.config.epochs

    def diverged(self, history: History) -> bool:
        """Whether the run overflowed or ended with more than twice the loss of guessing."""
        return self.overflowed(history) or history.loss[-1] > 2 * GUESS

    def final(self, history: History) -> float:
        """Test accuracy at the end; 0 if the loss became NaN or infinite."""
        return float(np.nan_to_num(self.accuracy(history)[-1]))

    def epochs_to_good(self, histories: Iterable[History]) -> float:
        """Epochs until `GOOD` is reached, mean over the seeds; inf if one never gets there."""

        def first(history: History) -> float:
            good = (i for i, value in enumerate(history.accuracy, 1) if value >= GOOD)
            return next(good, math.inf)

        return float(np.mean([first(history) for history in histories]))

    def _padded(self, values: Sequence[float]) -> np.ndarray:
        return np.array([*values, *[math.nan] * (self.config.epochs - len(values))])


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
