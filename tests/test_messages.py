"""What error messages are made of: short, on one line, and never an error themselves."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybn.terms.messages import did_you_mean, folded, listed, place, printable, shown


class Broken:
    def __repr__(self):
        raise RuntimeError("no repr")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("16", "'16' (str)"),
        (True, "True (bool)"),
        (None, "None"),
        ([1, 2], "[1, 2] (list)"),
        (float("nan"), "nan (float)"),
    ],
)
def test_a_value_is_shown_by_its_repr_and_type(value, text):
    assert shown(value) == text


def test_the_type_can_be_left_out():
    assert shown(-1.0, with_type=False) == "-1.0"


def test_an_array_is_shown_on_one_line():
    assert shown(np.ones((2, 2))) == "array([[1., 1.], [1., 1.]]) (ndarray)"


def test_a_broken_repr_does_no_harm():
    assert "Broken" in shown(Broken())


def test_a_huge_int_does_no_harm():
    assert shown(10 ** (sys.get_int_max_str_digits() + 1)).endswith("(int)")


def test_a_value_that_spells_billions_is_cut_at_once():
    value = "x"
    for _ in range(100):
        value = [value] * 100
    assert len(shown(value)) < 80


@settings(max_examples=50, deadline=None)
@given(st.recursive(st.text() | st.integers() | st.none(), st.lists, max_leaves=20))
def test_any_value_makes_a_short_line(value):
    text = shown(value)
    assert len(text) < 80
    assert "\n" not in text


@pytest.mark.parametrize(
    ("text", "as_shown"),
    [
        ("norm1", "norm1"),
        ("größe", "größe"),
        ("", "''"),
        ("a\nb", r"'a\nb'"),
        ("\x1b[2J", r"'\x1b[2J'"),
    ],
)
def test_a_key_is_quoted_only_where_it_could_do_harm(text, as_shown):
    assert printable(text) == as_shown


def test_a_long_key_is_cut():
    assert len(printable("k" * 10_000)) < 80


@pytest.mark.parametrize(
    ("path", "entry", "text"),
    [
        ("net.toml", "", "net.toml"),
        (Path("net.toml"), "a[0]", "net.toml: a[0]"),
        ("a\nb.toml", "", r"'a\nb.toml'"),
        ("d/" * 500 + "net.toml", "", "d/" * 500 + "net.toml"),
    ],
)
def test_a_place_is_a_path_in_full_and_an_entry(path, entry, text):
    assert place(path, entry) == text


def test_words_make_a_phrase():
    assert [listed("a", "or"), listed("ab", "or"), listed("abc", "or")] == [
        "a",
        "a or b",
        "a, b or c",
    ]


def test_names_are_compared_without_case_and_separators():
    assert folded("Batch_Norm-1D") == folded("BatchNorm1d") == "batchnorm1d"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("epsilon", "; did you mean 'eps'?"),
        ("EPS", "; did you mean 'eps'?"),
        ("momentun", "; did you mean 'momentum'?"),
        ("colour", ""),
        ("", ""),
        ("m" * 1_000_000, ""),
    ],
)
def test_the_nearest_names_are_offered(name, hint):
    assert did_you_mean(name, ["eps", "momentum", "affine"]) == hint
