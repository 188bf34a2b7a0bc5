# The loops that write a gradient beside weights by items; see normalize.pxi.

cdef inline void gradient_weighted(S *dx, T *dbias, T *dweight, const S *dy, const S *x,
                                   const T *weight, Py_ssize_t n, T mean, T rstd, T shift,
                                   T g_mean, T g_xhat, bint stream,
                                   Py_ssize_t ahead) noexcept nogil:
    """dx = (dy*weight - g_mean - xhat*g_xhat)*rstd, dbias += dy, dweight += dy*xhat over [0:n].

    OUT dx: n; may be dy or x; dbias, dweight: n, accumulated into. IN dy, x, weight: n.
    """
    cdef T coefs[5]
    coefs[0], coefs[1], coefs[2], coefs[3], coefs[4] = mean, rstd, shift, g_mean, g_xhat
    _weighted(dx, dbias, dweight, dy, x, weight, n, coefs, False, True, stream, ahead)


cdef inline _always _weighted(S *dx, T *dbias, T *dweight, const S *dy, const S *x,
                              const T *weight, Py_ssize_t n, const T *coefs, bint pair, bint sums,
                              bint stream, Py_ssize_t ahead) noexcept nogil:
    # coefs: the scalars above. pair: of two rows, one after the other, with ten of them; what both
    # are multiplied by or added to is loaded once. Without sums dx alone, as `gradient` has it:
    # shift is 0, g_xhat that of x - mean.
    # lapped: the last vector overlaps the one before, instead of a loop over what is left; it is
    # made first, since dx may be an input.
    cdef Py_ssize_t head = before_line(dx, n, sizeof(S)) if stream else 0
    cdef Py_ssize_t strip = strip_of(sizeof(S)), at = head + (n - head) // strip * strip
    cdef Py_ssize_t left = (n - at) % FEW, end = n
    cdef bint lapped = S is T and not stream and n >= FEW and left > 0
    cdef S last[2 * FEW]
    if lapped:
        end = n - left
        _weighted_some(last, last + FEW, dbias, dweight, dy, x, weight, n - FEW, FEW, n, coefs,
                       pair, sums, True, False, <int>(FEW - left), True)
    if head:
        _weighted_end(dx, dbias, dweight, dy, x, weight, 0, head, n, coefs, pair, sums)
    if S is not T:
        _weighted_strips(dx, dbias, dweight, dy, x, weight, head, at, n, coefs, pair, sums, stream,
                         ahead)
    elif stream:
        _weighted_strips(dx, dbias, dweight, dy, x, weight, head, at, n, coefs, pair, sums, True,
                         ahead)
    else:
        _weighted_strips(dx, dbias, dweight, dy, x, weight, head, at, n, coefs, pair, sums, False,
                         ahead)
    if at < end:
        _weighted_end(dx, dbias, dweight, dy, x, weight, at, end - at, n, coefs, pair, sums)
    if lapped:
        _store_last(dx + n - FEW, last)
        if pair:
            _store_last(dx + 2 * n - FEW, last + FEW)


