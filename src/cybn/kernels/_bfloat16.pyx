"""The kernels for bfloat16, compiled for each CPU level: `_baseline_bfloat16` and its like."""

from cybn.primitives cimport bfloat16

ctypedef bfloat16 S         # data
ctypedef float T            # arithmetic

include "kernels.pxi"
