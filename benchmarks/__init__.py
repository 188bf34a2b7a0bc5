"""How fast cybn is beside its peers and beside the memory of the machine: `python -m benchmarks`.

    cases       what is measured: operations, shapes, and cases, which are records
    data        fresh random inputs, enough of them that a cache cannot hold them
    formulas    every norm in the operations that NumPy and JAX share
    contenders  cybn and plain NumPy; peers and onednn add what else is installed
    limit       how fast this machine moves the bytes that a case forces
    check       what every contender must have computed, in float64
    runner      interleaved samples, in one process per number of threads
    footprint   import time, peak memory, wheel and build
    results     all that was measured, kept as JSON
    goals       the table of goals, and whether they are met
    report      tables and comparisons; plot, a picture
    calls       what a small call is made of: a command of its own

asv, pyperf and pytest-benchmark were rejected: none interleaves contenders, and a ratio of times
taken minutes apart on a shared machine says little.
"""
