# Arrays as kernels take them, (N, C, L), at what a small call can pay.
#
# An array in C order, of float32 or float64, is not reshaped: a Lent lends its memory in three
# axes, at a third of the price of another ndarray, and what it is lent by tells shape, order and
# dtype at once. Any other array goes by arrays/layout.py, which looks at its strides and copies
# where it has to.

@cython.final
@cython.freelist(8)
cdef class Lent:
    """The memory of an array in C order in three axes, lent by the buffer protocol."""
    cdef object owner
    cdef Py_buffer own
    cdef Py_ssize_t[3] shape
    cdef Py_ssize_t[3] strides

    def __getbuffer__(self, Py_buffer *view, int flags):
        if flags & PyBUF_WRITABLE and self.own.readonly:
            raise BufferError("memory that is read-only is not lent to be written to")
        view.buf, view.len, view.itemsize = self.own.buf, self.own.len, self.own.itemsize
        view.format, view.readonly, view.obj = self.own.format, self.own.readonly, self
        view.ndim, view.shape, view.strides = 3, self.shape, self.strides
        view.suboffsets, view.internal = NULL, NULL

    cdef void cut(self, Py_ssize_t N, Py_ssize_t C, Py_ssize_t L) noexcept:
        self.shape[0], self.shape[1], self.shape[2] = N, C, L
        self.strides[2] = self.own.itemsize
        self.strides[1] = L * self.strides[2]
        self.strides[0] = C * self.strides[1]


cdef Lent lend(a):
    """The memory of `a`, not yet cut into three axes; None where it cannot be lent so."""
    cdef Lent lent
    cdef Py_buffer own
    if not seen(&own, a, plain, False) or own.format[0] != b"f" and own.format[0] != b"d":
        return None
    if not PyBuffer_IsContiguous(&own, b"C"):
        return None
    lent = Lent.__new__(Lent)
    lent.owner, lent.own = a, own
    return lent


@cython.final
@cython.freelist(4)
cdef class Views:
    """An input and the output like it, as a kernel takes them."""
    cdef object x               # (N, C, L)
    cdef object out             # the same of the output; None where it is no view
    cdef object y               # the output itself
    cdef object dtype
    cdef object arrangement     # of layout.py; None until an array needs it
    cdef Py_ssize_t N, C, L
    cdef Py_ssize_t size, itemsize
    cdef bint lent              # do x and y lie in C order?

    cdef object arranged(self):
        if self.arrangement is None:
            self.arrangement = Arrangement(None, (self.N, self.C, self.L))
        return self.arrangement

    cdef object view(self, a):
        """Another array of x's shape as (N, C, L), or None where its memory does not allow it."""
        cdef Lent lent = lend(a) if self.lent else None
        if lent is None:
            return self.arranged().view(a)
        lent.cut(self.N, self.C, self.L)
        return lent

    cdef object gather(self, a):
        """The same, copied where it has to be."""
        view = self.view(a)
        return self.arranged().gather(a) if view is None else view

    cdef object room(self):
        """A new (N, C, L)."""
        return as_words(empty((self.N, self.C, self.L), self.dtype))


cdef Views views_of(x, out, int channel_axis):
    """x, and `out` or a new array like it, with the channels of an axis as C."""
    cdef Lent lent = lend(x)
    cdef Py_ssize_t N = 1, L = 1
    cdef int axis, i
    if lent is None:
        x, arrangement = arrange(x, channel_axis)
        return views_by(arrangement, x, out)
    axis = channel_axis + lent.own.ndim if channel_axis < 0 else channel_axis
    for i in range(axis):
        N *= lent.own.shape[i]
    for i in range(axis + 1, lent.own.ndim):
        L *= lent.own.shape[i]
    return views_in_order(lent, x, out, N, lent.own.shape[axis], L)


cdef Views rows_of(x, out, arrangement):
    """x, and `out` or a new array like it, as an arrangement has them."""
    cdef Lent lent
    if arrangement.order is None:
        lent = lend(x)
        if lent is not None:
            N, C, L = arrangement.shape
            return views_in_order(lent, x, out, N, C, L)
    return views_by(arrangement, x, out)


cdef Views views_in_order(Lent lent, x, out, Py_ssize_t N, Py_ssize_t C, Py_ssize_t L):
    cdef Views views
    cdef Lent to
    dtype, y = dtype_of(x), out
    if out is None and lent.own.len < SMALL:
        y = made(make, ndarray, dtype, lent.own.ndim, lent.own.shape)
    elif out is None:
        y = empty_large(x.shape, dtype)
    to = lend(y)
    if to is None:
        return views_by(Arrangement(None, (N, C, L)), x, out)
    views = Views.__new__(Views)
    lent.cut(N, C, L)
    to.cut(N, C, L)
    views.x, views.out, views.y, views.dtype = lent, to, y, dtype
    views.N, views.C, views.L = N, C, L
    views.size, views.itemsize, views.lent = N * C * L, lent.own.itemsize, True
    return views


cdef Views views_by(arrangement, x, out):
    cdef Views views = Views.__new__(Views)
    views.x, views.y, views.out = arrangement.with_output(x, out)
    views.arrangement, views.dtype = arrangement, x.dtype
    views.N, views.C, views.L = arrangement.shape
    views.size, views.itemsize = x.size, x.itemsize
    return views


cdef inline object floats(Py_ssize_t n, dtype):
    """A new array (n,)."""
    return made(make, ndarray, dtype, 1, &n)


cdef inline object table(Py_ssize_t n):
    """A new array (3, n) of float64, for statistics."""
    cdef Py_ssize_t[2] shape
    shape[0], shape[1] = 3, n
    return made(make, ndarray, FLOAT64, 2, shape)


cdef inline tuple plan_of(Views views, bint once=False):
    """How a kernel is to run on them; see kernels/policy.py."""
    return <tuple>(ALONE if views.size < BELOW else plan(views.size, views.itemsize, None, once))


cdef inline object kernels_of(Views views):
    cdef PyObject *found = PyDict_GetItemWithError(of, views.dtype)
    return of[views.dtype] if found == NULL else <object>found


cdef object as_before(a, copy):
    """A copy of what is learned, which nobody changes: the one that there is, if that is alike."""
    cdef Py_buffer own, kept
    if a is None:
        return None
    if (
        copy is not None and alike(a, copy) and seen(&own, a, plain, False)
        and seen(&kept, copy, plain, False) and PyBuffer_IsContiguous(&own, b"C")
        and not memcmp(own.buf, kept.buf, own.len)
    ):
        return copy
    return a.copy()
