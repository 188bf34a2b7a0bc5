"""State of other libraries: their tensors, their names, their trees of names."""

import ml_dtypes
import numpy as np
import pytest
from runs import state_bits

import cybn
from cybn.config.dialects.shelf import find

F32 = np.float32
BF16 = ml_dtypes.bfloat16


class Array:
    """An array of another library, as JAX and TensorFlow have them."""

    def __init__(self, a):
        self.a = np.asarray(a)
        self.shape = self.a.shape

    def __array__(self, dtype=None, copy=None):
        return self.a if dtype is None else self.a.astype(dtype)


class Variable:
    """What holds an array as `value`, as in Flax."""

    def __init__(self, a):
        self.value = Array(a)
        self.shape = self.value.shape


@pytest.mark.parametrize("kind", [np.asarray, list, Array, Variable])
@pytest.mark.parametrize("dtype", [np.float16, F32, np.float64, BF16])
def test_arrays_of_any_library(kind, dtype):
    layer = cybn.LayerNorm(2)
    values = np.array([0.5, 3], dtype)
    if kind is list and dtype is BF16:
        values = values.astype(F32)  # a list of its scalars is one of Python objects to NumPy
    assert layer.load_state_dict({"weight": kind(values), "bias": kind(-values)}) == ([], [])
    assert (layer.weight.tolist(), layer.bias.tolist()) == ([0.5, 3], [-0.5, -3])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_tensors_of_pytorch_as_they_are(dtype):
    """Parameters that require grad, views, and every float that there is."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    module = torch.nn.BatchNorm1d(3).to(getattr(torch, dtype))
    with torch.no_grad():
        module.weight.copy_(torch.tensor([1 / 3, 2, 3]))
    layer = cybn.BatchNorm1d(3)
    state = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    assert state["weight"].requires_grad
    assert layer.load_state_dict(state) == ([], [])
    assert layer.weight.tolist() == module.weight.detach().float().tolist()
    norm = cybn.RMSNorm(3)
    norm.load_state_dict({"weight": torch.arange(6, dtype=getattr(torch, dtype)).view(3, 2)[:, 0]})
    assert norm.weight.tolist() == [0, 2, 4]
    before = state_bits(norm)
    with pytest.raises(
        TypeError, match=r"RMSNorm: weight takes an array .* this Tensor gives none"
    ):
        norm.load_state_dict({"weight": torch.empty(3, device="meta")})
    with pytest.raises(TypeError, match="must hold floats"):
        norm.load_state_dict({"weight": torch.ones(3, dtype=torch.int64)})
    assert state_bits(norm) == before


def test_layers_take_no_torch_into_the_process():
    """What has `detach` is asked for its values: nothing is imported to know what it is."""

    class Tensor:
        requires_grad = True

        def __init__(self, a, dtype="float32"):
            self.a, self.dtype, self.shape = np.asarray(a, F32), dtype, np.shape(a)

        def detach(self):
            return self

        cpu = detach

        def float(self):
            return Tensor(self.a)

        def numpy(self):
            if self.dtype == "bfloat16":
                raise TypeError("Got unsupported ScalarType BFloat16")
            return self.a

    layer = cybn.RMSNorm(2)
    layer.load_state_dict({"weight": Tensor([2, 3], "bfloat16")})
    assert layer.weight.tolist() == [2, 3]


BN, LN, RMS = {"type": "BN2d"}, {"type": "LN"}, {"type": "RMSNorm"}
FULL = {"weight": 2.0, "bias": 3.0, "running_mean": 4.0, "running_var": 5.0}

#: dialect, layer, its state there (a value fills an array), and what it is here
THEIRS = [
    ("keras", BN, {"gamma": 2, "beta": 3, "moving_mean": 4, "moving_variance": 5}, FULL),
    ("keras", BN, {"bn/gamma:0": 2, "bn/beta:0": 3, "bn/moving_mean:0": 4,
                   "bn/moving_variance:0": 5}, FULL),
    ("keras", LN, {"m/ln/gamma": 2, "m/ln/beta": 3}, {"weight": 2.0, "bias": 3.0}),
    ("keras", LN, {"ln/gamma/.ATTRIBUTES/VARIABLE_VALUE": 2,
                   "ln/beta/.ATTRIBUTES/VARIABLE_VALUE": 3}, {"weight": 2.0, "bias": 3.0}),
    ("keras", RMS, {"rms/scale": 2}, {"weight": 2.0}),
    ("flax", BN, {"scale": 2, "bias": 3, "mean": 4, "var": 5}, FULL),
    ("flax", BN, {"params": {"scale": 2, "bias": 3}, "batch_stats": {"mean": 4, "var": 5}}, FULL),
    ("flax", BN, {"params": {"a": {"BatchNorm_0": {"scale": 2, "bias": 3}}},
                  "batch_stats": {"a": {"BatchNorm_0": {"mean": 4, "var": 5}}}}, FULL),
    ("flax", BN, {("params", "b", "scale"): 2, ("params", "b", "bias"): 3,
                  ("batch_stats", "b", "mean"): 4, ("batch_stats", "b", "var"): 5}, FULL),
    ("flax", LN, {"params/ln/scale": 2, "params/ln/bias": 3}, {"weight": 2.0, "bias": 3.0}),
    ("flax", RMS, {"scale": 2}, {"weight": 2.0}),
    ("paddle", BN, {"weight": 2, "bias": 3, "_mean": 4, "_variance": 5}, FULL),
    ("paddle", {"type": "IN2d", "affine": True}, {"scale": 2, "bias": 3},
     {"weight": 2.0, "bias": 3.0}),
    ("onnx", BN, {"scale": 2, "B": 3, "input_mean": 4, "input_var": 5}, FULL),
    ("onnx", LN, {"Scale": 2, "B": 3}, {"weight": 2.0, "bias": 3.0}),
    ("hf", LN, {"LayerNorm.gamma": 2, "LayerNorm.beta": 3}, {"weight": 2.0, "bias": 3.0}),
    ("timm", {"type": "EvoNormB0"}, {"weight": 2, "bias": 3, "v": 4, "running_var": 5},
     {"weight": 2.0, "bias": 3.0, "v1": 4.0, "running_var": 5.0}),
    ("timm", {"type": "FRN"}, {"weight": 2, "bias": 3, "tau": 4},
     {"weight": 2.0, "bias": 3.0, "tau": 4.0}),
    ("torch", {"type": "RevIN"}, {"affine_weight": 2, "affine_bias": 3},
     {"weight": 2.0, "bias": 3.0}),
    *((name, BN, FULL, FULL)
      for name in ("torch", "mmengine", "detectron2", "monai", "timm", "hf")),
]  # fmt: skip


def in_their_shape(tree, width):
    if isinstance(tree, dict):
        return {key: in_their_shape(each, width) for key, each in tree.items()}
    return np.full(width, tree, F32)


@pytest.mark.parametrize(("dialect", "spec", "theirs", "here"), THEIRS)
def test_names_of_a_library(dialect, spec, theirs, here):
    layer = cybn.create(spec, num_features=4)
    state = in_their_shape(theirs, 4)
    prefix = prefix_of(theirs, dialect)
    assert layer.load_state_dict(state, prefix=prefix, dialect=dialect) == ([], [])
    for name, value in here.items():
        assert (getattr(layer, name) == value).all(), name


def prefix_of(theirs, dialect):
    """What all names of one layer begin with."""
    names = find(dialect).state.spelled(theirs)
    (head,) = {name.rpartition(".")[0] for name in names}
    return head and f"{head}."


def test_a_tree_of_flax_at_once():
    tree = {"Block_0": {"BatchNorm_0": cybn.BatchNorm2d(4)}, "LayerNorm_0": cybn.LayerNorm(4)}
    variables = in_their_shape({
        "params": {"Block_0": {"BatchNorm_0": {"scale": 2, "bias": 3}},
                   "LayerNorm_0": {"scale": 6, "bias": 7}},
        "batch_stats": {"Block_0": {"BatchNorm_0": {"mean": 4, "var": 5}}},
    }, 4)  # fmt: skip
    assert cybn.load_state_dict(tree, variables, dialect="flax") == ([], [])
    assert tree["Block_0"]["BatchNorm_0"].running_var.tolist() == [5] * 4
    assert tree["LayerNorm_0"].weight.tolist() == [6] * 4
    extra = {**variables, "opt_state": {"mu": np.zeros(3)}}
    with pytest.raises(LookupError, match=r"has 'opt_state\.mu', which no layer has"):
        cybn.load_state_dict(tree, extra, dialect="flax")
    assert cybn.load_state_dict(tree, extra, strict=False, dialect="flax").unexpected_keys == [
        "opt_state.mu"
    ]


def test_ibn_net_has_two_layers_for_one():
    """The weights of its instance norm and batch norm are joined; statistics are the latter's."""
    layer = cybn.IBN(4)
    state = {
        "IN.weight": F32([1, 2]), "IN.bias": F32([3, 4]),
        "BN.weight": F32([5, 6]), "BN.bias": F32([7, 8]),
        "BN.running_mean": F32([9, 10]), "BN.running_var": F32([11, 12]),
        "BN.num_batches_tracked": np.array(3),
    }  # fmt: skip
    state = {f"layer1.0.bn1.{name}": a for name, a in state.items()}
    for dialect in ("torch", "timm"):
        assert layer.load_state_dict(state, prefix="layer1.0.bn1.", dialect=dialect) == ([], [])
    assert layer.weight.tolist() == [1, 2, 5, 6]
    assert layer.bias.tolist() == [3, 4, 7, 8]
    assert layer.running_var.tolist() == [11, 12]
    assert layer.num_batches_tracked == 3
    del state["layer1.0.bn1.IN.weight"]
    with pytest.raises(LookupError, match=r"lacks \S+bn1.weight \(\S+IN.weight \+ \S+BN.weight or"):
        layer.load_state_dict(state, prefix="layer1.0.bn1.", dialect="torch")


