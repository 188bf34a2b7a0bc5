"""Dialects: which there are, how one is added, what their tables promise."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import cybn
from cybn.config.dialects import shelf
from cybn.config.dialects.lacking import LACKING, lacking
from cybn.config.dialects.shelf import BUILT_IN, find
from cybn.config.dialects.words import Only
from cybn.dialects import As, Dialect, Norm, OneMinus, Refused, available, register
from cybn.options import takes_options_of
from cybn.terms.registry import UnknownName, UnknownOption, registry

TABLES = [find(name) for name in BUILT_IN]
NORMS = [(dialect, norm) for dialect in TABLES for norm in dialect.norms]


@pytest.fixture
def own_shelf(monkeypatch):
    monkeypatch.setattr(shelf, "_registered", {})


def mine(name="mine", title="my own"):
    words = {"decay": OneMinus("momentum", default=0.9), "eps": As("eps", default=0.5)}
    return Dialect(name, title, ("https://example.org",), (Norm(("bn",), "BatchNorm{}d", words),))


# Tables


@pytest.mark.parametrize("dialect", TABLES, ids=lambda dialect: dialect.name)
def test_a_table_tells_where_it_was_read(dialect):
    assert dialect.sources
    assert all(source.startswith("https://") for source in dialect.sources)
    assert dialect.title


@pytest.mark.parametrize(("dialect", "norm"), NORMS)
def test_what_a_table_names_is_there(dialect, norm):
    if norm.refused is not None:
        assert norm.refused.why
        return
    for rank in (1, 2, 3):
        cls = registry.find(norm.layer.format(rank))
        known = {*cybn.describe(cls.registered_name)["options"], *LACKING, "num_features"}
        read = {word.ours for word in norm.words.values() if isinstance(word, As)}
        assert {*norm.always, *(name for name in read if " " not in name)} <= known
        assert not read & set(norm.always), "a word would override what the norm always has"


def refusals():
    for dialect, norm in NORMS:
        words = [word for word in norm.words.values() if isinstance(word, Only)]
        for refusal in filter(None, [norm.refused, *(word.refusal for word in words)]):
            if refusal.instead is not None:
                yield pytest.param(refusal.instead, id=f"{dialect.name}-{norm.names[0]}")


@pytest.mark.parametrize("instead", list(refusals()))
def test_what_is_advised_instead_builds(instead):
    assert cybn.create(instead, num_features=64) is not None


@pytest.mark.parametrize(("dialect", "norm"), NORMS)
def test_each_word_says_what_it_means(dialect, norm):
    for word in norm.words.values():
        assert len(word.says()) > 2


# Names


def test_all_names_of_no_norm():
    for name in BUILT_IN:
        for nothing in (None, "", "none", "None", "identity", "Identity"):
            assert cybn.create(nothing, dialect=name, num_features=3) is None
    assert cybn.create({"type": None}, dialect="mmengine") is None
    assert cybn.create("torch.nn.Identity", dialect="torch") is None


def test_a_dotted_name_of_somebody_else_is_refused():
    for name in ("mylib.BatchNorm2d", "os.system", "torchx.nn.BatchNorm2d"):
        with pytest.raises(UnknownName, match="is no norm of torch"):
            cybn.create({"_target_": name}, dialect="torch", num_features=3)


def test_an_unknown_name_gets_a_near_one_of_the_dialect():
    with pytest.raises(UnknownName, match="timm has no norm 'grupnorm'; did you mean 'groupnorm'"):
        cybn.create("grupnorm", dialect="timm", num_features=3)
    with pytest.raises(UnknownName, match=r"detectron2 has no norm 'XN'\. Norms: BN, SyncBN"):
        cybn.create("XN", dialect="detectron2", num_features=3)


def test_an_unknown_option_gets_a_near_one():
    with pytest.raises(UnknownOption, match="BN2d of mmengine has no option 'requires_gard'; did"):
        cybn.create({"type": "BN", "requires_gard": True}, dialect="mmengine", num_features=3)


def test_an_unknown_dialect():
    with pytest.raises(UnknownName, match="unknown dialect 'kerras'; did you mean 'keras'"):
        cybn.create("BN", dialect="kerras")
    with pytest.raises(TypeError, match="dialect is the name of a dialect, got 3"):
        cybn.create("BN", dialect=3)
    assert cybn.create("BN", dialect="MMEngine", num_features=3) is not None


# Meaning


def test_options_of_the_call_are_theirs_or_ours():
    layer = cybn.create(
        {"type": "BatchNormalization", "momentum": 0.5}, dialect="keras",
        momentum=0.9, epsilon=0.25, num_features=3, activation="relu",
    )  # fmt: skip
    assert (layer.momentum, layer.eps, layer.activation) == (0.1, 0.25, "relu")


def test_weight_and_bias_can_be_held():
    spec = {"type": "IN", "requires_grad": False}  # which has neither
    assert cybn.create(spec, dialect="mmengine", num_features=3).weight is None
    spec = {"type": "BN", "affine": False, "requires_grad": False}
    assert cybn.create(spec, dialect="mmengine", num_features=3).weight is None
    spec = {"type": "IN", "affine": True, "requires_grad": False}
    layer = cybn.create(spec, dialect="mmengine", num_features=3)
    assert (layer.trainable, list(layer.parameters()), layer.weight.shape) == (False, [], (3,))
    with pytest.raises(Refused, match="held fixed while statistics move"):
        lacking(cybn.FrozenBatchNorm2d, {"trainable": False}, "a norm of a plugin")


@pytest.mark.parametrize(
    ("axis", "given", "expected"),
    [
        (-1, {}, ("BatchNorm2d", -1)),
        (1, {}, ("BatchNorm2d", 1)),
        (2, {}, ("BatchNorm1d", -1)),
        ([3], {}, ("BatchNorm2d", -1)),
        (4, {}, ("BatchNorm3d", -1)),
        (-1, {"spatial_dims": 3}, ("BatchNorm3d", -1)),
        (-1, {"spatial_dims": 0}, ("BatchNorm1d", -1)),
    ],
)
def test_an_axis_says_layout_and_rank(axis, given, expected):
    layer = cybn.create(
        {"type": "BatchNormalization", "axis": axis}, dialect="keras", num_features=3, **given
    )
    assert (type(layer).__name__, layer.channel_axis) == expected


def test_a_rank_that_contradicts_itself():
    with pytest.raises(ValueError, match="its rank is 2 by its name or axis, and 3 elsewhere"):
        cybn.create({"type": "BatchNormalization", "axis": 3}, dialect="keras",
                    num_features=3, spatial_dims=3)  # fmt: skip
    with pytest.raises(ValueError, match="spatial_dims is 1, 2 or 3, got 4"):
        cybn.create("batch", dialect="monai", num_features=3, spatial_dims=4)


def test_over_processes_a_synchronized_norm_is_no_other(monkeypatch):
    class World:
        COMM_WORLD = type("Comm", (), {"Get_size": staticmethod(lambda: 4)})

    monkeypatch.setitem(sys.modules, "mpi4py.MPI", World)
    for dialect in ("detectron2", "mmengine"):
        layer = cybn.create("SyncBN", dialect=dialect, num_features=3, spatial_dims=2)
        assert type(layer) is cybn.SyncBatchNorm2d


@pytest.mark.parametrize(("size", "name"), [("4", "SyncBatchNorm1d"), ("1", "BatchNorm1d")])
def test_mpis_launcher_tells_how_many_processes_there_are(size, name, monkeypatch):
    """A config that is read before MPI has begun means the same as after it."""
    monkeypatch.setenv("PMI_SIZE", size)
    assert cybn.distributed.processes() == int(size)
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", None)  # it is not asked
    layer = cybn.create("SyncBN", dialect="mmengine", num_features=3, spatial_dims=1)
    assert type(layer).__name__ == name


def test_an_option_that_a_layer_learns_is_used_at_once(own_registry):
    """As when LayerNorm is given a channel_axis: nothing in the dialects has to change."""

    @cybn.register("LayerNorm", force=True)
    class Over(cybn.LayerNorm):
        @takes_options_of(cybn.LayerNorm)
        def __init__(self, *args, channel_axis: int = -1, **kwargs):
            super().__init__(*args, **kwargs)

    layer = cybn.create("layernorm2d", dialect="timm", num_features=3)
    assert (layer.channel_axis, layer.eps) == (1, 1e-6)


# One's own, and those of plugins


def test_register(own_shelf):
    assert register(mine()) == register(mine())
    assert available()[-1] == "mine"
    layer = cybn.create({"type": "bn", "decay": 0.75}, dialect="mine", num_features=3)
    assert (layer.momentum, layer.eps) == (0.25, 0.5)
    with pytest.raises(ValueError, match="'mine' is taken by my own; choose another name"):
        register(mine(title="another"))
    with pytest.raises(ValueError, match="'keras' is taken by cybn"):
        register(mine("keras"))
    with pytest.raises(ValueError, match="a dialect's name has letters"):
        register(mine("a.b"))


def test_a_dialect_that_is_not_registered_may_be_passed():
    assert cybn.create("bn", dialect=mine(), num_features=3).eps == 0.5


PLUGIN = """
from cybn.dialects import As, Dialect, Norm
DIALECT = Dialect("theirs", "their own", ("https://example.org",),
                  (Norm(("n",), "BatchNorm1d", {"e": As("eps", default=0.125)}),))
