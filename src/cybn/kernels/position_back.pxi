# The gradient of positions.pxi.

cdef inline always add_hats(T *s, T *q, const S *dy, const S *x, Py_ssize_t n, const T *mean,
                            const T *rstd, const T *shift, T weight) noexcept nogil:
    """s += dy*weight, q += dy*weight*xhat of up to LANES items side by side."""
    cdef T dy_room[LANES]
    cdef T x_room[LANES]
    cdef T g
    cdef Py_ssize_t j
    read(dy_room, dy, n, n == LANES, True)
    read(x_room, x, n, n == LANES, True)
    for j in range(n):
        g = loaded(dy_room, dy, j) * weight
        s[j] += g
        q[j] += g * xhat(loaded(x_room, x, j), mean[j], rstd[j], shift[j])


cdef inline always add_hats_down(T *s, T *q, const S *dy, const S *x, Py_ssize_t lines,
                                 Py_ssize_t line, Py_ssize_t n, const T *mean, const T *rstd,
                                 const T *shift, const T *weight) noexcept nogil:
    """The same down n positions of a few lines."""
    cdef T a[LANES]
    cdef T b[LANES]
    cdef Py_ssize_t i, j, r, at
    for i in range(n // LANES):
        at = i * LANES
        for j in range(LANES):
            a[j] = s[at + j]
        for j in range(LANES):
            b[j] = q[at + j]
        for r in range(lines):
            fetch_far(dy + (r + COLUMN_STEP) * line + at, LANES)
            fetch_far(x + (r + COLUMN_STEP) * line + at, LANES)
            add_hats(a, b, dy + r * line + at, x + r * line + at, LANES, mean + at, rstd + at,
                     shift + at, weight[r])
        for j in range(LANES):
            s[at + j] = a[j]
        for j in range(LANES):
            q[at + j] = b[j]
    at = n // LANES * LANES
    for r in range(lines):
        add_hats(s + at, q + at, dy + r * line + at, x + r * line + at, n - at, mean + at,
                 rstd + at, shift + at, weight[r])


cdef leaf sum_products_down(Positions *job, Band s) noexcept nogil:
    """The sums of g = dy*weight and of g*xhat of a band."""
    cdef const T *coef = job.coef
    cdef Py_ssize_t w = job.width, step, c, n = s.n
    cdef T a[WIDEST]
    cdef T b[WIDEST]
    memset(job.sums, 0, 2 * w * sizeof(double))
    memset(a, 0, n * sizeof(T))
    memset(b, 0, n * sizeof(T))
    for step in range(ceil_div(job.C, COLUMN_STEP)):
        c = step * COLUMN_STEP
        add_hats_down(a, b, s.dy + c * job.L, s.x + c * job.L,
                      min(<Py_ssize_t>COLUMN_STEP, job.C - c), job.L, n, coef, coef + w,
                      coef + 2 * w, job.row.weights + c)
        if (c + COLUMN_STEP) % COLUMN_RUN == 0:
            empty(job.sums, a, n)
            empty(job.sums + w, b, n)
    empty(job.sums, a, n)
    empty(job.sums + w, b, n)


cdef inline always add_hats_along(T *to, const S *dy, const S *x, Py_ssize_t n, const T *mean,
                                  const T *rstd, const T *shift) noexcept nogil:
    """to += the sums of dy and dy*xhat over n positions, LINE_SUMS each."""
    cdef T a[LANES]
    cdef T b[LANES]
    cdef T s[LANES]
    cdef T q[LANES]
    cdef Py_ssize_t i, at = n // LANES * LANES
    clear_lanes(a, b)
    for i in range(n // LANES):
        add_hats(a, b, dy + i * LANES, x + i * LANES, LANES, mean + i * LANES, rstd + i * LANES,
                 shift + i * LANES, <T>1)
    for i in range(LANES):
        s[i] = a[i]
    for i in range(LANES):
        q[i] = b[i]
    add_hats(s, q, dy + at, x + at, n - at, mean + at, rstd + at, shift + at, <T>1)
    for i in range(LINE_SUMS):
        to[i] += (s[i] + s[i + 16]) + (s[i + 8] + s[i + 24])
    for i in range(LINE_SUMS):
        to[LINE_SUMS + i] += (q[i] + q[i + 16]) + (q[i + 8] + q[i + 24])


cdef void empty_lines(Positions *job, double *shared) noexcept nogil:
    """What lines have summed, to dbias and dweight of a shard."""
    cdef T *line = job.lines
    cdef Py_ssize_t c
    for c in range(job.C):
        shared[c] += sum_line(line)
        shared[job.C + c] += sum_line(line + LINE_SUMS)
        line += 2 * LINE_SUMS
    memset(job.lines, 0, 2 * LINE_SUMS * job.C * sizeof(T))


cdef inline double sum_line(const T *line) noexcept nogil:
    cdef double a[4]
    cdef Py_ssize_t j
    for j in range(4):
        a[j] = <double>line[j] + <double>line[j + 4]
    return (a[0] + a[2]) + (a[1] + a[3])


cdef leaf write_gradient_down(Positions *job, Band s, Py_ssize_t j, Py_ssize_t n) noexcept nogil:
    """dx of n positions from the j-th of a band on, and what they add to dbias and dweight."""
    cdef const T *coef = job.coef + j
    cdef Py_ssize_t c, w = job.width, at = j
    for c in range(job.C):
        add_hats_along(job.lines + 2 * LINE_SUMS * c, s.dy + at, s.x + at, n, coef, coef + w,
                       coef + 2 * w)
        gradient_run(s.out + at, <S *>NULL, s.dy + at, s.x + at, s.dy, n, job.row.weights[c], coef,
                     coef + 3 * w, coef + 4 * w, coef + w, True, <T>1, <T>1, False, job.stream,
                     job.ahead)
        at += job.L


cdef void pull_band(Positions *job, Band s) noexcept nogil:
    """Sums and coefficients of a band, and which positions are in doubt."""
    cdef Py_ssize_t w = job.width, j
    cdef double mean, rstd, rest, g, along, m = <double>job.C
    cdef T *coef = job.coef
    cdef Samples *row = &job.row
    for j in range(s.n):
        mean, rstd = job.mean[s.first + j], job.rstd[s.first + j]
        coef[j], coef[w + j] = <T>mean, clamped(rstd)
        coef[2 * w + j] = <T>(-(mean - <T>mean) * rstd)
    sum_products_down(job, s)
    for j in range(s.n):
        g, along = job.sums[j], job.sums[w + j]
        row.mean, row.rstd, row.unit[0] = job.mean + s.first + j, job.rstd + s.first + j, 0
        job.doubt[j] = doubtful_row(row, 0) or not (
            sums_clear(row, 0, g, along)
            or cleared_row(row, 0, s.x + j, s.dy + j, job.L, g, along))
    for j in range(s.n):
        rstd, along = job.rstd[s.first + j], job.sums[w + j] / m
        rest = (job.mean[s.first + j] - coef[j]) * rstd
        g = job.sums[j] / m if row.centred else 0
        coef[3 * w + j], coef[4 * w + j] = clamped(along * rstd), <T>(g - rest * along)
