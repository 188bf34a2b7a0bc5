"""The kernels for float16 at the CPU level x86-64-v3."""

include "float16.pxi"
include "kernels.pxi"
