"""The rules, one module per topic. The order of the imports is the order in which they run."""

from . import (  # noqa: I001
    basics as basics,
    output as output,
    sixteen as sixteen,
    sizes as sizes,
    memory as memory,
    gradients as gradients,
    grads as grads,
    pair as pair,
    modes as modes,
    layout as layout,
    state as state,
    loads as loads,
    config as config,
    failures as failures,
    assigned as assigned,
    determinism as determinism,
    edges as edges,
)
