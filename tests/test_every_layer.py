"""What holds for any registered layer: a layer added later is tested here without a new line.

Gradients are left to the conformance check, which test_check_layer.py runs on every layer.
"""

import copy
import pickle
import threading

import numpy as np
import pytest
from runs import bits, state_bits
from strategies import LAYOUTS, layout_id

import cybn

modes = pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])


def run(layer, x, dy):
    """All that one forward and backward leave behind, as bits."""
    y = layer(x)
    dx = layer.backward(dy)
    return bits(y), bits(dx), state_bits(layer)


def test_output_and_gradients_are_like_the_input(layer_spec):
    for dtype in (np.float32, np.float64):
        layer, x = layer_spec.make(), layer_spec.x(dtype)
        y = layer(x)
        dx = layer.backward(y)
        assert y is not x
        for a in (y, dx):
            assert (type(a), a.shape, a.dtype) == (np.ndarray, x.shape, x.dtype)
            assert np.isfinite(a).all()
        assert list(layer.grads) == [name for name, _ in layer.named_parameters()]
        for name, a in layer.named_parameters():
            assert (layer.grads[name].shape, layer.grads[name].dtype) == (a.shape, a.dtype)


@modes
def test_same_input_twice_gives_the_same_bits(layer_spec, training):
    x, dy = layer_spec.x(), layer_spec.x(seed=2)
    runs = [run(layer_spec.make().train(training), x, dy) for _ in range(2)]
    assert runs[0] == runs[1]


@modes
@pytest.mark.parametrize("layout", LAYOUTS, ids=layout_id)
def test_any_memory_layout_gives_the_same_values(layer_spec, training, layout):
    """The order of summation may follow the memory, so equal to a few roundings of float64."""
    x, dy = layer_spec.x(np.float64), layer_spec.x(np.float64, seed=2)
    plain, other = (layer_spec.make_precise().train(training) for _ in range(2))
    y, z = plain(x), other(layout(x))
    np.testing.assert_allclose(z, y, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(other.backward(layout(dy)), plain.backward(dy), atol=1e-13)
    for name, grad in plain.grads.items():
        np.testing.assert_allclose(other.grads[name], grad, rtol=1e-12, atol=1e-12)


@modes
def test_inputs_are_never_modified_and_may_be_read_only(layer_spec, training):
    x, dy = layer_spec.x(), layer_spec.x(seed=2)
    before = bits(x), bits(dy)
    x.flags.writeable = dy.flags.writeable = False
    run(layer_spec.make().train(training), x, dy)
    assert (bits(x), bits(dy)) == before


@modes
def test_out_takes_what_a_fresh_output_would_hold(layer_spec, training):
    x, dy = layer_spec.x(), layer_spec.x(seed=2)
    fresh, given, inside = (layer_spec.make().train(training) for _ in range(3))
    y, dx = fresh(x), fresh.backward(dy)
    out, dout = np.full_like(x, 7), np.full_like(x, 7)
    assert given(x, out=out) is out
    assert given.backward(dy, out=dout) is dout
    assert (bits(out), bits(dout)) == (bits(y), bits(dx))

    x, dy = x.copy(), dy.copy()
    assert inside(x, out=x) is x
    assert inside.backward(dy, out=dy) is dy
    assert (bits(x), bits(dy)) == (bits(y), bits(dx))
    assert state_bits(inside) == state_bits(given) == state_bits(fresh)


def test_evaluation_changes_no_state(layer_spec):
    layer = layer_spec.make()
    layer(layer_spec.x())
    layer.eval()
    before = state_bits(layer)
    layer(layer_spec.x(seed=3))
    assert state_bits(layer) == before


def test_evaluation_of_one_sample_is_that_of_the_batch(layer_spec):
    """But for ONNX's operator over the batch, and for one weight, of which a part is another."""
    layer = layer_spec.make()
    if type(layer) is cybn.MeanVarianceNormalization:
        layer.axes = (2, 3)
    if not layer_spec.has_batch():
        assert type(layer) is cybn.SpectralNorm
        return
    x = layer_spec.x(np.float64)
    layer(x)
    layer.eval()
    together = layer(x)
    for i in range(len(x)):
        np.testing.assert_allclose(layer(x[i : i + 1]), together[i : i + 1], atol=1e-14)


@pytest.mark.parametrize("training", [True, False])
def test_backward_is_linear(layer_spec, training):
    layer = layer_spec.make_precise().train(training)
    x, g, h = (layer_spec.x(np.float64, seed) for seed in (1, 2, 3))
    layer(x)
    parts = layer.backward(g), layer.backward(h)
    # a power of two is exact, but for the sign of zeros; a sum to the rounding of its terms
    assert bits(layer.backward(-4 * g) + 0.0) == bits(-4 * parts[0] + 0.0)
    np.testing.assert_allclose(layer.backward(g + h), parts[0] + parts[1], atol=1e-13)


def test_state_dict_is_a_copy_and_goes_back_bitwise(layer_spec):
    layer, other = layer_spec.make(), layer_spec.make(seed=9)
    layer(layer_spec.x())
    state = layer.state_dict()
    kept = {name: bits(a) for name, a in state.items()}
    layer(layer_spec.x(seed=3))
    assert {name: bits(a) for name, a in state.items()} == kept
    assert other.load_state_dict(state) == ([], [])
    assert {name: bits(a) for name, a in other.state_dict().items()} == kept


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))],
    ids=["deepcopy", "pickle"],
)
def test_a_copy_is_equal_and_goes_its_own_way(layer_spec, copied):
    layer = layer_spec.make()
    x, dy = layer_spec.x(), layer_spec.x(seed=2)
    layer(x)
    twin = copied(layer)
    assert type(twin) is type(layer)
    assert state_bits(twin) == state_bits(layer)
    arrays = {**dict(twin.named_parameters()), **dict(twin.named_buffers())}
    assert all(getattr(twin, name) is a for name, a in arrays.items())
    before = state_bits(layer)
    afterwards = run(twin, x, dy)
    assert state_bits(layer) == before
    assert run(layer, x, dy) == afterwards


