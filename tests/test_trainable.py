"""Parameters that are held fixed while statistics still move, and the list of those of norms."""

import copy
import pickle

import numpy as np
import pytest
from runs import bits

import cybn
from cybn.terms.signature import options_of

BATCH = np.random.default_rng(0).normal(3, 2, (6, 4, 5, 5)).astype(np.float32)
values = pytest.mark.parametrize("value", [True, False, "weight", "bias"])
LEARN = {True: ["weight", "bias"], False: [], "weight": ["weight"], "bias": ["bias"]}


def names(pairs):
    return [name for name, _ in pairs]


def test_every_layer_that_learns_can_be_held(layer_spec):
    """What it then does is in the check `grads-fixed`."""
    layer = layer_spec.make()
    assert ("trainable" in options_of(type(layer))) >= bool(list(layer.parameters()))


@values
def test_a_step_moves_what_learns_and_the_statistics(value):
    layer, plain = (cybn.BatchNorm2d(4, trainable=each) for each in (value, True))
    start = layer.state_dict()
    for each in (layer, plain):
        each.backward(each(BATCH))
        for name, a in each.named_parameters():
            a -= 0.1 * each.grads[name]
    moved = {name for name, a in layer.state_dict().items() if bits(a) != bits(start[name])}
    assert moved == {*LEARN[value], "running_mean", "running_var", "num_batches_tracked"}
    assert list(layer.grads) == LEARN[value]
    for name in moved:
        assert bits(getattr(layer, name)) == bits(getattr(plain, name))


@values
def test_what_is_held_is_a_buffer(value):
    layer = cybn.GroupNorm(2, 4, trainable=value)
    assert names(layer.named_parameters()) == LEARN[value]
    held = [name for name in ("weight", "bias") if name not in LEARN[value]]
    assert names(layer.named_buffers()) == held
    assert [bits(a) for a in layer.buffers()] == [bits(getattr(layer, name)) for name in held]
    assert [name for name in ("weight", "bias", "eps") if layer.learns(name)] == LEARN[value]
    assert list(layer.state_dict()) == ["weight", "bias"]
    state = {"weight": np.full(4, 3.0), "bias": np.full(4, 4.0)}
    assert layer.load_state_dict(state) == ([], [])
    assert (layer.weight[0], layer.bias[0]) == (3, 4)
    layer.reset_parameters()
    assert (layer.weight[0], layer.bias[0]) == (1, 0)


def test_it_is_part_of_the_config_and_may_be_assigned():
    layer = cybn.create({"type": "BN2d", "trainable": "bias"}, num_features=4)
    assert repr(layer).endswith("track_running_stats=True, trainable='bias')")
    for other in (cybn.create(layer.get_config()), copy.deepcopy(layer),
                  pickle.loads(pickle.dumps(layer))):  # fmt: skip
        assert names(other.named_parameters()) == ["bias"]
    layer.trainable = False
    assert list(layer.parameters()) == []
    layer.trainable = True
    assert names(layer.named_parameters()) == ["weight", "bias"]
    with pytest.raises(ValueError, match=r"trainable must be a bool or 'weight' or 'bias', got 'w"):
        layer.trainable = "wieght"
    with pytest.raises(TypeError, match="trainable must be"):
        cybn.BatchNorm2d(4, trainable=1)
    assert layer.trainable is True


def test_arrays_under_dotted_names():
    layer = cybn.SplitBatchNorm2d(4, num_splits=2, trainable="weight")
    assert names(layer.named_parameters()) == ["weight", "aux_bn.0.weight"]
    layer.backward(layer(BATCH))
    assert list(layer.grads) == ["weight", "aux_bn.0.weight"]


def test_a_lazy_layer_holds_what_its_first_input_makes():
    layer = cybn.LazyBatchNorm2d(trainable=False)
    layer.backward(layer(BATCH))
    assert (layer.grads, layer.to_plain().trainable, list(layer.parameters())) == ({}, False, [])


def test_a_fixed_weight_may_be_drawn():
    np.random.seed(0)  # noqa: NPY002
    layer = cybn.BatchNorm2d(4, weight_init="uniform", trainable=False)
    assert len(set(layer.weight.tolist())) == 4


@pytest.mark.parametrize("held", ["weight", "bias"])
def test_a_class_table_is_held(held):
    layer = cybn.ConditionalBatchNorm2d(4, num_classes=3, trainable=held)
    labels = np.arange(6) % 3
    layer.backward(layer(BATCH, labels=labels))
    plain = cybn.ConditionalBatchNorm2d(4, num_classes=3)
    plain.backward(plain(BATCH, labels=labels))
    assert list(layer.grads) == [held]
    assert bits(layer.grads[held]) == bits(plain.grads[held])


def test_freezing_takes_it_as_it_is():
    layer = cybn.BatchNorm2d(4, trainable="bias")
    assert type(cybn.freeze(layer)).__name__ == "FrozenBatchNorm2d"
    assert cybn.convert(layer, "GhostBatchNorm2d", virtual_batch_size=2).trainable == "bias"


def test_a_pullback_of_an_author_that_knows_nothing_of_it(own_registry):
    class Twice(cybn.Layer):
        """Twice the weight."""

        Saved = cybn.RMSNorm.Saved

        def __init__(self, num_features: int, *, trainable: bool = True):
            self.register_parameter("weight", np.ones(num_features, np.float32))

        def apply(self, x, *, out=None):
            x = self.begin(x, out)
            return 2 * self.weight * x, self.Saved(x, None, None, None)

        def pullback(self, saved, dy, *, out=None):
            return 2 * self.weight * dy, {"weight": 2 * (dy * saved.x).sum(0)}

    layer, x = Twice(4, trainable=False), np.ones((2, 4), np.float32)
    layer.backward(layer(x))
    assert layer.grads == {}


TREE = {
    "stem": {"bn1": cybn.BatchNorm2d(4, trainable="weight"), "act": None},
    "blocks": [cybn.RMSNorm(4), (cybn.AdaIN(), cybn.LayerNorm(4, bias=False))],
}


@pytest.mark.parametrize(
    ("trainable", "expected"),
    [
        (True, ["stem.bn1.weight", "blocks.0.weight", "blocks.1.1.weight"]),
        (False, ["stem.bn1.bias"]),
        (None, ["stem.bn1.weight", "stem.bn1.bias", "blocks.0.weight", "blocks.1.1.weight"]),
    ],
)
def test_the_parameters_of_norms_by_name(trainable, expected):
    assert cybn.norm_parameters(TREE, trainable=trainable) == expected


def test_the_parameters_of_a_layer_of_a_network_that_has_it_twice():
    layer = cybn.BatchNorm1d(4)
    assert cybn.norm_parameters(layer) == ["weight", "bias"]
    assert cybn.norm_parameters([layer, layer]) == ["0.weight", "0.bias"]
    assert cybn.norm_parameters(None) == []
    with pytest.raises(TypeError, match=r"norm_parameters takes layers.* got 3 \(int\) at layers"):
        cybn.norm_parameters([3])
    with pytest.raises(TypeError, match="trainable is True, False or None, got 'weight'"):
        cybn.norm_parameters(layer, trainable="weight")
