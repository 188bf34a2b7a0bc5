"""How fast cybn is beside its peers and beside the memory of the machine: `python -m benchmarks`.

    cases       what is measured: operations, and cases, which are records
    grid        the shapes of each operation, and the choice among them
    data        fresh random inputs, enough of them that a cache cannot hold them
    contenders  cybn and plain NumPy; torchpeers and onednn add what else is installed
    formulas    the norms in plain NumPy; composed, those from papers in PyTorch
    limit       how fast this machine moves the bytes that a case forces
    check       what every contender must have computed, in float64
    runner      interleaved samples, in one process per number of threads
    company     calls in turn with PyTorch's, and beside busy processes
    footprint   import time, peak memory, wheel and build
    results     all that was measured, kept as JSON
    goals       the table of goals, and whether they are met
    report      tables and comparisons; plot, a picture
    calls       what a small call is made of: a command of its own

asv, pyperf and pytest-benchmark were rejected: none interleaves contenders, and a ratio of times
taken minutes apart on a shared machine says little.
"""
