"""Config files that are made to cost: each is read in a process that has little to spend.

The limits on memory and processor time stand for a bound on work. They are far above what a file of
the greatest size needs, and far below what these files would take.
"""

import json
import os
import socket
import subprocess
import sys

import pytest

from cybn.config import budget
from cybn.config.build import check_config, load_config
from cybn.config.files import MAX_BYTES, parse_config, read_config

resource = pytest.importorskip("resource", reason="limits of a process are a matter of POSIX")

M = MAX_BYTES
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (120, 120))
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
from cybn.config.build import load_config
try:
    print(type(load_config(sys.argv[1])).__name__)
except ValueError as error:
    print(str(error).removeprefix(sys.argv[1] + ": "))
"""
QUOTES = {'"': '\\"', "'": "'"}
COLLIDING = ", ".join(f"{k * (2**61 - 1)}: 1" for k in range(1, 40_000))[: M - 100]

FILES = {
    "a long dotted key": ("a.toml", "a." * 30_000 + "a = 1", "a key has more than 32 parts"),
    "a long dotted header": ("a.toml", "[" + "a." * 30_000 + "a]", "a key has more than 32 parts"),
    "with spaces": ("a.toml", "a . " * 30_000 + "a = 1", "a key has more than 32 parts"),
    "with quotes": ("a.toml", "'a'.\"b\"." * 30_000 + "a = 1", "a key has more than 32 parts"),
    "in a table": ("a.toml", "x = {" + "a." * 30_000 + "a = 1}", "a key has more than 32 parts"),
    "many long keys": (
        "a.toml",
        "".join("a." * 31 + f"b{i} = 1\n" for i in range(13_000)),
        "expected a layer, which is a name",
    ),
    "escaped quotes": ("a.toml", 'a = "' + '\\"' * (M // 2 - 9), "not valid TOML: "),
    "more of them": ("a.toml", 'a = """' + '\\"""' * (M // 4 - 9), "not valid TOML: "),
    "a TOML number": ("a.toml", "a = 0x" + "f" * (M - 9), "a word or number has more than 1,000"),
    "a JSON number": ("a.json", "9" * M, "a number has more than 1,000 characters"),
    "a YAML number": ("a.yaml", "a: " + "9" * (M - 9), "a number has more than 1,000 characters"),
    "a YAML hex number": ("a.yaml", "0x" + "f" * (M - 9), "a number has more than 1,000"),
    "a YAML float": ("a.yaml", "1." + "1" * (M - 9), "a number has more than 1,000"),
    "to the base of sixty": ("a.yaml", "1" + ":10" * (M // 3 - 9), "a number has more than 1,000"),
    "the same by its tag": ("a.yaml", f'!!int "1{":10" * (M // 3 - 9)}"', "a number has more than"),
    "a float of base sixty": ("a.yaml", f"1{':10' * (M // 3 - 9)}.5", "a number has more than"),
    "no number after all": ("a.yaml", "- " + "1" * (M - 9) + "x", "[0]: unknown layer '1111"),
    "numbers with one hash": ("a.yaml", "{" + COLLIDING + "}", "more than 1,000 keys of a table"),
    "many plain tables": ("a.yaml", "- a: 1\n" * 140_000, "[0].a: expected a layer"),
    "deep": ("a.yaml", "- " * (M // 2 - 9), "nested too deeply"),
    "deep in TOML": ("a.toml", "a={" * (M // 3 - 9), "nested too deeply"),
    "deep in JSON": ("a.json", '{"a":' * (M // 5 - 9), "nested too deeply"),
    "billions of values": (
        "a.yaml",
        "a0: &a0 []\n" + "\n".join(f"a{i + 1}: &a{i + 1} [{f'*a{i}, ' * 9}]" for i in range(29)),
        "aliases spell more than 1,000,000 values",
    ),
    "billions of values in an option": (
        "a.yaml",
        "type: Normalize\nmean:\n  - &a0 [1]\n"
        + "\n".join(f"  - &a{i + 1} [{f'*a{i}, ' * 9}]" for i in range(29)),
        "aliases spell more than 1,000,000 values",
    ),
}


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_text(content, "utf-8")
        return path

    return write


@pytest.mark.parametrize("what", FILES)
def test_reading_a_file_is_bounded(write, what):
    name, content, message = FILES[what]
    if name.endswith("yaml"):
        pytest.importorskip("yaml")
    assert len(content) <= M
    path = write(name, content)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
    )
    assert message in done.stdout, (done.stdout[-500:], done.stderr[-500:])
    assert len(done.stdout) < 3000
    assert "\n" not in done.stdout.strip()


@pytest.mark.parametrize(
    "key", ["a." * 31 + "a", "'a.b' . \"c.d\"", ".".join(['"\\"."'] * 32), "x." * 31 + "'.'"]
)
def test_a_key_of_32_parts_is_read(write, key):
    tree = read_config(write("a.toml", f"{key} = [1.5, 2.5]  # a.b.c\n"))
    while isinstance(tree, dict):
        ((_, tree),) = tree.items()
    assert tree == [1.5, 2.5]


@pytest.mark.parametrize(
    "text",
    [
        "x = [" + "1.5, " * 100 + "]",
        "x = '" + "a." * 100 + "'",
        'x = "' + "a." * 100 + '\\"' + "a." * 100 + '"',
        "x = '''\n" + "a." * 100 + "''\n" + "a." * 100 + "'''",
        'x = """\n' + "a." * 100 + '\\"""' + "a." * 100 + '"""',
        "# " + "a." * 100 + "\nx = 1",
        "# it's\nx = 1  # don't " + "a." * 100,
        "x = [\n" + "'a.b.c',\n" * 100 + "]",
        "x = 1979-05-27T00:32:00.999999Z\n",
    ],
)
def test_dots_that_are_in_no_key_are_not_counted(write, text):
    assert list(read_config(write("a.toml", text))) == ["x"]


