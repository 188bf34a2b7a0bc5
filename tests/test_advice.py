"""The advice in an error can be followed: every message that gives some is followed.

`tests/advice` has the situations. What advises is found in the source: texts in a `raise`, or
anywhere but in docstrings, that tell to do something. Each has to be in the message of a situation,
or in ELSEWHERE with the test that follows it, so that new advice is noticed here.
"""

import ast
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from advice import SITUATIONS

import cybn

SOURCE = Path(cybn.__file__).parent
_VERBS = (
    "add apply assign build call change choose clean convert derive drop evaluate fill give install"
    " keep leave load make mask move normalize pass pip put recalibrate register remove rename"
    " repeat replace rewrite say scale set split strip take use write"
)
#: a text that tells to do something: it begins with a verb, or has one after a mark or an "or"
ADVICE = re.compile(rf"(?:^|[;:,] |\bor )(?:or )?(?:{'|'.join(_VERBS.split())})\b")
#: what is as good as advice: a value that would do
VALUE = re.compile(r"(is|are) usual\b|is a new one\b|would fit\b|set it$|\bdid you mean\b")

#: texts that look like advice, and which test follows them or why nobody can
ELSEWHERE = {
    "command/cli.py": "texts of the command line, in test_cli.py",
    "testing/_rules.py": "what a report says; wronglayers has a layer for each check",
    "testing/_checks": "what a report says; wronglayers has a layer for each check",
    "config/admission.py": "of a plugin's entry point, in test_broken_plugins.py",
    "terms/words.py": "what docstrings say, in test_docstrings.py",
    "terms/environment.py": "of the environment at import, in test_environment.py",
    "kernels/levels.py": "of the environment at import, in test_bitwise.py",
    "config/dialects/shelf.py: ; uninstall": "of plugins that clash, in test_dialects.py",
    "config/dialects/onnx.py: 21 or later": "a phrase of a table",
    "config/plugins.py": "of plugins that clash, in test_plugins.py and test_broken_plugins.py",
    "torch/models": "of PyTorch models, in test_torch_convert.py, _fold_models, _layers and _table",
    "tools/recalibrate.py: recalibrate left out": "tells what was done",
    "tools/safetensors.py": "in test_saving.py and test_hostile_state.py",
    "tools/recalibrate.py: recalibrate, the calls": "names an exchange",
    "exchange/mpi.py: ; rank ": "tells which rank waited",
    "testing/_subject.py: ), which has no default; pass one": "in test_testing.py",
    "command/completion.py": "of an environment without shtab",
    "command/listing.py": "names a command",
    "torch/version.py": "of an environment without PyTorch, in test_torch_refused.py",
}


def advice():
    """Where a text stands in the source, and the text, for all that advise."""
    for path in sorted(SOURCE.rglob("*.py")):
        place = path.relative_to(SOURCE).as_posix()
        tree = ast.parse(path.read_text("utf-8"))
        docstrings = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and node.body
            if isinstance(node.body[0], ast.Expr)
        }
        raised = {
            id(part)
            for node in ast.walk(tree)
            if isinstance(node, ast.Raise)
            for part in ast.walk(node)
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.Constant) or id(node) in docstrings:
                continue
            text = node.value
            if not isinstance(text, str) or " " not in text.strip(" "):
                continue
            fix = id(node) in raised and "; " in text  # what stands after it is the fix
            if fix or ADVICE.search(text) or VALUE.search(text):
                yield place, text


def is_elsewhere(place, text):
    named = (each.partition(": ") for each in ELSEWHERE)
    return any(place.startswith(where) and text.startswith(what) for where, _, what in named)


@pytest.fixture
def given(tmp_path, monkeypatch, own_registry):
    """What a situation may need."""

    def warns(message):
        return pytest.warns(RuntimeWarning, match=message)

    return SimpleNamespace(folder=tmp_path, monkeypatch=monkeypatch, warns=warns)


def message_of(call):
    errors = AttributeError, ImportError, RuntimeError, TypeError, ValueError
    with pytest.raises(errors) as caught:
        call()
    assert re.search(r"\bcybn\b", str(caught.traceback[-1].path)), "an error of someone else's"
    return str(caught.value)


@pytest.mark.parametrize("name", SITUATIONS)
def test_advice_can_be_followed(name, given):
    calls = SITUATIONS[name](given)
    message = message_of(next(calls))
    followed = 0
    for call in calls:
        call()
        followed += 1
    assert followed, message


def test_all_advice_is_followed(given):
    messages = [message_of(next(situation(given))) for situation in SITUATIONS.values()]
    missing = [
        f"{place}: {text!r}"
        for place, text in advice()
        if not is_elsewhere(place, text) and not any(text.strip() in each for each in messages)
    ]
    assert not missing, "\n".join(missing)


def test_what_is_said_to_be_elsewhere_is_there():
    found = list(advice())
    for each in ELSEWHERE:
        where, _, what = each.partition(": ")
        assert any(place.startswith(where) and text.startswith(what) for place, text in found), each


def test_advice_is_found_in_the_source():
    found = [text for _, text in advice()]
    assert len(found) > 90
    for text in (" first", "; pass another array", "; 1e-5 is usual", ".backward needs a forward"):
        assert any(text in each for each in found), text
