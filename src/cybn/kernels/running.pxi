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


cdef inline Py_ssize_t first_unfit(const P *running_mean, Py_ssize_t mean_step,
                                   const P *running_var, Py_ssize_t var_step,
                                   const long long *count, const double *mean, const double *var,
                                   Py_ssize_t C, Py_ssize_t m, double momentum) noexcept:
    """The first channel to which `follow` would write what is not finite in P; -1 for none."""
    cdef Py_ssize_t c
    cdef double weight = weight_of(momentum, count)
    for c in range(C):
        if running_mean != NULL and not isfinite(
                <P>moved(running_mean[c * mean_step], mean[c], weight)):
            return c
        if running_var != NULL and not isfinite(
                <P>moved(running_var[c * var_step], unbiased(var[c], m), weight)):
            return c
    return -1


cdef inline void follow(P *running_mean, Py_ssize_t mean_step, P *running_var, Py_ssize_t var_step,
                        long long *count, const double *mean, const double *var, Py_ssize_t C,
                        Py_ssize_t m, double momentum) noexcept:
    """Move what is there of the running statistics to those of a batch of m values per channel.

    A full count stays full.
    """
    cdef Py_ssize_t c
    cdef double weight = weight_of(momentum, count)
    if count != NULL and count[0] < LLONG_MAX:
        count[0] += 1
    if running_mean != NULL:
        for c in range(C):
            running_mean[c * mean_step] = <P>moved(running_mean[c * mean_step], mean[c], weight)
    if running_var != NULL:
        for c in range(C):
            running_var[c * var_step] = <P>moved(running_var[c * var_step], unbiased(var[c], m),
                                                 weight)


def move_running(P[:] running_mean, P[:] running_var, const double[::1] mean,
                 const double[::1] var, double momentum, long long[::1] num_batches_tracked=None,
                 bint must_fit=False):
    """running += momentum * (value - running) and a count one up, each where it is not None.

    momentum: negative stands for 1/num_batches_tracked. must_fit: nothing moves if a value would
    not be finite. Returns the first channel where that is so, else -1.
    """
    cdef Py_ssize_t C = 0 if mean is None else mean.shape[0], unfit = -1
    cdef long long *count = NULL
    if mean is None or var is None or var.shape[0] != C:
        refuse("mean and var", "so many values each, one for each channel",
               "None" if mean is None or var is None else f"{C} and {var.shape[0]}")
    check_length(running_mean, C, "running_mean")
    check_length(running_var, C, "running_var")
    check_count(num_batches_tracked)
    if num_batches_tracked is not None:
        count = &num_batches_tracked[0]
    settled()
    if C == 0:
        return -1
    if must_fit:
        unfit = first_unfit(start_of(running_mean), step_of(running_mean), start_of(running_var),
                            step_of(running_var), count, &mean[0], &var[0], C, 0, momentum)
    if unfit < 0:
        follow(<P *>start_of(running_mean), step_of(running_mean), <P *>start_of(running_var),
               step_of(running_var), count, &mean[0], &var[0], C, 0, momentum)
    return unfit
