# Rows of samples.pxi that the arithmetic of T is not good enough for, in double: as in doubt.pxi
# and wide.pxi, with a row for a channel and g = dy*weight for dy. Weights that T cannot hold, or
# not multiply safely, make all rows doubtful.

cdef inline double most_factor() noexcept nogil:
    """Factors below it, and above its reciprocal, may be multiplied with each other in T."""
    return 2.0 ** 60 if sizeof(T) < sizeof(double) else 2.0 ** 500


cdef inline bint doubtful_row(Samples *job, Py_ssize_t r) noexcept nogil:
    """Can T not hold what is between x, xhat and the output?"""
    return job.odd | (not holds_moments(job.mean[r], job.rstd[r]))


cdef inline bint holds_moments(double mean, double rstd) noexcept nogil:
    cdef double most = most_factor()
    return (fabs(mean) < most_of()) & (rstd < most) & (rstd * most > 1)


cdef inline bint sums_clear(Samples *job, Py_ssize_t r, double s1, double s2) noexcept nogil:
    """Do the sums of g and g*xhat clear themselves? See doubt_sums. No branch."""
    return clear_sums(fabs(s1), fabs(s2), job.rstd[r], MOST_MEAN if job.centred else INFINITY,
                      least_products(<double>job.n, 1))


cdef inline bint clear_sums(double s1, double s2, double rstd, double most_mean,
                            double least) noexcept nogil:
    return ((s1 + s2 * (1 + rstd) < most_of()) & (s1 <= most_mean * s2)
            & (s2 * (rstd if rstd < 1 else 1.0) > least))


cdef leaf fill_row(Samples *job, Wide *w, Py_ssize_t r, Py_ssize_t at, Py_ssize_t n,
                   bint backward) noexcept nogil:
    """OUT w: xhat of row r at [0], weight and bias of n items from `at` on."""
    cdef double unit = job.unit[r] if job.unit[r] != 0 else 1
    cdef Py_ssize_t i, place, first = r % job.groups * job.n + at
    w.unit[0], w.mean[0] = unit, job.mean[r] * unit
    w.rstd[0] = bounded(job.rstd[r] / unit, DBL_MAX)
    w.rest[0] = 0
    if not backward and sizeof(T) == sizeof(double):
        w.rest[0] = job.rest[r] * job.rstd[r]
    for i in range(n):
        w.zero[i], w.scale[i], w.bias[i] = 0, 1, 0
        if job.affine and job.items and not job.odd:
            w.scale[i] = job.weights[first + i]
            w.bias[i] = job.biases[first + i]
        elif job.affine:
            place = first + i if job.items else (first + i) // job.run
            w.scale[i], w.bias[i] = job.weight[place], job.bias[place]


cdef leaf load_items(Samples *job, Wide *w, double *g, double *hats, Py_ssize_t r, Py_ssize_t at,
                     Py_ssize_t n, const S *x, const S *dy) noexcept nogil:
    """OUT w, hats; g: dy*weight of n items, which are those of row r from `at` on."""
    cdef Py_ssize_t i
    fill_row(job, w, r, at, n, True)
    load_hats(hats, x, n, w, False)
    for i in range(n):
        g[i] = item(dy + i) * w.scale[i]


