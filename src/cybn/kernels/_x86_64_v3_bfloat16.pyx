"""The kernels for bfloat16 at the CPU level x86-64-v3."""

include "bfloat16.pxi"
include "kernels.pxi"
