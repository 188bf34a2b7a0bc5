"""From what `comm=` may be to a link, and what it is where nobody has said.

mpi4py and PyTorch are asked for only where the program uses them: mpi4py is imported where a
launcher of MPI has started the process, since importing it begins MPI; PyTorch never, as who has a
process group has imported it.
"""

from __future__ import annotations

import os
import sys
from typing import Any
from weakref import WeakKeyDictionary

from .link import Group, Link
from .local import Alone

__all__ = ["check_comm", "link_of", "processes"]

_ALONE = Link(Alone())
_links: WeakKeyDictionary[Any, Link] = WeakKeyDictionary()  # of groups, by themselves
_worlds: dict[str, Link] = {}  # of engines, by name
_keyval: list[int] = []  # under which an MPI communicator keeps its link

#: what launchers tell each process of how many there are: Hydra (MPICH, Intel), Open MPI, MVAPICH
_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
_STARTED = ("PMIX_RANK", *_SIZES)  # PMIx tells which one this is, and not of how many


def processes() -> int:
    """Tell how many processes there are, of MPI or of torch.distributed.

    MPI is begun where it has started this process and does not say otherwise of how many.

    Returns
    -------
    int
        How many; 1 where this process is alone.

    Raises
    ------
    ImportError
        For a process that MPI has started where mpi4py is missing.

    Examples
    --------
    >>> import cybn
    >>> cybn.distributed.processes()
    1
    """
    for name in _SIZES:
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    mpi, torch = _mpi(), _torch()
    if mpi is not None and (torch is None or mpi.COMM_WORLD.Get_size() > 1):
        return mpi.COMM_WORLD.Get_size()
    return torch.get_world_size() if torch is not None else 1


def check_comm(comm: Any, who: str) -> None:
    """TypeError for what is no communicator, None but for the default."""
    if comm is None or _is_mpi(comm) or _is_torch(comm) or isinstance(comm, Group):
        return
    raise TypeError(
        f"{who} takes as comm an mpi4py communicator, a process group of torch.distributed, an "
        f"object with rank, size and all_gather, or None for all processes, got {comm!r}"
    )


def link_of(comm: Any = None) -> Link:
    """The link over a communicator; over all processes for None, and over this one if it is alone.

    The same communicator has the same link.
    """
    check_comm(comm, "cybn.distributed")
    if comm is None:
        return _world()
    if _is_mpi(comm):
        return _mpi_link(comm)
    if _is_torch(comm):
        from .process_group import TorchGroup

        return _kept(comm, lambda: TorchGroup(comm))
    return _kept(comm, lambda: comm)


def _kept(comm: Any, make: Any) -> Link:
    try:
        link = _links.get(comm)
    except TypeError:  # what cannot be kept has a link for each layer
        return Link(make())
    if link is None:
        link = _links[comm] = Link(make())
    return link


def _world() -> Link:
    if processes() == 1:
        return _ALONE
    mpi, torch = _mpi(), _torch()
    if mpi is not None and mpi.COMM_WORLD.Get_size() > 1:
        return _mpi_link(mpi.COMM_WORLD)
    if torch is not None:
        return link_of(torch.group.WORLD)
    raise RuntimeError(
        f"a launcher of MPI has started {processes()} processes, and mpi4py sees this one alone: "
        f"mpiexec and mpi4py are of different MPIs; start the program with the mpiexec of the MPI "
        f"that mpi4py.MPI.Get_library_version() names, or pass comm="
    )


def _mpi() -> Any:
    """mpi4py.MPI, where the program uses it or a launcher of MPI has started the process."""
    if "mpi4py.MPI" not in sys.modules and any(each in os.environ for each in _STARTED):
        try:
            import mpi4py.MPI  # noqa: F401
        except ImportError as error:
            raise ImportError(
                "MPI has started this process, and statistics of all processes need mpi4py: pip "
                'install "cybn[mpi]"; or pass comm=, of which one with cybn.distributed.Alone() is '
                "this process alone"
            ) from error
    return sys.modules.get("mpi4py.MPI")


def _mpi_link(comm: Any) -> Link:
    from .mpi import MPIGroup

    mpi = sys.modules["mpi4py.MPI"]
    if not _keyval:
        _keyval.append(mpi.Comm.Create_keyval())
    link = comm.Get_attr(_keyval[0])
    if link is None:
        link = Link(MPIGroup(comm))
        comm.Set_attr(_keyval[0], link)
    return link


def _is_mpi(comm: Any) -> bool:
    mpi = sys.modules.get("mpi4py.MPI")
    return mpi is not None and isinstance(comm, mpi.Comm)


def _torch() -> Any:
    """torch.distributed, where the program has begun it."""
    torch = sys.modules.get("torch.distributed")
    return torch if torch is not None and torch.is_available() and torch.is_initialized() else None


def _is_torch(comm: Any) -> bool:
    torch = sys.modules.get("torch.distributed")
    return torch is not None and torch.is_available() and isinstance(comm, torch.ProcessGroup)
