# Doubtful channels (doubt.pxi) in double: summed once more, and written from xhat and from dy about
# its mean, by the positions of the (N, C, L) view, for rows and columns alike.
#
# float32 has all of its range in double. float64 has no wider type: where its deviations are too
# large they are taken of x/4, and their squares of x*BEYOND. Sums of dy that overflow double do.
#
# Rejected: channel by channel (channels last would be walked item by item).

cdef enum:
    WIDE = 128              # positions that are worked on at a time

cdef double BEYOND = 2.0 ** -600

cdef struct Wide:           # coefficients of WIDE positions side by side, or of all of them at [0]
    double unit[WIDE]       # xhat = (x*unit - mean)*rstd - rest
    double mean[WIDE]
    double rstd[WIDE]
    double rest[WIDE]
    double scale[WIDE]      # y = xhat*scale + bias
    double bias[WIDE]
    double centre[WIDE]     # dx = ((dy - centre) - dy_mean - xhat*along)*scale
    double dy_mean[WIDE]
    double along[WIDE]
    double zero[WIDE]
    bint chosen[WIDE]       # is the channel doubtful?
    Py_ssize_t owner        # the channel whose coefficients these are, if there is but one,
    Py_ssize_t filled       # at so many positions


cdef leaf load_hats(double *hats, const S *x, Py_ssize_t n, const Wide *w,
                    bint each) noexcept nogil:
    """OUT hats: xhat of n items."""
    cdef Py_ssize_t i, j
    for i in range(n):
        j = i if each else 0
        hats[i] = xhat(<double>item(x + i) * w.unit[j], w.mean[j], w.rstd[j], -w.rest[j])


cdef inline double gated_item(Job *job, const S *dy, const S *y) noexcept nogil:
    """The item at dy, or what the gate of output y lets through of it."""
    cdef double g = item(dy)
    return gated(g, <double>item(y), <double>job.slope, <double>job.most) if job.gating else g


cdef leaf load_gated(double *g, Job *job, const S *dy, const S *y, Py_ssize_t n) noexcept nogil:
    """OUT g: n items of dy, gated."""
    cdef Py_ssize_t i
    for i in range(n):
        g[i] = gated_item(job, dy + i, y + i)


cdef void moments_beyond(double *mean, double *var, double *rstd, const S *x, Py_ssize_t rows,
                         Py_ssize_t stride, Py_ssize_t n, double eps,
                         bint centred) noexcept nogil:
    """The moments of rows of n items, whose squares overflow double. var may be infinite."""
    cdef double m = <double>(rows * n), at = 0, d
    cdef double[2] s
    cdef double[2] block
    cdef Py_ssize_t r, i, j, look
    for look in range(2 if centred else 1):
        s[0] = s[1] = 0
        for r in range(rows):
            for j in range(ceil_div(n, ROW_BLOCK)):
                block[0] = block[1] = 0
                for i in range(j * ROW_BLOCK, min((j + 1) * <Py_ssize_t>ROW_BLOCK, n)):
                    d = item(x + r * stride + i) * BEYOND - at
                    block[0] += d
                    block[1] += d * d
                s[0] += block[0]
                s[1] += block[1]
        if centred:
            at += s[0] / m
    d = s[0] / m if centred else 0
    d = s[1] / m - d * d
    mean[0] = at / BEYOND
    var[0] = d / BEYOND / BEYOND
    rstd[0] = BEYOND / sqrt(d + eps * BEYOND * BEYOND)


