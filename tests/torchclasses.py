"""Every norm class that the source of transformers has, converted by itself.

A class is taken out of its file and executed alone (zooclasses.py); those that are one text but for
their names are converted once. What is swapped has agreed with its original, outputs and gradients,
by `convert` itself; this tells what is left alone, and why:

    python tests/torchclasses.py
"""

import warnings
from collections import Counter
from typing import NamedTuple

import zooclasses
from torch import nn

from cybn.torch import convert, report


class Fate(NamedTuple):
    """Is it swapped, how is it computed or why is it not."""

    swapped: bool
    why: str


def survey():
    """Name and fate of each class that is no block, in order; None for one that cannot be made."""
    known = {}
    for text in zooclasses.texts():
        if zooclasses.is_block(text):
            continue
        key = zooclasses.alike(text)
        if key not in known:
            known[key] = _fate(zooclasses.made(text))
        yield text.name, known[key]


def _fate(module):
    if module is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = report(convert(nn.Sequential(module.train())))
    if not found.norms:
        return Fate(False, "it does not look like a norm")
    (entry,) = found.swapped or found.left
    return Fate(bool(found.swapped), entry.why)


if __name__ == "__main__":
    fates = list(survey())
    made = [(name, fate) for name, fate in fates if fate is not None]
    print(f"{len(fates)} classes: {sum(fate.swapped for _, fate in made)} swapped, "
          f"{sum(not fate.swapped for _, fate in made)} left alone, "
          f"{len(fates) - len(made)} not made")  # fmt: skip
    for why, count in Counter(fate.why for _, fate in made if fate.swapped).most_common():
        print(f"  swapped {count:3} {why}")
    for name, fate in fates:
        if fate is None or not fate.swapped:
            print(f"  {name}: {'not made' if fate is None else fate.why}")
