# Walks over the rows of samples.pxi.
#
# Where a row fits in cache, a thread takes one row after the other: sums, statistics, output. Long
# rows are shared out by cells: all sums, then all statistics, then all outputs. As in schedule.pxi
# neither the walk nor the threads change a bit of the result.

cdef inline void settle_rows(Samples *job, Py_ssize_t start, Py_ssize_t stop,
                             bint backward) noexcept nogil:
    if backward:
        settle_back(job, start, stop)
    else:
        settle_samples(job, start, stop)


cdef void walk_rows(Samples *job, double *sums, T *item_sums, double *shared, Py_ssize_t start,
                    Py_ssize_t stop, bint backward) noexcept nogil:
    """One tile of rows after the other: sums, statistics, output."""
    cdef Samples mine = job[0]
    cdef Py_ssize_t tile = job.tile, t, first, last
    if sums != NULL:            # room for the sums of a tile: nobody needs them afterwards
        mine.sums = sums
    mine.summed = backward and job.several and job.short
    for t in range(ceil_div(stop - start, tile)):
        first, last = start + t * tile, min(start + (t + 1) * tile, stop)
        if sums != NULL:
            mine.row = first
        if job.given != NULL:
            write_given(&mine, first, last)
        if mine.summed:
            reduce_runs(&mine, first, last)
        elif backward:
            reduce_products(&mine, first * job.cells, last * job.cells)
        else:
            reduce_moments(&mine, first * job.pieces, last * job.pieces)
        settle_rows(&mine, first, last, backward)
        if backward:
            write_gradient(&mine, item_sums, shared, first * job.cells, last * job.cells)
        elif job.several and job.bend == NULL:
            write_runs(&mine, first, last)
        else:
            write_normal(&mine, first * job.cells, last * job.cells)
    if job.stream:
        stream_fence()