cdef inline void settle_beyond(Job *job, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """Moments of channels whose squares overflow double."""
    cdef Py_ssize_t c
    if sizeof(T) < sizeof(double):
        return
    for c in range(first, last):
        if not isfinite(job.var[c]):
            moments_beyond(&job.mean[c], &job.var[c], &job.rstd[c],
                           job.x + c * job.L, job.N, job.x_stride, job.L, job.eps, True)
            job.k[c], job.s1[c] = job.mean[c], 0


# The second look, and the output, by the positions of the (N, C, L) view: rows and columns alike.

cdef inline Py_ssize_t run_of(Job *job, Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    """How many of n positions from `at` on belong to the channel of the first."""
    return min(n, (at // job.L + 1) * job.L - at)


cdef leaf fill_wide(Job *job, Wide *w, Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    """OUT w: the coefficients of n positions from `at` on; w.owner is a doubtful one if any is.

    A piece of the channel that w holds already is left as it is.
    """
    cdef double m = <double>(job.N * job.L), unit, mean, rstd, rest, centre, dy_mean, along, scale
    cdef bint through = job.task == GRADIENT
    cdef Py_ssize_t i, j, run, c = at // job.L
    if w.owner == c and w.filled >= n and run_of(job, at, n) == n:
        return
    w.owner, w.filled, i = c, n if run_of(job, at, n) == n else 0, 0
    while i < n:
        c, run = (at + i) // job.L, run_of(job, at + i, n - i)
        if job.unit[c] != 0:
            w.owner = c
        unit = job.unit[c] if job.unit[c] != 0 else 1
        mean, rstd = job.mean[c] * unit, bounded(job.rstd[c] / unit, DBL_MAX)
        rest = job.rest[c] * job.rstd[c] if sizeof(T) == sizeof(double) else 0
        scale = job.weight[c]
        centre = dy_mean = along = 0
        if through:
            centre, dy_mean, along = job.k[c], job.s1[c] / m, job.dweight[c] / m
        if job.task >= GRADIENT:
            scale = bounded(scale * job.rstd[c], DBL_MAX)
        for j in range(i, i + run):
            w.chosen[j] = job.unit[c] != 0
            w.unit[j], w.mean[j], w.rstd[j], w.rest[j] = unit, mean, rstd, rest
            w.bias[j], w.scale[j], w.zero[j] = job.bias[c], scale, 0
            w.centre[j], w.dy_mean[j], w.along[j] = centre, dy_mean, along
        i += run


cdef leaf sum_wide(Job *job, double *sums, const Wide *w, Py_ssize_t at, Py_ssize_t n,
                   bint products) noexcept nogil:
    """OUT sums: WIDE each of dy - centre, (dy - centre)*xhat and xhat, down n positions.

    The last two only where products are asked for.
    """
    cdef double[WIDE] hats
    cdef double[WIDE] g
    cdef double[3 * WIDE] block
    cdef Py_ssize_t r, i
    memset(sums, 0, 3 * WIDE * sizeof(double))
    memset(block, 0, 3 * WIDE * sizeof(double))
    for r in range(job.N):
        load_gated(g, job, job.dy + r * job.dy_stride + at, job.y + r * job.y_stride + at, n)
        for i in range(n):
            g[i] -= w.centre[i]
            block[i] += g[i]
        if products:
            load_hats(hats, job.x + r * job.x_stride + at, n, w, True)
            for i in range(n):
                block[WIDE + i] += g[i] * hats[i]
                block[2 * WIDE + i] += hats[i]
        if (r + 1) % COLUMN_BLOCK == 0 or r + 1 == job.N:
            empty(sums, block, 3 * WIDE)


cdef leaf look_positions(Job *job, Py_ssize_t u, bint products) noexcept nogil:
    """s1, s2 and rest of doubtful channels: the sums of dy - k, (dy - k)*xhat and xhat."""
    cdef double sums[3 * WIDE]
    cdef Py_ssize_t first = first_channel(job, u), last = last_channel(job, u)
    cdef Py_ssize_t at, i, n, c, run, look = first, end
    cdef Wide w
    w.owner = w.filled = -1
    for c in range(first, last):
        if job.unit[c] != 0:
            job.s1[c] = job.s2[c] = job.rest[c] = 0
    at = end = first * job.L
    while at < last * job.L:
        if at == end:           # of the channels that are looked at together
            look = min(look + job.look, last)
            end = look * job.L
        n = min(<Py_ssize_t>WIDE, end - at)
        fill_wide(job, &w, at, n)
        if job.unit[w.owner] == 0:
            at += n
            continue
        memset(w.rest, 0, sizeof(w.rest))       # which is what is being summed
        sum_wide(job, sums, &w, at, n, products)
        i = 0
        while i < n:
            c, run = (at + i) // job.L, run_of(job, at + i, n - i)
            if job.unit[c] != 0:
                job.s1[c] += sum_doubles(sums + i, run)
                job.s2[c] += sum_doubles(sums + WIDE + i, run)
                job.rest[c] += sum_doubles(sums + 2 * WIDE + i, run)
            i += run
        at += n


cdef leaf look_again(Job *job, Py_ssize_t u) noexcept nogil:
    """dbias and dweight of the doubtful channels of a unit, from dy about k, and about its mean.

    The first k is an item, so that nothing is left of a constant dy. The sum of xhat is 0 but for
    the error that the mean may have; if it is more, the statistics are not those of x alone, and
    dweight has it.
    """
    cdef double m = <double>(job.N * job.L)
    cdef double off = 2.0 ** -14 if sizeof(T) < sizeof(double) else 2.0 ** -42
    cdef Py_ssize_t first = first_channel(job, u), last = last_channel(job, u), c
    cdef bint through = job.task == GRADIENT
    for c in range(first, last):
        if job.unit[c] != 0:
            job.k[c] = 0
            if through:
                job.k[c] = gated_item(job, job.dy + c * job.L, job.y + c * job.L)
    if through:
        look_positions(job, u, False)
        for c in range(first, last):
            if job.unit[c] != 0:
                job.k[c] += job.s1[c] / m
    look_positions(job, u, True)
    for c in range(first, last):
        if job.unit[c] != 0:
            job.dbias[c] = job.k[c] * m + job.s1[c]
            job.dweight[c] = job.s2[c]
            if fabs(job.rest[c]) > m * (off + 2.0 ** -50 * fabs(job.mean[c]) * job.rstd[c]):
                job.dweight[c] += job.k[c] * job.rest[c]
            job.rest[c] = 0


cdef leaf write_wide(Job *job, Py_ssize_t row, Py_ssize_t rows, Py_ssize_t start, Py_ssize_t stop,
                     bint mixed) noexcept nogil:
    """The output of some rows of the view, at positions [start, stop), in double.

    mixed: not all are doubtful, and job.coef lies on positions; the others are written in T.
    """
    cdef double[WIDE] wide
    cdef S[WIDE] lean
    cdef Py_ssize_t piece, r, i, at, n
    cdef S *out
    cdef Wide w
    w.owner = w.filled = -1
    for piece in range(ceil_div(stop - start, WIDE)):
        at = start + piece * WIDE
        n = min(<Py_ssize_t>WIDE, stop - at)
        fill_wide(job, &w, at, n)
        for r in range(row, row + rows):
            if mixed:
                write_lean(job, lean, r, at, n)
            if job.task < GRADIENT:
                wide_normal(job, wide, &w, r, at, n)
            else:
                wide_gradient(job, wide, &w, r, at, n)
            if job.bend != NULL:
                bend_wide(wide, given_at(job, r, at), n, job.slope, job.most, job.bend)
            out = job.out + r * job.out_stride + at
            if mixed:
                for i in range(n):
                    if not w.chosen[i]:
                        wide[i] = item(lean + i)
            write_items(out, wide, n)


cdef leaf write_items(S *out, const double *values, Py_ssize_t n) noexcept nogil:
    cdef T room
    cdef Py_ssize_t i
    for i in range(n):
        room = <T>values[i]
        put(out + i, &room, 0, room)
        store(out + i, &room, 1)


cdef leaf bend_wide(double *wide, const S *given, Py_ssize_t n, T slope, T most,
                    const void *bend) noexcept nogil:
    """f of n <= WIDE items, or its slope times what is given, in T."""
    cdef T[2 * BENT] z
    cdef Py_ssize_t i
    for i in range(n):
        z[i] = <T>wide[i]
    if given != NULL:
        read_run(z + BENT, given, n)
    bend_piece(z, n, given != NULL, slope, most, bend)
    for i in range(n):
        wide[i] = z[i]


cdef leaf write_lean(Job *job, S *lean, Py_ssize_t r, Py_ssize_t at,
                     Py_ssize_t n) noexcept nogil:
    """OUT lean: n items of the output as they are where nothing is doubtful."""
    cdef Py_ssize_t width = job.width
    cdef const T *coef = job.coef + at
    cdef const S *x = job.x + r * job.x_stride + at
    cdef const S *dy = job.dy + r * job.dy_stride + at
    cdef const S *y = job.y + r * job.y_stride + at
    if job.bend != NULL:
        bent_run(lean, x, residual_at(job, r, at), given_at(job, r, at), n, coef, coef + width,
                 coef + 2 * width, NULL, NULL, True, job.slope, job.most, job.bend, False, 0)
    elif job.task < GRADIENT:
        normalize_each_gated(lean, x, residual_at(job, r, at), n, coef, coef + width,
                             coef + 2 * width, job.slope, job.most, False, 0)
    elif job.task == GRADIENT and job.gating:
        gradient_each_gated(lean, <S *>NULL, dy, x, y, n, coef, coef + width, coef + 2 * width,
                            coef + 3 * width, job.slope, job.most, False, 0)
    elif job.task == GRADIENT:
        gradient_each(lean, dy, x, n, coef, coef + width, coef + 2 * width, coef + 3 * width,
                      False, 0)
    else:
        normalize_each(lean, dy, n, coef + 2 * width, coef + 3 * width, coef + 4 * width, False, 0)


cdef leaf wide_normal(Job *job, double *wide, const Wide *w, Py_ssize_t r, Py_ssize_t at,
                      Py_ssize_t n) noexcept nogil:
    cdef double[WIDE] hats
    cdef double[WIDE] z
    cdef const S *residual = residual_at(job, r, at)
    cdef Py_ssize_t i
    load_hats(hats, job.x + r * job.x_stride + at, n, w, True)
    if residual != NULL:
        for i in range(n):
            z[i] = item(residual + i)
    normalize_each_gated(wide, hats, z if residual != NULL else NULL, n, w.zero, w.scale, w.bias,
                         <double>job.slope if job.bend == NULL else 1.0,
                         <double>job.most if job.bend == NULL else INFINITY, False, 0)


cdef leaf wide_gradient(Job *job, double *wide, const Wide *w, Py_ssize_t r, Py_ssize_t at,
                        Py_ssize_t n) noexcept nogil:
    cdef double[WIDE] hats
    cdef double[WIDE] g
    cdef S *dz = dresidual_at(job, r, at)
    cdef Py_ssize_t i
    load_hats(hats, job.x + r * job.x_stride + at, n, w, True)
    load_gated(g, job, job.dy + r * job.dy_stride + at, job.y + r * job.y_stride + at, n)
    if dz != NULL:
        write_items(dz, g, n)
    for i in range(n):
        g[i] -= w.centre[i]
    if job.task == GRADIENT:
        gradient_each(wide, g, hats, n, w.zero, w.along, w.dy_mean, w.scale, False, 0)
    else:
        normalize_each(wide, g, n, w.zero, w.scale, w.zero, False, 0)
