"""Layers of installed packages: found, loaded, called by name, switched off."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from fakeplugins import Site, norm
from runs import python

import cybn
from cybn.command import cli
from cybn.config.plugins import plugins
from cybn.terms.registry import UnknownName, registry


@pytest.fixture
def plain(site):
    """An installed plugin."""
    return site.add("cybn-plain", {"MyNorm": "cybn_plain:MyNorm"}, norm())


# Found and loaded


def test_a_plugin_is_listed_without_an_import(site, plain):
    assert "MyNorm" in cybn.available()
    assert "cybn-plain 1.0" in cybn.show_config("dict")["plugins"]
    assert "cybn_plain" not in sys.modules


def test_only_the_one_that_is_asked_for_is_imported(site, plain):
    site.add("other", {"OtherNorm": "other:OtherNorm"}, norm("OtherNorm"))
    layer = cybn.create({"type": "my_norm", "eps": 1e-3}, num_features=16)
    assert "other" not in sys.modules
    assert repr(layer) == "MyNorm(eps=0.001)"
    assert layer.get_config() == {"type": "MyNorm", "eps": 1e-3}
    assert layer(np.ones(2)).tolist() == [2, 2]
    assert cybn.create("MyNorm").__class__ is type(layer)


def test_a_config_file_may_name_it(site, plain, tmp_path):
    path = tmp_path / "net.toml"
    path.write_text('[a]\ntype = "MyNorm"\n[b]\ntype = "cybn-plain.MyNorm"\neps = 1e-2\n')
    net = cybn.load_config(path)
    assert type(net["a"]) is type(net["b"])
    assert net["b"].eps == 0.01


def test_describe_tells_distribution_version_and_module(site, plain):
    described = cybn.describe("mynorm")
    assert [described[key] for key in ("origin", "distribution", "version", "module")] == [
        "cybn-plain", "cybn-plain", "1.0", "cybn_plain",
    ]  # fmt: skip
    builtin = cybn.describe("BN2d")
    assert (builtin["origin"], builtin["distribution"]) == ("built-in", None)


def test_the_schema_has_it_too(site, plain):
    names = ["MyNorm", "cybn-plain.MyNorm", "cybn_plain.MyNorm"]
    assert cybn.schema("MyNorm")["properties"]["type"]["anyOf"][0] == {"enum": names}
    assert "MyNorm" in [each.get("title") for each in cybn.schema()["oneOf"]]


def test_the_command_line_shows_it(site, plain, capsys):
    assert cli.main(["list"]) == 0
    _, plugins = capsys.readouterr().out.split("\nLayers of plugins\n")
    rows = [" ".join(line.split()) for line in plugins.splitlines()]
    assert rows == ["MyNorm cybn-plain 1.0", "A norm of a plugin."]
    assert cli.main(["describe", "MyNorm"]) == 0
    assert "cybn-plain 1.0, cybn_plain" in capsys.readouterr().out.splitlines()


def test_it_is_no_attribute_of_cybn(site, plain):
    assert "MyNorm" not in dir(cybn)
    with pytest.raises(AttributeError):
        _ = cybn.MyNorm
    assert "cybn_plain" not in sys.modules


@pytest.mark.parametrize("name", ["MyNorm", "MN", "cybn-plain.mn", "cybn_plain.MyNorm"])
def test_every_name_works_whichever_comes_first(site, name):
    """Two entry points of one class; its own name is canonical."""
    points = {"MN": "cybn_plain:MyNorm", "MyNorm": "cybn_plain:MyNorm"}
    site.add("cybn-plain", points, norm(decorator="@cybn.register('MyNorm', aliases=('MN',))"))
    assert [each for each in cybn.available() if each in ("MN", "MyNorm")] == ["MyNorm"]
    described = cybn.describe(name)
    assert (described["name"], described["aliases"]) == ("MyNorm", ["MN"])
    assert cybn.describe("MyNorm") == cybn.describe("mn") == described


def test_a_plugin_may_be_imported_by_hand_first(site):
    site.add("plain", {"MyNorm": "plain:MyNorm"}, norm(decorator="@cybn.register('MyNorm')"))
    import plain

    assert cybn.create("MyNorm").__class__ is plain.MyNorm
    assert cybn.describe("plain.MyNorm")["distribution"] == "plain"
    assert cybn.available().count("MyNorm") == 1


def test_a_plugin_may_build_on_another_one(site, plain):
    site.add(
        "second",
        {"SecondNorm": "second:SecondNorm"},
        "import cybn\nclass SecondNorm(type(cybn.create('MyNorm'))): '''Twice a plugin.'''",
    )
    assert cybn.create("SecondNorm", eps=3).eps == 3
    assert cybn.describe("MyNorm")["distribution"] == "cybn-plain"
    assert cybn.describe("SecondNorm")["distribution"] == "second"


def test_of_two_copies_the_first_on_the_path_counts(site, plain, tmp_path, monkeypatch):
    (tmp_path / "nearer").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "nearer")
    Site(tmp_path / "nearer").add(
        "cybn-plain", {"NewNorm": "cybn_plain:NewNorm"}, norm("NewNorm"), version="2.0"
    )
    plugins_found = cybn.show_config("dict")["plugins"]
    assert [each for each in plugins_found if "plain" in each] == ["cybn-plain 2.0"]
    assert "MyNorm" not in cybn.available()
    assert cybn.describe("NewNorm")["version"] == "2.0"


def test_many_threads_may_ask_at_once(site, plain):
    start, found = threading.Barrier(8), []

    def work():
        start.wait()
        found.append(type(cybn.create("MyNorm")))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({*found}) == 1


# Names


@pytest.fixture
def rivals(site):
    """Two distributions that claim the same name, and register it."""
    for name in ("one", "two"):
        site.add(name, {"MyNorm": f"{name}:MyNorm"}, norm(decorator="@cybn.register('MyNorm')"))
    return site


@pytest.mark.parametrize("order", [("one", "two"), ("two", "one")])
def test_a_name_that_two_claim_is_neithers(rivals, order):
    message = (
        "'MyNorm' is claimed by plugin one 1.0 and plugin two 1.0; say 'one.MyNorm' or 'two.MyNorm'"
    )
    with pytest.warns(cybn.PluginWarning, match=f"^{message}$"):
        assert [name for name in cybn.available() if "MyNorm" in name] == [
            "one.MyNorm", "two.MyNorm",
        ]  # fmt: skip
    for _ in range(2):  # before they are imported, and after
        with pytest.raises(UnknownName) as error:
            cybn.create("MyNorm")
        assert str(error.value) == message
        for name in order:
            layer = cybn.create(f"{name}.my_norm", num_features=3)
            assert type(layer).__module__ == name
            config = layer.get_config()
            assert config["type"] == f"{name}.MyNorm"
            assert type(cybn.create(config)) is type(layer)
    assert cybn.available() == cybn.available()  # and no second warning


def test_a_name_that_two_claim_is_neithers_for_a_direct_import_either(rivals):
    import two

    assert type(cybn.create("two.MyNorm")) is two.MyNorm
    with pytest.raises(UnknownName, match="is claimed by"):
        cybn.create("MyNorm")


@pytest.mark.parametrize("decorator", ["", "@cybn.register('BatchNorm2d', force=True)"])
@pytest.mark.parametrize("name", ["BatchNorm2d", "batch_norm_2d"])
def test_a_built_in_is_neither_replaced_nor_shadowed(site, name, decorator):
    site.add("bold", {name: "bold:BatchNorm2d"}, norm("BatchNorm2d", decorator))
    message = (
        f"plugin bold 1.0: {name!r} is taken by cybn.layers.batch.batchnorm.BatchNorm2d; "
        f"it is 'bold.{name}'"
    )
    with pytest.warns(cybn.PluginWarning) as caught:
        assert f"bold.{name}" in cybn.available()
    assert [str(each.message) for each in caught] == [message]
    assert type(cybn.create(f"bold.{name}")).__module__ == "bold"
    for each in ("BatchNorm2d", "BN2d", "BN"):
        assert type(cybn.create(each, num_features=3)) is cybn.BatchNorm2d
    assert registry.builtins()["BatchNorm2d"] is cybn.BatchNorm2d


def test_an_alias_that_is_taken_is_left_out_with_a_warning(site):
    decorator = "@cybn.register('MyNorm', aliases=('BN', 'MN'), force=True)"
    points = {"MyNorm": "bold:MyNorm", "MN": "bold:MyNorm"}
    site.add("bold", points, norm(decorator=decorator))
    with pytest.warns(cybn.PluginWarning, match=r"^plugin bold 1.0: the alias 'BN' of 'MyNorm' is"):
        cybn.create("MyNorm")
    assert cybn.describe("MyNorm")["aliases"] == ["MN"]
    assert type(cybn.create("BN", num_features=3)) is cybn.BatchNorm2d


def test_a_class_of_the_program_keeps_its_name(site, plain):
    @cybn.register("MyNorm")
    class Mine(cybn.Layer):
        def __init__(self): ...

    with pytest.warns(cybn.PluginWarning, match="'MyNorm' is taken by .*Mine; it is 'cybn-plain."):
        assert {"MyNorm", "cybn-plain.MyNorm"} <= {*cybn.available()}
    assert type(cybn.create("MyNorm")) is Mine
    assert type(cybn.create("cybn-plain.MyNorm")).__module__ == "cybn_plain"


def test_a_dotted_path_is_still_none(site, plain, tmp_path):
    (tmp_path / "trap.py").write_text("raise SystemExit('imported')")
    names = ["trap.MyNorm", "cybn_plain.Other", "os.system", "cybn_plain.sub.MyNorm", ".MyNorm"]
    for name in names:
        with pytest.raises(UnknownName, match="is a dotted path"):
            cybn.create(name)
    assert "trap" not in sys.modules


# The switch


def test_the_environment_leaves_plugins_out(site, plain, monkeypatch):
    monkeypatch.setenv("CYBN_PLUGINS", "0")
    assert "MyNorm" not in cybn.available()
    assert cybn.show_config("dict")["plugins"] == []
    with pytest.raises(UnknownName, match=r"; plugins are switched off by CYBN_PLUGINS=0$"):
        cybn.create("MyNorm")
    cybn.use_plugins(True)  # the program knows better
    assert cybn.create("MyNorm").eps == 1e-5


def test_the_environment_is_0_or_1(site, plain, monkeypatch):
    monkeypatch.setenv("CYBN_PLUGINS", "1")
    assert "MyNorm" in cybn.available()
    monkeypatch.setenv("CYBN_PLUGINS", "none")
    monkeypatch.setattr(plugins, "_found", None)
    with pytest.raises(ValueError, match="CYBN_PLUGINS is 0 or 1, got 'none'; 0 leaves plugins"):
        cybn.available()


def test_plugins_go_and_come_again(site, capsys):
    """A layer that is built stays; its class has the same names when it is found again."""
    decorator = "@cybn.register('MyNorm', aliases=('MN',))"
    source = norm(decorator=decorator) + norm("SideNorm", "@cybn.register('SideNorm')")
    points = {name: f"both:{name}" for name in ("MyNorm", "SideNorm")}
    site.add("both", {**points, "MN": "both:MyNorm"}, source)
    layer, before = cybn.create("MyNorm"), cybn.describe("SideNorm")
    cybn.use_plugins(False)
    assert not {"MyNorm", "SideNorm"} & {*cybn.available()}
    for name in ("MyNorm", "MN", "SideNorm", "both.MyNorm"):
        with pytest.raises(UnknownName, match=r"plugins are switched off by cybn.use_plugins"):
            cybn.create(name)
    cybn.show_config()
    assert "switched off by cybn.use_plugins(False)" in " ".join(capsys.readouterr().out.split())
    assert layer(np.ones(1)) == 2
    cybn.use_plugins(True)
    assert cybn.describe("SideNorm") == before
    assert type(cybn.create("MN")) is type(layer)


def test_a_name_that_the_program_took_meanwhile_stays_its_own(site, plain):
    before = type(cybn.create("MyNorm"))
    cybn.use_plugins(False)
    cybn.register("MyNorm")(mine := type("Mine", (cybn.Layer,), {"__module__": "__main__"}))
    cybn.use_plugins(True)
    assert type(cybn.create("MyNorm")) is mine
    assert type(cybn.create("cybn-plain.MyNorm")) is before


def test_use_plugins_looks_anew(site):
    assert "MyNorm" not in cybn.available()
    found = plugins._found
    site.add("late", {"MyNorm": "late:MyNorm"}, norm())
    plugins._found = found
    assert "MyNorm" not in cybn.available()
    cybn.use_plugins()
    assert cybn.create("MyNorm").eps == 1e-5


def test_use_plugins_takes_a_bool():
    with pytest.raises(TypeError, match=r"^use_plugins takes True or False, got 0 \(int\)$"):
        cybn.use_plugins(0)


# In a process of its own


def test_listing_imports_no_plugin_and_nothing_is_read_for_a_built_in(site, plain, tmp_path):
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import cybn
cybn.create("BN", num_features=3)
cybn.BatchNorm1d(3)
print("importlib.metadata" in sys.modules, end=" ")
print("MyNorm" in cybn.available(), "cybn_plain" in sys.modules, end=" ")
print(cybn.create("MyNorm").eps, "cybn_plain" in sys.modules)
"""
    assert python(code, CYBN_PLUGINS="") == "False True False 1e-05 True"
    assert python(code.partition("print(cybn")[0], CYBN_PLUGINS="0") == "False False False"


def test_warnings_of_the_command_are_one_line(site, tmp_path):
    site.add("bold", {"BN": "bold:MyNorm"}, norm())
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "cybn", "list"],
        env={"PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == (
        "cybn: warning: plugin bold 1.0: 'BN' is taken by "
        "cybn.layers.batch.batchnorm.BatchNorm2d; it is 'bold.BN'\n"
    )
