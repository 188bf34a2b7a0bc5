"""The node tests of the onnx package: each norm operator, built from its node and its inputs.

The package makes them when its modules are imported. A node goes to `create` as protobuf writes it
in JSON, and its further inputs are loaded under the names that the operator gives them.
"""

from importlib import import_module
from pkgutil import iter_modules

import numpy as np
import pytest

import cybn

onnx = pytest.importorskip("onnx", reason='onnx is not installed: pip install ".[onnx]"')
json_format = pytest.importorskip("google.protobuf.json_format")

#: the operators that are norms, and how many tests of each there are at least
OPERATORS = {
    "BatchNormalization": 4,
    "InstanceNormalization": 2,
    "LayerNormalization": 19,
    "GroupNormalization": 2,
    "RMSNormalization": 19,
    "LRN": 2,
    "LpNormalization": 6,
    "MeanVarianceNormalization": 1,
}


def cases():
    """The tests of one node that is a norm; what a norm is made of by other nodes is not ours."""
    package = import_module("onnx.backend.test.case.node")
    for module in iter_modules(package.__path__):
        if "norm" in module.name or module.name == "lrn":
            with np.errstate(all="ignore"):  # what is expected of zeros is computed there by 0/0
                import_module(f"{package.__name__}.{module.name}")
    for case in package._NodeTestCases:
        nodes = case.model.graph.node
        if len(nodes) == 1 and nodes[0].op_type in OPERATORS:
            yield pytest.param(case, id=case.name)


CASES = list(cases())


def built(node, x, further):
    """The layer of a node for an input, with the further inputs in its arrays."""
    spec = json_format.MessageToDict(node)
    axis = next((each.i for each in node.attribute if each.name == "axis"), -1)
    options = {}
    if node.op_type in ("LayerNormalization", "RMSNormalization"):
        options["normalized_shape"] = x.shape[axis:]
    elif node.op_type == "GroupNormalization":
        options["num_features"] = x.shape[1]
    elif node.op_type in ("BatchNormalization", "InstanceNormalization"):
        options.update(num_features=x.shape[1], spatial_dims=x.ndim - 2)
    layer = cybn.create(spec, dialect="onnx", **options)
    names = [each.name for each in onnx.defs.get_schema(node.op_type).inputs]
    layer.load_state_dict(dict(zip(names[1:], further, strict=False)), dialect="onnx")
    return layer


def further_outputs(node, layer, x):
    """What a node gives beside y."""
    if node.op_type == "BatchNormalization":
        return [layer.running_mean, layer.running_var]
    _, (mean, _, rstd) = cybn.functional.layer_norm_forward(
        x, layer.normalized_shape, eps=layer.eps
    )
    shape = x.shape[: x.ndim - len(layer.normalized_shape)] + (1,) * len(layer.normalized_shape)
    return [mean.reshape(shape), rstd.reshape(shape)]


@pytest.mark.parametrize("case", CASES)
def test_a_node(case):
    (node,) = case.model.graph.node
    ((inputs, outputs),) = case.data_sets
    x, *further = inputs
    layer = built(node, x, further)
    y = layer(x)
    np.testing.assert_allclose(y, outputs[0], rtol=min(case.rtol, 1e-4), atol=1e-6)
    if len(outputs) > 1:
        for ours, theirs in zip(further_outputs(node, layer, x), outputs[1:], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=min(case.rtol, 1e-4), atol=1e-6)


@pytest.mark.parametrize("operator", OPERATORS)
def test_there_are_tests_of_each(operator):
    found = [case for (case,) in (each.values for each in CASES)
             if case.model.graph.node[0].op_type == operator]  # fmt: skip
    assert len(found) >= OPERATORS[operator]
