# What an entry point checks. functional/ and the layers have checked shapes, dtypes and overlap
# before they call. What would be read or written out of bounds otherwise is checked here once more,
# since an array may be replaced or resized behind everybody's back: no array is missing, and each
# has the shape or length that the others say. Everything is checked before anything is written.

ctypedef fused P:
    float
    double


cdef int refuse(str name, str expected, got) except -1:
    raise ValueError(f"a kernel expected {name} of {expected}, got {got}")


cdef inline int check_length(const P[:] values, Py_ssize_t n, str name) except -1:
    if values is not None and values.shape[0] != n:
        refuse(name, f"{n} values, one for each channel", values.shape[0])
    return 0


cdef inline int check_given(const P[:] values, Py_ssize_t n, str name) except -1:
    if values is None:
        refuse(name, f"{n} values, one for each channel", None)
    return check_length(values, n, name)


cdef inline int check_stats(const double[:, ::1] stats, Py_ssize_t n) except -1:
    if stats is None or stats.shape[0] != 3 or stats.shape[1] != n:
        refuse("stats", f"shape (3, {n})",
               None if stats is None else (stats.shape[0], stats.shape[1]))
    return 0


cdef inline int check_count(const long long[::1] count) except -1:
    if count is not None and count.shape[0] != 1:
        refuse("num_batches_tracked", "one value", count.shape[0])
    return 0


cdef inline int check_threads(int threads) except -1:
    if threads < 1:
        refuse("a number of threads", "1 or more", threads)
    return 0


cdef inline int check_view(const T[:, :, :] a, const T[:, :, :] like, str name) except -1:
    """`a` is there, holds values, and is_view of `like`."""
    if a is None:
        refuse(name, "shape (N, C, L)", None)
    if like is None:
        refuse("x", "shape (N, C, L)", None)
    if a.shape[0] == 0 or a.shape[1] == 0 or a.shape[2] == 0 or not is_view(a, like):
        refuse(name, f"shape {shape_of(like)}, not empty, the last two axes close together",
               shape_of(a))
    return 0


cdef tuple shape_of(const T[:, :, :] a):
    return a.shape[0], a.shape[1], a.shape[2]


cdef inline bint is_view(const T[:, :, :] a, const T[:, :, :] like) noexcept:
    """Has `a` the shape of `like`, with C and L close together?"""
    return (
        a.shape[0] == like.shape[0] and a.shape[1] == like.shape[1] and a.shape[2] == like.shape[2]
        and (a.shape[2] == 1 or a.strides[2] == sizeof(T))
        and (a.shape[1] == 1 or a.strides[1] == a.shape[2] * <Py_ssize_t>sizeof(T))
    )


cdef inline Py_ssize_t row_stride(const T[:, :, :] a) noexcept nogil:
    return a.strides[0] // <Py_ssize_t>sizeof(T)


# What belongs to channels is taken by a pointer and a stride, NULL where there is none.

cdef inline const P *start_of(const P[:] values) noexcept:
    return NULL if values is None else &values[0]


cdef inline Py_ssize_t step_of(const P[:] values) noexcept:
    return 0 if values is None else values.strides[0] // <Py_ssize_t>sizeof(P)
