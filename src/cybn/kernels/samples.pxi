# Norms of a sample by itself (layer, RMS, group, instance): x as (rows, n), moments over each row.
#
# A row is cut into cells, and weight and bias lie on it in one of two ways:
#
# - by items (layer norm): each item has its own. A cell is a piece of ROW_BLOCK items, read with
#   the weights beside it, and dweight and dbias are summed down the rows. So that threads share
#   them out in an order that the shape alone fixes, rows are split into shards with sums of their
#   own.
# - by runs (group and instance norm): `run` items side by side share one. A cell is a run or a
#   piece of one, its coefficients are scalars, and its sums of dy and dy*xhat are kept, to be added
#   up per channel in the end. Runs too short for that are spread out to items first.
#
# The moments are those of rows.pxi: sums about an item of the row, looked at again in double where
# they are not to be trusted. Where nothing is centred they may be those of a row's first items.

cdef enum:
    SHORT_RUN = 128         # shorter runs are spread out to items,
    SHORT_BACK = 96         # in backward, where sums by items cost more, shorter ones than this
    FEWEST_SHARED = 32      # rows to a shard, and
    MOST_SHARDS = 64        # shards, at the most
    NEAR_ROW = 8192         # items of a row that is asked for while the one before it is written
    TILE_ROWS = 16          # short rows taken together: their square roots do not wait for another
    TILE_ITEMS = 2048       # of x, or of x and dy: as many again are fetched meanwhile
    MOST_CELLS = 16         # cells that are laid out together

cdef struct Samples:
    bint centred, items, affine
    bint odd                # are there weights, or biases, that T should not multiply?
    S *out
    const S *x
    const S *dy
    const S *residual       # what is added before out is written; or NULL
    const void *bend        # a gate or curve that follows (curves.pxi), of slope and most; or NULL
    T slope, most
    const S *given          # backward past it: dy is given*f'(z), to be written to g first; or NULL
    S *g
    Py_ssize_t rows, n
    Py_ssize_t counted      # the moments are those of so many items of a row, the first
    Py_ssize_t run, parts   # items to a run; cells to a run
    Py_ssize_t cells        # cells to a row
    Py_ssize_t pieces       # pieces to a row, for the moments
    Py_ssize_t groups       # rows until weight and bias begin again
    Py_ssize_t owners       # runs of a row: each has a weight of its own
    Py_ssize_t shard, shards
    bint stream
    Py_ssize_t tile         # rows taken together where they are near
    Py_ssize_t ahead
    double eps
    double *mean            # (rows,) each
    double *var
    double *rstd
    double *g_mean          # mean of g = dy*weight, and of g*xhat
    double *g_xhat
    double *rest            # what the mean, rounded to T, lacks
    double *unit            # 0, or what x is multiplied by where a row is doubtful
    double *centre          # doubtful rows: what g is taken about; g_mean is that of the rest
    double *sums            # 3 for each piece forward, 2 for each cell backward,
    Py_ssize_t row          # for the rows from this one on,
    Py_ssize_t row_sums     # so many for each
    double *weight          # by runs (groups * n/run,); by items (groups * n,) where they are odd
    double *bias
    T *weights              # by items: (groups * n,)
    T *biases
    T *item_sums            # by items: (threads, 2, groups * n), on the way to `shared`
    double *shared          # by items: (shards, 2, groups * n): sums of dy, of dy*xhat


cdef struct Cell:           # items [at, at + n) of all rows; by items, its weights begin at place
    Py_ssize_t at, n, place


cdef inline Cell cell_of(Samples *job, Py_ssize_t c) noexcept nogil:
    """Cell c, counted through all rows."""
    cdef Cell cell
    cdef Py_ssize_t run = c, part = 0, width = job.groups * job.n
    if job.parts > 1:
        run = c // job.parts
        part = c - run * job.parts
    cell.at = run * job.run + part * ROW_BLOCK
    cell.n = min(<Py_ssize_t>ROW_BLOCK, job.run - part * ROW_BLOCK) if job.parts > 1 else job.run
    cell.place = 0
    if job.items:
        cell.place = cell.at % width if cell.n < width else 0
    return cell


cdef inline Py_ssize_t group_of(Samples *job, Py_ssize_t r) noexcept nogil:
    return r % job.groups if job.groups > 1 else 0


