"""The kernels for float64, compiled for each CPU level: `_baseline_float64` and its like."""

ctypedef double S           # data
ctypedef double T           # arithmetic

include "kernels.pxi"
include "positions.pxi"
include "position_back.pxi"
include "position_entries.pxi"
include "maps.pxi"
