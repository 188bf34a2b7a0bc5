"""What errors advise for an input that does not fit: names of classes that exist and take it."""

import re

import numpy as np
import pytest

import cybn
from cybn.registry import registry

F32 = np.float32


def zeros(*shape):
    return np.zeros(shape, F32)


def images(*shape):
    return np.random.default_rng(0).normal(0, 1, shape).astype(F32)


def message_of(call):
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    return str(caught.value)


RANKED = sorted({
    name for name in cybn.available()
    if re.fullmatch(r".*[123]d", name) and getattr(registry.find(name), "ranks", ())
})  # fmt: skip


@pytest.mark.parametrize("name", RANKED)
@pytest.mark.parametrize("ndim", [2, 3, 4, 5])
def test_the_class_that_is_named_takes_the_input(name, ndim):
    layer = cybn.create(name, num_features=3)
    x = images(4, 3, 5, 6, 7)[(..., *(0,) * (5 - ndim))]
    ranks = type(layer).ranks
    samples = "Instance" in name  # taken by themselves, too: (4, 3, 5) is no sample of 3 channels
    if ndim == ranks[-1] or (ndim in ranks and not samples):
        layer(x)
        return
    message = message_of(lambda: layer(x))
    named = re.search(r"; use (\w+)", message)
    family = [registry.find(f"{name[:-2]}{rank}d").ranks for rank in "123"]
    if not any(ndim == ranks[-1] or (ndim in ranks and not samples) for ranks in family):
        assert not named
    else:
        assert cybn.create(named[1], num_features=3)(x).shape == x.shape


def test_a_name_that_only_looks_like_one_of_a_family_is_not_believed(own_registry):
    class FooNorm2d(cybn.BatchNorm2d):
        """A norm for images alone."""

    for _ in range(2):
        assert "use" not in message_of(lambda: FooNorm2d(3)(zeros(8, 3, 8)))
        cybn.register("FooNorm2d", force=True)(FooNorm2d)

    @cybn.register("FooNorm1d")
    class Unlike(cybn.Layer):
        """No relative but for its name: other options, and no ranks."""

    assert "use" not in message_of(lambda: FooNorm2d(3)(zeros(8, 3, 8)))

    @cybn.register("FooNorm1d", force=True)
    class FooNorm1d(cybn.BatchNorm1d):
        """The same norm for signals."""

    assert message_of(lambda: FooNorm2d(3)(zeros(8, 3, 8))).endswith("; use FooNorm1d")


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        ("BatchNorm2d", (3, 8, 8)),
        ("BatchNorm3d", (3, 4, 8, 8)),
        ("BatchNorm1d", (3, 8)),
        ("FrozenBatchNorm2d", (3, 8, 8)),
        ("GhostBatchNorm2d", (3, 8, 8)),
        ("BatchRenorm2d", (3, 8, 8)),
        ("FilterResponseNorm", (3, 8)),
        ("PowerNorm", (3, 8)),
        ("Normalize", (3, 8, 8)),
        ("GroupNorm", (3, 8, 8)),
    ],
)
def test_one_sample_of_many_values_is_told_to_be_made_a_batch(layer, shape):
    extra = {"num_groups": 1} if layer == "GroupNorm" else {}
    layer = cybn.create(layer, num_features=3, **extra)
    x = images(*shape)
    assert "pass x[None] if it is one sample" in message_of(lambda: layer(x))
    assert layer(x[None]).shape == (1, *shape)


def test_one_sample_with_channels_last_needs_a_layer_of_that_kind():
    x = images(8, 8, 3)
    message = message_of(lambda: cybn.BatchNorm2d(3)(x))
    assert "pass x[None] to a layer with channel_axis=-1 if it is one sample" in message
    cybn.BatchNorm2d(3, channel_axis=-1)(x[None])
    message = message_of(lambda: cybn.BatchNorm2d(3, channel_axis=-1)(images(3, 8, 8)))
    assert "pass x[None] to a layer with channel_axis=1 if it is one sample" in message


def test_one_sample_of_one_value_per_channel_can_only_be_evaluated():
    layer = cybn.BatchNorm1d(3)
    assert "in evaluation pass x[None]" in message_of(lambda: layer(zeros(3)))
    assert layer.eval()(zeros(3)[None]).shape == (1, 3)


def test_an_image_is_not_sent_to_a_class_that_takes_its_rows():
    message = message_of(lambda: cybn.BatchNorm2d(3)(images(3, 8, 8)))
    assert "use" not in message
    message = message_of(lambda: cybn.BatchNorm2d(3)(images(3, 3, 8)))
    assert "use BatchNorm1d or pass x[None]" in message  # it may be either


def test_no_number_of_channels_is_advised_that_is_refused():
    message = message_of(lambda: cybn.BatchNorm1d(3)(zeros(4, 0)))
    assert message.endswith("got 0 in (4, 0); pass an array that has channels")
    message = message_of(lambda: cybn.LayerNorm(3)(zeros(2, 0)))
    assert "normalized_shape=(0,)" not in message
    assert message_of(lambda: cybn.LayerNorm(3)(zeros(2, 5))).endswith("=(5,) would fit")


@pytest.mark.parametrize("name", cybn.available())
def test_what_is_no_array_is_shown(name):
    from cybn.testing._subject import Subject

    layer = Subject(name).cases[0].layer()
    for value, text in ((None, "got None"), ({}, r"got {} (dict)"), ([[1], [1, 2]], "got [[1],")):
        assert text in message_of(lambda value=value: layer(value))


def test_a_group_of_one_value_is_not_called_a_channel_in_training():
    for layer in (cybn.GroupNorm(4, 4), cybn.GroupNorm(4, 4).eval()):
        message = message_of(lambda layer=layer: layer(zeros(1, 4)))
        assert message.startswith("Expected more than 1 value per group, got input size (1, 4)")
        assert message.endswith("; use fewer groups")
    assert cybn.GroupNorm(2, 4)(zeros(1, 4)).shape == (1, 4)
    assert "; pass larger samples" in message_of(lambda: cybn.GroupNorm(1, 1)(zeros(1, 1)))
