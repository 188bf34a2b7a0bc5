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
    void *out
    const void *x
    const void *dy
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
    double *along
    double *rest            # what the mean, rounded to T, lacks
    double *unit            # 0, or what x is multiplied by where a row is doubtful
    double *centre          # doubtful rows: what g is taken about; g_mean is that of the rest
    double *sums            # 3 for each piece forward, 2 for each cell backward,
    Py_ssize_t row          # for the rows from this one on,
    Py_ssize_t row_sums     # so many for each
    const double *weight    # by runs (groups * n/run,); by items (groups * n,) where they are odd
    const double *bias
    void *weights           # by items: (groups * n,) of T
    void *biases
    void *slopes            # by items: (threads, 2, groups * n) of T, on the way to `shared`
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


cdef inline void sum_short(double *out, const T *x, Py_ssize_t n, double k) noexcept nogil:
    """As sum_again for one short row: in lanes of its own, with nothing to add them to."""
    cdef double s[LANES]
    cdef double q[LANES]
    cdef double d
    cdef Py_ssize_t i, j, whole = n - n % LANES
    for j in range(LANES):
        s[j] = 0
    for j in range(LANES):
        q[j] = 0
    for i in range(n // LANES):
        for j in range(LANES):
            d = x[i * LANES + j] - k
            s[j] += d
            q[j] += d * d
    for j in range(n - whole):
        d = x[whole + j] - k
        s[j] += d
        q[j] += d * d
    out[0] = k
    out[1] = fold_lanes(s)
    out[2] = fold_lanes(q)


cdef inline void product_short(double *s, double *q, const T *dy, const T *x, Py_ssize_t n,
                               T mean, T rstd) noexcept nogil:
    """OUT s, q: sum(dy), sum(dy*(x - mean)*rstd) over a short run."""
    cdef T a[LANES]
    cdef T b[LANES]
    cdef Py_ssize_t i, j, whole = n - n % LANES
    for j in range(LANES):
        a[j] = 0
    for j in range(LANES):
        b[j] = 0
    for i in range(n // LANES):
        for j in range(LANES):
            a[j] += dy[i * LANES + j]
            b[j] += dy[i * LANES + j] * ((x[i * LANES + j] - mean) * rstd)
    for j in range(n - whole):
        a[j] += dy[whole + j]
        b[j] += dy[whole + j] * ((x[whole + j] - mean) * rstd)
    s[0] = fold_lanes(a)
    q[0] = fold_lanes(b)


cdef inline void sum_piece(double *out, const T *x, Py_ssize_t n, bint centred) noexcept nogil:
    """OUT out: k, sum(x - k), sum((x - k)^2) of a piece; k = 0 where nothing is centred."""
    cdef T s[LANES]
    cdef T q[LANES]
    cdef T k = median5(x[0], x[n // 4], x[n // 2], x[n // 4 * 3], x[n - 1]) if centred else 0
    cdef bint good
    if sizeof(T) < sizeof(double) and n <= SMALL:
        sum_short(out, x, n, k)
        return
    clear_lanes(s, q)
    add_shifted(s, q, x, n, k, STRIDE_AHEAD)
    out[0] = k
    out[1] = fold_lanes(s)
    out[2] = fold_lanes(q)
    if centred:
        good = trusted(out[1], out[2], n, least_square(k), most_square(k))
    else:
        good = least_square(k) < out[2] and out[2] < most_square(k)
    if not good:
        sum_again(out, x, 1, 0, n, k)
        if centred:
            sum_again(out, x, 1, 0, n, out[0] + out[1] / n)


cdef inline Py_ssize_t piece_length(Samples *job, Py_ssize_t i) noexcept nogil:
    return min(<Py_ssize_t>ROW_BLOCK, job.n - i * ROW_BLOCK)


cdef void reduce_moments(Samples *job, Py_ssize_t r, Py_ssize_t first, Py_ssize_t last,
                         T kind) noexcept nogil:
    """The sums of pieces of a row; weights have no part in them, so nor have cells."""
    cdef const T *x = <const T *>job.x + r * job.n
    cdef double *sums = job.sums + (r - job.row) * job.row_sums
    cdef Py_ssize_t i
    for i in range(first, last):
        sum_piece(sums + 3 * i, x + i * ROW_BLOCK, piece_length(job, i), job.centred)


cdef void settle_sample(Samples *job, Py_ssize_t r, T kind) noexcept nogil:
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
        moments_beyond(&job.mean[r], &job.var[r], &job.rstd[r], <const T *>job.x + r * job.n, 1, 0,
                       job.n, job.eps, job.centred)
        job.rest[r] = 0
    job.unit[r] = 0
    if unlikely(doubtful_row(job, r, kind)):
        job.unit[r] = unit_for(job.mean[r], job.rstd[r], kind)


cdef void write_normal(Samples *job, Py_ssize_t r, Py_ssize_t first, Py_ssize_t last,
                       T kind) noexcept nogil:
    cdef const T *x = <const T *>job.x + r * job.n
    cdef T *y = <T *>job.out + r * job.n
    cdef T mean = <T>job.mean[r], rstd = clamped(job.rstd[r], kind)
    cdef T shift = <T>(-job.rest[r] * job.rstd[r])
    cdef Py_ssize_t i, at
    cdef Cell cell
    cdef double scale
    if unlikely(job.unit[r] != 0):
        write_wide_cells(job, NULL, r, first, last, False, kind)
        return
    for i in range(first, last):
        cell = cell_of(job, r, i)
        if job.items:
            at = r % job.groups * job.n + cell.start
            normalize_weighted(y + cell.start, x + cell.start, <const T *>job.weights + at,
                               <const T *>job.biases + at, cell.n, mean, rstd, shift,
                               job.stream, job.ahead)
        elif job.affine:
            scale = job.weight[cell.owner] * job.rstd[r]
            if unlikely(fabs(scale) * most_of(kind) < 1 and scale != 0):
                write_wide_cells(job, NULL, r, i, i + 1, False, kind)
                continue
            normalize(y + cell.start, x + cell.start, cell.n, mean, clamped(scale, kind),
                      <T>(job.bias[cell.owner] - job.rest[r] * scale), job.stream, job.ahead)
        else:
            normalize(y + cell.start, x + cell.start, cell.n, mean, rstd, shift, job.stream,
                      job.ahead)


cdef void reduce_products(Samples *job, Py_ssize_t r, Py_ssize_t first, Py_ssize_t last,
                          T kind) noexcept nogil:
    """Sums of dy and dy*xhat of each cell, of dy*weight by items."""
    cdef const T *dy = <const T *>job.dy + r * job.n
    cdef const T *x = <const T *>job.x + r * job.n
    cdef T mean = <T>job.mean[r], rstd = clamped(job.rstd[r], kind)
    cdef double rest = (job.mean[r] - mean) * job.rstd[r]
    cdef double *out = job.sums + (r - job.row) * job.row_sums + 2 * first
    cdef T s[LANES]
    cdef T q[LANES]
    cdef Py_ssize_t i
    cdef Cell cell
    for i in range(first, last):
        cell = cell_of(job, r, i)
        if job.items:
            clear_lanes(s, q)
            add_weighted(s, q, dy + cell.start, x + cell.start,
                         <const T *>job.weights + r % job.groups * job.n + cell.start, cell.n,
                         mean, rstd, <T>-rest)
            out[0] = fold_lanes(s)
            out[1] = fold_lanes(q)
        elif cell.n <= SMALL:
            product_short(out, out + 1, dy + cell.start, x + cell.start, cell.n, mean, rstd)
            out[1] -= rest * out[0]
        else:
            clear_lanes(s, q)
            add_products(s, q, dy + cell.start, x + cell.start, cell.n, mean, rstd,
                         STRIDE_AHEAD, STRIDE_AHEAD)
            out[0] = fold_lanes(s)
            out[1] = fold_lanes(q) - rest * out[0]
        out += 2


cdef void settle_slopes(Samples *job, Py_ssize_t r, T kind) noexcept nogil:
    """g_mean and along of a row from the sums of its cells."""
    cdef const double *cell = job.sums + (r - job.row) * job.row_sums
    cdef double g = 0, along = 0, weight = 1
    cdef Py_ssize_t i
    for i in range(job.cells):
        if job.affine and not job.items:
            weight = job.weight[cell_of(job, r, i).owner]
        g += weight * cell[0]
        along += weight * cell[1]
        cell += 2
    job.g_mean[r] = g / job.n if job.centred else 0
    job.along[r] = along / job.n
    job.unit[r] = 0
    if unlikely(doubtful_row(job, r, kind) or not sums_clear(job, r, g, along, kind)):
        doubt_slopes(job, r, g, along, kind)


cdef void write_gradient(Samples *job, T *slopes, double *shared, Py_ssize_t r, Py_ssize_t first,
                         Py_ssize_t last, T kind) noexcept nogil:
    """dx of cells; by items, what they add to dbias and dweight is added to `slopes`.

    What doubtful rows add is beyond T: it goes to `shared` at once.
    """
    cdef const T *dy = <const T *>job.dy + r * job.n
    cdef const T *x = <const T *>job.x + r * job.n
    cdef T *dx = <T *>job.out + r * job.n
    cdef T mean = <T>job.mean[r], rstd = clamped(job.rstd[r], kind)
    cdef double rest = (job.mean[r] - mean) * job.rstd[r]
    # By runs xhat is without its shift: dy_mean makes up for it.
    cdef T g_mean = <T>job.g_mean[r] if job.items else <T>(job.g_mean[r] - rest * job.along[r])
    cdef T along = <T>job.along[r] if job.items else clamped(job.along[r] * job.rstd[r], kind)
    cdef Py_ssize_t i, width = job.groups * job.n
    cdef Cell cell
    if unlikely(job.unit[r] != 0):
        write_wide_cells(job, shared, r, first, last, True, kind)
        return
    for i in range(first, last):
        cell = cell_of(job, r, i)
        if job.items:
            gradient_weighted(dx + cell.start, slopes + cell.start, slopes + width + cell.start,
                              dy + cell.start, x + cell.start,
                              <const T *>job.weights + r % job.groups * job.n + cell.start,
                              cell.n, mean, rstd, <T>-rest, g_mean, along, job.stream, job.ahead)
        else:
            slope_rows(dx + cell.start, dy + cell.start, x + cell.start, cell.n,
                       clamped(job.weight[cell.owner], kind) if job.affine else <T>1, mean,
                       along, g_mean, rstd, job.stream, job.ahead)
