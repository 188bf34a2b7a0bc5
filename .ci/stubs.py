"""Writes src/cybn/__init__.pyi: what `cybn` offers, for type checkers and editors.

`cybn/__init__.py` imports names when they are first used, which no type checker can follow. The
stub says where each one is from, and has a class statement for each built-in layer, with its
options and attributes, and an overload of `create` for its names, so that `create("BN2d", ...)` is
a BatchNorm2d and an editor completes the name and the options. By another name `create` takes the
options that any built-in has: one overload for whatever is given would take the slips in all the
others. It is written from the registry and checked in; tests/test_typing.py fails where it is out
of date. Rejected: by hand, one more list to keep; while building, when it would be missing from the
tree.

    python .ci/stubs.py             write it
    python .ci/stubs.py --check     only tell whether it is up to date
"""

import re
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from stubs_types import attributes, given, parameter

import cybn
from cybn.functional.gates import ACTIVATIONS
from cybn.terms.registry import Entry, registry
from cybn.terms.signature import options_of, run_time_of

STUB = Path(__file__).parents[1] / "src" / "cybn" / "__init__.pyi"
WIDTH = 100
HEAD = """\
# Written by .ci/stubs.py from the registry. Do not edit: run `python .ci/stubs.py`.

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict, TypeVar, Unpack, overload

import numpy as np
from numpy.typing import NDArray

"""
CREATE = """\
_Layer = TypeVar("_Layer", bound=Layer)

@overload
def create(spec: None, /, **options: Any) -> None: ...
@overload
def create(spec: Any, /, *, dialect: str | Dialect, **options: Any) -> Layer | None: ...
@overload
def create(spec: type[_Layer], /, **options: Any) -> _Layer: ...
"""
CREATE_ANY = """\
@overload
def create(spec: Mapping[str, Any], /, *, dialect: None = None, **options: Any) -> Layer: ...
@overload
def create(spec: str, /, *, dialect: None = None, **options: Unpack[_AnyOptions]) -> Layer: ...
"""


def stub() -> str:
    """The text of the stub."""
    layers = list(map(registry.entry, sorted(registry.builtins(), key=str.casefold)))
    public = sorted({*cybn._PLACES, *cybn._MODULES, *(entry.name for entry in layers)}, key=_rank)
    # What many options may be has a name, since a line of it is too long.
    activations = [f'"{name}"' for name in ACTIVATIONS]
    text = "".join(
        [
            "\n__version__: str\n\n",
            _listing("__all__ = [", [f'"{name}"' for name in public], "]"),
            "\n",
            *map(_class, layers),
            *_tables(layers),
            CREATE,
            *map(_overload, layers),
            CREATE_ANY,
        ]
    ).replace(f"Literal[{', '.join(activations)}]", "_Activation")
    alias = _listing("_Activation = Literal[", activations, "]")
    return "".join([HEAD, *_imports(layers), "\n", alias, text])


def _imports(layers: Iterable[Entry]) -> Iterable[str]:
    names = defaultdict(list)
    for name, module in cybn._PLACES.items():
        if name != "create":
            names[f".{module}"].append(name)
    for entry in layers:
        assert entry.cls.__name__ == entry.name, f"{entry.owner} is registered as {entry.name}"
        for cls in entry.cls.__bases__ if _is_ranked(entry.cls) else (entry.cls,):
            name, place = _named(cls)[0], cls.__module__.removeprefix("cybn")
            if not _is_ranked(cls) and name not in names[place]:
                names[place].append(name)
    yield f"from . import {', '.join(sorted(cybn._MODULES))}\n"
    names[".config.dialects.table"].append("Dialect")  # which `create` takes
    for module in sorted(names):
        plain = [name for name in names[module] if " as " not in name]
        for group in ([plain] if plain else []) + [[n] for n in names[module] if n not in plain]:
            yield _listing(f"from {module} import ", sorted(group, key=_rank), "", "()")


