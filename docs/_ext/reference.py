"""The reference, written from docstrings, the registry and schemas while the site is built.

A page for each layer, one with what every norm does, and one for each public module. All of them
lie in `reference/made/`, which is not checked in, so that a new layer or function is there by
existing. Rejected: autosummary, which lists members of modules and does not know the registry,
aliases, schemas or what a config of another library calls a layer.
"""

from __future__ import annotations

import importlib
import inspect
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import everyoption
import rst
import survey

import cybn
from cybn.layers.base.channelnorm import ChannelNorm
from cybn.terms.docstrings import parts_of
from cybn.terms.registry import registry

MADE = Path(__file__).parents[1] / "reference" / "made"
#: public modules beside the layers, and what each is about
MODULES = {
    "functional": "Functions without state",
    "testing": "The conformance check",
    "dialects": "Configs of other libraries",
    "distributed": "Several processes",
    "torch": "PyTorch",
    "options": "Declaring options of a layer",
    "reference": "The specification in NumPy",
}


def write(app: Any = None) -> None:
    """All pages; files that say the same are left alone, so that Sphinx need not read them
    again."""
    pages = {f"{name}.rst": layer_page(name) for name in cybn.available() if _built_in(name)}
    pages["layers.rst"] = layers_page()
    pages["features.rst"] = features_page()
    pages["every_option.rst"] = everyoption.page()
    pages["cybn.rst"] = functions_page()
    for name, title in modules().items():
        pages[f"{name}.rst"] = module_page(name, title)
    MADE.mkdir(exist_ok=True)
    for path in MADE.iterdir():
        if path.name not in pages:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name, text in pages.items():
        path = MADE / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def modules() -> dict[str, str]:
    """Public modules that are there to be imported: one of an extra may not be."""
    found = {}
    for name in dict.fromkeys([*cybn._MODULES, "torch", "options"]):
        try:
            importlib.import_module(f"cybn.{name}")
        except ImportError:
            continue
        found[name] = MODULES[name]
    return found


def layer_page(name: str) -> str:
    """A layer: names, docstring with equation and example, options in a config, other libraries."""
    about = cybn.describe(name)
    lines = [
        *rst.title(name),
        ":Short names: " + (", ".join(f"``{each}``" for each in about["aliases"]) or "none"),
        f":Module: ``{about['module']}``",
        "",
        ".. currentmodule:: cybn",
        "",
        f".. autoclass:: cybn.{name}{_signature(registry.entry(name).cls)}",
        "",
        *_methods(name),
        *rst.section("In a config"),
        f"``num_features`` is understood by every layer. ``cybn describe {name}`` prints this, and",
        f"``cybn.schema({name!r})`` is the whole JSON Schema.",
        "",
        *rst.table(
            (("option", 22), ("value", 28), ("default", 15), ("meaning", 35)),
            [
                (
                    f"``{key}``",
                    rst.value(prop),
                    rst.default(key, about),
                    prop.get("description", ""),
                )
                for key, prop in cybn.schema(name)["properties"].items()
                if key in about["options"]
            ],
        ),
    ]
    rows = [
        (f"``{dialect}``", title, ", ".join(f"``{each}``" for each in names))
        for dialect, title, names in survey.elsewhere(name)
    ]
    if rows:
        lines += [
            *rst.section("In configs of other libraries"),
            "With ``dialect=`` these build it, with their own defaults and meanings; see",
            ":doc:`/dialects`.",
            "",
            *rst.table((("dialect", 15), ("library", 40), ("names", 45)), rows),
        ]
    lines += [*rst.section("See also"), ":doc:`layers`, :doc:`features`, and the methods of", ""]
    lines[-2] += " every layer, :class:`cybn.Layer`."
    return "\n".join(lines)


def layers_page() -> str:
    """Every layer, by where its statistics lie."""
    lines = [
        *rst.title("Layers"),
        "What every layer has is in :class:`cybn.Layer`; who computes what over what, in",
        ":doc:`features`.",
        "",
    ]
    for room, title in survey.ROOMS.items():
        rows = []
        for family in survey.families():
            if family.room == room:
                links = ", ".join(f":doc:`{each}`" for each in family.members)
                rows.append((links, cybn.describe(family.members[0])["summary"]))
        lines += [*rst.section(title), *rst.table((("layer", 40), ("what it does", 60)), rows)]
    lines += [".. toctree::", "   :hidden:", ""]
    lines += [f"   {name}" for name in cybn.available() if _built_in(name)]
    return "\n".join([*lines, ""])


