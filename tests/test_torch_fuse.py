"""What convert fuses, that it computes the same, and that nobody notices."""

import copy
import inspect

import pytest

torch = pytest.importorskip("torch", reason='PyTorch is not installed: pip install "cybn[torch]"')

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from torchmodels import (  # noqa: E402
    Block,
    Dense,
    Norm,
    Stacked,
    assert_trains_alike,
    image,
    perturbed,
)

from cybn.torch import convert, report, revert  # noqa: E402
from cybn.torch.models import gated  # noqa: E402


def case(function, name):
    cls = type(name, (Norm,), {"forward": function})
    cls.__qualname__ = name
    return cls


FUSED = {
    "module": (lambda self, x: self.relu(self.bn(x)), "bn + relu"),
    "leaky": (lambda self, x: self.leaky(self.bn(x)), "bn + leaky"),
    "function": (lambda self, x: functional.relu(self.bn(x), inplace=True), "bn + relu"),
    "relu6": (lambda self, x: functional.relu6(self.bn(x)), "bn + relu6"),
    "hardswish": (lambda self, x: functional.hardswish(self.bn(x)), "bn + hardswish"),
    "mish": (lambda self, x: functional.mish(self.bn(x)), "bn + mish"),
    "elu": (lambda self, x: functional.elu(self.bn(x), alpha=0.5), "bn + elu"),
    "sum and curve": (lambda self, x: functional.elu(self.bn(x * 2) + x, 0.5),
                      "bn + residual + elu"),
    "sum before silu": (lambda self, x: functional.silu(self.bn(x * 2) + x), "bn + residual"),
    "leaky function": (lambda self, x: functional.leaky_relu(self.bn(x), 0.3), "bn + leaky_relu"),
    "method": (lambda self, x: self.bn(x).relu(), "bn + relu"),
    "through nothing": (lambda self, x: self.relu(self.no(self.bn(x))), "bn + relu"),
    "sum": (lambda self, x: self.bn(x * 2) + x, "bn + residual"),
    "sum on the right": (lambda self, x: self.relu(x + self.bn(x * 2)), "bn + residual + relu"),
    "torch.add": (lambda self, x: torch.add(self.bn(x * 2), x).relu(), "bn + residual + relu"),
    "add_": (lambda self, x: self.bn(x * 2).add_(x), "bn + residual"),
    "two norms": (lambda self, x: self.relu(self.bn(x) + self.other(x)), "other + residual + relu"),
    "three sums": (
        lambda self, x: self.relu(self.leaky(self.bn(x)) + self.other(x) + self.third(x)),
        "bn + leaky, other + residual, third + residual + relu",
    ),
    "another shape": (lambda self, x: self.bn(x * 2) + self.other(x).mean((2, 3), True),
                      "bn + residual"),
}  # fmt: skip
NOT_FUSED = {
    "another consumer": lambda self, x: _twice(self.bn(x)),
    "onto the residual": lambda self, x: (x * 2).add_(self.bn(x)),
    "with itself": lambda self, x: _same(self.bn(x)),
    "scaled sum": lambda self, x: torch.add(self.bn(x), x, alpha=2),
    "silu, which is quicker apart": lambda self, x: functional.silu(self.bn(x)),
    "an alpha below 0": lambda self, x: functional.elu(self.bn(x), -0.5),
    "another activation": lambda self, x: torch.tanh(self.bn(x)),
    "a slope of more than 1": lambda self, x: functional.leaky_relu(self.bn(x), 1.5),
}


def _twice(y):
    return functional.relu(y) + y


def _same(y):
    return y + y


@pytest.mark.parametrize("name", FUSED)
def test_fused(name):
    function, words = FUSED[name]
    model = perturbed(case(function, "Case")().double())
    ours = assert_trains_alike(model, image(), convert)
    (entry,) = report(ours).fused
    assert entry.why == words


@pytest.mark.parametrize("name", NOT_FUSED)
def test_not_fused(name):
    model = perturbed(case(NOT_FUSED[name], "Case")().double())
    ours = assert_trains_alike(model, image(), convert)
    assert not report(ours).fused


def test_an_input_that_changes_before_the_end():
    def forward(self, x):
        x = x * 2
        y = self.bn(x)
        x += 1
        return self.relu(y) + x

    model = perturbed(case(forward, "Case")().double()).eval()
    ours = convert(copy.deepcopy(model))
    assert not report(ours).fused
    with torch.no_grad():
        torch.testing.assert_close(ours(image()), model(image()))


@pytest.mark.parametrize("build", [
    lambda: Block(6),
    lambda: Block(6, nn.Sequential(nn.Conv2d(6, 6, 1), nn.BatchNorm2d(6)), inplace=False),
    lambda: Stacked(6),
    lambda: Dense(6),
    lambda: nn.Sequential(nn.BatchNorm2d(6), nn.Identity(), nn.ReLU(), nn.Conv2d(6, 6, 1),
                          nn.BatchNorm2d(6), nn.ReLU6()),
])  # fmt: skip
def test_blocks(build):
    ours = assert_trains_alike(perturbed(build().double()), image(), convert)
    assert report(ours).fused


def test_which_places():
    words = {type(m).__name__: [e.why for e in report(convert(m)).fused]
             for m in (Block(6), Stacked(6), Dense(6))}  # fmt: skip
    assert words == {
        "Block": ["bn1 + relu, bn2 + residual + relu"],
        "Stacked": [
            "layer.1.normalization + residual + activation", "normalization + activation"
        ],
        "Dense": ["norm + leaky_relu"],
    }  # fmt: skip


