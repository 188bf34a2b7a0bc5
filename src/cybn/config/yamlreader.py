"""YAML to plain Python values, within bounds: a page can otherwise fill memory, or take hours.

PyYAML's SafeLoader, with a few lines of it replaced. Merging is written anew, since what a release
of PyYAML copies differs; PyYAML's C parser was rejected, since its composer cannot be bounded.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from ..terms.messages import shown

__all__ = ["MAX_MERGED", "MAX_SPELT", "read_yaml"]

MAX_MERGED = 100_000  # pairs that merge keys may look at
MAX_SPELT = 1_000_000  # values, with those that aliases repeat
MAX_NUMBER = 1_000  # characters; sixty-based numbers take quadratic time
MAX_ODD_KEYS = 1_000  # in a table: numbers can be chosen so that their hashes are one and the same

_TAG = "tag:yaml.org,2002:"


def read_yaml(text: str) -> Any:
    """The one document in a YAML text; ValueError with the place of what is wrong with it."""
    try:
        import yaml
    except ImportError:
        raise ImportError('YAML needs PyYAML: pip install "cybn[yaml]"') from None
    try:
        tree = yaml.load(text, _loader())  # which derives from SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise ValueError(f"{error.problem or error.context}{place}") from error
    _count(tree, {})
    return tree


def _count(value: Any, counts: dict[int, int | None]) -> int:
    # How many values it spells; each list or dict is gone through once, whoever shares it
    if not isinstance(value, (list, dict, tuple)):
        return 1
    if id(value) not in counts:
        counts[id(value)] = None
        total = 1
        for item in value.values() if isinstance(value, dict) else value:
            total += _count(item, counts)
        if total > MAX_SPELT:
            raise ValueError(f"aliases spell more than {MAX_SPELT:,} values")
        counts[id(value)] = total
    total = counts[id(value)]
    if total is None:
        raise ValueError("a list or table holds itself")
    return total


@cache
def _loader() -> type:
    import yaml

    def wrong(text: str, node: yaml.Node) -> Exception:
        return yaml.constructor.ConstructorError(None, None, text, node.start_mark)

    class Loader(yaml.SafeLoader):
        """Refuses a key given twice, bounds merging, and reads 1e-5 as YAML 1.2 does."""

        merged = 0

        def compose_mapping_node(self, anchor: Any) -> Any:
            node = super().compose_mapping_node(anchor)
            seen = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode):
                    if _key(key) in seen:
                        name = shown(key.value, with_type=False)
                        raise wrong(f"the key {name} is given twice", key)
                    seen.add(_key(key))
            return node

        def flatten_mapping(self, node: Any) -> None:
            """Put the pairs that the merge key names before the mapping's own, each key once."""
            for key, _ in node.value:
                if key.tag == f"{_TAG}value":  # the key `=`
                    key.tag = f"{_TAG}str"
            own = [pair for pair in node.value if pair[0].tag != f"{_TAG}merge"]
            sources = [value for key, value in node.value if key.tag == f"{_TAG}merge"]
            node.value = own  # first, so that a mapping which merges itself comes to an end
            taken = {_key(key) for key, _ in own} if sources else set()
            merged = []
            for source in sources:
                for each in source.value if isinstance(source, yaml.SequenceNode) else [source]:
                    if not isinstance(each, yaml.MappingNode):
                        raise wrong(f"expected a mapping for merging, but found {each.id}", each)
                    self.flatten_mapping(each)
                    self.merged += len(each.value)
                    if self.merged > MAX_MERGED:
                        raise wrong(f"more than {MAX_MERGED:,} keys are merged", node)
                    new = [pair for pair in each.value if _key(pair[0]) not in taken]
                    taken.update(_key(key) for key, _ in new)
                    merged += new
            node.value = merged + own
            odd = sum(key.tag != f"{_TAG}str" for key, _ in node.value)
            if odd > MAX_ODD_KEYS:
                raise wrong(f"more than {MAX_ODD_KEYS:,} keys of a table are no text", node)

        def construct_number(self, node: Any) -> Any:
            if len(node.value) > MAX_NUMBER:
                raise wrong(f"a number has more than {MAX_NUMBER:,} characters", node)
            whole = node.tag == f"{_TAG}int"
            return self.construct_yaml_int(node) if whole else self.construct_yaml_float(node)

    for name in ("int", "float"):
        Loader.add_constructor(f"{_TAG}{name}", Loader.construct_number)
    # PyYAML follows YAML 1.1, for which 1e-5 is a str; an eps without a dot is too common to refuse
    number = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+$")
    Loader.add_implicit_resolver(f"{_TAG}float", number, list("-+.0123456789"))
    return Loader


def _key(node: Any) -> tuple[str, Any]:
    # What tells one key from another; a list or table cannot be one, and is refused later
    return node.tag, node.value if isinstance(node.value, str) else id(node)
