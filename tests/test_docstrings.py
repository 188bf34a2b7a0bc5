"""What `help` says: of every layer all there is to know, about things that exist, in one markup.

Of the layers of the examples, too, which are the templates of `cybn new`.
"""

import ast
import doctest
import importlib
import inspect
import io
import pickle
import pkgutil
import pydoc
import re
import sys
import types
from pathlib import Path

import pytest

import cybn
from cybn.terms.docstrings import parts_of
from cybn.terms.kinds import Choice
from cybn.terms.registry import registry
from cybn.terms.signature import options_of

LAYERS = registry.builtins()
OPTIONS = [(name, option) for name, cls in LAYERS.items() for option in options_of(cls)]
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(cybn.__path__, "cybn.")
    if not re.search(r"\._baseline$|\._x86_64_v3$|__main__$|\.templates", module.name)
)
ROOT = Path(__file__).parent.parent
EXAMPLES = {"python": "cybn_part_norm", "cython": "cybn_fast_part_norm"}
# What numpydoc asks for and is not wanted, and why.
IGNORED = {
    "GL01",  # the summary stands in the first line, where PEP 257 allows it
    "ES01",  # a summary may be enough
    "SA01",  # what is near is named in the text
    "EX01",  # layers, functions and tools have examples; not each method
    "PR04",  # types of functions are in their signatures; those of options are put in from there
}
# A method that overrides another takes and returns what that one says.
OVERRIDES = {"PR01", "RT01"}


def public():
    """Name, object and whether it overrides another, of all that is public in cybn."""
    found = {}
    for name in dir(cybn):
        value = getattr(cybn, name)
        members = getattr(value, "__all__", ()) if inspect.ismodule(value) else ()
        found |= {f"cybn.{name}.{each}": getattr(value, each) for each in members}
        if not inspect.ismodule(value) and name != "__version__":
            found[f"cybn.{name}"] = value
    for name, value in list(found.items()):
        for each in dir(value) if inspect.isclass(value) else ():
            plain = inspect.getattr_static(value, each)
            plain = getattr(plain, "__func__", getattr(plain, "fget", plain))
            if not each.startswith("_") and inspect.isfunction(plain):
                found[f"{name}.{each}"] = plain
    unlike = {id(value): name for name, value in reversed(found.items())}
    for name in unlike.values():
        value, (place, _, last) = found[name], name.rpartition(".")
        if inspect.isfunction(value) and getattr(value, "__module__", "").startswith("cybn"):
            bases = inspect.getmro(found[place]) if place in found else ()
            yield name, sum(last in vars(base) for base in bases) > 1
        elif inspect.isclass(value) and value.__module__.startswith("cybn"):
            yield name, False


def resolved(name):
    """What has this public name."""
    value = cybn
    for part in name.split(".")[1:]:
        value = getattr(value, part)
    return value


def built(cls):
    """A layer of the class."""
    required = {option.name: 4 for option in options_of(cls).values() if option.required}
    return cybn.create(cls, **{"num_features": 4} | required)


@pytest.fixture(params=EXAMPLES)
def example(request, own_registry, monkeypatch):
    """The class of an example, of which nothing is compiled."""
    package = EXAMPLES[request.param]
    monkeypatch.syspath_prepend(ROOT / "examples" / f"plugin_{request.param}" / "src")
    monkeypatch.setitem(sys.modules, f"{package}._kernels", types.ModuleType("_kernels"))
    monkeypatch.delitem(sys.modules, package, raising=False)
    module = importlib.import_module(package)
    yield vars(module)[module.__all__[0]]
    sys.modules.pop(package, None)


# Of every layer


@pytest.mark.parametrize("name", LAYERS)
def test_the_docstring_of_a_layer_has_all_parts(name):
    all_parts(LAYERS[name])


def test_that_of_an_example_has_them_too(example):
    all_parts(example)
    documented = [each for e in parts_of(example.__doc__).entries() for each in e.names]
    assert documented == list(options_of(example))


