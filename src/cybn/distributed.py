"""Several processes: over what their layers exchange statistics, and what else they have to do.

A layer that synchronizes takes `comm`: an mpi4py communicator, a process group of
torch.distributed, or any object of the protocol `Group`. It is set at run time, and no part of a
config."""

from .exchange.connect import processes
from .exchange.link import Group, SyncError
from .exchange.local import Alone, ThreadGroup, run_threads
from .exchange.mpi import MPIGroup
from .exchange.process_group import TorchGroup
from .exchange.sums import sum_over_ranks
from .tools.connect import connect, guard

__all__ = [
    "Alone",
    "Group",
    "MPIGroup",
    "SyncError",
    "ThreadGroup",
    "TorchGroup",
    "connect",
    "guard",
    "processes",
    "run_threads",
    "sum_over_ranks",
]
