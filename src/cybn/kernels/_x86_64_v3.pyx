"""The kernels, compiled for one CPU level."""
include "kernels.pxi"
