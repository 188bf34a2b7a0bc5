"""float16 and bfloat16 in every layer: against float64, and what is refused."""

import re
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
from runs import bits, python, state_bits
from sixteen import BFLOAT16, FLOAT16, SIXTEEN, assert_rounded, cast, close, wide, words
from strategies import LAYOUTS, layout_id

import cybn

both = pytest.mark.parametrize("dtype", SIXTEEN, ids=str)
modes = pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])


def layer_like(layer, **options):
    """A layer of the same values, with other options."""
    twin = cybn.create({**layer.get_config(), **options}).train(layer.training)
    twin.load_state_dict(layer.state_dict())
    return twin


def step(layer, x, dy, inputs, dtype):
    """All that a step on data in that dtype gives, and leaves in buffers."""
    y = layer(cast(x, dtype), **{name: cast(a, dtype) for name, a in inputs.items()})
    dx = layer.backward(cast(dy, dtype))
    grads = {f"grads[{name!r}]": g for name, g in layer.grads.items()}
    return {"y": y, "dx": dx, **grads, **dict(layer.named_buffers())}


def assert_like_float64(layer, x, dy, inputs=None, in_place=False):
    """A step of the layer against that of one in float64 on the same values."""
    if type(layer) is cybn.RMSNorm:  # whose eps is that of the dtype where none is given
        layer.eps = 1e-3
    inputs = inputs or {}
    options = {"dtype": "float64"} if "dtype" in layer.get_config() else {}
    want = step(layer_like(layer, **options), x, dy, inputs, np.float64)
    single = step(layer_like(layer), x, dy, inputs, np.float32)
    y = layer(x, **inputs, **({"out": x} if in_place else {}))
    dx = layer.backward(dy, **({"out": dy} if in_place else {}))
    assert (not in_place) or (y is x and dx is dy)
    grads = {f"grads[{name!r}]": g for name, g in layer.grads.items()}
    got = {"y": y, "dx": dx, **grads, **dict(layer.named_buffers())}
    assert got.keys() == want.keys()
    for name, a in got.items():
        assert a.dtype == (x.dtype if name in ("y", "dx") else single[name].dtype)
        assert_rounded(name, a, single[name], want[name])
    return y, dx


# Every layer


@both
@modes
def test_every_layer_gives_what_float64_gives(layer_spec, training, dtype):
    for case in layer_spec.with_further_inputs():
        case = replace(case, training=training)
        x, dy = case.x(dtype), case.x(dtype, seed=2)
        for in_place in (False, True):
            layer = case.layer()
            inputs = case.inputs(layer, x)
            assert_like_float64(layer, x.copy(), dy.copy(), inputs, in_place)


@both
@modes
@pytest.mark.parametrize("layout", LAYOUTS, ids=layout_id)
def test_every_layer_takes_any_memory_layout(layer_spec, training, layout, dtype):
    case = replace(layer_spec, training=training)
    x, dy = case.x(dtype), case.x(dtype, seed=2)
    before = bits(words(x)), bits(words(dy))
    assert_like_float64(case.layer(), layout(x), layout(dy))
    assert (bits(words(x)), bits(words(dy))) == before


@both
def test_parameters_of_float64_are_taken_with_it(layer_spec, dtype):
    if not layer_spec.subject.has_dtype():
        pytest.skip("has no dtype option")
    layer = layer_spec.make_precise()
    assert_like_float64(layer, layer_spec.x(dtype), layer_spec.x(dtype, seed=2))
    assert all(a.dtype == np.float64 for a in layer.parameters())


@both
def test_what_is_kept_of_x_has_sixteen_bits(layer_spec, dtype):
    layer, x = layer_spec.layer(), layer_spec.x(dtype)
    y, saved = layer.apply(x)
    assert saved[0].dtype == dtype
    other = layer_spec.x(dtype, seed=5)
    layer(other)  # a call in between changes nothing
    dx, grads = layer.pullback(saved, y)
    again, same = layer.pullback(saved, y)
    assert bits(words(dx)) == bits(words(again))
    assert {k: bits(g) for k, g in grads.items()} == {k: bits(g) for k, g in same.items()}


@both
def test_an_empty_batch(layer_spec, dtype):
    if not layer_spec.has_batch():
        pytest.skip("its first axis is no batch")
    layer, x = layer_spec.layer(), layer_spec.x(dtype)[:0]
    before = [bits(a) for a in layer.buffers()]
    y, dx = layer(x), layer.backward(x)
    assert (y.shape, y.dtype, dx.shape, dx.dtype) == (x.shape, dtype) * 2
    assert [bits(a) for a in layer.buffers()] == before
    assert all((g == 0).all() for g in layer.grads.values())


