"""Arguments of functions, of Normalize, and of what concerns the process."""

import json
import sys

import numpy as np

import cybn
from cybn import functional
from cybn.config.budget import MAX_VALUES
from cybn.config.build import MAX_ENTRIES

F32 = np.float32
_X = np.random.default_rng(0).normal(3, 2, (8, 3)).astype(F32)
_STATE = np.zeros(3, F32), np.ones(3, F32)


def no_running_statistics(given):
    yield lambda: functional.batch_norm(_X, None, None)
    yield lambda: functional.batch_norm(_X, *_STATE)
    yield lambda: functional.batch_norm(_X, None, None, training=True)


def one_value_per_channel(given):
    yield lambda: functional.batch_norm(_X[:1], *_STATE, training=True)
    yield lambda: functional.batch_norm(_X[:2], *_STATE, training=True)
    yield lambda: functional.batch_norm(_X[:1], *_STATE, training=False)


def statistics_of_one_value(given):
    yield lambda: functional.batch_norm_stats(_X[:1])
    yield lambda: functional.batch_norm_stats(_X[:2])


def moments_of_nothing(given):
    part, rest = _X[:3], _X[3:]
    others = functional.batch_norm_moments(part[:0])
    yield lambda: functional.batch_norm_apply(rest, others)
    everything = [others, *map(functional.batch_norm_moments, (part, rest))]
    yield lambda: functional.batch_norm_apply(rest, functional.merge_moments(everything))


def a_factor_of_elu(given):
    yield lambda: functional.batch_norm_forward(_X, activation="elu", alpha=0.0)
    yield lambda: functional.batch_norm_forward(_X, activation="elu", alpha=1.0)


def an_average_without_a_count(given):
    state = [a.copy() for a in _STATE]
    yield lambda: functional.batch_norm_forward(_X, None, None, *state, momentum=None)
    yield lambda: functional.batch_norm_forward(_X, None, None, *state, np.array(0), momentum=None)


def a_count_that_is_none(given):
    state = [a.copy() for a in _STATE]
    yield lambda: functional.batch_norm_forward(_X, None, None, *state, np.zeros(3))
    yield lambda: functional.batch_norm_forward(_X, None, None, *state, np.array(0))


def an_axis_that_there_is_not(given):
    yield lambda: functional.batch_norm(_X, *_STATE, channel_axis=2)
    yield lambda: functional.batch_norm(_X, *_STATE, channel_axis=1)
    yield lambda: functional.batch_norm(_X, *_STATE, channel_axis=-1)


def an_eps_below_0(given):
    yield lambda: functional.batch_norm(_X, *_STATE, eps=-1.0)
    yield lambda: functional.batch_norm(_X, *_STATE, eps=1e-5)


def an_eps_that_is_no_number(given):
    yield lambda: functional.batch_norm(_X, *_STATE, eps="1e-5")
    yield lambda: functional.batch_norm(_X, *_STATE, eps=1e-5)


def a_momentum_above_1(given):
    state = [a.copy() for a in _STATE]
    yield lambda: functional.batch_norm(_X, *state, training=True, momentum=2)
    yield lambda: functional.batch_norm(_X, *state, training=True, momentum=0.1)
    yield lambda: functional.batch_norm_forward(_X, None, None, *state, np.array(0), momentum=None)


def a_slope_above_1(given):
    how = {"activation": "leaky_relu"}
    yield lambda: functional.batch_norm_forward(_X, **how, negative_slope=2)
    yield lambda: functional.batch_norm_forward(_X, **how, negative_slope=0.01)


def groups_that_do_not_divide(given):
    x = np.ones((2, 6, 4), F32)
    yield lambda: functional.group_norm(x, 4)
    yield lambda: functional.group_norm(x, 2)  # the greatest common divisor, which it names


def parameters_of_two_dtypes(given):
    mean, var = _STATE[0], _STATE[1].astype(np.float64)
    yield lambda: functional.batch_norm(_X, mean, var)
    yield lambda: functional.batch_norm(_X, mean, var.astype(np.float32))


def a_misaligned_parameter(given):
    mean = np.zeros(13, np.uint8)[1:].view(F32)
    yield lambda: functional.batch_norm(_X, mean, _STATE[1])
    yield lambda: functional.batch_norm(_X, mean.copy(), _STATE[1])