@pytest.mark.parametrize("suffix", ["toml", "json", "yaml"])
def test_numbers_of_1000_characters_are_read(write, suffix):
    if suffix == "yaml":
        pytest.importorskip("yaml")
    digits = "1" * 1000
    assert parse_config(f'{{"a": {digits}}}'.encode(), "x", "json") == {"a": int(digits)}
    text = {"toml": "a = {}", "json": '{{"a": {}}}', "yaml": "a: {}"}[suffix].format(digits)
    assert read_config(write(f"a.{suffix}", text)) == {"a": int(digits)}


def test_json_has_no_infinity_however_it_is_spelt(write):
    with pytest.raises(ValueError, match="not valid JSON: '1e400' is more than a float can hold"):
        read_config(write("a.json", '{"a": 1e400}'))


def test_140000_plain_tables_are_read(write):
    pytest.importorskip("yaml")
    tables = read_config(write("a.yaml", "- a: 1\n" * 140_000))
    assert len(tables) == 140_000
    assert tables[0] == tables[-1] == {"a": 1}


# What a file may ask for

ASKING = [
    {"type": "BatchNorm1d", "num_features": 10**8},
    {"type": "BatchNorm1d", "num_features": 10**12},
    {"type": "BatchNorm1d", "num_features": 10**30},
    {"type": "GhostBatchNorm1d", "num_features": 10**8},
    {"type": "LazyBatchNorm1d", "num_features": 10**8},
    {"type": "LazyInstanceNorm1d", "num_features": 10**8},
    {"type": "SplitBatchNorm1d", "num_features": 4, "num_splits": 10**8},
    {"type": "SplitBatchNorm1d", "num_features": 4096, "num_splits": 60_000},
    {"type": "DomainSpecificBatchNorm1d", "num_features": 4, "num_domains": 10**8},
    {"type": "DomainSpecificBatchNorm1d", "num_features": 4096, "num_domains": 60_000},
    {"type": "ConditionalBatchNorm1d", "num_features": 1, "num_classes": 10**9},
    {"type": "ConditionalBatchNorm1d", "num_features": 10**5, "num_classes": 10**5},
    {"type": "LayerNorm", "normalized_shape": 10**9},
    {"type": "LayerNorm", "num_features": 10**9},
    {"type": "LayerNorm", "normalized_shape": [10_000, 10_000]},
    {"type": "RMSNorm", "normalized_shape": [2**16, 2**16, 2**16]},
    {"type": "GroupNorm", "num_groups": 1, "num_channels": 10**9},
    {"type": "IterNorm", "num_features": 10**5},
    {"type": "IterNorm", "num_features": 10**9},
    {"type": "Normalize", "num_features": 10**9},
    {"type": "WeightStandardization", "out_channels": 10**9},
]


