"""The norms of a sample against PyTorch: outputs, gradients, buffers, errors.

The inputs are those of PyTorch's own tests of its modules; see test_torch.py.
"""

import inspect
import re
import warnings

import numpy as np
import pytest
from test_torch import DTYPES, MODES, assert_same_step, pair, pytorchs_inputs, torch

import cybn

# options and shape, as in torch/testing/_internal/common_modules.py
OWN = {
    "LayerNorm": [
        (([5], 1e-3), {}, (4, 5, 5)),
        (([5], 1e-3), {}, (128, 5, 5)),
        (([5], 1e-3, False), {}, (4, 5, 5)),
        (([2, 2, 5], 1e-3), {}, (4, 2, 2, 5)),
        (([2, 2, 5], 1e-3, False), {}, (4, 2, 2, 5)),
        (([5], 1e-3), {}, (0, 5)),
        (([2, 2, 5], 1e-3), {"elementwise_affine": True, "bias": False}, (4, 2, 2, 5)),
    ],
    "RMSNorm": [
        (([5], 1e-3), {}, (4, 5, 5)),
        (([5], 1e-3), {}, (128, 5, 5)),
        (([5], 1e-3, False), {}, (4, 5, 5)),
        (([2, 2, 5], 1e-3), {}, (4, 2, 2, 5)),
        (([2, 2, 5], 1e-3, False), {}, (4, 2, 2, 5)),
        (([5], 1e-3), {}, (0, 5)),
    ],
    "GroupNorm": [
        ((3, 6, 1e-3), {}, (4, 6, 5)),
        ((3, 6, 1e-3), {"bias": False}, (4, 6, 5)),
        ((3, 12, 1e-3), {}, (4, 12)),
        ((1, 6, 1e-3), {}, (150, 6)),
        ((5, 5, 1e-3, False), {}, (4, 5, 5)),
        ((1, 10, 1e-3, False), {}, (4, 10)),
        ((3, 6, 1e-3), {}, (4, 6, 2, 3)),
        ((3, 9, 1e-3), {"bias": False}, (4, 9, 2, 3)),
        ((3, 3, 1e-3, False), {}, (4, 3, 2, 3)),
        ((1, 3, 1e-3, False), {}, (4, 3, 2, 3)),
    ],
    **{
        f"InstanceNorm{n}d": [
            ((3, 1e-3, 0.3), {}, (4, *shape)),
            ((3, 1e-3, 0.3, False, True), {}, (4, *shape)),
            ((3, 1e-3, 0.3), {}, shape),
            ((3, 1e-3, 0.3, False, True), {}, shape),
            ((3, 1e-3, 0.3), {"affine": True}, (4, *shape)),
            ((3, 1e-3, 0.3), {"affine": True, "bias": False}, (4, *shape)),
        ]
        for n, shape in enumerate([(3, 15), (3, 6, 6), (3, 4, 4, 4)], 1)
    },
}
# what those leave out
MORE = {
    "LayerNorm": [((7,), {}, (3, 7)), (((2, 3),), {"bias": False}, (2, 3))],
    "RMSNorm": [((7,), {}, (3, 7)), (((2, 3),), {}, (2, 3)), ((5, None, False), {}, (2, 4, 5))],
    "GroupNorm": [((2, 8), {}, (2, 8, 3, 3, 3)), ((2, 4), {}, (0, 4, 3))],
    "InstanceNorm1d": [((3, 1e-3, None, True, True), {}, (4, 3, 5)), ((3,), {}, (0, 3, 5))],
}
NAMES = list(OWN)


def inputs(name):
    found = pytorchs_inputs(name)
    if found is None:
        rng = np.random.default_rng(0)
        found = [(args, kwargs, rng.uniform(-9, 9, shape)) for args, kwargs, shape in OWN[name]]
    rng = np.random.default_rng(1)
    more = MORE.get(name, ())
    return found + [(args, kwargs, rng.uniform(-9, 9, shape)) for args, kwargs, shape in more]


@DTYPES
@MODES
@pytest.mark.parametrize("name", NAMES)
def test_module_inputs(name, training, dtype):
    for args, kwargs, first in inputs(name):
        module, layer = pair(name, args, kwargs, dtype, training)
        rng = np.random.default_rng(1)
        for _ in range(2):
            x = (first + rng.normal(0, 1, first.shape)).astype(dtype)
            assert_same_step(module, layer, x, rng.normal(0, 1, x.shape).astype(dtype), dtype)
        module.eval()
        layer.eval()
        assert_same_step(module, layer, x, x, dtype)


@DTYPES
@pytest.mark.parametrize(("name", "args"), [("GroupNorm", (4, 8)), ("InstanceNorm2d", (8,))])
def test_channels_last(name, args, dtype):
    """Strides alone, or channel_axis=-1."""
    rng = np.random.default_rng(0)
    x, dy = rng.normal(1, 2, (2, 3, 8, 5, 6)).astype(dtype)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    for axis in (1, -1):
        module, layer = pair(name, args, {"affine": True}, dtype, channel_axis=axis)
        assert_same_step(module, layer, last, dy, dtype, axis)


@pytest.mark.parametrize("name", NAMES)
def test_signature_is_pytorchs(name):
    """The same options in the same order with the same defaults; device has no meaning here."""

    def options(cls):
        parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
        return {p.name: p.default for p in parameters if p.name not in ("device", "dtype")}

    ours, theirs = options(getattr(cybn, name)), options(getattr(torch.nn, name))
    beyond = {"channel_axis", "weight", "unit_offset", "trainable"} | ({"bias"} - {*theirs})
    beyond |= {"activation", "negative_slope", "alpha"}
    assert [item for item in ours.items() if item[0] not in beyond] == list(theirs.items())