cdef inline always sum_piece(double *out, const S *x, Py_ssize_t n, bint centred,
                             bint zeros) noexcept nogil:
    """OUT out: k, sum(x - k), sum((x - k)^2) of a piece; k = 0 where nothing is centred."""
    cdef T s[LANES]
    cdef T q[LANES]
    cdef T k = shift_of(x, n) if centred else 0
    if sizeof(T) < sizeof(double) and n <= FEW_ITEMS:
        sum_again(out, x, 1, 0, n, k)
        return
    sum_shifted(s, q, x, n, k, STRIDE_AHEAD)
    out[0] = k
    fold_pair(out + 1, s, q)
    # without a shift nothing is subtracted, and only the squares are needed
    if unlikely(not good_sums(out[1] if centred else 0, out[2], n, far_in_block(n), zeros)):
        sum_again(out, x, 1, 0, n, k)
        if centred:
            sum_again(out, x, 1, 0, n, out[0] + out[1] / n)


cdef inline Py_ssize_t piece_length(Samples *job, Py_ssize_t i) noexcept nogil:
    return min(<Py_ssize_t>ROW_BLOCK, job.counted - i * ROW_BLOCK)


# The steps. Pieces and cells are counted through all rows, so that [start, stop) is some of a row,
# or of many: what a call costs is paid once for a tile of short ones.