def test_axes_of_one_item_do_not_matter_to_a_dialect():
    """As in the global response norm of ConvNeXt V2, (1, 1, 1, C), and RevIN, (1, 1, C)."""
    layer = cybn.GlobalResponseNorm(3)
    state = {"weight": F32([[[[1, 2, 3]]]]), "bias": F32([4, 5, 6]).reshape(1, 3, 1, 1)}
    assert layer.load_state_dict(state, dialect="hf") == ([], [])
    assert layer.bias.tolist() == [4, 5, 6]
    with pytest.raises(ValueError, match=r"weight must have shape \(3,\), got \(1, 1, 1, 3\)"):
        layer.load_state_dict(state)
    with pytest.raises(ValueError, match=r"weight must have shape \(3,\), got \(1, 2\)"):
        layer.load_state_dict({**state, "weight": F32([[1, 2]])}, dialect="hf")


def test_what_is_there_twice_is_refused():
    layer = cybn.LayerNorm(2)
    state = {"gamma": F32([1, 2]), "weight": F32([3, 4]), "beta": F32([0, 0])}
    with pytest.raises(LookupError, match="weight is there as 'weight' and 'gamma'; drop all but"):
        layer.load_state_dict(state, dialect="keras")
    with pytest.raises(ValueError, match=r"'a/gamma' and 'a.gamma' are one name, 'a.gamma'; drop"):
        layer.load_state_dict({"a/gamma": F32([1]), "a.gamma": F32([1])}, dialect="keras")


