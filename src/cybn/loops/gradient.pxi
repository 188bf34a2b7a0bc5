# The loops that write a gradient; see normalize.pxi.

cdef inline T normal_back(T dy, T x, T weight, T mean, T along, T dy_mean, T scale) noexcept nogil:
    return ((dy * weight - dy_mean) - (x - mean) * along) * scale


cdef inline void gradient(S *dx, const S *dy, const S *x, Py_ssize_t n, T weight, T mean, T along,
                          T dy_mean, T scale, bint stream, Py_ssize_t ahead) noexcept nogil:
    """dx = (dy*weight - dy_mean - (x - mean)*along) * scale over [0:n].

    OUT dx: n; may be dy or x. IN dy, x: n. stream: as in normalize.
    """
    _gradient(dx, <S *>NULL, dy, x, dy, n, weight, &mean, &along, &dy_mean, &scale, False, <T>1,
              <T>1, False, stream, ahead)


cdef inline void gradient_gated(S *dx, S *dz, const S *dy, const S *x, const S *y, Py_ssize_t n,
                                T mean, T along, T dy_mean, T scale, T slope, T most,
                                bint stream, Py_ssize_t ahead) noexcept nogil:
    """gradient with weight 1 of g = gated(dy, y, slope, most); g also goes to dz unless NULL."""
    _gradient(dx, dz, dy, x, y, n, <T>1, &mean, &along, &dy_mean, &scale, False, slope, most, True,
              stream, ahead)


cdef inline _loop gradient_each(S *dx, const S *dy, const S *x, Py_ssize_t n, const T *mean,
                                const T *along, const T *dy_mean, const T *scale,
                                bint stream, Py_ssize_t ahead) noexcept nogil:
    """As gradient with weight 1, with four coefficients for every item."""
    _gradient(dx, <S *>NULL, dy, x, dy, n, <T>1, mean, along, dy_mean, scale, True, <T>1, <T>1,
              False, stream, ahead)


cdef inline _loop gradient_each_gated(S *dx, S *dz, const S *dy, const S *x, const S *y,
                                      Py_ssize_t n, const T *mean, const T *along, const T *dy_mean,
                                      const T *scale, T slope, T most, bint stream,
                                      Py_ssize_t ahead) noexcept nogil:
    """As gradient_gated, with four coefficients for every item."""
    _gradient(dx, dz, dy, x, y, n, <T>1, mean, along, dy_mean, scale, True, slope, most, True,
              stream, ahead)


cdef inline _always _gradient(S *dx, S *dz, const S *dy, const S *x, const S *y, Py_ssize_t n,
                              T weight, const T *mean, const T *along, const T *dy_mean,
                              const T *scale, bint each, T slope, T most, bint gating, bint stream,
                              Py_ssize_t ahead) noexcept nogil:
    cdef Py_ssize_t at, tail, head = 0, strip = strip_of(sizeof(S))
    cdef bint gates = gating and dz != NULL, lapped = False
    cdef T one[4]
    if not each:    # copies, which no store can have changed
        one[0], one[1], one[2], one[3] = mean[0], along[0], dy_mean[0], scale[0]
        mean, along, dy_mean, scale = &one[0], &one[1], &one[2], &one[3]
    cdef S first[MOST_STRIP]
    cdef S last[MOST_STRIP]
    cdef S z_first[MOST_STRIP]
    cdef S z_last[MOST_STRIP]
    if stream:
        head = before_line(dx, n, sizeof(S))
    tail = (n - head) % strip
    if S is T:
        if head:
            _gradient_end(dx, dz, dy, x, y, 0, head, weight, mean, along, dy_mean, scale, each,
                          slope, most, gating, gates)
        if not gating and not each and not stream and n >= FEW and tail % FEW:  # as in _normalize
            lapped = True
            _gradient_some(last, z_last, dy, x, y, n - FEW, FEW, weight, mean, along, dy_mean,
                           scale, each, slope, most, gating, gates, True, False)
    else:
        if n < strip:
            _gradient_end(dx, dz, dy, x, y, 0, n, weight, mean, along, dy_mean, scale, each, slope,
                          most, gating, gates)
            return
        if head:
            _gradient_some(first, z_first, dy, x, y, 0, strip, weight, mean, along, dy_mean, scale,
                           each, slope, most, gating, gates, True, False)
        if tail:
            _gradient_some(last, z_last, dy, x, y, n - strip, strip, weight, mean, along, dy_mean,
                           scale, each, slope, most, gating, gates, True, False)
    at = head + (n - head) // strip * strip
    if gating or each or S is not T or stream:
        _gradient_strips(dx, dz, dy, x, y, head, at, weight, mean, along, dy_mean, scale, each,
                         slope, most, gating, gates, stream, ahead)
    else:
        _gradient_strips(dx, dz, dy, x, y, head, at, weight, mean, along, dy_mean, scale, each,
                         slope, most, gating, gates, False, ahead)
    if tail:
        _fetch(dy + at, strip, ahead)
        _fetch(x + at, strip, ahead)
        if gating:
            _fetch(y + at, strip, ahead)
    if S is T:
        if lapped:
            _gradient_end(dx + at, dz + at, dy, x, y, at, tail & (STRIP + FEW), weight, mean, along,
                          dy_mean, scale, each, slope, most, gating, gates)
            _store_last(dx + n - FEW, last)
        elif tail:
            _gradient_end(dx + at, dz + at, dy, x, y, at, tail, weight, mean, along, dy_mean,
                          scale, each, slope, most, gating, gates)
    else:
        _store_ends(dx, first, last, n, head, tail, stream)
        if gates:
            _store_ends(dz, z_first, z_last, n, head, tail, stream)


