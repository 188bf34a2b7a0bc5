"""Which forwards are written as a graph, and when the graph is taken."""

import copy
import types
from collections import OrderedDict

import pytest

torch = pytest.importorskip("torch", reason='PyTorch is not installed: pip install "cybn[torch]"')

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from torchmodels import Norm, assert_trains_alike, image, perturbed  # noqa: E402

from cybn.torch import convert, report  # noqa: E402


class Unsound(Norm):
    """What a graph would not show."""

    calls = 0

    def forward(self, x):
        return getattr(self, self.way)(x)

    def counting(self, x):
        self.calls += 1
        return self.relu(self.bn(x))

    def without_gradient(self, x):
        with torch.no_grad():
            return self.relu(self.bn(x))

    def by_value(self, x):
        y = self.relu(self.bn(x))
        return y if x.sum() > 0 else -y

    def by_object(self, x):
        return self.relu(self.bn(x)) * self.options.scale

    def by_global(self, x):
        return self.relu(self.bn(x)) * SCALE[0]


SCALE = [2.0]


@pytest.mark.parametrize(
    "way", ["counting", "without_gradient", "by_value", "by_object", "by_global"]
)
def test_a_forward_that_cannot_be_written_as_a_graph(way):
    cls = type("Case", (Unsound,), {"forward": getattr(Unsound, way)})
    model = cls().double()
    model.options = types.SimpleNamespace(scale=2.0)
    ours = convert(copy.deepcopy(model))
    found = report(ours)
    assert len(found.swapped) == 3
    assert not found.fused
    (entry,) = found.unfused
    assert "its forward" in entry.why
    for x in (image(), -image()):
        assert torch.allclose(ours(x), model(x))
    if way == "counting":
        assert ours.calls == 2


class Pair(nn.Module):
    def forward(self, x):
        return x, -x


def _padded(x, conv):
    height, _ = x.shape[-2:]
    return functional.pad(x, [int(conv.kernel_size[0] > 1 and height > 4)] * 4)


class Padded(Norm):
    """As MobileNetV2 of Hugging Face: a function of its own that goes by the shape."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(6, 6, 3)

    def forward(self, x):
        return self.relu(self.bn(self.conv(_padded(x, self.conv))))


def test_a_function_beside_it_is_called_as_it_is():
    ours = assert_trains_alike(perturbed(Padded().double()), image(), convert)
    assert report(ours).places == 1
    assert ours(image()).shape == (3, 6, 5, 5)
    assert ours(image()[..., :4, :4]).shape == (3, 6, 2, 2)


def test_what_a_module_returns_is_not_taken_for_a_tensor():
    class Case(Norm):
        def __init__(self):
            super().__init__()
            self.pair = Pair()

        def forward(self, x):
            y = self.pair(self.relu(self.bn(x)))
            return y[1] if isinstance(y, tuple) else y

    model = Case().double()
    ours = convert(copy.deepcopy(model))
    torch.testing.assert_close(ours(image()), model(image()))
    assert not report(ours).fused


def test_other_arguments_take_the_way_of_the_original():
    class Case(Norm):
        def forward(self, x, scale=1.0):
            return self.relu(self.bn(x)) * scale

    model = perturbed(Case().double())
    ours = convert(copy.deepcopy(model))
    assert report(ours).fused
    x = image()
    for args, kwargs in (((x,), {}), ((x, 2.0), {}), ((), {"x": x}), ((x,), {"scale": 3.0})):
        torch.testing.assert_close(ours(*args, **kwargs), model(*args, **kwargs))
    with pytest.raises(TypeError):
        ours()


class Getter(nn.ModuleDict):
    """As torchvision's IntermediateLayerGetter: runs its children, and keeps some outputs."""

    def __init__(self):
        super().__init__({"conv": nn.Conv2d(6, 6, 1), "bn": nn.BatchNorm2d(6), "act": nn.ReLU()})
        self.kept = {"act": "out"}

    def forward(self, x):
        out = OrderedDict()
        for name, module in self.items():
            x = module(x)
            if name in self.kept:
                out[self.kept[name]] = x
        return out


def test_children_by_name_and_a_dict_of_options():
    model = perturbed(Getter().double())
    ours = convert(copy.deepcopy(model))
    assert report(ours).fused[0].why == "bn + act"
    for kept in ({"act": "out"}, {"bn": "norm", "act": "other"}, {}):
        found = []
        for each in (model, ours):
            each.kept.clear()
            each.kept.update(kept)  # the same dict, with other options
            found.append(each(image()))
        assert type(found[1]) is OrderedDict
        assert list(found[1]) == list(kept.values())
        torch.testing.assert_close(found[1], found[0])


class Output(OrderedDict):
    """As those of transformers."""


def test_a_class_of_its_own_for_what_is_returned():
    class Case(Norm):
        def forward(self, x):
            return Output(y=self.relu(self.bn(x)))

    ours = convert(Case().double())
    assert type(ours(image())) is Output
    assert "returns a Output" in report(ours).unfused[0].why


def test_the_forward_of_a_child_is_called_by_itself():
    class Case(Norm):
        def __init__(self):
            super().__init__()
            self.branch = nn.Sequential(nn.Conv2d(6, 6, 1), nn.BatchNorm2d(6))

        def forward(self, x):
            return self.relu(self.branch.forward(x) + x)

    ours = assert_trains_alike(perturbed(Case().double()), image(), convert)
    assert report(ours).fused[0].why == "branch.1 + residual + relu"
    x = image()
    ours.branch.forward = lambda x: x  # is heeded
    torch.testing.assert_close(ours(x), ours.relu(x + x))
