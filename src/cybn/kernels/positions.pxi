# Norms of positions (layer and RMS norm over the channels of (N, C, ...)): the moments of C items that
# lie L apart, x as (N, C, L).
#
# A unit is a band of a sample: some positions side by side, C lines of them. It is summed down its
# lines, and written line by line while a cache holds it. What lies beside the lines, mean and rstd
# of each position, is in the first level; weight and bias are one number for a line. How wide
# a band is follows from the shape alone, and what bands add to dweight and dbias is kept by
# shards of them, merged in order.
#
# Positions that the arithmetic of T is not good enough for are copied to a row and back, one by
# one, and what samples.pxi does with rows is done to them there; so are all where fewer lie side by
# side than a vector holds. Rejected: copying all of them (the two turns take longer than the norm).

cdef enum:
    BAND_ITEMS = 49152     # of a band, at the most, unless it were narrower than
    NARROW = 64             # positions
    WIDEST = 512
    LINE_SUMS = 8           # partial sums of a line, of dy and of dy*xhat
    FEW_POSITIONS = 12      # side by side: each by itself

cdef struct Positions:
    Samples row             # a row of C items, of which a thread takes one by itself
    S *out
    const S *x
    const S *dy
    Py_ssize_t out_stride, x_stride, dy_stride      # from sample to sample
    Py_ssize_t C, L
    Py_ssize_t width, bands                        # positions to a band, bands to a sample
    Py_ssize_t units
    bint stream
    Py_ssize_t ahead
    double *mean            # (N*L,) each
    double *var
    double *rstd
    # Of one thread:
    double *sums            # 2 for each position of a band
    double *centre          # what they are about
    double *rest            # what the means, rounded to T, lack
    double *doubt           # not 0: to be done by itself
    T *coef                 # COEFS arrays of `width` items
    T *lines                # LINE_SUMS of dy and of dy*xhat for each line, on the way to row.shared
    S *rows                 # out, x and dy of a position

cdef struct Band:          # where a unit lies
    S *out
    const S *x
    const S *dy
    Py_ssize_t first, n     # its first position, of all; how many


cdef inline Band band_at(Positions *job, Py_ssize_t u) noexcept nogil:
    cdef Band s
    cdef Py_ssize_t sample = u // job.bands, at = (u - sample * job.bands) * job.width
    s.out = job.out + sample * job.out_stride + at
    s.x = job.x + sample * job.x_stride + at
    s.dy = job.dy + sample * job.dy_stride + at if job.dy != NULL else NULL
    s.first, s.n = sample * job.L + at, min(job.width, job.L - at)
    return s


# One position, as a row.

cdef void copy_position(Positions *job, S *to, const S *at, bint back) noexcept nogil:
    """The C items of a position to a row; back: of a row to a position."""
    cdef Py_ssize_t c
    for c in range(job.C):
        if back:
            to[c * job.L] = at[c]
        else:
            to[c] = at[c * job.L]


cdef leaf take_position(Positions *job, Band s, Py_ssize_t j, double *shared,
                        bint backward) noexcept nogil:
    cdef Samples *row = &job.row
    cdef Py_ssize_t C = job.C, at = s.first + j
    copy_position(job, job.rows + C, s.x + j, False)
    row.mean, row.var, row.rstd = job.mean + at, job.var + at, job.rstd + at
    row.out, row.x, row.dy = job.rows, job.rows + C, job.rows + 2 * C
    if backward:
        copy_position(job, job.rows + 2 * C, s.dy + j, False)
        reduce_products(row, 0, row.cells)
        settle_back(row, 0, 1)
        memset(row.item_sums, 0, 2 * C * sizeof(T))
        write_gradient(row, row.item_sums, shared, 0, row.cells)
        empty(shared, row.item_sums, 2 * C)
    else:
        reduce_moments(row, 0, row.pieces)
        settle_samples(row, 0, 1)
        write_normal(row, 0, row.cells)
    copy_position(job, s.out + j, job.rows, True)


