"""The kernels for float32, compiled for each CPU level: `_baseline_float32` and its like."""

ctypedef float S            # data
ctypedef float T            # arithmetic

include "kernels.pxi"
include "positions.pxi"
include "position_back.pxi"
include "position_entries.pxi"
include "maps.pxi"
include "matrices.pxi"
