"""Plugins that are wrong in every way: one clear message that names them, and all else works."""

import json
import re

import pytest
from fakeplugins import norm

import cybn
from cybn.command import cli
from cybn.config.plugins import plugins
from cybn.terms.registry import UnknownName, registry
from cybn.testing import check_layer


@pytest.fixture
def site(site):
    """A folder on the path with a plugin that is right, beside which others are put."""
    site.add("good", {"GoodNorm": "good:GoodNorm"}, norm("GoodNorm"))
    return site


HEAD = "plugin bad 1.0: 'BadNorm' cannot be loaded: "


def option(text):
    """The source of a layer with these parameters."""
    return (
        "from typing import Annotated\nimport cybn\nfrom cybn.terms.signature import Bounds, Kind\n"
        f"class BadNorm(cybn.Layer):\n    def __init__(self, {text}): ...\n"
    )


NOWHERE = "its entry point points nowhere: "

# name: source of the module `bad`, reason
BROKEN = {
    "raises on import": (
        "1 / 0",
        "importing bad raised ZeroDivisionError: division by zero",
    ),
    "exits on import": (
        "import sys; sys.exit(3)",
        "importing bad raised SystemExit: 3",
    ),
    "raises what is no Exception": (
        "class Odd(BaseException): ...\nraise Odd('two\\nlines\\x1b')",
        "importing bad raised Odd: two lines?",
    ),
    "raises an error that raises": (
        "class Odd(Exception):\n    def __str__(self): 1 / 0\nraise Odd",
        "importing bad raised Odd: Odd()",
    ),
    "does not parse": (
        "def",
        "importing bad raised SyntaxError: invalid syntax (bad.py, line 1)",
    ),
    "lacks a library": (
        "import no_such_library",
        "importing bad raised ModuleNotFoundError: No module named 'no_such_library'",
    ),
    "asks for itself": (
        "import cybn; cybn.create('BadNorm')",
        f"importing bad raised PluginError: {HEAD}{NOWHERE}bad:BadNorm does not exist",
    ),
    "no such module": ("", f"{NOWHERE}there is no module 'nowhere'"),
    "no such submodule": ("", f"{NOWHERE}there is no module 'bad.sub'"),
    "no such attribute": (norm("BadNorm"), f"{NOWHERE}bad:BadNorm.Inner does not exist"),
    "registers nothing": ("x = 1", f"{NOWHERE}bad:BadNorm does not exist"),
    "no class": ("BadNorm = 3", "its entry point is to point to a class, got 3 (int)"),
    "no layer": ("class BadNorm: ...", "bad.BadNorm is no subclass of cybn.Layer"),
    "a layer of cybn": (
        "from cybn import BatchNorm2d as BadNorm",
        "cybn.layers.batch.batchnorm.BatchNorm2d is a part of cybn; the entry point is to name a "
        "class of the plugin",
    ),
    "the base of all layers": (
        "from cybn import Layer as BadNorm",
        "cybn.layers.base.layer.Layer is a part of cybn; the entry point is to name a class of the "
        "plugin",
    ),
    "another name": (
        norm("BadNorm", "@cybn.register('OtherNorm')"),
        "the class registers itself as 'OtherNorm'; give both one name",
    ),
    "takes a built-in's name": (
        norm("BadNorm", "@cybn.register('BatchNorm2d', force=True)"),
        "importing bad raised ValueError: 'BatchNorm2d' is taken by "
        "cybn.layers.batch.batchnorm.BatchNorm2d, so bad.BadNorm cannot have it; choose another "
        "name, a plugin replaces nobody else's layer",
    ),
    "takes another plugin's name": (
        norm("BadNorm", "@cybn.register('GoodNorm', force=True)"),
        "importing bad raised ValueError: 'GoodNorm' is claimed by plugin good 1.0",
    ),
    "options that no config can give": (
        option("*args"),
        "BadNorm.__init__ has the parameter '*args'; options are given by name, so list each as "
        "an ordinary parameter",
    ),
    "a default out of its range": (
        option("eps: Annotated[float, Bounds(gt=0)] = 0"),
        "the default of eps must be a number > 0, got 0.0",
    ),
    "a default of another type": (
        option("groups: int = 'all'"),
        "the default of groups must be an int, got 'all' (str)",
    ),
    "a width that is no option": (
        option("channels: int") + "    num_features_option = 'width'",
        "num_features_option is 'width', and there is no such option",
    ),
    "a kind that breaks": (
        option("a: 'Annotated[int, Odd()]'")
        + "class Odd(Kind):\n    def schema(self): raise RuntimeError('no schema')\n",
        "no schema",
    ),
}
TARGETS = {
    "no such module": "nowhere:BadNorm",
    "no such submodule": "bad.sub:BadNorm",
    "no such attribute": "bad:BadNorm.Inner",
}