@both
def test_a_new_output_from_the_cache_of_outputs(dtype):
    x = np.random.default_rng(0).normal(3, 2, (64, 16, 40, 40)).astype(dtype)
    for name in ("BatchNorm2d", "EvoNormS0"):
        for a in (x, np.asfortranarray(x)):
            layer = cybn.create(name, num_features=16)
            y = layer(a)
            assert (y.dtype, y.strides) == (dtype, a.strides)
            assert layer.backward(a).dtype == dtype


# What is fused, masked, or more than one pass


@both
@modes
@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "relu6"])
@pytest.mark.parametrize("name", ["BatchNorm2d", "GhostBatchNorm2d", "SplitBatchNorm2d"])
def test_fused_forms(name, activation, training, dtype):
    rng = np.random.default_rng(3)
    x, dy, z = rng.normal(0.5, 2, (3, 6, 4, 5, 7)).astype(dtype)
    layer = cybn.create(name, num_features=4, activation=activation).train(training)
    if hasattr(layer, "virtual_batch_size"):
        layer = cybn.create({**layer.get_config(), "virtual_batch_size": 3}).train(training)
    layer.weight[...], layer.bias[...] = [1, -2, 0.5, 3], [0, 1, -1, 2]
    gates = {"relu": (0, np.inf), "leaky_relu": (0.01, np.inf), "relu6": (0, 6)}
    slope, most = gates[activation]
    plain = cybn.create({**layer.get_config(), "dtype": "float64"}).train(training)
    plain.activation = None
    plain.load_state_dict(layer.state_dict())
    v = plain(x.astype(np.float64)) + z
    y = layer(x, residual=z)
    close(y, np.minimum(np.where(v > 0, v, slope * v), most), dtype, 8)
    # backward tells from y where the gate was open: what is next to a corner may be on its edge
    open_ = np.where(y > 0, 1.0, slope) * (y < most)
    g = dy.astype(np.float64) * open_
    want = plain.backward(g)
    dx = layer.backward(dy)
    close(layer.dresidual, g, dtype)
    close(dx, want, dtype, 8)
    for key, grad in layer.grads.items():
        np.testing.assert_allclose(grad, plain.grads[key], rtol=1e-5, atol=2e-4)


@both
@pytest.mark.parametrize("residual", [False, True])
def test_masks(residual, dtype):
    rng = np.random.default_rng(4)
    x, dy, z = rng.normal(0.5, 2, (3, 8, 3, 9)).astype(dtype)
    mask = rng.random((8, 9)) < 0.6
    layer, twin = cybn.BatchNorm1d(3), cybn.BatchNorm1d(3, dtype="float64")
    more = {"residual": z} if residual else {}
    y, dx = layer(x, mask=mask, **more), layer.backward(dy)
    want = twin(wide(x), mask=mask, **{k: wide(a) for k, a in more.items()})
    close(y, want, dtype, 8)
    close(dx, twin.backward(wide(dy)), dtype, 8)
    assert (np.moveaxis(y, 1, -1)[~mask] == 0).all()
    if residual:
        assert layer.dresidual.dtype == dtype


def test_intermediate_results_do_not_overflow():
    """dx of terms of which float16 cannot hold one, while their sum is an ordinary number."""
    rng = np.random.default_rng(5)
    x = rng.normal(0, 1e-3, (4, 8, 16)).astype(np.float16)
    dy = rng.normal(30000, 16, x.shape).astype(np.float16)
    layer = cybn.ConditionalBatchNorm1d(8)
    layer.weight[...] = 4
    _, dx = assert_like_float64(layer, x, dy)
    assert np.isfinite(dx).all()
    assert dx.any()


# State


