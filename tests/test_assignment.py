"""What is assigned, deleted or set to None in a layer is checked as it is when one is built."""

import numpy as np
import pytest
from runs import bits, state_bits

import cybn
from cybn.terms.signature import options_of

RELATIVES = ["BatchNorm1d", "GhostBatchNorm1d", "SplitBatchNorm1d", "LazyBatchNorm1d"]


def built(name, **options):
    """A layer of three channels that has seen one batch."""
    layer = cybn.create(name, num_features=3, **options)
    layer(np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32))
    return layer


@pytest.mark.parametrize("name", RELATIVES)
def test_a_rule_between_options_holds_after_an_assignment(name):
    layer = built(name, track_running_stats=False)
    with pytest.raises(ValueError, match=r"on_single='running' needs track_running_stats=True"):
        layer.on_single = "running"
    assert layer.on_single == "error"
    assert cybn.create(layer.get_config()).on_single == "error"


@pytest.mark.parametrize("name", RELATIVES)
@pytest.mark.parametrize("missing", ["running_mean", "running_var"])
def test_a_single_sample_needs_the_running_statistics(name, missing):
    layer = built(name, on_single="running")
    setattr(layer, missing, None)
    before, out = state_bits(layer), np.full((1, 3), 7, np.float32)
    if name.startswith("Split"):
        layer.num_batches_tracked[...] = 0
        before = state_bits(layer)
        layer.eval()
        return
    with pytest.raises(ValueError, match=f"needs {missing}, which is None"):
        layer(np.ones((1, 3), np.float32), out=out)
    assert state_bits(layer) == before
    assert (out == 7).all()


def test_no_array_can_be_missing_or_deleted(layer_spec):
    """None in place of an array: refused by its name, or a layer without that array."""
    x = layer_spec.x()
    for name in layer_spec.make().state_dict():
        layer = layer_spec.make()
        layer_spec.call(layer, x)
        with pytest.raises(AttributeError, match=f"{name} is a part of the layer"):
            layer.__delattr__(name)
        try:
            setattr(layer, name, None)
        except ValueError as error:  # it is the name of an option as well
            assert f"needs {name}, got None" in str(error)  # noqa: PT017
            continue
        for mode in (True, False):
            before, out = state_bits(layer.train(mode)), np.full_like(x, 7)
            try:
                y = layer_spec.call(layer, x, out)
            except ValueError as error:
                assert f"{name}, which is None" in str(error)  # noqa: PT017
                assert state_bits(layer) == before
                assert (out == 7).all()
            else:
                assert name.rpartition(".")[2] in type(layer).optional_arrays
                assert y is out
                layer.backward(x)


def test_no_option_can_be_deleted(layer_spec):
    layer = layer_spec.make()
    for name in options_of(type(layer)):
        with pytest.raises(AttributeError, match=f"{name} is a part of the layer"):
            delattr(layer, name)
    layer_spec.call(layer, layer_spec.x())


SHAPING = {
    "affine": False,
    "bias": False,
    "track_running_stats": False,
    "num_features": 4,
    "dtype": "float64",
}


@pytest.mark.parametrize("name", ["BatchNorm1d", "GhostBatchNorm1d", "InstanceNorm1d", "LazyBN1d"])
@pytest.mark.parametrize("option", SHAPING)
def test_an_option_that_has_shaped_the_layer_is_read_only(name, option):
    layer = cybn.create(name, num_features=3, affine=True, track_running_stats=True)
    if option == "bias":  # the name is that of the array, and an array may replace another
        with pytest.raises(TypeError, match="bias must be an ndarray or None"):
            layer.bias = False
        return
    before, config = state_bits(layer), layer.get_config()
    with pytest.raises(AttributeError, match=f"{option} has shaped the layer") as error:
        setattr(layer, option, SHAPING[option])
    assert (state_bits(layer), layer.get_config()) == (before, config)
    advice = str(error.value).rpartition("build another layer: ")[2]
    assert getattr(eval(advice, {"cybn": cybn, "layer": layer}), option) == SHAPING[option]
    setattr(layer, option, getattr(layer, option))  # the value that it has


def test_an_assigned_option_acts_and_the_state_still_fits(layer_spec):
    """Whatever value is taken: the config then builds a layer that loads the layer's state."""
    for name, option in options_of(type(layer_spec.make())).items():
        for value in (True, False, None, 2, 0.5, "float64", -1, "relu", [4], 3, "running", "skip"):
            layer = layer_spec.make()
            before = state_bits(layer), layer.get_config()
            if name in layer._parameters or name in layer._buffers:
                continue
            try:
                option.kind.check(value, "")
            except (TypeError, ValueError):
                continue
            try:
                setattr(layer, name, value)
            except (AttributeError, TypeError, ValueError) as error:
                assert name in str(error)  # noqa: PT017
                assert (state_bits(layer), layer.get_config()) == before
                continue
            assert layer.get_config()[name] == getattr(layer, name)
            other = cybn.create(layer.get_config())
            assert other.load_state_dict(layer.state_dict()) == ([], [])


@pytest.mark.parametrize("value", ["no", 0, None, np.array([True])])
def test_the_mode_is_true_or_false(value):
    layer = cybn.BatchNorm1d(3)
    with pytest.raises(ValueError, match="training is True or False, got"):
        layer.training = value
    assert layer.training is True
    layer.training = np.bool_(False)
    assert layer.training is False


def test_trying_a_value_draws_no_random_numbers():
    layer = cybn.BatchNorm1d(3, weight_init="uniform")
    np.random.seed(5)  # noqa: NPY002
    expected = np.random.random_sample()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    layer.eps = 1e-3
    assert np.random.random_sample() == expected  # noqa: NPY002


def test_weight_and_running_var_as_one_array():
    """The gradient is that of the forward as it was, though the weight moves with the variance."""
    rng = np.random.default_rng(0)
    x, dy = rng.normal(0, 3, (2, 8, 3)).astype(np.float32)
    expected = cybn.BatchNorm1d(3)
    expected(x)
    for name in ("BatchNorm1d", "GhostBatchNorm1d", "BatchRenorm1d"):
        layer = cybn.create(name, num_features=3)
        layer.weight = layer.running_var = np.ones(3, np.float32)
        layer(x)
        assert (layer.weight != 1).all()
        assert bits(layer.backward(dy)) == bits(expected.backward(dy))
