"""The kernels for float64 at the CPU level x86-64-v3."""

include "float64.pxi"
include "kernels.pxi"
include "maps.pxi"
