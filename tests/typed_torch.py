"""What a user of cybn.torch may write, for type checkers: see test_typing.py."""

from typing import assert_type

import torch
from torch import nn

import cybn
import cybn.torch


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = cybn.torch.BatchNorm2d(8)
        self.other: nn.LayerNorm = cybn.torch.LayerNorm(8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.norm(x)
        return y


def main() -> None:
    net = Net()
    model: Net = cybn.torch.convert(net, fuse=False)
    model.eval()
    assert_type(cybn.torch.convert(net), Net)
    assert_type(cybn.torch.revert(net), Net)
    assert_type(cybn.torch.fold(net.eval()), Net)
    found = cybn.torch.report(net)
    assert_type(found, cybn.torch.Report)
    assert_type(found.swapped[0].why, str)
    assert_type(found.norms, int)
    layers = cybn.torch.from_module(net)
    assert_type(layers, dict[str, cybn.Layer])
    assert_type(cybn.torch.to_module(layers["norm"]), nn.Module)
    cybn.torch.register(Net, "rms_norm", weight=None)
    norm = cybn.torch.BatchNorm2d(8, eps=1e-3)
    norm.activation = "relu"
    norm.forward(torch.ones(2, 8, 3, 3), residual=torch.ones(2, 8, 3, 3))
