# Which channels the arithmetic of T is not good enough for.
#
# The steps of rows.pxi and columns.pxi compute in T and look at each item once. A channel is
# doubtful where that leaves the range of T, or cancels, although what comes out may be right:
# deviations, products or a coefficient beyond the largest number or below the least precise one, or
# a dy whose mean is large against what is left without it. It is found by its sums and coefficients
# alone; the few channels that these cannot clear are looked at item by item, up to the first items
# that do. Doubtful ones are done again in double (wide.pxi), all others are as they would be if
# there were no doubt, to the bit. job.unit is not 0 where a channel is doubtful, and job.doubtful
# tells of a unit whether it has any.
#
# Rejected: a sum of dy^2 beside the two sums of a backward (the lanes then no longer fit into
# registers); a few sampled items in its place (outliers among them hide the rest).

cdef enum:
    MOST_MEAN = 16          # standard deviations of dy that its mean may have in T: four bits


cdef inline double most_of() noexcept nogil:
    """Numbers below it, and above its reciprocal, may be added and multiplied in T."""
    return 2.0 ** 100 if sizeof(T) < sizeof(double) else 2.0 ** 900


cdef inline double unit_for(double mean, double rstd) noexcept nogil:
    """What x is multiplied by, so that deviations are finite."""
    if sizeof(T) < sizeof(double):
        return 1
    return 0.25 if fabs(mean) >= most_of() or rstd * most_of() <= 1 else 1


cdef inline bint any_doubt(Job *job, Py_ssize_t u) noexcept nogil:
    cdef const double *unit = job.unit
    cdef bint found = False
    cdef Py_ssize_t c
    for c in range(first_channel(job, u), last_channel(job, u)):
        found |= unit[c] != 0
    return found


cdef inline bint in_range(double mean, double rstd, double weight, double more,
                          double most) noexcept nogil:
    """Can T hold what is between x, xhat and the output? No branch: loops of it become vectors."""
    cdef double scale = fabs(weight * rstd), least = 1 / most
    return ((fabs(mean) + fabs(more) + scale < most)
            & ((scale > least) | (weight == 0)))


cdef inline void doubt_output(Job *job, Py_ssize_t u) noexcept nogil:
    cdef double most = most_of()
    cdef const double *mean = job.mean
    cdef const double *rstd = job.rstd
    cdef const double *weight = job.weight
    cdef const double *bias = job.bias
    cdef double *unit = job.unit
    cdef Py_ssize_t c
    for c in range(first_channel(job, u), last_channel(job, u)):
        unit[c] = 0.0 if in_range(mean[c], rstd[c], weight[c], fabs(weight[c]) + fabs(bias[c]),
                                  most) else 1.0
    job.doubtful[u] = any_doubt(job, u)
    if unlikely(job.doubtful[u]):
        for c in range(first_channel(job, u), last_channel(job, u)):
            if unit[c] != 0:
                unit[c] = unit_for(mean[c], rstd[c])


cdef void doubt_sums(Job *job, Py_ssize_t u) noexcept nogil:
    """Find the channels whose dbias and dweight are not to be trusted, and sum them again.

    Most are cleared by the two sums alone: |dweight| is at most m standard deviations of dy, by the
    inequality of Cauchy and Schwarz. The others have to be cleared by their items. NaN clears
    nothing.
    """
    cdef double m = <double>(job.N * job.L), most = most_of(), s1, s2
    cdef double least = least_products(m, 1)
    cdef bint past = job.task != GRADIENT       # statistics are constants: nothing is subtracted
    cdef bint fine, found = False
    cdef double *unit = job.unit
    cdef const double *mean = job.mean
    cdef const double *rstd = job.rstd
    cdef const double *weight = job.weight
    cdef const double *dbias = job.dbias
    cdef const double *dweight = job.dweight
    cdef Py_ssize_t c
    job.doubtful[u] = False
    for c in range(first_channel(job, u), last_channel(job, u)):
        s1, s2 = fabs(dbias[c]), fabs(dweight[c])
        unit[c] = 0.0 if (in_range(mean[c], rstd[c], weight[c], rstd[c] * (1 + s2) + s1 + s2, most)
                          & ((s1 <= MOST_MEAN * s2) | past)
                          & (s2 > least) & (s2 * rstd[c] > least)) else 1.0
    if not any_doubt(job, u):
        return
    for c in range(first_channel(job, u), last_channel(job, u)):
        if unit[c] != 0:
            s1, s2 = fabs(dbias[c]), fabs(dweight[c])
            fine = (in_range(mean[c], rstd[c], weight[c], rstd[c] * (1 + s2) + s1 + s2, most)
                    and rstd[c] * most > 1
                    and (past or s1 <= MOST_MEAN * s2 or spreads(job, c))
                    and (s2 * min(1.0, rstd[c]) > least or holds(job, c)))
            unit[c] = 0 if fine else unit_for(mean[c], rstd[c])
            found |= not fine
    job.doubtful[u] = found
    if unlikely(found):
        if job.sums_given:
            centre_given(job, u)
        else:
            look_again(job, u)


cdef void centre_given(Job *job, Py_ssize_t u) noexcept nogil:
    """As look_again leaves it, where the sums are given: k, and s1 about it."""
    cdef double m = <double>(job.N * job.L)
    cdef Py_ssize_t c
    for c in range(first_channel(job, u), last_channel(job, u)):
        if job.unit[c] != 0:
            job.k[c] = job.dbias[c] / m
            job.s1[c] = job.dbias[c] - job.k[c] * m
            job.rest[c] = 0


cdef inline double least_products(double m, double rstd) noexcept nogil:
    """A sum of |dy*xhat| from which on neither it nor its coefficient lost bits to underflow."""
    return m * 1024 / most_of() / min(1.0, rstd)


cdef bint spreads(Job *job, Py_ssize_t c) noexcept nogil:
    """Has dy the spread that its mean may have? As many items are looked at as show it."""
    cdef double mean = job.dbias[c] / <double>(job.N * job.L), found = 0, away
    cdef double enough = job.dbias[c] * mean / (MOST_MEAN * MOST_MEAN)
    cdef const S *dy = job.dy + c * job.L
    cdef const S *y = job.y + c * job.L
    cdef Py_ssize_t r, i
    for r in range(job.N):
        for i in range(job.L):
            away = gated_item(job, dy + i, y + i) - mean
            found += away * away
            if found >= enough:
                return True
        dy += job.dy_stride
        if job.gating:
            y += job.y_stride
    return False


cdef bint holds(Job *job, Py_ssize_t c) noexcept nogil:
    """Are dy*xhat large enough for T, or all 0? As many items are looked at as show it."""
    cdef double m = <double>(job.N * job.L), mean = job.mean[c], found = 0, g
    cdef double enough = least_products(m, job.rstd[c])
    cdef const S *dy
    cdef const S *x
    cdef const S *y
    cdef Py_ssize_t r, i
    for r in range(job.N):
        x = job.x + r * job.x_stride + c * job.L
        dy = job.dy + r * job.dy_stride + c * job.L
        y = job.y + r * job.y_stride + c * job.L
        for i in range(job.L):
            if item(dy + i) != 0 and item(x + i) != mean:
                g = gated_item(job, dy + i, y + i)
                found += fabs(g * ((item(x + i) - mean) * job.rstd[c]))
        if found >= enough:
            return True
    return found == 0
