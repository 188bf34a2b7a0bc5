"""Memory for large outputs, kept for the next one when an array that used it is gone.

A new array of many megabytes is not there yet when malloc returns: each page is mapped and zeroed
by the system when it is first written, at every call, which can cost as much as normalizing it.
Blocks that were written once stay mapped here, up to a limit, and the next output of that size gets
one of them.

A Block owns its memory and lends it by the buffer protocol. An array over it, and every view of
that array, keeps the Block alive, whatever became of this library's interest in it; only when the
last one is gone does the memory come back. Rejected: NumPy's data-memory handler (NEP 49), which is
one for the whole process and would change everybody's arrays; weak references to the arrays, which
a view outlives.
"""

cimport cython
from cpython.buffer cimport PyBuffer_FillInfo
from libc.stdlib cimport free

cdef extern from *:
    """
    #include <stdlib.h>
    #if defined(__linux__)
      #include <sys/mman.h>
    #endif
    /* Aligned to a huge page, and asking for some: a hundredth of the page faults. */
    static void *cybn_allocate(size_t n) {
    #if defined(_WIN32)
      return malloc(n);
    #else
      void *p = NULL;
      if (posix_memalign(&p, (size_t)1 << 21, n) != 0) return NULL;
      #if defined(__linux__) && defined(MADV_HUGEPAGE)
      madvise(p, n, MADV_HUGEPAGE);
      #endif
      return p;
    #endif
    }
    """
    void *cybn_allocate(size_t n) nogil

UNIT = 2 << 20              # sizes are multiples of this

cdef list _idle = []        # (size, address) of each block that nobody uses, the oldest first
cdef Py_ssize_t _held = 0   # bytes in _idle
cdef Py_ssize_t _limit = 0


def set_limit(Py_ssize_t limit) -> None:
    """Keep at most so many bytes for later, and release what is above that now."""
    global _limit
    _limit = limit
    _shrink(limit)


def limit() -> int:
    return _limit


def held() -> int:
    """Bytes that are kept for later outputs now."""
    return _held


def release() -> None:
    """Give everything that is kept back to the system."""
    _shrink(0)


cdef void _shrink(Py_ssize_t to):
    # The GIL is held throughout, and nothing here starts a garbage collection, which could free a
    # Block and come back to these tables: no lock is needed.
    global _held
    while _held > to and _idle:
        size, address = _idle.pop(0)
        free(<void *><size_t>address)
        _held -= size


cdef void *_take(Py_ssize_t size):
    """The youngest idle block of that size: its memory may still be in a cache. Or NULL."""
    global _held
    cdef Py_ssize_t i
    for i in range(len(_idle) - 1, -1, -1):
        if _idle[i][0] == size:
            _, address = _idle.pop(i)
            _held -= size
            return <void *><size_t>address
    return NULL


@cython.final
cdef class Block:
    """At least n bytes, aligned to a huge page. MemoryError where the system has none left."""

    cdef void *memory
    cdef Py_ssize_t size

    def __cinit__(self, Py_ssize_t n):
        self.size = (n + UNIT - 1) // UNIT * UNIT
        self.memory = _take(self.size)
        if self.memory == NULL:
            self.memory = cybn_allocate(self.size)
        if self.memory == NULL:
            _shrink(0)
            self.memory = cybn_allocate(self.size)
        if self.memory == NULL:
            raise MemoryError(f"no {self.size} bytes left for an output")

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, self.memory, self.size, 0, flags)

    def __dealloc__(self):
        global _held
        if self.memory == NULL:
            return
        if self.size > _limit:
            free(self.memory)
            return
        _idle.append((self.size, <size_t>self.memory))
        _held += self.size
        if _held > _limit:
            _shrink(_limit)
