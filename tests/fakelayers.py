"""Layers to build by name: the names of the batch norms, and two that do not normalize."""

import cybn

BATCH_NORMS = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d"]
BATCH_NORM_OPTIONS = (
    "num_features, eps, momentum, affine, track_running_stats, weight, bias, dtype, channel_axis"
)


class FakeGroup(cybn.Layer):
    """A group norm, as far as its options go."""

    num_features_option = "num_channels"

    def __init__(self, num_groups: int, num_channels: int):
        super().__init__()

    def apply(self, x, *, out=None):
        return x, None

    def pullback(self, saved, dy, *, out=None):
        return dy, {}


class FakePlain(FakeGroup):
    """A layer that knows no width."""

    num_features_option = None

    def __init__(self, scale: float = 1.0):
        cybn.Layer.__init__(self)


def register_fakes():
    """One layer that calls its width num_channels, and one that has none."""
    cybn.register("FakeGroup", aliases=("FG",))(FakeGroup)
    cybn.register("FakePlain")(FakePlain)
