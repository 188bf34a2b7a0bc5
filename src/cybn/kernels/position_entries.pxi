# The walk over bands of positions.pxi, and the entry points.
#
# Shapes: y, x, dx, dy (N, C, L), C and L close together; stats (3, N*L) double, the rows mean, var,
# rstd; weight, bias, dweight, dbias (C,).

cdef void walk_band(Positions *job, Band s, double *shared, bint backward) noexcept nogil:
    cdef bint alone = job.row.odd or s.n < FEW_POSITIONS
    cdef Py_ssize_t j = 0, end
    cdef Band before = s
    if s.given != NULL and backward:    # dy first, as a forward writes to g
        before.out = s.g
        walk_band(job, before, shared, False)
        s.given = s.residual = NULL
    if not alone and backward:
        pull_band(job, s)
    elif not alone:
        normalize_band(job, s)
    while j < s.n:
        if unlikely(alone or job.doubt[j] != 0):
            take_position(job, s, j, shared, backward)
            j += 1
            continue
        end = j + 1
        while end < s.n and job.doubt[end] == 0:
            end += 1
        if backward:
            write_gradient_down(job, s, j, end - j)
        else:
            write_normal_down(job, s, j, end - j)
        j = end


cdef void walk_positions(Positions *shared, Py_ssize_t t, Py_ssize_t start, Py_ssize_t stop,
                         bint backward) noexcept nogil:
    """Thread t: units forward, shards of them backward."""
    cdef Positions job = shared[0]
    cdef Samples *row = &job.row
    cdef double *sums = NULL
    cdef Py_ssize_t u, s, width = job.width, C = job.C
    job.sums += 2 * t * width
    job.centre += t * width
    job.doubt += t * width
    job.rest += t * width
    job.coef += COEFS * t * width
    job.rows += 4 * t * C
    row.g_mean += t
    row.g_xhat += t
    row.rest += t
    row.unit += t
    row.centre += t
    row.sums += 3 * t * max(row.cells, row.pieces)
    if not backward:
        for u in range(start, stop):
            walk_band(&job, band_at(&job, u), NULL, False)
    else:
        row.item_sums += 2 * t * C
        job.lines += 2 * LINE_SUMS * t * C
        memset(job.lines, 0, 2 * LINE_SUMS * C * sizeof(T))
        for s in range(start, stop):
            sums = row.shared + 2 * s * C
            memset(sums, 0, 2 * C * sizeof(double))
            for u in range(s * row.shard, min((s + 1) * row.shard, job.units)):
                walk_band(&job, band_at(&job, u), sums, True)
                if (u + 1) % COLUMN_RUN == 0 or u + 1 == min((s + 1) * row.shard, job.units):
                    empty_lines(&job, sums)
    if job.stream:
        stream_fence()


