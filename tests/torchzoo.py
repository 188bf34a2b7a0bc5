"""Whole models of transformers, timm and torchvision, small and with random weights, converted.

Each model is made from its config, and a copy of it goes through `cybn.torch.convert`. Outputs,
gradients and running statistics of both are compared, in training and in evaluation, in float32 and
float64; then what a user would do next: a deep copy, pickling, the keys of the state dict, and
`revert`. `test_torch_zoo.py` does so with a few models; all of them, with what becomes of their
norms and why:

    python tests/torchzoo.py [hf|timm|torchvision] [PATTERN]
"""

import copy
import gc
import io
import random
import re
import signal
import sys
import warnings
from collections import Counter
from typing import NamedTuple

import numpy as np
import torch
from torchinputs import MAKERS

from cybn.torch import convert, report, revert

#: how far apart results may be, by the length of all of them together
CLOSE = {torch.float64: 1e-7, torch.float32: 1e-3}
SECONDS = 150  # for one model


class Outcome(NamedTuple):
    """What has become of a model: "alike", "differs", "not made", and why; with its report."""

    name: str
    what: str
    why: str = ""
    report: object = None


class NotMade(Exception):  # noqa: N818  it is no error
    """Why there is no model to convert."""


def tensors_of(output, seen=None):
    """The tensors of floats in an output, however nested."""
    if isinstance(output, torch.Tensor):
        return [output] if output.is_floating_point() else []
    if isinstance(output, dict):
        output = output.values()
    elif not isinstance(output, (list, tuple)):
        return []
    return [t for each in output for t in tensors_of(each)]


def step(model, call, training):
    """Output, gradients and buffers of one call, by name; two models draw the same numbers."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002  what masks of some speech models are drawn by
    random.seed(0)
    model.train(training).zero_grad()
    found = {f"output {i}": t for i, t in enumerate(tensors_of(call(model)))}
    generator = torch.Generator().manual_seed(1)
    loss = sum(
        (t * torch.randn(t.shape, generator=generator).to(t.dtype)).mean()
        for t in found.values()
        if t.requires_grad and t.numel()
    )
    if isinstance(loss, torch.Tensor):
        loss.backward()
    found = {name: t.detach() for name, t in found.items()}
    found |= {f"d{n}": p.grad for n, p in model.named_parameters() if p.grad is not None}
    return found | {n: b.clone() for n, b in model.named_buffers() if b.is_floating_point()}


def apart(theirs, ours):
    """The largest difference of outputs, of gradients and of buffers, by the length of each."""
    if theirs.keys() != ours.keys():
        return f"not the same arrays: {sorted(theirs.keys() ^ ours.keys())[:3]}", float("inf")
    worst = ("", 0.0)
    for kind in ("output", "d", ""):
        names = [n for n in theirs if (n.startswith("output") and kind == "output")
                 or (n.startswith("d") and kind == "d")
                 or (not n.startswith(("output", "d")) and not kind)]  # fmt: skip
        total = 1e-30 + sum(float(theirs[n].double().nan_to_num().square().sum()) for n in names)
        for n in names:
            a, b = theirs[n].double(), ours[n].double()
            if a.shape != b.shape or not torch.equal(a.isfinite(), b.isfinite()):
                return f"{n} has another shape or other infinities", float("inf")
            square = float((a - b).nan_to_num().square().sum())
            difference = (square / total) ** 0.5
            if difference > worst[1]:
                worst = n, difference
    return worst


def steps(model, call, dtype):
    """What a step is in training, and then in evaluation."""
    return [step(model, lambda m: call(m, dtype), mode) for mode in (True, False)]


def compared(model, call):
    """What differs between a model and a converted copy, or an empty text; and the copy."""
    exact = None
    for dtype, close in CLOSE.items():
        try:
            expected = steps(copy.deepcopy(model).to(dtype), call, dtype)
        except Exception as error:
            if dtype is torch.float32:
                raise NotMade(f"{type(error).__name__}: {error}") from error
            continue  # float64 is not for all
        exact = exact or expected
        ours = convert(copy.deepcopy(model).to(dtype))
        found = steps(ours, call, dtype)
        for word, got, expect, limit in zip(
            ("training", "evaluation"), found, expected, exact, strict=True
        ):
            name, difference = apart(limit, got)
            # Rounding that a deep model makes much of is to be not much worse than theirs
            if difference > max(close, 3 * apart(limit, expect)[1]):
                return f"{name} by {difference:.1e} in {word}, {dtype}", ours
    return "", ours


def citizen(model, call):
    """What of copies, pickles, keys and the way back is not as it was; or an empty text."""
    before = [(type(m), dict(vars(m))) for m in model.modules()]
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
    expected = step(ours, lambda m: call(m, torch.float32), False)
    for word, new in made.items():
        if str(report(new)) != found:
            return f"{word} has another report"
        name, difference = apart(expected, step(new, lambda m: call(m, torch.float32), False))
        if difference > 1e-5:
            return f"{word} differs in {name}"
    revert(ours).zero_grad()
    if list(ours.state_dict()) != keys or [id(p) for p in ours.parameters()] != parameters:
        return "other keys or parameters"
    for module, (cls, own) in zip(ours.modules(), before, strict=True):
        if type(module) is not cls or vars(module).keys() - own.keys():
            return f"{cls.__name__} does not come back"
    return ""


def outcome(name, make):
    """What becomes of one model."""
    try:
        model, call = make()
    except Exception as error:
        return Outcome(name, "not made", f"{type(error).__name__}: {error}"[:110])
    try:
        why, ours = compared(model, call)
        found = report(ours)
        why = why or citizen(model, call)
    except NotMade as error:
        found, why = report(convert(model)), str(error)[:110]
        return Outcome(name, "not called", why, found)
    return Outcome(name, "differs" if why else "alike", why, found)


def _late(*_):
    raise TimeoutError("takes too long")


def survey(library, pattern=""):
    """The outcome of each model of a library."""
    for name, make in MAKERS[library](pattern):
        signal.signal(signal.SIGALRM, _late)
        signal.alarm(SECONDS)
        try:
            yield outcome(name, make)
        except TimeoutError as error:
            yield Outcome(name, "not called", str(error))
        except Exception as error:
            yield Outcome(name, "differs", f"raises {type(error).__name__}: {error}")
        finally:
            signal.alarm(0)
        gc.collect()


def main(arguments):
    warnings.simplefilter("ignore")
    which, pattern = [*arguments, "", ""][:2]
    for library in MAKERS:
        if which not in ("", library):
            continue
        found = []
        for each in survey(library, pattern):
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
    main(sys.argv[1:])
