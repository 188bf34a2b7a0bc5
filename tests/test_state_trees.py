"""State of a tree of layers at once: its names, all or nothing, ties, a way of one's own."""

import numpy as np
import pytest
from runs import bits, state_bits

import cybn

F32 = np.float32


def net(**more):
    return {
        "stem": cybn.BatchNorm2d(3),
        "blocks": [cybn.LayerNorm(4), None, cybn.RMSNorm(2)],
        **more,
    }


def filled(tree, seed=0):
    """A state dict for the tree, of other values in every array."""
    rng = np.random.default_rng(seed)
    return {
        name: np.array(seed) if a.dtype.kind == "i" else rng.uniform(0.5, 2, a.shape).astype(F32)
        for name, a in cybn.state_dict(tree).items()
    }


def all_bits(tree):
    return {name: bits(a) for name, a in cybn.state_dict(tree).items()}


def test_names_are_those_of_pytorch():
    assert list(cybn.state_dict(net())) == [
        *(f"stem.{n}" for n in ("weight", "bias", "running_mean", "running_var")),
        "stem.num_batches_tracked", "blocks.0.weight", "blocks.0.bias", "blocks.2.weight",
    ]  # fmt: skip
    assert list(cybn.state_dict(cybn.RMSNorm(2))) == ["weight"]
    assert list(cybn.state_dict({"net": (cybn.RMSNorm(2),)}, prefix="a.")) == ["a.net.0.weight"]
    assert list(cybn.state_dict({"layer1.0.bn1": cybn.RMSNorm(2)})) == ["layer1.0.bn1.weight"]
    assert list(cybn.state_dict({1: cybn.RMSNorm(2)})) == ["1.weight"]
    assert cybn.state_dict([None, []]) == {}


def test_they_agree_with_a_module_of_pytorch():
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    module = torch.nn.ModuleDict({
        "stem": torch.nn.BatchNorm2d(3),
        "blocks": torch.nn.ModuleList(
            [torch.nn.LayerNorm(4), torch.nn.Identity(), torch.nn.RMSNorm(2)]
        ),
    })  # fmt: skip
    for a in (*module.parameters(), *module.buffers()):
        a.data = torch.rand(a.shape).add(0.5).to(a.dtype)
    tree = net()
    assert cybn.load_state_dict(tree, module.state_dict()) == ([], [])
    theirs = {name: a.numpy().tobytes() for name, a in module.state_dict().items()}
    assert {name: a.tobytes() for name, a in cybn.state_dict(tree).items()} == theirs


def test_what_is_given_is_a_copy():
    tree = net()
    cybn.state_dict(tree)["stem.weight"][:] = 7
    assert (tree["stem"].weight == 1).all()


@pytest.mark.parametrize("prefix", ["", "backbone.", "module.encoder."])
def test_round_trip(prefix):
    tree, other = net(), net()
    assert cybn.load_state_dict(tree, filled(tree)) == ([], [])
    state = {**cybn.state_dict(tree, prefix), **({"head.weight": F32([1])} if prefix else {})}
    assert cybn.load_state_dict(other, state, prefix=prefix) == ([], [])
    assert all_bits(other) == all_bits(tree)


