"""State of trees and of other libraries, and files of it."""

from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest

import cybn
from cybn.tools import saving

ONE, TWO = np.float32([1, 1]), np.float32([2, 2])


def one_array_under_two_names(given):
    layer = cybn.RMSNorm(2)
    yield lambda: layer.load_state_dict({"gamma": ONE, "scale": TWO}, dialect="keras")
    yield lambda: layer.load_state_dict({"scale": TWO}, dialect="keras")


def two_names_that_are_one(given):
    layer = cybn.RMSNorm(2)
    state = {"n/gamma": ONE, "n.gamma": TWO}
    yield lambda: layer.load_state_dict(state, prefix="n.", dialect="keras")
    del state["n.gamma"]
    yield lambda: layer.load_state_dict(state, prefix="n.", dialect="keras")


def a_layer_in_two_places(given):
    norm = cybn.RMSNorm(2)
    tree = {"a": norm, "b": norm}
    yield lambda: cybn.load_state_dict(tree, {"a.weight": ONE, "b.weight": TWO})
    yield lambda: cybn.load_state_dict(tree, {"a.weight": ONE, "b.weight": ONE})
    yield lambda: cybn.load_state_dict(tree, {"a.weight": ONE}, strict=False)


def two_layers_of_one_name(given):
    yield lambda: cybn.state_dict({"a": [cybn.RMSNorm(2)], "a.0": cybn.RMSNorm(2)})
    yield lambda: cybn.state_dict({"a": [cybn.RMSNorm(2)], "b": cybn.RMSNorm(2)})


def a_state_dict_in_a_checkpoint(given):
    layer = cybn.RMSNorm(2)
    state = {"state_dict": {"weight": TWO}}
    yield lambda: layer.load_state_dict(state)
    yield lambda: layer.load_state_dict(state["state_dict"])


def a_pickle(given):
    yield lambda: cybn.load(given.folder / "model.pt")
    pytest.importorskip("safetensors", reason='needs safetensors: pip install ".[safetensors]"')
    from safetensors.numpy import save_file

    save_file({"weight": ONE}, given.folder / "model.safetensors")
    yield lambda: cybn.load(given.folder / "model.safetensors")


def a_file_of_keras(given):
    yield lambda: cybn.load(given.folder / "model.h5")
    model = SimpleNamespace(weights=[SimpleNamespace(path="n/gamma", value=ONE)])
    state = {v.path: v for v in model.weights}
    yield lambda: cybn.RMSNorm(2).load_state_dict(state, prefix="n/", dialect="keras")


def a_file_of_flax(given):
    yield lambda: cybn.load(given.folder / "model.msgpack")
    restored = {"params": {"n": {"scale": ONE}}}
    yield lambda: cybn.RMSNorm(2).load_state_dict(restored, prefix="n.", dialect="flax")


def one_array_in_a_file(given):
    path = given.folder / "weight.npy"
    np.save(path, ONE)
    yield lambda: cybn.load(path)
    yield lambda: cybn.RMSNorm(2).load_state_dict({"weight": np.load(path)})


def bfloat16_in_an_npz(given):
    state = {"weight": np.ones(2, ml_dtypes.bfloat16)}
    yield lambda: cybn.save(given.folder / "a.npz", state)
    yield lambda: cybn.save(
        given.folder / "a.npz", {name: a.astype(np.float32) for name, a in state.items()}
    )
    pytest.importorskip("safetensors", reason='needs safetensors: pip install ".[safetensors]"')
    yield lambda: cybn.save(given.folder / "a.safetensors", state)


def a_name_that_is_too_long_for_an_npz(given):
    yield lambda: cybn.save(given.folder / "a.npz", {"a" * 70_000: ONE})
    pytest.importorskip("safetensors", reason='needs safetensors: pip install ".[safetensors]"')
    yield lambda: cybn.save(given.folder / "a.safetensors", {"a" * 70_000: ONE})


def texts_in_an_npz(given):
    path = given.folder / "a.npz"
    np.savez(path, names=np.array(["weight"]), weight=ONE)
    yield lambda: cybn.load(path)
    yield lambda: cybn.load(path, only=["weight"])


def a_page_that_unpacks_to_more(given):
    given.monkeypatch.setattr(saving, "UNPACKED", 1000)
    path, arrays = given.folder / "a.npz", {"large": np.zeros(9000), "weight": ONE}
    np.savez_compressed(path, **arrays)
    yield lambda: cybn.load(path)
    yield lambda: cybn.load(path, only=["weight"])
    np.savez(path, **arrays)
    yield lambda: cybn.load(path)
