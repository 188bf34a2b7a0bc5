"""Large outputs in memory that earlier ones have left: nobody may notice, but for the speed."""

import gc

import numpy as np
import pytest
from runs import bits, python
from strategies import DTYPES, LAYOUTS, layout_id

import cybn
from cybn.arrays.outputs import _memory  # the module that sets its limit

SHAPE = (24, 16, 40, 40)  # 2.3 MiB in float32
rng = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def own_cache():
    """Each test begins with nothing kept, and leaves the limit as it was."""
    before = _memory.limit()
    gc.collect()
    cybn.release_output_cache()
    yield
    cybn.set_output_cache(before)
    cybn.release_output_cache()


def batch(seed=0):
    return np.random.default_rng(seed).normal(seed, 1, SHAPE).astype(np.float32)


def memory_order(a):
    return sorted(range(a.ndim), key=lambda i: -abs(a.strides[i]))


def test_living_outputs_are_never_written_to_again():
    """Nor what is only a view of one by now."""
    layer, x = cybn.BatchNorm2d(16), batch()
    kept = []
    for seed in range(6):
        y, dx = layer(batch(seed)), layer.backward(x)
        kept += [y[::2, 3], dx.reshape(-1)[7:], memoryview(y)[:1], y.T]
        before = [bits(a) for a in kept]
        del y, dx
        for other in range(2):
            layer(batch(10 + other))
            layer.backward(x)
        assert [bits(a) for a in kept] == before


def test_memory_comes_back_and_is_used_again():
    layer, x = cybn.BatchNorm2d(16), batch()
    y = layer(x)
    first = y.ctypes.data
    assert _memory.held() == 0
    view = y[0]
    del y
    assert _memory.held() == 0  # the view still wants it
    del view
    assert _memory.held() >= x.nbytes
    y = layer(x)
    assert y.ctypes.data == first
    assert _memory.held() == 0
    assert bits(y) == bits(cybn.BatchNorm2d(16)(x))


def test_memory_that_is_kept_is_bounded():
    layer, x = cybn.BatchNorm2d(16), batch()
    cybn.set_output_cache(10 << 20)
    outputs = [layer(x) for _ in range(8)]
    del outputs
    assert 0 < _memory.held() <= 10 << 20
    cybn.set_output_cache(5 << 20)
    held = _memory.held()
    assert held <= 5 << 20
    assert cybn.release_output_cache() == held
    assert _memory.held() == 0
    cybn.set_output_cache(0)
    y = layer(x)
    assert y.flags.owndata
    del y
    assert _memory.held() == 0


def test_turning_it_off_while_outputs_live():
    y = cybn.BatchNorm2d(16)(batch())
    before = bits(y)
    cybn.set_output_cache(0)
    cybn.release_output_cache()
    assert bits(y) == before
    del y
    assert _memory.held() == 0


def test_a_failing_call_keeps_no_memory():
    layer = cybn.BatchNorm2d(16)
    with pytest.raises(ValueError, match="expects 4-D"):
        layer(np.zeros((2000, 16, 40), np.float32))
    gc.collect()
    assert _memory.held() == 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS, ids=layout_id)
@pytest.mark.parametrize("training", [True, False])
def test_large_outputs_are_like_the_input(layout, dtype, training):
    plain = np.random.default_rng(0).normal(1, 2, SHAPE).astype(dtype)
    x = layout(plain)
    layer = cybn.BatchNorm2d(16).train(training)
    y = layer(x)
    dx = layer.backward(x)
    cybn.set_output_cache(0)
    fresh = cybn.BatchNorm2d(16).train(training)
    z = fresh(x)
    assert (bits(y), bits(dx)) == (bits(z), bits(fresh.backward(x)))
    for a in (y, dx):
        assert (type(a), a.shape, a.dtype) == (np.ndarray, x.shape, x.dtype)
        assert memory_order(a) == memory_order(x)
        assert a.strides == z.strides
        assert a.flags.writeable
        assert a.flags.aligned


@pytest.mark.parametrize(
    ("limit", "error"), [(-1, ValueError), (1.5, TypeError), ("1", TypeError), (True, TypeError)]
)
def test_what_is_no_limit(limit, error):
    before = _memory.limit()
    with pytest.raises(error, match="set_output_cache takes bytes"):
        cybn.set_output_cache(limit)
    assert _memory.limit() == before


def test_the_limit_from_the_environment():
    code = "import cybn; from cybn.kernels import _memory; cybn.BatchNorm1d; print(_memory.limit())"
    assert python(code, CYBN_OUTPUT_CACHE="12345") == "12345"
    assert python(code, CYBN_OUTPUT_CACHE="0") == "0"
    assert int(python(code, CYBN_OUTPUT_CACHE="")) > 0
