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
    SHORT_RUN = 32          # shorter runs are spread out to items
    FEWEST_SHARED = 32      # rows to a shard, and
    MOST_SHARDS = 64        # shards, at the most
    NEAR_ROW = 8192         # items of a row that is asked for while the one before it is written

cdef struct Samples:
    bint centred, items, affine
    void *out
    const void *x
    const void *dy
    Py_ssize_t rows, n
    Py_ssize_t run, parts   # items to a run; cells to a run
    Py_ssize_t cells        # cells to a row
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
    double *sums            # 3 forward, 2 backward, for each cell of a row,
    Py_ssize_t row_sums     # and from the sums of a row to those of the next
    const double *weight    # by runs: (groups * n/run,)
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


cdef inline void sum_cell(double *out, const T *x, Py_ssize_t n, bint centred) noexcept nogil:
    """OUT out: k, sum(x - k), sum((x - k)^2) of a cell; k = 0 where nothing is centred."""
    cdef T s[LANES]
    cdef T q[LANES]
    cdef T k = median5(x[0], x[n // 4], x[n // 2], x[n // 4 * 3], x[n - 1]) if centred else 0
    if sizeof(T) == sizeof(double) or n > SMALL:
        clear_lanes(s, q)
        add_shifted(s, q, x, n, k, STRIDE_AHEAD)
        out[0] = k
        out[1] = fold_lanes(s)
        out[2] = fold_lanes(q)
        if centred:
            if trusted(out[1], out[2], n, least_square(k), most_square(k)):
                return
        elif least_square(k) < out[2] and out[2] < most_square(k):
            return
    sum_again(out, x, 1, 0, n, k)
    if centred and (sizeof(T) == sizeof(double) or n > SMALL):
        sum_again(out, x, 1, 0, n, out[0] + out[1] / n)


cdef void reduce_moments(Samples *job, Py_ssize_t r, Py_ssize_t first, Py_ssize_t last,
                         T kind) noexcept nogil:
    cdef const T *x = <const T *>job.x + r * job.n
    cdef double *out = job.sums + r * job.row_sums + 3 * first
    cdef Py_ssize_t i
    cdef Cell cell
    for i in range(first, last):
        cell = cell_of(job, r, i)
        sum_cell(out, x + cell.start, cell.n, job.centred)
        out += 3


cdef void settle_sample(Samples *job, Py_ssize_t r, T kind) noexcept nogil:
    """mean, var, rstd and rest of a row from the sums of its cells."""
    cdef const double *cell = job.sums + r * job.row_sums
    cdef double k = cell[0], s1 = cell[1], s2 = cell[2], away, n, m = <double>job.n, var
    cdef Py_ssize_t i
    for i in range(1, job.cells):
        cell += 3
        n = <double>cell_of(job, r, i).n
        away = cell[0] - k
        s2 += cell[2] + away * (2 * cell[1] + n * away)
        s1 += cell[1] + n * away
    if job.centred:
        var = (s2 - s1 * s1 / m) / m
        job.var[r] = 0 if var < 0 else var
        job.mean[r] = k + s1 / m
        job.rest[r] = (k - <T>job.mean[r]) + s1 / m
    else:
        job.var[r], job.mean[r], job.rest[r] = s2 / m, 0, 0
    job.rstd[r] = 1 / sqrt(job.var[r] + job.eps)


cdef void write_normal(Samples *job, Py_ssize_t r, Py_ssize_t first, Py_ssize_t last,
                       T kind) noexcept nogil:
    cdef const T *x = <const T *>job.x + r * job.n
    cdef T *y = <T *>job.out + r * job.n
    cdef T mean = <T>job.mean[r], rstd = clamped(job.rstd[r], kind)
    cdef T shift = <T>(-job.rest[r] * job.rstd[r])
    cdef Py_ssize_t i, at
    cdef Cell cell
    cdef double scale
    for i in range(first, last):
        cell = cell_of(job, r, i)
        if job.items:
            at = r % job.groups * job.n + cell.start
            normalize_weighted(y + cell.start, x + cell.start, <const T *>job.weights + at,
                               <const T *>job.biases + at, cell.n, mean, rstd, shift,
                               job.stream, job.ahead)
        elif job.affine:
            scale = job.weight[cell.owner] * job.rstd[r]
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
    cdef double *out = job.sums + r * job.row_sums + 2 * first
    cdef T s[LANES]
    cdef T q[LANES]
    cdef Py_ssize_t i
    cdef Cell cell
    for i in range(first, last):
        cell = cell_of(job, r, i)
        clear_lanes(s, q)
        if job.items:
            add_weighted(s, q, dy + cell.start, x + cell.start,
                         <const T *>job.weights + r % job.groups * job.n + cell.start, cell.n,
                         mean, rstd, <T>-rest)
            out[0] = fold_lanes(s)
            out[1] = fold_lanes(q)
        else:
            add_products(s, q, dy + cell.start, x + cell.start, cell.n, mean, rstd,
                         STRIDE_AHEAD, STRIDE_AHEAD)
            out[0] = fold_lanes(s)
            out[1] = fold_lanes(q) - rest * out[0]
        out += 2


cdef void settle_slopes(Samples *job, Py_ssize_t r, T kind) noexcept nogil:
    """g_mean and along of a row from the sums of its cells."""
    cdef const double *cell = job.sums + r * job.row_sums
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


cdef void write_gradient(Samples *job, T *slopes, Py_ssize_t r, Py_ssize_t first,
                         Py_ssize_t last, T kind) noexcept nogil:
    """dx of cells; by items, what they add to dbias and dweight is added to `slopes`."""
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