def test_config_builds_an_equal_layer(layer_spec):
    layer = layer_spec.make()
    config = layer.get_config()
    twin = cybn.create(config)
    assert (type(twin), repr(twin), twin.get_config()) == (type(layer), repr(layer), config)
    twin.load_state_dict(layer.state_dict())
    assert bits(twin(layer_spec.x())) == bits(layer(layer_spec.x()))


def test_repr_is_an_expression_that_builds_the_layer(layer_spec):
    layer = layer_spec.make()
    again = eval(repr(layer), {type(layer).__name__: type(layer)})
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize(
    "bad",
    [
        "int",
        "complex",
        "object",
        "rank",
        "out shape",
        "out dtype",
        "out read-only",
        "out overlapping",
    ],
)
def test_a_failing_call_changes_nothing(layer_spec, bad):
    layer, x = layer_spec.make(), layer_spec.x()
    expected = layer(x)
    layer.backward(x)
    dx, before = layer.backward(x), state_bits(layer)
    double = np.zeros((len(x) + 1, *x.shape[1:]), x.dtype)
    wrong, out = {
        "int": (x.astype(int), None),
        "complex": (x.astype(complex), None),
        "object": (x.astype(object), None),
        "rank": (x[(0,) * x.ndim], None),
        "out shape": (x, np.empty(x.shape[::-1] if x.ndim > 2 else (1, 1), x.dtype)),
        "out dtype": (x, np.empty(x.shape, np.float64)),
        "out read-only": (x, np.broadcast_to(np.float32(0), x.shape)),
        "out overlapping": (double[1:], double[:-1]),
    }[bad]
    if bad == "out shape" and out.shape == x.shape:
        out = np.empty((1, *x.shape), x.dtype)
    with pytest.raises((TypeError, ValueError), match=type(layer).__name__):
        layer(wrong, out=out)
    assert state_bits(layer) == before
    assert bits(layer.backward(x)) == bits(dx)
    assert not double.any()
    assert bits(layer_spec.make()(x)) == bits(expected)


def test_each_thread_with_a_layer_of_its_own_gets_what_one_thread_gets(layer_spec):
    x, dy = layer_spec.x(), layer_spec.x(seed=2)
    alone = layer_spec.make()
    expected = [run(alone, x, dy) for _ in range(20)]
    results = {}

    def work(i):
        layer = layer_spec.make()
        results[i] = [run(layer, x, dy) for _ in range(20)]

    workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert results == dict.fromkeys(range(4), expected)