def test_the_key_is_named_as_it_stands_there():
    layer = cybn.BatchNorm2d(2)
    state = in_their_shape(
        {"n/gamma": 2, "n/beta": 3, "n/moving_mean": 4, "n/moving_variance": 5}, 2
    )
    before = state_bits(layer)
    for key, value, message in (
        ("n/gamma", F32([1]), r"weight \('n/gamma'\) must have shape \(2,\), got \(1,\)"),
        ("n/moving_variance", F32([1, -1]), r"running_var \('n/moving_variance'\) must be >= 0"),
        ("n/beta", np.ones(2, int), r"bias \('n/beta'\) must hold floats .* state\['n/beta'\].ast"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            layer.load_state_dict({**state, key: value}, prefix="n/", dialect="keras")
    del state["n/gamma"]
    with pytest.raises(LookupError, match=r"lacks n.weight \(n.gamma or n.scale there\)"):
        layer.load_state_dict({**state, "n/gama": F32([1, 2])}, prefix="n/", dialect="keras")
    assert state_bits(layer) == before
    full = {**state, "n/gamma": F32([1, 2])}
    with pytest.raises(LookupError, match=r"have a prefix, 'n.'; pass prefix='n.'"):
        layer.load_state_dict(full, dialect="keras")
    assert layer.load_state_dict(full, prefix="n.", dialect="keras") == ([], [])


def test_a_dialect_of_ones_own():
    from cybn.dialects import Dialect, Norm, StateNames

    names = StateNames({"weight": ("g",)}, {"RMSNorm": {"weight": ("left + right",)}})
    own = Dialect("own", "own", ("https://example.org",), (Norm(("n",), "RMSNorm"),), state=names)
    layer = cybn.RMSNorm(3)
    layer.load_state_dict({"g": F32([1, 2, 3])}, dialect=own)
    layer.load_state_dict({"left": F32([4]), "right": F32([5, 6])}, dialect=own)
    assert layer.weight.tolist() == [4, 5, 6]
    with pytest.raises(ValueError, match="unknown dialect 'kears'; did you mean 'keras'"):
        layer.load_state_dict({}, dialect="kears")
    bare = Dialect("bare", "bare", ("https://example.org",), (Norm(("n",), "RMSNorm"),))
    layer.load_state_dict({"a": {"weight": F32([1, 2, 3])}}, prefix="a.", dialect=bare)
    assert layer.weight.tolist() == [1, 2, 3]


def test_a_library_itself():
    """Keras and Flax, where they are installed: their own objects, not a likeness of them."""
    nnx = pytest.importorskip("flax.nnx", reason="needs Flax: pip install flax")
    module = nnx.BatchNorm(3, rngs=nnx.Rngs(0))
    layer = cybn.create("BatchNorm", dialect="flax", num_features=3)
    assert layer.load_state_dict(nnx.state(module), dialect="flax") == ([], [])