def counted(monkeypatch):
    """The calls of the kernels with something fused."""
    from cybn.torch.models import ops

    calls = []
    batch_norm = ops.batch_norm

    def counting(*args):
        calls.append(args)
        return batch_norm(*args)

    monkeypatch.setattr(gated.ops, "batch_norm", counting)
    return calls


@pytest.mark.parametrize("kind", ["forward", "forward_pre", "full_backward", "full_backward_pre"])
@pytest.mark.parametrize("place", ["bn1", "relu"])
def test_a_hook_that_comes_later_is_called(place, kind, monkeypatch):
    model = perturbed(Block(6, inplace=False).double())
    ours = convert(copy.deepcopy(model))
    calls = counted(monkeypatch)
    seen = {}
    for each in (model, ours):
        seen[each] = []
        register = getattr(getattr(each, place), f"register_{kind}_hook")
        handle = register(lambda *args, log=seen[each]: log.append(len(args)))
        each(image().requires_grad_()).sum().backward()
        handle.remove()
    assert seen[ours] == seen[model] != []
    assert len(calls) == (1 if place == "bn1" else 0)
    ours(image())
    assert len(calls) == (3 if place == "bn1" else 2)


@pytest.mark.parametrize("path", ["layer", "layer.1"])
def test_a_hook_on_a_container_that_is_passed_by(path):
    ours = convert(Stacked(6).double())
    seen = []
    ours.get_submodule(path).register_forward_hook(lambda *args: seen.append(1))
    ours(image())
    assert seen == [1]


def test_a_hook_that_was_there_keeps_its_place_from_being_fused():
    model = Stacked(6)
    model.layer.register_forward_hook(lambda *args: None)
    words = [entry.why for entry in report(convert(model)).fused]
    assert words == ["normalization + activation"]


def test_a_global_hook_is_called(monkeypatch):
    ours = convert(Block(6).double())
    seen = []
    handle = torch.nn.modules.module.register_module_forward_hook(
        lambda module, args, y: seen.append(type(module).__name__)
    )
    try:
        ours(image())
    finally:
        handle.remove()
    assert seen.count("ReLU") == 2
    assert seen.count("BatchNorm2d") == 2


def test_what_changes_after_the_conversion_is_heeded():
    model = perturbed(Block(6).double())
    ours = convert(copy.deepcopy(model))
    x = image()
    for change in (
        lambda m: setattr(m, "relu", nn.Tanh()),
        lambda m: setattr(m, "bn2", nn.GroupNorm(2, 6).double()),
        lambda m: setattr(m, "downsample", nn.AvgPool2d(1)),
        lambda m: setattr(m, "downsample", nn.Sequential(nn.Tanh())),
        lambda m: m.eval(),
        lambda m: m.bn1.train(),
    ):
        change(model), change(ours)
        torch.testing.assert_close(ours(x), model(x), rtol=1e-10, atol=1e-10)


def test_a_list_that_grows():
    model = nn.Sequential(nn.BatchNorm2d(6), nn.ReLU()).double()
    ours = convert(copy.deepcopy(model))
    model.append(nn.Tanh()), ours.append(nn.Tanh())
    torch.testing.assert_close(ours(image()), model(image()))


def test_the_mode_is_asked_for():
    model = perturbed(Dense(6).double())
    ours = convert(copy.deepcopy(model))
    for training in (True, False, True):
        torch.manual_seed(3)
        expected = model.train(training)(image())
        torch.manual_seed(3)
        torch.testing.assert_close(ours.train(training)(image()), expected)
    torch.testing.assert_close(ours.eval()([image(3), image(3)]), model.eval()([image(3)] * 2))


def test_fuse_false_only_swaps():
    model = convert(Block(6), fuse=False)
    assert type(model) is Block
    assert "could be fused" in report(model).unfused[0].why
    assert report(convert(model)).fused


def test_revert_gives_the_container_its_class_again():
    model = convert(Block(6))
    assert type(model) is not Block
    assert type(model).__name__ == "Block"
    assert isinstance(model, Block)
    assert type(revert(model)) is Block


def test_compiled_and_traced_calls():
    model = perturbed(Block(6).double()).eval()
    ours = convert(copy.deepcopy(model))
    x = image()
    compiled = torch.compile(ours, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), model(x))
    graph = torch.fx.symbolic_trace(ours)
    torch.testing.assert_close(graph(x), model(x))


def test_checkpointing_and_functional_call():
    model = perturbed(Block(6).double())
    ours = convert(copy.deepcopy(model))
    found = []
    for each in (model, ours):
        x = image().requires_grad_()
        torch.utils.checkpoint.checkpoint(each, x, use_reentrant=False).square().sum().backward()
        found.append(x.grad)
    torch.testing.assert_close(*found)
    state = {name: a * 0.5 if a.is_floating_point() else a for name, a in
             model.state_dict().items()}  # fmt: skip
    a, b = (torch.func.functional_call(m, state, (image(),)) for m in (model, ours))
    torch.testing.assert_close(a, b)


def test_the_signature_is_that_of_the_original():
    for model in (Block(6), Dense(6)):
        before = inspect.signature(model.forward)
        assert inspect.signature(convert(model).forward) == before
