"""Config files to plain Python values: safely, within bounds, with the place of an error.

A file is text from anywhere, so nothing in it runs and its size is bounded before it is parsed:
``tomllib``, ``json``, and a ``yaml.SafeLoader``. What the three formats let pass in silence is an
error here: a key that is given twice (JSON, YAML) and numbers that are not finite (JSON). YAML's
merge key is welcome, since one norm config with small changes is what it is good for; how much may
be merged is bounded, since ten lines of it can otherwise fill the memory.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from .messages import place, shown

__all__ = ["read_config"]

MAX_BYTES = 2**20
MAX_MERGED = 100_000  # pairs that the merge keys of a YAML file may copy


def read_config(path: str | os.PathLike[str]) -> Any:
    """The content of a .toml, .json, .yaml or .yml file.

    FileNotFoundError where there is none; ValueError for a file that is no config: a directory, an
    unknown suffix, too large, not UTF-8, malformed; ImportError for YAML without PyYAML.
    """
    where, suffix = place(path), Path(path).suffix
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError(f"{where}: a config is a file, and this is none")
    with open(path, "rb") as file:
        data = file.read(MAX_BYTES + 1)
    name, parse = _FORMATS.get(suffix.lower(), (None, None))
    if parse is None:
        raise ValueError(
            f"{where}: a config file ends in .toml, .json, .yaml or .yml, got {suffix!r}"
        )
    if len(data) > MAX_BYTES:
        raise ValueError(f"{where}: a config file has at most {MAX_BYTES:,} bytes; split it")
    try:
        return parse(data.decode("utf-8-sig"))
    except ImportError as error:
        raise ImportError(f"{where}: {error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{where}: not UTF-8 text, see byte {error.start}") from error
    except RecursionError as error:
        raise ValueError(f"{where}: not valid {name}: nested too deeply") from error
    except Exception as error:  # parsers leak others: PyYAML gives an IndexError for `!!int ""`
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{where}: not valid {name}: {reason}") from error


def _json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for key, value in pairs:
        if key in table:
            raise ValueError(f"the key {shown(key, with_type=False)} is given twice")
        table[key] = value
    return table


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _yaml(text: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise ImportError('YAML needs PyYAML: pip install "cybn[yaml]"') from None
    try:
        return yaml.load(text, _yaml_loader())  # which derives from SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise ValueError(f"{error.problem or error.context}{place}") from error


@cache
def _yaml_loader() -> type:
    import yaml

    class Loader(yaml.SafeLoader):
        """Refuses a key given twice, bounds merging, and reads 1e-5 as YAML 1.2 does."""

        merged = 0

        def compose_mapping_node(self, anchor: Any) -> Any:
            node = super().compose_mapping_node(anchor)
            seen = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode):
                    if (key.tag, key.value) in seen:
                        twice = f"the key {shown(key.value, with_type=False)} is given twice"
                        raise yaml.constructor.ConstructorError(None, None, twice, key.start_mark)
                    seen.add((key.tag, key.value))
            return node

        def flatten_mapping(self, node: Any) -> None:
            # Called for each mapping, and for each time that one is merged, before it is copied
            super().flatten_mapping(node)
            self.merged += len(node.value)
            if self.merged > MAX_MERGED:
                limit = f"more than {MAX_MERGED:,} keys are merged"
                raise yaml.constructor.ConstructorError(None, None, limit, node.start_mark)

    # PyYAML follows YAML 1.1, for which 1e-5 is a str; an eps without a dot is too common to refuse
    number = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+.0123456789"))
    return Loader


_FORMATS = {
    ".toml": ("TOML", tomllib.loads),
    ".json": ("JSON", _json),
    ".yaml": ("YAML", _yaml),
    ".yml": ("YAML", _yaml),
}
