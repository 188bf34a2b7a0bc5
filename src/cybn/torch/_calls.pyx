"""From tensors that were checked to a kernel.

The memory of a tensor is lent to a kernel as it is, in three axes: by its address, since
`Tensor.numpy()` costs a small call more than its arithmetic, knows no bfloat16 and takes no tensor
that needs a gradient. All tensors of the shape of x are dense and in one order of memory, which is
C order or channels last; the callers see to that (tensors.py), and allocate what is written to.

Rejected: PyTorch's C++ interface, which a build would need PyTorch for, and a wheel for each of its
versions.
"""

cimport cython
from cpython.buffer cimport PyBUF_WRITABLE

from numpy import empty
from torch import bfloat16, float16, float32, float64, get_num_threads

from ..kernels import kernels_in, levels, LEVEL
from ..kernels.policy import ALONE, ALONE_BELOW, plan

cdef Py_ssize_t BELOW = ALONE_BELOW
cdef object loaded = {}     # the kernels, by the dtype of tensors


@cython.final
@cython.freelist(16)
cdef class Loan:
    """The memory of a dense tensor, lent by the buffer protocol in one axis or in three."""
    cdef object owner
    cdef void *at
    cdef const char *format
    cdef Py_ssize_t itemsize, size
    cdef int ndim
    cdef Py_ssize_t[3] shape
    cdef Py_ssize_t[3] strides

    def __getbuffer__(self, Py_buffer *view, int flags):
        view.buf, view.len, view.itemsize = self.at, self.size * self.itemsize, self.itemsize
        view.format, view.readonly, view.obj = <char *>self.format, False, self
        view.ndim, view.shape, view.strides = self.ndim, self.shape, self.strides
        view.suboffsets, view.internal = NULL, NULL


cdef Loan lend(t):
    """The memory of a tensor, not yet cut into axes."""
    cdef Loan loan = Loan.__new__(Loan)
    cdef size_t address = t.data_ptr()
    dtype = t.dtype
    loan.owner, loan.at = t, <void *>address
    if dtype is float32:
        loan.format, loan.itemsize = b"f", 4
    elif dtype is float64:
        loan.format, loan.itemsize = b"d", 8
    elif dtype is bfloat16 or dtype is float16:
        loan.format, loan.itemsize = b"H", 2
    else:
        loan.format, loan.itemsize = b"q", 8
    return loan


cdef object values(t):
    """What lies on channels, or None."""
    cdef Loan loan
    if t is None:
        return None
    loan = lend(t)
    loan.ndim, loan.shape[0], loan.strides[0] = 1, t.numel(), loan.itemsize
    loan.size = loan.shape[0]
    return loan


@cython.final
cdef class Cut:
    """The three axes of an array, and how a kernel is to run on it."""
    cdef Py_ssize_t N, C, L, size
    cdef object kernels, threads, cache, stream

    cdef object of(self, t):
        cdef Loan loan
        if t is None:
            return None
        loan = lend(t)
        loan.ndim, loan.size = 3, self.size
        loan.shape[0], loan.shape[1], loan.shape[2] = self.N, self.C, self.L
        loan.strides[2] = loan.itemsize
        loan.strides[1] = self.L * loan.strides[2]
        loan.strides[0] = self.C * loan.strides[1]
        return loan


cdef Cut cut(x, Py_ssize_t N, Py_ssize_t C, Py_ssize_t L):
    cdef Cut axes = Cut.__new__(Cut)
    axes.N, axes.C, axes.L, axes.size = N, C, L, N * C * L
    dtype = x.dtype
    kernels = loaded.get(dtype)
    if kernels is None:
        name = str(dtype).removeprefix("torch.")
        loaded[dtype] = kernels = kernels_in(levels.load(LEVEL, name))
    axes.kernels = kernels
    axes.threads, axes.cache, axes.stream = ALONE if axes.size < BELOW else plan(
        axes.size, x.itemsize, get_num_threads()
    )
    return axes


cdef Cut channels(x):
    """Channels on axis 1, in C order or last."""
    shape = x.shape
    cdef Py_ssize_t C = shape[1], size = x.numel()
    if x.is_contiguous():
        return cut(x, shape[0], C, size // (C * <Py_ssize_t>(shape[0])))
    return cut(x, size // C, C, 1)


def batch_forward(
    y, x, residual, weight, bias, running_mean, running_var, num_batches_tracked, bint training,
    momentum, eps, gate,
):
    """OUT y; the statistics, (3, C)."""
    cdef Cut axes = channels(x)
    stats = empty((3, axes.C))
    slope, most = gate
    axes.kernels.batch_forward(
        axes.of(y), stats, values(running_mean), values(running_var), values(num_batches_tracked),
        axes.of(x), axes.of(residual), values(weight), values(bias), eps, momentum, slope, most,
        training, axes.threads, axes.cache, axes.stream,
    )
    return stats


def batch_backward(dx, dresidual, dweight, dbias, dy, x, y, stats, weight, bint training, gate):
    """OUT dx; dresidual, dweight, dbias where they are not None."""
    cdef Cut axes = channels(x)
    slope, most = gate
    axes.kernels.batch_backward(
        axes.of(dx), axes.of(dresidual), values(dweight), values(dbias), axes.of(dy), axes.of(x),
        axes.of(y), stats, values(weight), slope, most, training, axes.threads, axes.cache,
        axes.stream,
    )


def rows_forward(y, x, weight, bias, Py_ssize_t rows, Py_ssize_t run, eps, bint centred):
    """OUT y; the statistics, (3, rows)."""
    cdef Cut axes = cut(x, 1, rows, x.numel() // rows)
    stats = empty((3, rows))
    axes.kernels.rows_forward(
        axes.of(y), stats, axes.of(x), values(weight), values(bias), run, eps, centred,
        axes.threads, axes.cache, axes.stream,
    )
    return stats


def rows_backward(dx, dweight, dbias, dy, x, stats, weight, Py_ssize_t run, bint centred):
    """OUT dx; dweight and dbias where they are not None."""
    cdef Cut axes = cut(x, 1, stats.shape[1], x.numel() // stats.shape[1])
    axes.kernels.rows_backward(
        axes.of(dx), values(dweight), values(dbias), axes.of(dy), axes.of(x), stats,
        values(weight), run, centred, axes.threads, axes.cache, axes.stream,
    )


def response_forward(y, x, size, alpha, beta, k):
    """OUT y."""
    cdef Cut axes = channels(x)
    axes.kernels.response_forward(axes.of(y), axes.of(x), size, alpha, beta, k, axes.threads)


def response_backward(dx, dy, x, size, alpha, beta, k):
    """OUT dx."""
    cdef Cut axes = channels(x)
    axes.kernels.response_backward(
        axes.of(dx), axes.of(dy), axes.of(x), size, alpha, beta, k, axes.threads
    )
