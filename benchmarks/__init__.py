"""How fast cybn is beside its peers and beside the memory of the machine: `python -m benchmarks`.

    norms       what is measured: operations, their layers and options
    shapes      a case is a record: operation, shape, layout, dtype, mode; the grid lists them
    data        fresh random inputs, enough of them that a cache cannot hold them
    formulas    every norm in the operations that NumPy and JAX share
    contenders  cybn and plain NumPy; peers and onednn add what else is installed
    limit       how fast this machine moves the same bytes
    check       what every contender must have computed, in float64
    timing      interleaved samples of one case
    worker      one process per number of threads: runs cases, writes samples
    footprint   import time, peak memory, wheel and build
    calls       what a small call is made of: a command of its own
    results     all that was measured: kept as JSON, asked by goals, report, compare and plot

A contender says which cases it can do, so that a new operation is an entry in `norms`, shapes in
`shapes`, a view in `formulas` and `check`, and a branch in the peers that know it. asv, pyperf and
pytest-benchmark were rejected: none interleaves contenders, and a ratio of times taken minutes
apart on a shared machine says little. Each number of threads has a process of its own, since
several peers read it only when they start.
"""
