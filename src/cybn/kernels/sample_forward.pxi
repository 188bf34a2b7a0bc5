# The steps of samples.pxi for a forward, in their order there.

cdef leaf reduce_moments(Samples *job, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    """The sums of pieces; weights have no part in them, so nor have cells."""
    cdef Py_ssize_t c, b, i, pieces = job.pieces
    cdef Py_ssize_t step = MOST_CELLS if pieces == 1 else 1
    for b in range(ceil_div(stop - start, step)):
        c = start + b * step
        i = c % pieces
        sum_pieces(job, job.sums + 3 * (c - job.row * pieces),
                   job.x + c // pieces * job.n + i * ROW_BLOCK, piece_length(job, i),
                   min(step, stop - c))


cdef leaf sum_pieces(Samples *job, double *out, const S *x, Py_ssize_t n,
                     Py_ssize_t count) noexcept nogil:
    """OUT out: k, sum(x - k), sum((x - k)^2) of a piece, or of the same piece of `count` rows.

    k is 0 where nothing is centred.
    """
    cdef T k[MOST_CELLS]
    cdef double sums[2 * MOST_CELLS]
    cdef int fine[MOST_CELLS]
    cdef int all_fine = True
    cdef bint centred = job.centred, zeros = centred and hides_squares(job.eps)
    cdef Py_ssize_t i, stride = job.n
    for i in range(count):
        k[i] = shift_of(x + i * stride, n) if centred else 0
    if sizeof(T) < sizeof(double) and n <= FEW_ITEMS:
        sum_wide_lines(sums, x, stride, n, k, count, centred)
    else:
        sum_shifted_lines(sums, x, stride, n, k, count, job.sum_ahead)
    for i in range(count):
        out[3 * i], out[3 * i + 1], out[3 * i + 2] = k[i], sums[2 * i], sums[2 * i + 1]
    if sizeof(T) < sizeof(double) and n <= FEW_ITEMS:
        return
    for i in range(count):      # without a shift nothing is subtracted: only squares are needed
        fine[i] = good_sums(sums[2 * i] if centred else 0, sums[2 * i + 1], n, far_in_block(n),
                            zeros)
        all_fine &= fine[i]
    if unlikely(not all_fine):
        for i in range(count):
            if not fine[i]:
                sum_again(out + 3 * i, x + i * stride, 1, 0, n, k[i])
                if centred:
                    sum_again(out + 3 * i, x + i * stride, 1, 0, n,
                              out[3 * i] + out[3 * i + 1] / n)


cdef leaf sum_shifted_lines(double *out, const S *x, Py_ssize_t stride, Py_ssize_t n, const T *k,
                            Py_ssize_t count, Py_ssize_t ahead) noexcept nogil:
    cdef T s[LANES]
    cdef T q[LANES]
    cdef Halves halves
    cdef Py_ssize_t i
    for i in range(count):
        sum_shifted(s, q, x, n, k[i], ahead)
        halve_lanes(halves.sums[2 * i], s)
        halve_lanes(halves.sums[2 * i + 1], q)
        x += stride
    fold_halves(out, &halves, count)


cdef leaf sum_wide_lines(double *out, const S *x, Py_ssize_t stride, Py_ssize_t n, const T *k,
                         Py_ssize_t count, bint centred) noexcept nogil:
    """As sum_shifted_lines, in double, of n <= FEW_ITEMS: two items to a lane at the most.

    Of the same lanes, eight at a time: those of double are more than there are registers. Where
    nothing is centred, the sums of x are not needed.
    """
    cdef T room[FEW_ITEMS + FEW]
    cdef const T *row = room
    cdef double s[8]
    cdef double q[8]
    cdef Py_ssize_t i
    for i in range(count):
        if sizeof(S) == sizeof(T) and n == FEW_ITEMS:
            row = <const T *>x
        else:
            load_row_of(room, x, n, k[i])
        if centred:
            sum_few(s, q, row, <double>k[i])
            fold_eight(out + 2 * i, s)
        else:
            sum_few(s, q, row, 0.0)
            out[2 * i] = 0
        fold_eight(out + 2 * i + 1, q)
        x += stride


cdef inline always load_row_of(T *row, const S *x, Py_ssize_t n, T pad) noexcept nogil:
    """OUT row: n items, and `pad` until there are FEW_ITEMS; there is room for FEW more."""
    cdef Py_ssize_t i, j, at, whole = n // FEW
    for i in range(whole):
        at = i * FEW
        load(row + at, x + at, FEW)
        for j in range(FEW):
            row[at + j] = loaded(row + at, x + at, j)
    load_few(row + whole * FEW, x + whole * FEW, n - whole * FEW, pad)
    for i in range(whole + 1, FEW_ITEMS // FEW):
        for j in range(FEW):
            row[i * FEW + j] = pad


cdef inline always sum_few(double *s, double *q, const T *row, double k) noexcept nogil:
    """OUT s, q: lanes of FEW_ITEMS items about k, halved to eight."""
    cdef double d[8]
    cdef Py_ssize_t j
    for j in range(8):
        d[0], d[4] = row[j] - k, row[j + 32] - k
        d[1], d[5] = row[j + 8] - k, row[j + 40] - k
        d[2], d[6] = row[j + 16] - k, row[j + 48] - k
        d[3], d[7] = row[j + 24] - k, row[j + 56] - k
        s[j] = ((d[0] + d[4]) + (d[2] + d[6])) + ((d[1] + d[5]) + (d[3] + d[7]))
        q[j] = (((d[0] * d[0] + d[4] * d[4]) + (d[2] * d[2] + d[6] * d[6]))
                + ((d[1] * d[1] + d[5] * d[5]) + (d[3] * d[3] + d[7] * d[7])))


cdef leaf settle_samples(Samples *job, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    """mean, var, rstd, rest and unit of rows, from the sums of their pieces."""
    cdef Py_ssize_t b
    for b in range(ceil_div(stop - start, TILE_ROWS)):
        settle_moments_of(job, start + b * TILE_ROWS,
                          min(<Py_ssize_t>TILE_ROWS, stop - start - b * TILE_ROWS))


cdef inline always settle_moments_of(Samples *job, Py_ssize_t start,
                                     Py_ssize_t count) noexcept nogil:
    cdef double *mean = job.mean + start
    cdef double *var = job.var + start
    cdef double *rstd = job.rstd + start
    cdef double *rest = job.rest + start
    cdef double *unit = job.unit + start
    cdef double k[MOST_CELLS]
    cdef double s1[MOST_CELLS]
    cdef double s2[MOST_CELLS]
    cdef double means[MOST_CELLS]
    cdef double rstds[MOST_CELLS]
    cdef double m = <double>job.counted, eps = job.eps
    cdef Py_ssize_t r, fine = not job.odd
    merge_pieces(job, k, s1, s2, start, count)
    for r in range(count, MOST_CELLS):
        k[r], s1[r], s2[r] = k[count - 1], s1[count - 1], s2[count - 1]
    for r in range(MOST_CELLS):
        s2[r] = (s2[r] - s1[r] * s1[r] / m) / m
    for r in range(MOST_CELLS):
        s2[r] = 0 if s2[r] < 0 else s2[r]
    for r in range(MOST_CELLS):
        rstds[r] = 1 / sqrt(s2[r] + eps)
    for r in range(MOST_CELLS):
        s1[r] = s1[r] / m
    for r in range(MOST_CELLS):
        means[r] = k[r] + s1[r]
    for r in range(MOST_CELLS):
        s1[r] = (k[r] - <T>means[r]) + s1[r]
    for r in range(MOST_CELLS):
        fine &= holds_moments(means[r], rstds[r])
    for r in range(count):
        mean[r] = means[r]
    for r in range(count):
        var[r] = s2[r]
    for r in range(count):
        rstd[r] = rstds[r]
    for r in range(count):
        rest[r] = s1[r]
    for r in range(count):
        unit[r] = 0
    if unlikely(not fine):
        for r in range(start, start + count):
            settle_doubtful(job, r)


cdef inline always merge_pieces(Samples *job, double *k, double *s1, double *s2, Py_ssize_t start,
                                Py_ssize_t count) noexcept nogil:
    """OUT k, s1, s2: the sums of rows; s1 is 0 where nothing is centred."""
    cdef const double *piece = job.sums + (start - job.row) * job.row_sums
    cdef Py_ssize_t r, i
    if job.pieces == 1:
        for r in range(count):
            k[r], s1[r], s2[r] = piece[3 * r], piece[3 * r + 1], piece[3 * r + 2]
    for r in range(count if job.pieces > 1 else 0):
        k[r], s1[r], s2[r] = piece[0], piece[1], piece[2]
        piece += 3
        for i in range(1, job.pieces):
            merge_block(&s1[r], &s2[r], k[r], piece, <double>piece_length(job, i))
            piece += 3
    if not job.centred:
        for r in range(count):
            s1[r] = 0


cdef void settle_doubtful(Samples *job, Py_ssize_t r) noexcept nogil:
    if sizeof(T) == sizeof(double) and not isfinite(job.var[r]):
        moments_beyond(&job.mean[r], &job.var[r], &job.rstd[r], job.x + r * job.n, 1, 0,
                       job.counted, job.eps, job.centred)
        job.rest[r] = 0
    if doubtful_row(job, r):
        job.unit[r] = unit_for(job.mean[r], job.rstd[r])


cdef leaf write_normal(Samples *job, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    cdef Py_ssize_t count
    while start < stop:
        count = together(job, start, stop)
        write_cells(job, start, count)
        start += count


cdef void write_given(Samples *job, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """g = given*f'(z) of rows, z being what went into f, as a forward would have written it."""
    cdef Samples before = job[0]
    cdef Py_ssize_t r
    before.out, before.stream = job.g, False
    for r in range(first, last):
        before.rest[r] = before.mean[r] - <T>before.mean[r]
        before.unit[r] = unit_for(job.mean[r], job.rstd[r]) if doubtful_row(job, r) else 0
    write_normal(&before, first * job.cells, last * job.cells)


cdef void bend_lines(Samples *job, Cell cell, const Lines *lines, Py_ssize_t first,
                     Py_ssize_t last) noexcept nogil:
    """Cells with what follows; by items with their weights."""
    cdef Py_ssize_t i, at = cell.at, place = cell.place
    for i in range(first, last):
        bent_run(job.out + at, job.x + at, from_at(job.residual, at), from_at(job.given, at),
                 cell.n, lines.mean + i, lines.scale + i, lines.shift + i,
                 job.weights + place if job.items else NULL, job.biases + place, False, job.slope,
                 job.most, job.bend, job.stream, job.ahead)
        at += cell.n
        if job.items:
            place = place_after(place, cell.n, job.groups * job.n)


cdef inline always write_cells(Samples *job, Py_ssize_t start, Py_ssize_t count) noexcept nogil:
    cdef double room[6][MOST_CELLS]
    cdef double units[MOST_CELLS]
    cdef double scales[MOST_CELLS]
    cdef double biases[MOST_CELLS]
    cdef bint wide = False, items = job.items
    cdef Py_ssize_t c, step
    cdef Lines lines
    cdef Cell cell
    cdef const double *means = of_rows(job, room[0], job.mean, start, count)
    cdef const double *rests = of_rows(job, room[1], job.rest, start, count)
    cdef const double *given = of_rows(job, room[2], job.unit, start, count)
    cdef const double *rstds = of_rows(job, room[3], job.rstd, start, count)
    cdef const double *weights
    if job.affine and not items:
        weights = of_runs(job, room[4], job.weight, start, count)
        for c in range(MOST_CELLS):
            scales[c] = rstds[c] * weights[c]
        weights = of_runs(job, room[5], job.bias, start, count)
        for c in range(MOST_CELLS):
            biases[c] = weights[c] - rests[c] * scales[c]
    else:
        for c in range(MOST_CELLS):
            scales[c] = rstds[c]
        for c in range(MOST_CELLS):
            biases[c] = 0 - rests[c] * scales[c]
    for c in range(MOST_CELLS):
        # a scale so small that T loses bits of it
        units[c] = 1 if (fabs(scales[c]) * most_of() < 1) & (scales[c] != 0) else given[c]
    for c in range(MOST_CELLS):
        wide |= units[c] != 0
    for c in range(MOST_CELLS):
        lines.mean[c] = <T>means[c]
    for c in range(MOST_CELLS):
        lines.scale[c] = <T>scales[c]
    for c in range(MOST_CELLS):
        lines.shift[c] = <T>biases[c]
    step = count if job.parts == 1 and not wide else 1
    for c in range(count // step):
        cell = cell_of(job, start + c * step)
        if unlikely(wide) and units[c] != 0:
            write_wide_cell(job, NULL, cell, False)
        elif job.bend != NULL:
            bend_lines(job, cell, &lines, c, c + step)
        elif items:
            normalize_weighted_lines(job, cell, &lines, c, c + step)
        else:
            normalize_lines(job, cell, &lines, c, c + step)


cdef leaf normalize_lines(Samples *job, Cell cell, const Lines *lines, Py_ssize_t first,
                          Py_ssize_t last) noexcept nogil:
    cdef S *y = job.out + cell.at
    cdef const S *x = job.x + cell.at
    cdef Py_ssize_t i, ahead = job.ahead
    cdef bint stream = job.stream
    for i in range(first, last):
        normalize_run(y, x, x, cell.n, lines.mean + i, lines.scale + i, lines.shift + i, lines.mean,
                      lines.mean, False, False, <T>1, <T>1, False, False, stream, ahead)
        y, x = y + cell.n, x + cell.n


cdef leaf normalize_weighted_lines(Samples *job, Cell cell, const Lines *lines, Py_ssize_t first,
                                   Py_ssize_t last) noexcept nogil:
    cdef S *y = job.out + cell.at
    cdef const S *x = job.x + cell.at
    cdef Py_ssize_t i, ahead = job.ahead, n = cell.n, width = job.groups * job.n, at = cell.place
    cdef const T *weights = job.weights
    cdef const T *biases = job.biases
    cdef bint stream = job.stream
    for i in range(first, last):
        normalize_run(y, x, x, n, lines.mean + i, lines.scale + i, lines.shift + i, weights + at,
                      biases + at, False, True, <T>1, <T>1, False, False, stream, ahead)
        y, x = y + n, x + n
        at = place_after(at, n, width)
