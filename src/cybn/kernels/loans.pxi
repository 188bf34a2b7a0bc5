# Data that is lent by the bare buffer protocol, for kernels that take it in more than one dtype.

cdef struct Data:               # (N, A, B), the last two axes close together
    char *at
    Py_ssize_t[3] shape
    Py_ssize_t stride           # from one N to the next, in bytes
    Py_ssize_t itemsize
    char letter                 # of its items


cdef int lend_data(Data *to, Call call, a, bint writable, const Data *like, str name) except -1:
    """OUT to: `a`, of the shape and items of `like`, if that is not NULL."""
    cdef Py_buffer *loan
    cdef Py_ssize_t i, size
    cdef bint fits
    if a is None:
        refuse(name, "three axes", None)
    loan = call.lend(a, writable)
    size = loan.itemsize
    fits = loan.ndim == 3 and loan.len > 0
    if fits:
        fits = ((loan.shape[2] == 1 or loan.strides[2] == size)
                and (loan.shape[1] == 1 or loan.strides[1] == loan.shape[2] * size)
                and loan.strides[0] % size == 0)
    if fits and like != NULL:
        fits = type_of(loan) == like.letter
        for i in range(3):
            fits = fits and loan.shape[i] == like.shape[i]
    if not fits:
        refuse(name, "three axes, not empty, the last two close together, all data alike",
               f"{loan.len // size} items, {loan.ndim} axes, {loan.format.decode()}")
    to.at, to.stride = <char *>loan.buf, loan.strides[0]
    to.itemsize, to.letter = size, type_of(loan)
    for i in range(3):
        to.shape[i] = loan.shape[i]
    return 0
