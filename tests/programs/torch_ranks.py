"""What test_torch_processes.py runs on each rank of torch.distributed; as mpi_ranks.py."""

import os
import sys
import time
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import cybn
import cybn.torch
from cybn.distributed import SyncError, TorchGroup

torch.set_num_threads(1)
dist.init_process_group("gloo", timeout=timedelta(seconds=60))
RANK, SIZE = dist.get_rank(), dist.get_world_size()
LAST = SIZE - 1


def tell(*words):
    sys.stdout.write(" ".join(map(str, (RANK, *words))) + "\n")
    sys.stdout.flush()


def data(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 2 + 1


def parts(n):
    cuts = [0, 1, *(1 + 3 * i for i in range(1, SIZE - 1)), n, n]  # the last rank has none
    return slice(cuts[RANK], cuts[RANK + 1])


def apart(got, want):
    return float((got.detach() - want.detach()).abs().max()) if got.numel() else 0.0


def split(dtype=torch.float32, activation=None):
    x, dy, z = (data(3 * SIZE + 1, 4, 5, 6, seed=i).to(dtype) for i in range(3))
    mine = parts(len(x))
    layer, plain = cybn.torch.SyncBatchNorm(4).to(dtype), nn.BatchNorm2d(4).to(dtype)
    part, whole = x[mine].clone().requires_grad_(), x.clone().requires_grad_()
    residual, all_z = z[mine].clone().requires_grad_(), z.clone().requires_grad_()
    if activation:
        layer.activation = activation
        y = layer(part, residual)
        want = getattr(nn.functional, activation)(plain(whole) + all_z)
    else:
        y, want = layer(part), plain(whole)
    y.backward(dy[mine])
    want.backward(dy)
    tell("y", apart(y, want[mine]))
    tell("dx", apart(part.grad, whole.grad[mine]))
    if activation:
        tell("dx", apart(residual.grad, all_z.grad[mine]))
    sums = layer.weight.grad.clone()
    dist.all_reduce(sums)
    tell("dweight", apart(sums, plain.weight.grad))
    tell("var", layer.running_var.numpy().tobytes().hex())
    tell("running", apart(layer.running_var, plain.running_var))
    assert layer.num_batches_tracked == 1
    layer.eval()
    plain.load_state_dict(layer.state_dict())
    if RANK == 0:  # alone: evaluation exchanges nothing
        layer.activation = None
        tell("eval", apart(layer(x), plain.eval()(x)))


def parallel():
    """A model inside DDP, against the plain one on the whole batch; of one part in each rank."""

    def model():
        torch.manual_seed(3)
        return nn.Sequential(
            nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 9, 3)
        )

    x, target = data(4 * SIZE, 2, 5, 5), torch.arange(4 * SIZE) % 3
    mine, loss = slice(4 * RANK, 4 * RANK + 4), nn.CrossEntropyLoss()
    plain, split_ = model(), cybn.torch.SyncBatchNorm.convert_sync_batchnorm(model())
    tell("layer", type(split_[1]).__name__, isinstance(split_[1], nn.SyncBatchNorm))
    ddp = DistributedDataParallel(split_)
    for net, place in ((plain, slice(None)), (ddp, mine)):
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            loss(net(x[place]), target[place]).backward()
            optimizer.step()
    tell("weights", max(map(apart, ddp.module.parameters(), plain.parameters())))
    tell("running", apart(ddp.module[1].running_var, plain[1].running_var))


def converted():
    """A model inside DDP, converted before and after it was wrapped, against the same unconverted.

    Batch norms have the statistics of each rank, which DDP takes from rank 0.
    """

    def model():
        torch.manual_seed(3)
        return nn.Sequential(
            nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.GroupNorm(2, 6), nn.Flatten(),
            nn.Linear(6 * 9, 8), nn.LayerNorm(8), nn.RMSNorm(8), nn.Linear(8, 3),
        )  # fmt: skip

    def checkpointed(net):
        first, rest = net[:4], net[4:]
        return lambda x: rest(torch.utils.checkpoint.checkpoint(first, x, use_reentrant=False))

    x, target = data(4 * SIZE, 2, 5, 5, seed=5), torch.arange(4 * SIZE) % 3
    mine, loss = slice(4 * RANK, 4 * RANK + 4), nn.CrossEntropyLoss()
    plain = DistributedDataParallel(model())
    before = DistributedDataParallel(cybn.torch.convert(model()))
    after = cybn.torch.convert(DistributedDataParallel(model()))
    for net in (plain, before, after):
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            loss(net(x[mine]), target[mine]).backward()
            optimizer.step()
    for net in (before, after):
        found = cybn.torch.report(net)
        tell("swapped", type(net) is DistributedDataParallel, len(found.swapped), found.places)
        expected = plain.module.state_dict()
        for name, a in net.module.state_dict().items():
            tell("state", apart(a.double(), expected[name].double()))
    tell("bits", *(p.detach().numpy().tobytes().hex()[:16] for p in before.parameters()))
    y = checkpointed(before.module)(x[mine])
    tell("state", apart(y, checkpointed(plain.module)(x[mine])))


def groups():
    """Process groups of two ranks each: a module, and a layer of NumPy arrays over the same."""
    pairs = [dist.new_group([i, i + 1]) for i in range(0, SIZE, 2)]
    mine, at = pairs[RANK // 2], RANK % 2
    x = data(2, 2, 4, 5, seed=RANK // 2)
    want = nn.BatchNorm1d(4)(x.reshape(4, 4, 5)).reshape(x.shape)[at]
    tell("y", apart(cybn.torch.SyncBatchNorm(4, process_group=mine)(x[at]), want))
    tell("y", apart(torch.from_numpy(cybn.SyncBatchNorm(4, comm=mine)(x[at].numpy())), want))


def fault(what):
    group = TorchGroup(timeout=3)
    layer = cybn.torch.SyncBatchNorm(4, process_group=group)
    wide = cybn.torch.SyncBatchNorm(3000, process_group=group)
    x, it = data(3, 4, 5), RANK == LAST
    layer(x)
    before = {name: a.clone() for name, a in layer.state_dict().items()}
    try:
        if what == "order":
            wide(data(3, 3000)) if it else layer(x)
        elif what == "shape":
            layer(x[:, :3] if it else x)
        elif what == "silent":
            time.sleep(8) if it else layer(x)
        elif it and what == "killed":
            os.kill(os.getpid(), 9)
        else:
            layer(x)
    except (SyncError, ValueError) as error:
        tell("error", type(error).__name__, getattr(error, "ranks", ""), str(error).splitlines()[0])
        same = all(torch.equal(a, before[name]) for name, a in layer.state_dict().items())
        tell("state", "unchanged" if same else "changed")


for each in sys.argv[1].split(","):
    name, _, argument = each.partition(":")
    if name == "split":
        split(activation=argument or None)
    elif name == "double":
        split(torch.float64)
    else:
        globals()[name](*filter(None, [argument]))
dist.barrier() if "fault" not in sys.argv[1] else None
