# Data in bfloat16, arithmetic in float.

from cybn.primitives cimport bfloat16

ctypedef bfloat16 S
ctypedef float T
