"""Synchronized batch norm in real processes of MPI, and what is seen where one of them fails."""

import os
import re
import subprocess
import sys

import pytest
from processes import PROGRAMS, mpi

PROGRAM = PROGRAMS / "mpi_ranks.py"
sizes = pytest.mark.parametrize("size", [2, 3, 4])


def values(ran, word):
    return [float(value) for told in ran.told(word).values() for value in told]


@sizes
def test_a_split_batch_is_the_whole(size):
    ran = mpi(size, PROGRAM, "split")
    assert ran.status == 0, ran.output
    for word, most in (("y", 2e-6), ("dx", 2e-6), ("dweight", 2e-5)):
        assert len(values(ran, word)) == 2 * size
        assert max(values(ran, word)) <= most
    for word in ("var", "sum"):  # the same bits on every rank and for every repetition
        assert len({each for told in ran.told(word).values() for each in told}) == 1


def test_communicators_of_some_ranks():
    ran = mpi(4, PROGRAM, "halves")
    assert ran.status == 0, ran.output
    assert len(values(ran, "y")) == 4
    assert max(values(ran, "y")) <= 2e-6


def test_populations():
    ran = mpi(3, PROGRAM, "population")
    assert ran.status == 0, ran.output
    assert max(values(ran, "mean") + values(ran, "var")) <= 1e-6
    assert ran.told("layer") == {rank: ["SyncBatchNorm1d"] for rank in range(3)}


@sizes
@pytest.mark.parametrize("what", ["shape", "dtype", "order", "pass"])
def test_a_rank_that_is_at_something_else(what, size):
    ran, last = mpi(size, PROGRAM, "fault", what), size - 1
    assert ran.status == 0, ran.output
    errors = ran.told("error")
    assert sorted(errors) == list(range(size))
    for rank, (error,) in errors.items():
        if what == "shape" and rank == last:
            assert error.startswith("ValueError  SyncBatchNorm1d expects 4 channels on axis 1")
            continue
        odd = {
            "shape": f"({last},) rank {last} failed in the forward of layer 1, SyncBatchNorm1d(4)",
            "dtype": f"rank {last} is in the forward of layer 1, SyncBatchNorm1d(4) of float64",
            "order": f"rank {last} is in the forward of layer 2, SyncBatchNorm1d(30000)",
            "pass": f"rank {last} is in the backward of layer 1, SyncBatchNorm1d(4)",
        }[what]
        assert error.startswith("SyncError")
        assert odd in error
    assert ran.told("state") == {rank: ["unchanged"] for rank in range(size)}
    if what in ("shape", "dtype"):
        assert max(values(ran, "after")) <= 2e-6


@pytest.mark.parametrize("size", [2, 4])
def test_a_rank_that_does_not_come(size):
    ran, last = mpi(size, PROGRAM, "fault", "silent"), size - 1
    errors = ran.told("error")
    assert sorted(errors) == list(range(last))
    for (error,) in errors.values():
        assert error.startswith(f"SyncError ({last},) rank {last} did not come to rank ")
        assert "in the forward of layer 1, SyncBatchNorm1d(4) of float32" in error
    assert ran.told("state") == {rank: ["unchanged"] for rank in range(last)}


def test_a_rank_whose_program_ends():
    ran = mpi(3, PROGRAM, "fault", "done")
    errors = ran.told("error")
    assert sorted(errors) == [0, 1]
    for (error,) in errors.values():
        assert "rank 2 has ended its program after the forward of layer 1" in error
        assert "waited for it in the forward of layer 1, SyncBatchNorm1d(4)" in error


@sizes
def test_an_error_that_nobody_handles_ends_all(size):
    ran = mpi(size, PROGRAM, "fault", "raises")
    assert ran.status != 0
    assert "KeyError: 'boom'" in ran.output
    assert f"cybn: rank {size - 1} of {size} ended with KeyError after the forward of" in ran.output


@pytest.mark.parametrize("option", [(), ("-disable-auto-cleanup",)])
def test_a_rank_that_is_killed_is_named_when_the_job_ends(option):
    ran = mpi(3, PROGRAM, "fault", "killed", options=option)
    assert ran.status != 0
    layer = "the forward of layer 1, SyncBatchNorm1d(4) of float32"
    assert re.search(
        rf"cybn: rank 2 of 3, PID \d+, is gone, after {re.escape(layer)}\n", ran.output
    )


WITNESS = """
import os, sys, warnings
warnings.simplefilter("error")
from cybn.exchange.witness import Witness
witness = Witness()
witness.note("was here")
witness.note("layer 2 ü")
if sys.argv[1] == "left":
    witness.leave()
elif sys.argv[1] == "forked":
    if not os.fork():
        os.close(1), os.close(2)
        __import__("time").sleep(20)
        os._exit(0)
os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(os.name != "posix", reason="a witness is a shell: needs POSIX")
@pytest.mark.parametrize(("how", "told"), [("killed", "layer 2 ü\n"), ("left", ""),
                                           ("forked", "layer 2 ü\n")])  # fmt: skip
def test_a_witness_tells_what_was_noted_last(how, told):
    command = [sys.executable, "-c", WITNESS, how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    assert (done.stdout, done.stderr) == ("", told)
