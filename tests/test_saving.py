"""Files of state: written and read, .npz and .safetensors, whole or not at all."""

import os
import stat
import subprocess
import sys
import zipfile

import ml_dtypes
import numpy as np
import pytest
from runs import bits, state_bits

import cybn
from cybn.tools import saving

F32 = np.float32
BF16 = ml_dtypes.bfloat16


@pytest.fixture(params=["npz", "safetensors"])
def path(request, tmp_path):
    if request.param == "safetensors":
        needs_safetensors()
    return tmp_path / f"norms.{request.param}"


def needs_safetensors():
    pytest.importorskip("safetensors", reason='needs safetensors: pip install ".[safetensors]"')


def arrays(state):
    return {name: (a.dtype, bits(a)) for name, a in state.items()}


ODD = {  # arrays that do not lie in memory as they are written
    "strided": np.arange(12.0)[::3],
    "fortran": np.asfortranarray(np.arange(6, dtype=F32).reshape(2, 3)),
    "big endian": np.arange(3, dtype=">f4"),
    "no axes": np.array(3),
    "empty": np.empty((0, 3), F32),
    "float16": np.float16([1, np.inf, -0.0]),
    "file": F32([1]),
    "allow_pickle": np.array(True),
    "a.npy": F32([2]),
    "a": F32([3]),
    "µ/ñ.weight": np.uint8([255]),
}


def test_round_trip_of_arrays(path):
    cybn.save(path, ODD)
    state = cybn.load(path)
    assert set(state) == set(ODD)
    for name, a in state.items():
        np.testing.assert_array_equal(a, ODD[name])
        assert a.dtype.newbyteorder("=") == ODD[name].dtype.newbyteorder("=")
        assert a.shape == ODD[name].shape
        a[...] = 0  # it is nobody else's


@pytest.mark.parametrize("training", [True, False])
def test_round_trip_of_layers(path, training):
    """Bit by bit, of one layer, of a tree, and of what np.savez and a state dict are, too."""
    net = {"bn": cybn.BatchNorm1d(4, dtype="float64"), "list": [None, cybn.LayerNorm((2, 3))]}
    net["bn"].train(training)(np.random.default_rng(0).normal(2, 3, (8, 4)))
    other = {"bn": cybn.BatchNorm1d(4, dtype="float64"), "list": [None, cybn.LayerNorm((2, 3))]}
    for what in (net, cybn.state_dict(net)):
        cybn.save(path, what)
        assert cybn.load_state_dict(other, cybn.load(path)) == ([], [])
        assert arrays(cybn.state_dict(other)) == arrays(cybn.state_dict(net))
    cybn.save(str(path), net["bn"])
    assert set(cybn.load(os.fsencode(path))) == set(net["bn"].state_dict())


def test_nothing_to_save(path):
    for nothing in ({}, [], None, [None], {"a": None}):
        cybn.save(path, nothing)
        assert cybn.load(path) == {}


def test_every_layer_comes_back(layer_spec, tmp_path):
    layer = layer_spec.make()
    layer_spec.call(layer, layer_spec.x(np.float32))
    cybn.save(tmp_path / "a.npz", layer)
    other = cybn.create(layer.get_config())
    assert other.load_state_dict(cybn.load(tmp_path / "a.npz")) == ([], [])
    assert state_bits(other)[1:2] == state_bits(layer)[1:2]


def test_numpy_reads_what_is_written_and_the_other_way(tmp_path):
    layer = cybn.BatchNorm1d(3)
    cybn.save(tmp_path / "ours.npz", layer)
    with np.load(tmp_path / "ours.npz", allow_pickle=False) as file:
        assert arrays(dict(file)) == arrays(layer.state_dict())
    np.savez_compressed(tmp_path / "theirs.npz", **layer.state_dict())
    assert arrays(cybn.load(tmp_path / "theirs.npz")) == arrays(layer.state_dict())


def test_only_what_is_wanted(path):
    net = {"bn": cybn.BatchNorm1d(2)}
    cybn.save(path, {**cybn.state_dict(net), "fc.weight": np.ones((3, 3))})
    assert list(cybn.load(path, only=["fc.weight", "no such"])) == ["fc.weight"]
    assert set(cybn.load(path, only=cybn.state_dict(net))) == set(cybn.state_dict(net))
    assert list(cybn.load(path, only=lambda name: name.endswith("_var"))) == ["bn.running_var"]
    assert cybn.load(path, only=()) == {}


