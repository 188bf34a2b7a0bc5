"""The loops of FastPartNorm, over x as (N, C, L), in which a channel of a sample is a row.

Row i belongs to channel i % C. A row is summed in blocks of a fixed size, and threads share out
whole rows, so that their number changes no bit of a result. Arguments are checked in Python.
"""

from cython.parallel cimport prange
from libc.math cimport isfinite, sqrt

from cybn.primitives cimport (
    LANES, A, T, add_products, add_shifted, clear_lanes, fold_lanes, gradient, normalize,
    stream_fence, trusted,
)

cdef enum:
    BLOCK = 2048        # items between two additions to the double sums: 64 to a lane


cdef inline void sum_shifted(double *s, double *q, const T *x, Py_ssize_t n, A k,
                             Py_ssize_t ahead) noexcept nogil:
    """OUT s, q: the sums of x - k and of (x - k)^2 over n items."""
    cdef A a[LANES]
    cdef A b[LANES]
    cdef Py_ssize_t block
    s[0] = q[0] = 0
    for block in range((n + BLOCK - 1) // BLOCK):
        clear_lanes(a, b)
        add_shifted(a, b, x + block * BLOCK, min(n - block * BLOCK, <Py_ssize_t>BLOCK), k, ahead)
        s[0] += fold_lanes(a)
        q[0] += fold_lanes(b)


cdef inline void moments(double *mean, double *var, const T *x, Py_ssize_t n) noexcept nogil:
    """OUT mean, var, from sums about a value near the mean, so that little cancels."""
    cdef double s, q, k
    cdef T near = x[0] / 4 + x[n // 4] / 4 + x[n // 2] / 4 + x[n - 1 - n // 4] / 4
    sum_shifted(&s, &q, x, n, near, n)      # the next row is asked for meanwhile
    k = near
    if not trusted(s, q, n, 0.9375, sizeof(T)):
        # Four bits are lost, or T has lost a square. In double, about the mean of the first look
        k = k + s / n if isfinite(s) else x[0]
        sum_shifted(&s, &q, x, n, k, <Py_ssize_t>0)
    mean[0] = k + s / n
    var[0] = max(0.0, (q - s * (s / n)) / n)


cdef void forward_rows(T *y, double *stats, const T *x, const double *weight, const double *bias,
                       Py_ssize_t start, Py_ssize_t stop, Py_ssize_t C, Py_ssize_t L, double part,
                       double eps, bint stream) noexcept nogil:
    cdef Py_ssize_t i
    cdef double mean, var, scale
    cdef T centre
    for i in range(start, stop):
        moments(&mean, &var, x + i * L, L)
        stats[2 * i] = mean
        stats[2 * i + 1] = 1 / sqrt(var + eps)
        scale = weight[i % C] * stats[2 * i + 1]
        centre = <T>mean                # what rounding it leaves out is put right in the shift
        normalize(y + i * L, x + i * L, L, centre, <T>scale,
                  <T>(bias[i % C] + scale * (centre - part * mean)), stream, L)
    if stream:
        stream_fence()


cdef void backward_rows(T *dx, double *sums, const T *dy, const T *x, const double *stats,
                        const double *weight, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t C,
                        Py_ssize_t L, double part, bint stream) noexcept nogil:
    cdef T a[LANES]
    cdef T b[LANES]
    cdef Py_ssize_t i, block, first
    cdef double mean, rstd, rest, along, s, q
    cdef T centre
    for i in range(start, stop):
        mean, rstd = stats[2 * i], stats[2 * i + 1]
        centre = <T>mean
        rest = mean - centre
        s = q = 0
        for block in range((L + BLOCK - 1) // BLOCK):
            first = i * L + block * BLOCK
            clear_lanes(a, b)
            add_products(a, b, dy + first, x + first, min(L - block * BLOCK, <Py_ssize_t>BLOCK),
                         centre, <T>rstd, L, L)
            s += fold_lanes(a)
            q += fold_lanes(b)
        q += ((1 - part) * mean - rest) * rstd * s      # about part * mean, not about centre
        sums[2 * i] = q
        sums[2 * i + 1] = s
        along = rstd * q / L
        gradient(dx + i * L, dy + i * L, x + i * L, L, <T>1, centre, <T>along,
                 <T>(part * s / L - rest * along), <T>(weight[i % C] * rstd), stream, L)
    if stream:
        stream_fence()


def forward(T[:, :, ::1] y, double[:, :, ::1] stats, const T[:, :, ::1] x,
            const double[:, ::1] weight, const double[:, ::1] bias, double part, double eps,
            int threads, bint stream):
    """y = (x - part*mean)*rstd*weight + bias. OUT y: (N, C, L); stats: (N, C, 2), mean and rstd."""
    cdef Py_ssize_t t, C = x.shape[1], L = x.shape[2], rows = x.shape[0] * C
    for t in prange(threads, nogil=True, num_threads=threads, use_threads_if=threads > 1,
                    schedule="static", chunksize=1):
        forward_rows(&y[0, 0, 0], &stats[0, 0, 0], &x[0, 0, 0], &weight[0, 0], &bias[0, 0],
                     rows * t // threads, rows * (t + 1) // threads, C, L, part, eps, stream)


def backward(T[:, :, ::1] dx, double[:, :, ::1] sums, const T[:, :, ::1] dy, const T[:, :, ::1] x,
             const double[:, :, ::1] stats, const double[:, ::1] weight, double part, int threads,
             bint stream):
    """OUT dx: (N, C, L); sums: (N, C, 2), those of dy*xhat and of dy. stats: what forward left."""
    cdef Py_ssize_t t, C = x.shape[1], L = x.shape[2], rows = x.shape[0] * C
    for t in prange(threads, nogil=True, num_threads=threads, use_threads_if=threads > 1,
                    schedule="static", chunksize=1):
        backward_rows(&dx[0, 0, 0], &sums[0, 0, 0], &dy[0, 0, 0], &x[0, 0, 0], &stats[0, 0, 0],
                      &weight[0, 0], rows * t // threads, rows * (t + 1) // threads, C, L, part,
                      stream)
