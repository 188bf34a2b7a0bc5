# The memory of tensors as kernels take it: lent by the buffer protocol, not converted.
#
# All tensors of the shape of x are dense and in one order of memory, C order or channels last.

@cython.final
@cython.freelist(16)
cdef class Loan:
    """The memory of a dense tensor, in one axis or in three."""
    cdef object owner
    cdef void *at
    cdef char *format
    cdef Py_ssize_t itemsize, size
    cdef int ndim
    cdef Py_ssize_t[3] shape
    cdef Py_ssize_t[3] strides

    def __getbuffer__(self, Py_buffer *view, int flags):
        view.buf, view.len, view.itemsize = self.at, self.size * self.itemsize, self.itemsize
        view.format, view.readonly, view.obj = self.format, False, self
        view.ndim, view.shape, view.strides = self.ndim, self.shape, self.strides
        view.suboffsets, view.internal = NULL, NULL


cdef Loan lend(const Look *a, object owner):
    """The memory of a tensor that was looked at, as one axis."""
    cdef Loan loan = Loan.__new__(Loan)
    loan.owner, loan.at, loan.size = owner, a.at.data, a.size
    loan.itemsize = a.at.dtype.bits // 8
    if loan.itemsize == 2:
        loan.format = b"H"
    elif a.at.dtype.code == INT:
        loan.format = b"q"
    else:
        loan.format = b"f" if loan.itemsize == 4 else b"d"
    loan.ndim, loan.shape[0], loan.strides[0] = 1, a.size, loan.itemsize
    return loan


cdef object lend_new(t):
    """The memory of a tensor of this module's making."""
    cdef Look a
    if t is None:
        return None
    if not look(&a, t):
        raise BufferError("a tensor just made has no memory")
    return lend(&a, t)


cdef struct Cut:     # the three axes of an array as a kernel takes it
    Py_ssize_t N, C, L


cdef Cut channels(const Look *x) noexcept:
    """Those of an array with channels on axis 1, in C order or last."""
    cdef Cut axes
    axes.C = x.at.shape[1]
    if x.order == C_ORDER:
        axes.N = x.at.shape[0]
        axes.L = x.size // (axes.N * axes.C)
    else:
        axes.N, axes.L = x.size // axes.C, 1
    return axes


cdef Cut rows(const Look *x, Py_ssize_t count) noexcept:
    cdef Cut axes
    axes.N, axes.C, axes.L = 1, count, x.size // count
    return axes


cdef object lend_cut(const Look *a, object owner, const Cut *axes):
    cdef Loan loan = lend(a, owner)
    loan.ndim = 3
    loan.shape[0], loan.shape[1], loan.shape[2] = axes.N, axes.C, axes.L
    loan.strides[2] = loan.itemsize
    loan.strides[1] = axes.L * loan.itemsize
    loan.strides[0] = axes.C * loan.strides[1]
    return loan


cdef object lend_new_cut(t, const Cut *axes):
    cdef Look a
    if t is None:
        return None
    if not look(&a, t):
        raise BufferError("a tensor just made has no memory")
    return lend_cut(&a, t, axes)


cdef object kernels_for(const Look *x):
    """The kernels of a dtype, loaded when data of it first comes."""
    cdef int bits = x.at.dtype.bits
    cdef int place = bits // 32 + (x.at.dtype.code == BFLOAT) * 3
    kernels = loaded[place]
    if kernels is None:
        name = "bfloat16" if x.at.dtype.code == BFLOAT else f"float{bits}"
        kernels = loaded[place] = kernels_in(levels.load(LEVEL, name))
    return kernels


cdef object plan_for(const Look *x):
    return ALONE if x.size < BELOW else plan(x.size, x.at.dtype.bits // 8, get_num_threads())
