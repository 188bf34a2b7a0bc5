"""State dicts."""

import numpy as np

import cybn


def names_with_a_prefix(given):
    layer = cybn.BatchNorm1d(3)
    state = {f"bn1.{name}": a for name, a in layer.state_dict().items()} | {"fc.weight": np.ones(3)}
    yield lambda: layer.load_state_dict(state)
    yield lambda: layer.load_state_dict(
        {name.removeprefix("bn1."): a for name, a in state.items() if name.startswith("bn1.")}
    )


def names_that_differ(given):
    layer = cybn.BatchNorm1d(3)
    state = layer.state_dict() | {"gamma": np.ones(3)}
    yield lambda: layer.load_state_dict(state)
    yield lambda: layer.load_state_dict(state, strict=False)