"""


def test_a_plugin_brings_one_and_is_imported_when_it_is_named(site):
    site.add("their-norms", "[cybn.dialects]\ntheirs = their_norms:DIALECT", PLUGIN)
    assert "theirs" in available()
    cybn.create("BN", dialect="mmengine", num_features=3)
    assert "their_norms" not in sys.modules
    assert cybn.create("n", dialect="theirs", num_features=3).eps == 0.125
    assert "their_norms" in sys.modules


def test_a_plugin_that_is_broken_or_clashes(site):
    site.add("one", "[cybn.dialects]\nodd = one:DIALECT\nsame = one:DIALECT", "DIALECT = 3")
    site.add("two", "[cybn.dialects]\nsame = two:DIALECT\nkeras = two:DIALECT", PLUGIN)
    with pytest.raises(cybn.PluginError, match=r"plugin one 1\.0: the entry point of the dialect"):
        cybn.create("n", dialect="odd")
    with pytest.raises(
        UnknownName, match=r"claimed by plugin one 1\.0 and plugin two 1\.0; uninst"
    ):
        cybn.create("n", dialect="same")
    assert cybn.create("LayerNormalization", dialect="keras", num_features=3).eps == 1e-3
    site.add("three", "[cybn.dialects]\ngone = nowhere:DIALECT", "")
    with pytest.raises(cybn.PluginError, match="'gone' cannot be loaded: ModuleNotFoundError"):
        cybn.create("n", dialect="gone")
    cybn.use_plugins(False)
    try:
        assert "odd" not in available()
    finally:
        cybn.use_plugins(True)


def test_import_cybn_imports_no_dialect():
    source = "import sys, cybn; cybn.create('BN', num_features=3); print(list(sys.modules))"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert "cybn.config.dialects.keras" not in done.stdout


# The page


def test_the_page_is_up_to_date():
    script = Path(__file__).parents[1] / ".ci" / "dialects.py"
    if not script.exists():
        pytest.skip("no .ci/dialects.py: not a checkout")
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_norm_and_option_is_on_the_page():
    page = Path(__file__).parents[1] / "docs" / "dialects.md"
    if not page.exists():
        pytest.skip("no docs: not a checkout")
    text = page.read_text("utf-8")
    for dialect in TABLES:
        _, _, part = text.partition(f"### {dialect.name}: ")
        part = part.partition("\n### ")[0]
        for norm in dialect.norms:
            assert all(f"`{name}`" in part for name in norm.names)


def test_a_dialect_is_one_module_each():
    for name in BUILT_IN:
        module = importlib.import_module(f"cybn.config.dialects.{name}")
        assert module.DIALECT.name == name
        assert len(Path(module.__file__).read_text("utf-8").splitlines()) < 350
