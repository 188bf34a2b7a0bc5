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


cdef inline _loop normalize_each(S *y, const S *x, Py_ssize_t n, const T *mean, const T *scale,
                                 const T *shift, bint stream, Py_ssize_t ahead) noexcept nogil:
    """As normalize, with a mean, scale and shift for every item."""
    _normalize(y, x, x, n, mean, scale, shift, mean, mean, True, False, <T>1, <T>1, False, False,
               stream, ahead)


cdef inline _loop normalize_each_gated(S *y, const S *x, const S *z, Py_ssize_t n, const T *mean,
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
    # adds: z is there. A loop that asks for it item by item has no vectors. each and weighted: one
    # weight and bias for all. lapped: the last vector overlaps the one before, instead of a loop
    # over what is left; it is made first, since y may be x.
    cdef Py_ssize_t at, tail, head = 0, strip = strip_of(sizeof(S))
    cdef S first[MOST_STRIP]
    cdef S last[MOST_STRIP]
    cdef T one[3]
    cdef bint lapped = False
    if not each:    # copies, which no store can have changed
        one[0], one[1], one[2] = mean[0], scale[0], shift[0]
        mean, scale, shift = &one[0], &one[1], &one[2]
    elif weighted:
        one[0], one[1] = weight[0], bias[0]
        weight, bias = &one[0], &one[1]
    if stream:
        head = before_line(y, n, sizeof(S))
    tail = (n - head) % strip
    if S is T:      # an end in its place: as a whole strip it is slower where rows stream
        if head:
            _normalize_end(y, x, z, 0, head, mean, scale, shift, weight, bias, each, weighted,
                           slope, most, gating, adds)
        if (not gating and not each and not weighted and not stream and n >= FEW
                and tail % FEW):
            lapped = True
            _normalize_some(last, x, z, n - FEW, FEW, mean, scale, shift, weight, bias, each,
                            weighted, slope, most, gating, adds, True, False)
    else:
        if n < strip:
            _normalize_end(y, x, z, 0, n, mean, scale, shift, weight, bias, each, weighted, slope,
                           most, gating, adds)
            return
        if head:
            _normalize_some(first, x, z, 0, strip, mean, scale, shift, weight, bias, each, weighted,
                            slope, most, gating, adds, True, False)
        if tail:
            _normalize_some(last, x, z, n - strip, strip, mean, scale, shift, weight, bias, each,
                            weighted, slope, most, gating, adds, True, False)
    at = head + (n - head) // strip * strip
    # Where rows are short, a loop for each kind of store: a choice in it costs as much as a store.
    if gating or each or S is not T or stream:
        _normalize_strips(y, x, z, head, at, mean, scale, shift, weight, bias, each, weighted,
                          slope, most, gating, adds, stream, ahead)
    else:
        _normalize_strips(y, x, z, head, at, mean, scale, shift, weight, bias, each, weighted,
                          slope, most, gating, adds, False, ahead)
    if tail:
        _fetch(x + at, strip, ahead)
        if adds:
            _fetch(z + at, strip, ahead)
    if S is T:
        if lapped:
            _normalize_end(y + at, x, z, at, tail & (STRIP + FEW), mean, scale, shift, weight,
                           bias, each, weighted, slope, most, gating, adds)
            _store_last(y + n - FEW, last)
        elif tail:
            _normalize_end(y + at, x, z, at, tail, mean, scale, shift, weight, bias, each, weighted,
                           slope, most, gating, adds)
    else:
        _store_ends(y, first, last, n, head, tail, stream)


cdef inline _always _normalize_strips(S *y, const S *x, const S *z, Py_ssize_t at, Py_ssize_t end,
                                      const T *mean, const T *scale, const T *shift,
                                      const T *weight, const T *bias, bint each, bint weighted,
                                      T slope, T most, bint gating, bint adds, bint stream,
                                      Py_ssize_t ahead) noexcept nogil:
    # Asking whether something is fetched costs a short row as much as a vector.
    cdef Py_ssize_t _s, strip = strip_of(sizeof(S)), strips = (end - at) // strip
    if S is T and not gating and not each and not weighted and ahead == 0:
        for _s in range(strips):
            _normalize_some(y + at, x, z, at, strip, mean, scale, shift, weight, bias, each,
                            weighted, slope, most, gating, adds, True, stream)
            at += strip
        return
    for _s in range(strips):
        _fetch(x + at, strip, ahead)
        if adds:
            _fetch(z + at, strip, ahead)
        _normalize_some(y + at, x, z, at, strip, mean, scale, shift, weight, bias, each, weighted,
                        slope, most, gating, adds, True, stream)
        at += strip


cdef inline _always _normalize_end(S *y, const S *x, const S *z, Py_ssize_t at, Py_ssize_t n,
                                   const T *mean, const T *scale, const T *shift, const T *weight,
                                   const T *bias, bint each, bint weighted, T slope, T most,
                                   bint gating, bint adds) noexcept nogil:
    # Less than a strip, where rows are short in steps of known lengths, which are vectors.
    cdef Py_ssize_t i = 0
    if S is T and not gating and not each:
        if strip_of(sizeof(S)) > 16 and n & 16:
            _normalize_some(y, x, z, at, 16, mean, scale, shift, weight, bias, each, weighted,
                            slope, most, gating, adds, True, False)
            i = 16
        if n & 8:
            _normalize_some(y + i, x, z, at + i, 8, mean, scale, shift, weight, bias, each,
                            weighted, slope, most, gating, adds, True, False)
            i += 8
        if n & 4:
            _normalize_some(y + i, x, z, at + i, 4, mean, scale, shift, weight, bias, each,
                            weighted, slope, most, gating, adds, True, False)
            i += 4
        n = n & 3
    _normalize_some(y + i, x, z, at + i, n, mean, scale, shift, weight, bias, each, weighted, slope,
                    most, gating, adds, False, False)


cdef inline _always _normalize_some(S *y, const S *x, const S *z, Py_ssize_t at, Py_ssize_t n,
                                    const T *mean, const T *scale, const T *shift, const T *weight,
                                    const T *bias, bint each, bint weighted, T slope, T most,
                                    bint gating, bint adds, bint strip,
                                    bint stream) noexcept nogil:
    # to y, n items from `at` on: a strip, or less than one; strip: n is a literal
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
            v = v * weight[0 if each else at + j] + bias[0 if each else at + j]
        if gating:
            v = gate(v + loaded(z_room, z + at, j) if adds else v, slope, most)
        if strip:
            out[j] = v
        else:
            put(y, out, j, v)
    if strip:
        _store_some(y, out, n, each or weighted, stream)
    else:
        store(y, out, n)
