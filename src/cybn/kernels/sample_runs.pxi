# Rows of several runs, taken whole: as the steps of sample_forward.pxi and sample_back.pxi have
# them, to the bit, but what a row has for all of its runs is laid out once, and the sums of runs
# are added up where they are made.

cdef leaf reduce_runs(Samples *job, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """As reduce_products, of short runs; the sums of rows, weighted, go to g_mean and g_xhat."""
    cdef double room[2][MOST_CELLS]
    cdef double rests[MOST_CELLS]
    cdef Py_ssize_t count
    cdef Lines lines
    while first < last:
        count = min(<Py_ssize_t>MOST_CELLS, last - first)
        lay_out_sums(&lines, rests, filled_up(room[0], job.mean + first, count),
                     filled_up(room[1], job.rstd + first, count))
        sum_rows_of_runs(job, first, &lines, rests, count)
        first += count


cdef inline always sum_rows_of_runs(Samples *job, Py_ssize_t first, const Lines *lines,
                                    const double *rests, Py_ssize_t count) noexcept nogil:
    cdef const S *dy = job.dy + first * job.n
    cdef const S *x = job.x + first * job.n
    cdef double *out = job.sums + (first - job.row) * job.row_sums
    cdef const double *weights
    cdef Py_ssize_t r, i, n = job.run, owners = job.owners, group = group_of(job, first)
    cdef double s, q, s1, s2
    cdef T s_lanes[8]
    cdef T q_lanes[8]
    for r in range(count):
        weights = job.weight + group * owners
        s1 = s2 = 0
        for i in range(owners):
            products_in_eight(s_lanes, q_lanes, dy, x, dy, n, lines.mean[r], lines.scale[r], <T>1,
                              <T>1, False)
            fold_eight(&s, s_lanes)
            fold_eight(&q, q_lanes)
            q = q - rests[r] * s
            out[0], out[1] = s, q
            s1 += weights[i] * s
            s2 += weights[i] * q
            dy, x, out = dy + n, x + n, out + 2
        job.g_mean[first + r], job.g_xhat[first + r] = s1, s2
        group = group + 1 if group + 1 < job.groups else 0


cdef void write_whole_rows(Samples *job, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """As write_back_cells: the same numbers."""
    cdef double room[4][MOST_CELLS]
    cdef Py_ssize_t count, r
    cdef bint wide
    cdef Lines lines
    while first < last:
        count = min(<Py_ssize_t>MOST_CELLS, last - first)
        wide = False
        for r in range(first, first + count):
            wide |= job.unit[r] != 0
        if unlikely(wide):
            for r in range(first * job.cells, (first + count) * job.cells):
                write_back_cells(job, NULL, NULL, r, 1)
        else:
            lay_out_back(job, &lines, filled_up(room[0], job.mean + first, count),
                         filled_up(room[1], job.rstd + first, count),
                         filled_up(room[2], job.g_mean + first, count),
                         filled_up(room[3], job.g_xhat + first, count), False)
            if job.whole:       # without an end to each run
                write_spread_lines(job, first, &lines, count)
            else:
                write_runs_back(job, first, &lines, count)
        first += count


cdef leaf write_spread_lines(Samples *job, Py_ssize_t first, const Lines *lines,
                             Py_ssize_t count) noexcept nogil:
    """dx of rows."""
    cdef Py_ssize_t i, n = job.n, ahead = job.ahead, width = job.groups * n
    cdef Py_ssize_t at = group_of(job, first) * n
    cdef S *dx = job.out + first * n
    cdef const S *dy = job.dy + first * n
    cdef const S *x = job.x + first * n
    cdef const T *weights = job.weights
    cdef bint stream = job.stream
    cdef T coefs[5]
    for i in range(count):
        coefs_of(coefs, lines, i)
        weighted_run(dx, <T *>NULL, <T *>NULL, dy, x, weights + at, n, coefs, False, False, stream,
                     ahead)
        dx, dy, x = dx + n, dy + n, x + n
        at = place_after(at, n, width)


cdef leaf write_runs_back(Samples *job, Py_ssize_t first, const Lines *lines,
                          Py_ssize_t count) noexcept nogil:
    """dx of rows."""
    cdef S *dx = job.out + first * job.n
    cdef const S *dy = job.dy + first * job.n
    cdef const S *x = job.x + first * job.n
    cdef const double *weights
    cdef Py_ssize_t r, i, n = job.run, owners = job.owners, group = group_of(job, first)
    cdef Py_ssize_t ahead = job.ahead
    cdef bint stream = job.stream
    for r in range(count):
        weights = job.weight + group * owners
        for i in range(owners):
            gradient_run(dx, <S *>NULL, dy, x, dy, n, <T>weights[i], lines.mean + r,
                         lines.along + r, lines.dy_mean + r, lines.scale + r, False, <T>1, <T>1,
                         False, stream, ahead)
            dx, dy, x = dx + n, dy + n, x + n
        group = group + 1 if group + 1 < job.groups else 0


cdef leaf write_runs(Samples *job, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """As write_normal."""
    cdef Py_ssize_t r
    for r in range(first, last):
        # a scale so small that T loses bits of it
        if unlikely(job.unit[r] != 0 or not fabs(job.rstd[r]) * job.least * most_of() >= 1):
            write_normal(job, r * job.cells, (r + 1) * job.cells)
        else:
            write_row_of_runs(job, r)


cdef inline always write_row_of_runs(Samples *job, Py_ssize_t r) noexcept nogil:
    cdef Py_ssize_t i, n = job.run, first = group_of(job, r) * job.owners, ahead = job.ahead
    cdef S *y = job.out + r * job.n
    cdef const S *x = job.x + r * job.n
    cdef const double *weights = job.weight + first
    cdef const double *biases = job.bias + first
    cdef double rstd = job.rstd[r], rest = job.rest[r], wide
    cdef T mean = <T>job.mean[r], scale, shift
    cdef bint stream = job.stream
    for i in range(job.owners):
        wide = rstd * weights[i]
        scale, shift = <T>wide, <T>(biases[i] - rest * wide)
        normalize_run(y, x, x, n, &mean, &scale, &shift, &mean, &mean, False, False, <T>1, <T>1,
                      False, False, stream, ahead)
        y, x = y + n, x + n
