"""State files from anywhere: cut off, damaged, or made to do harm. One clear error, soon."""

import io
import os
import pickle
import struct
import sys
import zipfile
from contextlib import suppress

import numpy as np
import pytest

import cybn
from cybn.tools import saving

F32 = np.float32
STATE = {"bn.weight": np.arange(64, dtype=F32), "bn.bias": np.ones(3)}


@pytest.fixture(params=["npz", "safetensors"])
def path(request, tmp_path):
    if request.param == "safetensors":
        pytest.importorskip("safetensors", reason='needs safetensors: pip install ".[safetensors]"')
    return tmp_path / f"state.{request.param}"


def refused(path, message=""):
    expected = rf"{path.name}: not a sound {path.suffix} file: .*{message}"
    with pytest.raises(ValueError, match=expected) as it:
        cybn.load(path)
    text = str(it.value)
    assert "\n" not in text
    assert len(text) < 400 + len(str(path))


def test_a_file_that_is_cut_off_anywhere(path):
    cybn.save(path, STATE)
    whole = path.read_bytes()
    for size in {0, 1, 7, 8, 9, 50, len(whole) // 2, len(whole) - 1}:
        path.write_bytes(whole[:size])
        refused(path)


def test_a_file_with_a_byte_changed(path):
    """It is refused, or read as it is where nothing can tell: never another error."""
    cybn.save(path, STATE)
    whole = path.read_bytes()
    for at in np.random.default_rng(0).integers(0, len(whole), 300):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        with suppress(ValueError):
            assert all(isinstance(a, np.ndarray) for a in cybn.load(path).values())


def test_the_values_of_an_npz_are_compared_with_their_sum(tmp_path):
    path = tmp_path / "a.npz"
    cybn.save(path, STATE)
    data = bytearray(path.read_bytes())
    at = data.index(np.arange(1, 3, dtype=F32).tobytes())
    data[at] ^= 1
    path.write_bytes(data)
    refused(path, "CRC")


def member(name, data):
    """An .npz with one member."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, data)
    return file.getvalue()


def npy(header, body=b"", version=b"\x01\x00"):
    header = header.encode() + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header + body


class Evil:
    """What would be run if anything were unpickled."""

    def __reduce__(self):
        return (os.mkdir, ("pickles-were-run",))


def objects():
    file = io.BytesIO()
    np.lib.format.write_array(file, np.array([Evil()]), allow_pickle=True)
    return file.getvalue()


SHAPE = "{{'descr': '{}', 'fortran_order': False, 'shape': {}}}"
NPZ = {
    "objects": (member("a.npy", objects()), "'a.npy' has Python objects, not numbers"),
    "a pickle": (pickle.dumps(Evil()), "not a zip file"),
    "a pickle in it": (member("a.npy", pickle.dumps(Evil())), "magic string"),
    "terabytes": (member("a.npy", npy(SHAPE.format("<f4", (10**12,)))), "not the bytes of its sh"),
    "negative": (member("a.npy", npy(SHAPE.format("<f4", (-1,)))), "not the bytes of its shape"),
    "overflow": (member("a.npy", npy(SHAPE.format("<f4", (2**62, 4, 0)), b"x")), "not the bytes"),
    "text": (member("a.npy", npy(SHAPE.format("<U1", (1,)), b"abcd")), "is of <U1, not numbers"),
    "nothing, often": (member("a.npy", npy(SHAPE.format("<U0", (10**12,)))), "not numbers"),
    "dates": (member("a.npy", npy(SHAPE.format("<M8[s]", (1,)), b"abcdabcd")), "not numbers"),
    "voids": (member("a.npy", npy(SHAPE.format("|V4", (1,)), b"abcd")), "leave it out with only="),
    "fewer bytes": (member("a.npy", npy(SHAPE.format("<f4", (2,)), b"abcd")), "not the bytes"),
    "more bytes": (member("a.npy", npy(SHAPE.format("<f4", (0,)), b"abcd")), "not the bytes"),
    "code": (member("a.npy", npy("__import__('os').mkdir('pickles-were-run')")), "malformed"),
    "no dict": (member("a.npy", npy("[1, 2]")), "dictionary"),
    "dtype": (member("a.npy", npy(SHAPE.format("what", (1,)))), "descr"),
    "long header": (member("a.npy", npy("[" * 20000)), "large"),
    "version": (member("a.npy", npy(SHAPE.format("<f4", (1,)), b"abcd", b"\x07\x00")), "version"),
    "no array": (member("readme.txt", b"hello"), "magic string"),
    "empty": (b"", "not a zip file"),
    "a table": (b"weight,bias\n1,2\n", "not a zip file"),
}


@pytest.mark.parametrize("case", NPZ)
def test_an_npz_from_anywhere(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data, message = NPZ[case]
    path = tmp_path / "a.npz"
    path.write_bytes(data)
    refused(path, message)
    assert [each.name for each in tmp_path.iterdir()] == ["a.npz"]


def test_a_name_that_is_given_twice(tmp_path):
    path = tmp_path / "a.npz"
    data = io.BytesIO()
    np.save(data, F32([1]))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", data.getvalue())
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.npy", data.getvalue())
    refused(path, "the name 'a' is given twice")


def test_a_page_that_unpacks_to_gigabytes(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.zeros(3 << 20, np.uint8), b=F32([1]))
    assert path.stat().st_size < 10_000
    assert len(cybn.load(path)["a"]) == 3 << 20
    monkeypatch.setattr(saving, "UNPACKED", 1 << 20)
    refused(path, "more than 1,048,576 bytes beyond those of the file; read a part with only=")
    assert cybn.load(path, only=["b"])["b"] == 1


def header(text, body=b""):
    return struct.pack("<Q", len(text)) + text.encode() + body


SAFE = {
    "a header of exabytes": struct.pack("<Q", 1 << 60) + b"{}",
    "no JSON": header("{'a'}"),
    "beyond the end": header('{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}', b"abcd"),
    "negative": header('{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', b"abcd"),
    "another size": header('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}', b"abcd"),
    "overflow": header(
        '{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4]}}', b"abcd"
    ),
    "unknown dtype": header('{"a":{"dtype":"PICKLE","shape":[1],"data_offsets":[0,4]}}', b"abcd"),
    "overlap": header(
        '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
        '"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', b"abcd"
    ),
    "a pickle": pickle.dumps(Evil()),
    "a name twice": header(
        '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
        '"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', b"abcd"
    ),
    "a key twice": header(
        '{"a":{"dtype":"F32","dtype":"I32","shape":[1],"data_offsets":[0,4]}}', b"abcd"
    ),
    "deep": header('{"a":' + "[" * 10_000 + "]" * 10_000 + "}"),
    "axes": header('{"a":{"dtype":"F32","shape":[' + "1," * 99 + '1],"data_offsets":[0,4]}}',
                   b"abcd"),
    "a gap": header('{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}', b"abcdabcd"),
    "a tail": header('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', b"abcdabcd"),
}  # fmt: skip


@pytest.mark.parametrize("case", SAFE)
def test_a_safetensors_file_from_anywhere(case, tmp_path):
    pytest.importorskip("safetensors", reason='needs safetensors: pip install ".[safetensors]"')
    path = tmp_path / "a.safetensors"
    path.write_bytes(SAFE[case])
    refused(path)


def test_a_dtype_that_numpy_has_not(tmp_path):
    pytest.importorskip("safetensors", reason='needs safetensors: pip install ".[safetensors]"')
    path = tmp_path / "a.safetensors"
    path.write_bytes(header(
        '{"a":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]},'
        '"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}', b"abcdabcd"
    ))  # fmt: skip
    refused(path, "'a' is F8_E4M3, which NumPy has not; leave it out with only=")
    assert list(cybn.load(path, only=["b"])) == ["b"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
def test_a_pipe_is_not_waited_for(path):
    os.mkfifo(path)
    for call in (cybn.load, lambda at: cybn.save(at, STATE)):
        with pytest.raises(ValueError, match="a file, and this is none"):
            call(path)


@pytest.mark.skipif(sys.platform == "win32", reason="devices of POSIX")
def test_a_device_is_no_file(tmp_path):
    (tmp_path / "a.npz").symlink_to("/dev/zero")
    with pytest.raises(ValueError, match="a file, and this is none"):
        cybn.load(tmp_path / "a.npz")
