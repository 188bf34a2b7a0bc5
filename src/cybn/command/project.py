"""`cybn new`: a plugin of one's own, ready to install, from the example of its kind.

The examples are the templates: a project is an example with another name in it, so what is written
is what the examples' tests have tried, and there is no second copy to keep alike. A templating
library was rejected, since nothing but the name differs. In a wheel the examples lie in
``templates`` beside this file; in a source tree they are where they are.
"""

from __future__ import annotations

import keyword
import os
import re
from collections.abc import Iterator
from pathlib import Path

from ..config.plugins import plugins
from ..terms.messages import shown
from ..terms.registry import registry

__all__ = ["KINDS", "commands", "write_project"]

KINDS = {"python": "PartNorm", "cython": "FastPartNorm"}  # the layer of the example

_FILES = ("*.md", "*.toml", "*.py", "src/*/*.py", "src/*/*.pyx", "tests/*.py")
_NAME = re.compile(r"[A-Z][A-Za-z0-9]{0,59}")
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def write_project(name: str, kind: str, into: str | os.PathLike[str] = ".") -> list[Path]:
    """Write a plugin whose layer is called ``name`` to a new folder; the folder, then its files.

    For MyNorm the folder and distribution are cybn-my-norm, and the package is cybn_my_norm.
    Raises ValueError for a name that cannot be, or is, another layer's, and for a kind other than
    "python" and "cython"; FileExistsError where the folder is there already. Nothing is written
    then, and nothing is ever overwritten. Where `into` is not there it is made.
    """
    if kind not in KINDS:
        raise ValueError(f"a project is of kind {' or '.join(KINDS)}, got {shown(kind, False)}")
    template = _template(kind)
    texts = {path: path.read_text("utf-8") for path in _files(template)}
    _check(name, "\n".join(texts.values()) if name != KINDS[kind] else "")
    renamed = dict(zip(_spellings(KINDS[kind]), _spellings(name), strict=True))
    any_spelling = re.compile("|".join(renamed))

    def rename(text: str) -> str:
        return any_spelling.sub(lambda match: renamed[match[0]], text)

    folder = Path(into, f"cybn-{_spellings(name)[2]}")
    folder.mkdir(parents=True)
    written = [folder]
    for path, text in texts.items():
        target = folder / rename(path.relative_to(template).as_posix())
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8", newline="\n") as file:
            file.write(rename(text))
        written.append(target)
    return written


def commands(folder: Path) -> list[str]:
    """What installs and tests a project that was written: the first commands of its README."""
    readme = (folder / "README.md").read_text("utf-8")
    return readme.partition("```sh\n")[2].partition("\n```")[0].splitlines()


def _template(kind: str) -> Path:
    here = Path(__file__)
    packed = here.with_name("templates") / kind
    return packed if packed.is_dir() else here.parents[3] / "examples" / f"plugin_{kind}"


def _files(template: Path) -> Iterator[Path]:
    # By pattern: a folder of the source tree may hold what a build has left
    for pattern in _FILES:
        yield from sorted(template.glob(pattern))


def _spellings(name: str) -> tuple[str, str, str]:
    """A layer's name as a class, a module and a distribution have it.

    >>> _spellings("RMSNorm2d")
    ('RMSNorm2d', 'rms_norm2d', 'rms-norm2d')
    """
    words = _WORD_START.sub(" ", name).lower().split()
    return name, "_".join(words), "-".join(words)


def _check(name: str, text: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise ValueError(
            f"a layer's class has a name like MyNorm: a capital, then up to 59 letters and "
            f"digits, got {shown(name, False)}"
        )
    owner = registry.registered(name)
    if owner is not None:
        raise ValueError(f"{name!r} is taken by {owner.owner}; choose another name")
    plugin = plugins.find(name)
    if plugin is not None:
        raise ValueError(f"{name!r} is taken by {plugin}; choose another name")
    if re.search(rf"\b{name}\b", text):
        raise ValueError(f"{name!r} means something else in the files to write; choose another")
