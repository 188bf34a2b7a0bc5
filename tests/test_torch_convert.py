"""cybn.torch.convert and revert: what a conversion leaves as it was, and what it leaves alone."""

import copy
import io
import pickle
import threading
import warnings

import pytest

torch = pytest.importorskip("torch", reason='PyTorch is not installed: pip install "cybn[torch]"')

from torch import nn  # noqa: E402
from torch.nn.utils import parametrize  # noqa: E402
from torchmodels import Block, assert_trains_alike, network, perturbed  # noqa: E402

import cybn.torch  # noqa: E402
from cybn.torch import convert, report, revert  # noqa: E402

NORMS = [
    (nn.BatchNorm1d, (6,), (4, 6)),
    (nn.BatchNorm2d, (6,), (4, 6, 3, 3)),
    (nn.BatchNorm3d, (6,), (4, 6, 2, 2, 2)),
    (nn.InstanceNorm1d, (6,), (4, 6, 5)),
    (nn.InstanceNorm2d, (6,), (4, 6, 3, 3)),
    (nn.InstanceNorm3d, (6,), (4, 6, 2, 2, 2)),
    (nn.LayerNorm, (6,), (4, 6)),
    (nn.RMSNorm, (6,), (4, 6)),
    (nn.GroupNorm, (2, 6), (4, 6, 3)),
    (nn.LocalResponseNorm, (3,), (4, 6, 3)),
]


def image(*shape, dtype=torch.float64):
    torch.manual_seed(0)
    return torch.randn(*(shape or (4, 3, 8, 8)), dtype=dtype)


@pytest.mark.parametrize(("cls", "options", "shape"), NORMS)
def test_a_norm_is_itself_a_model(cls, options, shape):
    norm = cls(*options).double()
    x = image(*shape)
    expected = norm(x)
    norm.reset_running_stats() if hasattr(norm, "reset_running_stats") else None
    assert convert(norm) is norm
    assert type(norm) is getattr(cybn.torch, cls.__name__)
    torch.testing.assert_close(norm(x), expected, rtol=1e-12, atol=1e-12)
    assert revert(norm) is norm
    assert type(norm) is cls
    assert not [name for name in vars(norm) if "cybn" in name]


@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize("channels_last", [True, False])
def test_training_goes_the_same_way(fuse, channels_last):
    torch.manual_seed(0)
    model, x = perturbed(network().double()), image()
    if channels_last:
        model, x = (a.to(memory_format=torch.channels_last) for a in (model, x))
    ours = assert_trains_alike(model, x, lambda m: convert(m, fuse=fuse))
    assert len(report(ours).swapped) == 10
    assert bool(report(ours).fused) is fuse


def test_everything_that_holds_the_model_goes_on():
    model = network()
    parameters = list(model.parameters())
    state, modules = list(model.state_dict()), list(model.modules())
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    seen = []
    model[1].register_forward_hook(lambda module, args, y: seen.append(y.shape))
    assert convert(model) is model
    assert [id(p) for p in model.parameters()] == [id(p) for p in parameters]
    assert [id(m) for m in model.modules()] == [id(m) for m in modules]
    assert list(model.state_dict()) == state
    assert optimizer.param_groups[0]["params"][0] is parameters[0]
    model(image(dtype=torch.float32))
    assert seen == [(4, 6, 6, 6)]
    model.load_state_dict(network().state_dict())


def test_revert_undoes_all_and_only_that():
    model = nn.Sequential(network(), cybn.torch.BatchNorm1d(4))
    classes = [type(m) for m in model.modules()]
    own = [dict(vars(m)) for m in model.modules()]
    revert(convert(convert(model)))
    assert [type(m) for m in model.modules()] == classes
    assert [dict(vars(m)) for m in model.modules()] == own


@pytest.mark.parametrize("how", ["deepcopy", "pickle", "save"])
def test_a_copy_is_as_converted_as_the_model(how):
    model = convert(network().double()).eval()
    if how == "deepcopy":
        new = copy.deepcopy(model)
    elif how == "pickle":
        new = pickle.loads(pickle.dumps(model))
    else:
        buffer = io.BytesIO()
        torch.save(model, buffer)
        buffer.seek(0)
        new = torch.load(buffer, weights_only=False)
    x = image()
    assert report(new) == report(model)
    assert [type(m) for m in new.modules()] == [type(m) for m in model.modules()]
    assert torch.equal(new(x), model(x))
    assert report(revert(new)).swapped == ()
    assert report(model).fused


def test_a_lazy_norm_before_and_after_its_first_input():
    for called in (False, True):
        norm = convert(nn.LazyBatchNorm1d())
        assert type(norm) is cybn.torch.LazyBatchNorm1d
        if called:
            norm(torch.randn(3, 4))
            assert type(norm) is cybn.torch.BatchNorm1d
        revert(norm)
        assert type(norm) is (nn.BatchNorm1d if called else nn.LazyBatchNorm1d)


def test_a_shared_norm_is_converted_once():
    norm = nn.BatchNorm2d(6)
    model = nn.Sequential(nn.Conv2d(3, 6, 1), norm, nn.Conv2d(6, 6, 1), norm).double()
    ours = assert_trains_alike(model, image(), convert)
    assert ours[1] is ours[3]
    assert len(report(ours).swapped) == 1


