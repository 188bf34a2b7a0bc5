# Short rows and channels last: the view as a matrix of N lines by C*L positions, summed down its
# columns; the L positions of a channel are added up at the end. Row by row, planes of 7x7 or a
# single item would be all remainder.
#
# A unit is a tile of whole channels, a block COLUMN_BLOCK lines (fewer in evaluation). Where C*L is
# small, `fold` lines are taken side by side as one, so that three channels use whole vectors too.

cdef enum:
    COLUMN_BLOCK = 256      # lines to a block
    COLUMN_STEP = 4         # lines summed side by side where a cache holds them
    NEAR_BYTES = 16384      # half of a cache of the first level
    STRAIGHT_FROM = 1 << 22     # bytes that are read line by line
    READ_AHEAD = 16384      # bytes to fetch ahead where memory is read straight on
    COLUMN_RUN = 16         # lines summed in T between two additions to the double sums
    FOLD_WIDTH = 512        # positions that a folded line should have
    FEW_DOUBTFUL = 16       # one channel in so many is cheaper to look at again by itself
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


cdef void read_straight_on(Job *job) noexcept nogil:
    """Units for memory that is walked in its order: few and wide, and where there is much of it
    summed line by line, as it comes.

    A sum belongs to its position, whatever the units and steps, so no bit changes.
    """
    if all_bytes(job) > STRAIGHT_FROM:
        job.step = 1
    if job.fold == 1:
        job.tile = min(job.C, max(<Py_ssize_t>1, TILE_WIDTH // (job.tile * job.L)) * job.tile)
        job.units = ceil_div(job.C, job.tile)
    job.reach = max(<Py_ssize_t>1, READ_AHEAD // (job.fold * job.C * job.L * <Py_ssize_t>sizeof(S)))
    job.back = True


cdef inline Py_ssize_t line_ahead(Job *job) noexcept nogil:
    """From a line that is written to what is fetched: the next line into the first level, if that
    holds it beside the coefficients; else so far that it goes to the second one."""
    cdef Py_ssize_t line = job.fold * job.C * job.L
    cdef Py_ssize_t arrays = 6 if job.task == GRADIENT else 4       # inputs and coefficients
    cdef bint near = line * arrays * <Py_ssize_t>sizeof(T) <= NEAR_BYTES
    return (1 if near else FAR // line + 1) * job.fold * job.x_stride


cdef inline Py_ssize_t step_ahead(Py_ssize_t line, Py_ssize_t lines, Py_ssize_t stride,
                                  Py_ssize_t n, Py_ssize_t reach) noexcept nogil:
    """From a step to what is read later: `reach` lines on; or what is read next, the step after it
    or the first one of the next tile."""
    if reach:
        return reach * stride
    return COLUMN_STEP * stride if line + COLUMN_STEP < lines else n - line * stride


cdef inline always sum_step(A *s, A *q, const S *x, Py_ssize_t lines, Py_ssize_t stride,
                            Py_ssize_t n, const A *k, Py_ssize_t ahead) noexcept nogil:
    """s += sum(x - k), q += sum((x - k)^2) down n columns of a few lines."""
    cdef A a[LANES]
    cdef A b[LANES]
    cdef Py_ssize_t i, j, r
    for i in range(n // LANES):
        for j in range(LANES):
            a[j] = s[j]
        for j in range(LANES):
            b[j] = q[j]
        for r in range(lines):
            fetch_far(x + r * stride + ahead, LANES)
            add_line(a, b, x + r * stride, LANES, k)
        for j in range(LANES):
            s[j] = a[j]
        for j in range(LANES):
            q[j] = b[j]
        s += LANES
        q += LANES
        x += LANES
        k += LANES
    for r in range(lines):
        add_line(s, q, x + r * stride, n % LANES, k)


cdef inline always add_line(A *s, A *q, const S *x, Py_ssize_t n, const A *k) noexcept nogil:
    """s += x - k, q += (x - k)^2 of up to LANES items side by side."""
    cdef A room[LANES]
    cdef A d
    cdef Py_ssize_t j
    read(room, x, n, n == LANES, True)
    for j in range(n):
        d = loaded(room, x, j) - k[j]
        s[j] += d
        q[j] += d * d


cdef inline void empty(double *to, A *sums, Py_ssize_t n) noexcept nogil:
    """to += sums, and sums = 0."""
    cdef Py_ssize_t i
    for i in range(n):
        to[i] += sums[i]
    memset(sums, 0, n * sizeof(A))


cdef inline always sum_columns(double *s, double *q, const S *x, Py_ssize_t lines,
                               Py_ssize_t stride, Py_ssize_t n, Py_ssize_t left, const A *k,
                               Py_ssize_t step, Py_ssize_t reach) noexcept nogil:
    """OUT s, q: the sums of x - k and (x - k)^2 down n columns, of the `left` first a line more."""
    cdef A a[TILE_WIDTH]
    cdef A b[TILE_WIDTH]
    cdef Py_ssize_t i, r = 0
    memset(s, 0, n * sizeof(double))
    memset(q, 0, n * sizeof(double))
    memset(a, 0, n * sizeof(A))
    memset(b, 0, n * sizeof(A))
    for i in range(ceil_div(lines, step)):
        r = i * step
        sum_step(a, b, x + r * stride, min(step, lines - r), stride, n, k,
                 step_ahead(r, lines, stride, n, reach))
        if (r + step) % COLUMN_RUN == 0 and r + step <= lines:
            empty(s, a, n)
            empty(q, b, n)
    sum_step(a, b, x + lines * stride, 1, stride, left, k, 0)
    empty(s, a, n)
    empty(q, b, n)


cdef inline double *sums_of(Job *job, Py_ssize_t b) noexcept nogil:
    """The first sums of block b; the second ones follow `width` later."""
    return job.sums + 2 * b * job.width


cdef leaf sum_down(double *s, double *q, const S *x, Py_ssize_t lines, Py_ssize_t stride,
                   Py_ssize_t n, Py_ssize_t left, const T *k, const double *centre,
                   Py_ssize_t step, Py_ssize_t reach) noexcept nogil:
    """sum_columns about k, or in double about centre unless it is NULL."""
    if centre != NULL:
        sum_columns(s, q, x, lines, stride, n, left, centre, step, reach)
    else:
        sum_columns(s, q, x, lines, stride, n, left, k, step, reach)


cdef leaf sum_positions(Job *job, Py_ssize_t b, Py_ssize_t start, Py_ssize_t n,
                        bint wide) noexcept nogil:
    """The sums of block b for the positions [start, start + n): each has its own, whatever n is."""
    cdef Tile t = tile_of(job, 0, b)
    cdef Py_ssize_t stride = job.x_stride * job.fold
    cdef Py_ssize_t left = min(max(<Py_ssize_t>0, left_of(job, b) - start), n)
    cdef const S *x = job.x + t.line * stride + start
    cdef double *s = sums_of(job, b) + start
    sum_down(s, s + job.width, x, t.lines, stride, n, left, job.coef + start,
             <const double *>job.centre + start if wide else NULL, job.step, job.reach)


cdef inline void sum_column_moments(Job *job, Py_ssize_t u, Py_ssize_t b, bint wide) noexcept nogil:
    cdef Tile t = tile_of(job, u, b)
    sum_positions(job, b, t.start, t.n, wide)


cdef inline T sampled(Job *job, Py_ssize_t c, int i, Py_ssize_t L) noexcept nogil:
    """The i-th of five items of channel c that are spread over N and L."""
    return item(job.x + i * (job.N - 1) // 4 * job.x_stride + c * L + i * (L - 1) // 4)


cdef inline void sample(Job *job, Py_ssize_t u, Py_ssize_t L, T *k) noexcept nogil:
    cdef Py_ssize_t c
    for c in range(first_channel(job, u), last_channel(job, u)):
        k[c] = median5(sampled(job, c, 0, L), sampled(job, c, 1, L), sampled(job, c, 2, L),
                       sampled(job, c, 3, L), sampled(job, c, 4, L))


cdef leaf sample_shifts(Job *job, Py_ssize_t u) noexcept nogil:
    """The shift of each channel of a unit: the median of five items spread over N and L."""
    cdef T *k = channel_coef(job, 0)
    cdef Py_ssize_t c
    if job.L == 1:
        sample(job, u, 1, k)                    # neighbours, which a vector can hold
    else:
        sample(job, u, job.L, k)
    spread_coef(job, u, 0)
    for c in range(first_channel(job, u), last_channel(job, u)):
        job.k[c] = k[c]
    if job.wide:
        spread(job, u, job.centre, <const double *>job.k)


cdef void add_blocks(Job *job, Py_ssize_t start, Py_ssize_t n) noexcept nogil:
    """Add the sums of all blocks to those of the first, in their order, for these positions."""
    cdef double *s = job.sums + start
    cdef const double *more
    cdef Py_ssize_t b, i
    for b in range(1, job.blocks):
        more = sums_of(job, b) + start
        for i in range(n):
            s[i] += more[i]
        for i in range(n):
            s[job.width + i] += more[job.width + i]


cdef inline void add_unit_blocks(Job *job, Py_ssize_t u) noexcept nogil:
    cdef Tile t = tile_of(job, u, 0)
    add_blocks(job, t.start, t.n)


cdef loop add_positions(Job *job, Py_ssize_t u) noexcept nogil:
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


cdef void sum_again_at(Job *job, Py_ssize_t start, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t b
    for b in range(job.blocks):
        sum_positions(job, b, start, n, True)
    add_blocks(job, start, n)


cdef leaf sum_doubtful(Job *job, Py_ssize_t u, Py_ssize_t doubtful) noexcept nogil:
    """Sum again, in double and about the means, the channels of a unit that need it.

    A few are walked down by themselves, many with all between them.
    """
    cdef Tile t = tile_of(job, u, 0)
    cdef Py_ssize_t c, f, at, first = first_channel(job, u), last = last_channel(job, u)
    cdef bint few = doubtful * FEW_DOUBTFUL <= last - first
    for c in range(first, last):
        if job.var[c] < 0 and isfinite(job.mean[c]):
            job.k[c] = job.mean[c]
    spread(job, u, job.centre, <const double *>job.k)
    if not few:
        sum_again_at(job, t.start, t.n)
    for c in range(first, last):
        if job.var[c] < 0:
            job.s1[c] = 0
            job.s2[c] = 0
            for f in range(job.fold):
                at = (f * job.C + c) * job.L
                if few:
                    sum_again_at(job, at, job.L)
                job.s1[c] += sum_doubles(job.sums + at, job.L)
                job.s2[c] += sum_doubles(job.sums + job.width + at, job.L)
            settle_moments(job, c, c + 1)


cdef leaf settle_column_moments(Job *job, Py_ssize_t u) noexcept nogil:
    """Statistics of a unit; channels whose sums are not to be trusted are summed once more."""
    cdef Py_ssize_t c, b, first = first_channel(job, u), last = last_channel(job, u)
    cdef Py_ssize_t m = job.N * job.L
    cdef Py_ssize_t doubtful = 0
    cdef double far = far_in_columns(m)
    add_unit_blocks(job, u)
    add_positions(job, u)
    settle_moments(job, first, last)
    if not (job.wide and sizeof(T) < sizeof(double)):
        for c in range(first, last):
            if not good_sums(job.s1[c], job.s2[c], m, far, hides_squares(job.eps)):
                doubtful += 1
                job.var[c] = -1                 # marks the channel
    if doubtful:
        sum_doubtful(job, u, doubtful)
    settle_beyond(job, first, last)
    settle_normal(job, u)


cdef inline always write_column_normal(Job *job, Py_ssize_t u, Py_ssize_t b, const S *x,
                                       Py_ssize_t x_stride, const T *coef, bint gating,
                                       bint adds, bint bending) noexcept nogil:
    """out = (x - mean) * scale + shift, the three arrays at coef."""
    cdef Tile t = tile_of(job, u, b)
    cdef Py_ssize_t r, n, w = job.width
    coef += t.start
    for r in range(t.line, t.line + t.lines + (left_of(job, b) > 0)):
        n = t.n if r < job.lines else job.left
        if bending:
            bent_run(job.out + r * job.fold * job.out_stride + t.start,
                     x + r * job.fold * x_stride + t.start,
                     residual_at(job, r * job.fold, t.start),
                     given_at(job, r * job.fold, t.start), n, coef, coef + w, coef + 2 * w, NULL,
                     NULL, True, job.slope, job.most, job.bend, job.stream, job.ahead)
        else:
            normalize_run(job.out + r * job.fold * job.out_stride + t.start,
                          x + r * job.fold * x_stride + t.start,
                          residual_at(job, r * job.fold, t.start), n, coef, coef + w,
                          coef + 2 * w, coef, coef, True, False, job.slope, job.most, gating,
                          adds, job.stream, job.ahead)
