"""What a plugin's layers are called: as its entry points say, whatever has been imported before."""

import sys
from itertools import permutations

import pytest
from fakeplugins import forget_all, forget_modules, norm

import cybn
from cybn.config.build import check_config
from cybn.terms.registry import UnknownName, registry


@pytest.fixture
def fresh(site, tmp_path, monkeypatch):
    """As in a process that starts now, with the plugins that are there."""

    def fresh():
        forget_modules(tmp_path)
        forget_all(monkeypatch)

    return fresh


BIG = "@cybn.register('BigNorm', aliases=('BGN',))"
SIDE = "@cybn.register('SideNorm', aliases=('SN9',))"


def verdicts(path):
    return {each.entry: each.error is None for each in check_config(path)}


def plugins_of(site):
    """A plugin with all that may be announced or not, and one that imports it, and a library."""
    source = norm("BigNorm", BIG) + norm("SideNorm", SIDE)
    site.add("big", {"BigNorm": "big:BigNorm", "Large": "big:BigNorm"}, source)
    site.add("user", {"UserNorm": "user:UserNorm"}, "import big, library\n" + norm("UserNorm"))
    (site.folder / "library.py").write_text(norm("LibraryNorm", "@cybn.register('LibraryNorm')"))


SPECS = {
    "BigNorm": True,
    "large": True,
    "big.Large": True,
    "UserNorm": True,
    "BGN": False,
    "big.BGN": False,
    "SideNorm": False,
    "big.SideNorm": False,
    "SN9": False,
    "LibraryNorm": False,
}


@pytest.mark.parametrize(
    "first", ["BigNorm", "UserNorm", "BGN", "SideNorm", "LibraryNorm", "large"]
)
def test_no_entry_passes_or_fails_by_its_place(site, fresh, write, first):
    plugins_of(site)
    fresh()
    names = sorted(SPECS, key=lambda name: name != first)
    for order in (names, [first, *reversed(names[1:])], [*names[1:], first]):
        fresh()
        assert verdicts(write({name.replace(".", "-"): name for name in order})) == {
            name.replace(".", "-"): good for name, good in SPECS.items()
        }


@pytest.mark.parametrize("order", [*permutations(["BigNorm", "BGN", "UserNorm"])], ids=str)
def test_nor_by_the_file_that_was_read_before(site, fresh, write, order):
    plugins_of(site)
    fresh()
    for name in order:
        assert verdicts(write([name])) == {"[0]": SPECS[name]}


@pytest.mark.parametrize("module", ["big", "user"])
def test_nor_by_what_the_program_has_imported(site, fresh, write, module):
    """Of what is a plugin's: LibraryNorm, if the program imports it, is the program's."""
    plugins_of(site)
    fresh()
    __import__(module)
    announced = {name: good for name, good in SPECS.items() if name != "LibraryNorm"}
    assert {name: verdicts(write([name]))["[0]"] for name in announced} == announced


def test_an_alias_with_an_entry_point_works_from_the_start(site, fresh):
    plugins_of(site)
    fresh()
    assert type(cybn.create("large")).__name__ == "BigNorm"
    assert cybn.create("Large").get_config()["type"] == "BigNorm"
    assert cybn.describe("BigNorm")["aliases"] == ["Large"]
    assert "big" in sys.modules


def test_an_alias_of_an_entry_point_is_offered(site, fresh):
    plugins_of(site)
    fresh()
    with pytest.raises(UnknownName, match="did you mean 'Large'"):
        cybn.create("Largee")
    assert "big" not in sys.modules


@pytest.mark.parametrize(
    ("name", "target"),
    [("BGN", "big:BigNorm"), ("SideNorm", "big:SideNorm"), ("LibraryNorm", "library:LibraryNorm")],
)
def test_the_fix_is_told_to_who_asks_for_what_was_left_out(site, fresh, name, target):
    plugins_of(site)
    fresh()
    cybn.create("UserNorm")
    with pytest.raises(UnknownName) as error:
        cybn.create(name)
    who = "user" if name == "LibraryNorm" else "big"
    fix = f'{name} = "{target}"'
    assert str(error.value).endswith(
        f"; plugin {who} 1.0 registers it without an entry point, {fix}, and is to add that"
    )
    points = site.folder / f"{who}-1.0.dist-info" / "entry_points.txt"
    points.write_text(f"{points.read_text()}\n{name} = {target}\n")  # and that works
    fresh()
    assert type(cybn.create(name)).__name__ == target.partition(":")[2]


def test_a_class_that_is_left_out_is_a_spec_itself(site, fresh):
    plugins_of(site)
    fresh()
    cybn.create("BigNorm")
    side = sys.modules["big"].SideNorm
    assert type(cybn.create(side)) is side
    assert registry.entry_of(side) is None


def test_a_program_registers_as_it_likes(own_registry):
    cybn.register("MineNorm", aliases=("MYN",))(
        type("MineNorm", (cybn.Layer,), {"__module__": "__main__"})
    )
    assert type(cybn.create("MYN")).__name__ == "MineNorm"
