# Short rows and channels last: the view as a matrix of N lines by C*L positions, summed down its
# columns; the L positions of a channel are added up at the end. Row by row, planes of 7x7 or a
# single item would be all remainder.
#
# A unit is a tile of whole channels, a block COLUMN_BLOCK lines (fewer in evaluation). Where C*L is
# small, `fold` lines are taken side by side as one, so that three channels use whole vectors too.

cdef enum:
    COLUMN_BLOCK = 256      # lines to a block
    COLUMN_STEP = 2         # lines summed side by side
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


cdef inline Py_ssize_t step_ahead(Py_ssize_t line, Py_ssize_t lines, Py_ssize_t stride,
                                  Py_ssize_t n) noexcept nogil:
    """From a step to what is read after it: the next step, or the first one of the next tile."""
    return COLUMN_STEP * stride if line + COLUMN_STEP < lines else n - line * stride


cdef inline void sum_step(A *s, A *q, const T *x, Py_ssize_t lines, Py_ssize_t stride,
                          Py_ssize_t n, const A *k, Py_ssize_t ahead) noexcept nogil:
    """s += sum(x - k), q += sum((x - k)^2) down n columns of a few lines."""
    cdef A a[LANES]
    cdef A b[LANES]
    cdef A d
    cdef Py_ssize_t i, j, r
    for i in range(n // LANES):
        for j in range(LANES):
            a[j] = s[j]
        for j in range(LANES):
            b[j] = q[j]
        for r in range(lines):
            fetch(x + r * stride + ahead, LANES)
            for j in range(LANES):
                d = <A>x[r * stride + j] - k[j]
                a[j] += d
                b[j] += d * d
        for j in range(LANES):
            s[j] = a[j]
        for j in range(LANES):
            q[j] = b[j]
        s += LANES
        q += LANES
        x += LANES
        k += LANES
    for r in range(lines):
        for j in range(n % LANES):
            d = <A>x[r * stride + j] - k[j]
            s[j] += d
            q[j] += d * d


cdef inline void empty(double *to, A *sums, Py_ssize_t n) noexcept nogil:
    """to += sums, and sums = 0."""
    cdef Py_ssize_t i
    for i in range(n):
        to[i] += sums[i]
    memset(sums, 0, n * sizeof(A))


cdef inline void sum_columns(double *s, double *q, const T *x, Py_ssize_t lines, Py_ssize_t stride,
                             Py_ssize_t n, Py_ssize_t left, const A *k) noexcept nogil:
    """OUT s, q: the sums of x - k and (x - k)^2 down n columns, of the `left` first a line more."""
    cdef A a[TILE_WIDTH]
    cdef A b[TILE_WIDTH]
    cdef Py_ssize_t step, r = 0
    memset(s, 0, n * sizeof(double))
    memset(q, 0, n * sizeof(double))
    memset(a, 0, n * sizeof(A))
    memset(b, 0, n * sizeof(A))
    for step in range(ceil_div(lines, COLUMN_STEP)):
        r = step * COLUMN_STEP
        sum_step(a, b, x + r * stride, min(<Py_ssize_t>COLUMN_STEP, lines - r), stride, n, k,
                 step_ahead(r, lines, stride, n))
        if (r + COLUMN_STEP) % COLUMN_RUN == 0:
            empty(s, a, n)
            empty(q, b, n)
    sum_step(a, b, x + lines * stride, 1, stride, left, k, 0)
    empty(s, a, n)
    empty(q, b, n)


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


cdef inline T sampled(Job *job, Py_ssize_t c, int i, Py_ssize_t L, T kind) noexcept nogil:
    """The i-th of five items of channel c that are spread over N and L."""
    return (<const T *>job.x)[i * (job.N - 1) // 4 * job.x_stride + c * L + i * (L - 1) // 4]


cdef inline void sample(Job *job, Py_ssize_t u, Py_ssize_t L, T *k) noexcept nogil:
    cdef Py_ssize_t c
    cdef T kind = 0
    for c in range(first_channel(job, u), last_channel(job, u)):
        k[c] = median5(sampled(job, c, 0, L, kind), sampled(job, c, 1, L, kind),
                       sampled(job, c, 2, L, kind), sampled(job, c, 3, L, kind),
                       sampled(job, c, 4, L, kind))


cdef void sample_shifts(Job *job, Py_ssize_t u, T kind) noexcept nogil:
    """The shift of each channel of a unit: the median of five items spread over N and L."""
    cdef T *k = channel_coef(job, 0, kind)
    cdef Py_ssize_t c
    if job.L == 1:
        sample(job, u, 1, k)                    # neighbours, which a vector can hold
    else:
        sample(job, u, job.L, k)
    spread_coef(job, u, 0, kind)
    for c in range(first_channel(job, u), last_channel(job, u)):
        job.k[c] = k[c]
    if job.wide:
        spread(job, u, job.centre, <const double *>job.k)


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


cdef void add_positions(Job *job, Py_ssize_t u) noexcept nogil:
    """s1 and s2 of the channels of a unit, over their positions in a line."""
    cdef Py_ssize_t first = first_channel(job, u), last = last_channel(job, u), L = job.L, f, c
    cdef const double *s = job.sums
    cdef const double *q = job.sums + job.width
    cdef double *s1 = job.s1
    cdef double *s2 = job.s2
    memset(s1 + first, 0, (last - first) * sizeof(double))
    memset(s2 + first, 0, (last - first) * sizeof(double))
    for f in range(job.fold):
        if L == 1:
            for c in range(first, last):
                s1[c] += s[c]
            for c in range(first, last):
                s2[c] += q[c]
        else:
            for c in range(first, last):
                s1[c] += sum_doubles(s + c * L, L)
                s2[c] += sum_doubles(q + c * L, L)
        s += job.C * L
        q += job.C * L


cdef void sum_doubtful(Job *job, Py_ssize_t u, T kind) noexcept nogil:
    """Sum a unit again, in double and about the means, for those of its channels that need it."""
    cdef Py_ssize_t c, b, f, at, first = first_channel(job, u), last = last_channel(job, u)
    for c in range(first, last):
        if job.var[c] < 0 and isfinite(job.mean[c]):
            job.k[c] = job.mean[c]
    spread(job, u, job.centre, <const double *>job.k)
    for b in range(job.blocks):
        sum_column_moments(job, u, b, True, kind)
    add_blocks(job, u)
    for c in range(first, last):
        if job.var[c] < 0:
            job.s1[c] = 0
            job.s2[c] = 0
            for f in range(job.fold):
                at = (f * job.C + c) * job.L
                job.s1[c] += sum_doubles(job.sums + at, job.L)
                job.s2[c] += sum_doubles(job.sums + job.width + at, job.L)
            settle_moments(job, c, c + 1, kind)


cdef void settle_column_moments(Job *job, Py_ssize_t u, T kind) noexcept nogil:
    """Statistics of a unit; channels whose sums are not to be trusted are summed once more."""
    cdef Py_ssize_t c, b, first = first_channel(job, u), last = last_channel(job, u)
    cdef Py_ssize_t m = job.N * job.L
    cdef double least = least_square(kind), most = most_square(kind)
    cdef bint again = False
    add_blocks(job, u)
    add_positions(job, u)
    settle_moments(job, first, last, kind)
    if not (job.wide and sizeof(T) < sizeof(double)):
        for c in range(first, last):
            if not trusted(job.s1[c], job.s2[c], m, least, most):
                again = True
                job.var[c] = -1                 # marks the channel
    if again:
        sum_doubtful(job, u, kind)
    settle_beyond(job, first, last, kind)
    settle_normal(job, u, kind)


cdef void apply_column_normal(Job *job, Py_ssize_t u, Py_ssize_t b, const T *x,
                              Py_ssize_t x_stride, const T *coef) noexcept nogil:
    """out = (x - mean) * scale + shift, the three arrays at coef."""
    cdef Tile t = tile_of(job, u, b)
    cdef Py_ssize_t r, n, w = job.width
    coef += t.start
    for r in range(t.line, t.line + t.lines + (left_of(job, b) > 0)):
        n = t.n if r < job.lines else job.left
        if job.gating:
            normalize_each_gated(<T *>job.out + r * job.fold * job.out_stride + t.start,
                                 x + r * job.fold * x_stride + t.start,
                                 residual_at(job, r * job.fold, t.start, x), n, coef, coef + w,
                                 coef + 2 * w, <T>job.slope, <T>job.most, job.stream, job.ahead)
        else:
            normalize_each(<T *>job.out + r * job.fold * job.out_stride + t.start,
                           x + r * job.fold * x_stride + t.start, n,
                           coef, coef + w, coef + 2 * w, job.stream, job.ahead)


cdef inline void sum_product_step(T *s, T *q, const T *dy, Py_ssize_t dy_stride, const T *x,
                                  Py_ssize_t x_stride, const T *y, Py_ssize_t y_stride,
                                  Py_ssize_t lines, Py_ssize_t n, const T *mean, const T *rstd,
                                  bint gating, T slope, T most, Py_ssize_t dy_ahead,
                                  Py_ssize_t x_ahead) noexcept nogil:
    """s += sum(dy), q += sum(dy*(x - mean)*rstd) down n columns of a few lines; dy may be gated."""
    cdef T a[LANES]
    cdef T b[LANES]
    cdef T g
    cdef Py_ssize_t i, j, r
    for i in range(n // LANES):
        for j in range(LANES):
            a[j] = s[j]
        for j in range(LANES):
            b[j] = q[j]
        for r in range(lines):
            fetch(dy + r * dy_stride + dy_ahead, LANES)
            fetch(x + r * x_stride + x_ahead, LANES)
            if gating:
                fetch(y + r * y_stride + dy_ahead, LANES)
            for j in range(LANES):
                g = dy[r * dy_stride + j]
                if gating:
                    g = gated(g, y[r * y_stride + j], slope, most)
                a[j] += g
                b[j] += g * ((x[r * x_stride + j] - mean[j]) * rstd[j])
        for j in range(LANES):
            s[j] = a[j]
        for j in range(LANES):
            q[j] = b[j]
        s += LANES
        q += LANES
        dy += LANES
        x += LANES
        if gating:
            y += LANES
        mean += LANES
        rstd += LANES
    for r in range(lines):
        for j in range(n % LANES):
            g = dy[r * dy_stride + j]
            if gating:
                g = gated(g, y[r * y_stride + j], slope, most)
            s[j] += g
            q[j] += g * ((x[r * x_stride + j] - mean[j]) * rstd[j])


cdef inline void sum_gated_products(Job *job, Py_ssize_t u, Py_ssize_t b, bint gating,
                                    T kind) noexcept nogil:
    cdef Tile t = tile_of(job, u, b)
    cdef Py_ssize_t dy_stride = job.dy_stride * job.fold, x_stride = job.x_stride * job.fold
    cdef Py_ssize_t y_stride = job.y_stride * job.fold
    cdef const T *dy = <const T *>job.dy + t.line * dy_stride + t.start
    cdef const T *x = <const T *>job.x + t.line * x_stride + t.start
    cdef const T *y = <const T *>job.y + t.line * y_stride + t.start
    cdef const T *mean = coef_of(job, 0, kind) + t.start
    cdef const T *rstd = mean + job.width
    cdef double *s = sums_of(job, b) + t.start
    cdef double *q = s + job.width
    cdef T p[TILE_WIDTH]
    cdef T r[TILE_WIDTH]
    cdef T slope = <T>job.slope, most = <T>job.most
    cdef Py_ssize_t step, line
    memset(s, 0, t.n * sizeof(double))
    memset(q, 0, t.n * sizeof(double))
    memset(p, 0, t.n * sizeof(T))
    memset(r, 0, t.n * sizeof(T))
    for step in range(ceil_div(t.lines, COLUMN_STEP)):
        line = step * COLUMN_STEP
        sum_product_step(p, r, dy + line * dy_stride, dy_stride, x + line * x_stride, x_stride,
                         y + line * y_stride, y_stride,
                         min(<Py_ssize_t>COLUMN_STEP, t.lines - line), t.n, mean, rstd,
                         gating, slope, most, step_ahead(line, t.lines, dy_stride, t.n),
                         step_ahead(line, t.lines, x_stride, t.n))
        if (line + COLUMN_STEP) % COLUMN_RUN == 0:
            empty(s, p, t.n)
            empty(q, r, t.n)
    sum_product_step(p, r, dy + t.lines * dy_stride, dy_stride, x + t.lines * x_stride, x_stride,
                     y + t.lines * y_stride, y_stride, 1, left_of(job, b), mean, rstd,
                     gating, slope, most, 0, 0)
    empty(s, p, t.n)
    empty(q, r, t.n)


cdef void sum_column_products(Job *job, Py_ssize_t u, Py_ssize_t b, T kind) noexcept nogil:
    if job.gating:
        sum_gated_products(job, u, b, True, kind)
    else:
        sum_gated_products(job, u, b, False, kind)


cdef void settle_column_products(Job *job, Py_ssize_t u, T kind) noexcept nogil:
    add_blocks(job, u)
    add_positions(job, u)
    settle_gradient(job, u, kind)


cdef void apply_column_gradient(Job *job, Py_ssize_t u, Py_ssize_t b, T kind) noexcept nogil:
    cdef Tile t = tile_of(job, u, b)
    cdef Py_ssize_t r, n, w = job.width
    cdef const T *coef = coef_of(job, 0, kind) + t.start
    for r in range(t.line, t.line + t.lines + (left_of(job, b) > 0)):
        n = t.n if r < job.lines else job.left
        if job.gating:
            gradient_each_gated(<T *>job.out + r * job.fold * job.out_stride + t.start,
                                dresidual_at(job, r * job.fold, t.start, kind),
                                <const T *>job.dy + r * job.fold * job.dy_stride + t.start,
                                <const T *>job.x + r * job.fold * job.x_stride + t.start,
                                <const T *>job.y + r * job.fold * job.y_stride + t.start, n,
                                coef, coef + w, coef + 2 * w, coef + 3 * w, <T>job.slope,
                                <T>job.most, job.stream, job.ahead)
        else:
            gradient_each(<T *>job.out + r * job.fold * job.out_stride + t.start,
                          <const T *>job.dy + r * job.fold * job.dy_stride + t.start,
                          <const T *>job.x + r * job.fold * job.x_stride + t.start, n,
                          coef, coef + w, coef + 2 * w, coef + 3 * w, job.stream, job.ahead)


cdef void write_wide_columns(Job *job, Py_ssize_t u, Py_ssize_t b, T kind) noexcept nogil:
    """A block of a unit with doubtful channels; folded lines are rows of the view again."""
    cdef Tile t = tile_of(job, u, b)
    cdef Py_ssize_t rows = t.lines * job.fold + left_of(job, b) // (job.C * job.L)
    cdef Py_ssize_t stop = t.start + t.n if job.fold == 1 else job.C * job.L
    write_wide(job, t.line * job.fold, rows, t.start, stop, True, kind)
