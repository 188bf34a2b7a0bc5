# What a call takes while it lasts: memory to work in, and loans of all but the data. Both are given
# back when the Call is gone, however the call ends.
#
# Statistics and what lies on channels (weight, bias, running statistics, gradients) are borrowed:
# an ndarray is read where NumPy keeps it (arrays/_seen.pxd), and all else lends by the bare buffer
# protocol. A typed memoryview of each would cost a small call more than its work.
# Values on channels are read into double once, so that no loop comes in two dtypes.

from cybn.arrays._seen cimport plain_type, seen

from numpy import ndarray

cdef type plain = plain_type(ndarray((2, 3), "f4")[:, 1:])      # whose memory is seen at once

cdef enum:
    MOST_LOANS = 7
    LINE_OF = 8             # doubles
    AT_ONCE = 4096          # items: a job of less is over before another thread would get the GIL

cdef struct Channels:       # values on channels; at is NULL where there are none
    char *at
    Py_ssize_t step, n      # bytes from one to the next; how many
    bint single             # float32, else float64


@cython.final
@cython.freelist(2)
cdef class Call:
    cdef Py_buffer[MOST_LOANS] loans
    cdef int lent
    cdef double *memory     # NULL while it is counted what is needed
    cdef Py_ssize_t size    # doubles that have been asked for

    def __dealloc__(self):
        cdef int i
        for i in range(self.lent):
            PyBuffer_Release(&self.loans[i])
        free(self.memory)

    cdef double *doubles(self, Py_ssize_t n) noexcept:
        """Room for n doubles, from the start of a cache line on: no vector lies on two."""
        cdef double *room = NULL
        if self.memory != NULL:
            room = self.memory + (0 - <size_t>self.memory // sizeof(double)) % LINE_OF + self.size
        self.size += (n + LINE_OF - 1) // LINE_OF * LINE_OF
        return room

    cdef int allocate(self) except -1:
        """Get what has been counted: whoever asked asks once more, and is given memory."""
        self.memory = <double *>malloc((self.size + LINE_OF) * sizeof(double))
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


# Values are copied, since an array may be misaligned.

cdef inline double value_at(const Channels *a, Py_ssize_t i) noexcept nogil:
    cdef float single
    cdef double value
    if a.single:
        memcpy(&single, a.at + i * a.step, sizeof(float))
        return single
    memcpy(&value, a.at + i * a.step, sizeof(double))
    return value


cdef inline void set_value(const Channels *a, Py_ssize_t i, double value) noexcept nogil:
    cdef float single = <float>value
    if a.single:
        memcpy(a.at + i * a.step, &single, sizeof(float))
    else:
        memcpy(a.at + i * a.step, &value, sizeof(double))


cdef inline void read_values(double *to, const Channels *a, double otherwise,
                             Py_ssize_t n) noexcept nogil:
    """to = the values, or all `otherwise` where there are none."""
    cdef Py_ssize_t i
    for i in range(n):
        to[i] = otherwise if a.at == NULL else value_at(a, i)


cdef inline void write_values(const Channels *a, const double *values, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    if a.at != NULL:
        for i in range(n):
            set_value(a, i, values[i])


cdef inline double bounded(double value, double most) noexcept nogil:
    """value, `most` instead of what is larger; NaN stays NaN."""
    return min(max(value, -most), most) if value == value else value
