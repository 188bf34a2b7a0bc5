"""The kernels for float16, compiled for each CPU level: `_baseline_float16` and its like."""

from cybn.primitives cimport float16

ctypedef float16 S          # data
ctypedef float T            # arithmetic

include "kernels.pxi"
