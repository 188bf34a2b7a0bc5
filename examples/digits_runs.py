"""What the runs of `digits.py` came to, asked for by what was varied."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from digits import History
    from digits_config import Config, Setting

GOOD = 0.90  # test accuracy from which a network counts as trained
STUCK = 0.20  # below this, the network does little better than guess one of ten classes
GUESS = math.log(10)  # the loss of guessing


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
