"""Attributes of layers, their order of calls, and options."""

import numpy as np

import cybn

F32 = np.float32
_X = np.random.default_rng(0).normal(3, 2, (8, 3)).astype(F32)


def backward_before_forward(given):
    layer = cybn.BatchNorm1d(3)
    yield lambda: layer.backward(_X)
    yield lambda: (layer(_X), layer.backward(_X))


def an_array_that_is_missing(given):
    layer = cybn.FrozenBatchNorm1d(3)
    layer.running_mean = None
    yield lambda: layer(_X)
    layer.running_mean = np.zeros(3, F32)
    yield lambda: layer(_X)


def a_single_sample_without_running_statistics(given):
    layer = cybn.BatchNorm1d(3, on_single="running")
    layer.running_mean = None
    yield lambda: layer(_X[:1])
    layer.on_single = "error"
    yield lambda: layer(_X)
    layer.on_single = "running"
    layer.running_mean = np.zeros(3, F32)
    yield lambda: layer(_X[:1])


def values_in_place_of_an_array(given):
    layer = cybn.BatchNorm1d(3)

    def follow():
        layer.weight[...] = [1, 2, 3]
        return layer(_X)

    yield lambda: setattr(layer, "weight", [1, 2, 3])
    yield follow


def a_mode_that_is_none(given):
    layer = cybn.BatchNorm1d(3)
    yield lambda: setattr(layer, "training", "no")
    yield lambda: (layer.eval(), layer.train())


def an_option_that_has_shaped_the_layer(given):
    layer = cybn.BatchNorm1d(3)
    yield lambda: setattr(layer, "affine", False)
    yield lambda: cybn.create({**layer.get_config(), "affine": False})


def an_option_that_is_misspelt(given):
    yield lambda: cybn.BatchNorm1d(3, epsilon=1e-3)
    yield lambda: cybn.BatchNorm1d(3, eps=1e-3)


def options_by_position(given):
    yield lambda: cybn.BatchNorm1d(3, 1e-3, 0.1, True, True, False)
    yield lambda: cybn.BatchNorm1d(3, 1e-3, 0.1, True, True, bias=False)


def to_plain_before_the_first_input(given):
    layer = cybn.LazyBatchNorm1d()
    yield lambda: layer.to_plain()
    yield lambda: (layer(_X), layer.to_plain())


def a_read_only_whitening(given):
    layer = cybn.IterNorm(4, num_groups=2)
    layer.running_wm = layer.running_wm.transpose(1, 2, 0)
    yield lambda: layer(np.ones((4, 4, 3), F32))
    layer.running_wm = cybn.IterNorm(4, num_groups=2).running_wm.copy()
    yield lambda: layer(np.random.default_rng(0).normal(0, 1, (4, 4, 3)).astype(F32))


def inverse_before_forward(given):
    layer, y = cybn.RevIN(3), np.ones((2, 5, 3), F32)
    yield lambda: layer.inverse(y)
    yield lambda: (layer(y), layer.inverse(y))


def backward_of_an_inverse_before_it(given):
    layer, x = cybn.RevIN(3), np.random.default_rng(0).normal(0, 1, (2, 5, 3)).astype(F32)
    layer(x)
    yield lambda: layer.inverse_backward(x)
    yield lambda: (layer.inverse(x), layer.inverse_backward(x))


def inverse_of_a_weight_of_0(given):
    layer, x = cybn.RevIN(3), np.random.default_rng(0).normal(0, 1, (2, 5, 3)).astype(F32)
    layer(x)
    layer.weight[1] = 0
    yield lambda: layer.inverse(x)
    layer.weight[1] = 0.1
    yield lambda: layer.inverse(x)
    other = cybn.RevIN(3, affine=False)
    yield lambda: (other(x), other.inverse(x))


def a_mean_that_is_none(given):
    layer = cybn.Normalize([1.0, 2.0])
    yield lambda: setattr(layer, "mean", None)
    yield lambda: setattr(layer, "mean", np.zeros(2))


def parameters_of_sixteen_bits(given):
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float16)
    yield lambda: cybn.BatchNorm1d(3, dtype="float16")
    yield lambda: (cybn.BatchNorm1d(3, dtype="float32")(x), cybn.BatchNorm1d(3, dtype="float64")(x))


def channels_of_more_than_one_axis(given):
    yield lambda: cybn.LayerNorm([3, 4], channel_axis=1)
    yield lambda: cybn.LayerNorm(4, channel_axis=1)
    yield lambda: cybn.LayerNorm([3, 4])


def a_weight_of_another_size(given):
    weight = np.ones((3, 5), "float32")
    yield lambda: cybn.SpectralNorm(out_channels=4, fan_in=5)(weight)
    yield lambda: cybn.SpectralNorm(out_channels=3, fan_in=5)(weight)
