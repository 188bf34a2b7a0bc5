"""`cybn list` and `cybn describe`: what layers there are and what one takes, within 80 columns."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

from ..config.catalogue import describe
from ..config.plugins import PluginError, plugins
from ..terms.messages import shown
from .paint import painted

__all__ = ["FAMILIES", "Listed", "chosen", "listed", "show_layer", "show_layers"]

WIDTH, INDENT = 80, " " * 4
_FOOTNOTE = re.compile(r"\s\[\d+\]_")
#: where the statistics of a layer lie, which is the folder that its module is in
FAMILIES = {
    "batch": "Statistics of the batch",
    "sample": "Statistics of each sample",
    "dataset": "Statistics of a data set",
    "research": "Variants from papers",
    "plugins": "Layers of plugins",
}


class Listed(NamedTuple):
    """A layer as the list has it; `layer` is None, and `error` says why, for a broken plugin's."""

    name: str
    family: str
    origin: str
    layer: dict[str, Any] | None
    error: str = ""

    @property
    def stem(self) -> str:
        """The name without a rank, which three layers may share."""
        return self.name[:-2] if self.name.endswith(("1d", "2d", "3d")) else self.name

    def says(self, text: str) -> bool:
        """Does the text stand in the name, an alias or the summary?"""
        about = self.layer or {"aliases": (), "summary": ""}
        everything = " ".join([self.name, *about["aliases"], about["summary"], self.origin])
        return text.casefold() in everything.casefold()


def listed(names: Iterable[str]) -> Iterator[Listed]:
    """The layers of these names; plugins are imported for it."""
    for name in names:
        try:
            layer = describe(name)
        except PluginError as error:  # harms no other
            plugin = plugins.find(name)
            origin = f"{plugin.distribution} {plugin.version}"
            yield Listed(name, "plugins", origin, None, str(error))
        else:
            yield Listed(name, _family(layer), origin_of(layer), layer)


def chosen(layers: Iterable[Listed], family: str | None, text: str | None) -> list[Listed]:
    """Those of a family in which the text stands; ValueError where there are none."""
    found = [each for each in layers if family in (None, each.family)]
    found = [each for each in found if text is None or each.says(text)]
    if not found and (text is not None or family is not None):
        said = " and ".join(
            filter(None, [
                f"of family {family}" if family else "",
                f"with {shown(text, False)} in its names or summary" if text is not None else "",
            ])
        )  # fmt: skip
        raise ValueError(f"there is no layer {said}; cybn list shows all")
    return found


def show_layers(layers: Iterable[Listed]) -> None:
    """By family: names with aliases, then what they do, once for the ranks of one norm."""
    layers = list(layers)
    wide = max((len(each.name) for each in layers), default=0)
    begun = False
    for family, title in FAMILIES.items():
        of_family = [each for each in layers if each.family == family]
        if of_family:
            print("\n" * begun + painted(title, "bold", sys.stdout))
            begun = True
        for _, ranks in groupby(of_family, key=lambda each: (each.stem, each.origin)):
            _show(list(ranks), wide)


def _show(ranks: list[Listed], wide: int) -> None:
    for each in ranks:
        name = painted(each.name, "cyan", sys.stdout) + " " * (wide - len(each.name))
        beside = ", ".join(each.layer["aliases"]) if each.layer else "(broken)"
        origin = each.origin if each.family == "plugins" else ""
        text = "  ".join(filter(None, [beside, origin]))
        first, *more = textwrap.wrap(text, WIDTH - wide - 4) or [""]
        print(f"  {name}  {first}".rstrip())
        for line in more:
            print(" " * (wide + 4) + line)
    if ranks[0].layer:
        wrapped(ranks[0].layer["summary"], INDENT)


def show_layer(layer: dict[str, Any]) -> None:
    """Names, where it is from, what it does, and each option with what it means."""
    wrapped(" = ".join([layer["name"], *layer["aliases"]]), style="bold")
    wrapped(layer["summary"])
    wrapped(f"{origin_of(layer)}, {layer['module']}")
    # the reference that a footnote's mark is of stands in the docstring alone
    for paragraph in filter(None, _FOOTNOTE.sub("", layer["explanation"]).split("\n\n")):
        print()
        # what is indented, such as a formula, stands as its author has put it
        print(paragraph) if "\n " in f"\n{paragraph}" else wrapped(paragraph)
    for name, option in layer["options"].items():
        default = "required" if option["required"] else repr(option["default"])
        print()
        wrapped(f"{name}  {option['type']}  {default}", later=INDENT, style="cyan")
        wrapped(option["description"] or "", INDENT)


def wrapped(text: str, first: str = "", later: str | None = None, style: str = "") -> None:
    """Print within a terminal's width, but for words that are longer."""
    lines = textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=later or first,
        break_long_words=False, break_on_hyphens=False, drop_whitespace=True,
    )  # fmt: skip
    for line in lines:
        print(painted(line, style, sys.stdout) if style else line)


def origin_of(layer: dict[str, Any]) -> str:
    """Who brings a layer, with the version of a plugin."""
    return f"{layer['origin']} {layer['version'] or ''}".rstrip()


def _family(layer: dict[str, Any]) -> str:
    parts = layer["module"].split(".")
    known = layer["distribution"] is None and parts[:2] == ["cybn", "layers"] and len(parts) > 3
    return parts[2] if known and parts[2] in FAMILIES else "plugins"
