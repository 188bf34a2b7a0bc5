"""Norm layers of models of transformers and timm, rebuilt; all of them by `python tests/zoo.py`.

A few models here, with a norm of each kind. What is not built is refused with a reason, and nothing
is built that computes something else.
"""

import warnings

import pytest
import zoo
import zooclasses

HF = "^(bert|llama|t5|resnet|convnext|gemma|gpt2|vit|whisper|bit|regnet)$"
TIMM = "^(resnet18|convnext_atto|vit_tiny_patch16_224|efficientnet_b0|regnety_002)$"


@pytest.mark.parametrize(("library", "pattern", "least"), [("hf", HF, 0.95), ("timm", TIMM, 0.95)])
def test_the_norms_of_models(library, pattern, least):
    package = {"hf": "transformers"}.get(library, library)
    pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    pytest.importorskip(package, reason=f"needs {package}: pip install {package}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of models that are made are theirs
        models = list(zoo.MODELS[library](pattern))
        found = list(zoo.survey(models))
    assert all(model is not None for _, model in models)
    assert len(found) > 100
    differing = [each for each in found if each.outcome.what == "differs"]
    assert not differing, differing[:3]
    refused = {each.outcome.why for each in found if each.outcome.what == "refused"}
    assert all("write {" in why or "there is" in why or "here" in why for why in refused), refused
    matching = sum(each.outcome.what == "match" for each in found)
    assert matching >= least * len(found)


def test_every_norm_class_of_transformers():
    """Each is known, and is the same here or refused with the reason."""
    pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    pytest.importorskip("transformers", reason="needs transformers: pip install transformers")
    outcomes = dict(zooclasses.survey())
    wrong = {name: each for name, each in outcomes.items() if each.what == "differs"}
    assert not wrong
    matching = sum(each.what == "match" for each in outcomes.values())
    assert matching >= 0.85 * len(outcomes)  # another version may have classes that are in no table
    assert len(outcomes) > 100


def test_a_norm_that_computes_something_else_is_seen():
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    for made, message in (
        (lambda: _doubled(torch)(8), "y differs in training"),
        (lambda: _other_gradient(torch)(8), "dx differs in training"),
    ):
        outcome = zoo.compared(zoo.with_values(made()))
        assert (outcome.what, outcome.why) == ("differs", message)
    assert zoo.compared(zoo.with_values(torch.nn.BatchNorm2d(8, momentum=0.3))).what == "match"


def _doubled(torch):
    class LayerNorm(torch.nn.LayerNorm):
        def forward(self, x):
            return 2 * super().forward(x)

    return LayerNorm


def _other_gradient(torch):
    class LayerNorm(torch.nn.LayerNorm):
        def forward(self, x):
            return super().forward(x.detach() + 0.5 * (x - x.detach()))

    return LayerNorm
