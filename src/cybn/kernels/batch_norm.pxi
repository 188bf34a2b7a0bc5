# The entry points: typed memoryviews in, outputs first. They trust their callers (functional/ and
# the layers have checked shapes, dtypes and overlap) and assert what they trust in debug builds.
#
# Shapes: y, x, dx, dy (N, C, L) with L and C close together; stats (3, C) double, the rows mean,
# var, rstd; everything else (C,), in the dtype P of the parameters, which may differ from x's.

ctypedef fused P:
    float
    double


cdef inline int check_length(const P[:] values, Py_ssize_t n) except -1:
    """The one check that is made here too: a NumPy array can be resized behind everybody's back."""
    if values is not None and values.shape[0] != n:
        raise ValueError(f"expected {n} values, one for each channel, got {values.shape[0]}")
    return 0


cdef inline double moved(double running, double value, double momentum) noexcept nogil:
    """running + momentum * (value - running), exact where momentum is 0 or 1."""
    if momentum == 0:
        return running
    return value if momentum == 1 else running + momentum * (value - running)


# What belongs to channels is taken by a pointer and a stride, NULL where there is none.

cdef inline const P *start_of(const P[:] values) noexcept:
    return NULL if values is None else &values[0]


cdef inline Py_ssize_t step_of(const P[:] values) noexcept:
    return 0 if values is None else values.strides[0] // <Py_ssize_t>sizeof(P)


cdef inline void fill(double *to, const P *values, Py_ssize_t step, double otherwise,
                      Py_ssize_t n) noexcept:
    """to = values, or all `otherwise` where there are none."""
    cdef Py_ssize_t i
    for i in range(n):
        to[i] = otherwise if values == NULL else values[i * step]


cdef inline void follow(P *running_mean, Py_ssize_t mean_step, P *running_var, Py_ssize_t var_step,
                        long long *num_batches_tracked, const double *stats, Py_ssize_t C,
                        Py_ssize_t m, double momentum) noexcept:
    """Move what is there of the running statistics to those of a batch of m values per channel.

    Without releasing the GIL: threads that share a layer lose no update.
    """
    cdef Py_ssize_t c
    if num_batches_tracked != NULL:
        num_batches_tracked[0] += 1
        if momentum < 0:
            momentum = 1.0 / num_batches_tracked[0]
    if running_mean != NULL:
        for c in range(C):
            running_mean[c * mean_step] = <P>moved(running_mean[c * mean_step], stats[c], momentum)
    if running_var != NULL:
        for c in range(C):
            running_var[c * var_step] = <P>moved(running_var[c * var_step],
                                                 stats[C + c] * m / (m - 1), momentum)


cdef inline void settle_running(double *stats, const P *mean, Py_ssize_t mean_step, const P *var,
                                Py_ssize_t var_step, double eps, Py_ssize_t C) noexcept:
    """OUT stats: mean, var and rstd as given."""
    cdef Py_ssize_t c
    for c in range(C):
        stats[c] = mean[c * mean_step]
        stats[C + c] = var[c * var_step]
        stats[2 * C + c] = 1 / sqrt(stats[C + c] + eps)