@pytest.mark.parametrize("suffix", ["toml", "json"])
@pytest.mark.parametrize("asking", ASKING, ids=str)
def test_a_layer_that_is_too_large_is_refused_before_it_is_built(
    write, asking, suffix, monkeypatch
):
    from cybn.layers.base.layer import Layer

    monkeypatch.setattr(Layer, "_declare", None)  # nothing can be built now
    pairs = [f'"{key}" = {value!r}' for key, value in asking.items()]
    json_text = str(asking).replace("'", '"')
    path = write(f"a.{suffix}", json_text if suffix == "json" else "\n".join(pairs))
    (checked,) = check_config(path)
    assert isinstance(checked.error, ValueError)
    message = str(checked.error)
    assert "is too much for a config file" in message or "must be an int >= " in message
    with pytest.raises(ValueError, match=asking["type"]):
        load_config(path)


def test_every_layer_with_a_width_is_bounded(write):
    from cybn.config.build import describe
    from cybn.terms.registry import registry

    for name in registry.builtins():
        options = describe(name)["options"]
        required = {key: 4 for key, each in options.items() if each["required"]}
        if registry.find(name).num_features_option is None:
            continue
        spec = {"type": name, **required}
        spec.pop(registry.find(name).num_features_option, None)
        with pytest.raises(ValueError, match="is too much for a config file"):
            load_config(write("a.json", json.dumps({**spec, "num_features": 2**30})))
        path = write("a.json", json.dumps({**spec, "num_features": 4096}))
        assert load_config(path) is not None


def test_the_layers_of_a_file_are_bounded_together(write):
    each = '{"type": "BN1d", "num_features": 1000000}'
    report = check_config(write("a.json", f"[{', '.join([each] * 40)}]"))
    built = [entry for entry in report if entry.error is None]
    assert len(built) == budget.MAX_VALUES // 1_000_000
    assert str(report[-1].error) == (
        "BatchNorm1d: num_features=1000000 is too much for a config file, whose layers may have "
        "33,554,432 values together; build it with cybn.create"
    )


# What is no file


def test_what_is_no_file_is_not_opened(tmp_path):
    pipe, folder, unix = tmp_path / "a.toml", tmp_path / "b.toml", tmp_path / "c.toml"
    os.mkfifo(pipe)
    folder.mkdir()
    links = {tmp_path / "d.toml": "/dev/zero", tmp_path / "e.toml": pipe}
    for link, target in links.items():
        link.symlink_to(target)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(unix))
        for path in (pipe, folder, unix, *links):
            with pytest.raises(ValueError, match="a config is a file, and this is none"):
                load_config(path)


def test_a_pipe_that_takes_the_place_of_a_file_is_refused(tmp_path, monkeypatch):
    pipe = tmp_path / "a.toml"
    os.mkfifo(pipe)
    monkeypatch.setattr(os.path, "isfile", lambda path: True)  # as it was a moment ago
    with pytest.raises(ValueError, match="a config is a file, and this is none"):
        load_config(pipe)


def test_paths_of_bytes_and_empty_ones(write):
    path = write("a.json", "null")
    assert load_config(os.fsencode(path)) is None
    with pytest.raises(FileNotFoundError):
        load_config("")
    with pytest.raises(ValueError, match=r"''|null"):
        load_config("a\0.toml")
