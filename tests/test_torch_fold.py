"""fold against PyTorch's own folding, and against its modules unfolded."""

import numpy as np
import pytest

import cybn

torch = pytest.importorskip("torch")
fusion = pytest.importorskip("torch.nn.utils.fusion")

CONVS = {
    (1, False): torch.nn.Conv1d, (2, False): torch.nn.Conv2d, (3, False): torch.nn.Conv3d,
    (1, True): torch.nn.ConvTranspose1d, (2, True): torch.nn.ConvTranspose2d,
    (3, True): torch.nn.ConvTranspose3d,
}  # fmt: skip


def trained_pair(channels, rank):
    """A PyTorch batch norm after a few steps, and ours with its state, both in evaluation."""
    name = f"BatchNorm{rank}d"
    theirs = getattr(torch.nn, name)(channels, dtype=torch.float64)
    with torch.no_grad():
        theirs.weight.normal_()
        theirs.bias.normal_()
        for _ in range(3):
            theirs(torch.randn(4, channels, *(3,) * rank, dtype=torch.float64) * 3 + 5)
    ours = cybn.create(name, num_features=channels, dtype="float64").eval()
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    return theirs.eval(), ours


def arrays_of(module):
    bias = None if module.bias is None else module.bias.detach().numpy()
    return module.weight.detach().numpy(), bias


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(("rank", "transposed"), list(CONVS))
def test_convolutions(rank, transposed, groups, with_bias):
    torch.manual_seed(0)
    layer = CONVS[rank, transposed](
        4, 6, 3, padding=1, groups=groups, bias=with_bias, dtype=torch.float64
    )
    theirs, ours = trained_pair(6, rank)
    weight, bias = cybn.fold(*arrays_of(layer), ours, transposed=transposed, groups=groups)
    x = torch.randn(2, 4, *(5,) * rank, dtype=torch.float64)
    with torch.no_grad():
        expected = theirs(layer(x))
        layer.weight[...] = torch.from_numpy(weight)
        layer.bias = torch.nn.Parameter(torch.from_numpy(bias))
        np.testing.assert_allclose(layer(x).numpy(), expected.numpy(), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("transposed", [False, True])
def test_the_same_weights_as_fuse_conv_bn_weights(transposed):
    torch.manual_seed(1)
    layer = CONVS[2, transposed](4, 6, 3, dtype=torch.float64)
    theirs, ours = trained_pair(6, 2)
    expected = fusion.fuse_conv_bn_weights(
        layer.weight, layer.bias, theirs.running_mean, theirs.running_var, theirs.eps,
        theirs.weight, theirs.bias, transpose=transposed,
    )  # fmt: skip
    got = cybn.fold(*arrays_of(layer), ours, transposed=transposed)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b.detach().numpy(), rtol=1e-13, atol=1e-14)


def test_the_same_weights_as_fuse_linear_bn_weights():
    torch.manual_seed(2)
    layer = torch.nn.Linear(5, 6, dtype=torch.float64)
    theirs, ours = trained_pair(6, 1)
    expected = fusion.fuse_linear_bn_weights(
        layer.weight, layer.bias, theirs.running_mean, theirs.running_var, theirs.eps,
        theirs.weight, theirs.bias,
    )  # fmt: skip
    got = cybn.fold(*arrays_of(layer), ours)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b.detach().numpy(), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_norm_before_a_convolution_without_padding(groups):
    torch.manual_seed(3)
    layer = torch.nn.Conv2d(4, 8, 3, groups=groups, dtype=torch.float64)
    theirs, ours = trained_pair(4, 2)
    weight, bias = cybn.fold_into_next(*arrays_of(layer), ours, groups=groups)
    x = torch.randn(2, 4, 6, 6, dtype=torch.float64)
    with torch.no_grad():
        expected = layer(theirs(x))
        layer.weight[...], layer.bias[...] = torch.from_numpy(weight), torch.from_numpy(bias)
        np.testing.assert_allclose(layer(x).numpy(), expected.numpy(), rtol=1e-11, atol=1e-12)
