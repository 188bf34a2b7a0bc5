"""What synchronizing costs: `python -m benchmarks.distributed`; see docs/distributed.md.

It starts itself with MPI's launcher on 1, 2 and 4 processes and measures what a pass of a layer
takes beside BatchNorm's, and the merge of many parts in one process. From that and a network that
is stated it works out the cost of a ResNet-50's worth of layers for more ranks than there are here:

    exchange = ceil(log2 P) * (software + latency) + (P - 1) * bytes / bandwidth + merge(P, C)

`--plot FILE` draws it. Rejected: figures of many ranks on few cores, which measure the scheduler.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from math import ceil, log2
from pathlib import Path

import numpy as np

import cybn
from cybn.functional import Moments

# ResNet-50: how many batch norms of each width
RESNET50 = {64: 7, 128: 8, 256: 16, 512: 11, 1024: 7, 2048: 4}
WIDTHS = tuple(RESNET50)
RANKS = (2, 4, 16, 128, 1000)
#: latency in seconds and bandwidth in bytes a second of each process
NETWORKS = {
    "InfiniBand, 2 us, 100 Gbit/s": (2e-6, 12.5e9),
    "Ethernet, 30 us, 10 Gbit/s": (30e-6, 1.25e9),
}
PASSES = {"forward": 3, "backward": 2}  # numbers per channel
HEAD = 24  # bytes beside the numbers: a length, a digest, a count


def bytes_of(width: int, numbers: int) -> int:
    """The bytes that a rank says in a pass."""
    return HEAD + 8 * numbers * width


def timed(work, repeats: int, rounds: int = 7) -> float:
    """The median of the mean seconds of a call."""
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(repeats):
            work()
        found.append((time.perf_counter() - began) / repeats)
    return statistics.median(found)


def measure_ranks() -> None:
    """On each rank of MPI; rank 0 prints seconds of the passes and the exchange for each width."""
    from cybn.distributed import processes
    from cybn.exchange.connect import link_of

    rows, size, link = {}, processes(), link_of()
    for width in WIDTHS:
        x = np.random.default_rng(link.rank).normal(size=(4, width, 4, 4)).astype(np.float32)
        plain, layer, row = cybn.BatchNorm2d(width), cybn.SyncBatchNorm2d(width), {}
        for norm, name in ((plain, "alone"), (layer, "synchronized")):
            y = norm(x)
            norm.backward(y)
            row[f"{name} forward"] = timed(lambda: norm(x), 20)  # noqa: B023
            row[f"{name} backward"] = timed(lambda: norm.backward(y), 20)  # noqa: B023
        for name, numbers in PASSES.items():
            message = np.zeros(bytes_of(width, numbers), np.uint8)
            row[f"exchange {name}"] = timed(lambda: link.group.all_gather(message, name), 20)  # noqa: B023
        rows[width] = row
    if link.rank == 0:
        print(json.dumps({"size": size, "rows": rows}), flush=True)


def measure_merge() -> dict[int, dict[int, float]]:
    """Seconds to merge the parts of so many ranks, by ranks and width."""
    rng, found = np.random.default_rng(0), {}
    for ranks in RANKS:
        for width in WIDTHS:
            sums = rng.normal(1, 1, (ranks, 3, width))
            sums[:, 2] = np.abs(sums[:, 2]) + sums[:, 1] ** 2
            counts = np.full(ranks, 100)
            once = timed(lambda: Moments.of_parts(counts, sums).stats(), 1, 3)  # noqa: B023
            found.setdefault(ranks, {})[width] = once
    return found


def started(size: int, launcher: str) -> dict | None:
    """What the ranks measured, or None where they cannot be started."""
    command = [launcher, "-n", str(size), sys.executable, "-m", __spec__.name, "--on-ranks"]
    env = {"HYDRA_LAUNCHER": "fork", "OMP_NUM_THREADS": "1", **os.environ}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        print(f"{size} processes: {(done.stderr.strip().splitlines() or ['nothing'])[-1]}")
        return None
    return json.loads(lines[-1])


def table(found: dict) -> None:
    """The measured passes of one number of processes."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    more = f", on {cores} cores" if found["size"] > cores else ""
    print(f"\n{found['size']} processes{more}, microseconds of a pass, (4, C, 4, 4) each")
    print(f"{'C':>6} {'bytes':>14} {'exchange':>16} {'SyncBatchNorm':>16} {'BatchNorm':>16}")
    for width, row in found["rows"].items():
        said = " ".join(f"{bytes_of(int(width), n):6d}" for n in PASSES.values())
        told = [
            " ".join(f"{1e6 * row[f'{name} {each}']:7.0f}" for each in PASSES)
            for name in ("exchange", "synchronized", "alone")
        ]
        print(f"{width:>6} {said:>14} " + " ".join(f"{each:>16}" for each in told))


