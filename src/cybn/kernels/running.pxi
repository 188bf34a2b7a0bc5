# Running statistics move here and nowhere else in the kernels: last, when nothing can fail any
# more, and at once, without releasing the GIL, so that threads that share a layer lose no update.
#
# `settled` comes right before. A Ctrl-C that came while a kernel ran is raised there, and what was
# to move stays as it was.

cdef struct Running:
    Channels mean, var      # each where it is there
    long long *count


cdef inline double bounded(double value, double most) noexcept nogil:
    """value, `most` instead of what is larger; NaN stays NaN."""
    cdef double held = -most if value < -most else value
    return most if held > most else held


cdef inline int settled() except -1:
    """Raise here what a signal handler raises, before anything moves that cannot be taken back."""
    return PyErr_CheckSignals()


cdef inline double weight_of(double momentum, const long long *count) noexcept:
    """The weight of a batch; negative stands for the cumulative average."""
    if momentum >= 0:
        return momentum
    return 0 if count == NULL else 1 / (count[0] + 1.0)


cdef inline void move_each(char *at, Py_ssize_t step, bint single, Py_ssize_t n,
                           const double *values, const double *mean, double m,
                           double weight, bint whole) noexcept nogil:
    """See move. whole: the weight is 1. One question at a time, for vectors."""
    cdef double most = FLT_MAX if single else DBL_MAX, before, value, to, held
    cdef double count = m if m != 0 else 1, others = m - 1 if m != 0 else 1
    cdef Py_ssize_t c
    for c in range(n):
        before = number_at(at + c * step, single)
        value = values[c] * count / others
        to = value if whole else before + weight * (value - before)
        held = bounded(to, most)
        held = held if fabs(before) <= DBL_MAX else to
        set_number(at + c * step, single, held if fabs(mean[c]) <= DBL_MAX else to)


cdef loop move(const Channels *running, const double *values, const double *mean, double m,
               double weight) noexcept nogil:
    """running += weight * (values - running), exact where the weight is 0 or 1.

    values are biased variances of m values; m = 0: as they are. A finite batch, which its mean
    tells, leaves a running value finite: the largest number of its dtype stands for what is
    larger, from where later batches bring it back.
    """
    if weight == 0:
        return
    if weight != 1 and are_floats(running):
        move_each(running.at, sizeof(float), True, running.n, values, mean, m, weight, False)
    elif weight != 1 and are_doubles(running):
        move_each(running.at, sizeof(double), False, running.n, values, mean, m, weight, False)
    else:
        move_each(running.at, running.step, running.single, running.n, values, mean, m, weight,
                  weight == 1)


cdef inline void follow(const Running *running, const double *mean, const double *var, Py_ssize_t m,
                        double momentum) noexcept:
    """Move what is there to the statistics of a batch of m values per channel. A full count stays
    full; m = 0: var is unbiased already."""
    cdef double weight = weight_of(momentum, running.count)
    if running.count != NULL and running.count[0] < LLONG_MAX:
        running.count[0] += 1
    move(&running.mean, mean, mean, 0, weight)
    move(&running.var, var, mean, <double>m, weight)
