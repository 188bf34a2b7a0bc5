# Short rows and channels last: the view as a matrix of N lines by C*L positions, summed down its
# columns; the L positions of a channel are added up at the end. Row by row, planes of 7x7 or a
# single item would be all remainder.
#
# A unit is a tile of whole channels, a block COLUMN_BLOCK lines. Where C*L is small, `fold` lines
# are taken side by side as one, so that three channels use whole vectors as well.

cdef enum:
    COLUMN_BLOCK = 256      # lines to a block
    COLUMN_RUN = 16         # lines summed in T between two additions to the double sums
    FOLD_WIDTH = 512        # positions that a folded line should have
    TILE_WIDTH = 1024       # positions to a unit: runs of 4 KiB, and sums that stay in L1


cdef struct Tile:           # where block b of unit u lies
    Py_ssize_t start, n     # first position and number of positions
    Py_ssize_t line, lines  # first line and number of lines


cdef inline Tile tile_of(Job *job, Py_ssize_t u, Py_ssize_t b) noexcept nogil:
    cdef Tile t
    t.start = u * job.tile * job.L
    t.n = min(job.tile * job.L, job.width - t.start) if job.fold == 1 else job.width
    t.line = b * job.block_lines
    t.lines = min(job.block_lines, job.lines - t.line)
    return t


cdef inline Py_ssize_t left_of(Job *job, Py_ssize_t b) noexcept nogil:
    """Items over after the last whole line, which the last block takes along."""
    return job.left if b == job.blocks - 1 else 0


cdef inline Py_ssize_t run_ahead(Py_ssize_t line, Py_ssize_t lines, Py_ssize_t stride,
                                 Py_ssize_t n) noexcept nogil:
    """From a run to what is read after it: the next run, or the first one of the next tile."""
    return COLUMN_RUN * stride if line + COLUMN_RUN < lines else n - line * stride


