"""Writes the tables of docs/dialects.md from the dialects: what is taken, and with which meaning.

The page is checked in; tests/test_dialects.py fails where it is out of date.

    python .ci/dialects.py             write it
    python .ci/dialects.py --check     only tell whether it is up to date
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from cybn.config.dialects.hf import MODELS
from cybn.config.dialects.lacking import lacking
from cybn.config.dialects.shelf import BUILT_IN, find
from cybn.config.dialects.table import Dialect, Norm
from cybn.config.dialects.words import REQUIRED, UNSET, Refused, Unused, Word
from cybn.terms.registry import registry

PAGE = Path(__file__).parents[1] / "docs" / "dialects.md"
BEGIN, END = "<!-- Written by .ci/dialects.py. -->\n", "<!-- The end of what it writes. -->\n"


def tables() -> str:
    """All of them, as Markdown."""
    lines = [line for name in BUILT_IN for line in _dialect(find(name))]
    return "\n".join([*lines, *_arrays()])


def page(text: str) -> str:
    """The page with the tables in it."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{tables()}\n{END}{after}"


def _dialect(dialect: Dialect) -> Iterable[str]:
    yield f"### {dialect.name}: {dialect.title}\n"
    places = ", ".join(f"<{source}>" for source in dialect.sources)
    yield f"Read from {places}.\n"
    yield "| there → here | options there, their defaults, and what they mean here |"
    yield "|---|---|"
    alike: dict[tuple[str, str], list[str]] = {}  # norms with the same words, in one row
    refused = []
    for norm in dialect.norms:
        if reason := _refusal(norm):
            refused.append((norm, reason))
        else:
            key = _always(norm), _words(norm)
            alike.setdefault(key, []).append(f"{_names(norm)} → {_layer(norm)}")
    for (always, words), norms in alike.items():
        here = f"{'<br>'.join(norms)}{f'<br>with {always}' if always else ''}"
        yield f"| {here} | {words} |"
    yield ""
    if refused:
        yield "| refused | why |"
        yield "|---|---|"
        yield from (f"| {_names(norm)} | {reason} |" for norm, reason in refused)
        yield ""
    if dialect.name == "hf":
        yield from _models()


def _arrays() -> Iterable[str]:
    yield "## Names of arrays\n"
    yield "What `load_state_dict(state, dialect=)` takes beside our own names, which are PyTorch's"
    yield "([saving.md](saving.md)). Several with a plus are joined.\n"
    yield "| dialect | layer | here ← there |"
    yield "|---|---|---|"
    rows: dict[tuple[str, str], list[str]] = {}
    for name in BUILT_IN:
        state = find(name).state
        for layer, names in (("every", state.names), *state.of.items()):
            told = [f"`{ours}` ← {_either(theirs)}" for ours, theirs in names.items()]
            if told:
                rows.setdefault((layer, "; ".join(told)), []).append(f"`{name}`")
    for (layer, told), dialects in rows.items():
        yield f"| {', '.join(dialects)} | {layer} | {told} |"
    yield ""


def _either(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _names(norm: Norm) -> str:
    return ", ".join(f"`{name}`" for name in norm.names)


def _layer(norm: Norm) -> str:
    layer = norm.layer.replace("{}d", "1d, 2d, 3d")
    return f"{layer} of all processes" if norm.synchronized else layer


def _always(norm: Norm) -> str:
    return ", ".join(f"`{name}={value!r}`" for name, value in norm.always.items())


def _refusal(norm: Norm) -> str:
    """Why a norm is refused whatever its options are; empty where it is not."""
    if norm.refused is not None:
        return str(norm.refused)
    cls = registry.find(norm.layer.format(2))
    try:
        lacking(cls, dict(norm.always), "")
    except Refused as error:
        return str(error).removeprefix(": ").replace(f"{{'type': '{cls.__name__}'}}", cls.__name__)
    return ""


def _words(norm: Norm) -> str:
    told = [_word(name, word) for name, word in norm.words.items() if not isinstance(word, Unused)]
    unused = [f"`{name}`" for name, word in norm.words.items() if isinstance(word, Unused)]
    return "; ".join(told + ([f"of no effect: {', '.join(unused)}"] if unused else []))


def _word(name: str, word: Word) -> str:
    default = "" if word.default in (UNSET, REQUIRED) else f" ({word.default!r})"
    default = " (required)" if word.default is REQUIRED else default
    same = word.says() == f"`{name}`"
    return f"`{name}`{default}" + ("" if same else f": {word.says()}")


def _models() -> Iterable[str]:
    yield "| `model_type` or `_class_name` | norm | eps | width |"
    yield "|---|---|---|---|"
    rows: dict[tuple[str, ...], list[str]] = {}
    for name, model in MODELS.items():
        eps = f"`{model.eps}`" if isinstance(model.eps, str) else repr(model.eps)
        width = f"`{model.width}`" if model.width else "given in the call"
        rows.setdefault((f"`{model.norm}`", eps, width), []).append(f"`{name}`")
    for row, names in rows.items():
        yield f"| {', '.join(names)} | {' | '.join(row)} |"
    yield ""


def main(arguments: list[str]) -> int:
    text = PAGE.read_text(encoding="utf-8")
    if "--check" not in arguments:
        PAGE.write_text(page(text), encoding="utf-8")
    elif page(text) != text:
        print(f"{PAGE.name} is out of date; run: python .ci/dialects.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