cdef void run_positions(Positions *job, int threads, bint backward) noexcept nogil:
    cdef Py_ssize_t t, tasks = job.row.shards if backward else job.units
    cdef Team team
    if threads == 1:        # without a team of one
        walk_positions(job, 0, 0, tasks, backward)
        return
    gather(&team, threads, tasks)
    for t in prange(threads, num_threads=threads, schedule="static", chunksize=1):
        begin_share(&team, t)
        walk_positions(job, t, tasks * t // threads, tasks * (t + 1) // threads, backward)
        end_share(&team, t)
    part_ways(&team)


cdef void set_bands(Positions *job, Py_ssize_t N, Py_ssize_t C, Py_ssize_t L,
                    int threads) noexcept:
    """The geometry of a job."""
    cdef Samples *row = &job.row
    job.C, job.L = C, L
    job.width = min(<Py_ssize_t>WIDEST, max(<Py_ssize_t>NARROW, BAND_ITEMS // C // LANES * LANES))
    job.bands = ceil_div(L, job.width)
    if job.bands > 1:      # of one width, but for the last
        job.width = ceil_div(ceil_div(L, job.bands), LANES) * LANES
        job.bands = ceil_div(L, job.width)
    job.units = N * job.bands
    # Streaming stores leave half a line behind at the ends of short runs.
    job.stream = job.stream and (L * sizeof(S) % 64 == 0 or job.width >= WHOLE_LINES)
    job.ahead = job.width
    # a row for each thread, which has weights by items
    row.rows, row.n, row.run, row.counted = threads, C, C, C
    row.affine = row.items = True
    row.groups = row.owners = row.tile = 1
    row.stride = C
    row.parts = row.cells = row.pieces = ceil_div(C, ROW_BLOCK)
    row.shard = ceil_div(job.units, MOST_SHARDS)
    row.shards = ceil_div(job.units, row.shard)


cdef void place_bands(Positions *job, Call call, int threads, bint backward) noexcept:
    """Ask for the scratch of a job."""
    cdef Py_ssize_t width = threads * job.width
    place_rows(&job.row, call, threads, backward, False)
    job.sums = call.doubles(2 * width)
    job.centre = call.doubles(width)
    job.rest = call.doubles(width)
    job.doubt = call.doubles(width)
    job.coef = <T *>call.doubles(COEFS * width)
    job.lines = <T *>call.doubles(2 * LINE_SUMS * threads * job.C if backward else 0)
    job.rows = <S *>call.doubles(4 * threads * job.C)


cdef int allocate_bands(Positions *job, Call call, const Channels *weight, const Channels *bias,
                        int threads, bint backward) except -1:
    job.row.odd = any_odd(weight, most_factor()) or any_odd(bias, most_of())
    place_bands(job, call, threads, backward)
    call.allocate()
    place_bands(job, call, threads, backward)
    spread_affine(&job.row, weight, bias, 1)
    return 0


def positions_forward(S[:, :, :] y, stats, const S[:, :, :] x, weight, bias, double eps,
                      bint centred, int threads, bint stream, const S[:, :, :] residual=None,
                      double slope=1, double most=INFINITY, int curve=0):
    """y = f((x - mean)*rstd*weight + bias + residual) with the moments of each position of x.

    OUT y, which may be x, stats; not centred: 0, the mean square, rstd. The residual may be None; f
    is that of rows_forward.
    """
    cdef Call call = Call.__new__(Call)
    cdef Channels weights, biases
    cdef Positions job
    memset(&job, 0, sizeof(Positions))
    check_view(x, x, "x")
    check_view(y, x, "y")
    check_threads(threads)
    job.mean = call.table(stats, 3, x.shape[0] * x.shape[2], "stats")
    call.borrow(&weights, weight, x.shape[1], False, "weight")
    call.borrow(&biases, bias, x.shape[1], False, "bias")
    if residual is not None:
        check_view(residual, x, "residual")
        job.residual, job.residual_stride = &residual[0, 0, 0], row_stride(residual)
    job.stream, job.row.eps, job.row.centred = stream, eps, centred
    if curve or slope != 1 or residual is not None:
        job.bend, job.slope, job.most = bend_of(curve), <T>slope, <T>most
    set_bands(&job, x.shape[0], x.shape[1], x.shape[2], threads)
    allocate_bands(&job, call, &weights, &biases, threads, False)
    job.var, job.rstd = job.mean + x.shape[0] * job.L, job.mean + 2 * x.shape[0] * job.L
    job.out, job.x = &y[0, 0, 0], &x[0, 0, 0]
    job.out_stride, job.x_stride = row_stride(y), row_stride(x)
    with nogil:
        run_positions(&job, threads, False)


def positions_backward(S[:, :, :] dx, dweight, dbias, const S[:, :, :] dy, const S[:, :, :] x,
                       stats, weight, bint centred, int threads, bint stream, bias=None,
                       const S[:, :, :] residual=None, double slope=1, double most=INFINITY,
                       int curve=0, S[:, :, :] dresidual=None):
    """dx, dweight and dbias of positions_forward; each of the last two may be None.

    Bias and what follows it are those of rows_backward.
    """
    cdef Call call = Call.__new__(Call)
    cdef Channels weights, biases, dweights, dbiases
    cdef Positions job
    memset(&job, 0, sizeof(Positions))
    check_view(x, x, "x")
    check_view(dy, x, "dy")
    check_view(dx, x, "dx")
    check_threads(threads)
    job.mean = call.table(stats, 3, x.shape[0] * x.shape[2], "stats")
    call.borrow(&biases, bias, x.shape[1], False, "bias")
    call.borrow(&weights, weight, x.shape[1], False, "weight")
    call.borrow(&dweights, dweight, x.shape[1], True, "dweight")
    call.borrow(&dbiases, dbias, x.shape[1], True, "dbias")
    job.stream, job.row.centred = stream, centred
    set_bands(&job, x.shape[0], x.shape[1], x.shape[2], threads)
    allocate_bands(&job, call, &weights, &biases, threads, True)
    job.var, job.rstd = job.mean + x.shape[0] * job.L, job.mean + 2 * x.shape[0] * job.L
    job.out, job.x, job.dy = &dx[0, 0, 0], &x[0, 0, 0], &dy[0, 0, 0]
    job.out_stride, job.x_stride, job.dy_stride = row_stride(dx), row_stride(x), row_stride(dy)
    if residual is not None:
        check_view(residual, x, "residual")
        job.residual, job.residual_stride = &residual[0, 0, 0], row_stride(residual)
    if dresidual is not None:
        check_view(dresidual, x, "dresidual")
    if curve or slope != 1 or dresidual is not None:
        job.bend, job.slope, job.most = bend_of(curve), <T>slope, <T>most
        job.given, job.given_stride = job.dy, job.dy_stride
        job.g, job.g_stride = job.out, job.out_stride
        if dresidual is not None:
            job.g, job.g_stride = &dresidual[0, 0, 0], row_stride(dresidual)
        job.dy, job.dy_stride = job.g, job.g_stride
    with nogil:
        run_positions(&job, threads, True)
    add_items(&job.row, 1)
    write_values(&dbiases, job.row.shared, job.C)
    write_values(&dweights, job.row.shared + job.C, job.C)
