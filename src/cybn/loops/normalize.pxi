# The loops that write. Each asks on the way for what lies `ahead` items after its inputs: while one
# tile is written from the caches, the next one comes from memory. What differs between them is said
# by flags, literals all of them, so that each compiles to a loop without them.

cdef inline T normal(T x, T mean, T scale, T shift) noexcept nogil:
    return (x - mean) * scale + shift


cdef inline void normalize(S *y, const S *x, Py_ssize_t n, T mean, T scale, T shift,
                           bint stream, Py_ssize_t ahead) noexcept nogil:
    """y = (x - mean) * scale + shift over [0:n].

    OUT y: n; may be x. IN x: n. stream: write past the caches (call stream_fence at the end).
    """
    _normalize(y, x, x, n, &mean, &scale, &shift, &mean, &mean, False, False, <T>1, <T>1, False,
               False, stream, ahead)


cdef inline void normalize_gated(S *y, const S *x, const S *z, Py_ssize_t n, T mean, T scale,
                                 T shift, T slope, T most, bint stream,
                                 Py_ssize_t ahead) noexcept nogil:
    """y = gate((x - mean) * scale + shift + z, slope, most); z, n items, may be NULL."""
    if z == NULL:
        _normalize(y, x, x, n, &mean, &scale, &shift, &mean, &mean, False, False, slope, most,
                   True, False, stream, ahead)
    else:
        _normalize(y, x, z, n, &mean, &scale, &shift, &mean, &mean, False, False, slope, most,
                   True, True, stream, ahead)


cdef inline void normalize_each(S *y, const S *x, Py_ssize_t n, const T *mean, const T *scale,
                                const T *shift, bint stream, Py_ssize_t ahead) noexcept nogil:
    """As normalize, with a mean, scale and shift for every item."""
    _normalize(y, x, x, n, mean, scale, shift, mean, mean, True, False, <T>1, <T>1, False, False,
               stream, ahead)


cdef inline void normalize_each_gated(S *y, const S *x, const S *z, Py_ssize_t n, const T *mean,
                                      const T *scale, const T *shift, T slope, T most,
                                      bint stream, Py_ssize_t ahead) noexcept nogil:
    """As normalize_gated, with a mean, scale and shift for every item."""
    if z == NULL:
        _normalize(y, x, x, n, mean, scale, shift, mean, mean, True, False, slope, most, True,
                   False, stream, ahead)
    else:
        _normalize(y, x, z, n, mean, scale, shift, mean, mean, True, False, slope, most, True,
                   True, stream, ahead)


cdef inline void normalize_weighted(S *y, const S *x, const T *weight, const T *bias, Py_ssize_t n,
                                    T mean, T rstd, T shift, bint stream,
                                    Py_ssize_t ahead) noexcept nogil:
    """y = xhat*weight + bias over [0:n], with a weight and a bias for every item, as in layer norm.

    xhat = (x - mean)*rstd + shift, in which shift puts right what rounding the mean left out.
    OUT y: n; may be x. IN x, weight, bias: n. stream: as in normalize.
    """
    _normalize(y, x, x, n, &mean, &rstd, &shift, weight, bias, False, True, <T>1, <T>1, False,
               False, stream, ahead)


cdef inline _always _normalize(S *y, const S *x, const S *z, Py_ssize_t n, const T *mean,
                               const T *scale, const T *shift, const T *weight, const T *bias,
                               bint each, bint weighted, T slope, T most, bint gating, bint adds,
                               bint stream, Py_ssize_t ahead) noexcept nogil:
    # adds: z is there. A loop that asks for it item by item has no vectors.
    cdef Py_ssize_t _s, at, tail, head = 0, strip = strip_of(sizeof(S))
    cdef S first[MOST_STRIP]
    cdef S last[MOST_STRIP]
    cdef T one[3]
    if not each:    # copies, which no store can have changed
        one[0], one[1], one[2] = mean[0], scale[0], shift[0]
        mean, scale, shift = &one[0], &one[1], &one[2]
    if stream:
        head = before_line(y, n, sizeof(S))
    tail = (n - head) % strip
    if S is T:      # an end in its place: as a whole strip it is slower where rows stream
        _normalize_some(y, x, z, 0, head, mean, scale, shift, weight, bias, each, weighted, slope,
                        most, gating, adds, False, False)
    else:
        if n < strip:
            _normalize_some(y, x, z, 0, n, mean, scale, shift, weight, bias, each, weighted, slope,
                            most, gating, adds, False, False)
            return
        if head:
            _normalize_some(first, x, z, 0, strip, mean, scale, shift, weight, bias, each, weighted,
                            slope, most, gating, adds, True, False)
        if tail:
            _normalize_some(last, x, z, n - strip, strip, mean, scale, shift, weight, bias, each,
                            weighted, slope, most, gating, adds, True, False)
    at = head
    for _s in range((n - head) // strip):
        _fetch(x + at, strip, ahead)
        if adds:
            _fetch(z + at, strip, ahead)
        _normalize_some(y + at, x, z, at, strip, mean, scale, shift, weight, bias, each, weighted,
                        slope, most, gating, adds, True, stream)
        at += strip
    if S is T:
        _normalize_some(y + at, x, z, at, tail, mean, scale, shift, weight, bias, each, weighted,
                        slope, most, gating, adds, False, False)
    else:
        _store_ends(y, first, last, n, head, tail, stream)


cdef inline _always _normalize_some(S *y, const S *x, const S *z, Py_ssize_t at, Py_ssize_t n,
                                    const T *mean, const T *scale, const T *shift, const T *weight,
                                    const T *bias, bint each, bint weighted, T slope, T most,
                                    bint gating, bint adds, bint strip,
                                    bint stream) noexcept nogil:
    # to y, n items from `at` on: a strip, or less than one
    cdef Py_ssize_t j, c
    cdef T x_room[MOST_STRIP]
    cdef T z_room[MOST_STRIP]
    cdef T out[MOST_STRIP]
    cdef T v
    _read(x_room, x + at, n, strip, each or weighted)
    if adds:
        _read(z_room, z + at, n, strip, each or weighted)
    for j in range(n):
        c = at + j if each else 0
        v = normal(loaded(x_room, x + at, j), mean[c], scale[c], shift[c])
        if weighted:
            v = v * weight[at + j] + bias[at + j]
        if gating:
            v = gate(v + loaded(z_room, z + at, j) if adds else v, slope, most)
        if strip:
            out[j] = v
        else:
            put(y, out, j, v)
    if strip:
        _store_strip(y, out, each or weighted, stream)
    else:
        store(y, out, n)
