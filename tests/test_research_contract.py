"""The pure pair of the research norms: what it checks, keeps, moves and leaves as it was."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from researchlayers import SPECS, each_spec, inputs_for, make, shape_for
from runs import bits, python, state_bits
from whole import draw

import cybn
from cybn.layers.research import _common

modes = pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])


def views(a):
    """The values of an (N, C, L) in memory of many orders."""
    n, c, m = a.shape
    longer, more = np.zeros((n, c, 2 * m), a.dtype), np.zeros((m, 3 * c, n), a.dtype)
    longer[:, :, ::2], more.transpose(2, 1, 0)[:, 1::3] = a, a
    return {
        "plain": a.copy(),
        "sliced": longer[:, :, ::2],
        "sliced and turned": more.transpose(2, 1, 0)[:, 1::3],
        "backwards": a[:, :, ::-1].copy()[:, :, ::-1],
        "Fortran": np.asfortranarray(a),
        "channels last": np.ascontiguousarray(a.transpose(0, 2, 1)).transpose(0, 2, 1),
        "channels outside": np.ascontiguousarray(a.transpose(1, 0, 2)).transpose(1, 0, 2),
    }


def grads_bits(layer):
    return {name: bits(a) for name, a in layer.grads.items()}


@each_spec
@modes
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", list(views(np.zeros((1, 1, 1)))))
def test_fresh_given_and_in_place_have_the_same_bits_in_any_memory(spec, training, dtype, order):
    for length in (7, 70):
        x, dy = (draw(shape_for(spec, length=length), dtype, seed) for seed in (1, 2))
        inputs = inputs_for(spec, x)
        results = []
        for way in ("fresh", "given", "in place"):
            layer, a, g = make(spec, training), views(x)[order], views(dy)[order]
            out, dout = {
                "fresh": (None, None),
                "given": (np.empty(x.shape, dtype), np.empty(x.shape, dtype)),
                "in place": (a, g),
            }[way]
            y = bits(layer(a, out=out, **inputs))
            dx = bits(layer.backward(g, out=dout))
            results.append((y, dx, grads_bits(layer), layer.state_dict()))
        first = results[0]
        for other in results[1:]:
            assert other[:3] == first[:3]
            assert all(bits(a) == bits(first[3][name]) for name, a in other[3].items())


@each_spec
@modes
def test_a_missing_array_is_named_and_nothing_is_written(spec, training):
    x = draw(shape_for(spec), np.float32)
    names = [name for name, _ in (*make(spec).named_parameters(), *make(spec).named_buffers())]
    for name in set(names) - set(make(spec).optional_arrays):
        layer = make(spec, training)
        with pytest.raises(AttributeError, match=rf"{name} is a part of the layer"):
            delattr(layer, name)
        setattr(layer, name, None)
        before, out, inside = state_bits(layer), np.full_like(x, 7), x.copy()
        for target in (out, inside):
            with pytest.raises(ValueError, match=rf"{type(layer).__name__} needs {name}, which is"):
                layer(inside, out=target, **inputs_for(spec, x))
        assert (out == 7).all()
        assert bits(inside) == bits(x)
        assert state_bits(layer) == before
    for name in make(spec).optional_arrays:
        layer = make(spec, training)
        setattr(layer, name, None)
        assert np.isfinite(layer(x)).all()
        layer.backward(x)
        assert name not in layer.grads


@pytest.mark.parametrize("spec", [one for one in SPECS if isinstance(make(one), _common.Guarded)])
def test_what_fails_late_leaves_x_and_statistics(spec, monkeypatch):
    """An interrupt just before the statistics move, when all of the output is written."""
    layer, x = make(spec), draw(shape_for(spec), np.float32)
    inside, before = x.copy(), state_bits(layer)

    def interrupted(steps):
        assert bits(inside) != bits(x)
        raise KeyboardInterrupt

    monkeypatch.setattr(_common, "follow", interrupted)
    with pytest.raises(KeyboardInterrupt):
        layer(inside, out=inside, **inputs_for(spec, x))
    assert bits(inside) == bits(x)
    assert state_bits(layer) == before


@each_spec
@modes
def test_a_pair_keeps_nothing_in_the_layer(spec, training):
    """Two calls of one layer before the pullback of the first."""
    layer, twin = make(spec, training), make(spec, training)
    x, dy = draw(shape_for(spec), np.float32), draw(shape_for(spec), np.float32, seed=2)
    other, inputs = draw(shape_for(spec, samples=8, length=4), np.float32, 3), inputs_for(spec, x)
    expected = bits(twin(x, **inputs)), bits(twin.backward(dy)), grads_bits(twin)
    attributes = set(vars(layer))
    y, saved = layer.apply(x, **inputs)
    layer.apply(other)
    for a in layer.parameters():
        a += 1
    for _ in range(2):
        dx, grads = layer.pullback(saved, dy)
        for name in layer.differentiated:
            grads.pop(name, None)
        assert (bits(y), bits(dx), {n: bits(a) for n, a in grads.items()}) == expected
    assert set(vars(layer)) == attributes
    assert layer._saved is None
    assert isinstance(saved, layer.Saved)
    assert saved[0] is x is saved.x
    with pytest.raises(TypeError, match=rf"{type(layer).__name__}.pullback takes what"):
        layer.pullback((x,), dy)
    with pytest.raises(TypeError, match="positional"):
        layer(x, np.empty_like(x))


def test_the_gradient_of_the_style_is_that_of_the_pair():
    layer, x, style = cybn.AdaIN(), draw((2, 3, 5)), draw((2, 3, 4), seed=2)
    y, saved = layer.apply(x, style=style)
    dx, grads = layer.pullback(saved, y)
    layer(x, style=style)
    assert bits(layer.backward(y)) == bits(dx)
    assert bits(layer.dstyle) == bits(layer.grad_style) == bits(grads["style"])
    assert layer.grads == {}
    square = draw((2, 3, 5), seed=2)
    _, saved = layer.apply(x, style=square)
    with pytest.raises(ValueError, match="AdaIN got an out that overlaps style"):
        layer.pullback(saved, y, out=square)


@pytest.mark.parametrize("subtract_last", [False, True])
def test_revin_s_pairs_hand_on_what_its_methods_remember(subtract_last):
    options = {"num_features": 3, "subtract_last": subtract_last, "dtype": "float64"}
    layer, pure = (cybn.RevIN(**options) for _ in range(2))
    x, forecast = draw((2, 5, 3)), draw((2, 4, 3), seed=2)
    dz, dy = draw((2, 4, 3), seed=3), draw((2, 5, 3), seed=4)
    expected = [layer(x), layer.inverse(forecast), layer.inverse_backward(dz)]
    of_inverse = layer.grads
    expected.append(layer.backward(dy))

    y, saved = pure.apply(x)
    pure.apply(2 * x)
    z, saved = pure.apply_inverse(saved, forecast)
    dforecast, grads, saved = pure.pullback_inverse(saved, dz)
    assert {n: bits(a) for n, a in grads.items()} == {n: bits(a) for n, a in of_inverse.items()}
    dx, grads = pure.pullback(saved, dy)
    assert [bits(a) for a in (y, z, dforecast, dx)] == [bits(a) for a in expected]
    assert {n: bits(a) for n, a in grads.items()} == grads_bits(layer)
    assert pure._saved is None
    with pytest.raises(ValueError, match=r"RevIN.inverse got an out that overlaps x"):
        pure.apply_inverse(saved, draw((2, 5, 3)), out=x)
    pure.bias = None
    with pytest.raises(ValueError, match="RevIN needs bias, which is None"):
        pure.apply_inverse(saved, forecast)


def test_powernorm_follows_every_batch_whose_gradient_is_taken():
    """Also where all forwards come first, and each pullback is asked for twice."""
    options = {"gradient": "paper", "momentum": 0.25, "dtype": "float64"}
    one, by_one = cybn.PowerNorm(3, **options), []
    xs = [draw((4, 3), seed=seed) for seed in range(3)]
    saved = [one.apply(x)[1] for x in xs]
    for x, each in zip(xs, saved, strict=True):
        alone = cybn.PowerNorm(3, **options)
        alone.pullback(each, x)
        by_one.append(alone.running_nu)
    for x, each in zip(xs, [each._replace(moved=np.zeros(3)) for each in saved], strict=True):
        for _ in range(2):
            one.pullback(each, x)
    np.testing.assert_allclose(one.running_nu, sum(by_one), rtol=1e-13)


def test_the_quadratic_mean_that_is_loaded_is_not_negative():
    layer = cybn.PowerNorm(2, gradient="paper")
    state = layer.state_dict()
    state["running_nu"] = np.float32([-1, 1])
    layer.load_state_dict(state)
    before = state_bits(layer)
    with pytest.raises(ValueError, match=r"PowerNorm: running_phi must be >= 0, got -1"):
        layer.load_state_dict({**state, "running_phi": np.float32([1, -1])})
    assert state_bits(layer) == before


@pytest.mark.parametrize("samples", [0, 1, 5])
@pytest.mark.parametrize(
    ("shape", "groups", "axis"), [((3, 1, 1), 32, 1), ((3, 1), 3, 1), ((1, 3), 3, -1)]
)
@modes
def test_evonorm_s0_needs_a_variance(samples, shape, groups, axis, training):
    """That of one value is 0, and its root's inverse 316."""
    layer = cybn.EvoNormS0(3, groups, channel_axis=axis).train(training)
    with pytest.raises(ValueError, match=r"EvoNormS0 needs more than 1 value in each group of cha"):
        layer(np.ones((samples, *shape)))
    assert cybn.EvoNormS0(3, 1)(np.ones((samples, 3, 1, 1))).shape == (samples, 3, 1, 1)


