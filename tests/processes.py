"""Programs in several processes, by MPI's launcher or PyTorch's, on loopback alone."""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

PROGRAMS = Path(__file__).parent / "programs"
LIMIT = 100  # seconds for a program, after which it counts as hung
LOOPBACK = {
    "HYDRA_LAUNCHER": "fork", "HYDRA_IFACE": "lo", "FI_TCP_IFACE": "lo", "GLOO_SOCKET_IFNAME": "lo",
    "OMPI_MCA_rmaps_base_oversubscribe": "1", "OMP_NUM_THREADS": "1", "CYBN_PLUGINS": "0",
}  # fmt: skip


class Ran(NamedTuple):
    """How a program ended, and what its ranks told."""

    status: int
    output: str

    def told(self, word):
        """What each rank told under this word, by rank."""
        found = {}
        for line in self.output.splitlines():
            rank, _, rest = line.partition(" ")
            if rank.isdigit() and rest.split(" ", 1)[0] == word:
                found.setdefault(int(rank), []).append(rest.partition(" ")[2])
        return found


def run(command, **environment):
    env = {**os.environ, **LOOPBACK, **environment}
    try:
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=LIMIT, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise AssertionError(f"hung: {command}\n{error.stdout}\n{error.stderr}") from None
    return Ran(done.returncode, done.stdout + done.stderr)


def mpi(size, program, *arguments, options=(), **environment):
    """Run a program on so many ranks of MPI; skipped where there is no MPI that works."""
    reason = no_mpi()
    if reason:
        pytest.skip(reason)
    command = [launcher(), *options, "-n", str(size), sys.executable, str(program), *arguments]
    return run(command, **environment)


def torchrun(size, program, *arguments):
    """The same by PyTorch's launcher."""
    pytest.importorskip("torch", reason='needs PyTorch: pip install ".[torch]"')
    options = ["--nproc-per-node", str(size), "--master-addr", "127.0.0.1", "--master-port", "0",
               "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"]  # fmt: skip
    command = [sys.executable, "-m", "torch.distributed.run", *options, str(program), *arguments]
    return run(command)


def launcher():
    beside = Path(sys.executable).with_name("mpiexec")
    return str(beside) if beside.exists() else shutil.which("mpiexec")


@cache
def no_mpi():
    """Why there is no MPI to test with; None where there is."""
    how = 'pip install ".[mpi]" mpich'
    if launcher() is None:
        return f"needs an mpiexec: {how}"
    code = "import sys; from mpi4py import MPI; sys.stdout.write(f'size {MPI.COMM_WORLD.size};')"
    done = run([launcher(), "-n", "2", sys.executable, "-c", code])
    if done.output.count("size 2;") != 2:
        last = done.output.strip().splitlines()[-1:] or [f"exit status {done.status}"]
        return f"needs an mpi4py for {launcher()}: {how} (got: {last[0]})"
    return None
