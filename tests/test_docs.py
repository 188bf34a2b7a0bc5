"""The pages of docs/: what they execute, what they link to, and what is written from the registry.

Samples with prompts are doctests of their own; that the site builds without a warning, and is
whole in a browser, is for `.ci/run` to see.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import cybn
from cybn.terms.docstrings import parts_of

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
OUTER = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES = [
    page
    for page in sorted(DOCS.rglob("*.md"))
    if not {"build", "project"} & {*page.relative_to(DOCS).parts}
]
EXECUTED = [page for page in PAGES if page.read_text("utf-8").startswith("---\njupytext:")]
pages = pytest.mark.parametrize(
    "page", [*PAGES, *OUTER], ids=lambda page: page.relative_to(ROOT).as_posix()
)


@pytest.fixture
def tools(monkeypatch):
    """What builds the site can be imported."""
    monkeypatch.syspath_prepend(DOCS / "_ext")
    monkeypatch.syspath_prepend(ROOT / "examples")
    before = {*sys.modules}
    yield
    for name in {*sys.modules} - before:
        where = getattr(sys.modules[name], "__file__", None) or ""
        if where.startswith((str(DOCS), str(ROOT / "examples"))):
            del sys.modules[name]


# Executed pages

CELL = re.compile(r"^```\{code-cell\} python\n((?::[^\n]*\n)*)(.*?)^```$", re.DOTALL | re.MULTILINE)
RUN = """
import ast, sys
sys.path[:0] = sys.argv[2:]
for source, fails in ast.literal_eval(open(sys.argv[1], encoding="utf-8").read()):
    try:
        exec(compile(source, "a cell", "exec"), globals())
    except Exception:
        if not fails:
            raise
    else:
        assert not fails, f"no error, where one is to be shown: {source}"
"""


@pytest.mark.parametrize("page", EXECUTED, ids=lambda page: page.stem)
def test_the_cells_of_a_page_run(page, tmp_path):
    for package in ("matplotlib", "sklearn", "threadpoolctl", "tqdm"):
        pytest.importorskip(package, reason=f'pages need {package}: pip install ".[docs,examples]"')
    cells = [
        (body, "raises-exception" in head) for head, body in CELL.findall(page.read_text("utf-8"))
    ]
    assert cells
    assert all(ast.parse(body) for body, _ in cells)
    (tmp_path / "cells").write_text(repr(cells), "utf-8")
    command = [sys.executable, "-c", RUN, tmp_path / "cells", DOCS / "_ext", ROOT / "examples"]
    env = {**os.environ, "MPLBACKEND": "agg", "OPENBLAS_NUM_THREADS": "1"}
    env["CYBN_DOCS_RECORDED"] = "1"  # the commands of examples have tests of their own
    done = subprocess.run(
        command, capture_output=True, text=True, env=env, cwd=tmp_path, timeout=300
    )
    assert done.returncode == 0, done.stderr


def test_the_site_brings_what_examples_need():
    """Pages run them, in an environment that may have nothing but the extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert {*extras["examples"]} <= {*extras["docs"]}


def test_there_are_executed_pages():
    assert {"lecture", "choosing", "ioffe_szegedy"} <= {page.stem for page in EXECUTED}


def test_every_command_of_a_page_is_recorded(tools):
    import live

    commands = live.commands()
    assert len(commands) > 3
    kept = {path.name for path in live.RECORDED.iterdir()}
    assert kept == {live.place(each).name for each in commands}


def test_a_page_says_what_is_recorded(tools, monkeypatch):
    import live

    command = live.commands()[0]
    told = live.output(command, "no_such_module")
    assert told.startswith(f"$ {command}\n")
    assert re.search(r"\(recorded: (\w+ and )?no_such_module not installed here\)\n\Z", told)
    monkeypatch.delenv("CYBN_DOCS_RECORDED", raising=False)
    monkeypatch.setattr(live, "run", lambda command: "now\n")
    assert live.output("python examples/digits.py", "sys") == "$ python examples/digits.py\nnow\n"


# Links


def targets(text):
    """What a page links to and shows, outside of code."""
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"\]\(([^)\s]+)\)", text)


def anchors(path):
    """The headings of a page as its links name them."""
    text = re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pages
def test_links_lead_somewhere(page):
    for target in targets(page.read_text("utf-8")):
        place, _, anchor = target.partition("#")
        if re.match(r"https?:|mailto:", target):
            continue
        path = (page.parent / place).resolve() if place else page
        if path.is_relative_to(DOCS / "reference" / "made"):
            assert path.suffix == ".rst"  # written when the site is built, which checks it
            continue
        assert path.exists(), target
        if anchor:
            assert anchor in {*anchors(path)}, target


@pages
def test_pictures_are_described(page):
    assert all(re.findall(r"!\[([^\]]*)\]\(", page.read_text("utf-8"))), "a picture without words"


def test_every_page_is_in_the_index():
    linked = {
        (DOCS / t.partition("#")[0]).resolve()
        for t in targets((DOCS / "index.md").read_text("utf-8"))
    }
    tables = {DOCS / f"{name}.md" for name in ("index", "guide", "trust", "develop")}
    inner = {page for page in PAGES if page.parent.name in ("gallery", "reference")}
    assert {*PAGES} - tables - inner <= linked


# What is written from the registry


