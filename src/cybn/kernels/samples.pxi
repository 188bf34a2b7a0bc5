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
# they are not to be trusted.

cdef enum:
    SHORT_RUN = 128         # shorter runs are spread out to items
    FEWEST_SHARED = 32      # rows to a shard, and
    MOST_SHARDS = 64        # shards, at the most
    NEAR_ROW = 8192         # items of a row that is asked for while the one before it is written
    TILE_ROWS = 16          # short rows taken together: their square roots do not wait for another
    TILE_ITEMS = 1024

cdef struct Samples:
    bint centred, items, affine
    bint odd                # are there weights, or biases, that T should not multiply?
    S *out
    const S *x
    const S *dy
    Py_ssize_t rows, n
    Py_ssize_t run, parts   # items to a run; cells to a run
    Py_ssize_t cells        # cells to a row
    Py_ssize_t pieces       # pieces to a row, for the moments
    Py_ssize_t groups       # rows until weight and bias begin again
    Py_ssize_t shard, shards
    bint stream
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


cdef struct Cell:           # where a cell of a row lies, and whose weight it has
    Py_ssize_t start, n, owner


cdef inline Cell cell_of(Samples *job, Py_ssize_t r, Py_ssize_t i) noexcept nogil:
    cdef Cell cell
    cdef Py_ssize_t part = 0
    cell.owner = i
    if job.parts > 1:
        cell.owner = i // job.parts
        part = i - cell.owner * job.parts
    cell.start = cell.owner * job.run + part * ROW_BLOCK
    cell.n = min(<Py_ssize_t>ROW_BLOCK, job.run - part * ROW_BLOCK) if job.parts > 1 else job.run
    if job.groups > 1:
        cell.owner += r % job.groups * (job.n // job.run)
    return cell


cdef inline void sum_piece(double *out, const S *x, Py_ssize_t n, bint centred,
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
    if not good_sums(out[1] if centred else 0, out[2], n, far_in_block(n), zeros):
        sum_again(out, x, 1, 0, n, k)
        if centred:
            sum_again(out, x, 1, 0, n, out[0] + out[1] / n)


cdef inline Py_ssize_t piece_length(Samples *job, Py_ssize_t i) noexcept nogil:
    return min(<Py_ssize_t>ROW_BLOCK, job.n - i * ROW_BLOCK)


cdef leaf reduce_moments(Samples *job, Py_ssize_t r, Py_ssize_t first,
                         Py_ssize_t last) noexcept nogil:
    """The sums of pieces of a row; weights have no part in them, so nor have cells."""
    cdef const S *x = job.x + r * job.n
    cdef double *sums = job.sums + (r - job.row) * job.row_sums
    cdef bint zeros = job.centred and hides_squares(job.eps)
    cdef Py_ssize_t i
    for i in range(first, last):
        sum_piece(sums + 3 * i, x + i * ROW_BLOCK, piece_length(job, i), job.centred, zeros)


cdef void settle_sample(Samples *job, Py_ssize_t r) noexcept nogil:
    """mean, var, rstd and rest of a row from the sums of its pieces."""
    cdef const double *piece = job.sums + (r - job.row) * job.row_sums
    cdef double k = piece[0], s1 = piece[1], s2 = piece[2], m = <double>job.n, var
    cdef Py_ssize_t i
    for i in range(1, job.pieces):
        piece += 3
        merge_block(&s1, &s2, k, piece, <double>piece_length(job, i))
    if job.centred:
        var = (s2 - s1 * s1 / m) / m
        job.var[r] = 0 if var < 0 else var
        job.mean[r] = k + s1 / m
        job.rest[r] = (k - <T>job.mean[r]) + s1 / m
    else:
        job.var[r], job.mean[r], job.rest[r] = s2 / m, 0, 0
    job.rstd[r] = 1 / sqrt(job.var[r] + job.eps)
    if sizeof(T) == sizeof(double) and unlikely(not isfinite(job.var[r])):
        moments_beyond(&job.mean[r], &job.var[r], &job.rstd[r], job.x + r * job.n, 1, 0,
                       job.n, job.eps, job.centred)
        job.rest[r] = 0
    job.unit[r] = 0
    if unlikely(doubtful_row(job, r)):
        job.unit[r] = unit_for(job.mean[r], job.rstd[r])


cdef leaf write_normal(Samples *job, Py_ssize_t r, Py_ssize_t first,
                       Py_ssize_t last) noexcept nogil:
    cdef const S *x = job.x + r * job.n
    cdef S *y = job.out + r * job.n
    cdef T mean = <T>job.mean[r], rstd = clamped(job.rstd[r])
    cdef T shift = <T>(-job.rest[r] * job.rstd[r])
    cdef Py_ssize_t i, at
    cdef Cell cell
    cdef double scale
    if unlikely(job.unit[r] != 0):
        write_wide_cells(job, NULL, r, first, last, False)
        return
    for i in range(first, last):
        cell = cell_of(job, r, i)
        if job.items:
            at = r % job.groups * job.n + cell.start
            normalize_weighted(y + cell.start, x + cell.start, job.weights + at,
                               job.biases + at, cell.n, mean, rstd, shift,
                               job.stream, job.ahead)
        elif job.affine:
            scale = job.weight[cell.owner] * job.rstd[r]
            if unlikely(fabs(scale) * most_of() < 1 and scale != 0):
                write_wide_cells(job, NULL, r, i, i + 1, False)
                continue
            normalize(y + cell.start, x + cell.start, cell.n, mean, clamped(scale),
                      <T>(job.bias[cell.owner] - job.rest[r] * scale), job.stream, job.ahead)
        else:
            normalize(y + cell.start, x + cell.start, cell.n, mean, rstd, shift, job.stream,
                      job.ahead)


cdef leaf reduce_products(Samples *job, Py_ssize_t r, Py_ssize_t first,
                          Py_ssize_t last) noexcept nogil:
    """Sums of dy and dy*xhat of each cell, of dy*weight by items."""
    cdef const S *dy = job.dy + r * job.n
    cdef const S *x = job.x + r * job.n
    cdef T mean = <T>job.mean[r], rstd = clamped(job.rstd[r])
    cdef double rest = (job.mean[r] - mean) * job.rstd[r]
    cdef double *out = job.sums + (r - job.row) * job.row_sums + 2 * first
    cdef T s[LANES]
    cdef T q[LANES]
    cdef Py_ssize_t i
    cdef Cell cell
    for i in range(first, last):
        cell = cell_of(job, r, i)
        if job.items:
            sum_weighted(s, q, dy + cell.start, x + cell.start,
                         job.weights + r % job.groups * job.n + cell.start, cell.n, mean, rstd,
                         <T>-rest)
            fold_pair(out, s, q)
        else:
            sum_products(s, q, dy + cell.start, x + cell.start, cell.n, mean, rstd,
                         STRIDE_AHEAD, STRIDE_AHEAD)
            fold_pair(out, s, q)
            out[1] -= rest * out[0]
        out += 2


cdef void settle_back(Samples *job, Py_ssize_t r) noexcept nogil:
    """g_mean and g_xhat of a row from the sums of its cells."""
    cdef const double *cell = job.sums + (r - job.row) * job.row_sums
    cdef double g = 0, products = 0, weight = 1
    cdef Py_ssize_t i
    for i in range(job.cells):
        if job.affine and not job.items:
            weight = job.weight[cell_of(job, r, i).owner]
        g += weight * cell[0]
        products += weight * cell[1]
        cell += 2
    job.g_mean[r] = g / job.n if job.centred else 0
    job.g_xhat[r] = products / job.n
    job.unit[r] = 0
    if unlikely(doubtful_row(job, r) or not sums_clear(job, r, g, products)):
        doubt_back(job, r, g, products)


cdef leaf write_gradient(Samples *job, T *item_sums, double *shared, Py_ssize_t r,
                         Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """dx of cells; by items, what they add to dbias and dweight is added to `item_sums`.

    What doubtful rows add is beyond T: it goes to `shared` at once.
    """
    cdef const S *dy = job.dy + r * job.n
    cdef const S *x = job.x + r * job.n
    cdef S *dx = job.out + r * job.n
    cdef T mean = <T>job.mean[r], rstd = clamped(job.rstd[r])
    cdef double rest = (job.mean[r] - mean) * job.rstd[r]
    # By runs xhat is without its shift: dy_mean makes up for it.
    cdef T dy_mean = <T>(job.g_mean[r] - rest * job.g_xhat[r])
    cdef T along = clamped(job.g_xhat[r] * job.rstd[r])
    cdef Py_ssize_t i, width = job.groups * job.n
    cdef Cell cell
    if unlikely(job.unit[r] != 0):
        write_wide_cells(job, shared, r, first, last, True)
        return
    for i in range(first, last):
        cell = cell_of(job, r, i)
        if job.items:
            gradient_weighted(dx + cell.start, item_sums + cell.start,
                              item_sums + width + cell.start, dy + cell.start, x + cell.start,
                              job.weights + r % job.groups * job.n + cell.start, cell.n, mean,
                              rstd, <T>-rest, <T>job.g_mean[r], <T>job.g_xhat[r], job.stream,
                              job.ahead)
        else:
            gradient(dx + cell.start, dy + cell.start, x + cell.start, cell.n,
                     clamped(job.weight[cell.owner]) if job.affine else <T>1, mean, along,
                     dy_mean, rstd, job.stream, job.ahead)
