# Long rows: the (N, C, L) view channel by channel, each channel N rows of L contiguous items.
#
# A unit is a tile of channels that lie side by side, wide enough for a long run of memory in every
# row: short jumps would starve the prefetchers. A block is one piece of ROW_BLOCK items of a row,
# or as many whole rows as fit in one; each channel of the tile has its own sums for it.

cdef enum:
    ROW_BLOCK = 2048        # items of a channel between two looks at its lanes: 64 to a lane
    ROW_RUN = 16384         # bytes that the tile of a unit should have in every row
    MOST_TILE = 64          # channels to a unit
    INFERENCE_RUN = 16384   # items of a row to a unit where nothing is summed
    SHORT_ROW = 256         # shorter rows of a backward are summed in eight lanes, each by itself
    WHOLE_LINES = 128       # items of a row whose ends do not matter to streaming stores


cdef struct Piece:          # where block b of a channel lies
    Py_ssize_t row, rows    # first row and number of rows
    Py_ssize_t start, n     # first item in each row and number of items


cdef leaf fold_pair(double *out, const T *s, const T *q) noexcept nogil:
    """OUT out: the sums of two sets of lanes."""
    out[0] = fold_lanes(s)
    out[1] = fold_lanes(q)


cdef inline Piece piece_of(Job *job, Py_ssize_t b) noexcept nogil:
    cdef Piece p
    p.row = b // job.pieces * job.rows
    p.rows = min(job.rows, job.N - p.row)
    p.start = b % job.pieces * ROW_BLOCK
    p.n = min(<Py_ssize_t>ROW_BLOCK, job.L - p.start)
    return p


cdef leaf sum_again(double *out, const S *x, Py_ssize_t rows, Py_ssize_t stride,
                    Py_ssize_t n, double k) noexcept nogil:
    """OUT out: k, sum(x - k), sum((x - k)^2) over rows of n items that are stride apart."""
    cdef double s[LANES]
    cdef double q[LANES]
    cdef Py_ssize_t r
    sum_shifted(s, q, x, n, k, 0)
    for r in range(1, rows):
        add_shifted(s, q, x + r * stride, n, k, 0)
    out[0] = k
    out[1] = fold_lanes(s)
    out[2] = fold_lanes(q)


