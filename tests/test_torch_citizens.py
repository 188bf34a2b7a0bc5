"""What PyTorch's modules are used with works with ours: copies, hooks, tracers, transforms."""

import copy
import io
import os
import pickle
import threading

import pytest
from torchnorms import NORMS, assert_same_step, become_ours, nn, ours, pair, torch

pytestmark = [  # by the version of PyTorch
    pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning"),
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.norms = nn.Sequential(
            nn.BatchNorm2d(8), nn.GroupNorm(2, 8), nn.InstanceNorm2d(8, affine=True),
            nn.LayerNorm(6), nn.RMSNorm(6), nn.LocalResponseNorm(3),
            nn.BatchNorm2d(8, momentum=None),
        )  # fmt: skip

    def forward(self, x):
        return self.norms(self.conv(x))


def nets(training=True):
    torch.manual_seed(0)
    theirs = Net().double().train(training)
    return theirs, become_ours(copy.deepcopy(theirs))


X = torch.randn(2, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_each_is_a_subclass_with_the_state_of_its_namesake():
    assert len(ours.OURS) == 17
    for theirs, mine in ours.OURS.items():
        assert issubclass(mine, theirs)
        assert mine.__name__ == theirs.__name__
        assert getattr(ours, mine.__name__) is mine
        assert mine.__module__ == "cybn.torch"
    for name in NORMS:
        theirs, mine = pair(name)
        assert vars(mine).keys() == vars(theirs).keys()
        assert list(mine.state_dict()) == list(theirs.state_dict())
        assert repr(mine) == repr(theirs)


def test_copies_and_files():
    theirs, mine = nets()
    file = io.BytesIO()
    torch.save(mine, file)
    file.seek(0)
    copies = copy.deepcopy(mine), pickle.loads(pickle.dumps(mine))
    for again in (*copies, torch.load(file, weights_only=False)):
        assert type(again.norms[0]) is ours.BatchNorm2d
        assert_same_step(copy.deepcopy(theirs), again, X)
    mine.load_state_dict(theirs.state_dict())
    theirs.load_state_dict(mine.state_dict())


def test_compiled_by_torchscript():
    theirs, mine = nets()
    scripted = torch.jit.script(mine)
    assert list(scripted.state_dict()) == list(theirs.state_dict())
    assert_same_step(theirs, scripted, X)


@pytest.mark.parametrize("activation", [None, "relu", "relu6", "leaky_relu"])
def test_a_fused_one_by_torchscript(activation):
    mine = ours.BatchNorm2d(3, momentum=None, dtype=torch.float64)
    mine.activation, mine.negative_slope = activation, 0.2
    scripted = torch.jit.script(copy.deepcopy(mine))
    assert list(scripted.state_dict()) == list(mine.state_dict())
    for _ in range(2):
        torch.testing.assert_close(scripted(X), mine(X))
    if activation is not None:
        torch.testing.assert_close(scripted(X, X), mine(X, residual=X))
    torch.testing.assert_close(scripted.running_var, mine.running_var)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_traced_to_pytorchs_operators():
    theirs, mine = nets(False)
    traced = torch.jit.trace(mine, X)
    assert "aten::batch_norm" in str(traced.inlined_graph)
    torch.testing.assert_close(traced(X), theirs(X))


def test_a_node_of_fx():
    theirs, mine = nets()
    graph = torch.fx.symbolic_trace(mine)
    assert [node.op for node in graph.graph.nodes].count("call_module") == 8
    assert_same_step(theirs, graph, X)


@pytest.mark.parametrize("strict", [False, True])
def test_exported_to_pytorchs_operators(strict):
    theirs, mine = nets(False)
    program = torch.export.export(mine, (X,), strict=strict)
    assert "cybn" not in str(program.graph)
    torch.testing.assert_close(program.module()(X), theirs(X))


def test_transforms_of_functions():
    theirs, mine = nets(False)
    functional_call, vmap, grad = torch.func.functional_call, torch.func.vmap, torch.func.grad
    found = []
    for model in (theirs, mine):
        parameters = {name: a.detach() + 1 for name, a in model.named_parameters()}

        def loss(parameters, x, model=model):
            return functional_call(model, parameters, (x[None],)).pow(2).sum()

        found.append(
            [
                functional_call(model, parameters, (X,)),
                *vmap(grad(loss), (None, 0))(parameters, X).values(),
                *torch.func.jvp(model, (X,), (X,)),
                torch.func.jacrev(model.norms[4])(X[0, 0, :2, :6]),
                torch.autograd.functional.jacobian(model.norms[3], X[0, 0, :2, :6], vectorize=True),
            ]
        )
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoints(reentrant):
    found = []
    for model in nets():
        x = X.clone().requires_grad_()
        y = torch.utils.checkpoint.checkpoint(model, x, use_reentrant=reentrant)
        y.pow(3).sum().backward()
        found.append([x.grad, *(p.grad for p in model.parameters()), *model.buffers()])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


def test_saved_tensors_go_through_hooks():
    _, mine = nets()
    seen = []

    def pack(a):
        seen.append(a.shape)
        return a

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda a: a):
        mine.norms[0](torch.randn(2, 8, 3, 3, dtype=torch.float64))
    assert torch.Size([2, 8, 3, 3]) in seen


def test_a_changed_input_is_noticed():
    norm = ours.LayerNorm(6)
    x = torch.randn(3, 6, requires_grad=True) * 1.0
    y = norm(x)
    x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
    batch = ours.BatchNorm1d(6)
    product = (batch.running_mean * torch.ones(6, requires_grad=True)).sum()
    batch(torch.randn(4, 6))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.backward()


def test_parametrized_hooked_and_shared():
    class Positive(nn.Module):
        def forward(self, w):
            return w.exp()

    for name in ("BatchNorm2d", "LayerNorm"):
        theirs, mine = pair(name, torch.float64)
        forwards, backwards = [], []
        for module in (theirs, mine):
            nn.utils.parametrize.register_parametrization(module, "weight", Positive())
            module.register_forward_hook(lambda *said, to=forwards: to.append(said[0]))
            module.register_full_backward_hook(lambda *said, to=backwards: to.append(said[0]))
        assert_same_step(theirs, mine, torch.randn(NORMS[name][1], dtype=torch.float64))
        assert forwards == backwards == [theirs, mine]
    # used twice before its gradient
    theirs, mine = pair("BatchNorm2d", torch.float64)
    found = []
    for module in (theirs, mine):
        x = torch.ones(2, 6, 3, 3, dtype=torch.float64).cumsum(2).requires_grad_()
        module(module(x).sin()).sin().sum().backward()
        found.append((x.grad, module.weight.grad, module.running_var))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


def test_inference_mode():
    theirs, mine = nets(False)
    with torch.inference_mode():
        y = mine(X)
        torch.testing.assert_close(y, theirs(X))
        assert y.is_inference()
        x = X.clone()
    with pytest.raises(RuntimeError, match="Inference tensors cannot be saved"):
        mine.norms[3](x[..., :6])
    with torch.inference_mode():
        inside = ours.BatchNorm2d(3, affine=False, dtype=torch.float64)
    with pytest.raises(RuntimeError, match="Inplace update to inference tensor"):
        inside(X)


def test_threads_that_share_a_module_lose_no_step():
    norm = ours.BatchNorm2d(8)
    x = torch.randn(4, 8, 6, 6)

    def work():
        for _ in range(50):
            norm(x).sum().backward()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert norm.num_batches_tracked == 200


def test_lazy_ones_become_ours():
    norm = ours.LazyBatchNorm2d()
    norm(torch.randn(2, 5, 3, 3))
    assert type(norm) is ours.BatchNorm2d
    assert norm.num_features == 5
    norm(torch.randn(2, 5, 3, 3))


def test_threads_are_pytorchs(restore_threads):
    """How many threads PyTorch has changes no bit."""
    before = torch.get_num_threads()
    x = torch.randn(8, 64, 28, 28, requires_grad=True)
    made = []
    try:
        for n in (1, 2, 3):
            torch.set_num_threads(n)
            norm = ours.BatchNorm2d(64)
            y = norm(x)
            made.append((y, *torch.autograd.grad(y, [x, norm.weight], x)))
    finally:
        torch.set_num_threads(before)
    for other in made[1:]:
        assert all(map(torch.equal, made[0], other))


@pytest.mark.skipif(
    not torch.distributed.is_available(), reason="this PyTorch is built without torch.distributed"
)
def test_distributed_data_parallel(tmp_path):
    torch.distributed.init_process_group(
        "gloo", init_method=(tmp_path / "store").as_uri(), rank=0, world_size=1
    )
    try:
        theirs, mine = nets()
        parallel = nn.parallel.DistributedDataParallel(mine)
        torch.testing.assert_close(parallel(X), theirs(X))
        parallel(X).sum().backward()
        assert all(p.grad is not None for p in mine.parameters())
    finally:
        torch.distributed.destroy_process_group()
    assert os.path.exists(tmp_path)
