"""Modules for layers that PyTorch has no norm for: numbers, gradients, state, and the way back."""

import copy
import io

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='PyTorch is not installed: pip install "cybn[torch]"')

from torch import nn  # noqa: E402
from torchmodels import perturbed  # noqa: E402

import cybn  # noqa: E402
import cybn.torch as ours  # noqa: E402
from cybn.torch import convert, fold, from_module, report, to_module  # noqa: E402

ROWS, IMAGE = (3, 4, 6), (3, 6, 4, 5)
CASES = {
    "gated": (lambda **k: cybn.GatedRMSNorm(6, **k), ROWS),
    "gated before": (lambda **k: cybn.GatedRMSNorm(6, norm_before_gate=False, **k), ROWS),
    "gated groups": (
        lambda **k: cybn.GatedRMSNorm(6, group_size=3, activation="sigmoid", **k), ROWS,
    ),
    "gated bare, first": (
        lambda **k: cybn.GatedRMSNorm(6, affine=False, channel_axis=1, **k), IMAGE,
    ),
    "adaptive": (lambda **k: cybn.AdaptiveLayerNorm(6, **k), ROWS),
    "adaptive affine": (
        lambda **k: cybn.AdaptiveLayerNorm(6, affine=True, unit_offset=False, channel_axis=1, **k),
        IMAGE,
    ),
    "adaptive no bias": (lambda **k: cybn.AdaptiveLayerNorm(6, affine=True, bias=False, **k), ROWS),
    "adain": (lambda **k: cybn.AdaIN(1e-3), IMAGE),
    "adain last": (lambda **k: cybn.AdaIN(channel_axis=-1), (3, 4, 5, 6)),
    "frozen 1": (lambda **k: cybn.FrozenBatchNorm1d(6, **k), (3, 6)),
    "frozen 2": (lambda **k: cybn.FrozenBatchNorm2d(6, eps=1e-3, **k), IMAGE),
    "frozen 3": (lambda **k: cybn.FrozenBatchNorm3d(6, **k), (2, 6, 2, 2, 3)),
    "layer norm first": (lambda **k: cybn.LayerNorm(6, channel_axis=1, **k), IMAGE),
    "layer norm first, no bias": (
        lambda **k: cybn.LayerNorm(6, channel_axis=1, bias=False, **k), IMAGE,
    ),
    "rms norm first": (lambda **k: cybn.RMSNorm(6, channel_axis=1, **k), IMAGE),
    "rms norm first, biased": (
        lambda **k: cybn.RMSNorm(6, 1e-4, channel_axis=1, bias=True, **k), (3, 6),
    ),
}  # fmt: skip
EACH = pytest.mark.parametrize("name", CASES)


def made(name, dtype="float64"):
    """A layer with a random state, its inputs, and its module."""
    build, shape = CASES[name]
    layer = build(dtype=dtype)
    rng = np.random.default_rng(0)
    for key, a in layer.state_dict().items():
        values = rng.normal(size=a.shape)
        layer.load_state_dict({key: np.abs(values) + 0.5 if "var" in key else values}, strict=False)
    x = rng.normal(0.5, 2, shape).astype(dtype)
    return layer, {"x": x, **layer.sample_inputs(x)}, to_module(layer)


def called(module, inputs):
    given = {name: torch.from_numpy(a).requires_grad_() for name, a in inputs.items()}
    return module(**given), given


@EACH
def test_numbers_and_gradients_are_those_of_the_layer(name):
    layer, inputs, module = made(name)
    y, given = called(module, inputs)
    x, others = inputs["x"], {n: a for n, a in inputs.items() if n != "x"}
    np.testing.assert_allclose(y.detach().numpy(), layer(x, **others), rtol=1e-10, atol=1e-10)
    dy = np.random.default_rng(1).normal(size=x.shape)
    y.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(given["x"].grad.numpy(), layer.backward(dy), rtol=1e-9, atol=1e-9)
    for key, a in others.items():
        expected = getattr(layer, f"d{key}")
        np.testing.assert_allclose(
            given[key].grad.numpy(), expected, rtol=1e-9, atol=1e-9, err_msg=a
        )
    for key, p in module.named_parameters():
        np.testing.assert_allclose(p.grad.numpy(), layer.grads[key], rtol=1e-9, atol=1e-9)


@EACH
def test_there_and_back(name):
    layer, inputs, module = made(name, "float32")
    layer.eval(), module.eval()
    assert list(module.state_dict()) == list(layer.state_dict())
    again = from_module(module)[""]
    assert again.get_config() == layer.get_config()
    assert not again.training
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    for other in (copy.deepcopy(module), torch.load(file, weights_only=False)):
        assert type(other) is type(module)
        assert repr(other) == repr(module)
        assert torch.equal(called(other, inputs)[0], called(module, inputs)[0])


@EACH
def test_sixteen_bits_and_a_compiler(name):
    _, inputs, module = made(name, "float32")
    expected = called(module, inputs)[0]
    half = {n: torch.from_numpy(a).bfloat16() for n, a in inputs.items()}
    y = module(**half)
    assert y.dtype is torch.bfloat16
    torch.testing.assert_close(y.float(), expected, rtol=0.05, atol=0.1)
    torch._dynamo.reset()
    compiled = torch.compile(module, fullgraph=True, backend="eager")
    torch.testing.assert_close(called(compiled, inputs)[0], expected, rtol=1e-5, atol=1e-5)


def test_inputs_may_be_left_out():
    for name in ("gated groups", "adaptive", "adain"):
        layer, inputs, module = made(name)
        x = inputs["x"]
        np.testing.assert_allclose(
            module(torch.from_numpy(x)).detach().numpy(), layer(x), atol=1e-12
        )


def test_convert_and_report_know_them():
    model = nn.Sequential(*(made(name)[2] for name in CASES))
    classes = [type(m) for m in model]
    found = report(convert(model))
    assert [type(m) for m in model] == classes
    assert len(found.swapped) == len(CASES)
    assert not found.left


def test_a_frozen_norm_is_fused_and_folded():
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3), perturbed(to_module(cybn.FrozenBatchNorm2d(6))), nn.ReLU()
    )
    x = torch.randn(2, 3, 5, 5)
    expected = model(x)
    assert report(convert(model)).fused[0].why == "1 + 2"
    torch.testing.assert_close(model(x), expected)
    assert [e.name for e in report(fold(model.eval())).folded] == ["1"]
    torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-5)


def test_sync_batch_norm_there_and_back():
    layer = cybn.SyncBatchNorm(4, eps=1e-3, activation="elu", alpha=0.5)
    module = to_module(layer)
    assert isinstance(module, ours.SyncBatchNorm)
    assert isinstance(module, nn.SyncBatchNorm)
    assert (module.eps, module.activation, module.alpha) == (1e-3, "elu", 0.5)
    again = from_module(module)[""]
    assert type(again) is cybn.SyncBatchNorm
    assert again.get_config() == layer.get_config()
    x = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    np.testing.assert_allclose(module(torch.from_numpy(x)).detach(), layer(x), rtol=1e-5, atol=1e-6)
