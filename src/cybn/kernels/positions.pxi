# Norms of positions (layer and RMS norm over the channels of (N, C, ...)): the moments of C items
# that lie L apart, x as (N, C, L).
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
    const S *residual       # what is added before out is written; or NULL
    const void *bend        # as in samples.pxi, with what belongs to it
    T slope, most
    const S *given
    S *g
    # From sample to sample:
    Py_ssize_t out_stride, x_stride, dy_stride, residual_stride, given_stride, g_stride
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
    S *rows                 # out, x, dy and residual of a position

cdef struct Band:          # where a unit lies
    S *out
    const S *x
    const S *dy
    const S *residual
    const S *given
    S *g
    Py_ssize_t first, n     # its first position, of all; how many


cdef inline Band band_at(Positions *job, Py_ssize_t u) noexcept nogil:
    cdef Band s
    cdef Py_ssize_t sample = u // job.bands, at = (u - sample * job.bands) * job.width
    s.out = job.out + sample * job.out_stride + at
    s.x = job.x + sample * job.x_stride + at
    s.dy = job.dy + sample * job.dy_stride + at if job.dy != NULL else NULL
    s.residual = NULL
    if job.residual != NULL:
        s.residual = job.residual + sample * job.residual_stride + at
    s.given, s.g = NULL, NULL
    if job.given != NULL:
        s.given = job.given + sample * job.given_stride + at
        s.g = job.g + sample * job.g_stride + at
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
    row.residual, row.bend, row.slope, row.most = NULL, job.bend, job.slope, job.most
    if s.residual != NULL:
        copy_position(job, job.rows + 3 * C, s.residual + j, False)
        row.residual = job.rows + 3 * C
    if s.given != NULL:
        copy_position(job, job.rows + 2 * C, s.given + j, False)
        row.given = row.g = job.rows + 2 * C
        write_given(row, 0, 1)
    elif backward:
        copy_position(job, job.rows + 2 * C, s.dy + j, False)
        reduce_products(row, 0, row.cells)
        settle_back(row, 0, 1)
        memset(row.item_sums, 0, 2 * row.stride * sizeof(T))
        write_gradient(row, row.item_sums, shared, 0, row.cells)
        empty(shared, row.item_sums, C)
        empty(shared + C, row.item_sums + row.stride, C)
    else:
        reduce_moments(row, 0, row.pieces)
        settle_samples(row, 0, 1)
        write_normal(row, 0, row.cells)
    copy_position(job, s.out + j, job.rows if s.given == NULL else row.g, True)


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
    sum_down(s1, s2, s.x, C, line, n, 0, job.coef, k if few else NULL, COLUMN_STEP, 0)
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
    sum_down(job.sums, job.sums + job.width, s.x, job.C, job.L, s.n, 0, NULL, job.centre,
             COLUMN_STEP, 0)
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
        if job.bend != NULL:
            bent_run(s.out + at, s.x + at, from_at(s.residual, at), from_at(s.given, at), n, coef,
                     coef + w, coef + 2 * w, job.row.weights + c, job.row.biases + c, True,
                     job.slope, job.most, job.bend, job.stream and s.given == NULL, job.ahead)
        else:
            normalize_run(s.out + at, s.x + at, s.x, n, coef, coef + w, coef + 2 * w,
                          job.row.weights + c, job.row.biases + c, True, True, <T>1, <T>1, False,
                          False, job.stream, job.ahead)
        at += job.L


cdef void normalize_band(Positions *job, Band s) noexcept nogil:
    cdef Py_ssize_t w = job.width, j
    cdef double *doubt = job.doubt
    cdef double most = most_factor(), most_mean = most_of(), mean, rstd
    if s.given == NULL:
        sum_moments_down(job, s)
    for j in range(s.n):
        mean, rstd = job.mean[s.first + j], job.rstd[s.first + j]
        doubt[j] = 0 if ((fabs(mean) < most_mean) & (rstd < most) & (rstd * most > 1)) else 1
        job.coef[j], job.coef[w + j] = <T>mean, <T>rstd
        if s.given != NULL:
            job.rest[j] = mean - <T>mean
        job.coef[2 * w + j] = <T>(-job.rest[j] * rstd)
