"""State dicts, files of them, copies and pickles; and what a state dict may not hold."""

import copy
import io
import pickle
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import bits, state_bits

import cybn

KEYS = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]


def trained(seed=0, **options):
    layer = cybn.BatchNorm1d(3, **options)
    rng = np.random.default_rng(seed)
    for parameter in layer.parameters():
        parameter[:] = rng.normal(0, 1, 3)
    layer(rng.normal(2, 3, (8, 3)).astype(np.float32))
    return layer


def arrays(layer):
    return {name: bits(a) for name, a in layer.state_dict().items()}


def test_keys_are_those_of_pytorch():
    assert list(trained().state_dict()) == KEYS
    assert list(trained(bias=False).state_dict()) == ["weight", *KEYS[2:]]
    assert list(trained(affine=False).state_dict()) == KEYS[2:]
    assert list(trained(track_running_stats=False).state_dict()) == KEYS[:2]


@given(st.sampled_from(["float32", "float64"]), st.booleans(), st.booleans(), st.integers(0, 99))
def test_npz_round_trip_is_bitwise(dtype, affine, tracked, seed):
    options = {"dtype": dtype, "affine": affine, "track_running_stats": tracked}
    layer, other = trained(seed, **options), trained(seed + 1, **options)
    file = io.BytesIO()
    np.savez(file, **layer.state_dict())
    file.seek(0)
    with np.load(file, allow_pickle=False) as state:
        other.load_state_dict(state)
    assert arrays(other) == arrays(layer)


@pytest.mark.parametrize("training", [True, False])
def test_deepcopy_and_pickle_keep_everything_but_the_last_forward(training):
    layer = trained(momentum=None, eps=1e-3).train(training)
    layer.backward(np.ones((8, 3), np.float32))
    layer.momentum = 0.25
    for twin in (
        copy.deepcopy(layer),
        *(pickle.loads(pickle.dumps(layer, p)) for p in range(2, pickle.HIGHEST_PROTOCOL + 1)),
    ):
        assert state_bits(twin) == state_bits(layer)
        assert twin.bias is twin._parameters["bias"]  # which is the name of an option, too
        assert twin.get_config() == layer.get_config()
        with pytest.raises(RuntimeError, match=r"BatchNorm1d\.backward needs a forward first"):
            twin.backward(np.ones((8, 3), np.float32))
        assert not np.shares_memory(twin.weight, layer.weight)
    layer.backward(np.ones((8, 3), np.float32))  # the layer itself still has it


