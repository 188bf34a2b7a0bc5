"""The kernels for bfloat16 at the CPU level baseline."""

include "bfloat16.pxi"
include "kernels.pxi"
