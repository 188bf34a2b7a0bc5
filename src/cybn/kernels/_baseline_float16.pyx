"""The kernels for float16 at the CPU level baseline."""

include "float16.pxi"
include "kernels.pxi"
