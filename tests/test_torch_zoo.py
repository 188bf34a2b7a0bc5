"""Whole models, small and with random weights, converted; all by `python tests/torchzoo.py`."""

import importlib
import warnings

import pytest

pytest.importorskip("torch", reason='PyTorch is not installed: pip install "cybn[torch]"')

import torchclasses
import torchzoo

# Of each library: a pattern and how many models it finds
MODELS = {
    "hf": ("^(bit|gpt2|falcon_mamba|gemma2|levit|poolformer)$", 6),
    "timm": ("^(test_convnext|test_efficientnet|test_byobnet|test_nfnet|test_vit)$", 5),
    "torchvision": ("^(mobilenet_v3_small|regnet_y_400mf)$", 2),
}
NAMES = {"hf": "transformers"}


@pytest.mark.parametrize("library", MODELS)
@pytest.mark.filterwarnings("ignore")
def test_whole_models(library):
    pattern, count = MODELS[library]
    name = NAMES.get(library, library)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of the library when it is imported
        try:
            importlib.import_module(name)
        except ImportError:
            pytest.skip(f"{name} is not installed: pip install {name}")
        found = list(torchzoo.survey(library, pattern))
    assert len(found) == count, [each.name for each in found]
    wrong = [(e.name, e.what, e.why) for e in found if e.what not in ("alike", "rounding")]
    assert wrong == []
    assert all(each.report.swapped or not each.report.norms for each in found)
    assert not [entry for each in found for entry in each.report.left]


def test_norm_classes_of_transformers():
    pytest.importorskip("transformers", reason="transformers is not installed: pip install it")
    fates = [(name, fate) for name, fate in torchclasses.survey() if fate is not None]
    left = {name: fate.why for name, fate in fates if not fate.swapped}
    assert left.keys() & {"NemotronLayerNorm1P", "NoNorm"} == {"NemotronLayerNorm1P", "NoNorm"}
    assert len(left) < len(fates) / 20 < 20, left
