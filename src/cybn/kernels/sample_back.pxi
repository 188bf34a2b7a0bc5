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
    cdef double room[2][MOST_CELLS]
    cdef double rests[MOST_CELLS]
    cdef bint each = job.cells == 1
    cdef Py_ssize_t c
    cdef const double *means = of_rows(job, room[0], job.mean, start, count)
    cdef const double *rstds = of_rows(job, room[1], job.rstd, start, count)
    cdef Cell cell = cell_of(job, start)
    cdef Lines lines
    lay_out_sums(&lines, rests, means, rstds)
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
                                const double *rstds) noexcept nogil:
    """OUT lines, rests: what sums need of rows."""
    cdef Py_ssize_t c
    lay_out_rests(lines, rests, means, rstds)
    for c in range(MOST_CELLS):
        lines.scale[c] = clamped(rstds[c])


# Lines: cells that lie one after the other, the first of them given; each: each is a row.

cdef leaf sum_weighted_lines(Samples *job, double *out, Cell cell, const Lines *lines,
                             Py_ssize_t count) noexcept nogil:
    """OUT out: the sums of dy*weight and dy*weight*xhat of lines."""
    cdef Halves halves
    if cell.n >= LANES and cell.n % LANES == 0:     # known to have no end: summed in registers
        halve_weighted(job, &halves, cell, lines, cell.n // LANES * LANES, count)
    else:
        halve_weighted(job, &halves, cell, lines, cell.n, count)
    fold_halves(out, &halves, count)


cdef inline always halve_weighted(Samples *job, Halves *halves, Cell cell, const Lines *lines,
                                  Py_ssize_t n, Py_ssize_t count) noexcept nogil:
    cdef const S *dy = job.dy + cell.at
    cdef const S *x = job.x + cell.at
    cdef const T *weights = job.weights
    cdef Py_ssize_t i, width = job.groups * job.n, at = cell.place
    for i in range(count):
        products_halved(halves, i, dy, x, weights + at, n, lines.mean[i], lines.scale[i],
                        lines.shift[i], True, 0)
        dy, x = dy + n, x + n
        at = place_after(at, n, width)


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
        products_in_eight(halves.sums[2 * i], halves.sums[2 * i + 1], dy, x, dy, n, lines.mean[r],
                          lines.scale[r], <T>1, <T>1, False)
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
    cdef double room[2][MOST_CELLS]
    cdef double g[MOST_CELLS]
    cdef double products[MOST_CELLS]
    cdef Py_ssize_t fine[MOST_CELLS]    # as wide as what tells
    cdef const double *means = filled_up(room[0], job.mean + start, count)
    cdef const double *rstds = filled_up(room[1], job.rstd + start, count)
    cdef double n = <double>job.n, counted = <double>job.counted
    cdef double least = least_products(n, 1), most_mean = MOST_MEAN if job.centred else INFINITY
    cdef bint centred = job.centred
    cdef Py_ssize_t r, all_fine = not job.odd
    if job.summed:
        for r in range(count):
            g[r] = g_mean[r]
        for r in range(count):
            products[r] = g_xhat[r]
    else:
        add_cells(job, g, products, start, count)
    for r in range(count, MOST_CELLS):
        g[r], products[r] = g[count - 1], products[count - 1]
    for r in range(count):
        g_mean[r] = g[r] / n if centred else 0
    for r in range(count):
        g_xhat[r] = products[r] / counted
    for r in range(count):
        unit[r] = 0
    for r in range(MOST_CELLS):
        fine[r] = (holds_moments(means[r], rstds[r])
                   & clear_sums(fabs(g[r]), fabs(products[r]), rstds[r], most_mean, least))
    for r in range(MOST_CELLS):
        all_fine &= fine[r]
    if not all_fine:
        for r in range(count):
            if job.odd or not fine[r]:
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
            g[r], products[r] = cell[2 * r], cell[2 * r + 1]
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
                                bint items) noexcept nogil:
    """OUT lines: all but the weight."""
    cdef double rests[MOST_CELLS]
    cdef Py_ssize_t c
    lay_out_rests(lines, rests, means, rstds)
    for c in range(MOST_CELLS):
        lines.scale[c] = <T>rstds[c]
    if items:
        for c in range(MOST_CELLS):
            lines.dy_mean[c] = <T>g_means[c]
        for c in range(MOST_CELLS):
            lines.along[c] = <T>g_xhats[c]
        return
    # xhat is without its shift: the mean of dy makes up for it
    for c in range(MOST_CELLS):
        lines.dy_mean[c] = <T>(g_means[c] - rests[c] * g_xhats[c])
    for c in range(MOST_CELLS):
        lines.along[c] = clamped(g_xhats[c] * rstds[c])


cdef inline always write_back_cells(Samples *job, T *item_sums, double *shared, Py_ssize_t start,
                                    Py_ssize_t count) noexcept nogil:
    cdef double room[6][MOST_CELLS]
    cdef const double *means = of_rows(job, room[0], job.mean, start, count)
    cdef const double *rstds = of_rows(job, room[1], job.rstd, start, count)
    cdef const double *units = of_rows(job, room[2], job.unit, start, count)
    cdef const double *g_means = of_rows(job, room[3], job.g_mean, start, count)
    cdef const double *g_xhats = of_rows(job, room[4], job.g_xhat, start, count)
    cdef const double *weights
    cdef Py_ssize_t c, step, n
    cdef bint wide = False, items = job.items
    cdef Lines lines
    cdef Cell cell
    for c in range(MOST_CELLS):
        wide |= units[c] != 0
    lay_out_back(job, &lines, means, rstds, g_means, g_xhats, items)
    if job.affine and not items:
        weights = of_runs(job, room[5], job.weight, start, count)
        for c in range(MOST_CELLS):
            lines.weight[c] = <T>weights[c]
    elif not items:
        for c in range(MOST_CELLS):
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
    cdef Py_ssize_t i = first, ahead = job.ahead, width = job.groups * job.n, at = cell.place
    cdef bint stream = job.stream
    cdef T coefs[10]
    if sizeof(S) == sizeof(T) and n == width and (not stream or n * sizeof(S) % LINE == 0):
        while i + 1 < last:
            coefs_of(coefs, lines, i)
            coefs_of(coefs + 5, lines, i + 1)
            weighted_run(dx, item_sums, item_sums + job.stride, dy, x, weights, n, coefs, True,
                         True, stream, ahead)
            dx, dy, x = dx + 2 * n, dy + 2 * n, x + 2 * n
            i += 2
    while i < last:
        coefs_of(coefs, lines, i)
        weighted_run(dx, item_sums + at, item_sums + job.stride + at, dy, x, weights + at, n, coefs,
                     False, True, stream, ahead)
        dx, dy, x = dx + n, dy + n, x + n
        at = place_after(at, n, width)
        i += 1


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
