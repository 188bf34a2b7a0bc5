"""The registry: names to classes, duplicates, replacement, and the door for plugins."""

import subprocess
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shelves import Alpha, Beta, filled, owner

from cybn.terms.registry import Registry, UnknownName, UnknownOption, registry


@pytest.fixture
def shelf():
    return filled()


# Looking up


@pytest.mark.parametrize("name", ["Alpha", "alpha", "ALPHA", "al_pha", "Al-Pha", "A", "a", "FIRST"])
def test_names_and_aliases_are_found_in_any_spelling(shelf, name):
    assert shelf.find(name) is Alpha


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from("BatchNorm1d"), min_size=1).map("".join), st.data())
def test_case_and_separators_never_matter(name, data):
    shelf = Registry()
    shelf.register(name)(type("Some", (), {}))
    letters = [
        getattr(letter, data.draw(st.sampled_from(["upper", "lower"])))()
        + data.draw(st.sampled_from(["", "_", "-"]))
        for letter in name
    ]
    assert shelf.find("".join(letters)) is shelf.find(name)


def test_an_entry_tells_names_owner_and_origin(shelf):
    entry = shelf.entry("a")
    assert (entry.name, entry.aliases) == ("Alpha", ("A", "first"))
    assert entry.names == ("Alpha", "A", "first")
    assert entry.owner == owner(Alpha)
    assert entry.origin == Alpha.__module__.partition(".")[0]
    assert shelf.aliases("alpha") == ("A", "first")


def test_the_class_learns_its_name(shelf):
    assert Alpha.registered_name == "Alpha"


def test_names_are_canonical_and_sorted(shelf):
    shelf.register("beta")(Beta)
    shelf.register("Aardvark")(type("Aardvark", (), {}))
    assert shelf.names() == ["Aardvark", "Alpha", "beta"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Alha", "unknown layer 'Alha'; did you mean 'Alpha'? Available: Alpha"),
        ("frst", "unknown layer 'frst'; did you mean 'first'? Available: Alpha"),
        ("zzz", "unknown layer 'zzz'. Available: Alpha"),
        ("", "unknown layer ''. Available: Alpha"),
        (
            "torch.nn.Alpha",
            "'torch.nn.Alpha' is a dotted path; a config names a registered layer, "
            "nothing is imported because a file says so; did you mean 'Alpha'?",
        ),
        (
            "os.system",
            "'os.system' is a dotted path; a config names a registered layer, "
            "nothing is imported because a file says so",
        ),
    ],
)
def test_an_unknown_name_is_an_error_with_the_nearest(shelf, name, message):
    with pytest.raises(UnknownName) as error:
        shelf.find(name)
    assert str(error.value) == message


def test_an_unknown_name_in_an_empty_registry():
    with pytest.raises(UnknownName, match=r"^unknown layer 'x'\. Available: none$"):
        Registry().find("x")


def test_many_names_are_counted_not_listed(shelf):
    for i in range(20):
        shelf.register(f"Layer{i}")(type(f"Layer{i}", (), {}))
    with pytest.raises(
        UnknownName, match=r"^unknown layer 'zzz'\. cybn.available\(\) lists all 21$"
    ):
        shelf.find("zzz")


def test_a_very_long_name_makes_a_short_message(shelf):
    with pytest.raises(UnknownName) as error:
        shelf.find("x" * 1_000_000)
    assert len(str(error.value)) < 200


def test_unknown_names_are_lookup_and_value_errors():
    assert issubclass(UnknownName, LookupError)
    assert issubclass(UnknownName, ValueError)
    assert issubclass(UnknownOption, UnknownName)
    assert issubclass(UnknownOption, TypeError)


@pytest.mark.parametrize("name", [3, None, b"Alpha", ["Alpha"]])
def test_a_name_is_a_str(shelf, name):
    with pytest.raises(TypeError, match=r"^a layer name is a str, got "):
        shelf.find(name)


# Registering


def test_the_decorator_returns_the_class():
    assert Registry().register("Beta")(Beta) is Beta


@pytest.mark.parametrize("name", ["Alpha", "al_pha", "A", "first"])
def test_a_taken_name_names_both_owners(shelf, name):
    with pytest.raises(ValueError, match="is taken by") as error:
        shelf.register(name)(Beta)
    assert owner(Alpha) in str(error.value)
    assert owner(Beta) in str(error.value)
    assert "force=True" in str(error.value)


def test_a_taken_alias_is_an_error_and_changes_nothing(shelf):
    Beta.registered_name = "before"
    with pytest.raises(ValueError, match="is taken by") as error:
        shelf.register("Beta", aliases=("B", "first"))(Beta)
    assert str(error.value) == (
        f"'first' is taken by {owner(Alpha)}, so {owner(Beta)} cannot have it; "
        f"choose another name, or pass force=True to replace"
    )
    assert shelf.names() == ["Alpha"]
    assert Beta.registered_name == "before"
    for name in ("Beta", "B"):
        with pytest.raises(UnknownName):
            shelf.find(name)


