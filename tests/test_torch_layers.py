"""cybn.torch.from_module and to_module: options, state, mode and numbers both ways."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='PyTorch is not installed: pip install "cybn[torch]"')

from torch import nn  # noqa: E402
from torchfamilies import FAMILIES, FrozenBatchNorm2d, GemmaRMSNorm, LlamaRMSNorm  # noqa: E402
from torchmodels import network, perturbed  # noqa: E402

import cybn  # noqa: E402
from cybn.torch import convert, from_module, to_module  # noqa: E402

NORMS = [
    (nn.BatchNorm1d, (6,), {}, (4, 6)),
    (nn.BatchNorm2d, (6, 1e-3, None), {}, (4, 6, 3, 3)),
    (nn.BatchNorm2d, (6,), {"affine": False}, (4, 6, 3, 3)),
    (nn.BatchNorm3d, (6,), {"track_running_stats": False}, (4, 6, 2, 2, 2)),
    (nn.InstanceNorm1d, (6,), {}, (4, 6, 5)),
    (nn.InstanceNorm2d, (6,), {"affine": True, "track_running_stats": True}, (4, 6, 3, 3)),
    (nn.InstanceNorm3d, (6,), {}, (4, 6, 2, 2, 2)),
    (nn.LayerNorm, ((2, 6),), {"eps": 1e-3}, (4, 2, 6)),
    (nn.LayerNorm, (6,), {"bias": False}, (4, 6)),
    (nn.LayerNorm, (6,), {"elementwise_affine": False}, (4, 6)),
    (nn.RMSNorm, (6,), {}, (4, 6)),
    (nn.GroupNorm, (2, 6), {}, (4, 6, 3)),
    (nn.LocalResponseNorm, (3, 1e-2), {}, (4, 6, 3)),
]


def built(cls, args, options, dtype):
    place = {} if cls is nn.LocalResponseNorm else {"dtype": dtype}
    return perturbed(cls(*args, **options, **place))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(("cls", "args", "options", "shape"), NORMS)
def test_there_and_back(cls, args, options, shape, dtype, training):
    norm = built(cls, args, options, dtype).train(training)
    (layer,) = from_module(norm).values()
    again = to_module(layer)
    assert type(layer).__name__ == cls.__name__
    assert isinstance(again, cls)
    assert repr(again) == repr(norm)
    assert again.training == layer.training == norm.training
    assert list(again.state_dict()) == list(norm.state_dict())
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=dtype)
    expected = norm(x).detach()
    close = 1e-5 if dtype is torch.float32 else 1e-12
    np.testing.assert_allclose(layer(x.numpy()), expected.numpy(), rtol=close, atol=close)
    torch.testing.assert_close(again(x).detach(), expected, rtol=close, atol=close)
    for name, a in norm.state_dict().items():
        np.testing.assert_allclose(layer.state_dict()[name], a.numpy(), rtol=1e-6)
        torch.testing.assert_close(again.state_dict()[name], a)


def test_no_memory_is_shared():
    norm = nn.BatchNorm1d(3)
    layer = from_module(norm)[""]
    layer.weight[...] = 7
    assert norm.weight.eq(1).all()
    again = to_module(layer)
    layer.weight[...] = 5
    assert again.weight.eq(7).all()


@pytest.mark.parametrize("converted", [True, False])
def test_by_name(converted):
    model = convert(network()) if converted else network()
    layers = from_module(model)
    norms = [name for name, m in model.named_modules()
             if isinstance(m, (nn.BatchNorm2d, nn.LayerNorm))]  # fmt: skip
    assert list(layers) == norms
    assert {type(layer) for layer in layers.values()} == {cybn.BatchNorm2d, cybn.LayerNorm}


OTHERS = (
    "LlamaRMSNorm", "GemmaRMSNorm", "T5LayerNorm", "GroupNorm1", "CohereLayerNorm",
    "FrozenBatchNorm2d", "channels last",
)  # fmt: skip


@pytest.mark.parametrize("family", OTHERS)
def test_of_other_libraries(family):
    build, (shape,), _ = FAMILIES[family]
    norm = perturbed(build())
    layer = from_module(norm)[""]
    x = torch.randn(shape)
    np.testing.assert_allclose(layer(x.numpy()), norm(x).detach().numpy(), rtol=2e-5, atol=2e-5)


def test_an_offset_is_in_the_weight():
    assert from_module(GemmaRMSNorm(4))[""].weight.tolist() == [1.0] * 4


def test_sixteen_bits_become_float32():
    layer = from_module(LlamaRMSNorm(4).bfloat16())[""]
    assert layer.weight.dtype == np.float32


def test_an_activation_goes_along():
    layer = cybn.BatchNorm2d(4, activation="leaky_relu", negative_slope=0.2)
    module = to_module(layer)
    x = np.random.default_rng(0).normal(size=(3, 4, 2, 2)).astype(np.float32)
    np.testing.assert_allclose(
        module(torch.from_numpy(x)).detach().numpy(), layer(x), rtol=1e-5, atol=1e-6
    )
    assert from_module(module)[""].get_config() == layer.get_config()


def test_a_lazy_layer_that_knows_its_width():
    layer = cybn.LazyBatchNorm1d()
    with pytest.raises(ValueError, match="call it with x first"):
        to_module(layer)
    layer(np.ones((3, 4), np.float32) * np.arange(3, dtype=np.float32)[:, None])
    assert to_module(layer).num_features == 4


@pytest.mark.parametrize(
    ("layer", "error", "match"),
    [
        (3, TypeError, "takes a layer of cybn"),
        (cybn.IterNorm(4), TypeError, "to_module takes AdaIN, AdaptiveLayerNorm, BatchNorm1d"),
        (cybn.FrozenBatchNorm1d(3, channel_axis=-1), ValueError, "channel_axis=-1"),
        (cybn.LayerNorm(3, channel_axis=1, activation="relu"), ValueError, "activation='relu'"),
        (cybn.RMSNorm(3, channel_axis=1, unit_offset=True), ValueError, "unit_offset=True"),
        (cybn.BatchNorm1d(3, channel_axis=-1), ValueError, "channel_axis=-1"),
        (cybn.BatchNorm1d(3, unbiased=False), ValueError, "unbiased=False"),
    ],
    ids=str,
)
def test_what_pytorch_has_not(layer, error, match):
    with pytest.raises(error, match=match):
        to_module(layer)


def test_the_advice_is_followed():
    layer = cybn.BatchNorm1d(3, unbiased=False)
    to_module(cybn.convert(layer, "BatchNorm1d", unbiased=True))
    layer = cybn.RMSNorm(3, channel_axis=1, unit_offset=True)
    to_module(cybn.convert(layer, "RMSNorm", unit_offset=False))


def test_the_meta_device_has_no_values():
    norm = nn.BatchNorm1d(3, device="meta")
    with pytest.raises(ValueError, match="to_empty"):
        from_module(norm)
    norm.to_empty(device="cpu")
    norm.reset_parameters()
    assert from_module(norm)[""].weight.tolist() == [1.0] * 3


def test_what_has_no_layer_is_told():
    class Odd(nn.LayerNorm):
        def forward(self, x):
            return super().forward(x).abs()

    with pytest.warns(UserWarning, match=r"leaves out 1 \(Odd"):
        layers = from_module(nn.Sequential(FrozenBatchNorm2d(3), Odd(3)))
    assert list(layers) == ["0"]


GATED = {
    "gated before": {"group_size": 8, "norm_before_gate": False},
    "gated groups": {"group_size": 4, "norm_before_gate": False},
    "gated after": {"group_size": None, "norm_before_gate": True},
}


@pytest.mark.parametrize("family", GATED)
@pytest.mark.parametrize("converted", [True, False])
def test_gated_norms(family, converted):
    norm = perturbed(FAMILIES[family][0]())
    x, gate = torch.randn(2, 3, 8), torch.randn(2, 3, 8)
    expected = norm(x, gate).detach().numpy()
    (layer,) = from_module(convert(norm) if converted else norm).values()
    config = layer.get_config()
    assert (config["type"], config["activation"]) == ("GatedRMSNorm", "silu")
    assert {name: getattr(layer, name) for name in GATED[family]} == GATED[family]
    got = layer(x.numpy(), gate=gate.numpy())
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_a_norm_in_groups():
    norm, x = perturbed(FAMILIES["grouped"][0]()), torch.randn(2, 3, 8)
    (layer,) = from_module(norm).values()
    assert (type(layer).__name__, layer.group_size) == ("GatedRMSNorm", 4)
    np.testing.assert_allclose(layer(x.numpy()), norm(x).detach().numpy(), rtol=1e-5, atol=1e-5)


def test_a_norm_whose_weight_is_of_no_effect():
    class WeightlessRMSNorm(nn.Module):
        def __init__(self):
            super().__init__()
            self.eps = 1e-6
            self.register_buffer("weight", torch.ones(8), persistent=False)

        def forward(self, x):
            y = x.float()
            return (y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + self.eps)).type_as(x)

    norm = WeightlessRMSNorm()
    (layer,) = from_module(norm).values()
    assert layer.weight is None
    x = torch.randn(3, 8)
    expected = norm(x)
    np.testing.assert_allclose(layer(x.numpy()), expected.numpy(), rtol=1e-5)
    torch.testing.assert_close(convert(norm)(x), expected)
    assert type(norm).__name__ == "WeightlessRMSNorm"


@pytest.mark.parametrize("family", ["GroupNormAct", "LayerNormAct"])
def test_an_activation_after_a_norm_of_a_sample(family):
    norms = pytest.importorskip("timm.layers", reason="timm is not installed: pip install timm")
    width = (6, 2) if family == "GroupNormAct" else (6,)
    norm = perturbed(getattr(norms, family)(*width, act_layer=nn.SiLU))
    (layer,) = from_module(norm).values()
    assert layer.activation == "silu"
    x = torch.randn((2, 6, 3, 4) if family == "GroupNormAct" else (2, 3, 6))
    np.testing.assert_allclose(layer(x.numpy()), norm(x).detach().numpy(), rtol=1e-5, atol=1e-5)