cdef void walk_shard(Samples *job, double *sums, T *item_sums, Py_ssize_t s, Py_ssize_t first,
                     Py_ssize_t last, bint settled) noexcept nogil:
    """dx, dbias and dweight by items, of the cells [first, last) of `groups` rows, over a shard.

    Rows that are not settled are taken whole.
    """
    cdef Py_ssize_t cells = job.cells, groups = job.groups, width = groups * job.n
    cdef Py_ssize_t b, v, begin, end, stop = min((s + 1) * job.shard, job.rows // groups)
    cdef Py_ssize_t start = first // cells * job.n + first % cells * ROW_BLOCK
    cdef Py_ssize_t n = last // cells * job.n + last % cells * ROW_BLOCK - start
    cdef double *shared = job.shared + 2 * s * width
    memset(item_sums + start, 0, n * sizeof(T))
    memset(item_sums + job.stride + start, 0, n * sizeof(T))
    memset(shared + start, 0, n * sizeof(double))
    memset(shared + width + start, 0, n * sizeof(double))
    for b in range(ceil_div(stop - s * job.shard, COLUMN_RUN)):
        begin = s * job.shard + b * COLUMN_RUN
        end = min(begin + COLUMN_RUN, stop)
        if not settled:
            walk_rows(job, sums, item_sums, shared, begin * groups, end * groups, True)
        else:
            for v in range(begin, end):
                write_gradient(job, item_sums, shared, v * groups * cells + first,
                               v * groups * cells + last)
        empty(shared + start, item_sums + start, n)
        empty(shared + width + start, item_sums + job.stride + start, n)
    if job.stream:
        stream_fence()


cdef void walk_shards(Samples *job, double *sums, Py_ssize_t t, Py_ssize_t start, Py_ssize_t stop,
                      Py_ssize_t columns, bint settled) noexcept nogil:
    """Thread t: the places [start, stop) of shards by columns, which are the cells of a row."""
    cdef T *item_sums = job.item_sums + 2 * t * job.stride
    cdef Py_ssize_t s
    for s in range(start // columns, ceil_div(stop, columns)):
        walk_shard(job, sums, item_sums, s, max(<Py_ssize_t>0, start - s * columns),
                   min(columns, stop - s * columns), settled)


cdef void walk_cells(Samples *job, Py_ssize_t start, Py_ssize_t stop, int step,
                     bint backward) noexcept nogil:
    """Step 0 sums, step 1 writes the cells (or pieces) [start, stop), counted through all rows."""
    if step == 0:
        if backward:
            reduce_products(job, start, stop)
        else:
            reduce_moments(job, start, stop)
    elif backward:
        write_gradient(job, NULL, NULL, start, stop)
    else:
        write_normal(job, start, stop)
    if step == 1 and job.stream:
        stream_fence()


cdef void walk_share(Samples *job, double *sums, Py_ssize_t t, int threads,
                     bint backward) noexcept nogil:
    """Thread t's share of rows that are near; sums: room for those of each thread, or NULL."""
    cdef Py_ssize_t columns = job.groups * job.cells
    cdef Py_ssize_t first, last, count = job.rows
    if backward and job.items:
        count = job.shards
    first, last = count * t // threads, count * (t + 1) // threads
    if sums != NULL:
        sums += t * job.tile * 3 * max(job.cells, job.pieces)
    if backward and job.items:
        walk_shards(job, sums, t, first * columns, last * columns, columns, False)
    else:
        walk_rows(job, sums, NULL, NULL, first, last, backward)


cdef void run_samples(Samples *job, int threads, bint near, bint backward) noexcept nogil:
    cdef Py_ssize_t t, rows = job.rows, total = job.rows * job.cells, shards = job.shards
    cdef Py_ssize_t parts = total if backward else job.rows * job.pieces
    cdef Py_ssize_t columns = job.groups * job.cells
    cdef bint share = backward and job.items
    cdef double *sums = NULL if backward and not share else job.sums
    cdef Team team
    gather(&team, threads, shards * columns if share else parts)
    if near and threads == 1:       # without a team of one, a tenth of a small call
        walk_share(job, sums, 0, 1, backward)
        return
    if near:
        for t in prange(threads, num_threads=threads, schedule="static", chunksize=1):
            begin_share(&team, t)
            walk_share(job, sums, t, threads, backward)
            end_share(&team, t)
        part_ways(&team)
        return
    if job.given != NULL:
        for t in prange(threads, num_threads=threads, schedule="static", chunksize=1):
            begin_share(&team, t)
            write_given(job, rows * t // threads, rows * (t + 1) // threads)
            end_share(&team, t)
    for t in prange(threads, num_threads=threads, schedule="static", chunksize=1):
        begin_share(&team, t)
        walk_cells(job, parts * t // threads, parts * (t + 1) // threads, 0, backward)
        end_share(&team, t)
    for t in prange(threads, num_threads=threads, schedule="static", chunksize=1):
        begin_share(&team, t)
        settle_rows(job, rows * t // threads, rows * (t + 1) // threads, backward)
        end_share(&team, t)
    for t in prange(threads, num_threads=threads, schedule="static", chunksize=1):
        begin_share(&team, t)
        if share:
            walk_shards(job, sums, t, shards * columns * t // threads,
                        shards * columns * (t + 1) // threads, columns, True)
        else:
            walk_cells(job, total * t // threads, total * (t + 1) // threads, 1, backward)
        end_share(&team, t)
    part_ways(&team)


cdef bint set_cells(Samples *job, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t run,
                    Py_ssize_t values, Py_ssize_t counted, int threads, Py_ssize_t cache,
                    int inputs) noexcept nogil:
    """The geometry of a job; values: how many values weight and bias have, 0 without them.

    Returns whether rows are to be taken one by one.
    """
    cdef Py_ssize_t tasks
    job.rows, job.n, job.counted = rows, n, counted if counted > 0 else n
    job.affine = values > 0
    job.groups = values * run // n if job.affine else 1
    job.items = job.affine and run < (SHORT_RUN if inputs == 1 else SHORT_BACK) and run < n
    job.run = n if job.items or not job.affine else run
    job.short = not job.items and FEW <= job.run < FEW_LANES
    job.whole = (inputs == 2 and job.run < min(n, <Py_ssize_t>WHOLE_RUN) and job.counted == n
                 and rows >= LEAST_SPREAD * job.groups)
    job.parts = ceil_div(job.run, ROW_BLOCK)
    job.owners = n // job.run
    job.cells = job.owners * job.parts
    job.several = job.owners > 1 and job.parts == 1 and job.counted == n
    job.pieces = ceil_div(job.counted, ROW_BLOCK)
    job.shard = max(<Py_ssize_t>FEWEST_SHARED, ceil_div(rows // job.groups, MOST_SHARDS))
    job.shards = ceil_div(rows // job.groups, job.shard)
    # Streaming stores leave half a line behind at the ends of short cells.
    job.stream = job.stream and (n * sizeof(S) % 64 == 0 or n >= WHOLE_LINES)
    job.stream = job.stream and (job.items or job.whole or job.run >= WHOLE_LINES
                                 or job.run * sizeof(S) % 64 == 0)
    if inputs == 2 and 3 * rows * n * <Py_ssize_t>sizeof(S) <= cache:
        job.stream = False      # all there is stays in a cache
    job.tile = TILE_ITEMS // (inputs * n)
    if job.short or (inputs == 1 and not job.items):
        job.tile = NEAR_ITEMS // (inputs * n)
    job.tile = max(<Py_ssize_t>1, min(<Py_ssize_t>TILE_ROWS, job.tile))
    # Asking for what the second level holds is in the way of loading it.
    if (inputs + 1) * rows * n * <Py_ssize_t>sizeof(S) > min(cache, <Py_ssize_t>HELD_BYTES):
        job.ahead = job.tile * n if n <= NEAR_ROW else STRIDE_AHEAD
        job.sum_ahead = STRIDE_AHEAD
    tasks = job.shards if inputs == 2 and job.items else rows
    return inputs * n * <Py_ssize_t>sizeof(S) <= cache and (
        threads == 1 or tasks % threads == 0 or tasks >= 8 * threads)
