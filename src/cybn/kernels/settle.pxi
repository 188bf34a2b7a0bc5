# From the sums of a channel to its statistics and to the coefficients of the outputs. Rows and
# columns share it: they differ in how they sum, not in what the sums mean.
#
# A sum of n items is kept as (k, s1, s2) = (k, sum(x - k), sum((x - k)^2)) with the shift k an item
# of the data, so that x - k is small and, for data on a grid, exact. Sums about other shifts are
# moved to k exactly on such data, so any split merges to the whole. Rejected: mean and M2 merged by
# Chan's formula (the division by n makes each merge inexact), Welford (a division per item).

cdef enum:
    FLOAT_ROUNDINGS = 16    # of s2, and of s1^2/n, that may come together in a sum down columns
    DOUBLE_ROUNDINGS = 24


# How far from the mean the shift of sums may be (`trusted` of primitives.pxd) depends on how much
# rounding there was, and on the (m + 3) roundings that the two-pass bound has room for. It is given
# as the largest s1^2/(n*s2), which is 1 - 1/factor where the factor is what rounding counts.

cdef inline double far_in_block(Py_ssize_t n) noexcept nogil:
    """Of a block of rows: a factor of 4. Chains of additions grow with n, as the bound does.

    Of few items less error is expected, and next to nothing is allowed. A second look at a block
    that lies in L1 costs so little that the same holds of few items in a block of many.
    """
    return 0.75 if n > FEW_ITEMS else 1 / 64.


cdef inline double far_in_columns(Py_ssize_t m) noexcept nogil:
    """Of a channel of columns: a factor of (m + 3)/ROUNDINGS, of 16 at the most.

    A chain has COLUMN_RUN additions in T however small m is. With float64 what follows is in T too.
    """
    cdef double roundings = FLOAT_ROUNDINGS if sizeof(T) < sizeof(double) else DOUBLE_ROUNDINGS
    return 1 / 64. if m <= FEW_ITEMS else min(0.9375, 1 - roundings / (m + 3))


cdef inline bint good_sums(double s1, double s2, Py_ssize_t n, double far,
                           bint zeros) noexcept nogil:
    """Are the sums of n items to be trusted? zeros: even where both are 0.

    They are for a constant, and for items whose squares T cannot hold.
    """
    return trusted(s1, s2, n, far, sizeof(T)) and (zeros or s2 != 0)


cdef inline bint hides_squares(double eps) noexcept nogil:
    """Is a variance that T takes for 0 nothing beside eps?"""
    return eps > 1e-30


cdef inline T lesser(T a, T b) noexcept nogil:
    return a if a < b else b


cdef inline T larger(T a, T b) noexcept nogil:
    return b if a < b else a


cdef inline T median5(T a, T b, T c, T d, T e) noexcept nogil:
    """The median of five: a shift near the mean that is itself an item. No branch to mispredict."""
    cdef T low = larger(lesser(a, b), lesser(c, d))
    cdef T high = lesser(larger(a, b), larger(c, d))
    return larger(lesser(low, high), lesser(larger(low, high), e))


cdef inline T clamped(double value) noexcept nogil:
    """value as T, the largest finite one instead of infinity: 0*scale is then 0, never NaN.

    No branch: loops of it become vectors.
    """
    cdef double most = FLT_MAX if sizeof(T) < sizeof(double) else DBL_MAX
    value = most if value > most else value
    return <T>(-most if value < -most else value)


cdef inline double sum_doubles(const double *s, Py_ssize_t n) noexcept nogil:
    """The sum of n doubles, in eight lanes."""
    cdef double a[8]
    cdef Py_ssize_t i, j
    for j in range(8):
        a[j] = 0
    for i in range(n // 8):
        for j in range(8):
            a[j] += s[i * 8 + j]
    for j in range(n % 8):
        a[j] += s[n // 8 * 8 + j]
    return ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]))


# Coefficients: one value for each channel, and, where a line of columns has many positions of a
# channel, the same value at each of them. With one position they are the same array.

cdef inline T *coef_of(Job *job, int which) noexcept nogil:
    return job.coef + which * job.width


cdef inline T *channel_coef(Job *job, int which) noexcept nogil:
    return coef_of(job, which) if job.each == 1 else job.channel + which * job.C


cdef inline void spread(Job *job, Py_ssize_t u, A *to, const A *values) noexcept nogil:
    """Write the values of a unit's channels to all their positions in `to`."""
    cdef Py_ssize_t first = first_channel(job, u), last = last_channel(job, u), f, c, i
    cdef Py_ssize_t items = (last - first) * job.each, at = first * job.each
    if job.each == 1 and to != values:
        memcpy(to + at, values + at, items * sizeof(A))
    if job.each > 1:
        for c in range(first, last):
            for i in range(job.each):
                to[c * job.each + i] = values[c]
    for f in range(1, job.fold):
        memcpy(to + f * job.C * job.each + at, to + at, items * sizeof(A))


cdef inline void spread_coef(Job *job, Py_ssize_t u, int which) noexcept nogil:
    spread(job, u, coef_of(job, which), channel_coef(job, which))


cdef inline void settle_mean(Job *job, Py_ssize_t u) noexcept nogil:
    """Coefficient 0: the mean, rounded to T."""
    cdef T *mean = channel_coef(job, 0)
    cdef Py_ssize_t c
    for c in range(first_channel(job, u), last_channel(job, u)):
        mean[c] = <T>job.mean[c]
    spread_coef(job, u, 0)