def test_bfloat16(tmp_path):
    needs_safetensors()
    values = np.array([1, 1 / 3, -np.inf, 3e38], BF16)
    path = tmp_path / "a.safetensors"
    cybn.save(path, {"weight": values, "bias": values.astype(F32)})
    state = cybn.load(path)
    assert state["weight"].dtype == BF16
    assert bits(state["weight"]) == bits(values)
    layer = cybn.LayerNorm(2)
    layer.load_state_dict({name: a[:2] for name, a in state.items()})
    assert layer.weight.tolist() == values[:2].astype(F32).tolist()
    with pytest.raises(ValueError, match=r"a\.npz: weight is bfloat16, .* save a \.safetensors"):
        cybn.save(tmp_path / "a.npz", state)
    assert not (tmp_path / "a.npz").exists()


def test_bfloat16_without_ml_dtypes(tmp_path):
    """The same values as float32, read in a process that has no ml_dtypes."""
    needs_safetensors()
    path = tmp_path / "a.safetensors"
    values = np.random.default_rng(0).normal(0, 1, (3, 5)).astype(BF16)
    cybn.save(path, {"first": F32([1]), "weight": values, "last": F32([1])})
    code = (
        "import sys; sys.modules['ml_dtypes'] = None\n"
        f"import cybn; a = cybn.load({str(path)!r})['weight']\n"
        "print(a.dtype, a.tolist())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == f"float32 {values.astype(F32).tolist()}", done.stderr


def test_tensors_are_saved_and_files_of_pytorch_are_read(path):
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    module = torch.nn.BatchNorm2d(3)
    cybn.save(path, dict(module.state_dict(keep_vars=True)))
    layer = cybn.BatchNorm2d(3)
    assert layer.load_state_dict(cybn.load(path)) == ([], [])
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file, save_file

        save_file({k: a.bfloat16() for k, a in module.named_parameters()}, path)
        assert cybn.load(path)["weight"].dtype == BF16
        cybn.save(path, layer)
        module.load_state_dict(load_file(path))


# Written whole


def test_a_file_is_replaced_when_the_new_one_is_whole(path, monkeypatch):
    cybn.save(path, {"a": F32([1])})
    before = path.read_bytes()

    def broken(new, where, arrays):
        with open(new, "wb") as file:
            file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(saving._FORMATS, path.suffix, (None, broken))
    with pytest.raises(OSError, match="No space left"):
        cybn.save(path, {"a": F32([2])})
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_it_is_on_the_disk_before_it_is_there(path, monkeypatch):
    steps = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: steps.append("fsync") or fsync(fd))
    monkeypatch.setattr(os, "replace", lambda *a: steps.append("replace") or replace(*a))
    cybn.save(path, {"a": F32([1])})
    assert steps[:2] == ["fsync", "replace"]


@pytest.mark.skipif(sys.platform == "win32", reason="modes and links of POSIX")
def test_modes_and_links_are_kept(path):
    old = os.umask(0o027)
    try:
        cybn.save(path, {"a": F32([1])})
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        link = path.with_name(f"link{path.suffix}")
        link.symlink_to(path)
        cybn.save(link, {"a": F32([2])})
    finally:
        os.umask(old)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
    assert cybn.load(path)["a"] == 2


# What is refused


