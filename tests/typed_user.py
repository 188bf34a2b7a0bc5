"""What a user's project may write, for type checkers: see test_typing.py. It runs, too."""

import tempfile
from pathlib import Path
from typing import Any, NamedTuple, assert_type

import numpy as np
from numpy.typing import NDArray

import cybn
from cybn import functional, reference
from cybn.dialects import As, Dialect, Norm

mine = Dialect("typed", "typed", ("https://example.org",), (Norm(("n",), "LayerNorm", {}),))
words = {"epsilon": As("eps", default=1e-3)}


@cybn.register("TypedUserNorm", aliases=("TUN",), force=True)
class UserNorm(cybn.Layer):
    """A layer of one's own: annotated, and one input more than the base's."""

    class Saved(NamedTuple):
        x: np.ndarray
        weight: np.ndarray

    def __init__(self, num_features: int, scale: float = 2.0) -> None:
        self.register_parameter("weight", np.full(num_features, scale, np.float32))

    def apply(
        self, x: np.ndarray, *, out: np.ndarray | None = None, mask: np.ndarray | None = None
    ) -> tuple[np.ndarray, Saved]:
        x = self.begin(x, out, ndim=2, channels=self.num_features)
        y: np.ndarray = np.multiply(x, self.weight, out=out)
        return y if mask is None else y * mask, self.Saved(x, self.weight.copy())

    def pullback(
        self, saved: Saved, dy: np.ndarray, *, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        dy = self.resume(saved, dy, out)
        dx: np.ndarray = np.multiply(dy, saved.weight, out=out)
        return dx, self.gradients(weight=(dy * saved.x).sum(0))


def build(norm: dict[str, Any] | str | None, width: int) -> cybn.Layer | None:
    """One norm config for a network, or none."""
    return cybn.create(norm, num_features=width)


def train(layer: cybn.Layer, x: np.ndarray) -> np.ndarray:
    y = layer(x)
    dx = layer.backward(y, out=np.empty_like(y))
    for name, parameter in layer.named_parameters():
        parameter -= 0.1 * layer.grads[name]
    assert_type(layer.training, bool)
    assert_type(layer.get_config(), dict[str, Any])
    layer.load_state_dict(layer.state_dict())
    return dx


def main() -> None:
    x = np.ones((8, 4), np.float32)
    assert_type(cybn.create(UserNorm, num_features=4), UserNorm)
    assert_type(cybn.create(None), None)
    assert_type(cybn.create("TypedUserNorm", num_features=4), cybn.Layer)
    assert_type(cybn.create({"type": "TUN"}, num_features=4), cybn.Layer)
    assert_type(cybn.create("BN1d", num_features=4).eval(), cybn.BatchNorm1d)
    assert_type(UserNorm(4).train(False), UserNorm)
    layer = build("TUN", 4)
    if layer is not None:
        train(layer, x)

    norm = cybn.create("BatchNorm2d", num_features=4, eps=1e-3, activation="relu")
    assert_type(norm.eps, float)
    assert_type(norm.momentum, float | None)
    assert_type(norm.weight, NDArray[Any] | None)
    assert_type(cybn.RMSNorm(4).normalized_shape, tuple[int, ...])
    assert_type(cybn.FrozenBatchNorm2d(4).weight, NDArray[Any])
    assert norm.weight is not None
    norm.weight[...] = 2
    norm.activation = None
    cybn.create("LN", normalized_shape=(2, 3), dtype=np.float64).eval()

    state = cybn.state_dict({"stem": norm, "rest": [None]}, prefix="net.")
    assert_type(state, dict[str, np.ndarray])
    keys = cybn.load_state_dict({"stem": norm}, state, prefix="net.", strict=False)
    assert_type(keys.missing_keys, list[str])
    norm.load_state_dict(state, prefix="net.stem.", dialect="torch")
    with tempfile.TemporaryDirectory() as folder:
        cybn.save(Path(folder, "a.npz"), norm)
        norm.load_state_dict(cybn.load(f"{folder}/a.npz", only=norm.state_dict()))

    names: list[str] = cybn.available()
    for name in names:
        options: dict[str, Any] = cybn.describe(name)["options"]
        assert options.keys() <= cybn.schema(name)["properties"].keys()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "net.json")
        path.write_text("[null]")
        cybn.load_config(path)
        cybn.load_config(path, section="[0]", dialect="timm", num_features=4)
    cybn.build([{"type": "BN1d"}, None], num_features=4)
    assert_type(cybn.create("layer_norm", dialect="timm", num_features=4), cybn.Layer | None)
    cybn.dialects.register(mine)
    assert_type(cybn.create("n", dialect=mine, num_features=4), cybn.Layer | None)
    try:
        cybn.create("no such layer")
    except cybn.UnknownOption:
        raise
    except cybn.UnknownName as error:
        print(error)

    threads = cybn.get_num_threads()
    cybn.set_num_threads(threads)
    cybn.set_output_cache(1 << 20)
    released: int = cybn.release_output_cache()
    config = cybn.show_config("dict")
    print(config and config["version"], cybn.__version__.upper(), released)

    y, stats = functional.batch_norm_forward(x)
    dx, dweight, dbias = functional.batch_norm_backward(y, x, stats)
    cybn.functional.batch_norm(x, stats[0], stats[1], training=False)
    print(reference.moments(x[:, :, None]), dx.shape, dweight.shape, dbias.shape)


if __name__ == "__main__":
    main()
