# Small calls, where looking at the arrays costs more than normalizing them: each of them lies in
# one piece and is borrowed through the bare buffer protocol, which costs far less than a typed
# memoryview. The computation is the same, on the calling thread. What does not lie in one piece
# raises, before anything is changed; the callers then take the entry points of batch_norm.pxi.

cdef enum:
    MOST_LOANS = 8

cdef struct Loans:
    Py_buffer of[MOST_LOANS]
    int count


cdef void *borrow(Loans *loans, object a, Py_ssize_t items, Py_ssize_t itemsize, char code,
                  bint writable) except? NULL:
    """The memory of `a`, so many items of a type code (0: any); NULL for None."""
    cdef Py_buffer *loan = &loans.of[loans.count]
    if a is None:
        return NULL
    PyObject_GetBuffer(a, loan, PyBUF_FORMAT | PyBUF_ND | (PyBUF_WRITABLE if writable else 0))
    loans.count += 1
    if loan.len != items * itemsize or loan.itemsize != itemsize or (
            code and loan.format[0] != code):
        raise ValueError(f"expected {items} items, got {loan.len // loan.itemsize}")
    return loan.buf


cdef inline void give_back(Loans *loans) noexcept:
    cdef int i
    for i in range(loans.count):
        PyBuffer_Release(&loans.of[i])


def normalize_small(y, stats, running_mean, running_var, num_batches_tracked, x, weight, bias,
                    Py_ssize_t N, Py_ssize_t C, Py_ssize_t L, double eps, double momentum,
                    double slope, double most, bint training, T kind, P other):
    """normalize_training or normalize_inference of a small x, of shape (N, C, L) but for its axes.

    kind and other are 0: they tell the dtypes of x and of the parameters.
    """
    cdef Job job
    cdef Loans loans
    cdef char code = b"f" if T is float else b"d"
    cdef char p = b"f" if P is float else b"d"
    cdef Py_ssize_t size = N * C * L
    cdef double *s
    cdef P *w
    cdef P *b
    cdef P *mean
    cdef P *var
    cdef void *count
    cdef const T *data
    cdef T *out
    loans.count = 0
    try:
        out = <T *>borrow(&loans, y, size, sizeof(T), code, True)
        data = <const T *>borrow(&loans, x, size, sizeof(T), code, False)
        s = <double *>borrow(&loans, stats, 3 * C, sizeof(double), b"d", True)
        w = <P *>borrow(&loans, weight, C, sizeof(P), p, False)
        b = <P *>borrow(&loans, bias, C, sizeof(P), p, False)
        mean = <P *>borrow(&loans, running_mean, C, sizeof(P), p, training)
        var = <P *>borrow(&loans, running_var, C, sizeof(P), p, training)
        count = borrow(&loans, num_batches_tracked, 1, sizeof(long long), 0, training)
        if not training:
            settle_running(s, mean, 1, var, 1, eps, C)
        open_job(&job, NORMALIZE if training else INFERENCE, s, N, C, L, True, False, kind)
        fill(job.weight, w, 1, 1.0, C)
        fill(job.bias, b, 1, 0.0, C)
        job.out, job.out_stride = out, C * L
        job.x, job.x_stride = data, C * L
        job.eps = eps
        set_gate(&job, slope, most)
        run(&job, 1, size * sizeof(T), kind)
        close_job(&job)
        if training:
            follow(mean, 1, var, 1, <long long *>count, s, C, N * L, momentum)
    finally:
        give_back(&loans)
