# From the sums of a channel to its statistics and to the coefficients of the outputs. Rows and
# columns share it: they differ in how they sum, not in what the sums mean.
#
# A sum of n items is kept as (k, s1, s2) = (k, sum(x - k), sum((x - k)^2)) with the shift k an item
# of the data, so that x - k is small and, for data on a grid, exact. Sums about other shifts are
# moved to k exactly on such data, so any split merges to the whole. Rejected: mean and M2 merged by
# Chan's formula (the division by n makes each merge inexact), Welford (a division per item).

cdef inline double least_square(T x) noexcept nogil:
    """Below this a sum of squares in T may have lost bits to underflow."""
    return 1e-30 if T is float else 1e-280


cdef inline double most_square(T x) noexcept nogil:
    """Above this a sum of squares in T may have overflowed on its way."""
    return 1e37 if T is float else 1e300


cdef inline bint trusted(double s1, double s2, Py_ssize_t n,
                         double least, double most) noexcept nogil:
    """Are these sums good enough to take the variance from?

    s2 - s1^2/n cancels where the shift was far from the mean; up to a factor of 4 is allowed,
    two bits, and next to nothing for few items, of which less error is expected. NaN is never
    trusted.
    """
    cdef double far = 0.75 if n > SMALL else 1 / 64.
    return (s1 == 0 and s2 == 0) or (least < s2 and s2 < most and s1 * s1 <= far * n * s2)


cdef inline T lesser(T a, T b) noexcept nogil:
    return a if a < b else b


cdef inline T larger(T a, T b) noexcept nogil:
    return b if a < b else a


cdef inline T median5(T a, T b, T c, T d, T e) noexcept nogil:
    """The median of five: a shift near the mean that is itself an item. No branch to mispredict."""
    cdef T low = larger(lesser(a, b), lesser(c, d))
    cdef T high = lesser(larger(a, b), larger(c, d))
    return larger(lesser(low, high), lesser(larger(low, high), e))


cdef inline T *coef_of(Job *job, int which, T kind) noexcept nogil:
    return <T *>job.coef + which * job.width


cdef inline void spread(Job *job, T *to, Py_ssize_t c, T value) noexcept nogil:
    """Write the value to every position of channel c in an array of `width`."""
    cdef Py_ssize_t f, i
    to += c * job.each
    for f in range(job.fold):
        for i in range(job.each):
            to[i] = value
        to += job.C * job.each


cdef inline T clamped(double value, T kind) noexcept nogil:
    """value as T, the largest finite one instead of infinity: 0*scale is then 0, never NaN."""
    cdef double most = FLT_MAX if T is float else DBL_MAX
    return <T>min(max(value, -most), most) if value == value else <T>value


cdef inline void settle_output(Job *job, Py_ssize_t c, T mean, double rest) noexcept nogil:
    """Coefficients of y = (x - mean)*scale + shift, where the mean is mean + rest."""
    cdef double scale = job.weight[c] * job.rstd[c]
    spread(job, coef_of(job, 0, mean), c, mean)
    spread(job, coef_of(job, 1, mean), c, clamped(scale, mean))
    spread(job, coef_of(job, 2, mean), c, <T>(job.bias[c] - rest * scale))


cdef inline void settle_moments(Job *job, Py_ssize_t c, double k, double s1, double s2,
                                T kind) noexcept nogil:
    """mean, var and rstd of channel c from its sums about k, and the coefficients of y."""
    cdef Py_ssize_t m = job.N * job.L
    cdef double var = (s2 - s1 * s1 / m) / m
    cdef T mean
    job.mean[c] = k + s1 / m
    job.var[c] = 0 if var < 0 else var
    job.rstd[c] = 1 / sqrt(job.var[c] + job.eps)
    mean = <T>job.mean[c]
    settle_output(job, c, mean, (k - mean) + s1 / m)


cdef inline void settle_inference(Job *job, Py_ssize_t c, T kind) noexcept nogil:
    cdef T mean = <T>job.mean[c]
    settle_output(job, c, mean, job.mean[c] - mean)


cdef inline void settle_products(Job *job, Py_ssize_t c, T kind) noexcept nogil:
    """The coefficients that the sums of dy and dy*xhat need."""
    spread(job, coef_of(job, 0, kind), c, <T>job.mean[c])
    spread(job, coef_of(job, 1, kind), c, clamped(job.rstd[c], kind))


cdef inline void settle_gradient(Job *job, Py_ssize_t c, double s1, double s2,
                                 T kind) noexcept nogil:
    """dbias, dweight and the coefficients of dx from s1 = sum(dy) and s2 = sum(dy*xhat).

    xhat was computed with the mean rounded to T; `rest` puts right what rounding left out.
    Statistics that were given (running ones) are constants: then dx = scale*dy alone.
    """
    cdef Py_ssize_t m = job.N * job.L
    cdef double rest = (job.mean[c] - <T>job.mean[c]) * job.rstd[c]
    cdef double dweight = s2 - rest * s1
    cdef double scale = job.weight[c] * job.rstd[c]
    job.dbias[c] = s1
    job.dweight[c] = dweight
    # dx = ((dy - coef 2) - (x - coef 0)*coef 1) * coef 3; or as y, with coefs 2, 3 and 4.
    if job.task == GRADIENT:
        spread(job, coef_of(job, 1, kind), c, clamped(dweight / m * job.rstd[c], kind))
        spread(job, coef_of(job, 2, kind), c, <T>((s1 - rest * dweight) / m))
    else:
        spread(job, coef_of(job, 2, kind), c, <T>0)
        spread(job, coef_of(job, 4, kind), c, <T>0)
    spread(job, coef_of(job, 3, kind), c, clamped(scale, kind))
