"""Instance norm with running statistics: PyTorch's numbers, from the kernels."""

import copy

import pytest
from torchnorms import nn, ours, torch

from cybn.torch import _calls

MODES = pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])


def pair(training, dtype=torch.float64, rank=2, **options):
    torch.manual_seed(1)
    options = {"affine": True, "track_running_stats": True, **options}
    theirs = getattr(nn, f"InstanceNorm{rank}d")(4, **options).to(dtype).train(training)
    with torch.no_grad():
        for a in (*theirs.parameters(), theirs.running_mean):
            a.normal_()
        theirs.running_var.uniform_(0.5, 2)
    mine = copy.deepcopy(theirs)
    mine.__class__ = ours.OURS[type(theirs)]
    return theirs, mine


def assert_same(theirs, mine, x, close=1e-10):
    found = []
    dy = None
    for module in (theirs, mine):
        a = x.clone().requires_grad_()
        y = module(a)
        dy = torch.randn_like(y) if dy is None else dy
        grads = torch.autograd.grad(y, [a, *module.parameters()], dy)
        found.append([y, *grads, module.running_mean, module.running_var])
        assert module.num_batches_tracked == 0
    for a, b in zip(*found, strict=True):
        assert a.dtype is b.dtype
        torch.testing.assert_close(b, a, rtol=close, atol=close)
    assert found[0][0].stride() == found[1][0].stride()


@MODES
@pytest.mark.parametrize("momentum", [0.1, None, 0.0, 1.0])
def test_the_numbers_are_pytorchs(training, momentum, monkeypatch):
    theirs, mine = pair(training, momentum=momentum)
    x = torch.randn(3, 4, 5, 6, dtype=torch.float64)
    monkeypatch.setattr(torch, "instance_norm", lambda *args: pytest.fail("it is PyTorch's"))
    kept = mine.running_mean.clone()
    mine(x)
    assert torch.equal(mine.running_mean, kept) is (not training or not momentum)
    monkeypatch.undo()
    theirs, mine = pair(training, momentum=momentum)
    assert_same(theirs, mine, x)


@MODES
@pytest.mark.parametrize(
    ("rank", "shape"),
    [(1, (3, 4, 7)), (1, (4, 7)), (2, (4, 5, 6)), (3, (2, 4, 2, 3, 4)), (2, (1, 4, 2, 2))],
)
def test_ranks_and_a_sample_alone(training, rank, shape):
    assert_same(*pair(training, rank=rank), torch.randn(shape, dtype=torch.float64))


@MODES
@pytest.mark.parametrize("affine", [True, False])
def test_channels_last_and_other_strides(training, affine):
    x = torch.randn(3, 4, 5, 6, dtype=torch.float64)
    last = x.contiguous(memory_format=torch.channels_last)
    for given in (last, x.flip(0), x.transpose(2, 3), x[:, :, ::2]):
        assert_same(*pair(training, affine=affine), given)


@MODES
@pytest.mark.parametrize("values", [torch.float32, torch.bfloat16])
def test_sixteen_bits(training, values):
    theirs, mine = pair(training, values)
    x = torch.randn(3, 4, 9, 7).bfloat16()
    assert_same(theirs, mine, x, 0.05)


def test_own_moments_in_evaluation_still_move_the_running_ones():
    theirs, mine = pair(False)
    for module in (theirs, mine):
        module.track_running_stats = False
    assert_same(theirs, mine, torch.randn(3, 4, 5, 6, dtype=torch.float64))
    assert not torch.equal(mine.running_var, pair(False)[1].running_var)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda m: setattr(m, "running_var", None),
        lambda m: setattr(m, "running_mean", m.running_mean[:2].clone()),
        lambda m: setattr(m, "weight", nn.Parameter(torch.ones(3).double())),
    ],
)
@MODES
def test_what_does_not_fit_is_pytorchs_to_judge(spoil, training):
    theirs, mine = pair(training)
    x = torch.randn(3, 4, 5, 6, dtype=torch.float64)
    found = []
    for module in (theirs, mine):
        spoil(module)
        before = {n: b.clone() for n, b in module.named_buffers()}
        try:
            found.append(module(x))
        except Exception as error:
            found.append(str(error))
            for name, b in module.named_buffers():
                assert torch.equal(b, before[name])
    assert type(found[0]) is type(found[1])
    if isinstance(found[0], torch.Tensor):
        torch.testing.assert_close(found[1], found[0])


def test_one_value_to_a_channel_moves_nothing():
    _, mine = pair(True)
    before = mine.running_mean.clone()
    with pytest.raises(ValueError, match="more than 1 spatial element"):
        mine(torch.randn(3, 4, 1, 1, dtype=torch.float64))
    assert torch.equal(mine.running_mean, before)
    assert_same(*pair(False), torch.randn(3, 4, 1, 1, dtype=torch.float64))


@MODES
@pytest.mark.parametrize("momentum", [0.3, None])
def test_compiled_it_is_one_graph_with_the_same_bits(training, momentum):
    torch._dynamo.reset()
    _, mine = pair(training, torch.float32, momentum=momentum)
    other = copy.deepcopy(mine)
    compiled = torch.compile(other, fullgraph=True, backend="aot_eager")
    x = torch.randn(6, 4, 5, 6)
    assert torch.equal(compiled(x), mine(x))
    for a, b in zip(mine.buffers(), other.buffers(), strict=True):
        assert torch.equal(a, b)


def test_the_operator_without_a_count():
    mean, var, stats = torch.zeros(4), torch.ones(4), torch.rand(3, 12, dtype=torch.float64)
    move = torch.ops.cybn.move_running
    torch.library.opcheck(move.default, (mean, var, None, stats, 10, 0.1))
    before = mean.clone()
    move(mean, var, None, stats, 10, 0.5)
    wanted = before + 0.5 * (stats[0].reshape(3, 4).mean(0) - before)
    torch.testing.assert_close(mean, wanted.float())


def test_backward_sees_that_they_moved():
    _, mine = pair(True)
    version = mine.running_mean._version
    assert _calls.instance_norm(mine, torch.randn(2, 4, 3, 3, dtype=torch.float64)) is not None
    assert mine.running_mean._version > version
