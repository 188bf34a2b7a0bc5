# The steps of samples.pxi for a backward, in their order there.

cdef leaf reduce_products(Samples *job, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    """Sums of dy and dy*xhat of cells, of dy*weight by items."""
    cdef Py_ssize_t count
    while start < stop:
        count = together(job, start, stop)
        reduce_cells(job, start, count)
        start += count


cdef inline always reduce_cells(Samples *job, Py_ssize_t start, Py_ssize_t count) noexcept nogil:
    cdef double *out = job.sums + 2 * (start - job.row * job.cells)
    cdef double rests[MOST_CELLS]
    cdef bint each = job.cells == 1
    cdef Py_ssize_t c, rows = count if each else 1, row = start if each else start // job.cells
    cdef const double *means = job.mean + row
    cdef const double *rstds = job.rstd + row
    cdef Cell cell = cell_of(job, start)
    cdef Lines lines
    lay_out_sums(&lines, rests, means, rstds, rows)
    if job.items:
        sum_weighted_lines(job, out, cell, &lines, count)
        return
    if job.short:
        sum_short_lines(job, out, cell, &lines, count, each)
    else:
        sum_lines(job, out, cell, &lines, count, each)
    for c in range(count):
        out[2 * c + 1] -= rests[c * each] * out[2 * c]


cdef inline always lay_out_sums(Lines *lines, double *rests, const double *means,
                                const double *rstds, Py_ssize_t rows) noexcept nogil:
    """OUT lines, rests: what sums need of rows."""
    cdef Py_ssize_t r
    for r in range(rows):
        lines.mean[r] = <T>means[r]
    for r in range(rows):
        rests[r] = (means[r] - lines.mean[r]) * rstds[r]
    for r in range(rows):
        lines.shift[r] = <T>-rests[r]
    for r in range(rows):
        lines.scale[r] = clamped(rstds[r])


# Lines: cells that lie one after the other, the first of them given; each: each is a row.

cdef leaf sum_weighted_lines(Samples *job, double *out, Cell cell, const Lines *lines,
                             Py_ssize_t count) noexcept nogil:
    """OUT out: the sums of dy*weight and dy*weight*xhat of lines."""
    cdef const S *dy = job.dy + cell.at
    cdef const S *x = job.x + cell.at
    cdef const T *weights = job.weights
    cdef Py_ssize_t i, n = cell.n, width = job.groups * job.n, at = cell.place
    cdef Halves halves
    for i in range(count):
        products_halved(&halves, i, dy, x, weights + at, n, lines.mean[i], lines.scale[i],
                        lines.shift[i], True, 0)
        dy, x = dy + n, x + n
        at = place_after(at, n, width)
    fold_halves(out, &halves, count)


cdef leaf sum_lines(Samples *job, double *out, Cell cell, const Lines *lines, Py_ssize_t count,
                    bint each) noexcept nogil:
    """OUT out: the sums of dy and dy*(x - mean)*scale of lines."""
    cdef const S *dy = job.dy + cell.at
    cdef const S *x = job.x + cell.at
    cdef Py_ssize_t i, r = 0, n = cell.n
    cdef Halves halves
    for i in range(count):
        products_halved(&halves, i, dy, x, lines.mean, n, lines.mean[r], lines.scale[r], <T>0,
                        False, job.sum_ahead)
        dy, x = dy + n, x + n
        r += each
    fold_halves(out, &halves, count)


cdef leaf sum_short_lines(Samples *job, double *out, Cell cell, const Lines *lines,
                          Py_ssize_t count, bint each) noexcept nogil:
    """As sum_lines, of short ones."""
    cdef const S *dy = job.dy + cell.at
    cdef const S *x = job.x + cell.at
    cdef Py_ssize_t i, r = 0, n = cell.n
    cdef Halves halves
    for i in range(count):
        products_in_eight(halves.sums[2 * i], halves.sums[2 * i + 1], dy, x, n, lines.mean[r],
                          lines.scale[r])
        dy, x = dy + n, x + n
        r += each
    fold_halves(out, &halves, count)


cdef inline always products_halved(Halves *to, Py_ssize_t i, const S *dy, const S *x,
                                   const T *weight, Py_ssize_t n, T mean, T rstd, T shift,
                                   bint weighted, Py_ssize_t ahead) noexcept nogil:
    cdef T s[LANES]
    cdef T q[LANES]
    products_run(s, q, dy, x, dy, weight, n, mean, rstd, shift, <T>1, <T>1, False, weighted, True,
                 ahead, ahead)
    halve_lanes(to.sums[2 * i], s)
    halve_lanes(to.sums[2 * i + 1], q)


cdef leaf settle_back(Samples *job, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    """g_mean and g_xhat of rows, from the sums of their cells."""
    cdef Py_ssize_t b
    for b in range(ceil_div(stop - start, TILE_ROWS)):
        settle_tile(job, start + b * TILE_ROWS,
                    min(<Py_ssize_t>TILE_ROWS, stop - start - b * TILE_ROWS))


cdef inline always settle_tile(Samples *job, Py_ssize_t start, Py_ssize_t count) noexcept nogil:
    cdef double *g_mean = job.g_mean + start
    cdef double *g_xhat = job.g_xhat + start
    cdef double *unit = job.unit + start
    cdef double g[TILE_ROWS]
    cdef double products[TILE_ROWS]
    cdef int fine[TILE_ROWS]
    cdef double n = <double>job.n, counted = <double>job.counted
    cdef bint centred = job.centred
    cdef int all_fine = True
    cdef Py_ssize_t r
    if job.summed:
        for r in range(count):
            g[r] = g_mean[r]
        for r in range(count):
            products[r] = g_xhat[r]
    else:
        add_cells(job, g, products, start, count)
    for r in range(count):
        g_mean[r] = g[r] / n if centred else 0
    for r in range(count):
        g_xhat[r] = products[r] / counted
    for r in range(count):
        unit[r] = 0
    for r in range(count):
        fine[r] = (not doubtful_row(job, start + r)) & sums_clear(job, start + r, g[r], products[r])
    for r in range(count):
        all_fine &= fine[r]
    if not all_fine:
        for r in range(count):
            if not fine[r]:
                doubt_back(job, start + r, g[r], products[r])


cdef inline always add_cells(Samples *job, double *g, double *products, Py_ssize_t start,
                             Py_ssize_t count) noexcept nogil:
    """OUT g, products: the sums of rows, from those of their cells, weighted where they are not."""
    cdef const double *cell = job.sums + (start - job.row) * job.row_sums
    cdef const double *weights
    cdef bint weighted = job.affine and not job.items
    cdef Py_ssize_t cells = job.cells, parts = job.parts, r, i, _p
    cdef double s1, s2, weight = 1
    if cells == 1 and not weighted:
        for r in range(count):
            g[r] = cell[2 * r]
        for r in range(count):
            products[r] = cell[2 * r + 1]
        return
    for r in range(count):
        s1 = s2 = 0
        weights = job.weight + (group_of(job, start + r) * job.owners if weighted else 0)
        for i in range(cells // parts):
            if weighted:
                weight = weights[i]
            for _p in range(parts):
                s1 += weight * cell[0]
                s2 += weight * cell[1]
                cell += 2
        g[r], products[r] = s1, s2


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
    cdef Py_ssize_t count
    if (job.whole or job.several) and start % job.cells == 0 and stop % job.cells == 0:
        write_whole_rows(job, start // job.cells, stop // job.cells)
        return
    while start < stop:
        count = together(job, start, stop)
        write_back_cells(job, item_sums, shared, start, count)
        start += count


cdef inline always lay_out_back(Samples *job, Lines *lines, const double *means,
                                const double *rstds, const double *g_means, const double *g_xhats,
                                Py_ssize_t count) noexcept nogil:
    """OUT lines: all but the weight, by runs."""
    cdef double rests[MOST_CELLS]
    cdef Py_ssize_t c
    for c in range(count):
        lines.mean[c] = <T>means[c]
    for c in range(count):
        rests[c] = (means[c] - lines.mean[c]) * rstds[c]
    # xhat is without its shift: the mean of dy makes up for it
    for c in range(count):
        lines.dy_mean[c] = <T>(g_means[c] - rests[c] * g_xhats[c])
    for c in range(count):
        lines.along[c] = clamped(g_xhats[c] * rstds[c])
    for c in range(count):
        lines.scale[c] = <T>rstds[c]


cdef void write_whole_rows(Samples *job, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """As write_back_cells: the same numbers."""
    cdef Py_ssize_t count, r
    cdef bint wide
    cdef Lines lines
    while first < last:
        count = min(<Py_ssize_t>MOST_CELLS, last - first)
        wide = False
        for r in range(first, first + count):
            wide |= job.unit[r] != 0
        if unlikely(wide):
            for r in range(first * job.cells, (first + count) * job.cells):
                write_back_cells(job, NULL, NULL, r, 1)
        else:
            lay_out_back(job, &lines, job.mean + first, job.rstd + first, job.g_mean + first,
                         job.g_xhat + first, count)
            if job.whole:       # without an end to each run
                write_spread_lines(job, first, &lines, count)
            else:
                write_runs_back(job, first, &lines, count)
        first += count


cdef inline always write_back_cells(Samples *job, T *item_sums, double *shared, Py_ssize_t start,
                                    Py_ssize_t count) noexcept nogil:
    cdef double room[6][MOST_CELLS]
    cdef const double *means = of_rows(job, room[0], job.mean, start)
    cdef const double *rstds = of_rows(job, room[1], job.rstd, start)
    cdef const double *units = of_rows(job, room[2], job.unit, start)
    cdef const double *g_means = of_rows(job, room[3], job.g_mean, start)
    cdef const double *g_xhats = of_rows(job, room[4], job.g_xhat, start)
    cdef const double *weights
    cdef Py_ssize_t c, step, n
    cdef bint wide = False, items = job.items
    cdef Lines lines
    cdef Cell cell
    for c in range(count):
        wide |= units[c] != 0
    lay_out_back(job, &lines, means, rstds, g_means, g_xhats, count)
    if items:
        for c in range(count):
            lines.shift[c] = <T>-((means[c] - lines.mean[c]) * rstds[c])
        for c in range(count):
            lines.dy_mean[c] = <T>g_means[c]
        for c in range(count):
            lines.along[c] = <T>g_xhats[c]
    elif job.affine:
        weights = of_runs(job, room[5], job.weight, start, count)
        for c in range(count):
            lines.weight[c] = <T>weights[c]
    else:
        for c in range(count):
            lines.weight[c] = 1
    step = count if job.parts == 1 and not wide and job.counted == job.n else 1
    for c in range(count // step):
        cell = cell_of(job, start + c * step)
        if unlikely(wide) and units[c] != 0:
            write_wide_cell(job, shared, cell, True)
            continue
        n = counted_in(job, cell)
        if items:
            write_weighted_lines(job, item_sums, cell, n, &lines, c, c + step)
        else:
            write_lines(job, cell, n, &lines, c, c + step)
        if n < cell.n:          # what has no part in the moments
            lines.along[c] = 0
            cell.at, cell.place, cell.n = cell.at + n, cell.place + n, cell.n - n
            if items:
                write_weighted_lines(job, item_sums, cell, cell.n, &lines, c, c + 1)
            else:
                write_lines(job, cell, cell.n, &lines, c, c + 1)


cdef leaf write_weighted_lines(Samples *job, T *item_sums, Cell cell, Py_ssize_t n,
                               const Lines *lines, Py_ssize_t first,
                               Py_ssize_t last) noexcept nogil:
    """dx of lines of n items, and what they add to dbias and dweight."""
    cdef S *dx = job.out + cell.at
    cdef const S *dy = job.dy + cell.at
    cdef const S *x = job.x + cell.at
    cdef const T *weights = job.weights
    cdef Py_ssize_t i, ahead = job.ahead, width = job.groups * job.n, at = cell.place
    cdef bint stream = job.stream
    for i in range(first, last):
        weighted_run(dx, item_sums + at, item_sums + width + at, dy, x, weights + at, n,
                     lines.mean[i], lines.scale[i], lines.shift[i], lines.dy_mean[i],
                     lines.along[i], True, stream, ahead)
        dx, dy, x = dx + n, dy + n, x + n
        at = place_after(at, n, width)


cdef leaf write_spread_lines(Samples *job, Py_ssize_t first, const Lines *lines,
                             Py_ssize_t count) noexcept nogil:
    """dx of rows."""
    cdef Py_ssize_t i, n = job.n, ahead = job.ahead, width = job.groups * n
    cdef Py_ssize_t at = group_of(job, first) * n
    cdef S *dx = job.out + first * n
    cdef const S *dy = job.dy + first * n
    cdef const S *x = job.x + first * n
    cdef const T *weights = job.weights
    cdef bint stream = job.stream
    for i in range(count):
        weighted_run(dx, <T *>NULL, <T *>NULL, dy, x, weights + at, n, lines.mean[i],
                     lines.scale[i], <T>0, lines.dy_mean[i], lines.along[i], False, stream, ahead)
        dx, dy, x = dx + n, dy + n, x + n
        at = place_after(at, n, width)


cdef leaf write_lines(Samples *job, Cell cell, Py_ssize_t n, const Lines *lines, Py_ssize_t first,
                      Py_ssize_t last) noexcept nogil:
    cdef S *dx = job.out + cell.at
    cdef const S *dy = job.dy + cell.at
    cdef const S *x = job.x + cell.at
    cdef Py_ssize_t i, ahead = job.ahead
    cdef bint stream = job.stream
    for i in range(first, last):
        gradient_run(dx, <S *>NULL, dy, x, dy, n, lines.weight[i], lines.mean + i, lines.along + i,
                     lines.dy_mean + i, lines.scale + i, False, <T>1, <T>1, False, stream, ahead)
        dx, dy, x = dx + n, dy + n, x + n
