"""Whole models of transformers, timm and torchvision, small and with random weights, converted.

Each model is made from its config, and a copy of it goes through `cybn.torch.convert`. Both take a
step of training, with an optimizer, and are evaluated after it; outputs, gradients, statistics and
parameters are compared (torchapart.py), in float64 and float32. Then what a user would do next: a
deep copy, pickling, the keys of the state dict, and `revert`, after which the bits are the
original's. `test_torch_zoo.py` does so with a few models; all of them, or some at random, with what
becomes of their norms and why:

    python tests/torchzoo.py [hf|timm|torchvision] [PATTERN] [--sample N] [--seed N]
"""

import argparse
import copy
import gc
import io
import random
import re
import signal
import warnings
from collections import Counter
from typing import NamedTuple

import torch
from torchapart import NotMade, compared, evaluated
from torchinputs import MAKERS

from cybn.torch import convert, report, revert

SECONDS = 60  # of a processor, for one model


class Outcome(NamedTuple):
    """What has become of a model, and why; with its report.

    "alike", "rounding" where the original is as far from itself, "differs", "not made" or "not
    called".
    """

    name: str
    what: str
    why: str = ""
    report: object = None


class TooLong(BaseException):
    """No code of a library takes it for an error of its own."""


def citizen(model, call):
    """What of copies, pickles, keys and the way back is not as it was; or an empty text."""
    before = [(type(m), dict(vars(m))) for m in model.modules()]
    original = evaluated(copy.deepcopy(model), call)
    ours = convert(model)
    found = str(report(ours))
    keys, parameters = list(ours.state_dict()), [id(p) for p in ours.parameters()]
    made = {"a deep copy": copy.deepcopy(ours)}
    try:
        file = io.BytesIO()
        torch.save(ours, file)
        file.seek(0)
        made["a pickle"] = torch.load(file, weights_only=False)
    except Exception as error:
        revert(ours)
        try:
            torch.save(ours, io.BytesIO())
        except Exception:  # nor can the original
            convert(ours)
        else:
            return f"cannot be pickled: {error}"
    expected = evaluated(ours, call)
    for word, new in made.items():
        if str(report(new)) != found:
            return f"{word} has another report"
        if differing := unlike(expected, evaluated(new, call)):
            return f"{word} differs in {differing}"
    revert(ours).zero_grad()
    if list(ours.state_dict()) != keys or [id(p) for p in ours.parameters()] != parameters:
        return "other keys or parameters"
    for module, (cls, own) in zip(ours.modules(), before, strict=True):
        if type(module) is not cls or vars(module).keys() - own.keys():
            return f"{cls.__name__} does not come back"
    if differing := unlike(original, evaluated(ours, call)):
        return f"reverted, it has other bits in {differing}"
    return ""


def unlike(expected, found):
    """The first array that has other bits, or None."""
    if expected.keys() != found.keys():
        return f"the names {sorted(expected.keys() ^ found.keys())[:3]}"
    return next((n for n, a in expected.items() if not a.equal_bits(found[n])), None)


def outcome(name, make):
    """What becomes of one model."""
    try:
        model, call = make()
    except Exception as error:
        return Outcome(name, "not made", f"{type(error).__name__}: {error}"[:110])
    try:
        why, rounding, ours = compared(model, call)
        found = report(ours)
        why = why or citizen(model, call)
    except NotMade as error:
        found, why = report(convert(model)), str(error)[:110]
        return Outcome(name, "not called", why, found)
    what = "differs" if why else "rounding" if rounding else "alike"
    return Outcome(name, what, why or rounding, found)


def _late(*_):
    raise TooLong


def survey(library, pattern="", sample=None, seed=0):
    """The outcome of each model of a library, or of so many at random."""
    models = list(MAKERS[library](pattern))
    if sample is not None:
        models = random.Random(seed).sample(models, min(sample, len(models)))
    for name, make in models:
        signal.signal(signal.SIGPROF, _late)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            found = outcome(name, make)
        except TooLong:
            found = Outcome(name, "not called", f"takes more than {SECONDS} s")
        except Exception as error:
            found = Outcome(name, "differs", f"raises {type(error).__name__}: {error}")
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        yield found
        gc.collect()


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("library", nargs="?", choices=MAKERS)
    parser.add_argument("pattern", nargs="?", default="", help="of names, a regular expression")
    parser.add_argument("--sample", type=int, help="so many at random")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    for library in [options.library] if options.library else MAKERS:
        found = []
        for each in survey(library, options.pattern, options.sample, options.seed):
            found.append(each)
            short = str(each.report).partition("\n")[0] if each.report else ""
            print(f"{each.name}: {each.what}. {each.why} [{short}]", flush=True)
        told(library, found)


def told(library, found):
    """The shares of models and norms, and why norms and containers are as they were."""
    models = Counter(each.what for each in found)
    reports = [(each.name, each.report) for each in found if each.report is not None]
    norms = sum(r.norms for _, r in reports)
    swapped = sum(len(r.swapped) for _, r in reports)
    print(f"{library}: {len(found)} models, {', '.join(f'{n} {w}' for w, n in models.items())}; "
          f"{norms} norms, {swapped} swapped ({swapped / max(1, norms):.1%}), "
          f"{sum(r.places for _, r in reports)} fused")  # fmt: skip
    for kind, words in (("left", "left alone"), ("unfused", "not fused")):
        rows = {}
        for name, each in reports:
            for _, cls, why in getattr(each, kind):
                why = re.sub(r"[\d.]+(e-?\d+)? of its", "N of its", why)
                rows.setdefault((cls, why[:100]), []).append(name)
        for (cls, why), names in sorted(rows.items(), key=lambda row: -len(row[1])):
            where = ", ".join(dict.fromkeys(names))
            print(f"  {words} {len(names):4} {cls}: {why} [{where[:50]}]")


if __name__ == "__main__":
    main(None)