@pytest.mark.parametrize("name", cybn.available())
def test_the_reference_has_a_page_for_every_layer(tools, name):
    import reference

    page = reference.layer_page(name)
    about = cybn.describe(name)
    assert page.startswith(f"{name}\n{'=' * len(name)}\n")
    assert all(f"``{alias}``" in page for alias in about["aliases"])
    assert all(f"- ``{option}``\n" in page for option in about["options"])
    assert f".. autoclass:: cybn.{name}(" in page
    assert ".. math::" in getattr(cybn, name).__doc__
    assert f"   {name}\n" in reference.layers_page()


def test_a_new_layer_is_in_the_reference_by_itself(tools, own_registry):
    import reference

    @cybn.register("Newest")
    class Newest(cybn.Layer):
        """Do nothing."""

        def __init__(self, num_features: int, strength: float = 0.5): ...

    page = reference.layer_page("Newest")
    assert "cybn.Newest(num_features, strength=0.5)" in page
    assert "- ``strength``" in page


def test_the_table_of_features_is_what_layers_do(tools):
    import survey

    found = {row.family.name: row for row in survey.rows()}
    covered = {name for row in found.values() for name in row.family.members}
    assert covered == {n for n in cybn.available() if cybn.describe(n)["distribution"] is None}
    batch, layer, instance = (found[f"{name}Norm"] for name in ("Batch", "Layer", "Instance"))
    assert (batch.training, batch.evaluation) == ("samples, places", "nothing else")
    assert (layer.training, layer.evaluation) == ("channels", "channels")
    assert instance.training == "places"
    assert found["GroupNorm"].training == "some channels, places"
    assert found["GhostBatchNorm"].training == "some samples, places"
    assert found["IBN"].training == "places; or samples, places"
    assert batch.learned == ["weight", "bias"]
    assert (batch.fused, batch.folds, batch.recalibrated) == (True, True, True)
    assert batch.inputs == found["LazyBatchNorm"].inputs == ["residual", "mask"]
    assert found["DomainSpecificBatchNorm"].inputs == ["domain", "residual", "mask"]
    assert not layer.folds


def test_every_option_is_on_one_page(tools):
    import everyoption

    page = everyoption.page()
    for name in everyoption.options():
        _, _, part = page.partition(f".. _option-{name}:\n")
        part = part.partition("\n.. _option-")[0]
        for family in everyoption.families(name):
            for member in family.members:
                meant = cybn.schema(member)["properties"][name].get("description", "")
                assert f"     - {meant}".rstrip() in part
            assert family.name in part


@pytest.mark.parametrize("name", cybn.available())
def test_every_formula_becomes_mathml(tools, name):
    pytest.importorskip("sphinx", reason='the site needs Sphinx: pip install ".[docs]"')
    import mathml
    from docutils.utils.math.latex2mathml import tex2mathml

    notes = parts_of(getattr(cybn, name).__doc__).sections["Notes"]
    formulas = re.findall(r"\.\. math::(.*?)(?=\n\S|\Z)", notes, re.DOTALL)
    assert formulas
    for formula in formulas:
        made = mathml.mended(tex2mathml(mathml.words(mathml.aligned(formula)), as_block=True))
        assert made.startswith("<math")
        if "weight" in formula:
            assert "<mi>weight</mi>" in made  # one name, not six


def test_an_index_stands_beside_a_letter_with_an_accent(tools):
    pytest.importorskip("sphinx", reason='the site needs Sphinx: pip install ".[docs]"')
    import mathml
    from docutils.utils.math.latex2mathml import tex2mathml

    made = "".join(
        mathml.mended(tex2mathml(r"\hat{x}_i + \sum_{j=1}^m a_j", as_block=True)).split()
    )
    assert '<msub><moveraccent="true"><mi>x</mi>' in made
    assert "<munderover><mo" in made  # the sum keeps its limits


TABLE = re.compile(r"<!-- each line is a test: dialect (\w+) -->\n\n(.*?)\n\n", re.DOTALL)
LINES = [
    (dialect, *line)
    for dialect, table in TABLE.findall((DOCS / "coming.md").read_text("utf-8"))
    for line in re.findall(r"^\| `(.*?)` \| `(.*)` \|$", table, re.MULTILINE)
]


@pytest.mark.parametrize(("dialect", "there", "here"), LINES)
def test_what_is_written_there_builds_what_is_written_here(dialect, there, here):
    spec = ast.literal_eval(there)
    width = {} if "Lazy" in there else {"num_features": 64}
    ours = eval(f"cybn.{here}", {"cybn": cybn})
    assert cybn.create(spec, dialect=dialect, **width).get_config() == ours.get_config()


def test_there_is_a_table_for_each():
    assert {dialect for dialect, *_ in LINES} == {"torch", "keras", "timm", "mmengine"}


def test_no_norm_is_listed_twice():
    """In the tables of norms.md, relatives.md and research.md together."""
    rows = [
        name
        for page in ("norms", "relatives", "research")
        for name in re.findall(
            r"^\| `(\w+?)(?:1d\S*)?` \| (?!.*times)",
            (DOCS / f"{page}.md").read_text("utf-8"),
            re.MULTILINE,
        )
    ]
    twice = {name for name in rows if rows.count(name) > 1}
    measured = {"FilterResponseNorm", "GlobalResponseNorm", "EvoNormS0", "EvoNormB0"}
    assert twice <= measured  # which have a line in the table of times as well
