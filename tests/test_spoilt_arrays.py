"""An array of a layer that is replaced by one that does not fit: an error names it, or it works."""

import contextlib

import numpy as np
import pytest
from runs import state_bits


def unaligned(a):
    memory = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype)[: a.size].reshape(a.shape)
    memory[...] = a
    return memory


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


SPOILT = {  # what is assigned in place of an array
    "another length": lambda a: np.zeros((*a.shape[:-1], (*a.shape, 1)[-1] + 1), a.dtype),
    "0-D": lambda a: np.array(a.reshape(-1)[0]),
    "an axis more": lambda a: a[None].copy(),
    "empty": lambda a: np.zeros(0, a.dtype),
    "another kind": lambda a: a.astype(float if a.dtype.kind == "i" else int),
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "float16": lambda a: a.astype(np.float16),
    "long double": lambda a: a.astype(np.longdouble),
    "objects": lambda a: a.astype(object),
    "strided": lambda a: np.repeat(a, 2, -1)[..., ::2] if a.ndim else a.copy(),
    "turned round": lambda a: a[..., ::-1] if a.ndim else a.copy(),
    "one value": lambda a: np.broadcast_to(a.reshape(-1)[:1], a.shape) if a.ndim else a.copy(),
    "read-only": read_only,
    "misaligned": unaligned,
}


@pytest.mark.parametrize("how", SPOILT)
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_an_array_that_does_not_fit(layer_spec, how, training):
    x = layer_spec.x()
    for name, a in layer_spec.make()._arrays().items():
        layer = layer_spec.make().train(training)
        setattr(layer, name, SPOILT[how](a))
        before, out = state_bits(layer), np.full_like(x, 7)
        try:
            layer_spec.call(layer, x, out)
            layer.backward(x)
        except (TypeError, ValueError) as error:
            assert name.rpartition(".")[2] in str(error)  # noqa: PT017
            assert (out == 7).all()
            assert state_bits(layer) == before


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_an_array_that_was_resized(layer_spec):
    """Behind the layer's back, after it was looked at: no memory but its own is read or written."""
    x = layer_spec.x()
    for name in layer_spec.make()._arrays():
        layer = layer_spec.make()
        layer_spec.call(layer, x)
        a = layer._arrays()[name]
        if a.ndim == 1 and a.flags.owndata:
            a.resize(1, refcheck=False)
            for call in (layer, layer.backward):
                with contextlib.suppress(TypeError, ValueError):
                    call(x)