@pytest.fixture(params=BROKEN)
def broken(request, site):
    """The message about a plugin that is installed and broken."""
    source, reason = BROKEN[request.param]
    site.add("bad", {"BadNorm": TARGETS.get(request.param, "bad:BadNorm")}, source)
    return HEAD + reason


def good_works():
    """The layers that are right are found, listed and built."""
    assert cybn.create("GoodNorm").eps == 1e-5
    assert type(cybn.create("BN2d", num_features=3)) is cybn.BatchNorm2d
    assert {"GoodNorm", "BatchNorm2d"} <= {*cybn.available()}


def test_it_is_one_message_that_names_the_distribution(broken):
    for name in ("BadNorm", "bad.badnorm", "BadNorm"):
        with pytest.raises(cybn.PluginError) as error:
            cybn.create(name)
        assert str(error.value) == broken
    assert plugins.problems() == [broken]
    assert isinstance(error.value, ImportError)
    good_works()


def test_nothing_of_it_stays(broken):
    before = registry.entries()
    with pytest.raises(cybn.PluginError):
        cybn.describe("BadNorm")
    assert registry.entries() == before


def test_it_is_left_out_of_the_schema_with_a_warning(broken):
    with pytest.warns(cybn.PluginWarning) as caught:
        schema = cybn.schema()
    assert [str(each.message) for each in caught] == [f"{broken}; left out of the schema"]
    titles = {each.get("title") for each in schema["oneOf"]}
    assert "BadNorm" not in titles
    assert {"GoodNorm", "BatchNorm2d"} <= titles
    json.dumps(schema)


