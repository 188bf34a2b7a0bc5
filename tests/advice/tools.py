"""What works on layers: fold, recalibrate, freeze and convert."""

import numpy as np

import cybn

F32 = np.float32
_X = np.random.default_rng(0).normal(3, 2, (8, 3)).astype(F32)
_W = np.ones((3, 3), F32)


class _Doubled(cybn.BatchNorm1d):
    """Twice the norm."""

    def apply(self, x, **inputs):
        y, saved = super().apply(x, **inputs)
        return 2 * y, saved


class _Declared(_Doubled):
    """Twice the norm, and it says so."""

    def fixed(self, who):
        fixed = cybn.BatchNorm1d.fixed(self, who)
        return fixed._replace(weight=2 * fixed.weight, bias=2 * fixed.bias)


def fold_a_norm_in_training(given):
    norm = cybn.BatchNorm1d(3)
    yield lambda: cybn.fold(_W, None, norm)
    yield lambda: cybn.fold(_W, None, norm.eval())


def fold_a_norm_without_a_width(given):
    norm = cybn.LazyBatchNorm1d().eval()
    yield lambda: cybn.fold(_W, None, norm)
    yield lambda: (norm(_X), cybn.fold(_W, None, norm))


def fold_a_norm_without_running_statistics(given):
    yield lambda: cybn.fold(_W, None, cybn.BatchNorm1d(3, track_running_stats=False).eval())
    yield lambda: cybn.fold(_W, None, cybn.BatchNorm1d(3, track_running_stats=True).eval())


def fold_an_activation(given):
    norm = cybn.BatchNorm1d(3, activation="relu").eval()
    yield lambda: cybn.fold(_W, None, norm)
    norm.activation = None
    yield lambda: cybn.fold(_W, None, norm)


def fold_ghosts(given):
    norm = cybn.GhostBatchNorm1d(3, ghost_inference=True).eval()
    yield lambda: cybn.fold(_W, None, norm)
    norm.ghost_inference = False
    yield lambda: cybn.fold(_W, None, norm)


def fold_domains(given):
    norm = cybn.DomainSpecificBatchNorm1d(3).eval()

    def one():
        plain = cybn.BatchNorm1d(3).eval()
        state = norm.state_dict().items()
        plain.load_state_dict(
            {name.removeprefix("bns.0."): a for name, a in state if name.startswith("bns.0.")}
        )
        return cybn.fold(_W, None, plain)

    yield lambda: cybn.fold(_W, None, norm)
    yield one


def fold_a_subclass_with_an_apply(given):
    yield lambda: cybn.fold(_W, None, _Doubled(3).eval())
    yield lambda: cybn.fold(_W, None, _Declared(3).eval())


def freeze_what_has_no_running_statistics(given):
    yield lambda: cybn.freeze(cybn.BatchNorm1d(3, track_running_stats=False))

    def recalibrated():
        layer = cybn.BatchNorm1d(3, track_running_stats=True)
        cybn.recalibrate(layer, layer, [_X])
        return cybn.freeze(layer)

    yield recalibrated


def freeze_before_the_first_input(given):
    layer = cybn.LazyBatchNorm1d()
    yield lambda: cybn.freeze(layer)
    yield lambda: (layer(_X), cybn.freeze(layer))


def freeze_a_relative(given):
    ghost = cybn.GhostBatchNorm1d(3)
    yield lambda: cybn.freeze([ghost])
    yield lambda: cybn.freeze([])
    yield lambda: cybn.freeze(cybn.convert(ghost, "BatchNorm1d"))


def freeze_an_activation(given):
    layer = cybn.BatchNorm1d(3, activation="relu", momentum=0.4)
    yield lambda: cybn.freeze(layer)
    yield lambda: cybn.convert(layer, "FrozenBatchNorm1d", drop=("momentum", "activation"))


def convert_and_lose(given):
    layer = cybn.BatchNorm1d(3, momentum=0.4)
    yield lambda: cybn.convert(layer, "FrozenBatchNorm1d")
    yield lambda: cybn.convert(layer, "FrozenBatchNorm1d", drop=("momentum",))


def convert_one_of_a_tie(given):
    plain, ghost = cybn.BatchNorm1d(3), cybn.GhostBatchNorm1d(3)
    ghost.bias = plain.bias
    layers, change = [plain, ghost], {"GhostBatchNorm1d": "BatchNorm1d"}
    yield lambda: cybn.convert(layers, change)
    yield lambda: cybn.convert(layers, "BatchNorm1d")
    ghost.bias = ghost.bias.copy()
    yield lambda: cybn.convert(layers, change)


def recalibrate_nothing(given):
    layer = cybn.BatchNorm1d(3)
    yield lambda: cybn.recalibrate([], layer, [_X])
    yield lambda: cybn.recalibrate([layer], layer, [_X])


def recalibrate_in_another_order(given):
    layer = cybn.BatchNorm1d(3)
    yield lambda: cybn.recalibrate(layer, [_X], layer)
    yield lambda: cybn.recalibrate(layer, layer, [_X])


def recalibrate_without_running_statistics(given):
    yield lambda: cybn.recalibrate(
        cybn.BatchNorm1d(3, track_running_stats=False), lambda x: x, [_X]
    )
    layer, lazy = cybn.BatchNorm1d(3, track_running_stats=True), cybn.LazyBatchNorm1d()
    yield lambda: cybn.recalibrate(layer, layer, [_X])
    yield lambda: (lazy(_X), cybn.recalibrate(lazy, lazy, [_X]))


def recalibrate_what_is_no_batch_norm(given):
    layer, other = cybn.BatchNorm1d(3), cybn.FrozenBatchNorm1d(3)
    yield lambda: cybn.recalibrate([layer, other], layer, [_X])
    yield lambda: cybn.recalibrate([layer], layer, [_X])


def recalibrate_read_only_statistics(given):
    layer = cybn.BatchNorm1d(3)
    layer.running_var.flags.writeable = False
    yield lambda: cybn.recalibrate(layer, layer, [_X])
    layer.running_var = layer.running_var.copy()
    yield lambda: cybn.recalibrate(layer, layer, [_X])


def recalibrate_what_nothing_reaches(given):
    layer, other = cybn.BatchNorm1d(3), cybn.BatchNorm1d(3)
    yield lambda: cybn.recalibrate([layer, other], layer, [_X])
    yield lambda: cybn.recalibrate([layer], layer, [_X])
    yield lambda: cybn.recalibrate([layer, other], lambda x: other(layer(x)), [_X])


def recalibrate_what_is_not_finite(given):
    layer, bad = cybn.BatchNorm1d(3), np.full((2, 3), np.nan, F32)
    yield lambda: cybn.recalibrate(layer, layer, [_X, bad])
    yield lambda: cybn.recalibrate(layer, layer, [_X])
    layer.on_nonfinite = "skip"

    def skipped():
        with given.warns("left out 1 of 2 calls"):
            cybn.recalibrate(layer, layer, [_X, bad])

    yield skipped


def recalibrate_with_no_data(given):
    layer = cybn.BatchNorm1d(3)
    yield lambda: cybn.recalibrate(layer, layer, 3)
    yield lambda: cybn.recalibrate(layer, layer, [_X])
