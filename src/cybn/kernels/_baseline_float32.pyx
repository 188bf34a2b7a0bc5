"""The kernels for float32 at the CPU level baseline."""

include "float32.pxi"
include "kernels.pxi"
include "positions.pxi"
include "position_back.pxi"
include "position_entries.pxi"
include "maps.pxi"
include "matrices.pxi"