BAD = {  # changes to a good state: {name: value or None to drop it}, error, what it says
    "missing": ({"blocks.2.weight": None}, LookupError, "lacks blocks.2.weight; expected stem.w"),
    "closest": (
        {"blocks.0.wieght": F32([1])}, LookupError,
        "has 'blocks.0.wieght', which no layer has; did you mean 'blocks.0.weight'",
    ),
    "shape": (
        {"blocks.2.weight": F32([1, 2, 3])}, ValueError,
        r"blocks\.2: RMSNorm: weight must have shape \(2,\), got \(3,\)",
    ),
    "dtype": (
        {"blocks.2.weight": np.ones(2, int)}, TypeError,
        r"blocks\.2: RMSNorm: weight must hold floats \(float32\), got int64; .*"
        r"state\['blocks.2.weight'\].astype",
    ),
    "value": ({"blocks.2.weight": F32([1, np.nan])}, ValueError, "blocks.2: .* must be finite"),
    "object": ({"blocks.2.weight": np.array([1, None])}, TypeError, "blocks.2: .* got object"),
    "variance": ({"stem.running_var": F32([1, 1, -1])}, ValueError, "stem: .* must be >= 0, got"),
    "no array": ({"blocks.2.weight": "weights"}, TypeError, "blocks.2: .* must hold floats"),
    "dict": ({"state_dict": {"w": 1}}, LookupError, r"a dict, so pass state\['state_dict'\]"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_one_bad_key_and_nothing_is_assigned(case, prefix):
    changes, error, message = BAD[case]
    tree = net()
    state = {f"{prefix}{name}": a for name, a in {**filled(tree, 3), **changes}.items()}
    state = {name: a for name, a in state.items() if a is not None}
    before = all_bits(tree)
    with pytest.raises(error, match=None if prefix else message) as caught:
        cybn.load_state_dict(tree, state, prefix=prefix)
    assert all(f"{prefix}{name}" in str(caught.value) for name in changes if prefix)
    assert all_bits(tree) == before


def test_strict_false_reports_what_is_left_alone():
    tree = net()
    before = all_bits(tree)
    state = {"bb.blocks.2.weight": F32([3, 4]), "bb.conv.weight": F32([1]), "fc.weight": F32([1])}
    keys = cybn.load_state_dict(tree, state, strict=False, prefix="bb.")
    assert keys.unexpected_keys == ["bb.conv.weight"]
    assert keys.missing_keys == [f"bb.{name}" for name in before if name != "blocks.2.weight"]
    assert tree["blocks"][2].weight.tolist() == [3, 4]
    assert {**all_bits(tree), "blocks.2.weight": 0} == {**before, "blocks.2.weight": 0}


def test_a_prefix_that_no_name_has():
    layer = cybn.RMSNorm(2)
    state = {"backbone.norm.weight": F32([1, 2]), 3: F32([1])}
    with pytest.raises(LookupError, match=r"'backbon\.norm\.'; did you mean 'backbone\.norm\.'"):
        layer.load_state_dict(state, prefix="backbon.norm.")
    with pytest.raises(LookupError, match=r"'head'; they begin with 'backbone\.', 'backbone\.n"):
        layer.load_state_dict(state, prefix="head")
    with pytest.raises(LookupError, match=r"begins with 'head'$"):
        layer.load_state_dict({}, prefix="head")
    with pytest.raises(LookupError, match=r"prefix, .backbone\.norm\..; pass"):
        layer.load_state_dict(state, prefix="backbone.norm")
    with pytest.raises(TypeError, match="prefix is what names begin with, got 3"):
        layer.load_state_dict(state, prefix=3)
    assert layer.load_state_dict(state, prefix="backbone.norm.") == ([], [])


def test_the_prefix_of_a_whole_tree_is_found():
    tree = net()
    state = {f"module.{name}": a for name, a in filled(tree).items()}
    with pytest.raises(LookupError, match=r"have a prefix, 'module.'; pass prefix='module.'"):
        cybn.load_state_dict(tree, {**state, "module.fc.weight": F32([1])})


def test_a_layer_in_two_places_is_loaded_once():
    norm = cybn.RMSNorm(2)
    tree = {"a": norm, "b": norm}
    assert list(cybn.state_dict(tree)) == ["a.weight", "b.weight"]
    state = {"a.weight": F32([1, 2]), "b.weight": F32([1, 2])}
    assert cybn.load_state_dict(tree, state) == ([], [])
    with pytest.raises(ValueError, match=r"b: RMSNorm: weight is one array with a\.weight, and"):
        cybn.load_state_dict(tree, {**state, "b.weight": F32([9, 9])})
    assert norm.weight.tolist() == [1, 2]
    assert cybn.load_state_dict(tree, {"b.weight": F32([3, 4])}, strict=False).missing_keys == [
        "a.weight"
    ]
    assert norm.weight.tolist() == [3, 4]


def test_two_arrays_of_one_name():
    tree = {"a": {"b": cybn.RMSNorm(2)}, "a.b": cybn.RMSNorm(2)}
    with pytest.raises(ValueError, match=r"two arrays are called 'a\.b\.weight'; rename a layer"):
        cybn.state_dict(tree)


def test_what_is_no_layer():
    for call in (cybn.state_dict, lambda tree: cybn.load_state_dict(tree, {})):
        with pytest.raises(TypeError, match=r"takes layers, .* got 3 \(int\) at 'a.1'"):
            call({"a": [cybn.RMSNorm(2), 3]})
        with pytest.raises(TypeError, match=r"takes layers, .* got 3 \(int\)$"):
            call(3)
    with pytest.raises(TypeError, match="a state dict maps names to arrays, got list"):
        cybn.load_state_dict(net(), [1])


def test_lazy_and_frozen_layers_of_a_tree():
    tree = {"lazy": cybn.LazyBatchNorm1d(), "frozen": cybn.FrozenBatchNorm2d(2)}
    plain = {"lazy": cybn.BatchNorm1d(5), "frozen": cybn.BatchNorm2d(2)}
    state = filled(plain, 2)
    bad = {**state, "frozen.weight": F32([1])}
    with pytest.raises(ValueError, match="frozen: FrozenBatchNorm2d: weight must have shape"):
        cybn.load_state_dict(tree, bad)
    assert tree["lazy"].num_features is None
    assert cybn.load_state_dict(tree, state) == ([], [])
    assert tree["lazy"].num_features == 5
    assert tree["lazy"].num_batches_tracked == 2
    assert all_bits(tree).items() <= {name: bits(a) for name, a in state.items()}.items()


class Renamed(cybn.RMSNorm):
    """A layer that loads old checkpoints in a way of its own."""

    def load_state_dict(self, state, strict=True, **how):
        state = {name.replace("scale", "weight"): a for name, a in state.items()}
        return super().load_state_dict(state, strict, **how)


def test_a_layer_that_loads_in_its_own_way():
    tree = {"own": Renamed(2), "norm": cybn.RMSNorm(2)}
    state = {"own.scale": F32([1, 2]), "norm.weight": F32([3, 4])}
    assert cybn.load_state_dict(tree, state) == ([], [])
    assert tree["own"].weight.tolist() == [1, 2]
    before = state_bits(tree["norm"])
    for bad in ({"own.scale": F32([1])}, {"own.sclae": F32([1, 2])}):
        with pytest.raises(ValueError, match="Renamed"):
            cybn.load_state_dict(tree, {"norm.weight": F32([5, 6]), **bad})
        assert state_bits(tree["norm"]) == before
        assert tree["own"].weight.tolist() == [1, 2]
