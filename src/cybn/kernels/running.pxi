# Running statistics move here and nowhere else in the kernels: last, when nothing can fail any
# more, and at once, without releasing the GIL, so that threads that share a layer lose no update.
#
# `settled` comes right before. A Ctrl-C that came while a kernel ran is raised there, and what was
# to move stays as it was.

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


cdef inline double unbiased(double var, Py_ssize_t m) noexcept:
    """The unbiased variance of m values; m = 0: var is that already."""
    return var if m == 0 else var * m / (m - 1)


cdef inline P held(P running, double value, double weight, bint finite) noexcept nogil:
    """What a running value becomes. A finite batch leaves it finite: the largest number of P stands
    for what is larger, from where later batches bring it back."""
    cdef double to = moved(running, value, weight)
    return clamped(to, running) if finite and isfinite(running) else <P>to


cdef inline void follow(P *running_mean, Py_ssize_t mean_step, P *running_var, Py_ssize_t var_step,
                        long long *count, const double *mean, const double *var, Py_ssize_t C,
                        Py_ssize_t m, double momentum) noexcept:
    """Move what is there of the running statistics to those of a batch of m values per channel.

    A full count stays full.
    """
    cdef Py_ssize_t c
    cdef double weight = weight_of(momentum, count)
    cdef bint finite
    if count != NULL and count[0] < LLONG_MAX:
        count[0] += 1
    if running_mean != NULL:
        for c in range(C):
            running_mean[c * mean_step] = held(running_mean[c * mean_step], mean[c], weight,
                                               isfinite(mean[c]))
    if running_var != NULL:
        for c in range(C):
            running_var[c * var_step] = held(running_var[c * var_step], unbiased(var[c], m), weight,
                                             isfinite(mean[c]))


def move_running(P kind, list steps):
    """Move running statistics by what each step holds (functional/running.py), all or nothing."""
    cdef P[:] mean, var
    cdef long long[::1] count
    cdef const double[:, ::1] stats
    cdef Py_ssize_t m
    cdef double momentum
    cdef bint moving
    for moving in range(2):
        if moving:
            settled()
        for running_mean, running_var, num_batches_tracked, of_batch, m, momentum in steps:
            mean, var, stats = running_mean, running_var, of_batch
            if num_batches_tracked is not None and num_batches_tracked.size != 1:
                refuse("num_batches_tracked", "one value", num_batches_tracked.size)
            count = None if num_batches_tracked is None else num_batches_tracked.reshape(1)
            if stats is None or stats.shape[0] < (1 if var is None else 2):
                refuse("stats", "the rows mean and var", None if stats is None else stats.shape[0])
            check_length(mean, stats.shape[1], "running_mean")
            check_length(var, stats.shape[1], "running_var")
            if moving and stats.shape[1]:
                follow(<P *>start_of(mean), step_of(mean), <P *>start_of(var), step_of(var),
                       NULL if count is None else &count[0], &stats[0, 0],
                       NULL if var is None else &stats[1, 0], stats.shape[1], m, momentum)


def move_anew(P[:] running, double[::1] before, const double[::1] by):
    """running += by - before, and before = by: a move that replaces the one made before it."""
    cdef Py_ssize_t c
    check_length(running, by.shape[0], "running")
    if before.shape[0] != by.shape[0]:
        refuse("before", f"{by.shape[0]} values", before.shape[0])
    settled()
    for c in range(by.shape[0]):
        running[c] = <P>(running[c] + (by[c] - before[c]))
        before[c] = by[c]
