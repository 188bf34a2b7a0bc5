"""What the others see when something is done to a rank: `python -m benchmarks.faults`.

It starts itself in three processes, over MPI and over torch.distributed (gloo), once for each
fault, does it to the last rank, and prints what the others saw after how long, and after how long
the job had ended: the table of docs/distributed.md. Times are of one clock, that of the machine.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

import cybn
from cybn.distributed import MPIGroup, SyncError, TorchGroup

SIZE, TIMEOUT = 3, 2.0
FAULTS = {
    "shape": "another shape",
    "dtype": "another dtype",
    "order": "another layer",
    "mode": "in evaluation, the others in training",
    "silent": f"does not come, timeout {TIMEOUT:.0f} s",
    "raises": "raises, and nobody handles it",
    "exits": "ends by sys.exit(3)",
    "killed": "is killed, by SIGKILL",
}
LOOPBACK = {"HYDRA_LAUNCHER": "fork", "HYDRA_IFACE": "lo", "FI_TCP_IFACE": "lo",
            "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}  # fmt: skip


def group_of(engine: str) -> Any:
    """The ranks of this program."""
    if engine == "MPI":
        from mpi4py import MPI

        return MPIGroup(MPI.COMM_WORLD, timeout=TIMEOUT)
    import torch.distributed as dist

    dist.init_process_group("gloo")
    return TorchGroup(timeout=TIMEOUT)


def tell(rank: int, word: str, text: object = "") -> None:
    """A line for the table, with the time."""
    sys.stderr.write(f"FAULT {time.monotonic():.4f} {rank} {word} {text}\n")
    sys.stderr.flush()


def do(what: str, engine: str) -> None:
    """On each rank: the last one is at fault, the others call a layer."""
    group = group_of(engine)
    layer, other = (cybn.SyncBatchNorm1d(width, comm=group) for width in (4, 300))
    x = np.random.default_rng(0).normal(size=(6, 4, 5)).astype(np.float32)
    layer(x)
    layer(x)  # all have come to the first one
    if group.rank != SIZE - 1:
        try:
            layer(x)
        except SyncError as error:
            tell(group.rank, "saw", str(error).partition("\n")[0])
        time.sleep(0.5)
        os._exit(0)
    time.sleep(0.2)  # the others wait
    tell(group.rank, "did", what)
    if what == "raises":
        raise KeyError("boom")
    if what == "exits":
        sys.exit(3)
    if what == "killed":
        os.kill(os.getpid(), 9)
    try:
        if what == "shape":
            layer(x[:, :3])
        elif what == "dtype":
            layer(x.astype(np.float64))
        elif what == "order":
            other(np.ones((4, 300), np.float32))
        else:
            layer.eval()(x)  # which exchanges nothing
            time.sleep(3 * TIMEOUT)
    except (SyncError, ValueError):
        pass
    time.sleep(0.5)
    os._exit(0)


def job(engine: str, what: str) -> str:
    """What the others saw of it, and after how long."""
    if engine == "MPI":
        launcher = [shutil.which("mpiexec"), "-n", str(SIZE), sys.executable]
    else:
        launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(SIZE),
                    "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"]  # fmt: skip
    done = subprocess.run(
        [*launcher, "-m", __spec__.name, "--on-ranks", what, engine],
        env={**os.environ, **LOOPBACK}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    ended, output = time.monotonic(), done.stderr + done.stdout
    told = re.findall(r"^FAULT (\S+) (\d) (\w+) (.*)$", output, re.MULTILINE)
    began = next((float(at) for at, _, word, _ in told if word == "did"), None)
    if began is None:
        return f"did not run: {output.strip().splitlines()[-1:]}"
    saw = [(float(at) - began, rank, text) for at, rank, word, text in told if word == "saw"]
    seen = [f"rank {rank}, after {after:.2f} s: {text}" for after, rank, text in sorted(saw)[:1]]
    if what in ("raises", "exits", "killed"):
        seen += re.findall(r"^cybn: (rank .*)$", output, re.MULTILINE)[:1]
        ranks = re.findall(r"^ *rank *: (\d) .*\n *exitcode *: (\S+)", output, re.MULTILINE)
        seen += [f"torchrun tells rank {rank}, exit code {code}" for rank, code in ranks[-1:]]
    left = f"; the job ended with status {done.returncode} after {ended - began:.2f} s"
    return "; ".join(each.strip() for each in seen) + left


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults")
    parser.add_argument("--on-ranks", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--engines", nargs="+", default=["MPI", "gloo"], help="default: both")
    parser.add_argument("--faults", nargs="+", default=[*FAULTS], choices=FAULTS, metavar="FAULT")
    arguments = parser.parse_args(argv)
    if arguments.on_ranks:
        do(*arguments.on_ranks)
        return 0
    for what in arguments.faults:
        print(f"\n{FAULTS[what]}")
        for engine in arguments.engines:
            print(f"  {engine}: {job(engine, what)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
