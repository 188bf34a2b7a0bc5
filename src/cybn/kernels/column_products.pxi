# The gradient of columns.pxi: sums of dy and dy*xhat down the columns, and dx.

cdef inline always sum_product_step(T *s, T *q, const S *dy, Py_ssize_t dy_stride, const S *x,
                                    Py_ssize_t x_stride, const S *y, Py_ssize_t y_stride,
                                    Py_ssize_t lines, Py_ssize_t n, const T *mean, const T *rstd,
                                    bint gating, T slope, T most, Py_ssize_t dy_ahead,
                                    Py_ssize_t x_ahead) noexcept nogil:
    """s += sum(dy), q += sum(dy*(x - mean)*rstd) down n columns of a few lines; dy may be gated."""
    cdef T a[LANES]
    cdef T b[LANES]
    cdef Py_ssize_t i, j, r
    for i in range(n // LANES):
        for j in range(LANES):
            a[j] = s[j]
        for j in range(LANES):
            b[j] = q[j]
        for r in range(lines):
            fetch_far(dy + r * dy_stride + dy_ahead, LANES)
            fetch_far(x + r * x_stride + x_ahead, LANES)
            if gating:
                fetch_far(y + r * y_stride + dy_ahead, LANES)
            add_product_line(a, b, dy + r * dy_stride, x + r * x_stride, y + r * y_stride, LANES,
                             mean, rstd, gating, slope, most)
        for j in range(LANES):
            s[j] = a[j]
        for j in range(LANES):
            q[j] = b[j]
        s += LANES
        q += LANES
        dy += LANES
        x += LANES
        y += LANES
        mean += LANES
        rstd += LANES
    for r in range(lines):
        add_product_line(s, q, dy + r * dy_stride, x + r * x_stride, y + r * y_stride, n % LANES,
                         mean, rstd, gating, slope, most)


cdef inline always add_product_line(T *s, T *q, const S *dy, const S *x, const S *y, Py_ssize_t n,
                                    const T *mean, const T *rstd, bint gating, T slope,
                                    T most) noexcept nogil:
    """s += dy, q += dy*(x - mean)*rstd of up to LANES items side by side."""
    cdef T dy_room[LANES]
    cdef T x_room[LANES]
    cdef T y_room[LANES]
    cdef T g
    cdef Py_ssize_t j
    read(dy_room, dy, n, n == LANES, True)
    read(x_room, x, n, n == LANES, True)
    if gating:
        read(y_room, y, n, n == LANES, True)
    for j in range(n):
        g = loaded(dy_room, dy, j)
        if gating:
            g = gated(g, loaded(y_room, y, j), slope, most)
        s[j] += g
        q[j] += g * ((loaded(x_room, x, j) - mean[j]) * rstd[j])


cdef inline always sum_column_products(Job *job, Py_ssize_t u, Py_ssize_t b,
                                       bint gating) noexcept nogil:
    cdef Tile t = tile_of(job, u, b)
    cdef Py_ssize_t dy_stride = job.dy_stride * job.fold, x_stride = job.x_stride * job.fold
    cdef Py_ssize_t y_stride = job.y_stride * job.fold
    cdef const S *dy = job.dy + t.line * dy_stride + t.start
    cdef const S *x = job.x + t.line * x_stride + t.start
    cdef const S *y = job.y + t.line * y_stride + t.start
    cdef const T *mean = coef_of(job, 0) + t.start
    cdef const T *rstd = mean + job.width
    cdef double *s = sums_of(job, b) + t.start
    cdef double *q = s + job.width
    cdef T p[TILE_WIDTH]
    cdef T r[TILE_WIDTH]
    cdef Py_ssize_t step = job.step, reach = job.reach, i, line
    memset(s, 0, t.n * sizeof(double))
    memset(q, 0, t.n * sizeof(double))
    memset(p, 0, t.n * sizeof(T))
    memset(r, 0, t.n * sizeof(T))
    for i in range(ceil_div(t.lines, step)):
        line = i * step
        sum_product_step(p, r, dy + line * dy_stride, dy_stride, x + line * x_stride, x_stride,
                         y + line * y_stride, y_stride,
                         min(step, t.lines - line), t.n, mean, rstd, gating, job.slope, job.most,
                         step_ahead(line, t.lines, dy_stride, t.n, reach),
                         step_ahead(line, t.lines, x_stride, t.n, reach))
        if (line + step) % COLUMN_RUN == 0 and line + step <= t.lines:
            empty(s, p, t.n)
            empty(q, r, t.n)
    sum_product_step(p, r, dy + t.lines * dy_stride, dy_stride, x + t.lines * x_stride, x_stride,
                     y + t.lines * y_stride, y_stride, 1, left_of(job, b), mean, rstd,
                     gating, job.slope, job.most, 0, 0)
    empty(s, p, t.n)
    empty(q, r, t.n)


cdef leaf settle_column_products(Job *job, Py_ssize_t u) noexcept nogil:
    add_unit_blocks(job, u)
    add_positions(job, u)
    settle_gradient(job, u)


cdef inline always write_column_gradient(Job *job, Py_ssize_t u, Py_ssize_t b,
                                         bint gating) noexcept nogil:
    cdef Tile t = tile_of(job, u, b)
    cdef Py_ssize_t line, r, n, w = job.width
    cdef const T *coef = job.coef + t.start
    for line in range(t.line, t.line + t.lines + (left_of(job, b) > 0)):
        n = t.n if line < job.lines else job.left
        r = line * job.fold
        gradient_run(job.out + r * job.out_stride + t.start, dresidual_at(job, r, t.start),
                     job.dy + r * job.dy_stride + t.start, job.x + r * job.x_stride + t.start,
                     job.y + r * job.y_stride + t.start, n, <T>1, coef, coef + w, coef + 2 * w,
                     coef + 3 * w, True, job.slope, job.most, gating, job.stream, job.ahead)


cdef void write_wide_columns(Job *job, Py_ssize_t u, Py_ssize_t b) noexcept nogil:
    """A block of a unit with doubtful channels; folded lines are rows of the view again."""
    cdef Tile t = tile_of(job, u, b)
    cdef Py_ssize_t rows = t.lines * job.fold + left_of(job, b) // (job.C * job.L)
    cdef Py_ssize_t stop = t.start + t.n if job.fold == 1 else job.C * job.L
    write_wide(job, t.line * job.fold, rows, t.start, stop, True)