cdef inline _always _weighted_strips(S *dx, T *dbias, T *dweight, const S *dy, const S *x,
                                     const T *weight, Py_ssize_t at, Py_ssize_t end,
                                     Py_ssize_t row, const T *coefs, bint pair, bint sums,
                                     bint stream, Py_ssize_t ahead) noexcept nogil:
    # Of floats, registers hold half a strip with its sums, and of two rows a quarter: less than the
    # line that is streamed at once.
    cdef Py_ssize_t _s, strip = STRIP if pair else strip_of(sizeof(S))
    cdef Py_ssize_t some = STRIP if S is T and sums else strip
    if pair and not stream:
        some = FEW
    if S is T and not sums and ahead == 0:      # two loops, as in _normalize_strips
        for _s in range((end - at) // strip):
            _weighted_some(dx + at, dx + row + at, dbias, dweight, dy, x, weight, at, strip, row,
                           coefs, pair, sums, True, stream, 0, False)
            at += strip
        return
    for _s in range((end - at) // strip):
        _fetch(dy + at, strip, ahead)
        _fetch(x + at, strip, ahead)
        if pair:
            _fetch(dy + row + at, strip, ahead)
            _fetch(x + row + at, strip, ahead)
        _weighted_some(dx + at, dx + row + at, dbias, dweight, dy, x, weight, at, some, row, coefs,
                       pair, sums, True, stream, 0, False)
        if some < strip:
            at += some
            _weighted_some(dx + at, dx + row + at, dbias, dweight, dy, x, weight, at, some, row,
                           coefs, pair, sums, True, stream, 0, False)
            at -= some
        at += strip


cdef inline _always _weighted_end(S *dx, T *dbias, T *dweight, const S *dy, const S *x,
                                  const T *weight, Py_ssize_t at, Py_ssize_t n, Py_ssize_t row,
                                  const T *coefs, bint pair, bint sums) noexcept nogil:
    # As _normalize_end.
    if S is T:
        if strip_of(sizeof(S)) > 16 and n & 16:
            _weighted_some(dx + at, dx + row + at, dbias, dweight, dy, x, weight, at, 16, row,
                           coefs, pair, sums, True, False, 0, False)
            at += 16
        if n & 8:
            _weighted_some(dx + at, dx + row + at, dbias, dweight, dy, x, weight, at, 8, row,
                           coefs, pair, sums, True, False, 0, False)
            at += 8
        if n & 4:
            _weighted_some(dx + at, dx + row + at, dbias, dweight, dy, x, weight, at, 4, row,
                           coefs, pair, sums, True, False, 0, False)
            at += 4
        n = n & 3
    _weighted_some(dx + at, dx + row + at, dbias, dweight, dy, x, weight, at, n, row, coefs, pair,
                   sums, False, False, 0, False)


cdef inline _always _weighted_some(S *dx, S *next_dx, T *dbias, T *dweight, const S *dy, const S *x,
                                   const T *weight, Py_ssize_t at, Py_ssize_t n, Py_ssize_t row,
                                   const T *coefs, bint pair, bint sums, bint strip, bint stream,
                                   int since, bint lapped) noexcept nogil:
    # to dx, and of the second row to next_dx, n items from `at` on, a strip or less; strip: n is a
    # literal. lapped: those before `since` are summed elsewhere. In local copies, so that no store
    # can alias a load.
    cdef Py_ssize_t j
    cdef T w[MOST_STRIP]
    cdef T db[MOST_STRIP]
    cdef T dw[MOST_STRIP]
    for j in range(n):
        w[j] = weight[at + j]
    if sums:
        for j in range(n):
            db[j] = dbias[at + j]
        for j in range(n):
            dw[j] = dweight[at + j]
    _weighted_row(dx, db, dw, dy + at, x + at, w, n, coefs, sums, strip, stream, since, lapped)
    if pair:
        _weighted_row(next_dx, db, dw, dy + row + at, x + row + at, w, n, coefs + 5, sums, strip,
                      stream, since, lapped)
    if sums:
        for j in range(n):
            dbias[at + j] = db[j]
        for j in range(n):
            dweight[at + j] = dw[j]


cdef inline _always _weighted_row(S *dx, T *dbias, T *dweight, const S *dy, const S *x,
                                  const T *weight, Py_ssize_t n, const T *coefs, bint sums,
                                  bint strip, bint stream, int since, bint lapped) noexcept nogil:
    cdef Py_ssize_t j
    cdef int i
    cdef T mean = coefs[0], rstd = coefs[1], shift = coefs[2]
    cdef T g_mean = coefs[3], g_xhat = coefs[4]
    cdef T d[MOST_STRIP]
    cdef T hats[MOST_STRIP]
    cdef T out[MOST_STRIP]
    load(d, dy, n)
    load(hats, x, n)
    for j in range(n):
        d[j] = loaded(d, dy, j)
    for j in range(n):
        hats[j] = loaded(hats, x, j)
    if sums:
        for j in range(n):
            hats[j] = xhat(hats[j], mean, rstd, shift)
    for j in range(n):
        out[j] = (((d[j] * weight[j] - g_mean) - hats[j] * g_xhat) * rstd if sums else
                  normal_back(d[j], hats[j], weight[j], mean, g_xhat, g_mean, rstd))
    if strip:
        _store_some(dx, out, n, True, stream)
    else:
        for j in range(n):
            put(dx, out, j, out[j])
        store(dx, out, n)
    if not sums:
        return
    for j in range(n):
        out[j] = d[j] * hats[j]
    if lapped:
        for i in range(<int>n):
            d[i] = d[i] if i >= since else 0
        for i in range(<int>n):
            out[i] = out[i] if i >= since else 0
    for j in range(n):
        dbias[j] += d[j]
    for j in range(n):
        dweight[j] += out[j]
