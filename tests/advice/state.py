"""State dicts."""

import ml_dtypes
import numpy as np

import cybn


def names_with_a_prefix(given):
    layer = cybn.BatchNorm1d(3)
    state = {f"bn1.{name}": a for name, a in layer.state_dict().items()} | {"fc.weight": np.ones(3)}
    yield lambda: layer.load_state_dict(state)
    yield lambda: layer.load_state_dict(state, prefix="bn1.")


def names_that_differ(given):
    layer = cybn.BatchNorm1d(3)
    state = layer.state_dict() | {"gamma": np.ones(3)}
    yield lambda: layer.load_state_dict(state)
    yield lambda: layer.load_state_dict(state, strict=False)


def words_of_bfloat16(given):
    layer = cybn.BatchNorm1d(3)
    state = layer.state_dict()
    state["weight"] = np.ones(3, ml_dtypes.bfloat16).view(np.uint16)
    yield lambda: layer.load_state_dict(state)
    yield lambda: layer.load_state_dict(
        {**state, "weight": state["weight"].view(ml_dtypes.bfloat16)}
    )
    yield lambda: layer.load_state_dict({**state, "weight": state["weight"].astype(np.float32)})


def a_count_of_floats(given):
    layer = cybn.BatchNorm1d(3)
    state = {**layer.state_dict(), "num_batches_tracked": np.array(3.0)}
    yield lambda: layer.load_state_dict(state)
    count = state["num_batches_tracked"].astype(np.int64)
    yield lambda: layer.load_state_dict({**state, "num_batches_tracked": count})
