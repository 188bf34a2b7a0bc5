"""Reading config files: three formats, one line per error, and bounds on what a file may cost."""

import sys

import pytest

from cybn.config.files import MAX_BYTES, read_config

PARSED = {
    "stem": {"type": "BN", "eps": 1e-5, "sizes": [1, 2]},
    "größe": {"type": "BN", "affine": True},
}
FILES = {
    "net.toml": """
        "größe" = {type = "BN", affine = true}
        [stem]
        type = "BN"
        eps = 1e-5
        sizes = [1, 2]
    """,
    "net.json": """
        {"stem": {"type": "BN", "eps": 1e-5, "sizes": [1, 2]},
         "größe": {"type": "BN", "affine": true}}
    """,
    "net.yaml": "stem: {type: BN, eps: 1e-5, sizes: [1, 2]}\ngröße: {type: BN, affine: true}\n",
}


@pytest.fixture
def write(tmp_path):
    """Write a file of this name and content; its path."""

    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def message(error, path):
    """The error's message without the path, which it begins with."""
    text = str(error.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text.removeprefix(f"{path}: ")


def need_yaml(name):
    if name.endswith(("yaml", "yml")):
        pytest.importorskip("yaml")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["plain", "bom"])
def test_the_formats_say_the_same(write, name, bom):
    need_yaml(name)
    path = write(name, bom + FILES[name].encode())
    assert read_config(path) == read_config(str(path)) == PARSED


@pytest.mark.parametrize("name", ["net.TOML", "net.Json", "net.yml"])
def test_suffixes(write, name):
    need_yaml(name)
    assert read_config(write(name, "{}" if "ml" not in name.lower() else "")) in ({}, None)


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing\.toml"):
        read_config(tmp_path / "missing.toml")


def test_a_directory(tmp_path):
    with pytest.raises(ValueError, match="is a file") as error:
        read_config(tmp_path)
    assert message(error, tmp_path) == "a config is a file, and this is none"


@pytest.mark.parametrize(
    ("name", "suffix"), [("net.ini", ".ini"), ("net", ""), ("net.toml.bak", ".bak")]
)
def test_an_unknown_suffix(write, name, suffix):
    path = write(name, "")
    with pytest.raises(ValueError, match="ends in") as error:
        read_config(path)
    assert message(error, path) == (
        f"a config file ends in .toml, .json, .yaml or .yml, got {suffix!r}"
    )


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("net.toml", "a = ", "not valid TOML: Invalid value (at "),
        ("net.toml", "[a]\n[a]", "not valid TOML: Cannot declare ('a',) twice (at line 2"),
        ("net.json", "", "not valid JSON: Expecting value: line 1 column 1"),
        ("net.json", '{"a": 1,\n}', "not valid JSON: "),
        ("net.json", '{"a": 1, "a": 2}', "not valid JSON: the key 'a' is given twice"),
        ("net.json", '{"a": NaN}', "not valid JSON: NaN is no JSON number"),
        ("net.json", "[-Infinity]", "not valid JSON: -Infinity is no JSON number"),
        ("net.yaml", "a: [1", "not valid YAML: "),
        ("net.yaml", "a: 1\na: 2", "not valid YAML: the key 'a' is given twice (line 2, column 1)"),
        (
            "net.yaml",
            "a: !!python/name:os.system",
            "not valid YAML: could not determine a constructor",
        ),
        ("net.yaml", "a: *missing", "not valid YAML: found undefined alias 'missing' (line 1"),
        ("net.yaml", 'a: !!int ""', "not valid YAML: "),
        ("net.yaml", "a: 2020-99-99", "not valid YAML: "),
        ("net.yaml", "? [a]\n: 1", "not valid YAML: found unhashable key (line 1"),
        ("net.yaml", "a: \x07", "not valid YAML: "),
        ("net.yaml", "a: 1\n---\nb: 2", "not valid YAML: but found another document"),
        *(
            ("net" + suffix, b"a = '\xff'", "not UTF-8 text, see byte 5")
            for suffix in (".toml", ".json")
        ),
    ],
)
def test_a_malformed_file(write, name, content, reason):
    need_yaml(name)
    path = write(name, content)
    with pytest.raises(ValueError, match="not ") as error:
        read_config(path)
    assert message(error, path).startswith(reason)


