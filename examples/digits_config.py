"""The experiment of `digits.py` as its config file describes it, read and checked.

Everything is checked before anything is trained, and every complaint is one line that names the
file, the key, the value and what was expected. What stands in [norm] is left to `cybn.create`.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

TRAIN_IMAGES = 1297  # of the 1,797; the other 500 are for testing


class UsageError(Exception):
    """A config file or option that cannot be used; the message is one line for the user."""


class Setting(NamedTuple):
    """One run: what is varied."""

    learning_rate: float
    batch_size: int
    init_scale: float
    norm: bool
    seed: int


@dataclass(frozen=True)
class Config:
    """The config file as one flat record."""

    norm: dict[str, Any]
    widths: list[int]
    epochs: int
    learning_rates: list[float]
    batch_sizes: list[int]
    init_scales: list[float]
    seeds: list[int]
    learning_rate: float
    batch_size: int
    init_scale: float

    @property
    def reference(self) -> tuple[float, int, float]:
        """The point at which one thing is held while another is varied."""
        return self.learning_rate, self.batch_size, self.init_scale

    def settings(self) -> list[Setting]:
        """Every run: learning rates by batch sizes, then weight scales at the reference."""
        sweep = product(self.learning_rates, self.batch_sizes, [self.init_scale])
        scales = product([self.learning_rate], [self.batch_size], self.init_scales)
        points = dict.fromkeys([*sweep, *scales])  # without the points that both contain
        return [
            Setting(*point, norm, seed)
            for point, norm, seed in product(points, (False, True), self.seeds)
        ]


SECTIONS = {  # [reference] names one value out of each of the first three lists of [training]
    "network": ("widths",),
    "training": ("learning_rates", "batch_sizes", "init_scales", "seeds", "epochs"),
    "reference": ("learning_rate", "batch_size", "init_scale"),
}
LISTS = ("widths", "learning_rates", "batch_sizes", "init_scales", "seeds")
INTEGERS = {  # lowest and highest value allowed; everything else is a number > 0
    "widths": (1, 10_000),
    "epochs": (1, 10_000),
    "batch_sizes": (2, TRAIN_IMAGES),
    "batch_size": (2, TRAIN_IMAGES),
    "seeds": (0, 2**32 - 1),
}


def read_config(path: Path, quick: bool = False) -> Config:
    """Read and check a config file."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    try:
        values = _flatten(tables, quick)
        for key, value in values.items():
            if key != "norm":
                check_value(key, value)
        for one, many in zip(SECTIONS["reference"], SECTIONS["training"], strict=False):
            if values[one] not in values[many]:
                raise UsageError(f"[reference] {one} {values[one]} is not in {many} {values[many]}")
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    return Config(**values)


def with_options(config: Config, **options: Any) -> Config:
    """`config` with command-line options, of which those that are None were not given."""
    given = {key: value for key, value in options.items() if value is not None}
    for key, value in given.items():
        check_value(key, value, f"--{key}")
    return replace(config, **given)


def _flatten(tables: dict[str, Any], quick: bool) -> dict[str, Any]:
    """The file's tables as one dict, with [quick] over [training] where that is asked for."""
    allowed = SECTIONS | {"norm": None, "quick": SECTIONS["training"]}
    for name, table in tables.items():
        if name not in allowed:
            raise UsageError(f"unknown section [{name}]; sections: {', '.join(allowed)}")
        if not isinstance(table, dict):
            raise UsageError(f"{name} must be a section [{name}], got {table!r}")
        for key in table if allowed[name] else ():
            if key not in allowed[name]:
                raise UsageError(f"[{name}] has no {key!r}; it has {', '.join(allowed[name])}")
    if quick and "quick" not in tables:
        raise UsageError("--quick needs a section [quick]")
    if "norm" not in tables:
        raise UsageError("section [norm] is missing")
    values = {"norm": tables["norm"]}
    for name, keys in SECTIONS.items():
        table = tables.get(name, {}) | (tables["quick"] if quick and name == "training" else {})
        for key in keys:
            if key not in table:
                raise UsageError(f"[{name}] lacks {key!r}")
            values[key] = table[key]
    return values


def check_value(key: str, value: Any, shown_as: str = "") -> None:
    """Raise UsageError unless `value` is of the type and in the range that `key` asks for."""
    low, high = INTEGERS.get(key, (0, math.inf))
    kinds = (int,) if key in INTEGERS else (int, float)
    items = value if key in LISTS else [value]
    if (
        isinstance(items, list)
        and items
        and all(
            type(item) in kinds and low <= item <= high and (key in INTEGERS or 0 < item < math.inf)
            for item in items
        )
    ):
        return
    one = f"an integer from {low} to {high}" if key in INTEGERS else "a number > 0"
    expected = f"a list, each {one}" if key in LISTS else one
    raise UsageError(f"{shown_as or key} must be {expected}, got {value!r}")