cdef leaf reduce_moments(Samples *job, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    """The sums of pieces; weights have no part in them, so nor have cells."""
    cdef Py_ssize_t at, n, pieces = job.pieces, i = start % pieces
    cdef const S *x = job.x + start // pieces * job.n + i * ROW_BLOCK
    cdef double *sums = job.sums + 3 * (start - job.row * pieces)
    cdef bint centred = job.centred, zeros = centred and hides_squares(job.eps)
    for at in range(start, stop):
        n = piece_length(job, i)
        sum_piece(sums, x, n, centred, zeros)
        x += n
        sums += 3
        i += 1
        if i == pieces:
            i = 0
            x += job.n - job.counted


cdef leaf settle_samples(Samples *job, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    """mean, var, rstd, rest and unit of rows, from the sums of their pieces."""
    cdef const double *piece = job.sums + (start - job.row) * job.row_sums
    cdef double *means = job.mean
    cdef double *rests = job.rest
    cdef double *units = job.unit
    cdef double k, s1, s2, var, mean, rstd, m = <double>job.counted
    cdef double most = most_factor(), most_mean = most_of()
    cdef Py_ssize_t r, i
    for r in range(start, stop):
        k, s1, s2 = piece[0], piece[1], piece[2]
        piece += 3
        for i in range(1, job.pieces):
            merge_block(&s1, &s2, k, piece, <double>piece_length(job, i))
            piece += 3
        if not job.centred:
            s1 = 0
        var = (s2 - s1 * s1 / m) / m
        var = 0 if var < 0 else var
        rstd = 1 / sqrt(var + job.eps)
        mean = k + s1 / m
        means[r], job.var[r], job.rstd[r] = mean, var, rstd
        rests[r] = (k - <T>mean) + s1 / m
        units[r] = 0
        if unlikely(job.odd or not (fabs(mean) < most_mean and rstd < most and rstd * most > 1)):
            settle_doubtful(job, r)


cdef void settle_doubtful(Samples *job, Py_ssize_t r) noexcept nogil:
    if sizeof(T) == sizeof(double) and not isfinite(job.var[r]):
        moments_beyond(&job.mean[r], &job.var[r], &job.rstd[r], job.x + r * job.n, 1, 0,
                       job.counted, job.eps, job.centred)
        job.rest[r] = 0
    if doubtful_row(job, r):
        job.unit[r] = unit_for(job.mean[r], job.rstd[r])


# What the loops need of cells is laid out for some of them first, in loops that become vectors: a
# short cell is soon done, and what leads up to it would take longer than itself.

cdef inline always of_rows(Samples *job, double *to, const double *values, Py_ssize_t start,
                           Py_ssize_t count) noexcept nogil:
    """OUT to: for `count` cells, the values of their rows."""
    cdef Py_ssize_t r = start // job.cells, i = start - r * job.cells, c
    if job.cells == 1:
        memcpy(to, values + start, count * sizeof(double))
        return
    for c in range(count):
        to[c] = values[r]
        i += 1
        if i == job.cells:
            i = 0
            r += 1


cdef inline always of_runs(Samples *job, double *to, const double *values, Py_ssize_t start,
                           Py_ssize_t count) noexcept nogil:
    """OUT to: for `count` cells, the values of their runs, weights or biases."""
    cdef Py_ssize_t last = job.groups * job.cells, i = start % last, c
    for c in range(count):
        to[c] = values[i if job.parts == 1 else i // job.parts]
        i = i + 1 if i + 1 < last else 0


cdef leaf write_normal(Samples *job, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    cdef Py_ssize_t b
    for b in range(ceil_div(stop - start, MOST_CELLS)):
        write_cells(job, start + b * MOST_CELLS,
                    min(<Py_ssize_t>MOST_CELLS, stop - start - b * MOST_CELLS))


cdef void write_given(Samples *job, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """g = given*f'(z) of rows, z being what went into f, as a forward would have written it."""
    cdef Samples before = job[0]
    cdef Py_ssize_t r
    before.out, before.stream = job.g, False
    for r in range(first, last):
        before.rest[r] = before.mean[r] - <T>before.mean[r]
        before.unit[r] = unit_for(job.mean[r], job.rstd[r]) if doubtful_row(job, r) else 0
    write_normal(&before, first * job.cells, last * job.cells)


cdef inline void bend_cell(Samples *job, Cell cell, T mean, T scale, T shift) noexcept nogil:
    """A cell with what follows; by items with their weights."""
    cdef Py_ssize_t at = cell.at
    bent_run(job.out + at, job.x + at, from_at(job.residual, at), from_at(job.given, at), cell.n,
             &mean, &scale, &shift, job.weights + cell.place if job.items else NULL,
             job.biases + cell.place, False, job.slope, job.most, job.bend, job.stream, job.ahead)


cdef inline const S *from_at(const S *a, Py_ssize_t at) noexcept nogil:
    if a == NULL:
        return NULL
    return a + at


cdef inline always write_cells(Samples *job, Py_ssize_t start, Py_ssize_t count) noexcept nogil:
    cdef double means[MOST_CELLS]
    cdef double rests[MOST_CELLS]
    cdef double units[MOST_CELLS]
    cdef double scales[MOST_CELLS]
    cdef double weights[MOST_CELLS]
    cdef double biases[MOST_CELLS]
    cdef bint wide = False, stream = job.stream, items = job.items
    cdef Py_ssize_t c, at, ahead = job.ahead
    cdef T mean, scale, shift
    cdef Cell cell
    of_rows(job, means, job.mean, start, count)
    of_rows(job, rests, job.rest, start, count)
    of_rows(job, units, job.unit, start, count)
    of_rows(job, scales, job.rstd, start, count)
    for c in range(MOST_CELLS):
        biases[c] = 0
    if job.affine and not items:
        of_runs(job, weights, job.weight, start, count)
        of_runs(job, biases, job.bias, start, count)
        for c in range(count):
            scales[c] *= weights[c]
    for c in range(count):
        biases[c] -= rests[c] * scales[c]
    for c in range(count):
        # a scale so small that T loses bits of it
        units[c] = 1 if (fabs(scales[c]) * most_of() < 1) & (scales[c] != 0) else units[c]
    for c in range(count):
        wide |= units[c] != 0
    for c in range(count):
        cell = cell_of(job, start + c)
        if unlikely(wide) and units[c] != 0:
            write_wide_cell(job, NULL, cell, False)
            continue
        at = cell.at
        mean, scale, shift = <T>means[c], <T>scales[c], <T>biases[c]
        if job.bend != NULL:
            bend_cell(job, cell, mean, scale, shift)
        elif items:
            normalize_run(job.out + at, job.x + at, job.x, cell.n, &mean, &scale, &shift,
                          job.weights + cell.place, job.biases + cell.place, False, True, <T>1,
                          <T>1, False, False, stream, ahead)
        else:
            normalize_run(job.out + at, job.x + at, job.x, cell.n, &mean, &scale, &shift, &mean,
                          &mean, False, False, <T>1, <T>1, False, False, stream, ahead)