def all_parts(cls):
    text, name = cls.__doc__, cls.__name__
    doc = parts_of(text)
    assert len(doc.summary) > 20
    assert doc.summary.endswith(".")
    assert set(doc.sections) >= {"Parameters", "Attributes", "Raises", "Notes", "Examples"}
    assert ".. math::" in doc.sections["Notes"]
    assert re.search(r"\(N, C|\(N, L, C|\(\.\.\.|2-D", doc.sections["Notes"])
    assert {"TypeError", "ValueError"} <= {each for e in doc.entries("Raises") for each in e.names}
    assert name in doc.sections["Examples"]
    assert not re.search(r"<(name|d|shapes|last|batch|sample|ones)>", text)


def test_no_two_layers_have_the_same_docstring():
    assert len({cls.__doc__ for cls in LAYERS.values()}) == len(LAYERS)


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_every_option_is_explained(name, option):
    described = cybn.describe(name)["options"][option]
    assert len(described["description"]) > 10
    assert described["description"].endswith(".")
    assert cybn.schema(name)["properties"][option]["description"] == described["description"]
    entries = {each: e for e in parts_of(LAYERS[name].__doc__).entries() for each in e.names}
    assert entries[option].type.startswith(described["type"])


@pytest.mark.parametrize("name", LAYERS)
def test_the_options_stand_in_their_order(name):
    documented = [each for e in parts_of(LAYERS[name].__doc__).entries() for each in e.names]
    assert documented == list(options_of(LAYERS[name]))


@pytest.mark.parametrize("name", LAYERS)
def test_the_attributes_are_there(name):
    layer = built(LAYERS[name])
    for entry in parts_of(LAYERS[name].__doc__).entries("Attributes"):
        for each in entry.names:
            assert hasattr(layer, each), each


@pytest.mark.parametrize("name", LAYERS)
def test_help_and_the_command_show_it_all(name, capsys):
    from cybn.command.cli import main

    shown = pydoc.plain(pydoc.render_doc(LAYERS[name]))
    assert main(["describe", name]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    for option, described in cybn.describe(name)["options"].items():
        assert described["description"] in " ".join(re.sub(r"\n \|", "\n", shown).split())
        assert described["description"] in " ".join(out.split())
        assert f"\n{option}  {described['type'][:40]}" in out


@pytest.mark.parametrize("name", LAYERS)
def test_a_class_is_found_again(name):
    cls = LAYERS[name]
    assert pickle.loads(pickle.dumps(cls)) is cls
    assert getattr(sys.modules[cls.__module__], name) is cls
    assert cls.__qualname__ == cls.__name__ == name


# Names


def exists(token, cls):
    """Is what a docstring of this class, or of none, has in backticks something that there is?"""
    token = token.strip().strip("`")
    head = re.split(r"[(=\[ ]", token.removeprefix("\\*"))[0]
    root, *rest = head.split(".")
    if root == "layer" or (not rest and cls is not None):
        names = rest if root == "layer" else [root]
        return not names or cls is None or known(names[0], cls)
    return reachable(head) if root in ("cybn", "numpy") else known(head, cls)


def reachable(dotted):
    root, *rest = dotted.split(".")
    value = importlib.import_module(root)
    for i, each in enumerate(rest):
        try:
            value = getattr(value, each)
        except AttributeError:
            try:
                value = importlib.import_module(".".join([root, *rest[: i + 1]]))
            except ImportError:
                return False
    return True


def known(name, cls):
    options, layer = options_of(cls), built(cls)
    inputs = {each for m in (cls.apply, cls.forward) for each in inspect.signature(m).parameters}
    choices = {
        value for o in options.values() for kind in o.kind.alternatives()
        if isinstance(kind, Choice) for value in kind.values
    }  # fmt: skip
    return (
        name in {*options, *inputs, *layer.state_dict(), *choices, *LAYERS}
        or hasattr(layer, name)
        or name in cybn.functional.__all__
    )


@pytest.mark.parametrize("name", LAYERS)
def test_what_a_docstring_names_is_there(name):
    cls = LAYERS[name]
    methods = [
        member.__doc__ for each in dir(cls)
        if not each.startswith("_") and inspect.isfunction(member := getattr(cls, each))
    ]  # fmt: skip
    for text in filter(None, [cls.__doc__, *methods]):
        prose = {k: v for k, v in parts_of(text).sections.items() if k != "References"}
        text = "\n".join([*parts_of(text)[:2], *prose.values()])
        for dotted in re.findall(r"\bcybn(?:\.\w+)+", text):
            assert reachable(dotted), dotted
    prose = {k: v for k, v in parts_of(cls.__doc__).sections.items() if k != "References"}
    text = "\n".join([*parts_of(cls.__doc__)[:2], *prose.values()])
    for token in re.findall(r"`([^`\n]+)`", text):
        assert exists(token, cls), token
    for other in re.findall(r"\b[A-Z]\w*(?:Norm|Renorm)(?:\dd)?\b(?! in )", text):
        assert other in LAYERS, other
    for other in re.findall(r"\b[Ss]ee (?:also )?`?([A-Z]\w+)", text):
        assert other in LAYERS, other


# All of cybn


PUBLIC = list(public())


@pytest.mark.parametrize(("name", "overrides"), PUBLIC)
def test_numpydoc_finds_nothing_wrong(name, overrides):
    assert not wrong_in(name, overrides)


def test_nor_in_an_example(example):
    name = f"{example.__module__}.{example.__name__}"
    assert not wrong_in(name, False)
    assert not [w for each in ("apply", "pullback") for w in wrong_in(f"{name}.{each}", True)]


def wrong_in(name, overrides):
    validate = pytest.importorskip("numpydoc.validate", reason='numpydoc is in ".[test]"')
    return [
        f"{code}: {what}" for code, what in validate.validate(name)["errors"]
        if code not in IGNORED and not (overrides and code in {*OVERRIDES, "GL08"})
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "overrides"), PUBLIC)
def test_it_renders(name, overrides):
    assert not said_of(inspect.getdoc(resolved(name)))