def _class(entry: Entry) -> str:
    cls = entry.cls
    bases = cls.__bases__ if _is_ranked(cls) else (cls,)
    lines = [f"class {entry.name}({', '.join(_named(each)[-1] for each in bases)}):"]
    for name, type_ in attributes(cls):
        other = name in vars(cls) or any(
            dict(attributes(base)).get(name, type_) != type_
            for base in cls.__bases__
            if registry.entry_of(base)
        )  # than in a base, as the width of a lazy layer
        ignored = "  # type: ignore[assignment, unused-ignore]" if other else ""
        lines.append(f"    {name}: {type_}{ignored}")
    options = options_of(cls).values()
    own = [parameter(each) for each in options if not each.keyword_only]
    named = [parameter(each) for each in options if each.keyword_only]
    named += [f"{name}: Any = ..." for name in run_time_of(cls)]
    parameters = ["self", *own, *(["*", *named] if named else [])]
    lines.append(
        _listing("    def __init__(", parameters, ") -> None: ...", indent="    ").rstrip()
    )
    for name in ("__getattr__", "__setattr__"):  # of the base, which take any name
        lines.append(f"    {name}: None  # type: ignore[misc, assignment, unused-ignore]")
    return "\n".join(lines) + "\n\n"


def _tables(layers: Iterable[Entry]) -> Iterable[str]:
    # The options of each layer, by name; those of 1d, 2d and 3d are alike
    union: dict[str, dict[str, None]] = {}
    for name, options in _options(layers).items():
        yield f"class {name}(TypedDict, total=False):\n"
        yield from (f"    {option}: {type_}\n" for option, type_ in options.items())
        yield "\n"
        for option, type_ in options.items():
            union.setdefault(option, {}).update(dict.fromkeys(type_.split(" | ")))
    yield "class _AnyOptions(TypedDict, total=False):\n"
    for option, types in union.items():
        yield f"    {option}: {' | '.join(sorted(types, key=lambda type_: type_ == 'None'))}\n"
    yield "\n"


def _options(layers: Iterable[Entry]) -> dict[str, dict[str, str]]:
    tables = {}
    for entry in layers:
        own = {name: given(option.kind) for name, option in options_of(entry.cls).items()}
        tables[_table(entry)] = {"num_features": "int", **own}
    return tables


def _table(entry: Entry) -> str:
    return f"_{re.sub('[123]d$', '', entry.name)}Options"


def _named(cls: type) -> tuple[str, ...]:
    # How a class is imported, and called then: that of the stub has the public name
    name = cls.__name__
    return (name,) if _is_ranked(cls) else (f"{name} as _{name}", f"_{name}")


def _is_ranked(cls: type) -> bool:
    source = Path(sys.modules[cls.__module__].__file__).read_text(encoding="utf-8")
    return f"class {cls.__name__}(" not in source


def _overload(entry: Entry) -> str:
    quoted = [f'"{name}"' for name in entry.names]
    options = f"**options: Unpack[{_table(entry)}]"
    line = f"def create(spec: Literal[{', '.join(quoted)}], /, {options}) -> {entry.name}: ..."
    if len(line) > WIDTH:
        spec = _listing("    spec: Literal[", quoted, "],", indent="    ")
        line = f"def create(\n{spec}    /,\n    {options},\n) -> {entry.name}: ..."
    return f"@overload\n{line}\n"


def _listing(head: str, items: list[str], tail: str, brackets: str = "", indent: str = "") -> str:
    """`head a, b, c tail` on one line, or an item to a line where that is too long."""
    line = f"{head}{', '.join(items)}{tail}"
    if len(line) <= WIDTH:
        return f"{line}\n"
    opening, closing = brackets or ("", "")
    each = "".join(f"{indent}    {item},\n" for item in items)
    return f"{head}{opening}\n{each}{indent}{closing}{tail}\n"


def _rank(name: str) -> tuple:
    # As ruff sorts names: constants, classes, the rest; numbers in them by value
    kind = 0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2
    return kind, [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def main(arguments: list[str]) -> int:
    text = stub()
    if "--check" not in arguments:
        STUB.write_text(text, encoding="utf-8")
    elif not STUB.exists() or STUB.read_text(encoding="utf-8") != text:
        print(f"{STUB.name} is out of date; run: python .ci/stubs.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
