# The entry points of the norms of a sample, with the scratch that their rows need.
#
# Shapes: y, x, dx, dy (1, rows, n) in one piece; stats (3, rows) double, the rows mean, var, rstd;
# weight, bias, dweight, dbias (values,), each of which is that of `run` items side by side. Row r
# begins at value r % (values*run/n) * n/run.

cdef enum:
    RUNS = 4        # whose sums are added up at a time


cdef inline void spread_each(A *to, const char *at, Py_ssize_t step, bint single, Py_ssize_t count,
                             Py_ssize_t run) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef A value
    for i in range(count // run):
        value = <A>number_at(at + i * step, single)
        for j in range(run):
            to[i * run + j] = value


cdef inline void spread_values(A *to, const Channels *values, double otherwise, Py_ssize_t count,
                               Py_ssize_t run) noexcept nogil:
    """to = values, `run` times each; all `otherwise` where there are none."""
    cdef Py_ssize_t i
    if values.at == NULL:
        for i in range(count):
            to[i] = <A>otherwise
    elif run == 1 and are_floats(values):
        spread_each(to, values.at, sizeof(float), True, count, 1)
    elif run == 1 and are_doubles(values):
        spread_each(to, values.at, sizeof(double), False, count, 1)
    else:
        spread_each(to, values.at, values.step, values.single, count, run)


cdef inline bint odd_in(const char *at, Py_ssize_t step, bint single, Py_ssize_t n,
                        double most) noexcept nogil:
    cdef bint odd = False, rounded = sizeof(T) < sizeof(double) and not single
    cdef Py_ssize_t i
    cdef double size
    for i in range(n):
        size = fabs(number_at(at + i * step, single))
        odd |= (not size < most) | (rounded & (size < FLT_MIN) & (size != 0))
    return odd


cdef bint any_odd(const Channels *values, double most) noexcept nogil:
    """Is there a value that T should not multiply others by, or loses bits of?"""
    if are_floats(values):
        return odd_in(values.at, sizeof(float), True, values.n, most)
    if are_doubles(values):
        return odd_in(values.at, sizeof(double), False, values.n, most)
    return odd_in(values.at, values.step, values.single, values.n, most)


cdef void place_rows(Samples *job, Call call, int threads, bint backward, bint near) noexcept:
    """Ask for the scratch of a job."""
    cdef Py_ssize_t width = job.groups * job.n, rows = job.rows, sums = threads * job.tile
    cdef Py_ssize_t values = 0      # of weight and bias in double
    if backward or not near:
        sums = max(sums, rows)
    if job.affine and (job.odd or not job.items):
        values = width if job.items else width // job.run
    job.g_mean = call.doubles(rows)
    job.g_xhat = call.doubles(rows)
    job.rest = call.doubles(rows)
    job.unit = call.doubles(rows)
    job.centre = call.doubles(rows)
    job.sums = call.doubles(sums * 3 * max(job.cells, job.pieces))
    job.row_sums = 2 * job.cells if backward else 3 * job.pieces
    job.weight = call.doubles(values)
    job.bias = call.doubles(values)
    if job.items or job.whole:
        job.weights = <T *>call.doubles(width)
    if job.items:
        job.biases = <T *>call.doubles(width)
    if job.items and backward:
        job.shared = call.doubles(2 * width * job.shards)
        job.stride = ceil_div(width, LINE) * LINE
        job.item_sums = <T *>call.doubles(2 * job.stride * threads)


cdef int allocate_rows(Samples *job, Call call, const Channels *weight, const Channels *bias,
                       Py_ssize_t run, int threads, bint backward, bint near) except -1:
    """Scratch, and weights and biases as the cells need them."""
    job.odd = any_odd(weight, most_factor()) or any_odd(bias, most_of())
    place_rows(job, call, threads, backward, near)
    call.allocate()
    place_rows(job, call, threads, backward, near)
    spread_affine(job, weight, bias, run)
    return 0


cdef void spread_affine(Samples *job, const Channels *weight, const Channels *bias,
                        Py_ssize_t run) noexcept:
    cdef Py_ssize_t width = job.groups * job.n, i
    cdef double size
    if job.items or job.whole:
        spread_values(job.weights, weight, 1.0, width, run)
    if job.items:
        spread_values(job.biases, bias, 0.0, width, run)
    if job.affine and (job.odd or not job.items):
        spread_values(job.weight, weight, 1.0, width if job.items else width // run,
                      run if job.items else 1)
        spread_values(job.bias, bias, 0.0, width if job.items else width // run,
                      run if job.items else 1)
    job.least = INFINITY
    if job.several:
        for i in range(width // run):
            size = fabs(job.weight[i])
            job.least = size if (size < job.least) & (size != 0) else job.least


cdef inline always sum_runs(double *to, const double *values, Py_ssize_t run,
                            Py_ssize_t count) noexcept nogil:
    """OUT to: `count` sums of `run` values side by side; may be where the values are."""
    cdef double totals[RUNS]
    cdef Py_ssize_t i, j
    for i in range(count):
        totals[i] = 0
    for j in range(run):
        for i in range(count):
            totals[i] += values[i * run + j]
    for i in range(count):
        to[i] = totals[i]


cdef void add_items(Samples *job, Py_ssize_t run) noexcept nogil:
    """The sums of the shards, in their order: dbias is at `shared` then, dweight a width later."""
    cdef Py_ssize_t width = job.groups * job.n, values = width // run, s, i
    cdef const double *more
    cdef double *sums = job.shared
    for s in range(1, job.shards):
        more = sums + 2 * s * width
        for i in range(2 * width):
            sums[i] += more[i]
    if run == 1:
        return
    for s in range(2):
        for i in range(values // RUNS):     # some at a time: an addition waits for the one before
            sum_runs(sums + i * RUNS, sums + i * RUNS * run, run, RUNS)
        for i in range(values - values % RUNS, values):
            sum_runs(sums + i, sums + i * run, run, 1)
        sums += width


cdef void add_runs(Samples *job, double *dweight, double *dbias, Py_ssize_t values) noexcept:
    """OUT dweight, dbias: from the sums of the cells, in the order of memory."""
    cdef Py_ssize_t i, _j, _v
    cdef const double *cell = job.sums
    memset(dweight, 0, values * sizeof(double))
    memset(dbias, 0, values * sizeof(double))
    for _v in range(job.rows // job.groups):
        if job.parts == 1:
            for i in range(values):
                dbias[i] += cell[2 * i]
            for i in range(values):
                dweight[i] += cell[2 * i + 1]
            cell += 2 * values
            continue
        for i in range(values):
            for _j in range(job.parts):
                dbias[i] += cell[0]
                dweight[i] += cell[1]
                cell += 2


cdef int check_rows(const S[:, :, :] a, const S[:, :, :] x, str name) except -1:
    """`a` and x are there, of one shape, and hold values."""
    check_view(x, x, "x")
    check_view(a, x, name)
    if x.shape[0] != 1:
        refuse("x", "shape (1, rows, n)", shape_of(x))
    return 0


cdef int check_values(Py_ssize_t values, const Channels *weight, const Channels *bias,
                      Py_ssize_t rows, Py_ssize_t n, Py_ssize_t run, str names) except -1:
    """weight and bias, spread out `run` times each, make a number of rows."""
    if run < 1 or n % run != 0:
        refuse("run", f"a divisor of {n}", run)
    if (weight.at != NULL and weight.n != values) or (bias.at != NULL and bias.n != values):
        refuse(names, f"{values} values each", f"{weight.n} and {bias.n}")
    if values * run % n != 0 or (values > 0 and rows % (values * run // n) != 0):
        refuse(names, f"a divisor of {rows * n // run} values", values)
    return 0


cdef int check_counted(Py_ssize_t counted, Py_ssize_t n, bint centred) except -1:
    """`counted` is 0, or how many of n items have a part in the moments; not where they centre."""
    if not (0 <= counted <= n) or (counted > 0 and centred):
        refuse("counted", f"0 to {n}, and 0 where rows are centred", counted)
    return 0


def rows_forward(S[:, :, :] y, stats, const S[:, :, :] x, weight, bias,
                 Py_ssize_t run, double eps, bint centred, int threads, Py_ssize_t cache,
                 bint stream, Py_ssize_t counted=0, const S[:, :, :] residual=None,
                 double slope=1, double most=INFINITY, int curve=0):
    """y = f((x - mean)*rstd*weight + bias + residual) with the moments of each row of x.

    OUT y, which may be x, stats; not centred: 0, the mean square, rstd. counted: of the first items
    of a row alone; 0: of all. The residual may be None. f is a gate of slope and most, or a curve
    (curves.pxi).
    """
    cdef Call call = Call.__new__(Call)
    cdef Channels weights, biases
    cdef Samples job
    cdef Py_ssize_t values
    cdef bint near
    memset(&job, 0, sizeof(Samples))
    check_rows(y, x, "y")
    check_threads(threads)
    job.mean = call.table(stats, 3, x.shape[1], "stats")
    call.borrow(&weights, weight, -1, False, "weight")
    call.borrow(&biases, bias, -1, False, "bias")
    values = max(weights.n, biases.n)
    check_values(values, &weights, &biases, x.shape[1], x.shape[2], run, "weight and bias")
    check_counted(counted, x.shape[2], centred)
    if residual is not None:
        check_rows(residual, x, "residual")
        job.residual = &residual[0, 0, 0]
    job.stream, job.eps, job.centred = stream, eps, centred
    if curve or slope != 1 or residual is not None:
        job.bend, job.slope, job.most = bend_of(curve), <T>slope, <T>most
    near = set_cells(&job, x.shape[1], x.shape[2], run, values, counted, threads, cache, 1)
    allocate_rows(&job, call, &weights, &biases, run, threads, False, near)
    job.var, job.rstd = job.mean + x.shape[1], job.mean + 2 * x.shape[1]
    job.out, job.x = &y[0, 0, 0], &x[0, 0, 0]
    with nogil:
        run_samples(&job, threads, near, False)


def rows_backward(S[:, :, :] dx, dweight, dbias, const S[:, :, :] dy, const S[:, :, :] x,
                  stats, weight, Py_ssize_t run, bint centred, int threads,
                  Py_ssize_t cache, bint stream, Py_ssize_t counted=0, bias=None,
                  const S[:, :, :] residual=None, double slope=1, double most=INFINITY,
                  int curve=0, S[:, :, :] dresidual=None):
    """dx, dweight and dbias of rows_forward; each of the last two may be None.

    Past a gate or curve there are bias, and the residual that there was; its gradient goes to
    dresidual, unless None.
    """
    cdef Call call = Call.__new__(Call)
    cdef Channels weights, biases, dweights, dbiases
    cdef Samples job
    cdef Py_ssize_t values
    cdef bint near
    memset(&job, 0, sizeof(Samples))
    check_rows(dy, x, "dy")
    check_rows(dx, x, "dx")
    check_threads(threads)
    job.mean = call.table(stats, 3, x.shape[1], "stats")
    call.borrow(&biases, bias, -1, False, "bias")
    call.borrow(&weights, weight, -1, False, "weight")
    call.borrow(&dweights, dweight, -1, True, "dweight")
    call.borrow(&dbiases, dbias, -1, True, "dbias")
    values = max(weights.n, biases.n, dweights.n, dbiases.n)
    check_values(values, &weights, &biases, x.shape[1], x.shape[2], run, "weight and bias")
    check_counted(counted, x.shape[2], centred)
    check_values(values, &dweights, &dbiases, x.shape[1], x.shape[2], run, "dweight and dbias")
    job.stream, job.centred = stream, centred
    near = set_cells(&job, x.shape[1], x.shape[2], run, values, counted, threads, cache, 2)
    allocate_rows(&job, call, &weights, &biases, run, threads, True, near)
    job.var, job.rstd = job.mean + x.shape[1], job.mean + 2 * x.shape[1]
    job.out, job.x, job.dy = &dx[0, 0, 0], &x[0, 0, 0], &dy[0, 0, 0]
    if residual is not None:
        check_rows(residual, x, "residual")
        job.residual = &residual[0, 0, 0]
    if dresidual is not None:
        check_rows(dresidual, x, "dresidual")
    if curve or slope != 1 or dresidual is not None:
        job.bend, job.slope, job.most = bend_of(curve), <T>slope, <T>most
        job.given, job.g = job.dy, &dresidual[0, 0, 0] if dresidual is not None else job.out
        job.dy = job.g
    with nogil:
        run_samples(&job, threads, near, True)
    if job.items:
        add_items(&job, run)
        write_values(&dbiases, job.shared, values)
        write_values(&dweights, job.shared + job.groups * job.n, values)
    elif job.affine:
        add_runs(&job, job.weight, job.bias, values)
        write_values(&dweights, job.weight, values)
        write_values(&dbiases, job.bias, values)