cdef inline void load_row(Samples *job, Wide *w, double *g, double *hats, Py_ssize_t r,
                          Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    load_items(job, w, g, hats, r, at, n, job.x + r * job.n + at, job.dy + r * job.n + at)


cdef bint cleared_row(Samples *job, Py_ssize_t r, const S *x, const S *dy, Py_ssize_t step,
                      double s1, double s2) noexcept nogil:
    """Are the sums of g and g*xhat to be trusted? As many items are looked at as show it.

    x, dy: those of row r, `step` items apart.
    """
    cdef double[STRIP] g
    cdef double[STRIP] hats
    cdef S[STRIP] x_items
    cdef S[STRIP] dy_items
    cdef double n = <double>job.n, mean = s1 / n, spread = 0, products = 0
    cdef double found_spread = 0, found_products = 0
    cdef double least = least_products(n, job.rstd[r])
    cdef Py_ssize_t piece, i, at, items
    cdef Wide w
    if not fabs(s1) + fabs(s2) * (1 + job.rstd[r]) < most_of():
        return False
    if job.centred and fabs(s1) > MOST_MEAN * fabs(s2):
        spread = s1 * mean / (MOST_MEAN * MOST_MEAN)
    if fabs(s2) <= least:
        products = least
    if products == 0 and job.n >= STRIP and not job.odd:    # the spread alone is to be shown
        for i in range(STRIP):
            g[i] = item(dy + i * step)
        if job.items:
            for i in range(STRIP):
                g[i] *= job.weights[r % job.groups * job.n + i]
        elif job.affine:
            for i in range(STRIP):
                g[i] *= job.weight[(r % job.groups * job.n + i) // job.run]
        for i in range(STRIP):
            found_spread += (g[i] - mean) * (g[i] - mean)
        if found_spread >= spread:
            return True
        found_spread = 0
    for piece in range(ceil_div(job.n, STRIP)):
        at = piece * STRIP
        items = min(<Py_ssize_t>STRIP, job.n - at)
        for i in range(items):
            x_items[i], dy_items[i] = x[(at + i) * step], dy[(at + i) * step]
        load_items(job, &w, g, hats, r, at, items, x_items, dy_items)
        for i in range(items):
            found_spread += (g[i] - mean) * (g[i] - mean)
            found_products += fabs(g[i] * hats[i])
        if found_spread >= spread and found_products >= products:
            return True
    return found_spread >= spread and found_products == 0


cdef void doubt_back(Samples *job, Py_ssize_t r, double s1, double s2) noexcept nogil:
    """A row that its sums do not clear: sum it again where its items do not clear it either."""
    if doubtful_row(job, r) or not cleared_row(
            job, r, job.x + r * job.n, job.dy + r * job.n, 1, s1, s2):
        job.unit[r] = unit_for(job.mean[r], job.rstd[r])
        look_at_row(job, r)


cdef leaf look_at_row(Samples *job, Py_ssize_t r) noexcept nogil:
    """g_mean and along of a row, and the sums of its cells, from g about an item, then its mean."""
    cdef double[WIDE] g
    cdef double[WIDE] hats
    cdef double *sums = job.sums + (r - job.row) * job.row_sums
    cdef const S *dy = job.dy + r * job.n
    cdef double s1, s2, n = <double>job.n
    cdef Py_ssize_t look, piece, i, j, at, items
    cdef Cell cell
    cdef Wide w
    job.centre[r] = 0
    if job.centred:
        load_row(job, &w, &job.centre[r], hats, r, 0, 1)
    for look in range(2 if job.centred else 1):
        s1 = s2 = 0
        for i in range(job.cells):
            cell = cell_of(job, r * job.cells + i)
            sums[2 * i] = sums[2 * i + 1] = 0
            for piece in range(ceil_div(cell.n, WIDE)):
                at = cell.at - r * job.n + piece * WIDE
                items = min(<Py_ssize_t>WIDE, cell.n - piece * WIDE)
                load_row(job, &w, g, hats, r, at, items)
                for j in range(items):
                    g[j] -= job.centre[r]
                s1 += sum_doubles(g, items)
                for j in range(items):
                    g[j] *= hats[j]
                s2 += sum_doubles(g, items)
                for j in range(items):
                    g[j] = item(dy + at + j)
                sums[2 * i] += sum_doubles(g, items)
                for j in range(items):
                    g[j] *= hats[j]
                sums[2 * i + 1] += sum_doubles(g, items)
        if look == 0 and job.centred:
            job.centre[r] += s1 / n
    job.g_mean[r] = s1 / n if job.centred else 0
    job.g_xhat[r] = s2 / job.counted


cdef void write_wide_normal(Samples *job, Py_ssize_t r, Py_ssize_t start,
                            Py_ssize_t stop) noexcept nogil:
    """The items [start, stop) of the output of a row."""
    cdef double[WIDE] hats
    cdef double[WIDE] wide
    cdef S *y = job.out + r * job.n
    cdef Py_ssize_t piece, i, at, n, place
    cdef Wide w
    for piece in range(ceil_div(stop - start, WIDE)):
        at = start + piece * WIDE
        n = min(<Py_ssize_t>WIDE, stop - at)
        fill_row(job, &w, r, at, n, False)
        load_hats(hats, job.x + r * job.n + at, n, &w, False)
        normalize_each(wide, hats, n, w.zero, w.scale, w.bias, False, 0)
        place = r * job.n + at
        if job.residual != NULL:
            for i in range(n):
                wide[i] += item(job.residual + place + i)
        if job.bend != NULL:
            bend_wide(wide, from_at(job.given, place), n, job.slope, job.most, job.bend)
        write_items(y + at, wide, n)


cdef void write_wide_gradient(Samples *job, double *shared, Py_ssize_t r, Py_ssize_t start,
                              Py_ssize_t stop) noexcept nogil:
    """The items [start, stop) of dx; what they add to dbias and dweight, by items, to shared."""
    cdef double[WIDE] hats
    cdef double[WIDE] g
    cdef const S *dy = job.dy + r * job.n
    cdef S *dx = job.out + r * job.n
    cdef double rstd = bounded(job.rstd[r], DBL_MAX)
    cdef Py_ssize_t piece, i, at, n, width = job.groups * job.n, first = group_of(job, r) * job.n
    cdef Wide w
    for piece in range(ceil_div(stop - start, WIDE)):
        at = start + piece * WIDE
        n = min(<Py_ssize_t>WIDE, stop - at)
        load_row(job, &w, g, hats, r, at, n)
        if job.items:
            for i in range(n):
                shared[first + at + i] += item(dy + at + i)
                shared[width + first + at + i] += item(dy + at + i) * hats[i]
        for i in range(n):
            g[i] -= job.centre[r]
        for i in range(max(<Py_ssize_t>0, job.counted - at), n):
            hats[i] = 0         # it has no part in the moments
        gradient(g, g, hats, n, 1.0, 0.0, job.g_xhat[r], job.g_mean[r], rstd, False, 0)
        write_items(dx + at, g, n)


cdef void write_wide_cell(Samples *job, double *shared, Cell cell, bint backward) noexcept nogil:
    cdef Py_ssize_t r = cell.at // job.n
    cdef Py_ssize_t start = cell.at - r * job.n
    if backward:
        write_wide_gradient(job, shared, r, start, start + cell.n)
    else:
        write_wide_normal(job, r, start, start + cell.n)
