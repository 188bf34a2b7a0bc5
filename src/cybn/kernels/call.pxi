# What a call takes while it lasts: memory to work in, and loans of all but the data. Both are given
# back when the Call is gone, however the call ends.
#
# Statistics and what lies on channels (weight, bias, running statistics, gradients) are borrowed:
# an ndarray is read where NumPy keeps it (arrays/_seen.pxd), and all else lends by the bare buffer
# protocol. A typed memoryview of each would cost a small call more than its work.

from cybn.arrays._seen cimport plain_type, seen

from numpy import ndarray

cdef type plain = plain_type(ndarray((2, 3), "f4")[:, 1:])      # whose memory is seen at once

cdef enum:
    MOST_LOANS = 7
    LINE_OF = 8             # doubles
    AT_ONCE = 4096          # items: a job of less is over before another thread would get the GIL
    KEPT = 1 << 13          # doubles that a call leaves for the next one, at the most

# Scratch that was left; whoever looks at it holds the GIL.
cdef double *idle = NULL
cdef Py_ssize_t idle_size = 0   # doubles


@cython.final
@cython.freelist(2)
cdef class Call:
    cdef Py_buffer[MOST_LOANS] loans
    cdef int lent
    cdef double *memory     # NULL while it is counted what is needed
    cdef Py_ssize_t size    # doubles that have been asked for
    cdef Py_ssize_t room    # doubles that there are

    def __dealloc__(self):
        cdef int i
        global idle, idle_size
        for i in range(self.lent):
            PyBuffer_Release(&self.loans[i])
        if self.memory != NULL and idle_size < self.room <= KEPT:
            free(idle)
            idle, idle_size = self.memory, self.room
        else:
            free(self.memory)

    cdef inline double *doubles(self, Py_ssize_t n) noexcept:
        """Room for n doubles, from the start of a cache line on: no vector lies on two."""
        cdef double *room = NULL
        if self.memory != NULL:
            room = self.memory + (0 - <size_t>self.memory // sizeof(double)) % LINE_OF + self.size
        self.size += (n + LINE_OF - 1) // LINE_OF * LINE_OF
        return room

    cdef int allocate(self) except -1:
        """Get what has been counted: whoever asked asks once more, and is given memory."""
        global idle, idle_size
        self.room = self.size + LINE_OF
        if self.room <= idle_size:
            self.memory, self.room = idle, idle_size
            idle, idle_size = NULL, 0
        else:
            self.memory = <double *>malloc(self.room * sizeof(double))
        if self.memory == NULL:
            raise MemoryError(f"a kernel needs {self.size * sizeof(double)} bytes of scratch")
        self.size = 0
        return 0

    cdef Py_buffer *lend(self, object a, bint writable) except NULL:
        cdef Py_buffer *loan = &self.loans[self.lent]
        cdef int how = PyBUF_STRIDES | PyBUF_FORMAT | (PyBUF_WRITABLE if writable else 0)
        if not seen(loan, a, plain, writable):
            PyObject_GetBuffer(a, loan, how)
        self.lent += 1
        return loan

    cdef double *table(self, object a, Py_ssize_t rows, Py_ssize_t n, str name,
                       Py_ssize_t otherwise=0) except NULL:
        """The memory of `a`, doubles of (rows, n) in C order, or of `otherwise` rows."""
        cdef Py_buffer *loan
        if a is None:
            refuse(name, f"shape ({rows}, {n})", None)
        loan = self.lend(a, True)
        if not (
            type_of(loan) == b"d" and loan.ndim == 2 and loan.shape[1] == n
            and (loan.shape[0] == rows or loan.shape[0] == otherwise > 0)
            and PyBuffer_IsContiguous(loan, b"C")
        ):
            refuse(name, f"shape ({rows}, {n}), float64 in one piece",
                   f"{loan.len // loan.itemsize} items, {loan.ndim} axes, {loan.format.decode()}")
        return <double *>loan.buf

    cdef int borrow(self, Channels *to, object a, Py_ssize_t n, bint writable,
                    str name) except -1:
        """OUT to: the values of `a`, None or n floats; n -1: any number."""
        cdef Py_buffer *loan
        cdef char code
        memset(to, 0, sizeof(Channels))
        if a is None:
            return 0
        loan = self.lend(a, writable)
        code = type_of(loan)
        to.single = code == b"f"
        if code != b"f" and code != b"d":
            refuse(name, "float32 or float64", loan.format.decode())
        if loan.ndim != 1 and not PyBuffer_IsContiguous(loan, b"C"):
            refuse(name, "one axis, or memory in one piece", f"{loan.ndim} axes")
        to.n = loan.len // loan.itemsize
        to.step = loan.strides[0] if loan.ndim == 1 else loan.itemsize
        if n >= 0 and to.n != n:
            refuse(name, f"{n} values", to.n)
        to.at = <char *>loan.buf
        return 0

    cdef int borrow_count(self, long long **to, object count, bint writable) except -1:
        """OUT to: the one integer of `count`, or NULL."""
        cdef Py_buffer *loan
        to[0] = NULL
        if count is None:
            return 0
        loan = self.lend(count, writable)
        if loan.len != sizeof(long long) or (type_of(loan) != b"l" and type_of(loan) != b"q"):
            refuse("num_batches_tracked", "one int64", f"{loan.len} bytes, {loan.format.decode()}")
        to[0] = <long long *>loan.buf
        return 0


cdef int refuse(str name, str expected, got) except -1:
    raise ValueError(f"a kernel expected {name} of {expected}, got {got}")


cdef inline char type_of(const Py_buffer *loan) noexcept:
    """The letter of items in the machine's own byte order, else 0; "=" tells of misaligned ones."""
    cdef const char *letter = loan.format + (loan.format[0] == b"=")
    return letter[0] if letter[0] and not letter[1] else 0
