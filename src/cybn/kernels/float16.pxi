# Data in float16, arithmetic in float.

from cybn.primitives cimport float16

ctypedef float16 S
ctypedef float T