cdef inline loop settle_output(Job *job, Py_ssize_t u) noexcept nogil:
    """Coefficients 1 and 2 of y = (x - mean)*scale + shift; `rest` is what mean lacks."""
    cdef T *scale = channel_coef(job, 1)
    cdef T *shift = channel_coef(job, 2)
    cdef const double *weight = job.weight
    cdef const double *rstd = job.rstd
    cdef const double *rest = job.rest
    cdef Py_ssize_t c
    for c in range(first_channel(job, u), last_channel(job, u)):
        scale[c] = clamped(weight[c] * rstd[c])
    for c in range(first_channel(job, u), last_channel(job, u)):
        shift[c] = <T>(job.bias[c] - rest[c] * (weight[c] * rstd[c]))
    spread_coef(job, u, 1)
    spread_coef(job, u, 2)


cdef inline loop settle_moments(Job *job, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """mean, var and rstd of channels from their sums s1 and s2 about k. Loops for vectors."""
    cdef double m = <double>(job.N * job.L), eps = job.eps, var
    cdef const double *s1 = job.s1
    cdef const double *s2 = job.s2
    cdef Py_ssize_t c
    for c in range(first, last):
        job.mean[c] = job.k[c] + s1[c] / m
    for c in range(first, last):
        var = (s2[c] - s1[c] * s1[c] / m) / m
        job.var[c] = 0 if var < 0 else var
    for c in range(first, last):
        job.rstd[c] = 1 / sqrt(job.var[c] + eps)


cdef void keep_sums(Job *job, Py_ssize_t u) noexcept nogil:
    """OUT shift, total, squares: k, s1 and s2, from which parts are merged.

    Squares that double does not hold (settle_beyond) are those of x*BEYOND, and negative.
    """
    cdef Py_ssize_t c
    for c in range(first_channel(job, u), last_channel(job, u)):
        job.shift[c], job.total[c], job.squares[c] = job.k[c], job.s1[c], job.s2[c]
        if not isfinite(job.s2[c]):
            job.squares[c] = -(job.N * job.L) * (BEYOND / job.rstd[c]) * (BEYOND / job.rstd[c])


cdef inline loop settle_normal(Job *job, Py_ssize_t u) noexcept nogil:
    """The coefficients of y, once the moments are settled."""
    cdef double m = <double>(job.N * job.L)
    cdef Py_ssize_t c
    cdef const T *mean = channel_coef(job, 0)
    settle_mean(job, u)
    for c in range(first_channel(job, u), last_channel(job, u)):
        job.rest[c] = (job.k[c] - mean[c]) + job.s1[c] / m
    if job.shift != NULL:
        keep_sums(job, u)
    settle_output(job, u)
    doubt_output(job, u)


cdef inline loop settle_given(Job *job, Py_ssize_t u) noexcept nogil:
    """Coefficient 0 and `rest` where the mean is given."""
    cdef Py_ssize_t c
    cdef const T *mean = channel_coef(job, 0)
    settle_mean(job, u)
    for c in range(first_channel(job, u), last_channel(job, u)):
        job.rest[c] = job.mean[c] - mean[c]
    if job.shift != NULL:
        for c in range(first_channel(job, u), last_channel(job, u)):
            job.rest[c] = (job.shift[c] - mean[c]) + job.total[c] / job.count


cdef inline loop settle_products(Job *job, Py_ssize_t u) noexcept nogil:
    """The coefficients that the sums of dy and dy*xhat need."""
    cdef T *rstd = channel_coef(job, 1)
    cdef Py_ssize_t c
    settle_given(job, u)
    for c in range(first_channel(job, u), last_channel(job, u)):
        rstd[c] = clamped(job.rstd[c])
    spread_coef(job, u, 1)


cdef inline loop settle_gradient(Job *job, Py_ssize_t u) noexcept nogil:
    """dbias, dweight and the coefficients of dx from s1 = sum(dy) and s2 = sum(dy*xhat), if the
    two are not given.

    xhat was computed with the mean rounded to T; `rest` puts right what rounding left out.
    dx = ((dy - coef 2) - (x - coef 0)*coef 1) * coef 3. Statistics that were given (running ones)
    are constants: then dx = scale*dy alone, computed as y is, with the coefficients 2, 3 and 4.
    """
    cdef double m = <double>(job.N * job.L)
    cdef bint through = job.task == GRADIENT
    cdef T *along = channel_coef(job, 1)
    cdef T *dy_mean = channel_coef(job, 2)
    cdef T *scale = channel_coef(job, 3)
    cdef T *shift = channel_coef(job, 4)
    cdef const double *rstd = job.rstd
    cdef const double *rest = job.rest
    cdef const double *weight = job.weight
    cdef double *dbias = job.dbias
    cdef double *dweight = job.dweight
    cdef Py_ssize_t c, first = first_channel(job, u), last = last_channel(job, u)
    if not job.sums_given:
        for c in range(first, last):
            dbias[c] = job.s1[c]
        for c in range(first, last):
            dweight[c] = job.s2[c] - rest[c] * rstd[c] * dbias[c]
    if through:
        for c in range(first, last):
            along[c] = clamped(dweight[c] / m * rstd[c])
        for c in range(first, last):
            dy_mean[c] = <T>((dbias[c] - rest[c] * rstd[c] * dweight[c]) / m)
    else:
        for c in range(first, last):
            dy_mean[c] = 0
            shift[c] = 0
    for c in range(first, last):
        scale[c] = clamped(weight[c] * rstd[c])
    spread_coef(job, u, 1)
    spread_coef(job, u, 2)
    spread_coef(job, u, 3)
    if not through:
        spread_coef(job, u, 4)
    doubt_sums(job, u)