@both
def test_a_checkpoint_of_sixteen_bits_loads(layer_spec, dtype):
    """As a half model of PyTorch saves it: every value is exact in float32."""
    layer = layer_spec.make()
    state = {
        name: a.astype(dtype) if a.dtype.kind == "f" else a
        for name, a in layer.state_dict().items()
    }
    layer.load_state_dict(state)
    for name, a in layer.state_dict().items():
        assert a.dtype == (np.int64 if state[name].dtype.kind == "i" else a.dtype)
        assert a.dtype not in SIXTEEN
        assert (a == state[name].astype(a.dtype)).all()


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (np.zeros(3, np.uint16), r"uint16; convert it with state\['weight'\]\.astype\(np\.float32\)"
         r", or with state\['weight'\]\.view\(ml_dtypes\.bfloat16\) if it holds the words"),
        (np.zeros(3, "V2"), r"V2; pass state\['weight'\]\.view\(ml_dtypes\.bfloat16\)"),
        (np.zeros(3, ml_dtypes.float8_e4m3fn), r"float8_e4m3fn; convert it with"),
        (np.zeros(3, complex), r"complex128; normalize state\['weight'\]\.real"),
    ],
    ids=lambda v: "" if isinstance(v, str) else str(v.dtype),
)  # fmt: skip
def test_a_checkpoint_that_is_refused(value, says):
    layer = cybn.BatchNorm1d(3)
    before = state_bits(layer)
    with pytest.raises(TypeError, match=says):
        layer.load_state_dict({**layer.state_dict(), "weight": value})
    assert state_bits(layer) == before


# What is refused

OTHERS = {
    "int64": np.int64, "uint16": np.uint16, "bool": bool, "complex64": np.complex64,
    "object": object, "longdouble": np.longdouble, "swapped float16": ">f2",
    "swapped float32": ">f4", "swapped bfloat16": BFLOAT16.newbyteorder(">"), "void": "V2",
    "float8": ml_dtypes.float8_e4m3fn, "string": "U3", "record": [("a", "f2")],
}  # fmt: skip


@pytest.mark.parametrize("other", OTHERS)
def test_every_layer_refuses_other_dtypes(layer_spec, other):
    layer = layer_spec.layer()
    y = layer(layer_spec.x(np.float16))
    dx = bits(layer.backward(y))
    before = state_bits(layer)
    bad = np.zeros(layer_spec.shape, OTHERS[other])
    for call in (layer, layer.backward):
        with pytest.raises(TypeError, match="takes float16, bfloat16, float32 or float64"):
            call(bad)
    assert (state_bits(layer), bits(layer.backward(y))) == (before, dx)


@both
def test_every_layer_refuses_a_mixture(layer_spec, dtype):
    layer, x = layer_spec.layer(), layer_spec.x(dtype)
    layer(x)
    before = state_bits(layer)
    module = "ml_dtypes" if dtype == BFLOAT16 else "np"
    for other in {FLOAT16, BFLOAT16, np.dtype(np.float32), np.dtype(np.float64)} - {dtype}:
        fix = re.escape(f"got {other}; convert it with dy.astype({module}.{dtype})")
        with pytest.raises(TypeError, match=fix):
            layer.backward(x.astype(other))
        for call in (layer, layer.backward):
            with pytest.raises(TypeError, match=rf"out of the input's dtype {dtype}, got {other}"):
                call(x, out=np.empty(x.shape, other))
    assert state_bits(layer) == before
    wide_layer = layer_spec.layer()
    wide_layer(layer_spec.x())
    with pytest.raises(TypeError, match=r"dtype float32, got .*float16; convert"):
        wide_layer.backward(x)


@both
def test_an_out_that_overlaps_or_is_read_only(layer_spec, dtype):
    layer = layer_spec.layer()
    many = np.concatenate([layer_spec.x(dtype)] * 2)
    x, shifted = many[: layer_spec.shape[0]], many[1 : layer_spec.shape[0] + 1]
    before, values = state_bits(layer), bits(words(many))
    with pytest.raises(ValueError, match="overlaps the input in part"):
        layer(x, out=shifted)
    closed = np.empty_like(x)
    closed.flags.writeable = False
    with pytest.raises(ValueError, match="cannot write to a read-only out"):
        layer(x, out=closed)
    assert (state_bits(layer), bits(words(many))) == (before, values)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", np.float16, BFLOAT16])
def test_parameters_of_sixteen_bits_are_refused(dtype):
    name = dtype if isinstance(dtype, str) else np.dtype(dtype).name
    with pytest.raises(ValueError, match=rf"got '{name}'; x may be {name} with either"):
        cybn.BatchNorm1d(3, dtype=dtype)


def test_nothing_imports_ml_dtypes():
    code = (
        "import sys, numpy as np, cybn; layer = cybn.BatchNorm1d(3);"
        "x = np.ones((4, 3), np.float16); layer.backward(layer(x));"
        "cybn.testing.check_layer('BatchNorm1d', only=['sixteen-bits']);"
        "print(any('ml_dtypes' in name for name in sys.modules))"
    )
    assert python(code) == "False"
