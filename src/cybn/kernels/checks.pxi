# What an entry point checks. functional/ and the layers have checked shapes, dtypes and overlap
# before they call. What would be read or written out of bounds otherwise is checked here once more,
# since an array may be replaced or resized behind everybody's back: no array is missing, and each
# has the shape or length that the others say. Everything is checked before anything is written.

cdef inline int check_table(const double[:, ::1] a, Py_ssize_t rows, Py_ssize_t n,
                            str name) except -1:
    if a is None or a.shape[0] != rows or a.shape[1] != n:
        refuse(name, f"shape ({rows}, {n})", None if a is None else (a.shape[0], a.shape[1]))
    return 0


cdef inline int check_stats(const double[:, ::1] stats, Py_ssize_t n) except -1:
    return check_table(stats, 3, n, "stats")


cdef inline int check_threads(int threads) except -1:
    if threads < 1:
        refuse("a number of threads", "1 or more", threads)
    return 0


cdef inline int check_view(const S[:, :, :] a, const S[:, :, :] like, str name) except -1:
    """`a` is there, holds values, and has the shape of `like`, with C and L close together."""
    if like is None:
        refuse("x", "shape (N, C, L)", None)
    if a is None:
        refuse(name, "shape (N, C, L)", None)
    if not (
        a.shape[0] > 0 and a.shape[1] > 0 and a.shape[2] > 0
        and a.shape[0] == like.shape[0] and a.shape[1] == like.shape[1]
        and a.shape[2] == like.shape[2] and (a.shape[2] == 1 or a.strides[2] == sizeof(S))
        and (a.shape[1] == 1 or a.strides[1] == a.shape[2] * <Py_ssize_t>sizeof(S))
    ):
        refuse(name, f"shape {shape_of(like)}, not empty, the last two axes close together",
               shape_of(a))
    return 0


cdef tuple shape_of(const S[:, :, :] a):
    return a.shape[0], a.shape[1], a.shape[2]


cdef inline Py_ssize_t row_stride(const S[:, :, :] a) noexcept nogil:
    return a.strides[0] // <Py_ssize_t>sizeof(S)


cdef inline bint is_packed(const S[:, :, :] a) noexcept:
    """Do rows follow each other without a gap, or is there no array?"""
    return a is None or a.shape[0] == 1 or row_stride(a) == a.shape[1] * a.shape[2]