def features_page() -> str:
    """What each norm does, as `survey` has found it out: a part for each question, and in it a
    table for each place where statistics lie."""
    lines = [
        ":html_theme.sidebar_secondary.remove: true",
        "",
        *rst.title("What each norm does"),
        "All of it is found out while this page is made, by building each layer and calling it.",
        "",
        *rst.section("What an output depends on"),
        "Of the other values of x, (N, C, L): samples, channels, places. A weight's filters are",
        "its samples.",
        "",
        *_by_room(
            (("norm", 30), ("in training", 35), ("in evaluation", 35)),
            lambda r: (r.training, r.evaluation),
        ),
        *rst.section("What it holds"),
        *_by_room(
            (("norm", 30), ("parameters", 30), ("buffers", 40)),
            lambda r: (rst.code(r.learned), rst.code(r.kept)),
        ),
        *rst.section("What it can do"),
        "*inputs*: what a call takes beside x, by name. *activation*: it is an option. *folds*:",
        ":func:`cybn.fold` puts it into weights. *anew*: :func:`cybn.recalibrate` takes its",
        "statistics anew. *frozen*: what :func:`cybn.freeze` makes of it. *sixteen bits*: where",
        "float16 and bfloat16 are converted.",
        "",
        *_by_room(
            (
                ("norm", 26), ("inputs", 20), ("activation", 11), ("folds", 7), ("anew", 7),
                ("frozen", 14), ("sixteen bits", 15),
            ),
            lambda r: (
                rst.code(r.inputs), rst.tick(r.fused), rst.tick(r.folds),
                rst.tick(r.recalibrated), rst.code([r.frozen] if r.frozen else []), r.sixteen,
            ),
        ),
    ]  # fmt: skip
    return "\n".join(lines)


def _by_room(
    heads: tuple[tuple[str, int], ...], cells: Callable[[survey.Row], tuple[str, ...]]
) -> Iterator[str]:
    """A table of families for each room, all of them with the same columns."""
    for room, title in survey.ROOMS.items():
        rows = [(rst.link(r.family), *cells(r)) for r in survey.rows() if r.family.room == room]
        yield from rst.rubric(title)
        yield from rst.table(heads, rows)


def functions_page() -> str:
    """What `cybn` itself offers beside layers and modules."""
    names = [n for n in cybn.__all__ if n not in cybn._MODULES and not _is_layer(n)]
    lines = [
        *rst.title("cybn"),
        "What is made of layers, and how they are found, built and changed. The layers themselves",
        "are in :doc:`layers`.",
        "",
        ".. currentmodule:: cybn",
        "",
        ".. autoclass:: cybn.Layer",
        "   :members:",
        "   :inherited-members:",
        "",
    ]
    for name in names:
        value = getattr(cybn, name)
        if name != "Layer":
            lines += _auto(f"cybn.{name}", value)
    return "\n".join(lines)


def module_page(name: str, title: str) -> str:
    """A public module: what its `__all__` lists."""
    module = importlib.import_module(f"cybn.{name}")
    lines = [
        *rst.title(f"cybn.{name}: {title}"),
        f".. automodule:: cybn.{name}",
        "   :no-members:",
        "",
    ]
    for each in module.__all__:
        value = getattr(module, each)
        if callable(value) and getattr(value, "__doc__", None):
            lines += _auto(f"cybn.{name}.{each}", value)
    return "\n".join(lines)


def _signature(cls: type) -> str:
    """Options and defaults, without the annotations, which the docstring has in words."""
    own = inspect.signature(cls.__init__)
    plain = [p.replace(annotation=p.empty) for p in own.parameters.values() if p.name != "self"]
    return str(own.replace(parameters=plain, return_annotation=own.empty))


def _methods(name: str) -> list[str]:
    """What a layer can do that others cannot: its public methods, less those for its relatives."""
    cls, common = registry.entry(name).cls, {*dir(cybn.Layer), *dir(ChannelNorm)}
    own = [
        each
        for each, value in inspect.getmembers(cls, callable)
        if not each.startswith("_")
        and each not in common
        and not inspect.isclass(value)
        and value.__module__.rpartition(".")[2] != "_common"  # for authors
        and {"Returns", "Parameters", "Examples"} & {*parts_of(value.__doc__).sections}
    ]
    return [line for each in own for line in (f".. automethod:: cybn.{name}.{each}", "")]


def _auto(path: str, value: Any) -> Iterator[str]:
    if inspect.isclass(value):
        kind = "exception" if issubclass(value, BaseException) else "class"
        inner = (
            "   :exclude-members: forward, cls_to_become"  # of a module, which says what it does
        )
        yield from (f".. auto{kind}:: {path}", "   :members:", inner, "")
    elif callable(value):
        yield from (f".. autofunction:: {path}", "")


def _built_in(name: str) -> bool:
    return cybn.describe(name)["distribution"] is None


def _is_layer(name: str) -> bool:
    return name != "Layer" and name in cybn.available()


def setup(app):
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