def test_a_second_name_for_a_class_is_an_error(shelf):
    with pytest.raises(ValueError, match="is registered as") as error:
        shelf.register("Omega")(Alpha)
    assert str(error.value) == (
        f"{owner(Alpha)} is registered as 'Alpha' already; "
        f"make 'Omega' an alias, or pass force=True to rename it"
    )
    assert Alpha.registered_name == "Alpha"


def test_registering_again_is_harmless_and_may_add_aliases(shelf):
    shelf.register("Alpha", aliases=("one",))(Alpha)
    assert shelf.entry("one").aliases == ("A", "first", "one")


def test_registering_again_cannot_take_an_alias(shelf):
    shelf.register("Beta")(Beta)
    with pytest.raises(ValueError, match="'Beta' is taken by"):
        shelf.register("Alpha", aliases=("beta",))(Alpha)


def test_aliases_that_are_the_name_in_another_spelling_are_fine():
    shelf = Registry()
    shelf.register("BatchNorm1d", aliases=("batch_norm_1d", "BN", "BN"))(Alpha)
    assert shelf.aliases("bn") == ("batch_norm_1d", "BN")


def test_force_replaces_the_owner_and_all_its_aliases(shelf):
    shelf.register("alpha", force=True)(Beta)
    assert shelf.find("Alpha") is Beta
    assert shelf.names() == ["alpha"]
    with pytest.raises(UnknownName):
        shelf.find("first")


def test_force_takes_an_alias_and_leaves_its_owner(shelf):
    shelf.register("Beta", aliases=("FIRST",), force=True)(Beta)
    assert shelf.find("first") is Beta
    assert shelf.find("Alpha") is shelf.find("A") is Alpha
    assert shelf.aliases("Alpha") == ("A",)


def test_force_renames(shelf):
    shelf.register("Omega", force=True)(Alpha)
    assert shelf.names() == ["Omega"]
    assert Alpha.registered_name == "Omega"


@pytest.mark.parametrize("name", ["", "a.b", "a b", "_a", "-a", "é", "a\n", "a/b"])
def test_a_malformed_name_is_an_error(name):
    with pytest.raises(ValueError, match="a layer name has") as error:
        Registry().register(name)
    assert str(error.value) == (
        "a layer name has letters, digits, '_' and '-' and begins with a letter or digit, "
        f"got {name!r}"
    )
    with pytest.raises(ValueError, match="a layer name has"):
        Registry().register("Fine", aliases=(name,))


def test_a_name_that_is_no_str_is_an_error():
    with pytest.raises(TypeError, match=r"^a layer name is a str, got 3 \(int\)$"):
        Registry().register(3)
    with pytest.raises(TypeError, match=r"^a layer name is a str, got 3 \(int\)$"):
        Registry().register("Alpha", aliases=(3,))


def test_the_forgotten_name_is_an_error_with_the_fix():
    with pytest.raises(TypeError, match=r"^register needs a name: @register\('Alpha'\)$"):
        Registry().register(Alpha)


def test_one_str_as_aliases_is_an_error_with_the_fix():
    message = r"^aliases must be a tuple of names, got 'BN'; use \('BN',\)$"
    with pytest.raises(TypeError, match=message):
        Registry().register("Alpha", aliases="BN")


def test_only_classes_are_registered():
    with pytest.raises(TypeError, match=r"^register\('Alpha'\) decorates a class, got 3 \(int\)$"):
        Registry().register("Alpha")(3)


def test_a_class_that_takes_no_attributes_changes_nothing():
    shelf = Registry()
    with pytest.raises(TypeError):
        shelf.register("Int")(int)
    assert shelf.names() == []


def test_registering_from_many_threads_loses_nothing():
    shelf = Registry()
    start = threading.Barrier(8)

    def work(k):
        start.wait()
        for i in range(20):
            shelf.register(f"L{k}x{i}")(type("L", (), {}))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(shelf.names()) == 160


# The built-in layers


@pytest.mark.parametrize(
    "use",
    [
        lambda shelf: shelf.names(),
        lambda shelf: shelf.builtins(),
        lambda shelf: shelf.register("Alpha")(Alpha),
    ],
)
def test_the_home_of_the_layers_is_imported_at_the_first_use(tmp_path, monkeypatch, use):
    (tmp_path / "home_of_layers.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    shelf = Registry(home="home_of_layers")
    assert "home_of_layers" not in sys.modules
    use(shelf)
    assert sys.modules.pop("home_of_layers")


def test_a_built_in_name_is_taken_before_any_layer_is_used():
    code = "import cybn; cybn.register('BN')(type('Mine', (), {}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "'BN' is taken by cybn.layers.batch.batchnorm.BatchNorm2d" in done.stderr


def test_the_built_in_layers_are_those_of_this_library():
    builtins = registry.builtins()
    assert {"BatchNorm1d", "BatchNorm2d", "BatchNorm3d"} <= set(builtins)
    assert all(cls.__module__.startswith("cybn.layers.") for cls in builtins.values())
    assert registry.entry("BN1d").origin == "built-in"
    assert Registry().builtins() == {}
