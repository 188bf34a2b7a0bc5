"""convert, freeze and unfreeze: everything carried over, nothing lost in silence."""

from typing import NamedTuple

import numpy as np
import pytest
from runs import bits, state_bits

import cybn

PLAIN = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d"]
SHAPES = {"BatchNorm1d": (6, 3), "BatchNorm2d": (2, 3, 4, 5), "BatchNorm3d": (2, 3, 2, 2, 2)}


def trained(name, **options):
    layer = cybn.create(name, num_features=3, **options)
    rng = np.random.default_rng(0)
    for a in layer.parameters():
        a[...] = rng.normal(1, 1, a.shape)
    layer(rng.normal(5, 2, SHAPES[name]).astype(np.float32))
    return layer


def x_for(name):
    return np.random.default_rng(1).normal(4, 3, SHAPES[name])


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"eps": 1e-2, "momentum": 0.3, "dtype": "float64"},
        {"momentum": None, "bias": False},
        {"affine": False},
    ],
    ids=str,
)
def test_a_frozen_layer_does_what_the_plain_one_does_in_evaluation(name, options):
    plain = trained(name, **options)
    before = state_bits(plain)
    frozen = cybn.freeze(plain)
    assert state_bits(plain) == before
    assert (type(frozen).__name__, frozen.training) == (f"Frozen{name}", True)
    assert (frozen.eps, frozen.dtype, frozen.channel_axis) == (plain.eps, plain.dtype, 1)
    x = x_for(name)
    assert bits(frozen(x)) == bits(plain.eval()(x))
    assert bits(frozen.backward(x)) == bits(plain.backward(x))
    for a in frozen.buffers():
        assert not any(np.shares_memory(a, b) for b in (*plain.parameters(), *plain.buffers()))


@pytest.mark.parametrize("name", PLAIN)
def test_there_and_back(name):
    plain = trained(name, eps=1e-2, dtype="float64").eval()
    back = cybn.unfreeze(cybn.freeze(plain))
    assert (type(back), back.training) == (type(plain), False)
    assert back.get_config() == plain.get_config()
    state, expected = back.state_dict(), plain.state_dict()
    assert (int(state.pop("num_batches_tracked")), int(expected.pop("num_batches_tracked"))) == (
        0, 1,
    )  # fmt: skip
    assert {k: bits(v) for k, v in state.items()} == {k: bits(v) for k, v in expected.items()}
    assert cybn.unfreeze(cybn.freeze(plain), momentum=0.7).momentum == 0.7


def test_channels_last_stays_so():
    plain = cybn.BatchNorm2d(3, channel_axis=-1)
    assert cybn.freeze(plain).channel_axis == -1


def test_trees_keep_their_form_and_other_layers_stay():
    other, frozen = cybn.Normalize(0.5), cybn.FrozenBatchNorm2d(3)
    net = {"a": trained("BatchNorm1d"), "b": [None, other], "c": (frozen, trained("BatchNorm2d"))}
    got = cybn.freeze(net)
    assert list(got) == ["a", "b", "c"]
    assert isinstance(got["a"], cybn.FrozenBatchNorm1d)
    assert got["b"][0] is None
    assert got["b"][1] is other
    assert isinstance(got["c"], tuple)
    assert got["c"][0] is frozen
    assert isinstance(got["c"][1], cybn.FrozenBatchNorm2d)
    assert isinstance(net["a"], cybn.BatchNorm1d)
    back = cybn.unfreeze(got)
    assert [type(back["a"]), type(back["c"][0]), back["b"][1]] == [
        cybn.BatchNorm1d, cybn.BatchNorm2d, other,
    ]  # fmt: skip
    assert cybn.freeze(None) is None


def test_what_cannot_be_frozen_is_an_error():
    with pytest.raises(ValueError, match=r"freeze needs running statistics, .* at layers\[1\] has"):
        cybn.freeze([None, cybn.BatchNorm1d(3, track_running_stats=False)])
    for name in (
        "GhostBatchNorm1d",
        "SplitBatchNorm1d",
        "DomainSpecificBatchNorm1d",
        "PowerNorm",
        "IterNorm",
        "EvoNormB0",
        "IBN",
        "SwitchableNorm1d",
        "BatchRenorm",
    ):
        with pytest.raises(TypeError, match=rf"freeze takes BatchNorm1d, .* got {name}\(3"):
            cybn.freeze({"n": cybn.create(name, num_features=3)})
    with pytest.raises(TypeError, match="freeze takes layers, or lists and dicts of them, got 'x'"):
        cybn.freeze("x")


