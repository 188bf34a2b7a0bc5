"""What `help` says of every layer: complete, about things that exist, in one markup."""

import pkgutil
import re

import pytest

import cybn
from cybn.docstrings import parts_of
from cybn.options import options_of
from cybn.registry import registry

LAYERS = registry.builtins()
OPTIONS = [(name, option) for name, cls in LAYERS.items() for option in options_of(cls)]
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(cybn.__path__, "cybn.")
    if not re.search(r"\.(_baseline|_x86_64_v3|__main__)$|^cybn\.templates", module.name)
)


@pytest.mark.parametrize("name", LAYERS)
def test_the_docstring_of_a_layer_has_all_parts(name):
    doc = parts_of(LAYERS[name].__doc__)
    assert len(doc.summary) > 20
    assert set(doc.sections) >= {"Parameters", "Attributes", "Raises", "Notes", "Examples"} - (
        {"Notes"} if name == "never" else set()
    )
    assert ".. math::" in doc.sections["Notes"]
    assert "(N, C" in LAYERS[name].__doc__ or name in {"LayerNorm", "RMSNorm", "WeightStandardization"}
    assert f"cybn.{name}(" in doc.sections["Examples"] or name in doc.sections["Examples"]
    assert {"TypeError", "ValueError"} <= {each for e in doc.entries("Raises") for each in e.names}


def test_the_docstrings_of_layers_are_their_own():
    assert len({cls.__doc__ for cls in LAYERS.values()}) == len(LAYERS)