def test_a_copy_has_no_bias_where_the_layer_has_none():
    """`bias` names an option and an array: the array, or None, is the attribute."""
    for options in ({"bias": False}, {"affine": False}, {}):
        layer = trained(**options)
        for twin in (copy.copy(layer), copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            assert bits(twin.bias) == bits(layer.bias)
            assert twin.get_config() == layer.get_config()


def test_declaring_an_array_again_replaces_it():
    layer, x = trained(), np.random.default_rng(0).normal(0, 1, (4, 3)).astype(np.float32)
    layer(x)
    layer.register_parameter("bias", np.float32([1, 2, 3]))
    layer.weight[:] = 0
    assert (layer(x) == [1, 2, 3]).all()


def test_dotted_names_are_those_of_nested_modules():
    class Two(cybn.Layer):
        def __init__(self):
            self.register_parameter("norms.0.weight", np.ones(2))
            self.register_buffer("norms.0.running_var", np.ones(2))

    layer = Two()
    assert list(layer.state_dict()) == ["norms.0.weight", "norms.0.running_var"]
    assert getattr(copy.deepcopy(layer), "norms.0.weight").tolist() == [1, 1]
    with pytest.raises(ValueError, match=r"Two: norms.0.running_var must be >= 0, got -1"):
        layer.load_state_dict({**layer.state_dict(), "norms.0.running_var": np.array([-1.0, 1])})
    for name in ("norms..weight", "0.weight", "norms.0 .weight", ".weight", "a.b-c"):
        with pytest.raises(ValueError, match="cannot name a parameter or buffer"):
            layer.register_parameter(name, np.ones(2))


def test_a_shallow_copy_shares_arrays_until_one_is_replaced():
    layer = trained()
    twin = copy.copy(layer)
    assert twin.weight is layer.weight
    kept = layer.weight
    twin.weight = np.full(3, 7, np.float32)
    assert layer.weight is kept
    twin.bias = np.full(3, 9, np.float32)
    twin.weight[:] = 0
    x = np.random.default_rng(0).normal(0, 1, (4, 3)).astype(np.float32)
    assert (twin(x) == 9).all()
    assert not (layer(x) == 9).any()


def test_what_replaced_an_array_is_what_is_used():
    layer, x = trained(), np.random.default_rng(0).normal(0, 1, (4, 3)).astype(np.float32)
    layer(x)
    layer.weight, layer.bias = np.zeros(3, np.float32), np.float32([1, 2, 3])
    assert (layer(x) == [1, 2, 3]).all()
    mean = layer.running_mean = np.zeros(3, np.float32)
    layer(x)
    assert mean.any()
    layer.bias[:] = 5
    assert (layer(x) == 5).all()


def test_loading_copies():
    layer, state = trained(), trained(1).state_dict()
    held = layer.weight
    layer.load_state_dict(state)
    state["weight"][:] = 99
    assert layer.weight is held
    assert not (layer.weight == 99).any()


def test_loading_from_its_own_arrays_swapped():
    layer = trained()
    weight, bias = layer.weight.copy(), layer.bias.copy()
    layer.load_state_dict({"weight": layer.bias, "bias": layer.weight}, strict=False)
    np.testing.assert_array_equal(layer.weight, bias)
    np.testing.assert_array_equal(layer.bias, weight)


def test_other_float_dtypes_and_integers_are_converted():
    layer = trained()
    state = {name: a.astype(np.float64) for name, a in trained(1).state_dict().items()}
    state["num_batches_tracked"] = np.array(7, np.int32)
    state["weight"] = np.float16([1, 2, 3])
    layer.load_state_dict(state)
    assert layer.weight.dtype == np.float32
    assert layer.weight.tolist() == [1, 2, 3]
    assert layer.num_batches_tracked.dtype == np.int64
    assert layer.num_batches_tracked == 7


def test_strict_false_reports_and_leaves_the_rest():
    layer = trained()
    before = arrays(layer)
    keys = layer.load_state_dict({"weight": np.ones(3, np.float32), "wieght": 0}, strict=False)
    assert keys.missing_keys == KEYS[1:]
    assert keys.unexpected_keys == ["wieght"]
    assert {**before, "weight": bits(np.ones(3, np.float32))} == arrays(layer)


F32 = np.float32
BAD = {  # changes to a good state: {name: value or None to drop it}, error, what it says
    "missing": ({"bias": None}, LookupError, "1d: the state dict lacks bias; expected weight"),
    "several missing": ({"bias": None, "weight": None}, LookupError, "lacks weight, bias"),
    "unexpected": ({"wieght": F32([1])}, LookupError, "has 'wieght', which .* mean 'weight'"),
    "unexpected number": ({3: F32([1])}, LookupError, "has 3, which the layer has not"),
    "length": ({"bias": np.ones(4, F32)}, ValueError, r"bias must have shape \(3,\), got \(4,\)"),
    "rank": ({"bias": np.ones((3, 1), F32)}, ValueError, r"shape \(3,\), got \(3, 1\)"),
    "0-d": ({"num_batches_tracked": np.array([1])}, ValueError, r"shape \(\), got \(1,\)"),
    "int": ({"bias": np.ones(3, int)}, TypeError, "bias must hold floats .float32., got int64"),
    "complex": ({"bias": np.ones(3, complex)}, TypeError, "must hold floats .* got complex128"),
    "object": ({"bias": np.array([1, None, 2])}, TypeError, "must hold floats .* got object"),
    "text": ({"bias": np.array(["a"] * 3)}, TypeError, "must hold floats .* got <U1"),
    "float count": ({"num_batches_tracked": np.array(1.5)}, TypeError, "must hold integers"),
    "bool count": ({"num_batches_tracked": np.array(True)}, TypeError, "must hold integers"),
    "negative count": ({"num_batches_tracked": np.array(-1)}, ValueError, "must be >= 0, got -1"),
    "count too large": ({"num_batches_tracked": np.array(2**63, np.uint64)}, ValueError, ">= 0"),
    "nan": ({"running_mean": F32([1, np.nan, 2])}, ValueError, "mean must be finite, got nan"),
    "inf": ({"running_var": F32([1, np.inf, 2])}, ValueError, "_var must be finite, got inf"),
    "overflow": ({"weight": np.array([1, 1e300, 2])}, ValueError, r"must be finite, got 1e\+300"),
    "negative variance": ({"running_var": F32([1, -1, 2])}, ValueError, "_var must be >= 0, got"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_state_is_refused_as_a_whole(case):
    changes, error, message = BAD[case]
    layer, state = trained(), trained(1).state_dict()
    layer.backward(np.ones((8, 3), np.float32))
    for name, value in changes.items():
        if value is None:
            del state[name]
        else:
            state[name] = value
    before = state_bits(layer)
    with pytest.raises(error, match=message):
        layer.load_state_dict(state)
    assert state_bits(layer) == before


def test_missing_keys_are_both_a_lookup_error_and_a_value_error():
    for error in (LookupError, ValueError):
        with pytest.raises(error):
            trained().load_state_dict({})


@pytest.mark.parametrize("state", [None, [("weight", 1)], "weights.npz", 3])
def test_a_state_dict_is_a_mapping(state):
    with pytest.raises(TypeError, match="BatchNorm1d: a state dict maps names to arrays, got"):
        trained().load_state_dict(state)


@pytest.mark.parametrize("name", KEYS)
def test_a_read_only_array_is_found_before_anything_is_loaded(name):
    layer = trained()
    getattr(layer, name).flags.writeable = False
    before = state_bits(layer)
    with pytest.raises(ValueError, match=f"BatchNorm1d: {name} is read-only"):
        layer.load_state_dict(trained(1).state_dict())
    assert state_bits(layer) == before


def test_pickles_in_a_file_are_not_loaded():
    """A state file is read with allow_pickle=False; an object array in it is refused by NumPy."""
    file = io.BytesIO()
    np.savez(file, weight=np.array([object()]))
    file.seek(0)
    layer = trained()
    before = state_bits(layer)
    with (
        np.load(file, allow_pickle=False) as state,
        pytest.raises(ValueError, match="allow_pickle=False"),
    ):
        layer.load_state_dict(state, strict=False)
    assert state_bits(layer) == before


@pytest.mark.parametrize("prefix", ["bn1.", "module.layer1.0.bn1.", "norm_"])
def test_a_prefix_is_named_and_is_what_to_pass(prefix):
    layer = cybn.BatchNorm2d(3)
    state = {f"{prefix}{name}": a for name, a in layer.state_dict().items()}
    before = state_bits(layer)
    with pytest.raises(
        LookupError, match=re.escape(f"have a prefix, {prefix!r}; pass prefix=")
    ) as it:
        layer.load_state_dict(state)
    assert len(str(it.value)) < 250
    assert state_bits(layer) == before
    told = eval(str(it.value).partition("pass prefix=")[2])
    assert layer.load_state_dict(state, prefix=told) == ([], [])


def test_a_state_dict_of_a_whole_network_makes_a_short_message():
    layer = cybn.BatchNorm2d(3)
    network = {"conv.weight": np.ones((3, 3)), "weights": np.ones(3), 7: np.ones(3)}
    for i in range(50):
        network |= {f"layers.{i}.bn.{name}": a for name, a in layer.state_dict().items()}
    with pytest.raises(LookupError, match=r"'layers\.2\.bn\.' and 47 more; pass prefix=") as caught:
        layer.load_state_dict(network)
    assert len(str(caught.value)) < 300
    layer.load_state_dict(network, prefix=eval(str(caught.value).partition("pass prefix=")[2]))
    strangers = {f"w{i}": np.ones(3) for i in range(100)}
    with pytest.raises(LookupError, match="and 97 more names; expected weight, bias") as caught:
        layer.load_state_dict(strangers)
    assert len(str(caught.value)) < 500
    with pytest.raises(LookupError, match="expected no arrays"):
        cybn.GroupNorm(1, 3, affine=False).load_state_dict(strangers)