def test_yaml_without_pyyaml(write, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    path = write("net.yaml", "a: 1")
    with pytest.raises(ImportError) as error:
        read_config(path)
    assert message(error, path) == 'YAML needs PyYAML: pip install "cybn[yaml]"'


@pytest.mark.parametrize("text", ["1e-5", "1E-05", "+1e-5", "1.e-5", "1.0e-5", ".1e-4"])
def test_yaml_reads_numbers_as_the_other_formats_do(write, text):
    pytest.importorskip("yaml")
    assert read_config(write("net.yaml", f"eps: {text}")) == {"eps": 1e-5}


@pytest.mark.parametrize("text", ["1e", "e5", "v1e5", "1e5x", "'1e-5'"])
def test_yaml_leaves_other_words_alone(write, text):
    pytest.importorskip("yaml")
    assert read_config(write("net.yaml", f"eps: {text}")) == {"eps": text.strip("'")}


def test_yaml_merges_one_norm_into_many(write):
    pytest.importorskip("yaml")
    text = """
        norm: &norm {type: BN, eps: 1.0e-3, num_features: 8}
        a: {<<: *norm, num_features: 16}
        b: {<<: *norm}
    """
    norm = {"type": "BN", "eps": 1e-3, "num_features": 8}
    assert read_config(write("net.yaml", text)) == {
        "norm": norm,
        "a": {**norm, "num_features": 16},
        "b": norm,
    }


# What a file may cost


def test_a_file_that_is_too_large(write):
    path = write("net.json", " " * MAX_BYTES + "1")
    with pytest.raises(ValueError, match="at most") as error:
        read_config(path)
    assert message(error, path) == "a config file has at most 1,048,576 bytes; split it"
    assert read_config(write("fits.json", " " * (MAX_BYTES - 1) + "1")) == 1


@pytest.mark.parametrize(
    ("name", "opening"), [("net.json", "["), ("net.yaml", "["), ("net.toml", "a = " + "[" * 10)]
)
def test_a_file_that_is_nested_too_deeply(write, name, opening):
    need_yaml(name)
    path = write(name, opening + "[" * 20_000)
    with pytest.raises(ValueError, match="nested too deeply"):
        read_config(path)


def test_a_yaml_file_that_merges_many_keys(write):
    pytest.importorskip("yaml")
    lines = ["a: &a {" + ", ".join(f"k{i}: 1" for i in range(1000)) + "}"]
    lines += [f"b{i}: {{<<: *a}}" for i in range(200)]
    path = write("net.yaml", "\n".join(lines))
    with pytest.raises(ValueError, match=r"not valid YAML: more than 100,000 keys are merged"):
        read_config(path)


def test_a_yaml_file_that_merges_the_same_keys_again_and_again(write):
    pytest.importorskip("yaml")
    keys = {f"k{i}": 1 for i in range(100)}
    lines = ["a0: &a0 {" + ", ".join(f"{key}: 1" for key in keys) + "}"]
    lines += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 20)}]}}" for i in range(1, 20)]
    assert list(read_config(write("net.yaml", "\n".join(lines))).values()) == [keys] * 20


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("{<<: [*a, *b], z: 5}", {"x": 1, "y": 2, "z": 5}),
        ("{<<: [*b, *a]}", {"x": 3, "y": 2, "z": 4}),
        ("{x: 9, <<: *a}", {"x": 9, "y": 2}),
        ("{<<: {<<: *a, x: 7}}", {"x": 7, "y": 2}),
        ("{<<: []}", {}),
    ],
)
def test_the_first_of_merged_tables_counts_and_an_own_key_more(write, text, table):
    pytest.importorskip("yaml")
    lines = f"a: &a {{x: 1, y: 2}}\nb: &b {{x: 3, z: 4}}\nc: {text}"
    assert read_config(write("net.yaml", lines))["c"] == table


def test_what_cannot_be_merged(write):
    pytest.importorskip("yaml")
    for value in ("1", "[1]", "[[]]"):
        with pytest.raises(ValueError, match="expected a mapping for merging, but found"):
            read_config(write("net.yaml", f"a: {{<<: {value}}}"))
    with pytest.raises(ValueError, match="a list or table holds itself"):
        read_config(write("net.yaml", "a: &a {b: *a}"))
    assert read_config(write("net.yaml", "a: &a {<<: *a, b: 1}")) == {"a": {"b": 1}}
