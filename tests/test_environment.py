"""Variables of the environment: too much is cut to what can be, nonsense is refused by name."""

import sys

import pytest
from runs import python

import cybn
from cybn.arrays import _memory
from cybn.kernels import policy
from cybn.terms.environment import number_from

needs_openmp = pytest.mark.skipif(
    not cybn.show_config("dict")["openmp"], reason="this build has no OpenMP"
)
HUGE = [str(2**31), str(2**32), str(2**63), str(10**20), "9" * 5000]
SHOW = """
import cybn
try:
    print({})
except ImportError as error:
    print(error)
"""
THREADS = SHOW.format("cybn.get_num_threads()")
CACHE = SHOW.format("__import__('cybn.arrays.outputs').arrays._memory.limit()")
NONSENSE = ["abc", "1.5", "\u00b2", "\u0663", "1_0", "0x10", "--1", "1 2", "1e3"]


@needs_openmp
@pytest.mark.parametrize(
    ("value", "threads"),
    [("3", 3), (" 3 ", 3), ("+3", 3), ("4,2", 4), (" 4 , 2 ", 4), ("0", 1), ("-1", 1)]
    + [(value, policy.MOST_THREADS) for value in ("4096", "4097", *HUGE)],
)
def test_omp_num_threads_is_cut_to_what_can_be(value, threads):
    assert python(THREADS, OMP_NUM_THREADS=value) == str(threads)


@pytest.mark.parametrize("value", ["", " "])
def test_an_empty_variable_is_none(value):
    assert python(THREADS, OMP_NUM_THREADS=value) == python(THREADS, OMP_NUM_THREADS="")
    assert int(python(CACHE, CYBN_OUTPUT_CACHE=value)) == 512 << 20


@pytest.mark.parametrize("value", [*NONSENSE, ",", "4,", "4,x"])
def test_nonsense_in_omp_num_threads_is_refused_by_name(value):
    assert python(THREADS, OMP_NUM_THREADS=value) == (
        f"OMP_NUM_THREADS takes a number of threads, or several as 4,2, got {value!r}; "
        f"or leave it unset"
    )


@needs_openmp
@pytest.mark.parametrize("value", [str(2**31), str(10**20)])
def test_a_layer_works_whatever_omp_num_threads_says(value):
    code = "import cybn, numpy as np; x = np.ones((64, 64, 32, 32), np.float32)\n"
    code += "print(cybn.BatchNorm2d(64)(x).shape)\n"
    code += "cybn.set_num_threads(2); print(cybn.get_num_threads())"
    assert python(code, OMP_NUM_THREADS=value).split("\n") == ["(64, 64, 32, 32)", "2"]


@pytest.mark.parametrize(
    ("value", "limit"),
    [("0", 0), (" 12345 ", 12345), ("-1", 0), *((value, sys.maxsize) for value in HUGE[2:])],
)
def test_the_limit_of_the_cache_is_cut_to_what_can_be(value, limit):
    assert python(CACHE, CYBN_OUTPUT_CACHE=value) == str(limit)


@pytest.mark.parametrize("value", [*NONSENSE, "1GB", "4,2"])
def test_nonsense_in_cybn_output_cache_is_refused_by_name(value):
    assert python(CACHE, CYBN_OUTPUT_CACHE=value) == (
        f"CYBN_OUTPUT_CACHE takes a number of bytes, as 536870912, got {value!r}; or leave it unset"
    )


def test_the_call_takes_what_the_variable_takes():
    before = _memory.limit()
    try:
        cybn.set_output_cache(10**20)
        assert _memory.limit() == sys.maxsize
    finally:
        cybn.set_output_cache(before)


@pytest.mark.parametrize("value", ["2", "yes", " 0", "\u00b2"])
def test_the_switch_of_plugins_is_0_or_1(value):
    code = SHOW.replace("ImportError", "ValueError").format("cybn.available()")
    expected = f"CYBN_PLUGINS is 0 or 1, got {value!r}; 0 leaves plugins out"
    assert python(code, CYBN_PLUGINS=value) == expected


@pytest.mark.parametrize("value", ["avx2", " baseline", "\u00b2"])
def test_a_level_that_there_is_not_is_refused_by_name(value):
    code = SHOW.format("cybn.BatchNorm1d")
    assert python(code, CYBN_CPU=value).startswith(f"CYBN_CPU={value!r} is not a CPU level; this")


def test_a_number_between_ends(monkeypatch):
    monkeypatch.setenv("CYBN_TEST", "-" + "9" * 5000)
    assert number_from("CYBN_TEST", "a number", 1, 9) == 1
    monkeypatch.delenv("CYBN_TEST")
    assert number_from("CYBN_TEST", "a number", 1, 9) is None


@pytest.mark.parametrize("text", ["0 0", "max 100000", "", "100000", "1 x", "-1 100000"])
def test_a_quota_without_sense_is_none(text, monkeypatch):
    monkeypatch.setattr(policy.Path, "read_text", lambda path: text)
    assert policy._quota() >= 1
    monkeypatch.setattr(policy.Path, "read_text", lambda path: "0K")
    assert policy._cache_size(2, 123) == 123