@pytest.mark.parametrize(
    ("name", "running"), [("EvoNormB0", "running_var"), ("PowerNorm", "running_phi")]
)
def test_threads_lose_no_update_of_a_wide_layer(name, running):
    """Each step halves what is left to the batch's value; NumPy would let threads in between."""
    features, steps = 1000, 10
    layer = cybn.create(name, num_features=features, momentum=0.5, dtype="float64")
    x = draw((4, features, 5))
    layer(x)
    target = 2 * getattr(layer, running) - 1  # of one step from 1
    getattr(layer, running)[...] = target + 2.0**40

    def work():
        for _ in range(steps):
            layer(x)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work) for _ in range(4)]:
            done.result()
    np.testing.assert_allclose(getattr(layer, running), target + 1, rtol=1e-3, atol=1e-2)
    if name == "PowerNorm":
        assert layer.num_batches_tracked == 41


FORKED = """
import os, threading
import numpy as np, cybn
cybn.set_num_threads(1)
layer, x = cybn.PowerNorm(100_000), np.ones((1, 100_000), np.float32)
stop = threading.Event()
def work():
    while not stop.is_set():
        layer(x)
thread = threading.Thread(target=work)
thread.start()
for _ in range(40):
    child = os.fork()
    if not child:
        layer(x)
        os._exit(0)
    os.waitpid(child, 0)
stop.set()
thread.join()
print("done")
"""


def test_a_child_forked_while_statistics_move_goes_on():
    assert python(FORKED, timeout=30) == "done"


MOVING = [one for one in SPECS if isinstance(make(one), _common.Guarded) and make(one)._buffers]


@pytest.mark.parametrize("spec", MOVING, ids=lambda spec: spec["type"])
@pytest.mark.parametrize("evaluated", [False, True])
def test_an_array_that_becomes_read_only_after_a_call(spec, evaluated):
    """What a call has found out about the arrays is looked at again by the next."""
    layer, x = make(spec, not evaluated), draw(shape_for(spec), np.float32)
    layer(x)
    name = next(iter(layer._buffers))
    getattr(layer, name).setflags(write=False)
    with pytest.raises(ValueError, match=f"updates {name} in training, got a read-only one"):
        layer.train()(x)
    layer.eval()(x)