def test_a_model_without_norms_is_returned():
    model = nn.Linear(3, 4)
    assert convert(model) is model
    assert str(report(model)) == "no norms"


@pytest.mark.parametrize("wrong", [3, None, nn.BatchNorm2d, [nn.BatchNorm2d(3)]])
def test_what_is_no_module(wrong):
    for function in (convert, revert, report, cybn.torch.fold, cybn.torch.from_module):
        with pytest.raises(TypeError, match=r"torch\.nn\.Module"):
            function(wrong)


class Shifted(nn.LayerNorm):
    def forward(self, x):
        return nn.functional.layer_norm(
            x, self.normalized_shape, self.weight + 1.0, self.bias, self.eps
        )


class Moody(nn.LayerNorm):
    def forward(self, x):
        return super().forward(x) * (2 if self.training else 1)


def parametrized():
    norm = nn.LayerNorm(4)
    parametrize.register_parametrization(norm, "weight", nn.Softplus())
    return norm


def own_forward():
    norm = nn.LayerNorm(4)
    norm.forward = lambda x: x
    return norm


ALONE = {
    "a subclass that adds 1": (lambda: Shifted(4), "something else"),
    "a subclass that asks for the mode": (lambda: Moody(4), "training"),
    "parametrized": (parametrized, "parametrized"),
    "scripted": (lambda: torch.jit.script(nn.Sequential(nn.LayerNorm(4))), "scripted"),
    "a forward on the object": (own_forward, "on the object"),
}


@pytest.mark.parametrize("case", ALONE)
@pytest.mark.filterwarnings("ignore:.*jit.*")
def test_left_alone_and_reported(case):
    build, why = ALONE[case]
    model = nn.ModuleList([build(), nn.RMSNorm(4)])
    classes = [type(m) for m in model[0].modules()]
    convert(model)
    assert [type(m) for m in model[0].modules()] == classes
    found = report(model)
    if case != "scripted":
        (entry,) = found.left
        assert entry.name == "0"
        assert why in entry.why
    assert [entry.name for entry in found.swapped] == ["1"]


@pytest.mark.filterwarnings("ignore:.*jit.*")
def test_in_the_order_that_the_reasons_advise():
    x = torch.randn(3, 4)
    norm = convert(nn.LayerNorm(4))
    torch.testing.assert_close(torch.jit.script(norm)(x), norm(x))
    parametrize.register_parametrization(norm, "weight", nn.Softplus())
    theirs = parametrized()
    torch.testing.assert_close(norm(x), theirs(x))


def test_a_failing_conversion_changes_nothing(monkeypatch):
    from cybn.torch.models import swap

    model = network()
    classes = [type(m) for m in model.modules()]

    def failing(container):
        if isinstance(container, Block):
            raise MemoryError
        return fused_class(container)

    fused_class = swap.fused_class
    monkeypatch.setattr(swap, "fused_class", failing)
    with pytest.raises(MemoryError):
        convert(model)
    assert [type(m) for m in model.modules()] == classes
    assert not [name for m in model.modules() for name in vars(m) if "cybn" in name]


def test_a_warning_that_is_an_error_changes_nothing():
    class RMSNorm(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(4))

        def forward(self, x):
            return self.weight * x.tanh()

    model = nn.Sequential(nn.LayerNorm(4), RMSNorm())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="something else"):
            convert(model)
    assert type(model[0]) is nn.LayerNorm
    with pytest.warns(UserWarning, match="leaves RMSNorm alone"):
        convert(model)
    assert type(model[0]) is cybn.torch.LayerNorm


def test_a_meta_model_is_converted_before_it_has_values():
    with torch.device("meta"):
        model = network()
    convert(model)
    assert model(torch.empty(2, 3, 8, 8, device="meta")).shape == (2, 4)
    model.to_empty(device="cpu")
    model.load_state_dict(network().state_dict())
    assert model(image(dtype=torch.float32)).isfinite().all()


def test_revert_after_a_parametrization_says_so_and_changes_nothing():
    model = convert(nn.Sequential(nn.LayerNorm(4), nn.LayerNorm(4)))
    parametrize.register_parametrization(model[1], "weight", nn.Softplus())
    with pytest.raises(ValueError, match="remove_parametrizations"):
        revert(model)
    assert type(model[0]) is cybn.torch.LayerNorm
    parametrize.remove_parametrizations(model[1], "weight")
    revert(model)
    assert [type(m) for m in model] == [nn.LayerNorm] * 2


def test_while_another_thread_calls_the_model():
    model = network().double().eval()
    x = image()
    expected = model(x)
    wrong, done = [], threading.Event()

    def call():
        while not done.is_set():
            y = model(x)
            if not torch.allclose(y, expected, rtol=1e-9, atol=1e-9):
                wrong.append(y)

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            revert(convert(model))
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not wrong


def test_nothing_random_is_drawn():
    model = nn.Sequential(network(), Shifted(4))
    state = torch.get_rng_state()
    convert(model)
    assert torch.equal(torch.get_rng_state(), state)


def test_what_is_compiled_is_swapped_and_not_fused():
    model = nn.Sequential(network())
    model[0].compile(backend="eager")
    found = report(convert(model))
    assert found.swapped
    assert not found.fused
    assert any("compiled" in entry.why for entry in found.unfused)
