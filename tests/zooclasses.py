"""Every norm class that the source of transformers has, made by itself and compared.

A class is taken out of its file and executed alone, so that no model is imported: hundreds of
them in seconds. Classes that are one text but for their names are compared once; which have a
convolution, a projection or further layers in them are blocks, and no norms.

    python tests/zooclasses.py
"""

import ast
import importlib.util
import re
import sys
import textwrap
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import zoo

from cybn.config.dialects.shelf import find

WIDTH = zoo.WIDTH
_CLASS = re.compile(r"^( *)class (\w*(?:Norm|norm|GRN)\w*)\(([\w., ]+)\):\n", re.MULTILINE)
_BLOCK = re.compile(
    r"Conv\d?d?\(|Linear\(|Embedding\(|ModuleList|\bMLP\(|PreTrainedModel|Attention\("
)
_SIZES = {
    "hidden_size": WIDTH, "dim": WIDTH, "size": WIDTH, "n": WIDTH, "num_channels": WIDTH,
    "normalized_shape": WIDTH, "num_features": WIDTH, "feat_size": WIDTH, "c_in": WIDTH,
    "group_size": WIDTH // 2, "num_groups": 4, "with_scale": True,
}  # fmt: skip
_CONFIG = SimpleNamespace(
    hidden_size=WIDTH, d_model=WIDTH, eps=1e-6, norm_eps=1e-5, num_groups=4, hidden_act="relu"
)


class Text(NamedTuple):
    """A class: its name, its source, and of what it is a part."""

    name: str
    source: str
    bases: str


def texts():
    """The classes named as norms in the files of transformers' models, without importing it."""
    folder = Path(importlib.util.find_spec("transformers").origin).parent / "models"
    for path in sorted(folder.glob("*/modeling_*.py")):
        whole = path.read_text("utf-8")
        for found in _CLASS.finditer(whole):
            indent, name, bases = found.groups()
            end = re.compile(rf"^(?! {{{len(indent) + 1},}}|\s*$)", re.MULTILINE)
            stop = end.search(whole, found.end())
            source = whole[found.start() : stop.start() if stop else None]
            yield Text(name, textwrap.dedent(source), bases)


def is_block(text):
    """Is it a network with a norm in it, rather than a norm?"""
    return bool(_BLOCK.search(text.source) or _BLOCK.search(text.bases)) or not re.search(
        r"Module|Norm", text.bases
    )


def alike(text):
    """What classes that compute the same have in common: the syntax without names and docs."""
    tree = ast.parse(text.source.replace(text.name, "Norm_"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [each for each in body if not _is_doc(each)]
    return ast.dump(tree)


def _is_doc(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def made(text):
    """An instance with a width of 8; None if it takes what is not known here."""
    import torch

    functions = {"relu": torch.nn.ReLU(), "silu": torch.nn.SiLU(), "sigmoid": torch.nn.Sigmoid()}
    space = {"torch": torch, "nn": torch.nn, "F": torch.nn.functional, "ACT2FN": functions,
             "maybe_autocast": lambda **_: torch.autocast("cpu", enabled=False),
             "_cast_if_autocast_enabled": lambda _, *args: args,
             "is_deepspeed_initialized": lambda: False,
             "__name__": "transformers.alone"}  # fmt: skip
    try:
        exec("from __future__ import annotations\n" + text.source, space)
    except NameError:  # of another class
        return None
    cls = space[text.name]
    code = cls.__init__.__code__
    names = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
    if "self" in names or cls.__init__.__module__.startswith("torch"):
        names = ("num_groups", "num_channels") if "Group" in text.bases else ("normalized_shape",)
    optional = names[len(names) - len(cls.__init__.__defaults__ or ()) :]
    given = {name: _SIZES[name] for name in names if name in _SIZES}
    given = {k: v for k, v in given.items() if k not in optional or k not in ("group_size",)}
    if "config" in names:
        given["config"] = _CONFIG
    if "args" in code.co_varnames or not names:
        given = {"normalized_shape": WIDTH} if "Norm" in text.bases else {}
    if text.name.startswith("Emu3"):
        given = {"num_groups": 4, "num_channels": WIDTH}
    try:
        return zoo.with_values(cls(**given))
    except (AttributeError, NameError, TypeError):  # or it takes more
        return None


def survey():
    """Name and outcome of each class that is no block; "unknown" for one that is in no table."""
    table, known = find("hf"), {}
    for text in texts():
        if is_block(text) and table.known(text.name) is None:
            continue
        norm = table.known(text.name)
        if norm is None:
            yield text.name, zoo.Outcome("unknown", "in no table")
        elif norm.refused:
            yield text.name, zoo.Outcome("refused", norm.refused.why)
        else:
            key = alike(text), id(norm)
            if key not in known:
                known[key] = _compared(made(text), norm)
            yield text.name, known[key]


def _compared(module, norm):
    if module is None:
        return zoo.Outcome("unknown", "not made")
    eps = zoo.spec_of(module)[2].get("eps")
    if eps not in (None, norm.words["eps"].default):
        return zoo.Outcome("differs", f"eps is {eps} by default")
    return zoo.compared(module)


if __name__ == "__main__":
    outcomes = dict(survey())
    print(Counter(outcome.what for outcome in outcomes.values()))
    for name, (what, why) in outcomes.items():
        if what != "match":
            print(f"  {name} {what}: {why}")
    sys.exit(any(what in ("unknown", "differs") for what, _ in outcomes.values()))
