"""The kernels for float64 at the CPU level baseline."""

include "float64.pxi"
include "kernels.pxi"
include "maps.pxi"
