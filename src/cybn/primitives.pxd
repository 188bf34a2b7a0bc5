"""The inner loops of cybn, inline: what the kernels are made of and what a Cython plugin builds on.

Every function works on a pointer and a length, is `noexcept nogil`, allocates nothing, starts no
thread and keeps no state. The caller owns memory and threads and has checked every length.
Pointers need the alignment of their type, no more. Outputs may be exactly an input (in place) and
must not overlap one otherwise. They compile into the module that cimports them, so no binary
interface ties a plugin to one release of cybn. docs/primitives.md goes through them one by one.

Sums are kept in LANES independent partial sums, lane j taking the elements j, j + LANES, ... The
order of every addition is then fixed by the length alone: a compiler that vectorizes the lanes by
4, 8 or 16 gets the same bits. A plain `s += x[i]` was rejected, since only -ffast-math vectorizes
it, and then in an order that depends on the CPU; intrinsics were rejected as one copy per CPU.

S is the type that data is stored in, T the type of arithmetic: for float and double the same, and
float for data of sixteen bits. A is the type that partial sums are kept in: T itself where at most
a few dozen elements meet in one lane, double where they are many or must be nearly exact.

Data of sixteen bits is converted strip by strip, by `load` and `store`, which do nothing for the
other types: what is read and written there lies in the arrays themselves. The conversion is the one
place with intrinsics, since no compiler makes the instructions of a loop; where the CPU has none,
whole numbers do the same to the bit. A line of them is streamed from registers: one that went
through memory first was half as quick.

A row ends, and where it is streamed begins, with less than a strip. Of sixteen bits, what lies
there is computed as a whole strip too, which overlaps another, and the part of it that is missing
is written: the same values, and no loop of an unknown length.
"""

include "loops/machine.pxi"
include "loops/words.pxi"

from libc.float cimport DBL_MAX, FLT_MAX
from libc.math cimport INFINITY
from libc.string cimport memcpy

cdef struct float16:        # NumPy's float16, as its word: array.view(np.uint16)
    unsigned short word

cdef struct bfloat16:       # the upper half of a float32
    unsigned short word

ctypedef fused S:
    float
    double
    float16
    bfloat16

ctypedef fused T:
    float
    double

ctypedef fused A:
    float
    double

cdef enum:
    LANES = 32          # partial sums; a multiple of every vector width
    FEW = 8             # partial sums of a short run
    STRIP = 16          # items that one streaming step writes, and of sixteen bits
    MOST_STRIP = 32     # twice as many: whole cache lines
    LINE = 64           # bytes of a cache line
    FAR = 2048          # items; what lies farther ahead is not fetched into the first level

include "loops/items.pxi"
include "loops/sums.pxi"
include "loops/products.pxi"
include "loops/lines.pxi"
include "loops/normalize.pxi"
include "loops/gradient.pxi"
include "loops/weighted.pxi"
