"""Train a small PyTorch network on handwritten digits with DistributedDataParallel on the CPU.

    torchrun --nproc-per-node 4 examples/ddp_digits.py

Its batch norms become `cybn.torch.SyncBatchNorm` by one line, and the losses are those of one
process with the whole batch, but for the order of float32 sums: run it with 1, 2 and 4 processes
and compare. With `--no-sync` each process normalizes its part by itself, and they are not;
PyTorch's own SyncBatchNorm refuses the CPU."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

try:
    import torch
    import torch.distributed as dist
    from sklearn.datasets import load_digits
    from torch import nn
    from torch.nn.parallel import DistributedDataParallel

    import cybn.torch
except ImportError as missing:
    raise SystemExit(
        f'ddp_digits.py: error: cannot import {missing.name}; run: pip install ".[examples,torch]"'
    ) from None

IMAGES = 1280  # a multiple of every batch


def network() -> nn.Module:
    """Two convolutions with a batch norm each, and a linear layer, always with the same weights."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * 16, 10),
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line, under torchrun."""
    parser = argparse.ArgumentParser(
        prog="ddp_digits.py",
        description="Train on handwritten digits with DistributedDataParallel on the CPU.",
    )
    parser.add_argument("--no-sync", action="store_true", help="leave PyTorch's batch norms")
    parser.add_argument("--epochs", type=int, default=3, help="default: %(default)s")
    parser.add_argument(
        "--batch",
        type=int,
        default=64,
        help="of all processes together, a multiple of their number, default: %(default)s",
    )
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank, size = dist.get_rank(), dist.get_world_size()
    pixels, labels = load_digits(return_X_y=True)
    x = torch.tensor(pixels[:IMAGES], dtype=torch.float32).reshape(-1, 1, 8, 8) / 16
    labels = torch.tensor(labels[:IMAGES])
    model = network()
    if not arguments.no_sync:
        model = cybn.torch.SyncBatchNorm.convert_sync_batchnorm(model)
    model, loss_of = DistributedDataParallel(model), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    order = torch.Generator().manual_seed(0)
    for epoch in range(1, arguments.epochs + 1):
        losses = []
        for rows in torch.randperm(IMAGES, generator=order).split(arguments.batch):
            mine = rows.tensor_split(size)[rank]
            optimizer.zero_grad()
            loss = loss_of(model(x[mine]), labels[mine])
            loss.backward()
            optimizer.step()
            mean = loss.detach() / size
            dist.all_reduce(mean)
            losses.append(mean)
        if rank == 0:
            print(f"epoch {epoch}: loss {torch.stack(losses).mean():.6f}", flush=True)
    if rank == 0:
        print(f"{size} process{'es' if size > 1 else ''}", flush=True)
    dist.destroy_process_group()
    return 0


if __name__ == "__main__":
    sys.exit(main())
