# Data and arithmetic in float.

ctypedef float S
ctypedef float T
