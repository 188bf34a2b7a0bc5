# Data and arithmetic in double.

ctypedef double S
ctypedef double T