def a_read_only_statistic(given):
    mean = _STATE[0].copy()
    mean.flags.writeable = False
    yield lambda: functional.batch_norm(_X, mean, _STATE[1].copy(), training=True)
    yield lambda: functional.batch_norm(_X, mean.copy(), _STATE[1].copy(), training=True)


def normalize_by_nothing(given):
    yield lambda: cybn.Normalize()
    yield lambda: cybn.Normalize(0.5, 0.5)
    yield lambda: cybn.Normalize(num_features=3)
    yield lambda: cybn.Normalize.fit(_X)


def no_mean_after_all(given):
    layer = cybn.Normalize([0.5, 0.25], [1, 2])
    yield lambda: setattr(layer, "mean", None)
    yield lambda: setattr(layer, "mean", np.zeros(2))


def fit_to_nothing(given):
    yield lambda: cybn.Normalize.fit([])
    yield lambda: cybn.Normalize.fit(_X)
    yield lambda: cybn.Normalize.fit([_X, _X])


def fit_to_what_is_not_finite(given):
    x = _X.copy()
    x[3, 1] = np.inf
    yield lambda: cybn.Normalize.fit(x)
    yield lambda: cybn.Normalize.fit(x[np.isfinite(x).all(1)])
    yield lambda: cybn.Normalize.fit(np.nan_to_num(x, posinf=0))


def a_bar_without_tqdm(given):
    given.monkeypatch.setitem(sys.modules, "tqdm", None)
    yield lambda: cybn.Normalize.fit(_X, progress=True)
    yield lambda: cybn.Normalize.fit(_X, progress=None)


def yaml_without_its_parser(given):
    path = given.folder / "net.yaml"
    path.write_text("type: bn1d\nnum_features: 3\n", "utf-8")
    given.monkeypatch.setitem(sys.modules, "yaml", None)
    yield lambda: cybn.load_config(path)
    other = given.folder / "net.json"
    other.write_text('{"type": "bn1d", "num_features": 3}', "utf-8")
    yield lambda: cybn.load_config(other)  # what pip would bring is not to be had in a test


def a_file_with_too_many_entries(given):
    def written(name, entries):
        path = given.folder / name
        path.write_text(f"[{','.join(['null'] * entries)}]", "utf-8")
        return path

    many = MAX_ENTRIES + 10
    yield lambda: cybn.load_config(written("all.json", many))
    yield lambda: [cybn.load_config(written(name, many // 2)) for name in ("a.json", "b.json")]


def a_file_that_is_too_large(given):
    path = given.folder / "large.json"
    path.write_text("[" + " " * (1 << 21) + "]", "utf-8")
    yield lambda: cybn.load_config(path)
    path.write_text("[]", "utf-8")
    yield lambda: cybn.load_config(path)


def create_from_a_layer(given):
    layer = cybn.BatchNorm1d(3)
    yield lambda: cybn.create(layer)
    yield lambda: cybn.create(layer.get_config())
    yield lambda: layer(_X)


def a_config_without_a_type(given):
    yield lambda: cybn.create({"num_features": 3})
    yield lambda: cybn.create({"type": "BatchNorm1d", "num_features": 3})


def a_table_without_a_type(given):
    path = given.folder / "net.json"
    path.write_text('{"norm": {"num_features": 3}}', "utf-8")
    yield lambda: cybn.load_config(path)
    path.write_text('{"norm": {"type": "BatchNorm1d", "num_features": 3}}', "utf-8")
    yield lambda: cybn.load_config(path)


def a_check_without_a_type(given):
    yield lambda: cybn.testing.check_layer({"num_features": 3})
    yield lambda: cybn.testing.check_layer({"type": "BatchNorm1d", "num_features": 3})


def a_file_with_too_many_values(given):
    path = given.folder / "wide.json"
    layer = {"type": "GroupNorm", "num_groups": 1, "num_channels": MAX_VALUES + 1, "affine": False}
    path.write_text(json.dumps({"norm": layer}), "utf-8")
    yield lambda: cybn.load_config(path)
    yield lambda: cybn.create(layer)