cdef inline T shift_of(const S *x, Py_ssize_t n) noexcept nogil:
    """A shift for the sums of n items: the median of five of them."""
    return median5(item(x), item(x + n // 4), item(x + n // 2), item(x + n // 4 * 3),
                   item(x + n - 1))


cdef leaf sum_row_moments(Job *job, Py_ssize_t u, Py_ssize_t b) noexcept nogil:
    cdef Piece p = piece_of(job, b)
    cdef Py_ssize_t first = first_channel(job, u), channels = last_channel(job, u) - first
    cdef Py_ssize_t L = job.L, stride = job.x_stride, r, c
    cdef const S *x = job.x + p.row * stride + first * L + p.start
    cdef double *out = job.sums + 3 * (first * job.blocks + b)
    cdef T s[MOST_TILE][LANES]
    cdef T q[MOST_TILE][LANES]
    cdef T k[MOST_TILE]
    for c in range(channels):
        k[c] = shift_of(x + c * L, p.n)
        clear_lanes(s[c], q[c])
    for r in range(p.rows):
        for c in range(channels):
            add_shifted(s[c], q[c], x + r * stride + c * L, p.n, k[c], row_ahead(job, p, stride))
    for c in range(channels):
        out[0] = k[c]
        fold_pair(out + 1, s[c], q[c])
        if not good_sums(out[1], out[2], p.rows * p.n, far_in_block(p.rows * p.n),
                         hides_squares(job.eps)):
            # The piece is still in L1: look again in double, and then about its mean.
            sum_again(out, x + c * L, p.rows, stride, p.n, k[c])
            sum_again(out, x + c * L, p.rows, stride, p.n, out[0] + out[1] / (p.rows * p.n))
        out += 3 * job.blocks


cdef inline Py_ssize_t row_ahead(Job *job, Piece p, Py_ssize_t stride) noexcept nogil:
    """From a piece of a row to what is read later: the same of the next row, or, where rows are so
    long that a cache would not keep it, the next piece."""
    return stride if job.L <= 8 * ROW_BLOCK else p.n


cdef inline void merge_block(double *s1, double *s2, double k, const double *block,
                             double n) noexcept nogil:
    """Add the sums of a block, of n items about a shift of its own, block[0], to sums about k."""
    cdef double away = block[0] - k
    s2[0] += block[2] + away * (2 * block[1] + n * away)
    s1[0] += block[1] + n * away


cdef leaf settle_row_moments(Job *job, Py_ssize_t u) noexcept nogil:
    cdef const double *block = job.sums + 3 * first_channel(job, u) * job.blocks
    cdef Py_ssize_t c, b, first = first_channel(job, u), last = last_channel(job, u)
    cdef double k, s1, s2
    cdef Piece p
    for c in range(first, last):
        k, s1, s2 = block[0], block[1], block[2]
        for b in range(1, job.blocks):
            block += 3
            p = piece_of(job, b)
            merge_block(&s1, &s2, k, block, <double>(p.rows * p.n))
        block += 3
        job.k[c], job.s1[c], job.s2[c] = k, s1, s2
    settle_moments(job, first, last)
    settle_beyond(job, first, last)
    settle_normal(job, u)


cdef inline void fetch_end(Job *job, const S *end) noexcept nogil:
    """Ask for the line in which a row ends that is written two rows later.

    The line is of two rows, so is not streamed; the stores behind it would wait until it is read.
    """
    if job.stream and <size_t>(end + 2 * job.L) % LINE:
        fetch(end + 2 * job.L, LANES)


cdef inline always write_row_normal(Job *job, Py_ssize_t u, Py_ssize_t b, const S *x,
                                    Py_ssize_t x_stride, const T *coef, bint gating,
                                    bint adds, bint bending) noexcept nogil:
    """out = (x - mean) * scale + shift, the three arrays at coef."""
    cdef Piece p = piece_of(job, b)
    cdef Py_ssize_t r, c, at, w = job.width
    cdef bint doubtful = job.doubtful[u]
    for r in range(p.row, p.row + p.rows):
        for c in range(first_channel(job, u), last_channel(job, u)):
            if doubtful and job.unit[c] != 0:   # written in double
                continue
            at = c * job.L + p.start
            fetch_end(job, job.out + r * job.out_stride + at + p.n)
            if bending:
                bent_run(job.out + r * job.out_stride + at, x + r * x_stride + at,
                         residual_at(job, r, at), given_at(job, r, at), p.n, coef + c,
                         coef + w + c, coef + 2 * w + c, NULL, NULL, False, job.slope, job.most,
                         job.bend, job.stream, job.ahead)
            else:
                normalize_run(job.out + r * job.out_stride + at, x + r * x_stride + at,
                              residual_at(job, r, at), p.n, coef + c, coef + w + c,
                              coef + 2 * w + c, coef, coef, False, False, job.slope, job.most,
                              gating, adds, job.stream, job.ahead)


# Of what is fused: the items of row r of the view, from `at` on; NULL where there is none.

cdef inline const S *residual_at(Job *job, Py_ssize_t r, Py_ssize_t at) noexcept nogil:
    if job.residual == NULL:
        return NULL
    return job.residual + r * job.residual_stride + at


cdef inline const S *given_at(Job *job, Py_ssize_t r, Py_ssize_t at) noexcept nogil:
    if job.given == NULL:
        return NULL
    return job.given + r * job.given_stride + at


cdef inline S *dresidual_at(Job *job, Py_ssize_t r, Py_ssize_t at) noexcept nogil:
    return NULL if job.dresidual == NULL else job.dresidual + r * job.dresidual_stride + at


cdef inline always sum_row_products(Job *job, Py_ssize_t u, Py_ssize_t b,
                                    bint gating) noexcept nogil:
    cdef Piece p = piece_of(job, b)
    cdef Py_ssize_t first = first_channel(job, u), channels = last_channel(job, u) - first
    cdef Py_ssize_t L = job.L, r, c
    cdef const S *dy = job.dy + p.row * job.dy_stride + first * L + p.start
    cdef const S *x = job.x + p.row * job.x_stride + first * L + p.start
    cdef const S *y = job.y + p.row * job.y_stride + first * L + p.start
    cdef const T *coef = job.coef + first
    cdef double *out = job.sums + 2 * (first * job.blocks + b)
    cdef T s[MOST_TILE][LANES]
    cdef T q[MOST_TILE][LANES]
    if L < SHORT_ROW:
        sum_short_products(job, p, dy, x, y, coef, channels, out, gating)
        return
    for c in range(channels):
        clear_lanes(s[c], q[c])
    for r in range(p.rows):
        for c in range(channels):
            products_run(s[c], q[c], dy + r * job.dy_stride + c * L, x + r * job.x_stride + c * L,
                         y + r * job.y_stride + c * L, coef, p.n, coef[c], coef[job.width + c],
                         <T>0, job.slope, job.most, gating, False, False,
                         row_ahead(job, p, job.dy_stride), row_ahead(job, p, job.x_stride))
    for c in range(channels):
        fold_pair(out, s[c], q[c])
        out += 2 * job.blocks


cdef inline always sum_short_products(Job *job, Piece p, const S *dy, const S *x, const S *y,
                                      const T *coef, Py_ssize_t channels, double *out,
                                      bint gating) noexcept nogil:
    """OUT out: as sum_row_products, of short rows, each in lanes of its own."""
    cdef Py_ssize_t L = job.L, step = 2 * job.blocks, r, c
    cdef T s[MOST_TILE][FEW]
    cdef T q[MOST_TILE][FEW]
    cdef double sums[2]
    for c in range(channels):
        out[c * step] = 0
        out[c * step + 1] = 0
    for r in range(p.rows):
        for c in range(channels):
            fetch_far(dy + c * L + row_ahead(job, p, job.dy_stride), L)
            fetch_far(x + c * L + row_ahead(job, p, job.x_stride), L)
            if gating:
                fetch_far(y + c * L + row_ahead(job, p, job.dy_stride), L)
            products_in_eight(s[c], q[c], dy + c * L, x + c * L, y + c * L, L, coef[c],
                              coef[job.width + c], job.slope, job.most, gating)
        for c in range(channels):
            fold_eight(sums, s[c])
            fold_eight(sums + 1, q[c])
            out[c * step] += sums[0]
            out[c * step + 1] += sums[1]
        dy, x, y = dy + job.dy_stride, x + job.x_stride, y + job.y_stride


cdef leaf settle_row_products(Job *job, Py_ssize_t u) noexcept nogil:
    cdef const double *block = job.sums + 2 * first_channel(job, u) * job.blocks
    cdef Py_ssize_t c, b
    for c in range(first_channel(job, u), last_channel(job, u)):
        job.s1[c] = 0
        job.s2[c] = 0
        for b in range(job.blocks):
            job.s1[c] += block[0]
            job.s2[c] += block[1]
            block += 2
    settle_gradient(job, u)


cdef inline always write_row_gradient(Job *job, Py_ssize_t u, Py_ssize_t b,
                                      bint gating) noexcept nogil:
    cdef Piece p = piece_of(job, b)
    cdef Py_ssize_t r, c, at, w = job.width
    cdef bint doubtful = job.doubtful[u]
    cdef const T *coef = job.coef
    for r in range(p.row, p.row + p.rows):
        for c in range(first_channel(job, u), last_channel(job, u)):
            if doubtful and job.unit[c] != 0:   # written in double
                continue
            at = c * job.L + p.start
            fetch_end(job, job.out + r * job.out_stride + at + p.n)
            gradient_run(job.out + r * job.out_stride + at, dresidual_at(job, r, at),
                         job.dy + r * job.dy_stride + at, job.x + r * job.x_stride + at,
                         job.y + r * job.y_stride + at, p.n, <T>1, coef + c, coef + w + c,
                         coef + 2 * w + c, coef + 3 * w + c, False, job.slope, job.most, gating,
                         job.stream, job.ahead)


cdef void write_wide_rows(Job *job, Py_ssize_t u, Py_ssize_t b) noexcept nogil:
    """A block of the doubtful channels of a unit."""
    cdef Piece p = piece_of(job, b)
    cdef Py_ssize_t c, at
    for c in range(first_channel(job, u), last_channel(job, u)):
        at = c * job.L + p.start
        if job.unit[c] != 0:
            write_wide(job, p.row, p.rows, at, at + p.n, False)