cdef int open_job(Job *job, Task task, double *stats, Py_ssize_t N, Py_ssize_t C,
                  Py_ssize_t L, bint packed, bint stream, T kind) except -1:
    """The geometry of a job, fixed by the shape alone, and its scratch memory (freed by free).

    packed: rows of the view follow each other without a gap in every array, so may be folded.
    """
    cdef Py_ssize_t inputs = 2 if task >= GRADIENT else 1, sums
    cdef double *scratch
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
        job.wide = sizeof(T) < sizeof(double) and N * L <= SMALL
        sums = 0 if task == INFERENCE else 2 * job.blocks * job.width
    else:
        job.rows = 1 if task == INFERENCE else max(<Py_ssize_t>1, ROW_BLOCK // L)
        job.pieces = ceil_div(L, ROW_BLOCK)
        if task == INFERENCE:
            job.tile = max(<Py_ssize_t>1, INFERENCE_RUN // L) if job.pieces == 1 else 1
        else:
            job.tile = min(<Py_ssize_t>MOST_TILE, ceil_div(ROW_RUN, L * sizeof(T)))
        job.tile = min(C, job.tile)
        job.width = C
        job.each = 1
        job.blocks = ceil_div(N, job.rows) * job.pieces
        sums = 3 * job.blocks * C
    job.units = ceil_div(C, job.tile)
    job.ahead = STRIDE_AHEAD if task == INFERENCE else job.tile * L
    job.unit_bytes = N * L * job.tile * inputs * sizeof(T)
    sums += (10 + COEFS) * C + (1 + COEFS) * job.width
    scratch = <double *>malloc(sums * sizeof(double))
    if scratch == NULL:
        raise MemoryError(f"batch norm needs {sums * sizeof(double)} bytes of scratch")
    job.weight, job.bias = scratch, scratch + C
    job.dweight, job.dbias = scratch + 2 * C, scratch + 3 * C
    job.k, job.s1 = scratch + 4 * C, scratch + 5 * C
    job.s2, job.rest = scratch + 6 * C, scratch + 7 * C
    job.unit, job.doubtful = scratch + 8 * C, <char *>(scratch + 9 * C)
    job.channel = scratch + 10 * C
    job.coef = scratch + (10 + COEFS) * C
    job.centre = <double *>job.coef + COEFS * job.width
    job.sums = job.centre + job.width
    job.mean, job.var, job.rstd = stats, stats + C, stats + 2 * C
    return 0


cdef inline void close_job(Job *job) noexcept nogil:
    free(<void *>job.weight)


cdef inline bint is_view(const T[:, :, :] a, const T[:, :, :] like) noexcept:
    """Has `a` the shape of `like`, with C and L close together?"""
    return (
        a.shape[0] == like.shape[0] and a.shape[1] == like.shape[1] and a.shape[2] == like.shape[2]
        and (a.shape[2] == 1 or a.strides[2] == sizeof(T))
        and (a.shape[1] == 1 or a.strides[1] == a.shape[2] * <Py_ssize_t>sizeof(T))
    )


cdef inline Py_ssize_t row_stride(const T[:, :, :] a) noexcept nogil:
    return a.strides[0] // <Py_ssize_t>sizeof(T)


cdef inline bint is_packed(const T[:, :, :] a) noexcept:
    return a is None or a.shape[0] == 1 or row_stride(a) == a.shape[1] * a.shape[2]


cdef inline void set_gate(Job *job, double slope, double most) noexcept:
    """y = gate(norm(x) + residual, slope, most); slope 1 without a residual is no gate at all."""
    job.slope, job.most = slope, most
    job.gating = slope != 1 or job.residual != NULL


cdef int set_forward(Job *job, T[:, :, :] y, const T[:, :, :] x, const T[:, :, :] residual,
                     const P[:] weight, const P[:] bias, double slope, double most) except -1:
    """The arrays of a forward; all but x may be None."""
    fill(job.weight, start_of(weight), step_of(weight), 1.0, job.C)
    fill(job.bias, start_of(bias), step_of(bias), 0.0, job.C)
    if y is not None:
        job.out, job.out_stride = &y[0, 0, 0], row_stride(y)
    job.x, job.x_stride = &x[0, 0, 0], row_stride(x)
    if residual is not None:
        assert is_view(residual, x)
        job.residual, job.residual_stride = &residual[0, 0, 0], row_stride(residual)
    set_gate(job, slope, most)
    return 0


def normalize_training(T[:, :, :] y, double[:, ::1] stats, P[:] running_mean,
                       P[:] running_var, long long[::1] num_batches_tracked,
                       const T[:, :, :] x, const T[:, :, :] residual, const P[:] weight,
                       const P[:] bias, double eps, double momentum, double slope, double most,
                       int threads, Py_ssize_t cache, bint stream):
    """y = gate((x - mean)*rstd*weight + bias + residual) with the moments of x over N and L.

    The residual may be None. slope and most are those of the gate (see primitives.pxd): 1 and inf
    for none.

    OUT y, stats; without y (None) the statistics alone, for half the memory traffic. The running
    ones are moved by `momentum`, or by 1/num_batches_tracked where it is negative, each of them
    where it is not None.
    """
    cdef Job job
    cdef T kind = 0
    check_length(running_mean, x.shape[1])
    check_length(running_var, x.shape[1])
    check_length(weight, x.shape[1])
    check_length(bias, x.shape[1])
    assert x.size > 0 and is_view(x, x) and stats.shape[1] == x.shape[1]
    assert y is None or is_view(y, x)
    open_job(&job, NORMALIZE, &stats[0, 0], x.shape[0], x.shape[1], x.shape[2],
             is_packed(x) and is_packed(y) and is_packed(residual), stream, kind)
    set_forward(&job, y, x, residual, weight, bias, slope, most)
    job.eps = eps
    with nogil:
        run(&job, threads, cache, kind)
    close_job(&job)
    follow(<P *>start_of(running_mean), step_of(running_mean), <P *>start_of(running_var),
           step_of(running_var),
           NULL if num_batches_tracked is None else &num_batches_tracked[0], &stats[0, 0],
           x.shape[1], x.shape[0] * x.shape[2], momentum)


def normalize_inference(T[:, :, :] y, double[:, ::1] stats, const T[:, :, :] x,
                        const T[:, :, :] residual, const P[:] mean, const P[:] var,
                        const P[:] weight, const P[:] bias, double eps, double slope, double most,
                        int threads, Py_ssize_t cache, bint stream):
    """y = gate((x - mean)*rstd*weight + bias + residual) with given mean and var. OUT y, stats."""
    cdef Job job
    cdef T kind = 0
    check_length(mean, x.shape[1])
    check_length(var, x.shape[1])
    check_length(weight, x.shape[1])
    check_length(bias, x.shape[1])
    settle_running(&stats[0, 0], start_of(mean), step_of(mean), start_of(var), step_of(var), eps,
                   x.shape[1])
    assert x.size > 0 and is_view(x, x) and is_view(y, x) and stats.shape[1] == x.shape[1]
    open_job(&job, INFERENCE, &stats[0, 0], x.shape[0], x.shape[1], x.shape[2],
             is_packed(x) and is_packed(y) and is_packed(residual), stream, kind)
    set_forward(&job, y, x, residual, weight, bias, slope, most)
    with nogil:
        run(&job, threads, cache, kind)
    close_job(&job)


def gradient(T[:, :, :] dx, T[:, :, :] dresidual, P[:] dweight, P[:] dbias,
             const T[:, :, :] dy, const T[:, :, :] x, const T[:, :, :] y, double[:, ::1] stats,
             const P[:] weight, bint training, double slope, double most, int threads,
             Py_ssize_t cache, bint stream):
    """dx, dweight and dbias for y = gate((x - mean)*rstd*weight + bias + residual).

    OUT dx; dresidual, dweight, dbias where not None. y is the output where there is a gate, and
    None without. training: mean and rstd in stats were computed from x, and the gradient goes
    through them; else they are constants, and gating has been done: y is None.
    """
    cdef Job job
    cdef Py_ssize_t c
    cdef T kind = 0
    check_length(weight, x.shape[1])
    assert x.size > 0 and is_view(x, x) and is_view(dy, x) and is_view(dx, x)
    assert stats.shape[1] == x.shape[1]
    open_job(&job, GRADIENT if training else GRADIENT_INFERENCE, &stats[0, 0],
             x.shape[0], x.shape[1], x.shape[2],
             is_packed(x) and is_packed(dy) and is_packed(dx) and is_packed(y)
             and is_packed(dresidual), stream, kind)
    fill(job.weight, start_of(weight), step_of(weight), 1.0, x.shape[1])
    job.out, job.out_stride = &dx[0, 0, 0], row_stride(dx)
    job.x, job.x_stride = &x[0, 0, 0], row_stride(x)
    job.dy, job.dy_stride = &dy[0, 0, 0], row_stride(dy)
    if y is not None:
        assert is_view(y, x) and training
        job.y, job.y_stride, job.gating = &y[0, 0, 0], row_stride(y), True
        job.slope, job.most = slope, most
    if dresidual is not None:
        assert is_view(dresidual, x) and y is not None
        job.dresidual, job.dresidual_stride = &dresidual[0, 0, 0], row_stride(dresidual)
    with nogil:
        run(&job, threads, cache, kind)
    for c in range(x.shape[1]):
        if dweight is not None:
            dweight[c] = <P>job.dweight[c]
        if dbias is not None:
            dbias[c] = <P>job.dbias[c]
    close_job(&job)


def move_running(P[:] running_mean, P[:] running_var, const double[::1] mean,
                 const double[::1] var, double momentum):
    """running += momentum * (value - running), each where it is not None, holding the GIL."""
    cdef Py_ssize_t c
    check_length(running_mean, mean.shape[0])
    check_length(running_var, var.shape[0])
    for c in range(mean.shape[0]):
        if running_mean is not None:
            running_mean[c] = <P>moved(running_mean[c], mean[c], momentum)
        if running_var is not None:
            running_var[c] = <P>moved(running_var[c], var[c], momentum)