def test_the_list_reports_it(broken, capsys):
    assert cli.main(["list"]) == 0
    out, err = capsys.readouterr()
    assert err == f"cybn: warning: {broken}\n"
    _, plugins = out.split("\nLayers of plugins\n")
    rows = [" ".join(line.split()) for line in plugins.splitlines()]
    assert rows == ["BadNorm (broken) bad 1.0", "GoodNorm good 1.0", "A norm of a plugin."]
    assert cli.main(["list", "--names"]) == 0
    assert capsys.readouterr().out.split() == cybn.available()
    assert cli.main(["list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["broken"] == [{"name": "BadNorm", "origin": "bad", "error": broken}]
    assert {"GoodNorm", "BatchNorm2d"} <= {each["name"] for each in listed["layers"]}


def test_the_command_line_tells_of_it_in_one_line(broken, capsys, tmp_path):
    assert cli.main(["describe", "BadNorm"]) == 1
    assert capsys.readouterr().err == f"cybn: error: {broken}\n"
    path = tmp_path / "net.toml"
    path.write_text('[a]\ntype = "BadNorm"\n[b]\ntype = "GoodNorm"\n')
    assert cli.main(["check", str(path)]) == 1
    out, err = capsys.readouterr()
    assert err == f"cybn: error: {path}: a: {broken}\n"
    assert out == f"{path}: b: GoodNorm(eps=1e-05)\n"


def test_a_config_file_tells_where_it_names_it(broken, tmp_path):
    path = tmp_path / "net.json"
    path.write_text('{"stem": ["BadNorm"]}')
    with pytest.raises(cybn.PluginError) as error:
        cybn.load_config(path)
    assert str(error.value) == f"{path}: stem[0]: {broken}"


# What is particular


def test_a_broken_import_runs_once_until_it_is_asked_for_again(site, tmp_path):
    log = tmp_path / "log"
    source = f"""
        with open({str(log)!r}, "a") as file:
            file.write("x")
        raise RuntimeError("not today")
    """
    site.add("bad", {"BadNorm": "bad:BadNorm"}, source)
    for _ in range(3):
        with pytest.raises(cybn.PluginError, match="not today"):
            cybn.create("BadNorm")
    assert log.read_text() == "x"
    (tmp_path / "bad.py").write_text(norm("BadNorm") + "# mended\n")
    cybn.use_plugins(True)
    assert cybn.create("BadNorm").eps == 1e-5


def test_what_it_registered_before_it_broke_is_taken_out(site):
    source = norm("BadNorm", "@cybn.register('BadNorm', aliases=('Bad',))") + "1 / 0"
    site.add("bad", {"BadNorm": "bad:BadNorm"}, source)
    with pytest.raises(cybn.PluginError, match="division by zero"):
        cybn.create("BadNorm")
    with pytest.raises(UnknownName):
        cybn.create("Bad")
    good_works()


def test_one_broken_layer_harms_no_other_of_its_package(site):
    source = norm("NiceNorm", "@cybn.register('NiceNorm')") + option("eps: int = 'x'")
    points = {name: f"bad:{name}" for name in ("BadNorm", "NiceNorm")}
    site.add("bad", points, source)
    with pytest.raises(cybn.PluginError, match="default of eps"):
        cybn.create("BadNorm")
    assert cybn.create("NiceNorm").eps == 1e-5


def test_what_a_broken_plugin_imported_stays(site):
    site.add("bad", {"BadNorm": "bad:BadNorm"}, "import cybn\ncybn.create('GoodNorm')\n1 / 0")
    with pytest.raises(cybn.PluginError, match="division by zero"):
        cybn.create("BadNorm")
    good_works()


def test_ctrl_c_during_an_import_is_no_broken_plugin(site, tmp_path):
    register = norm("BadNorm", "@cybn.register('BadNorm')")
    site.add("bad", {"BadNorm": "bad:BadNorm"}, f"{register}\nraise KeyboardInterrupt")
    before = registry.entries()
    with pytest.raises(KeyboardInterrupt):
        cybn.create("BadNorm")
    assert (registry.entries(), plugins.problems()) == (before, [])
    (tmp_path / "bad.py").write_text(register + "# once more\n")
    assert cybn.create("BadNorm").eps == 1e-5


@pytest.mark.parametrize(
    ("forward", "check"),
    [("x[:1]", "output-shape"), ("x", "output-own-memory")],
    ids=["wrong shape", "the input's memory"],
)
def test_a_wrong_output_is_found_by_the_conformance_check(site, forward, check):
    source = norm("BadNorm").replace("np.multiply(x, 2, out=out)", forward)
    site.add("bad", {"BadNorm": "bad:BadNorm"}, source)
    with pytest.raises(AssertionError, match=r"^BadNorm of plugin bad 1.0 fails the check"):
        check_layer("BadNorm", only=[check])
    good_works()


# Metadata

GOOD_POINT = "[cybn.layers]\nBadNorm = bad:BadNorm\n"


@pytest.mark.parametrize(
    ("points", "metadata", "problem"),
    [
        ("[cybn.layers]\nBadNorm\n", None, r"plugin bad: malformed entry points: TypeError: .*"),
        ({"Bad Norm": "bad:BadNorm"}, None, "plugin bad 1.0: the entry point 'Bad Norm' is no .*"),
        ({"bad.Norm": "bad:BadNorm"}, None, "plugin bad 1.0: the entry point 'bad.Norm' is no .*"),
        (
            {"BadNorm": "bad"},
            None,
            "plugin bad 1.0: 'BadNorm' is to be 'module:Class', got 'bad'",
        ),
        (
            {"BadNorm": "bad; import os:x"},
            None,
            "plugin bad 1.0: 'BadNorm' is to be 'module:Class', got 'bad; import os:x'",
        ),
        (
            "[cybn.layers]\nGood = bad:Missing\nGood = bad:BadNorm\n",
            None,
            "plugin bad 1.0: 'Good' is given twice; the first one counts",
        ),
        (GOOD_POINT, "", ".*bad-1.0.dist-info.*: its metadata cannot be read: .* no proper name.*"),
        (GOOD_POINT, "Name: a/b\n", ".*: its metadata cannot be read: .* got 'a/b'"),
        (b"[cybn.layers]\n\xff = bad:BadNorm", None, ".*cannot be read: UnicodeDecodeError: .*"),
    ],
)
def test_malformed_metadata_is_a_warning(site, points, metadata, problem):
    site.add("bad", points, norm("BadNorm"), metadata=metadata)
    with pytest.warns(cybn.PluginWarning) as caught:
        cybn.available()
    (message,) = (str(each.message) for each in caught)
    assert message.isprintable()
    assert re.fullmatch(problem, message), message
    cybn.available()  # once
    good_works()


def test_metadata_without_a_version(site):
    site.add("bad", GOOD_POINT, norm("BadNorm"), metadata="Metadata-Version: 2.1\nName: bad\n")
    assert cybn.describe("BadNorm")["version"] == "unknown"


def test_other_groups_and_extras_are_fine(site):
    points = "[console_scripts]\nx = y:z\n\n[cybn.layers]\nBadNorm = bad : BadNorm [fast]\n"
    site.add("bad", points, norm("BadNorm"))
    assert cybn.create("BadNorm").eps == 1e-5