def test_convert_carries_options_and_arrays_over():
    plain = trained("BatchNorm1d", eps=1e-2, momentum=0.4).eval()
    before = state_bits(plain)
    ghost = cybn.convert(plain, "ghost_batch_norm_1d", virtual_batch_size=2)
    assert state_bits(plain) == before
    assert (ghost.eps, ghost.momentum, ghost.virtual_batch_size) == (1e-2, 0.4, 2)
    assert not ghost.training
    assert {k: bits(v) for k, v in ghost.state_dict().items()} == {
        k: bits(v) for k, v in plain.state_dict().items()
    }
    back = cybn.convert(ghost, cybn.BatchNorm1d, drop="virtual_batch_size")
    assert back.get_config() == plain.get_config()
    assert bits(back(x_for("BatchNorm1d"))) == bits(plain(x_for("BatchNorm1d")))


def test_given_options_go_before_those_of_the_layer():
    plain = trained("BatchNorm1d", momentum=0.4)
    assert cybn.convert(plain, "BatchNorm1d", momentum=None).momentum is None
    wide = cybn.convert(plain, "BatchNorm1d", dtype="float64")
    assert wide.weight.tolist() == plain.weight.tolist()
    assert wide.weight.dtype == np.float64


def test_what_would_be_lost_is_an_error_that_names_it():
    plain = trained("BatchNorm1d", momentum=0.4)
    message = (
        r"convert would lose momentum=0\.4 and num_batches_tracked of BatchNorm1d\(3, .* at "
        r"layers\['a'\], which FrozenBatchNorm1d has not; "
        r"drop=\('momentum', 'num_batches_tracked'\) lets go of it"
    )
    with pytest.raises(ValueError, match=message):
        cybn.convert({"a": plain}, "FrozenBatchNorm1d")
    with pytest.raises(ValueError, match="would lose num_batches_tracked of"):
        cybn.convert(plain, "FrozenBatchNorm1d", drop=["momentum"])
    kept = cybn.convert(plain, "FrozenBatchNorm1d", drop=("momentum", "num_batches_tracked"))
    assert bits(kept.running_mean) == bits(plain.running_mean)
    untracked = cybn.BatchNorm1d(3, track_running_stats=False)
    with pytest.raises(ValueError, match="would lose track_running_stats=False of"):
        cybn.convert(untracked, "FrozenBatchNorm1d")
    # what is as in a new layer is no loss
    assert cybn.convert(cybn.BatchNorm1d(3), "FrozenBatchNorm1d").num_features == 3


def test_arrays_of_another_shape_are_an_error():
    with pytest.raises(ValueError, match=r"weight of shape \(3,\) would be \(\d+, 3\)"):
        cybn.convert(cybn.BatchNorm1d(3), "ConditionalBatchNorm1d")
    with pytest.raises(ValueError, match=r"weight of shape \(3,\) would be \(4,\)"):
        cybn.convert(cybn.BatchNorm1d(3), "BatchNorm1d", num_features=4)


def test_a_dict_of_targets_leaves_the_others():
    one, two = trained("BatchNorm1d"), trained("BatchNorm2d")
    got = cybn.convert([one, two], {"BN1d": "GhostBatchNorm1d"})
    assert isinstance(got[0], cybn.GhostBatchNorm1d)
    assert got[1] is two


def test_wrong_targets():
    layer = cybn.BatchNorm1d(3)
    with pytest.raises(LookupError, match="unknown layer 'SyncBtchNorm'"):
        cybn.convert(layer, "SyncBtchNorm")
    with pytest.raises(TypeError, match="no option 'epsilon'"):
        cybn.convert(layer, "FrozenBatchNorm1d", epsilon=1)
    with pytest.raises(TypeError, match="a layer name is a str"):
        cybn.convert(layer, 3)