def test_other_kinds_of_files(tmp_path):
    for name, fix in (
        ("a.pt", "it is a pickle, which runs code when it is read; load it where it is from"),
        ("a.CKPT", "it is a pickle"), ("a.h5", "pass .*v.path: v for v in model.weights"),
        ("a.msgpack", "msgpack_restore"), ("a.npy", "numpy.load"), ("a.json", "'.json'$"),
        ("a", "''$"),
    ):  # fmt: skip
        for call in (lambda at: cybn.save(at, {}), cybn.load):
            with pytest.raises(ValueError, match=rf"{name}: state is in .* file, got .*{fix}"):
                call(tmp_path / name)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        ({"a": np.array([None])}, TypeError, "a must hold numbers, got array"),
        ({"a": np.array(["text"])}, TypeError, "a must hold numbers, got array"),
        ({"a": np.zeros(2, "M8[s]")}, TypeError, "a must hold numbers, got array"),
        ({"a": np.zeros(2, [("x", "f4")])}, TypeError, "a must hold numbers, got array"),
        ({"a": object()}, TypeError, "a must hold numbers, got <object"),
        ({3: F32([1])}, TypeError, "the name of an array is a str, got 3"),
        ({"a\0b": F32([1])}, ValueError, r"'a\\x00b' cannot be the name of an array in a file"),
        ({"a\ud800": F32([1])}, ValueError, "cannot be the name of an array in a file"),
        ({"a": cybn.RMSNorm(2), "b": F32([1])}, TypeError, "state_dict takes layers, .* at 'b'"),
        (3, TypeError, "state_dict takes layers, or lists and dicts of them, got 3"),
        ({"a": np.ma.masked_array([1.0])}, TypeError, "masked array"),
    ],
)
def test_what_cannot_be_saved(path, state, error, message):
    cybn.save(path, {"a": F32([1])})
    before = path.read_bytes()
    with pytest.raises(error, match=message):
        cybn.save(path, state)
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 1


def test_what_one_of_the_formats_cannot_hold(tmp_path):
    needs_safetensors()
    npz, safe = tmp_path / "a.npz", tmp_path / "a.safetensors"
    for holds, lacks, state, message in (
        (npz, safe, {"a": np.zeros(2, complex)}, "a is complex128, which .* save an .npz file"),
        (npz, safe, {"__metadata__": F32([1])}, "'__metadata__' cannot be .* save an .npz file"),
        (safe, npz, {"a" * 65_532: F32([1])}, "more than 65,535 bytes.* save a .safetensors file"),
        (npz, npz.with_name("b.npz"), {"a" * 65_531: F32([1])}, ""),
    ):
        if message:
            with pytest.raises(ValueError, match=message):
                cybn.save(lacks, state)
            assert not lacks.exists()
        cybn.save(holds, state)
        assert arrays(cybn.load(holds)) == arrays(state)
        holds.unlink()


def test_a_name_as_long_as_there_may_be(path):
    long = path.with_name("ä" * 100 + "a" * 30 + path.suffix)
    cybn.save(long, {"a": F32([1])})
    assert [each.name for each in path.parent.iterdir()] == [long.name]


def test_a_file_is_written_over_the_one_that_it_comes_from(path):
    cybn.save(path, {"a": np.arange(10_000.0)})
    state = cybn.load(path)
    cybn.save(path, {**state, "b": F32([np.nan, np.inf])})
    np.testing.assert_array_equal(state["a"], np.arange(10_000.0))
    assert arrays(cybn.load(path)) == arrays({**state, "b": F32([np.nan, np.inf])})


def test_where_nothing_can_be_written(path):
    with pytest.raises(FileNotFoundError) as caught:
        cybn.save(path.parent / "no" / path.name, {})
    assert caught.value.filename == str(path.parent / "no" / path.name)
    path.mkdir()
    with pytest.raises(ValueError, match="state is written to a file, and this is none"):
        cybn.save(path, {})
    with pytest.raises(ValueError, match="state is a file, and this is none"):
        cybn.load(path)
    with pytest.raises(FileNotFoundError):
        cybn.load(path.parent / f"no{path.suffix}")


def test_without_safetensors(tmp_path, monkeypatch):
    for name in ("safetensors", "safetensors.numpy"):
        monkeypatch.setitem(sys.modules, name, None)
    path = tmp_path / "a.safetensors"
    with pytest.raises(ImportError, match=r'needs safetensors: pip install "cybn\[safetensors\]"'):
        cybn.save(path, {})
    assert not any(tmp_path.iterdir())
    path.write_bytes(b"")
    with pytest.raises(ImportError, match="needs safetensors: pip install"):
        cybn.load(path)


def test_state_imports_nothing_else(tmp_path):
    """Neither torch nor safetensors, nor what unpickles, for an .npz."""
    code = (
        f"import sys, cybn; path = {str(tmp_path / 'a.npz')!r}\n"
        "cybn.save(path, cybn.RMSNorm(2)); cybn.load_state_dict(cybn.RMSNorm(2), cybn.load(path))\n"
        "print(sorted({'torch', 'safetensors', 'ml_dtypes'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_a_file_is_a_plain_zip_without_compression(tmp_path):
    cybn.save(tmp_path / "a.npz", cybn.BatchNorm1d(2))
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert archive.testzip() is None
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
