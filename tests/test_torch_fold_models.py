"""cybn.torch.fold: the same output with batch norms gone, or the model as it was."""

import copy

import pytest

torch = pytest.importorskip("torch", reason='PyTorch is not installed: pip install "cybn[torch]"')

from torch import nn  # noqa: E402
from torchfamilies import FrozenBatchNorm2d  # noqa: E402
from torchmodels import Block, network, perturbed  # noqa: E402

from cybn.torch import convert, fold, report  # noqa: E402


def image(*shape, dtype=torch.float64):
    torch.manual_seed(0)
    return torch.randn(*(shape or (2, 4, 6, 6)), dtype=dtype)


def conv(kind, *args, **options):
    return getattr(nn, kind)(*args, **options)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("kind", ["Conv2d", "ConvTranspose2d"])
@pytest.mark.parametrize("before", [True, False])
def test_convolutions(before, kind, groups, bias, dtype):
    padding = 1 if before else 0
    layer = conv(kind, 4, 8, 3, padding=padding, groups=groups, bias=bias)
    norm = nn.BatchNorm2d(8 if before else 4)
    model = perturbed(nn.Sequential(*((layer, norm) if before else (norm, layer)))).to(dtype).eval()
    x = image(dtype=dtype)
    expected = model(x)
    assert fold(model, x) is model
    folded = [entry.name for entry in report(model).folded]
    if not before and kind == "ConvTranspose2d":
        assert not folded
    else:
        assert folded == ["1" if before else "0"]
        close = {torch.float64: 1e-10, torch.float32: 1e-4, torch.bfloat16: 0.1}[dtype]
        torch.testing.assert_close(model(x), expected, rtol=close, atol=close)
    assert all(p.dtype is dtype for p in model.parameters())


@pytest.mark.parametrize("rank", [1, 3])
def test_other_ranks(rank):
    layer, norm = getattr(nn, f"Conv{rank}d"), getattr(nn, f"BatchNorm{rank}d")
    model = perturbed(nn.Sequential(layer(4, 6, 3), norm(6))).double().eval()
    x = image(2, 4, *[5] * rank)
    expected = model(x)
    torch.testing.assert_close(fold(model)(x), expected)
    assert report(model).folded


@pytest.mark.parametrize("before", [True, False])
def test_linear(before):
    parts = nn.Linear(4, 4), nn.BatchNorm1d(4)
    model = perturbed(nn.Sequential(*(parts if before else parts[::-1]))).double().eval()
    x = image(5, 4)
    expected = model(x)
    torch.testing.assert_close(fold(model)(x), expected)
    assert len(report(model).folded) == 1


@pytest.mark.parametrize("converted", [True, False])
def test_a_whole_model(converted):
    model = perturbed(network()).double().eval()
    x = image(2, 3, 8, 8)
    expected = model(x)
    if converted:
        convert(model)
    fold(model, x)
    torch.testing.assert_close(model(x), expected, rtol=1e-10, atol=1e-10)
    found = report(model)
    assert len(found.folded) == 8  # all but Dense's, which a concatenation feeds
    assert len(found.fused) == converted
    again = copy.deepcopy(model)
    torch.testing.assert_close(again(x), expected, rtol=1e-10, atol=1e-10)
    assert report(again) == found


def test_two_in_a_row():
    model = nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.BatchNorm2d(6))
    model = perturbed(model).double().eval()
    x = image()
    expected = model(x)
    torch.testing.assert_close(fold(model, x)(x), expected)
    assert len(report(model).folded) == 2


def test_a_frozen_one():
    model = perturbed(nn.Sequential(nn.Conv2d(4, 6, 3), FrozenBatchNorm2d(6))).double()
    x = image()
    expected = model(x)
    torch.testing.assert_close(fold(model, x)(x), expected)
    assert len(report(model).folded) == 1


class Tied(nn.Module):
    def __init__(self, way):
        super().__init__()
        self.a, self.b = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
        self.bn, self.way = nn.BatchNorm2d(4), way
        if way == "one weight":
            self.b.weight = self.a.weight

    def forward(self, x):
        if self.way == "called twice":
            return self.bn(self.a(self.a(x)))
        if self.way == "another consumer":
            y = self.a(x)
            return self.bn(y) + y
        return self.b(self.bn(self.a(x)).relu())


@pytest.mark.parametrize("way", ["one weight", "called twice", "another consumer"])
def test_what_would_be_noticed_is_not_folded(way):
    model = perturbed(Tied(way)).double().eval()
    x = image()
    expected = model(x)
    fold(model, x)
    assert torch.equal(model(x), expected)
    assert not report(model).folded


@pytest.mark.parametrize("place", ["conv1", "bn1"])
def test_a_hook_is_heeded(place):
    model = Block(4).eval()
    getattr(model, place).register_forward_hook(lambda *args: None)
    assert [entry.name for entry in report(fold(model)).folded] == ["bn2"]


def test_padding_is_no_place_for_a_shift():
    for padding in (1, "same", (0, 1)):
        model = nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, padding=padding)).eval()
        assert not report(fold(model)).folded


def state_of(model):
    return [type(m) for m in model.modules()], {k: v.clone() for k, v in model.state_dict().items()}


def assert_unchanged(model, before):
    classes, arrays = state_of(model)
    assert classes == before[0]
    assert all(torch.equal(a, before[1][name]) for name, a in arrays.items())


def test_in_training_it_says_so():
    model = network()
    with pytest.raises(ValueError, match=r"call model.eval\(\) first"):
        fold(model)
    fold(model.eval())


def test_an_output_that_differs_leaves_the_model_as_it_was():
    class Sees(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))

        def forward(self, x):
            return self.inner(x) * self.inner[0].weight.sum()

    model = perturbed(Sees()).double().eval()
    before = state_of(model)
    with pytest.raises(ValueError, match="would change the output"):
        fold(model, image())
    assert_unchanged(model, before)


def test_values_that_weights_cannot_hold():
    model = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1),
                          nn.BatchNorm2d(4)).eval()  # fmt: skip
    model[3].weight.data.fill_(float("inf"))
    before = state_of(model)
    with pytest.raises(ValueError, match="finite"):
        fold(model)
    assert_unchanged(model, before)


def test_arguments_by_name_and_position():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.bn = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

        def forward(self, x, y):
            return {"out": self.bn(self.conv(x)) + y}

    for example in ((image(), image()), {"x": image(), "y": image()}):
        model = perturbed(Two()).double().eval()
        assert report(fold(model, example)).folded
