"""Connect: the communicator of the layers of a network, and of a part of a program.

A config does not say which processes there are, so layers that were built from one are given their
communicator here, and their place in the network as the name that errors tell.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from ..exchange.connect import check_comm, link_of
from ..exchange.ending import aborting
from ..layers.batch.syncbatchnorm import SyncBatchNorm
from .trees import walked

__all__ = ["connect", "guard"]


def connect(layers: Any, comm: Any = None) -> int:
    """Give the synchronized batch norms of a network their communicator, and names for errors.

    Parameters
    ----------
    layers
        A layer, or a list, tuple or dict of them, nested at will; None in it is passed by. Layers
        of other classes are left as they are.
    comm
        The communicator, as `SyncBatchNorm` takes it; None for all processes.

    Returns
    -------
    int
        How many layers were connected.

    Raises
    ------
    TypeError
        For what is no layer and for what is no communicator; no layer is changed then.

    Examples
    --------
    >>> import cybn
    >>> net = cybn.build({"stem": "SyncBN2d", "head": "BN1d"}, num_features=4)
    >>> cybn.distributed.connect(net, cybn.distributed.Alone())
    1
    """
    found = [
        (place.removeprefix("layers"), layer)
        for place, layer in walked(layers, "connect", "; the order is connect(layers, comm)")
        if isinstance(layer, SyncBatchNorm)
    ]
    check_comm(comm, "connect")
    for place, layer in found:
        layer.comm = comm
        layer.label = place
    return len(found)


def guard(comm: Any = None) -> AbstractContextManager[None]:
    """Let an error that leaves a block end the processes of all ranks.

    So does `sys.exit` with another status than 0. The error is printed, with its rank. Over MPI an
    error that ends the program does so anyway once there is a synchronized layer.

    Parameters
    ----------
    comm
        The communicator, as layers take it; by default all processes.

    Returns
    -------
    context manager
        For a `with` statement.

    Examples
    --------
    >>> import cybn
    >>> with cybn.distributed.guard():
    ...     print("training")
    training
    """
    return aborting(link_of(comm).group)
