"""Every option of every built-in layer on one page, from the schemas: what a config may say.

Options that mean the same in several layers are one line with the names of these layers; the page
of a layer has its own options alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import groupby

import rst
import survey

import cybn

#: from how many families on an option is called common
MANY = 6
HEADS = (("layers", 33), ("value", 20), ("default", 12), ("meaning", 35))


def page() -> str:
    """Common options first, then those of few layers, each part by the alphabet."""
    told = {option: lines(option) for option in options()}
    common = [option for option in told if len(families(option)) >= MANY]
    few = [option for option in told if option not in common]
    text = [
        ":html_theme.sidebar_secondary.remove: true",
        "",
        *rst.title("Every option"),
        "What an entry of a config may say beside ``type``, and what keyword arguments are called",
        "in Python. The page is written from :func:`cybn.schema`, by which editors check and",
        "complete a config. ``cybn describe NAME`` prints those of one layer. Names of options are",
        "PyTorch's where PyTorch has one, and ``num_features`` is understood by every layer. How a",
        "config is written and what is checked is in :doc:`/config`; what options of other",
        "libraries mean, in :doc:`/dialects`.",
        "",
        *rst.section("At a glance"),
        "Of many layers: " + ", ".join(f":ref:`{o} <option-{o}>`" for o in common) + ".",
        "",
        "Of few: " + ", ".join(f":ref:`{o} <option-{o}>`" for o in few) + ".",
        "",
    ]
    for title, names in (("Options of many layers", common), ("Options of few layers", few)):
        text += rst.section(title)
        for option in names:
            text += [f".. _option-{option}:", "", *rst.section(option, "~")]
            text += rst.table(HEADS, told[option])
    return "\n".join(text)


def options() -> list[str]:
    """The names of all of them."""
    found = {o for f in survey.families() for n in f.members for o in cybn.describe(n)["options"]}
    return sorted(found)


def families(option: str) -> list[survey.Family]:
    """Those that have it."""
    return [f for f in survey.families() if option in cybn.describe(f.members[0])["options"]]


def lines(option: str) -> list[tuple[str, str, str, str]]:
    """A line for each meaning: layers, value, default, meaning."""
    meanings: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for family in families(option):
        for name in family.members:
            about, prop = cybn.describe(name), cybn.schema(name)["properties"][option]
            value, default = rst.value(prop), rst.default(option, about)
            meanings[value, default, prop.get("description", "")].append(name)
    return [(shown(names), *meaning) for meaning, names in meanings.items()]


def shown(names: Iterable[str]) -> str:
    """Links to layers; the ranks of a family are one."""
    parts = []
    for family, members in groupby(names, survey.family_of):
        members = list(members)
        ranks = survey.Family(family.name, tuple(members), family.room)
        parts.append(rst.link(ranks))
    return ", ".join(parts)
