# Small calls, where looking at the arrays costs more than normalizing them: each of them lies in
# one piece and is borrowed through the bare buffer protocol, which costs far less than a typed
# memoryview. The computation is the same, on the calling thread. Where an array does not lie in one
# piece nothing is done, and the callers take the entry points of batch_norm.pxi.

cdef extern from "Python.h":
    # not by Cython's, whose exceptions cost more to catch than the loan
    int ask_for_buffer "PyObject_GetBuffer"(object a, Py_buffer *loan, int flags) noexcept

cdef enum:
    MOST_LOANS = 8

cdef struct Loans:
    Py_buffer of[MOST_LOANS]
    int count


cdef int borrow(Loans *loans, void **to, object a, Py_ssize_t items, Py_ssize_t itemsize,
                char code, bint writable, str name) except -1:
    """OUT to: the memory of `a`, so many items of a type code (0: any).

    Returns whether it lies in one piece (and can be written to). Raises where it has other items.
    """
    cdef Py_buffer *loan = &loans.of[loans.count]
    if a is None:
        refuse(name, f"{items} values", None)
    if ask_for_buffer(a, loan, PyBUF_FORMAT | PyBUF_ND | (PyBUF_WRITABLE if writable else 0)):
        PyErr_Clear()
        return False
    loans.count += 1
    if loan.itemsize != itemsize or (code and loan.format[0] != code):
        refuse(name, f"items of {itemsize} bytes, type {chr(code)!r}", loan.format.decode())
    if loan.len != items * itemsize:
        refuse(name, f"{items} values", loan.len // itemsize)
    to[0] = loan.buf
    return True


cdef inline int borrow_any(Loans *loans, void **to, object a, Py_ssize_t items,
                           Py_ssize_t itemsize, char code, bint writable, str name) except -1:
    """As borrow; None is NULL."""
    to[0] = NULL
    return True if a is None else borrow(loans, to, a, items, itemsize, code, writable, name)


cdef inline void give_back(Loans *loans) noexcept:
    cdef int i
    for i in range(loans.count):
        PyBuffer_Release(&loans.of[i])


def normalize_small(y, stats, running_mean, running_var, num_batches_tracked, x, weight, bias,
                    Py_ssize_t N, Py_ssize_t C, Py_ssize_t L, double eps, double momentum,
                    double slope, double most, bint training, T kind, P other):
    """normalize_training or normalize_inference of a small x, of shape (N, C, L) but for its axes.

    Returns whether it was done: not if an array does not lie in one piece, and nothing is changed
    then. kind and other are 0: they tell the dtypes of x and of the parameters.
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
    if N < 1 or C < 1 or L < 1:
        refuse("x", "a shape without 0", (N, C, L))
    if not training:
        if running_mean is None:
            refuse("running_mean", f"{C} values", None)
        if running_var is None:
            refuse("running_var", f"{C} values", None)
    try:
        if not (borrow(&loans, <void **>&out, y, size, sizeof(T), code, True, "y")
                and borrow(&loans, <void **>&data, x, size, sizeof(T), code, False, "x")
                and borrow(&loans, <void **>&s, stats, 3 * C, sizeof(double), b"d", True, "stats")
                and borrow_any(&loans, <void **>&w, weight, C, sizeof(P), p, False, "weight")
                and borrow_any(&loans, <void **>&b, bias, C, sizeof(P), p, False, "bias")
                and borrow_any(&loans, <void **>&mean, running_mean, C, sizeof(P), p, training,
                               "running_mean")
                and borrow_any(&loans, <void **>&var, running_var, C, sizeof(P), p, training,
                               "running_var")
                and borrow_any(&loans, &count, num_batches_tracked, 1, sizeof(long long), 0,
                               training, "num_batches_tracked")):
            return False
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
        settled()
        if training:
            follow(mean, 1, var, 1, <long long *>count, s, s + C, C, N * L, momentum)
        return True
    finally:
        give_back(&loans)