def worked_out(software: float, merge: dict) -> dict[str, list[float]]:
    """Seconds that a training step of ResNet-50's layers synchronizes, by network and RANKS."""
    found = {}
    for name, (latency, bandwidth) in NETWORKS.items():
        found[name] = [
            sum(
                layers
                * (
                    sum(
                        ceil(log2(ranks)) * (software + latency)
                        + (ranks - 1) * bytes_of(width, numbers) / bandwidth
                        for numbers in PASSES.values()
                    )
                    + merge[ranks][width]
                )
                for width, layers in RESNET50.items()
            )
            for ranks in RANKS
        ]
    return found


def plot(costs: dict[str, list[float]], path: Path) -> None:
    """Draw the cost of a step by ranks."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    looks = (("#0072B2", -24), ("#D55E00", 10))  # colours, and figures below and above the line
    for (name, seconds), (colour, off) in zip(costs.items(), looks, strict=True):
        axes.loglog(RANKS, [1e3 * each for each in seconds], "o-", color=colour, label=name)
        for ranks, each in zip(RANKS, seconds, strict=True):
            axes.annotate(
                f"{1e3 * each:.0f}", (ranks, 1e3 * each), xytext=(0, off), fontsize=14,
                textcoords="offset points", ha="center", color=colour,
            )  # fmt: skip
    axes.set_xticks(RANKS, [f"{ranks:,}" for ranks in RANKS])
    axes.minorticks_off()
    axes.set_xlabel("ranks", fontsize=15)
    axes.set_ylabel("milliseconds a training step", fontsize=15)
    axes.set_title("Synchronizing the 53 batch norms of a ResNet-50, worked out", fontsize=16)
    axes.tick_params(labelsize=14)
    axes.legend(fontsize=14, loc="upper left")
    axes.margins(y=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=100)


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distributed")
    parser.add_argument("--on-ranks", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4], metavar="N")
    parser.add_argument("--launcher", default="mpiexec", help="default: %(default)s")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw what is worked out")
    arguments = parser.parse_args(argv)
    if arguments.on_ranks:
        measure_ranks()
        return 0
    software = None
    for size in arguments.processes:
        found = started(size, arguments.launcher)
        if found is None:
            continue
        table(found)
        if size == 2:
            software = found["rows"][str(WIDTHS[0])]["exchange backward"]
    if software is None:
        print("two processes are needed to work out more", file=sys.stderr)
        return 1
    merge = measure_merge()
    print(f"\nsoftware and shared memory, one round: {1e6 * software:.0f} microseconds")
    costs = worked_out(software, merge)
    print(f"\nResNet-50, milliseconds a step, ranks {', '.join(map(str, RANKS))}")
    for name, seconds in costs.items():
        print(f"{name:>32}: " + " ".join(f"{1e3 * each:9.1f}" for each in seconds))
    of_merge = [sum(merge[r][w] * n for w, n in RESNET50.items()) for r in RANKS]
    print(f"{'of that, merging':>32}: " + " ".join(f"{1e3 * each:9.1f}" for each in of_merge))
    if arguments.plot:
        plot(costs, arguments.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
