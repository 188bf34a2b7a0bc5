# Walks over the rows of samples.pxi, and the entry points of the norms of a sample.
#
# Where a row fits in cache, a thread takes one row after the other: sums, statistics, output. Long
# rows are shared out by cells: all sums, then all statistics, then all outputs. As in schedule.pxi
# neither the walk nor the threads change a bit of the result.

cdef void settle_rows(Samples *job, Py_ssize_t start, Py_ssize_t stop, bint backward,
                      T kind) noexcept nogil:
    cdef Py_ssize_t r
    for r in range(start, stop):
        if backward:
            settle_slopes(job, r, kind)
        else:
            settle_sample(job, r, kind)


cdef inline Py_ssize_t tile_rows(Samples *job) noexcept nogil:
    return max(<Py_ssize_t>1, min(<Py_ssize_t>TILE_ROWS, TILE_ITEMS // job.n))


cdef void walk_rows(Samples *job, double *sums, Py_ssize_t start, Py_ssize_t stop, bint backward,
                    T kind) noexcept nogil:
    cdef Samples mine = job[0]
    cdef Py_ssize_t tile = tile_rows(job), t, r, last
    if sums != NULL:            # room for the sums of a tile: nobody needs them afterwards
        mine.sums = sums
    for t in range(ceil_div(stop - start, tile)):
        last = min(start + (t + 1) * tile, stop)
        if sums != NULL:
            mine.row = start + t * tile
        for r in range(start + t * tile, last):
            if backward:
                reduce_products(&mine, r, 0, job.cells, kind)
            else:
                reduce_moments(&mine, r, 0, job.pieces, kind)
        settle_rows(&mine, start + t * tile, last, backward, kind)
        for r in range(start + t * tile, last):
            if backward:
                write_gradient(&mine, &kind, NULL, r, 0, job.cells, kind)
            else:
                write_normal(&mine, r, 0, job.cells, kind)
    if job.stream:
        stream_fence()


cdef void walk_shard(Samples *job, double *sums, T *slopes, Py_ssize_t s, Py_ssize_t first,
                     Py_ssize_t last, bint settled, T kind) noexcept nogil:
    """dx, dbias and dweight by items, of the cells [first, last) of `groups` rows, over a shard."""
    cdef Samples mine = job[0]
    cdef Py_ssize_t cells = job.cells, width = job.groups * job.n, g, r, v
    cdef Py_ssize_t stop = min((s + 1) * job.shard, job.rows // job.groups)
    cdef Py_ssize_t start = first // cells * job.n + first % cells * ROW_BLOCK
    cdef Py_ssize_t n = last // cells * job.n + last % cells * ROW_BLOCK - start
    cdef double *shared = job.shared + 2 * s * width + start
    if not settled:
        mine.sums = sums
    memset(slopes + start, 0, n * sizeof(T))
    memset(slopes + width + start, 0, n * sizeof(T))
    memset(shared, 0, n * sizeof(double))
    memset(shared + width, 0, n * sizeof(double))
    for v in range(s * job.shard, stop):
        for g in range(first // cells, ceil_div(last, cells)):
            r = v * job.groups + g
            if not settled:
                mine.row = r
                reduce_products(&mine, r, 0, cells, kind)
                settle_slopes(&mine, r, kind)
            write_gradient(&mine, slopes + g * job.n, shared - start + g * job.n, r,
                           max(<Py_ssize_t>0, first - g * cells),
                           min(cells, last - g * cells), kind)
        if (v + 1 - s * job.shard) % COLUMN_RUN == 0 or v + 1 == stop:
            empty(shared, slopes + start, n)
            empty(shared + width, slopes + width + start, n)
    if job.stream:
        stream_fence()


cdef void walk_shards(Samples *job, double *sums, Py_ssize_t t, Py_ssize_t start, Py_ssize_t stop,
                      Py_ssize_t columns, bint settled, T kind) noexcept nogil:
    """Thread t: the places [start, stop) of shards by columns, which are the cells of a row."""
    cdef T *slopes = <T *>job.slopes + 2 * t * job.groups * job.n
    cdef Py_ssize_t s
    for s in range(start // columns, ceil_div(stop, columns)):
        walk_shard(job, sums, slopes, s, max(<Py_ssize_t>0, start - s * columns),
                   min(columns, stop - s * columns), settled, kind)


cdef void walk_cells(Samples *job, Py_ssize_t start, Py_ssize_t stop, int step, bint backward,
                     T kind) noexcept nogil:
    """Step 0 sums, step 1 writes the cells (or pieces) [start, stop), counted through all rows."""
    cdef Py_ssize_t r, first, last
    cdef Py_ssize_t cells = job.cells if backward or step == 1 else job.pieces
    for r in range(start // cells, ceil_div(stop, cells)):
        first = max(<Py_ssize_t>0, start - r * cells)
        last = min(cells, stop - r * cells)
        if step == 0:
            if backward:
                reduce_products(job, r, first, last, kind)
            else:
                reduce_moments(job, r, first, last, kind)
        elif backward:
            write_gradient(job, &kind, NULL, r, first, last, kind)
        else:
            write_normal(job, r, first, last, kind)
    if step == 1 and job.stream:
        stream_fence()


cdef void run_samples(Samples *job, int threads, bint near, bint backward, T kind) noexcept nogil:
    cdef Py_ssize_t t, rows = job.rows, total = job.rows * job.cells, shards = job.shards
    cdef Py_ssize_t parts = total if backward else job.rows * job.pieces
    cdef Py_ssize_t columns = job.groups * job.cells
    cdef bint share = backward and job.items
    cdef Py_ssize_t room = tile_rows(job) * 3 * max(job.cells, job.pieces)
    cdef double *sums = NULL if backward and not share else job.sums
    if near:
        for t in prange(threads, num_threads=threads, schedule="static", chunksize=1):
            if share:
                walk_shards(job, sums + t * room, t, shards * t // threads * columns,
                            shards * (t + 1) // threads * columns, columns, False, kind)
            else:
                walk_rows(job, sums + t * room if sums != NULL else NULL, rows * t // threads,
                          rows * (t + 1) // threads, backward, kind)
        return
    for t in prange(threads, num_threads=threads, schedule="static", chunksize=1):
        walk_cells(job, parts * t // threads, parts * (t + 1) // threads, 0, backward, kind)
    for t in prange(threads, num_threads=threads, schedule="static", chunksize=1):
        settle_rows(job, rows * t // threads, rows * (t + 1) // threads, backward, kind)
    for t in prange(threads, num_threads=threads, schedule="static", chunksize=1):
        if share:
            walk_shards(job, sums, t, shards * columns * t // threads,
                        shards * columns * (t + 1) // threads, columns, True, kind)
        else:
            walk_cells(job, total * t // threads, total * (t + 1) // threads, 1, backward, kind)


cdef bint set_cells(Samples *job, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t run,
                    Py_ssize_t values, int threads, Py_ssize_t cache, int inputs,
                    T kind) noexcept nogil:
    """The geometry of a job; values: how many values weight and bias have, 0 without them.

    Returns whether rows are to be taken one by one.
    """
    cdef Py_ssize_t tasks
    job.rows, job.n = rows, n
    job.affine = values > 0
    job.groups = values * run // n if job.affine else 1
    job.items = job.affine and run < SHORT_RUN and run < n
    job.run = n if job.items or not job.affine else run
    job.parts = ceil_div(job.run, ROW_BLOCK)
    job.cells = n // job.run * job.parts
    job.pieces = ceil_div(n, ROW_BLOCK)
    job.shard = max(<Py_ssize_t>FEWEST_SHARED, ceil_div(rows // job.groups, MOST_SHARDS))
    job.shards = ceil_div(rows // job.groups, job.shard)
    # Streaming stores leave half a line behind at the ends of short cells.
    job.stream = job.stream and (n * sizeof(T) % 64 == 0 or n >= WHOLE_LINES)
    job.stream = job.stream and (job.items or job.run >= WHOLE_LINES
                                 or job.run * sizeof(T) % 64 == 0)
    job.ahead = tile_rows(job) * n if n <= NEAR_ROW else STRIDE_AHEAD
    tasks = job.shards if inputs == 2 and job.items else rows
    return inputs * n * <Py_ssize_t>sizeof(T) <= cache and (
        threads == 1 or tasks % threads == 0 or tasks >= 8 * threads)


cdef inline void spread_values(T *to, const P[:] values, double otherwise, Py_ssize_t count,
                               Py_ssize_t run) noexcept:
    """to = values, `run` times each; all `otherwise` where values is None."""
    cdef Py_ssize_t i, j
    cdef T value
    for i in range(count // run):
        value = <T>(otherwise if values is None else values[i])
        for j in range(run):
            to[i * run + j] = value


cdef inline bint any_odd(const P *values, Py_ssize_t step, Py_ssize_t n, double most,
                         T kind) noexcept nogil:
    """Is there a value that T should not multiply others by, or loses bits of?"""
    cdef bint odd = False
    cdef Py_ssize_t i
    if values == NULL:
        return False
    for i in range(n):
        odd |= not fabs(values[i * step]) < most
    if sizeof(T) < sizeof(P):
        for i in range(n):
            odd |= fabs(values[i * step]) < FLT_MIN and values[i * step] != 0
    return odd


cdef double *open_samples(Samples *job, const P[:] weight, const P[:] bias, Py_ssize_t run,
                          int threads, bint backward, bint near, T kind) except NULL:
    """Scratch, to be freed by the caller; weights and biases as the cells need them."""
    cdef Py_ssize_t width = job.groups * job.n, values = width // run, sums, items, extra
    cdef double *scratch
    sums = threads * tile_rows(job)
    if backward or not near:
        sums = max(sums, job.rows)
    sums *= 3 * max(job.cells, job.pieces)
    items = 2 * width if job.items else 0
    extra = 2 * width * (job.shards + threads) if job.items and backward else 0
    job.odd = (any_odd(start_of(weight), step_of(weight), width // run, most_factor(kind), kind)
               or any_odd(start_of(bias), step_of(bias), width // run, most_of(kind), kind))
    if job.items:
        values = width if job.odd else 0
    values = values if job.affine else 0
    scratch = <double *>malloc((5 * job.rows + sums + 2 * values + items + extra) * sizeof(double))
    if scratch == NULL:
        raise MemoryError(f"a norm of {job.rows} rows has no memory left for its sums")
    job.g_mean, job.along, job.rest = scratch, scratch + job.rows, scratch + 2 * job.rows
    job.unit, job.centre = scratch + 3 * job.rows, scratch + 4 * job.rows
    job.sums = scratch + 5 * job.rows
    job.row_sums = 2 * job.cells if backward else 3 * job.pieces
    job.weight, job.bias = job.sums + sums, job.sums + sums + values
    if values and job.items:
        spread_values(<double *>job.weight, weight, 1.0, values, run)
        spread_values(<double *>job.bias, bias, 0.0, values, run)
    elif values:
        fill(<double *>job.weight, start_of(weight), step_of(weight), 1.0, values)
        fill(<double *>job.bias, start_of(bias), step_of(bias), 0.0, values)
    job.weights = <void *>(job.bias + values)
    job.biases = <T *>job.weights + width
    job.shared = <double *>job.weights + items
    job.slopes = job.shared + 2 * width * job.shards
    if job.items:
        spread_values(<T *>job.weights, weight, 1.0, width, run)
        spread_values(<T *>job.biases, bias, 0.0, width, run)
    return scratch


cdef inline Py_ssize_t values_of(const P[:] weight, const P[:] bias) noexcept:
    return weight.shape[0] if weight is not None else bias.shape[0] if bias is not None else 0


cdef void add_items(Samples *job, P[:] dweight, P[:] dbias, Py_ssize_t run) noexcept:
    """dweight and dbias from the sums of the shards, in their order."""
    cdef Py_ssize_t width = job.groups * job.n, s, i, j
    cdef double dw, db
    cdef const double *more
    cdef double *sums = job.shared
    for s in range(1, job.shards):
        more = sums + 2 * s * width
        for i in range(2 * width):
            sums[i] += more[i]
    for i in range(width // run):
        dw = db = 0
        for j in range(run):
            db += sums[i * run + j]
            dw += sums[width + i * run + j]
        if dweight is not None:
            dweight[i] = <P>dw
        if dbias is not None:
            dbias[i] = <P>db


cdef void add_runs(Samples *job, P[:] dweight, P[:] dbias, Py_ssize_t values) noexcept:
    """dweight and dbias from the sums of the cells, in the order of memory."""
    cdef Py_ssize_t i, _j, _v
    cdef double *dw = <double *>job.weight      # which nobody needs any more
    cdef double *db = <double *>job.bias
    cdef const double *cell = job.sums
    memset(dw, 0, values * sizeof(double))
    memset(db, 0, values * sizeof(double))
    for _v in range(job.rows // job.groups):
        for i in range(values):
            for _j in range(job.parts):
                db[i] += cell[0]
                dw[i] += cell[1]
                cell += 2
    for i in range(values):
        if dweight is not None:
            dweight[i] = <P>dw[i]
        if dbias is not None:
            dbias[i] = <P>db[i]


cdef int check_rows(const T[:, ::1] a, const T[:, ::1] x, str name) except -1:
    """`a` and x are there, of one shape, and hold values."""
    if x is None or a is None:
        refuse("x" if x is None else name, "shape (rows, n)", None)
    if x.shape[0] == 0 or x.shape[1] == 0:
        refuse("x", "a shape without 0", (x.shape[0], x.shape[1]))
    if a.shape[0] != x.shape[0] or a.shape[1] != x.shape[1]:
        refuse(name, f"shape {x.shape[0], x.shape[1]}", (a.shape[0], a.shape[1]))
    return 0


cdef int check_spread(const T[:, ::1] x, const double[:, ::1] stats, const P[:] weight,
                      const P[:] bias, Py_ssize_t values, Py_ssize_t run, int threads) except -1:
    """stats fit the rows, and weight and bias, spread out `run` times each, a number of rows."""
    cdef Py_ssize_t rows = x.shape[0], n = x.shape[1]
    check_stats(stats, rows)
    check_length(weight, values, "weight")
    check_length(bias, values, "bias")
    check_threads(threads)
    if run < 1 or n % run != 0:
        refuse("run", f"a divisor of {n}", run)
    if values * run % n != 0 or (values > 0 and rows % (values * run // n) != 0):
        refuse("weight and bias", f"a divisor of {rows * n // run} values", values)
    return 0


def normalize_rows(T[:, ::1] y, double[:, ::1] stats, const T[:, ::1] x, const P[:] weight,
                   const P[:] bias, Py_ssize_t run, double eps, bint centred, int threads,
                   Py_ssize_t cache, bint stream):
    """y = (x - mean)*rstd*weight + bias with the moments of each row of x.

    OUT y (rows, n); stats (3, rows): mean, var, rstd; not centred: 0, the mean square, rstd.
    run: so many items side by side share a value of weight and bias (K,); row r begins at value
    r % (K*run/n) * n/run.
    """
    cdef Samples job
    cdef T kind = 0
    cdef double *scratch
    cdef Py_ssize_t values = values_of(weight, bias)
    cdef bint near
    memset(&job, 0, sizeof(Samples))
    check_rows(y, x, "y")
    check_spread(x, stats, weight, bias, values, run, threads)
    job.stream, job.eps, job.centred = stream, eps, centred
    near = set_cells(&job, x.shape[0], x.shape[1], run, values, threads, cache, 1, kind)
    scratch = open_samples(&job, weight, bias, run, threads, False, near, kind)
    job.mean, job.var, job.rstd = &stats[0, 0], &stats[1, 0], &stats[2, 0]
    job.out, job.x = &y[0, 0], &x[0, 0]
    with nogil:
        run_samples(&job, threads, near, False, kind)
    free(scratch)


def gradient_rows(T[:, ::1] dx, P[:] dweight, P[:] dbias, const T[:, ::1] dy, const T[:, ::1] x,
                  double[:, ::1] stats, const P[:] weight, Py_ssize_t run, bint centred,
                  int threads, Py_ssize_t cache, bint stream):
    """dx, dweight and dbias of normalize_rows; either of the last two may be None."""
    cdef Samples job
    cdef T kind = 0
    cdef double *scratch
    cdef Py_ssize_t values = max(values_of(weight, weight), values_of(dweight, dbias))
    cdef bint near
    memset(&job, 0, sizeof(Samples))
    check_rows(dy, x, "dy")
    check_rows(dx, x, "dx")
    check_spread(x, stats, weight, weight, values, run, threads)
    check_length(dweight, values, "dweight")
    check_length(dbias, values, "dbias")
    job.stream, job.centred = stream, centred
    near = set_cells(&job, x.shape[0], x.shape[1], run, values, threads, cache, 2, kind)
    scratch = open_samples(&job, weight, weight, run, threads, True, near, kind)
    job.mean, job.var, job.rstd = &stats[0, 0], &stats[1, 0], &stats[2, 0]
    job.out, job.x, job.dy = &dx[0, 0], &x[0, 0], &dy[0, 0]
    with nogil:
        run_samples(&job, threads, near, True, kind)
    if job.items:
        add_items(&job, dweight, dbias, run)
    elif job.affine:
        add_runs(&job, dweight, dbias, values)
    free(scratch)