# Forward.

cdef inline always settle_position(Positions *job, Band s, Py_ssize_t j) noexcept nogil:
    """mean, var and rstd from sums about centre, and what the mean, rounded to T, lacks."""
    cdef double m = <double>job.C, s1 = job.sums[j] / m, k = job.centre[j], mean, var
    mean = k + s1
    var = job.sums[job.width + j] / m - s1 * s1
    var = 0 if var < 0 else var
    job.mean[s.first + j], job.var[s.first + j] = mean, var
    job.rstd[s.first + j] = 1 / sqrt(var + job.row.eps)
    job.rest[j] = (k - <T>mean) + s1


cdef leaf sum_moments_down(Positions *job, Band s) noexcept nogil:
    """Statistics of a band; positions whose sums are not to be trusted are summed once more."""
    cdef Py_ssize_t C = job.C, line = job.L, n = s.n, j
    cdef double *s1 = job.sums
    cdef double *s2 = job.sums + job.width
    cdef double *k = job.centre
    cdef double *doubt = job.doubt
    cdef bint few = sizeof(T) < sizeof(double) and C <= FEW_ITEMS, centred = job.row.centred
    cdef bint zeros = centred and hides_squares(job.row.eps), again = False
    cdef double far = 0.9375 if few else far_in_columns(C)      # few are summed in double
    for j in range(n):
        job.coef[j] = 0
    if centred:
        for j in range(n):
            job.coef[j] = median5(item(s.x + j), item(s.x + C // 4 * line + j),
                                  item(s.x + C // 2 * line + j), item(s.x + C // 4 * 3 * line + j),
                                  item(s.x + (C - 1) * line + j))
    for j in range(n):
        k[j] = job.coef[j]
    sum_down(s1, s2, s.x, C, line, n, 0, job.coef, k if few else NULL)
    if not centred:         # nothing is subtracted, and only the squares are needed
        memset(s1, 0, n * sizeof(double))
    for j in range(n):
        settle_position(job, s, j)
    for j in range(n):
        doubt[j] = 0 if good_sums(s1[j], s2[j], C, far, zeros) else 1
    for j in range(n):
        again |= doubt[j] != 0
    if unlikely(again):
        look_down(job, s)


cdef void look_down(Positions *job, Band s) noexcept nogil:
    """Sum a band again in double, about the means; it is taken for positions in doubt."""
    cdef Py_ssize_t j
    cdef double mean
    for j in range(s.n):
        mean = job.mean[s.first + j]
        job.centre[j] = mean if job.row.centred and isfinite(mean) else 0
    sum_down(job.sums, job.sums + job.width, s.x, job.C, job.L, s.n, 0, NULL, job.centre)
    for j in range(s.n):
        if job.doubt[j] != 0:
            if not job.row.centred:
                job.sums[j] = 0
            settle_position(job, s, j)


cdef leaf write_normal_down(Positions *job, Band s, Py_ssize_t j, Py_ssize_t n) noexcept nogil:
    """The output of n positions from the j-th of a band on."""
    cdef const T *coef = job.coef + j
    cdef Py_ssize_t c, w = job.width, at = j
    for c in range(job.C):
        normalize_run(s.out + at, s.x + at, s.x, n, coef, coef + w, coef + 2 * w,
                      job.row.weights + c, job.row.biases + c, True, True, <T>1, <T>1, False,
                      False, job.stream, job.ahead)
        at += job.L


cdef void normalize_band(Positions *job, Band s) noexcept nogil:
    cdef Py_ssize_t w = job.width, j
    cdef double *doubt = job.doubt
    cdef double most = most_factor(), most_mean = most_of(), mean, rstd
    sum_moments_down(job, s)
    for j in range(s.n):
        mean, rstd = job.mean[s.first + j], job.rstd[s.first + j]
        doubt[j] = 0 if ((fabs(mean) < most_mean) & (rstd < most) & (rstd * most > 1)) else 1
        job.coef[j], job.coef[w + j] = <T>mean, <T>rstd
        job.coef[2 * w + j] = <T>(-job.rest[j] * rstd)


# Backward.

cdef inline always add_hats(T *s, T *q, const S *dy, const S *x, Py_ssize_t n, const T *mean,
                            const T *rstd, const T *shift, T weight) noexcept nogil:
    """s += dy*weight, q += dy*weight*xhat of up to LANES items side by side."""
    cdef T dy_room[LANES]
    cdef T x_room[LANES]
    cdef T g
    cdef Py_ssize_t j
    read(dy_room, dy, n, n == LANES, True)
    read(x_room, x, n, n == LANES, True)
    for j in range(n):
        g = loaded(dy_room, dy, j) * weight
        s[j] += g
        q[j] += g * xhat(loaded(x_room, x, j), mean[j], rstd[j], shift[j])


cdef inline always add_hats_down(T *s, T *q, const S *dy, const S *x, Py_ssize_t lines,
                                 Py_ssize_t line, Py_ssize_t n, const T *mean, const T *rstd,
                                 const T *shift, const T *weight) noexcept nogil:
    """The same down n positions of a few lines."""
    cdef T a[LANES]
    cdef T b[LANES]
    cdef Py_ssize_t i, j, r, at
    for i in range(n // LANES):
        at = i * LANES
        for j in range(LANES):
            a[j] = s[at + j]
        for j in range(LANES):
            b[j] = q[at + j]
        for r in range(lines):
            fetch_far(dy + (r + COLUMN_STEP) * line + at, LANES)
            fetch_far(x + (r + COLUMN_STEP) * line + at, LANES)
            add_hats(a, b, dy + r * line + at, x + r * line + at, LANES, mean + at, rstd + at,
                     shift + at, weight[r])
        for j in range(LANES):
            s[at + j] = a[j]
        for j in range(LANES):
            q[at + j] = b[j]
    at = n // LANES * LANES
    for r in range(lines):
        add_hats(s + at, q + at, dy + r * line + at, x + r * line + at, n - at, mean + at,
                 rstd + at, shift + at, weight[r])


cdef leaf sum_products_down(Positions *job, Band s) noexcept nogil:
    """The sums of g = dy*weight and of g*xhat of a band."""
    cdef const T *coef = job.coef
    cdef Py_ssize_t w = job.width, step, c, n = s.n
    cdef T a[WIDEST]
    cdef T b[WIDEST]
    memset(job.sums, 0, 2 * w * sizeof(double))
    memset(a, 0, n * sizeof(T))
    memset(b, 0, n * sizeof(T))
    for step in range(ceil_div(job.C, COLUMN_STEP)):
        c = step * COLUMN_STEP
        add_hats_down(a, b, s.dy + c * job.L, s.x + c * job.L,
                      min(<Py_ssize_t>COLUMN_STEP, job.C - c), job.L, n, coef, coef + w,
                      coef + 2 * w, job.row.weights + c)
        if (c + COLUMN_STEP) % COLUMN_RUN == 0:
            empty(job.sums, a, n)
            empty(job.sums + w, b, n)
    empty(job.sums, a, n)
    empty(job.sums + w, b, n)


cdef inline always add_hats_along(T *to, const S *dy, const S *x, Py_ssize_t n, const T *mean,
                                  const T *rstd, const T *shift) noexcept nogil:
    """to += the sums of dy and dy*xhat over n positions, LINE_SUMS each."""
    cdef T a[LANES]
    cdef T b[LANES]
    cdef T s[LANES]
    cdef T q[LANES]
    cdef Py_ssize_t i, at = n // LANES * LANES
    clear_lanes(a, b)
    for i in range(n // LANES):
        add_hats(a, b, dy + i * LANES, x + i * LANES, LANES, mean + i * LANES, rstd + i * LANES,
                 shift + i * LANES, <T>1)
    for i in range(LANES):
        s[i] = a[i]
    for i in range(LANES):
        q[i] = b[i]
    add_hats(s, q, dy + at, x + at, n - at, mean + at, rstd + at, shift + at, <T>1)
    for i in range(LINE_SUMS):
        to[i] += (s[i] + s[i + 16]) + (s[i + 8] + s[i + 24])
    for i in range(LINE_SUMS):
        to[LINE_SUMS + i] += (q[i] + q[i + 16]) + (q[i + 8] + q[i + 24])


cdef void empty_lines(Positions *job, double *shared) noexcept nogil:
    """What lines have summed, to dbias and dweight of a shard."""
    cdef T *line = job.lines
    cdef Py_ssize_t c
    for c in range(job.C):
        shared[c] += sum_line(line)
        shared[job.C + c] += sum_line(line + LINE_SUMS)
        line += 2 * LINE_SUMS
    memset(job.lines, 0, 2 * LINE_SUMS * job.C * sizeof(T))


cdef inline double sum_line(const T *line) noexcept nogil:
    cdef double a[4]
    cdef Py_ssize_t j
    for j in range(4):
        a[j] = <double>line[j] + <double>line[j + 4]
    return (a[0] + a[2]) + (a[1] + a[3])


cdef leaf write_gradient_down(Positions *job, Band s, Py_ssize_t j, Py_ssize_t n) noexcept nogil:
    """dx of n positions from the j-th of a band on, and what they add to dbias and dweight."""
    cdef const T *coef = job.coef + j
    cdef Py_ssize_t c, w = job.width, at = j
    for c in range(job.C):
        add_hats_along(job.lines + 2 * LINE_SUMS * c, s.dy + at, s.x + at, n, coef, coef + w,
                       coef + 2 * w)
        gradient_run(s.out + at, <S *>NULL, s.dy + at, s.x + at, s.dy, n, job.row.weights[c], coef,
                     coef + 3 * w, coef + 4 * w, coef + w, True, <T>1, <T>1, False, job.stream,
                     job.ahead)
        at += job.L


cdef void pull_band(Positions *job, Band s) noexcept nogil:
    """Sums and coefficients of a band, and which positions are in doubt."""
    cdef Py_ssize_t w = job.width, j
    cdef double mean, rstd, rest, g, along, m = <double>job.C
    cdef T *coef = job.coef
    cdef Samples *row = &job.row
    for j in range(s.n):
        mean, rstd = job.mean[s.first + j], job.rstd[s.first + j]
        coef[j], coef[w + j] = <T>mean, clamped(rstd)
        coef[2 * w + j] = <T>(-(mean - <T>mean) * rstd)
    sum_products_down(job, s)
    for j in range(s.n):
        g, along = job.sums[j], job.sums[w + j]
        row.mean, row.rstd, row.unit[0] = job.mean + s.first + j, job.rstd + s.first + j, 0
        job.doubt[j] = doubtful_row(row, 0) or not (
            sums_clear(row, 0, g, along)
            or cleared_row(row, 0, s.x + j, s.dy + j, job.L, g, along))
    for j in range(s.n):
        rstd, along = job.rstd[s.first + j], job.sums[w + j] / m
        rest = (job.mean[s.first + j] - coef[j]) * rstd
        g = job.sums[j] / m if row.centred else 0
        coef[3 * w + j], coef[4 * w + j] = clamped(along * rstd), <T>(g - rest * along)


# The walk.

cdef void walk_band(Positions *job, Band s, double *shared, bint backward) noexcept nogil:
    cdef bint alone = job.row.odd or s.n < FEW_POSITIONS
    cdef Py_ssize_t j = 0, end
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
    job.rows += 3 * t * C
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
    cdef double start, busy = 0, began = now()
    for t in prange(threads, num_threads=threads, schedule="static", chunksize=1):
        start = now()
        walk_positions(job, t, tasks * t // threads, tasks * (t + 1) // threads, backward)
        busy += now() - start
    settle_wait(began, busy, threads)