@pytest.mark.parametrize(
    "make",
    [
        lambda nn: nn.LayerNorm(16),
        lambda nn: nn.LayerNorm((3, 4), 1e-3),
        lambda nn: nn.LayerNorm([4], bias=False),
        lambda nn: nn.RMSNorm(16),
        lambda nn: nn.RMSNorm([3, 4], 1e-3, False),
        lambda nn: nn.GroupNorm(2, 4),
        lambda nn: nn.GroupNorm(2, 4, 1e-3, False),
        lambda nn: nn.InstanceNorm1d(3),
        lambda nn: nn.InstanceNorm2d(3, 0.1, 0.2, True, True),
    ],
)
def test_repr_and_state_dict_keys(make):
    """repr up to the bias that is given by keyword, which newer versions of PyTorch print too."""
    theirs, ours = make(torch.nn), make(cybn)
    text, mine = repr(theirs), repr(ours)
    if "bias" not in text or "bias" not in mine:
        text, mine = (re.sub(", bias=(True|False)", "", each) for each in (text, mine))
    assert mine == text
    assert list(ours.state_dict()) == list(theirs.state_dict())


def test_the_functions():
    rng = np.random.default_rng(0)
    x = rng.normal(1, 2, (4, 6, 5))
    tx, ours, theirs = torch.from_numpy(x), cybn.functional, torch.nn.functional
    w, b, mean, var = (rng.uniform(0.5, 2, 6) for _ in range(4))
    last = rng.uniform(0.5, 2, 5)
    t = torch.from_numpy
    for got, want in (
        (ours.layer_norm(x, [5], last, w[1:]), theirs.layer_norm(tx, [5], t(last), t(w[1:]))),
        (ours.rms_norm(x, [5], last, 0.1), theirs.rms_norm(tx, [5], t(last), 0.1)),
        (ours.rms_norm(x * 1e-8, 5), theirs.rms_norm(tx * 1e-8, [5])),
        (ours.group_norm(x, 3, w, b, 0.1), theirs.group_norm(tx, 3, t(w), t(b), 0.1)),
        (ours.instance_norm(x, None, None, w, b), theirs.instance_norm(tx, None, None, t(w), t(b))),
        (
            ours.instance_norm(x, mean, var, w, b, False),
            theirs.instance_norm(tx, t(mean), t(var), t(w), t(b), False),
        ),
    ):
        np.testing.assert_allclose(got, want.numpy(), rtol=1e-12, atol=1e-12)


def test_the_instances_move_running_statistics():
    rng = np.random.default_rng(0)
    x = rng.normal(1, 2, (4, 3, 5))
    ours, theirs = [rng.uniform(0.5, 2, 3) for _ in range(2)], []
    theirs = [torch.from_numpy(a.copy()) for a in ours]
    cybn.functional.instance_norm(x, *ours, momentum=0.3)
    torch.nn.functional.instance_norm(torch.from_numpy(x), *theirs, momentum=0.3)
    for a, t in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, t.numpy(), rtol=1e-13)


@pytest.mark.parametrize(
    ("name", "args", "shape", "why"),
    [
        ("LayerNorm", (4,), (3, 5), "input"),
        ("LayerNorm", ((2, 4),), (4,), "input"),
        ("RMSNorm", (4,), (3, 5), "input"),
        ("GroupNorm", (2, 4), (4,), "dim|2-D"),
        ("GroupNorm", (4, 4), (1, 4), "Expected more than 1 value per (channel|group)"),
        ("InstanceNorm1d", (3,), (2, 3, 1), "Expected more than 1 spatial element when training"),
        ("InstanceNorm1d", (3,), (2, 3, 4, 4), "expect"),
        ("InstanceNorm1d", (3, 1e-5, 0.1, True), (2, 5, 4), "expect"),
    ],
)
def test_both_refuse(name, args, shape, why):
    with pytest.raises((ValueError, RuntimeError), match=why):
        getattr(torch.nn, name)(*args)(torch.zeros(shape))
    layer = getattr(cybn, name)(*args)
    with pytest.raises(ValueError, match=why):
        layer(np.zeros(shape, np.float32))


def test_one_value_alone_is_the_bias_to_both():
    """Exactly here; PyTorch subtracts the mean after scaling, and rstd is 316."""
    shape = 4, 1
    module, layer = pair("LayerNorm", (1,), {}, "float64")
    x = np.random.default_rng(0).normal(0, 5, shape)
    theirs = module(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(layer(x), theirs, atol=1e-11)
    assert layer(x).tolist() == np.broadcast_to(layer.bias, shape).tolist()


def test_groups_that_do_not_divide_are_refused_by_both():
    for nn in (torch.nn, cybn):
        with pytest.raises(ValueError, match=r"num_channels \(4\) must be divisible by num_groups"):
            nn.GroupNorm(3, 4)


def test_another_number_of_channels_is_an_error_where_pytorch_warns():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.nn.InstanceNorm1d(3)(torch.zeros(2, 5, 4))
    assert "does not match num_features" in str(caught[0].message)
    with pytest.raises(ValueError, match="3 channels on axis 1, got 5"):
        cybn.InstanceNorm1d(3)(np.zeros((2, 5, 4), np.float32))
