# The entry points of batch norm: typed memoryviews of the data, outputs first, and statistics and
# what lies on channels as they are.
#
# Shapes: y, x, dx, dy (N, C, L) with L and C close together; stats (3, C) double, the rows mean,
# var, rstd; everything else (C,), float32 or float64, whatever x is.

cdef inline void settle_running(double *stats, const Running *running, double eps,
                                Py_ssize_t C) noexcept:
    """OUT stats: mean, var and rstd as given."""
    cdef Py_ssize_t c
    read_values(stats, &running.mean, 0, C)
    read_values(stats + C, &running.var, 0, C)
    for c in range(C):
        stats[2 * C + c] = 1 / sqrt(stats[C + c] + eps)


cdef inline Py_ssize_t part_unit(Job *job) noexcept:
    """The channels that a part has a multiple of: those of a unit, if it is not all of them."""
    return job.tile if job.tile < job.C else max(<Py_ssize_t>1, TILE_WIDTH // job.L)


cdef inline void pair_units(Job *job) noexcept nogil:
    """Tiles alike in size and an even number of them, so that two threads have as much to do.

    Whatever the number of threads is: the second look at doubtful channels goes by these (`look`).
    """
    cdef Py_ssize_t units = 2 * ceil_div(job.C, 2 * job.tile)
    if units <= job.C:
        job.tile = ceil_div(job.C, units)


cdef void set_grid(Job *job, Task task, Py_ssize_t N, Py_ssize_t C, Py_ssize_t L, bint packed,
                   bint stream) noexcept:
    """The geometry of a job, fixed by the shape alone.

    packed: rows of the view follow each other without a gap in every array, so may be folded.
    """
    cdef Py_ssize_t inputs = 2 if task >= GRADIENT else 1
    memset(job, 0, sizeof(Job))
    job.task, job.stream = task, stream
    job.N, job.C, job.L = N, C, L
    job.columns = L < LONG_ROW and (N >= FEW_ROWS or L < LANES)
    if task == INFERENCE:
        # Nothing is summed: rows pay as soon as they fill a strip. The ends of short ones would
        # leave half-written lines behind streaming stores.
        job.columns = L < STRIP
        job.stream = stream and (job.columns or L >= WHOLE_LINES)
    job.fold = job.tile = job.pieces = 1
    if job.columns:
        if packed and C * L < FOLD_WIDTH:
            job.fold = min(N // COLUMN_RUN, FOLD_WIDTH // (C * L))
            job.fold = max(<Py_ssize_t>1, job.fold)
        job.tile = max(<Py_ssize_t>1, TILE_WIDTH // L)
        job.tile = C if job.fold > 1 or task == INFERENCE else min(C, job.tile)
        job.width = job.fold * C * L
        job.each = L
        job.lines = N // job.fold
        job.left = N % job.fold * C * L
        job.block_lines = COLUMN_RUN if task == INFERENCE else COLUMN_BLOCK
        job.blocks = ceil_div(job.lines, job.block_lines)
        job.step = COLUMN_STEP
        job.wide = sizeof(T) < sizeof(double) and N * L <= FEW_ITEMS
        job.channel_sums = 0 if task == INFERENCE else 2 * job.blocks * job.fold * L
    else:
        job.rows = 1 if task == INFERENCE else max(<Py_ssize_t>1, ROW_BLOCK // L)
        job.pieces = ceil_div(L, ROW_BLOCK)
        if task == INFERENCE:
            job.tile = max(<Py_ssize_t>1, INFERENCE_RUN // L) if job.pieces == 1 else 1
        else:
            job.tile = min(<Py_ssize_t>MOST_TILE, ceil_div(ROW_RUN, L * sizeof(S)))
        job.tile = min(C, job.tile)
        job.width = C
        job.each = 1
        job.blocks = ceil_div(N, job.rows) * job.pieces
        job.channel_sums = 3 * job.blocks
    if job.fold == 1 and task != INFERENCE:
        pair_units(job)
    job.look = job.tile
    job.units = ceil_div(C, job.tile)
    job.ahead = job.tile * L            # the next unit, if one is wanted next (run_part)
    job.unit_bytes = N * L * job.tile * inputs * sizeof(S)


cdef inline void start(Job *job, int threads, Py_ssize_t cache):
    """Run a job; without the GIL, unless it is over before another thread would have got that."""
    if job.N * job.C * job.L < AT_ONCE:
        run(job, threads, cache)
    else:
        with nogil:
            run(job, threads, cache)


cdef void place(Job *job, Call call, Py_ssize_t part) noexcept:
    """Ask for the scratch of a job whose parts have so many channels."""
    cdef Py_ssize_t C = job.C, positions = part * job.fold * job.each
    job.part = part
    job.weight = call.doubles(C)
    job.bias = call.doubles(C)
    job.dweight = call.doubles(C)
    job.dbias = call.doubles(C)
    job.k = call.doubles(part)
    job.s1 = call.doubles(part)
    job.s2 = call.doubles(part)
    job.rest = call.doubles(part)
    job.unit = call.doubles(part)
    job.doubtful = <char *>call.doubles(part)
    job.channel = <T *>call.doubles(COEFS * part)
    job.coef = <T *>call.doubles(COEFS * positions)
    job.centre = call.doubles(positions)
    job.sums = call.doubles(part * job.channel_sums)


cdef int allocate_job(Job *job, Call call, double *stats) except -1:
    """Scratch for all channels, or for parts of as many as there is room for."""
    cdef Py_ssize_t fixed, room, part = job.C
    place(job, call, part)
    if call.size * <Py_ssize_t>sizeof(double) > MOST_SCRATCH and job.fold == 1:
        call.size = 0
        place(job, call, 0)
        fixed, call.size = call.size, 0
        place(job, call, 1)
        room = job.N * job.C * job.L * <Py_ssize_t>sizeof(S) // SCRATCH_SHARE
        room = max(<Py_ssize_t>MOST_SCRATCH, room)
        part = max(<Py_ssize_t>1, room // ((call.size - fixed) * <Py_ssize_t>sizeof(double)))
        part = min(job.C, ceil_div(part, part_unit(job)) * part_unit(job))
        call.size = 0
        place(job, call, part)
    call.allocate()
    place(job, call, part)
    job.mean, job.var, job.rstd = stats, stats + job.C, stats + 2 * job.C
    return 0


cdef int open_forward(Job *job, Call call, Task task, S[:, :, :] y, stats,
                      const S[:, :, :] x, const S[:, :, :] residual, const S[:, :, :] given,
                      weight, bias, double slope, double most, int curve, int threads,
                      bint stream) except -1:
    """A job that goes from x to y, everything checked."""
    cdef Channels weights, biases
    cdef double *moments
    cdef Py_ssize_t C
    check_view(x, x, "x")
    C = x.shape[1]
    if y is not None or task == INFERENCE:
        check_view(y, x, "y")
    if residual is not None:
        check_view(residual, x, "residual")
    if given is not None:
        check_view(given, x, "dy")
    check_threads(threads)
    moments = call.table(stats, 3, C, "stats", 6)
    call.borrow(&weights, weight, C, False, "weight")
    call.borrow(&biases, bias, C, False, "bias")
    set_grid(job, task, x.shape[0], C, x.shape[2],
             is_packed(x) and is_packed(y) and is_packed(residual) and is_packed(given), stream)
    allocate_job(job, call, moments)
    if call.loans[0].shape[0] == 6:
        job.shift, job.total, job.squares = moments + 3 * C, moments + 4 * C, moments + 5 * C
    read_values(job.weight, &weights, 1, C)
    read_values(job.bias, &biases, 0, C)
    if y is not None:
        job.out, job.out_stride = &y[0, 0, 0], row_stride(y)
    job.x, job.x_stride = &x[0, 0, 0], row_stride(x)
    if residual is not None:
        job.residual, job.residual_stride = &residual[0, 0, 0], row_stride(residual)
    if given is not None:
        job.given, job.given_stride = &given[0, 0, 0], row_stride(given)
    job.slope, job.most = <T>slope, <T>most
    job.gating = slope != 1 or residual is not None
    if curve or given is not None:
        job.bend = bend_of(curve)
    return 0


def batch_forward(S[:, :, :] y, stats, running_mean, running_var,
                  num_batches_tracked, const S[:, :, :] x, const S[:, :, :] residual, weight, bias,
                  double eps, double momentum, double slope, double most, int curve,
                  bint training, int threads, Py_ssize_t cache, bint stream):
    """y = gate((x - mean)*rstd*weight + bias + residual), mean and var over N and L.

    In training they are those of x, and the running ones are moved by `momentum`, or by
    1/num_batches_tracked where it is negative, each of them where it is not None; else mean and var
    are the running ones. slope and most are those of the gate (see primitives.pxd): 1 and inf, and
    no residual, for none; in place of it curve is one of curves.pxi, but for 0.

    OUT y, stats; in training without y (None) the statistics alone, for half the memory traffic,
    and of stats (6, C) the sums that parts are merged from (settle.pxi).
    """
    cdef Call call = Call.__new__(Call)
    cdef Running running
    cdef Job job
    cdef Py_ssize_t C
    open_forward(&job, call, NORMALIZE if training else INFERENCE, y, stats, x, residual, None,
                 weight, bias, slope, most, curve, threads, stream)
    C, job.eps = job.C, eps
    if not training and (running_mean is None or running_var is None):
        refuse("running_var" if running_mean is not None else "running_mean", f"{C} values", None)
    call.borrow(&running.mean, running_mean, C, training, "running_mean")
    call.borrow(&running.var, running_var, C, training, "running_var")
    call.borrow_count(&running.count, num_batches_tracked, training)
    if not training:
        job.shift = NULL
        settle_running(job.mean, &running, eps, C)
    start(&job, threads, cache)
    settled()
    if training:
        follow(&running, job.mean, job.var, job.N * job.L, momentum)


def batch_output(S[:, :, :] y, stats, const S[:, :, :] x, const S[:, :, :] residual,
                 weight, bias, double count, double slope, double most, int curve, int threads,
                 Py_ssize_t cache, bint stream):
    """The same y from statistics as they are; OUT y.

    Of stats (6, C) the last rows are the sums of `count` values, by which the mean is not rounded.
    """
    cdef Call call = Call.__new__(Call)
    cdef Job job
    open_forward(&job, call, INFERENCE, y, stats, x, residual, None, weight, bias, slope, most,
                 curve, threads, stream)
    job.count = count
    start(&job, threads, cache)
    settled()


cdef int open_backward(Job *job, Call call, Task task, S[:, :, :] dx, S[:, :, :] dresidual,
                       const S[:, :, :] dy, const S[:, :, :] x, const S[:, :, :] y,
                       const S[:, :, :] residual, stats, weight, double slope, double most,
                       int threads, bint stream) except -1:
    """A job that goes from dy back to x, everything checked; of sums alone where dx is None."""
    cdef Channels weights
    cdef double *moments
    cdef Py_ssize_t C
    check_view(x, x, "x")
    C = x.shape[1]
    check_view(dy, x, "dy")
    if dx is not None:
        check_view(dx, x, "dx")
    if y is not None:
        check_view(y, x, "y")
    if dresidual is not None:
        check_view(dresidual, x, "dresidual")
    if residual is not None:
        check_view(residual, x, "residual")
    check_threads(threads)
    moments = call.table(stats, 3, C, "stats")
    call.borrow(&weights, weight, C, False, "weight")
    set_grid(job, task, x.shape[0], C, x.shape[2],
             is_packed(x) and is_packed(dy) and is_packed(dx) and is_packed(y)
             and is_packed(dresidual) and is_packed(residual), stream)
    allocate_job(job, call, moments)
    read_values(job.weight, &weights, 1, C)
    if dx is not None:
        job.out, job.out_stride = &dx[0, 0, 0], row_stride(dx)
    job.x, job.x_stride = &x[0, 0, 0], row_stride(x)
    job.dy, job.dy_stride = &dy[0, 0, 0], row_stride(dy)
    job.slope, job.most = 1, 1
    if y is not None:
        job.y, job.y_stride, job.gating = &y[0, 0, 0], row_stride(y), True
        job.slope, job.most = <T>slope, <T>most
    if dresidual is not None:
        job.dresidual, job.dresidual_stride = &dresidual[0, 0, 0], row_stride(dresidual)
    return 0


cdef int check_dx(const S[:, :, :] dx, const S[:, :, :] dresidual, const S[:, :, :] y) except -1:
    if dx is None:
        refuse("dx", "shape (N, C, L)", None)
    if dresidual is not None and y is None:
        raise ValueError("a kernel takes dresidual with y")
    return 0


def batch_backward(S[:, :, :] dx, S[:, :, :] dresidual, dweight, dbias, const S[:, :, :] dy,
                   const S[:, :, :] x, const S[:, :, :] y, stats, weight,
                   double slope, double most, bint training, int threads, Py_ssize_t cache,
                   bint stream, int curve=0, bias=None, const S[:, :, :] residual=None):
    """dx, dweight and dbias for y = gate((x - mean)*rstd*weight + bias + residual).

    OUT dx; dresidual, dweight, dbias where not None. y is the output where there is a gate, and
    None without. training: mean and rstd in stats were computed from x, and the gradient goes
    through them; else they are constants, and gating has been done: y is None. Past a curve
    there is bias, and the residual that there was, in place of y.
    """
    cdef Call call = Call.__new__(Call)
    cdef Channels dweights, dbiases
    cdef Job job, before
    check_dx(dx, None if curve else dresidual, y)
    if y is not None and not training:
        raise ValueError("a kernel takes y in training alone")
    open_backward(&job, call, GRADIENT if training else GRADIENT_INFERENCE, dx, dresidual, dy, x,
                  y, residual, stats, weight, slope, most, threads, stream)
    call.borrow(&dweights, dweight, job.C, True, "dweight")
    call.borrow(&dbiases, dbias, job.C, True, "dbias")
    if curve:
        bend_back(&job, &before, call, curve, slope, most, residual, bias)
    start(&job, threads, cache)
    write_values(&dweights, job.dweight, job.C)
    write_values(&dbiases, job.dbias, job.C)


def batch_sums(sums, const S[:, :, :] dy, const S[:, :, :] x, const S[:, :, :] y,
               stats, double slope, double most, int threads, Py_ssize_t cache):
    """OUT sums, (2, C): those of dy and of dy*xhat, for the mean and rstd of a whole."""
    cdef Call call = Call.__new__(Call)
    cdef Job job
    cdef double *totals
    cdef Py_ssize_t c
    open_backward(&job, call, GRADIENT_INFERENCE, None, None, dy, x, y, None, stats, None, slope,
                  most, threads, False)
    totals = call.table(sums, 2, job.C, "sums")
    start(&job, threads, cache)
    for c in range(job.C):
        totals[c], totals[job.C + c] = job.dbias[c], job.dweight[c]


def batch_gradient(S[:, :, :] dx, S[:, :, :] dresidual, const S[:, :, :] dy, const S[:, :, :] x,
                   const S[:, :, :] y, stats, sums, weight,
                   double slope, double most, int threads, Py_ssize_t cache, bint stream):
    """dx, and dresidual where not None, from sums as if their means were those of x alone."""
    cdef Call call = Call.__new__(Call)
    cdef Job job
    cdef double *totals
    cdef Py_ssize_t c
    check_dx(dx, dresidual, y)
    open_backward(&job, call, GRADIENT, dx, dresidual, dy, x, y, None, stats, weight, slope, most,
                  threads, stream)
    totals = call.table(sums, 2, job.C, "sums")
    job.sums_given = True
    for c in range(job.C):
        job.dbias[c], job.dweight[c] = totals[c], totals[job.C + c]
    start(&job, threads, cache)