cdef inline _always _gradient_strips(S *dx, S *dz, const S *dy, const S *x, const S *y,
                                     Py_ssize_t at, Py_ssize_t end, T weight, const T *mean,
                                     const T *along, const T *dy_mean, const T *scale, bint each,
                                     T slope, T most, bint gating, bint gates, bint stream,
                                     Py_ssize_t ahead) noexcept nogil:
    # Two loops, as in _normalize_strips.
    cdef Py_ssize_t _s, strip = strip_of(sizeof(S)), strips = (end - at) // strip
    if S is T and not gating and not each and ahead == 0:
        for _s in range(strips):
            _gradient_some(dx + at, dz + at, dy, x, y, at, strip, weight, mean, along, dy_mean,
                           scale, each, slope, most, gating, gates, True, stream)
            at += strip
        return
    for _s in range(strips):
        _fetch(dy + at, strip, ahead)
        _fetch(x + at, strip, ahead)
        if gating:
            _fetch(y + at, strip, ahead)
        _gradient_some(dx + at, dz + at, dy, x, y, at, strip, weight, mean, along, dy_mean, scale,
                       each, slope, most, gating, gates, True, stream)
        at += strip


cdef inline _always _gradient_end(S *dx, S *dz, const S *dy, const S *x, const S *y, Py_ssize_t at,
                                  Py_ssize_t n, T weight, const T *mean, const T *along,
                                  const T *dy_mean, const T *scale, bint each, T slope, T most,
                                  bint gating, bint gates) noexcept nogil:
    # As _normalize_end.
    cdef Py_ssize_t i = 0
    if S is T and not gating and not each:
        if strip_of(sizeof(S)) > 16 and n & 16:
            _gradient_some(dx, dz, dy, x, y, at, 16, weight, mean, along, dy_mean, scale, each,
                           slope, most, gating, gates, True, False)
            i = 16
        if n & 8:
            _gradient_some(dx + i, dz + i, dy, x, y, at + i, 8, weight, mean, along, dy_mean, scale,
                           each, slope, most, gating, gates, True, False)
            i += 8
        if n & 4:
            _gradient_some(dx + i, dz + i, dy, x, y, at + i, 4, weight, mean, along, dy_mean, scale,
                           each, slope, most, gating, gates, True, False)
            i += 4
        n = n & 3
    _gradient_some(dx + i, dz + i, dy, x, y, at + i, n, weight, mean, along, dy_mean, scale, each,
                   slope, most, gating, gates, False, False)


cdef inline _always _gradient_some(S *dx, S *dz, const S *dy, const S *x, const S *y, Py_ssize_t at,
                                   Py_ssize_t n, T weight, const T *mean, const T *along,
                                   const T *dy_mean, const T *scale, bint each, T slope, T most,
                                   bint gating, bint gates, bint strip,
                                   bint stream) noexcept nogil:
    # to dx and dz, n items from `at` on: a strip, or less than one; strip: n is a literal
    cdef Py_ssize_t j, c
    cdef T dy_room[MOST_STRIP]
    cdef T x_room[MOST_STRIP]
    cdef T y_room[MOST_STRIP]
    cdef T out[MOST_STRIP]
    cdef T g[MOST_STRIP]
    cdef T d, v
    _read(dy_room, dy + at, n, strip, each)
    _read(x_room, x + at, n, strip, each)
    if gating:
        _read(y_room, y + at, n, strip, each)
    for j in range(n):
        c = at + j if each else 0
        d = loaded(dy_room, dy + at, j)
        if gating:
            d = gated(d, loaded(y_room, y + at, j), slope, most)
        v = normal_back(d, loaded(x_room, x + at, j), weight, mean[c], along[c], dy_mean[c],
                        scale[c])
        if strip:
            out[j] = v
            g[j] = d
        else:
            if gates:
                put(dz, g, j, d)
            put(dx, out, j, v)
    if strip:
        _store_some(dx, out, n, each, stream)
        if gates:
            _store_some(dz, g, n, each, stream and <size_t>dz % LINE == 0)
    else:
        store(dx, out, n)
        if gates:
            store(dz, g, n)