def test_an_example_renders(example):
    assert not said_of(example.__doc__)


def said_of(doc):
    """What docutils, as Sphinx has it, says of markup that does not close or is unknown."""
    sphinx = pytest.importorskip("numpydoc.docscrape_sphinx", reason='numpydoc is in ".[test]"')
    from docutils.core import publish_doctree
    from docutils.parsers.rst import Directive, directives

    class Only(Directive):
        """Sphinx's, for references in LaTeX alone."""

        has_content = True

        def run(self):
            return []

    directives.register_directive("only", Only)
    text = str(sphinx.SphinxDocString(doc, config={"show_class_members": False}))
    said = io.StringIO()
    publish_doctree(text, settings_overrides={"warning_stream": said, "report_level": 2})
    return said.getvalue()


SOURCES = [
    path for folder in ("src", "examples", "benchmarks", ".ci", "tests")
    for path in sorted((ROOT / folder).rglob("*.py")) if "build" not in path.parts
]  # fmt: skip


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_headings_stand_alone(path):
    """A heading of numpydoc and its rule, run together with the text, are no section to anybody."""
    kinds = ast.Module, ast.ClassDef, ast.FunctionDef
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        doc = (ast.get_docstring(node) if isinstance(node, kinds) else None) or ""
        assert not re.search(r"^ *\w.* -{3,}( |$)|^-{3,} +\S", doc, re.MULTILINE), node.lineno


@pytest.mark.parametrize("name", MODULES)
def test_the_samples_run(name, own_registry):
    if name.startswith("cybn.torch"):
        pytest.importorskip("torch", reason="cybn.torch needs PyTorch: pip install torch")
    module = importlib.import_module(name)
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    for test in finder.find(module):
        runner.run(test)
    assert not runner.failures
    assert runner.tries or name not in {"cybn.layers.batch.batchnorm", "cybn.functional.batch"}