@pytest.mark.parametrize("tool", ["convert", "freeze", "unfreeze"])
def test_what_was_tied_stays_so(tool):
    change = {
        "convert": lambda layers: cybn.convert(layers, "GhostBatchNorm1d"),
        "freeze": cybn.freeze,
        "unfreeze": cybn.unfreeze,
    }[tool]
    one, two = trained("BatchNorm1d"), trained("BatchNorm1d")
    two.weight = one.weight  # one learned array of two layers
    if tool == "unfreeze":
        one, two = cybn.freeze([one, two])
    got = change({"a": [one, one], "b": (two, {"c": one})})
    new_one, new_two = got["a"][0], got["b"][0]
    assert new_one is not one
    assert got["a"][1] is new_one
    assert got["b"][1]["c"] is new_one
    assert new_two is not new_one
    assert new_two.weight is new_one.weight
    assert new_two.weight is not two.weight
    assert new_two.running_mean is not new_one.running_mean
    new_one.weight[:] = 7
    x = x_for("BatchNorm1d")
    assert bits(new_two.eval()(x)) == bits(change(two_with(two, 7)).eval()(x))


def two_with(layer, weight):
    """A copy of the layer with another weight."""
    other = cybn.create(layer.get_config())
    other.load_state_dict(layer.state_dict())
    other.weight[:] = weight
    return other


def test_a_tie_to_a_layer_that_stays_as_it_is_is_not_cut_in_silence():
    plain, ghost = trained("BatchNorm1d"), cybn.GhostBatchNorm1d(3)
    ghost.bias = plain.bias
    before = state_bits(plain), state_bits(ghost)
    message = r"convert would untie bias at layers\[1\] from bias at layers\[0\], which is the same"
    with pytest.raises(ValueError, match=message):
        cybn.convert([plain, ghost], {"GhostBatchNorm1d": "BatchNorm1d"})
    assert (state_bits(plain), state_bits(ghost)) == before
    both = cybn.convert([plain, ghost], "BatchNorm1d")
    assert both[0].bias is both[1].bias
    ghost.bias = ghost.bias.copy()
    assert cybn.convert([plain, ghost], {"GhostBatchNorm1d": "BatchNorm1d"})[0] is plain


def test_named_tuples_stay_what_they_are():
    class Block(NamedTuple):
        first: cybn.Layer
        second: cybn.Layer | None

    block = cybn.freeze(Block(trained("BatchNorm1d"), None))
    assert type(block) is Block
    assert isinstance(block.first, cybn.FrozenBatchNorm1d)


@pytest.mark.parametrize("name", [*PLAIN, "LazyBatchNorm2d"])
@pytest.mark.parametrize(
    "option",
    [
        {"weight_init": "zeros"},
        {"on_single": "running"},
        {"on_nonfinite": "skip"},
        {"momentum": None},
        {"negative_slope": 0.2},
        {"affine": False},
        {"bias": False},
        {"weight_init": "uniform", "on_nonfinite": "error", "momentum": 0.9},
    ],
    ids=str,
)
def test_freeze_drops_what_a_frozen_layer_has_no_use_for(name, option):
    layer = cybn.create(name, num_features=3, **option)
    x = x_for(name.removeprefix("Lazy"))
    layer(x)
    frozen = cybn.freeze(layer)
    assert bits(frozen(x)) == bits(layer.eval()(x))


def test_freeze_keeps_what_would_be_missed():
    layer = cybn.BatchNorm2d(3, activation="leaky_relu", negative_slope=0.2, momentum=0.4)
    message = (
        r"freeze would lose activation='leaky_relu' of BatchNorm2d\(3.* at layers, which "
        r"FrozenBatchNorm2d has not; cybn\.convert\(layer, 'FrozenBatchNorm2d', drop=\('momentum', "
        r"'activation', 'negative_slope'\)\) lets go of it"
    )
    with pytest.raises(ValueError, match=message):
        cybn.freeze(layer)
    drop = ("momentum", "activation", "negative_slope")
    assert cybn.convert(layer, "FrozenBatchNorm2d", drop=drop).num_features == 3


def test_freeze_knows_no_subclass_that_computes_otherwise():
    class Doubled(cybn.BatchNorm2d):
        """Twice the norm."""

        def apply(self, x, **inputs):
            y, saved = super().apply(x, **inputs)
            return 2 * y, saved

    class Same(cybn.BatchNorm2d):
        """The norm, by another name."""

    with pytest.raises(TypeError, match=r"freeze takes BatchNorm1d, .* got Doubled.*leave it out"):
        cybn.freeze(Doubled(3))
    assert type(cybn.freeze(Same(3))) is cybn.FrozenBatchNorm2d
    with pytest.raises(ValueError, match="call it with x first if it is lazy"):
        cybn.freeze(cybn.LazyBatchNorm2d())