cdef inline void sum_run(double *s, double *q, const T *x, Py_ssize_t lines, Py_ssize_t stride,
                         Py_ssize_t n, const A *k, Py_ssize_t ahead) noexcept nogil:
    """s += sum(x - k), q += sum((x - k)^2) down n columns of at most COLUMN_RUN lines."""
    cdef A a[LANES]
    cdef A b[LANES]
    cdef A d
    cdef Py_ssize_t i, j, r
    for i in range(n // LANES):
        clear_lanes(a, b)
        for r in range(lines):
            fetch(x + r * stride + ahead, LANES)
            for j in range(LANES):
                d = <A>x[r * stride + j] - k[j]
                a[j] += d
                b[j] += d * d
        for j in range(LANES):
            s[j] += a[j]
        for j in range(LANES):
            q[j] += b[j]
        s += LANES
        q += LANES
        x += LANES
        k += LANES
    n %= LANES
    if n == 0:
        return
    clear_lanes(a, b)
    for r in range(lines):
        for j in range(n):
            d = <A>x[r * stride + j] - k[j]
            a[j] += d
            b[j] += d * d
    for j in range(n):
        s[j] += a[j]
        q[j] += b[j]


cdef inline void sum_columns(double *s, double *q, const T *x, Py_ssize_t lines, Py_ssize_t stride,
                             Py_ssize_t n, Py_ssize_t left, const A *k) noexcept nogil:
    cdef Py_ssize_t run, r
    memset(s, 0, n * sizeof(double))
    memset(q, 0, n * sizeof(double))
    for run in range(ceil_div(lines, COLUMN_RUN)):
        r = run * COLUMN_RUN
        sum_run(s, q, x + r * stride, min(<Py_ssize_t>COLUMN_RUN, lines - r), stride, n, k,
                run_ahead(r, lines, stride, n))
    if left:
        sum_run(s, q, x + lines * stride, 1, stride, left, k, 0)


cdef inline double *sums_of(Job *job, Py_ssize_t b) noexcept nogil:
    """The first sums of block b; the second ones follow `width` later."""
    return job.sums + 2 * b * job.width


cdef void sum_column_moments(Job *job, Py_ssize_t u, Py_ssize_t b, bint wide,
                             T kind) noexcept nogil:
    cdef Tile t = tile_of(job, u, b)
    cdef Py_ssize_t stride = job.x_stride * job.fold
    cdef const T *x = <const T *>job.x + t.line * stride + t.start
    cdef double *s = sums_of(job, b) + t.start
    if wide:
        sum_columns(s, s + job.width, x, t.lines, stride, t.n, left_of(job, b),
                    <const double *>job.centre + t.start)
    else:
        sum_columns(s, s + job.width, x, t.lines, stride, t.n, left_of(job, b),
                    <const T *>job.coef + t.start)


cdef void sample_shifts(Job *job, Py_ssize_t u, T kind) noexcept nogil:
    """The shift of each channel of a unit: the median of five items spread over N and L."""
    cdef Py_ssize_t c, i
    cdef const T *x
    cdef T v[5]
    for c in range(u * job.tile, min((u + 1) * job.tile, job.C)):
        x = <const T *>job.x + c * job.L
        for i in range(5):
            v[i] = x[i * (job.N - 1) // 4 * job.x_stride + i * (job.L - 1) // 4]
        v[0] = median5(v[0], v[1], v[2], v[3], v[4])
        spread(job, coef_of(job, 0, kind), c, v[0])
        spread(job, job.centre, c, <double>v[0])


cdef void add_blocks(Job *job, Py_ssize_t u) noexcept nogil:
    """Add the sums of all blocks of a unit to those of its first, in their order."""
    cdef Tile t = tile_of(job, u, 0)
    cdef double *s = job.sums + t.start
    cdef const double *more
    cdef Py_ssize_t b, i
    for b in range(1, job.blocks):
        more = sums_of(job, b) + t.start
        for i in range(t.n):
            s[i] += more[i]
        for i in range(t.n):
            s[job.width + i] += more[job.width + i]


cdef inline void add_positions(Job *job, Py_ssize_t c, double *s1, double *s2) noexcept nogil:
    """The sums of channel c, over its positions in a line."""
    cdef const double *s = job.sums + c * job.L
    cdef Py_ssize_t f, i
    s1[0] = 0
    s2[0] = 0
    for f in range(job.fold):
        for i in range(job.L):
            s1[0] += s[i]
            s2[0] += s[job.width + i]
        s += job.C * job.L


cdef void settle_column_moments(Job *job, Py_ssize_t u, T kind) noexcept nogil:
    """Statistics of a unit; channels whose sums are not to be trusted are summed once more."""
    cdef Py_ssize_t c, b, first = u * job.tile, last = min((u + 1) * job.tile, job.C)
    cdef Py_ssize_t m = job.N * job.L
    cdef double s1, s2, k
    cdef bint doubtful, again = False
    add_blocks(job, u)
    for c in range(first, last):
        add_positions(job, c, &s1, &s2)
        k = job.centre[c * job.L]
        doubtful = not trusted(s1, s2, m, least_square(kind), most_square(kind))
        settle_moments(job, c, k, s1, s2, kind)
        if doubtful and not (job.wide and sizeof(T) < sizeof(double)):
            again = True
            job.var[c] = -1                     # marks the channel
            if isfinite(job.mean[c]):
                spread(job, job.centre, c, job.mean[c])
    if not again:
        return
    for b in range(job.blocks):
        sum_column_moments(job, u, b, True, kind)
    add_blocks(job, u)
    for c in range(first, last):
        if job.var[c] < 0:
            add_positions(job, c, &s1, &s2)
            settle_moments(job, c, job.centre[c * job.L], s1, s2, kind)


cdef void apply_column_normal(Job *job, Py_ssize_t u, Py_ssize_t b, const T *x,
                              Py_ssize_t x_stride, const T *coef) noexcept nogil:
    """out = (x - mean) * scale + shift, the three arrays at coef."""
    cdef Tile t = tile_of(job, u, b)
    cdef Py_ssize_t r, n, w = job.width
    coef += t.start
    for r in range(t.line, t.line + t.lines + (left_of(job, b) > 0)):
        n = t.n if r < job.lines else job.left
        normalize_each(<T *>job.out + r * job.fold * job.out_stride + t.start,
                       x + r * job.fold * x_stride + t.start, n,
                       coef, coef + w, coef + 2 * w, job.stream)


cdef inline void sum_product_run(double *s, double *q, const T *dy, Py_ssize_t dy_stride,
                                 const T *x, Py_ssize_t x_stride, Py_ssize_t lines, Py_ssize_t n,
                                 const T *mean, const T *rstd, Py_ssize_t dy_ahead,
                                 Py_ssize_t x_ahead) noexcept nogil:
    """s += sum(dy), q += sum(dy*(x - mean)*rstd) down n columns of at most COLUMN_RUN lines."""
    cdef T a[LANES]
    cdef T b[LANES]
    cdef T g
    cdef Py_ssize_t i, j, r
    for i in range(n // LANES):
        clear_lanes(a, b)
        for r in range(lines):
            fetch(dy + r * dy_stride + dy_ahead, LANES)
            fetch(x + r * x_stride + x_ahead, LANES)
            for j in range(LANES):
                g = dy[r * dy_stride + j]
                a[j] += g
                b[j] += g * ((x[r * x_stride + j] - mean[j]) * rstd[j])
        for j in range(LANES):
            s[j] += a[j]
        for j in range(LANES):
            q[j] += b[j]
        s += LANES
        q += LANES
        dy += LANES
        x += LANES
        mean += LANES
        rstd += LANES
    n %= LANES
    if n == 0:
        return
    clear_lanes(a, b)
    for r in range(lines):
        for j in range(n):
            g = dy[r * dy_stride + j]
            a[j] += g
            b[j] += g * ((x[r * x_stride + j] - mean[j]) * rstd[j])
    for j in range(n):
        s[j] += a[j]
        q[j] += b[j]


cdef void sum_column_products(Job *job, Py_ssize_t u, Py_ssize_t b, T kind) noexcept nogil:
    cdef Tile t = tile_of(job, u, b)
    cdef Py_ssize_t run, r, left = left_of(job, b)
    cdef Py_ssize_t dy_stride = job.dy_stride * job.fold, x_stride = job.x_stride * job.fold
    cdef const T *dy = <const T *>job.dy + t.line * dy_stride + t.start
    cdef const T *x = <const T *>job.x + t.line * x_stride + t.start
    cdef const T *mean = coef_of(job, 0, kind) + t.start
    cdef const T *rstd = mean + job.width
    cdef double *s = sums_of(job, b) + t.start
    cdef double *q = s + job.width
    memset(s, 0, t.n * sizeof(double))
    memset(q, 0, t.n * sizeof(double))
    for run in range(ceil_div(t.lines, COLUMN_RUN)):
        r = run * COLUMN_RUN
        sum_product_run(s, q, dy + r * dy_stride, dy_stride, x + r * x_stride, x_stride,
                        min(<Py_ssize_t>COLUMN_RUN, t.lines - r), t.n, mean, rstd,
                        run_ahead(r, t.lines, dy_stride, t.n), run_ahead(r, t.lines, x_stride, t.n))
    if left:
        sum_product_run(s, q, dy + t.lines * dy_stride, dy_stride, x + t.lines * x_stride,
                        x_stride, 1, left, mean, rstd, 0, 0)


cdef void settle_column_products(Job *job, Py_ssize_t u, T kind) noexcept nogil:
    cdef Py_ssize_t c
    cdef double s1, s2
    add_blocks(job, u)
    for c in range(u * job.tile, min((u + 1) * job.tile, job.C)):
        add_positions(job, c, &s1, &s2)
        settle_gradient(job, c, s1, s2, kind)


cdef void apply_column_gradient(Job *job, Py_ssize_t u, Py_ssize_t b, T kind) noexcept nogil:
    cdef Tile t = tile_of(job, u, b)
    cdef Py_ssize_t r, n, w = job.width
    cdef const T *coef = coef_of(job, 0, kind) + t.start
    for r in range(t.line, t.line + t.lines + (left_of(job, b) > 0)):
        n = t.n if r < job.lines else job.left
        gradient_each(<T *>job.out + r * job.fold * job.out_stride + t.start,
                      <const T *>job.dy + r * job.fold * job.dy_stride + t.start,
                      <const T *>job.x + r * job.fold * job.x_stride + t.start, n,
                      coef, coef + w, coef + 2 * w, coef + 3 * w, job.stream)
