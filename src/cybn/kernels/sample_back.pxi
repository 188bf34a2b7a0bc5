# The steps of samples.pxi for a backward, in their order there.

cdef leaf reduce_products(Samples *job, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    """Sums of dy and dy*xhat of cells, of dy*weight by items."""
    cdef Py_ssize_t b
    for b in range(ceil_div(stop - start, MOST_CELLS)):
        reduce_cells(job, start + b * MOST_CELLS,
                     min(<Py_ssize_t>MOST_CELLS, stop - start - b * MOST_CELLS))


cdef inline always reduce_cells(Samples *job, Py_ssize_t start, Py_ssize_t count) noexcept nogil:
    cdef double *out = job.sums + 2 * (start - job.row * job.cells)
    cdef double means[MOST_CELLS]
    cdef double rests[MOST_CELLS]
    cdef double rstds[MOST_CELLS]
    cdef Py_ssize_t c
    cdef T s[LANES]
    cdef T q[LANES]
    cdef bint items = job.items
    cdef Cell cell
    of_rows(job, means, job.mean, start, count)
    of_rows(job, rstds, job.rstd, start, count)
    for c in range(count):
        rests[c] = (means[c] - <T>means[c]) * rstds[c]
    for c in range(count):
        cell = cell_of(job, start + c)
        if items:
            sum_weighted(s, q, job.dy + cell.at, job.x + cell.at, job.weights + cell.place, cell.n,
                         <T>means[c], clamped(rstds[c]), <T>-rests[c])
        else:
            sum_products(s, q, job.dy + cell.at, job.x + cell.at, cell.n, <T>means[c],
                         clamped(rstds[c]), STRIDE_AHEAD, STRIDE_AHEAD)
        fold_pair(out + 2 * c, s, q)
    if not items:
        for c in range(count):
            out[2 * c + 1] -= rests[c] * out[2 * c]


cdef leaf settle_back(Samples *job, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    """g_mean and g_xhat of rows, from the sums of their cells."""
    cdef const double *cell = job.sums + (start - job.row) * job.row_sums
    cdef const double *weights
    cdef double g, products, weight = 1
    cdef bint weighted = job.affine and not job.items
    cdef Py_ssize_t r, i
    for r in range(start, stop):
        g = products = 0
        weights = job.weight + (group_of(job, r) * job.owners if weighted else 0)
        for i in range(job.cells):
            if weighted:
                weight = weights[i if job.parts == 1 else i // job.parts]
            g += weight * cell[0]
            products += weight * cell[1]
            cell += 2
        job.g_mean[r] = g / job.n if job.centred else 0
        job.g_xhat[r] = products / job.counted
        job.unit[r] = 0
        if unlikely(doubtful_row(job, r) or not sums_clear(job, r, g, products)):
            doubt_back(job, r, g, products)


cdef inline Py_ssize_t counted_in(Samples *job, Cell cell) noexcept nogil:
    """How many items of a cell, its first, have a part in the moments of its row."""
    cdef Py_ssize_t at
    if job.counted == job.n:
        return cell.n
    at = cell.at % job.n
    return max(<Py_ssize_t>0, min(cell.n, job.counted - at))


cdef leaf write_gradient(Samples *job, T *item_sums, double *shared, Py_ssize_t start,
                         Py_ssize_t stop) noexcept nogil:
    """dx of cells; by items, what they add to dbias and dweight is added to `item_sums`.

    What doubtful rows add is beyond T: it goes to `shared` at once.
    """
    cdef Py_ssize_t b
    for b in range(ceil_div(stop - start, MOST_CELLS)):
        write_back_cells(job, item_sums, shared, start + b * MOST_CELLS,
                         min(<Py_ssize_t>MOST_CELLS, stop - start - b * MOST_CELLS))


cdef inline always write_back_cells(Samples *job, T *item_sums, double *shared, Py_ssize_t start,
                                    Py_ssize_t count) noexcept nogil:
    cdef double means[MOST_CELLS]
    cdef double rests[MOST_CELLS]
    cdef double rstds[MOST_CELLS]
    cdef double units[MOST_CELLS]
    cdef double g_means[MOST_CELLS]
    cdef double g_xhats[MOST_CELLS]
    cdef double weights[MOST_CELLS]
    cdef Py_ssize_t c, at, place, first, stop, width = job.groups * job.n, ahead = job.ahead
    cdef bint wide = False, stream = job.stream, items = job.items
    cdef T mean, rstd, along, dy_mean
    cdef Cell cell
    of_rows(job, means, job.mean, start, count)
    of_rows(job, rstds, job.rstd, start, count)
    of_rows(job, units, job.unit, start, count)
    of_rows(job, g_means, job.g_mean, start, count)
    of_rows(job, g_xhats, job.g_xhat, start, count)
    for c in range(MOST_CELLS):
        weights[c] = 1
    if job.affine and not items:
        of_runs(job, weights, job.weight, start, count)
    for c in range(count):
        rests[c] = (means[c] - <T>means[c]) * rstds[c]
    if not items:
        # xhat is without its shift: the mean of dy makes up for it
        for c in range(count):
            g_means[c] -= rests[c] * g_xhats[c]
        for c in range(count):
            g_xhats[c] *= rstds[c]
    for c in range(count):
        wide |= units[c] != 0
    for c in range(count):
        cell = cell_of(job, start + c)
        if unlikely(wide) and units[c] != 0:
            write_wide_cell(job, shared, cell, True)
            continue
        mean, rstd, dy_mean = <T>means[c], <T>rstds[c], <T>g_means[c]
        along = <T>g_xhats[c] if items else clamped(g_xhats[c])
        first, stop = 0, counted_in(job, cell)
        while True:
            at, place = cell.at + first, cell.place + first
            if items:
                gradient_weighted(job.out + at, item_sums + place, item_sums + width + place,
                                  job.dy + at, job.x + at, job.weights + place, stop - first, mean,
                                  rstd, <T>-rests[c], dy_mean, along, stream, ahead)
            else:
                gradient_run(job.out + at, <S *>NULL, job.dy + at, job.x + at, job.dy, stop - first,
                             <T>weights[c], &mean, &along, &dy_mean, &rstd, False, <T>1, <T>1,
                             False, stream, ahead)
            if stop == cell.n:
                break
            first, stop, along = stop, cell.n, 0        # what has no part in the moments
