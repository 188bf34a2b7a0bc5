# Running statistics move here and nowhere else in the kernels: last, when nothing can fail any
# more, and at once, without releasing the GIL, so that threads that share a layer lose no update.
#
# `settled` comes right before. A Ctrl-C that came while a kernel ran is raised there, and what was
# to move stays as it was.

cdef struct Running:
    Channels mean, var      # each where it is there
    long long *count


cdef inline double moved(double running, double value, double momentum) noexcept nogil:
    """running + momentum * (value - running), exact where momentum is 0 or 1."""
    if momentum == 0:
        return running
    return value if momentum == 1 else running + momentum * (value - running)


cdef inline int settled() except -1:
    """Raise here what a signal handler raises, before anything moves that cannot be taken back."""
    return PyErr_CheckSignals()


cdef inline double weight_of(double momentum, const long long *count) noexcept:
    """The weight of a batch; negative stands for the cumulative average."""
    if momentum >= 0:
        return momentum
    return 0 if count == NULL else 1 / (count[0] + 1.0)


cdef inline void move(const Channels *running, const double *values, const double *mean,
                      double m, double weight) noexcept:
    """running towards values, which are biased variances of m values; m = 0: as they are.

    A finite batch, which its mean tells, leaves a running value finite: the largest number of its
    dtype stands for what is larger, from where later batches bring it back.
    """
    cdef double most = FLT_MAX if running.single else DBL_MAX, before, to
    cdef Py_ssize_t c
    for c in range(running.n):
        before = value_at(running, c)
        to = moved(before, values[c] if m == 0 else values[c] * m / (m - 1), weight)
        set_value(running, c, bounded(to, most) if isfinite(mean[c]) and isfinite(before) else to)


cdef inline void follow(const Running *running, const double *mean, const double *var, Py_ssize_t m,
                        double momentum) noexcept:
    """Move what is there to the statistics of a batch of m values per channel. A full count stays
    full; m = 0: var is unbiased already."""
    cdef double weight = weight_of(momentum, running.count)
    if running.count != NULL and running.count[0] < LLONG_MAX:
        running.count[0] += 1
    move(&running.mean, mean, mean, 0, weight)
    move(&running.var, var, mean, <double>m, weight)
