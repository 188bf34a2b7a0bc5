"""FrozenBatchNorm: evaluation in every mode, no parameters, state dicts of BatchNorm."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import bits, state_bits

import cybn
from cybn.layers.base.state import StateError

NAMES = ["weight", "bias", "running_mean", "running_var"]


def trained(seed=0, eps=1e-5, dtype="float32", **options):
    """A BatchNorm1d with arrays like those of a trained one."""
    layer = cybn.BatchNorm1d(3, eps=eps, dtype=dtype, **options)
    rng = np.random.default_rng(seed)
    for name, a in (*layer.named_parameters(), *layer.named_buffers()):
        if name != "num_batches_tracked":
            a[...] = rng.uniform(0.5, 2, 3)
    layer.num_batches_tracked[...] = 7
    return layer


def frozen(layer, **options):
    """The frozen form of a BatchNorm1d."""
    other = cybn.FrozenBatchNorm1d(3, eps=layer.eps, dtype=layer.dtype, **options)
    other.load_state_dict(layer.state_dict())
    return other


@given(
    st.booleans(),
    st.sampled_from(["float32", "float64"]),
    st.sampled_from([np.float32, np.float64]),
    st.sampled_from([(5, 3), (2, 3, 7), (1, 3), (0, 3), (40, 3, 90)]),
    st.integers(0, 999),
)
def test_it_is_batch_norm_in_evaluation_whatever_the_mode(training, dtype, of_x, shape, seed):
    plain = trained(seed, dtype=dtype).eval()
    layer = frozen(plain).train(training)
    x, dy = np.random.default_rng(seed).normal(1, 2, (2, *shape)).astype(of_x)
    before = {name: bits(a) for name, a in layer.named_buffers()}
    assert bits(layer(x)) == bits(plain(x))
    dx = plain.backward(dy)
    np.testing.assert_allclose(layer.backward(dy), dx, rtol=4 * np.finfo(of_x).eps, atol=0)
    assert layer.grads == {}
    assert {name: bits(a) for name, a in layer.named_buffers()} == before
    assert layer.training is training


def test_everything_is_a_buffer():
    layer = cybn.FrozenBatchNorm2d(3)
    assert list(layer.parameters()) == []
    assert [name for name, _ in layer.named_buffers()] == list(layer.state_dict()) == NAMES


def test_a_state_dict_of_batch_norm_loads_and_other_names_do_not():
    plain, layer = trained(), cybn.FrozenBatchNorm1d(3)
    assert layer.load_state_dict(plain.state_dict()) == ([], [])
    for name in NAMES:
        assert bits(getattr(layer, name)) == bits(getattr(plain, name))
    before = state_bits(layer)
    with pytest.raises(StateError, match="FrozenBatchNorm1d: the state dict lacks weight, bias"):
        layer.load_state_dict(trained(affine=False).state_dict())
    with pytest.raises(StateError, match="has 'num_batches', which the layer has not"):
        layer.load_state_dict({**layer.state_dict(), "num_batches": np.array(0)})
    with pytest.raises(TypeError, match="FrozenBatchNorm1d: a state dict maps names to arrays"):
        layer.load_state_dict([("weight", np.ones(3))])
    assert state_bits(layer) == before


def test_a_value_worked_out_by_hand_with_eps_0():
    layer = cybn.FrozenBatchNorm2d(1, eps=0, dtype="float64")
    layer.running_mean[:], layer.running_var[:], layer.weight[:], layer.bias[:] = 1, 4, 3, 0.5
    x = np.array([1.0, 5.0, -1.0, 2.0]).reshape(1, 1, 2, 2)
    assert layer(x).ravel().tolist() == [0.5, 6.5, -2.5, 2.0]  # (x - 1) / 2 * 3 + 0.5
    assert layer.backward(x).ravel().tolist() == [1.5, 7.5, -1.5, 3.0]


def test_backward_needs_nothing_that_may_change_after_the_forward():
    layer = frozen(trained())
    x, dy = np.random.default_rng(0).normal(0, 1, (2, 4, 3)).astype(np.float32)
    layer(x)
    dx = layer.backward(dy)
    layer(x)
    x[:] = np.nan
    layer.weight[:], layer.running_var[:], layer.eps = 9, 9, 1.0
    assert bits(layer.backward(dy)) == bits(dx)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((2, 4), np.float32), ValueError, "expects 3 channels on axis 1, got 4"),
        (np.zeros((2, 3, 1, 1), np.float32), ValueError, "use FrozenBatchNorm2d"),
        (np.zeros((2, 3), int), TypeError, "float32 or float64 x"),
    ],
)
def test_errors_name_the_class(x, error, message):
    with pytest.raises(error, match=f"FrozenBatchNorm1d .*{message}"):
        cybn.FrozenBatchNorm1d(3)(x)


def test_backward_before_any_forward_and_with_another_shape():
    layer = cybn.FrozenBatchNorm1d(3)
    with pytest.raises(RuntimeError, match=r"FrozenBatchNorm1d\.backward needs a forward first"):
        layer.backward(np.zeros((2, 3), np.float32))
    layer(np.zeros((2, 3), np.float32))
    with pytest.raises(ValueError, match=r"FrozenBatchNorm1d expects dy of the input's shape"):
        layer.backward(np.zeros((3, 3), np.float32))
