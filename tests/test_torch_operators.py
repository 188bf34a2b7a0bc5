"""The norms as operators of PyTorch: its own checks of them, and what a compiler makes of them."""

import pytest
from torchnorms import NORMS, assert_same_step, become_ours, nn, ours, pair, torch

OPS = torch.ops.cybn
DOUBLE = {"dtype": torch.float64}


def tensors(*shapes):
    torch.manual_seed(0)
    return [torch.randn(shape, **DOUBLE).requires_grad_() for shape in shapes]


def batch_arguments():
    x, w, b, z = tensors((4, 3, 5, 5), 3, 3, (4, 3, 5, 5))
    mean, var = torch.zeros(3, **DOUBLE), torch.ones(3, **DOUBLE)
    return {
        "training": (x, w, b, None, None, None, True, 1e-5),
        "evaluation": (x, w, None, mean, var, None, False, 1e-5),
        "residual": (x, None, None, None, None, z, True, 1e-5),
        "relu": (x, w, b, None, None, z, True, 1e-5, "relu"),
        "evaluation, relu6": (x, w, b, mean, var, z, False, 1e-5, "relu6"),
        "leaky": (x, w, b, None, None, z, True, 1e-5, "leaky_relu", 0.1),
        "silu": (x, w, b, None, None, z, True, 1e-5, "silu"),
        "evaluation, elu": (x, w, b, mean, var, None, False, 1e-5, "elu", 0.01, 0.7),
    }


def arguments():
    """Operators with what they are called with."""
    found = {f"batch_norm, {k}": (OPS.batch_norm, a) for k, a in batch_arguments().items()}
    x, w, b, c, d = tensors((2, 4, 6), 6, 6, 4, 4)
    found["layer_norm"] = OPS.layer_norm, (x, [6], w, b, 1e-5)
    found["layer_norm, bare"] = OPS.layer_norm, (x, [4, 6], None, None, 1e-5)
    found["rms_norm"] = OPS.rms_norm, (x, [6], w, None, 1e-5)
    found["group_norm"] = OPS.group_norm, (x, 2, c, d, 1e-5)
    found["local_response_norm"] = OPS.local_response_norm, (x, 3, 1e-2, 0.75, 1.0)
    return found


EACH = pytest.mark.parametrize("name", arguments())


def first(made):
    return made if isinstance(made, torch.Tensor) else made[0]


@EACH
@pytest.mark.filterwarnings("ignore:The .grad attribute")
def test_opcheck(name):
    operator, given = arguments()[name]
    torch.library.opcheck(operator.default, given)


@EACH
def test_gradients_of_the_operators(name):
    operator, given = arguments()[name]
    places = [i for i, a in enumerate(given) if isinstance(a, torch.Tensor) and a.requires_grad]

    def f(*changed):
        full = list(given)
        for i, a in zip(places, changed, strict=True):
            full[i] = a
        return first(operator(*full))

    inputs = [given[i] for i in places]
    assert torch.autograd.gradcheck(f, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(f, inputs, fast_mode=True)


@EACH
def test_vmap_of_an_operator(name):
    operator, (x, *rest) = arguments()[name]
    rest = [a.detach() if isinstance(a, torch.Tensor) else a for a in rest]
    several = torch.stack([x.detach(), x.detach() * 2 + 1])
    mapped = torch.vmap(lambda x: first(operator(x, *rest)))(several)
    assert torch.equal(mapped, torch.stack([first(operator(x, *rest)) for x in several]))


@EACH
def test_what_no_kernel_takes_is_pytorchs(name):
    """By the formulas that other devices get."""
    operator, given = arguments()[name]
    plain = [a.detach() if isinstance(a, torch.Tensor) else a for a in given]
    with torch.utils.flop_counter.FlopCounterMode(display=False):  # watched: no kernel is called
        expected = operator(*plain)
    made = operator(*plain)
    if isinstance(made, torch.Tensor):
        made, expected = (made,), (expected,)
    for a, b in zip(made, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_running_statistics_move_by_the_operator():
    mean, var, count = torch.zeros(3), torch.ones(3), torch.tensor(4)
    stats = torch.rand(3, 3, **DOUBLE)
    torch.library.opcheck(OPS.move_running.default, (mean, var, count, stats, 10, 0.1))
    before = mean.clone(), var.clone()
    OPS.move_running(mean, var, count, stats, 10, None)
    torch.testing.assert_close(mean, (before[0] + (stats[0] - before[0]) / 5).float())
    torch.testing.assert_close(var, (before[1] + (stats[1] / 0.9 - before[1]) / 5).float())
    assert count == 5


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_a_compiled_module_is_one_graph(name, training):
    torch._dynamo.reset()
    theirs, mine = pair(name, torch.float64, training)
    compiled = torch.compile(mine, fullgraph=True, backend="aot_eager")
    x = torch.randn(NORMS[name][1], **DOUBLE)
    assert_same_step(theirs, compiled, x)


def test_the_graph_has_our_operators():
    torch._dynamo.reset()
    graphs = []

    def keep(graph, _):
        graphs.append(str(graph.graph))
        return graph

    model = become_ours(nn.Sequential(nn.BatchNorm2d(6), nn.GroupNorm(2, 6), nn.LayerNorm(5)))
    torch.compile(model, fullgraph=True, backend=keep)(torch.randn(2, 6, 5, 5))
    (graph,) = graphs
    for name in ("batch_norm", "move_running", "group_norm", "layer_norm"):
        assert f"cybn.{name}" in graph


def test_eager_and_compiled_give_the_same_bits():
    torch._dynamo.reset()
    made = []
    x = torch.randn(4, 6, 5, 5)
    for compiled in (False, True):
        mine = ours.BatchNorm2d(6)
        mine.activation = "relu"
        call = torch.compile(mine, fullgraph=True, backend="aot_eager") if compiled else mine
        a = x.clone().requires_grad_()
        y = call(a, residual=x)
        y.backward(x)
        made.append([y, a.grad, mine.weight.grad, mine.running_mean, mine.running_var])
    assert all(map(torch.equal, *made))
