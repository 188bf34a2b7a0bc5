"""Models that make a conversion hard: what cannot be converted is left alone, with a reason."""

import copy
import pickle

import pytest

torch = pytest.importorskip("torch", reason='PyTorch is not installed: pip install "cybn[torch]"')

from torch import nn  # noqa: E402
from torch.nn.utils import prune  # noqa: E402
from torchfamilies import LlamaRMSNorm  # noqa: E402

import cybn.torch  # noqa: E402
from cybn.torch import convert, report, revert  # noqa: E402


class FinalRMSNorm(LlamaRMSNorm):
    def __init_subclass__(cls, **options):
        raise TypeError("it is final")


class FinalBlock(nn.Sequential):
    def __init_subclass__(cls, **options):
        raise TypeError("it is final")


class StiffRMSNorm(LlamaRMSNorm):
    def __setattr__(self, name, value):
        if name == "__class__":
            raise TypeError("it keeps its class")
        super().__setattr__(name, value)


class RaisingRMSNorm(nn.Module):
    @property
    def eps(self):
        raise RuntimeError("there is none")

    def forward(self, x):
        return x


class SilentRMSNorm(LlamaRMSNorm):
    """Like one that has no forward of another rank."""

    def forward(self, x):
        raise ValueError("not today")


class Odd(nn.Module):
    def __getattr__(self, name):
        raise RuntimeError(f"there is no {name}")

    def forward(self, x):
        return x


class Uninitialized(nn.Module):
    def __init__(self):
        pass


class UninitializedNorm(nn.LayerNorm):
    def __init__(self):
        pass


@pytest.mark.filterwarnings("ignore:convert leaves")
@pytest.mark.parametrize(
    ("build", "why"),
    [
        (lambda: FinalRMSNorm(4), "no subclass of it can be made: it is final"),
        (RaisingRMSNorm, "something else"),
        (lambda: SilentRMSNorm(4), "no norm here takes"),
    ],
)
def test_left_alone(build, why):
    norm = build()
    model = convert(nn.Sequential(norm, nn.LayerNorm(4)))
    assert type(model[0]) is type(norm)
    (entry,) = report(model).left
    assert why in entry.why
    assert type(model[1]) is cybn.torch.LayerNorm


def test_attributes_that_raise_and_a_class_that_is_kept():
    model = nn.Sequential(Odd(), StiffRMSNorm(4))
    x = torch.randn(2, 4)
    expected = model(x)
    torch.testing.assert_close(convert(model)(x), expected)
    assert [entry.name for entry in report(model).swapped] == ["1"]
    assert type(revert(model)[1]) is StiffRMSNorm


def test_a_container_that_has_no_subclass_is_not_fused():
    model = convert(FinalBlock(nn.BatchNorm1d(4), nn.ReLU()))
    (entry,) = report(model).unfused
    assert entry.why == "no subclass of it can be made: it is final"
    assert len(report(model).swapped) == 1


@pytest.mark.parametrize("cls", [Uninitialized, UninitializedNorm])
def test_a_module_that_was_not_initialized_is_named(cls):
    model = nn.Sequential(nn.LayerNorm(4), nn.Sequential())
    model[1]._modules["odd"] = cls()
    for function in (convert, revert, report, cybn.torch.fold, cybn.torch.from_module):
        with pytest.raises(TypeError, match=rf"1\.odd \({cls.__name__}\) was not; call super"):
            function(model)
    assert type(model[0]) is nn.LayerNorm
    with pytest.raises(TypeError, match="the model"):
        convert(cls())


def test_a_graph_module_is_swapped_and_goes_on_as_one():
    x = torch.randn(2, 3, 4, 4)
    graph = torch.fx.symbolic_trace(nn.Sequential(nn.BatchNorm2d(3), nn.ReLU())).eval()
    expected = graph(x)
    convert(graph)
    assert [entry.why for entry in report(graph).unfused] == ["it is pickled in a way of its own"]
    for new in (graph, copy.deepcopy(graph), pickle.loads(pickle.dumps(graph))):
        assert len(report(new).swapped) == 1
        new.recompile()
        torch.testing.assert_close(new(x), expected)


def test_a_model_that_has_itself_as_a_part():
    model = nn.Sequential(nn.BatchNorm1d(3), nn.ReLU())
    model._modules["self"] = model
    assert len(report(convert(model)).swapped) == 1
    assert type(revert(model)) is nn.Sequential


@pytest.mark.filterwarnings("ignore")
def test_quantized_pruned_and_with_weight_norm():
    model = nn.Sequential(
        torch.ao.nn.quantized.BatchNorm2d(3), nn.BatchNorm2d(3),
        nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)), nn.LayerNorm(4),
    )  # fmt: skip
    prune.random_unstructured(model[1], "weight", 0.5)
    convert(model)
    found = report(model)
    assert [entry.name for entry in found.swapped] == ["1", "3"]
    assert [(entry.name, entry.why) for entry in found.left] == [("0", "it is quantized")]
    x = torch.randn(2, 3, 4, 4)
    y = model[1:](x)
    revert(model)
    torch.testing.assert_close(model[1:](x), y)
