# Strips and cache lines of an output.

cdef inline Py_ssize_t before_line(const void *y, Py_ssize_t n, Py_ssize_t itemsize) noexcept nogil:
    """How many of the n items at y lie before the first address that is a multiple of a line."""
    cdef Py_ssize_t ahead = <Py_ssize_t>((LINE - (<size_t>y) % LINE) % LINE) // itemsize
    return ahead if ahead < n else n


cdef inline Py_ssize_t strip_of(Py_ssize_t itemsize) noexcept nogil:
    """How many items of such a size are written at a time: whole cache lines."""
    return MOST_STRIP if itemsize <= sizeof(float) else STRIP


cdef inline void store_strip(S *y, const T *strip, bint stream) noexcept nogil:
    """A strip of items to y; with stream past the caches, and y on a line boundary."""
    _store_strip(y, strip, True, stream)


cdef inline _loop _store_strip(S *y, const T *strip, bint ordered, bint stream) noexcept nogil:
    # ordered: as `_read` was told of what the strip was made of
    cdef Py_ssize_t i, n = strip_of(sizeof(S))
    cdef S words[MOST_STRIP]
    if S is bfloat16 and T is float:
        if stream:
            _stream_bfloat16(y, strip, ordered)
        else:
            for i in range(n // STRIP):
                if ordered:
                    _store_order(y + i * STRIP, strip + i * STRIP)
                else:
                    _store_pairs(y + i * STRIP, strip + i * STRIP)
    elif not stream:
        for i in range(n):
            put(y, <T *>strip, i, strip[i])
        store(y, strip, n)
    elif S is float16 and T is float:
        _stream_float16(y, strip)
    elif S is T:
        for i in range(n * sizeof(S) // LINE):
            stream_line(<char *>y + i * LINE, <const char *>strip + i * LINE)
    else:
        _store_strip(words, strip, ordered, False)
        for i in range(n * sizeof(S) // LINE):
            stream_line(<char *>y + i * LINE, <const char *>words + i * LINE)


cdef inline _always _store_some(S *y, const T *strip, Py_ssize_t n, bint ordered,
                                bint stream) noexcept nogil:
    # A strip, or where S is T less of one.
    cdef Py_ssize_t i
    if n == strip_of(sizeof(S)):
        _store_strip(y, strip, ordered, stream)
    elif S is T:
        if stream:
            for i in range(n * sizeof(S) // LINE):
                stream_line(<char *>y + i * LINE, <const char *>strip + i * LINE)
        else:
            for i in range(n):
                y[i] = strip[i]


cdef inline _always _store_last(S *y, const S *last) noexcept nogil:
    # the vector that ends a row, made before the others were written
    cdef Py_ssize_t i
    for i in range(FEW):
        y[i] = last[i]


cdef inline void _store_ends(S *y, const S *first, const S *last, Py_ssize_t n, Py_ssize_t head,
                             Py_ssize_t tail, bint stream) noexcept nogil:
    # The head of the first strip and the tail of the last one, where strips do not fill y[0:n].
    # Both were computed as whole strips, and before anything was written: y may be an input. What
    # other strips have written past the caches is not to be touched again.
    cdef Py_ssize_t strip = strip_of(sizeof(S))
    if head:
        memcpy(y, first, head * sizeof(S))
    if tail and stream:
        memcpy(y + n - tail, last + strip - tail, tail * sizeof(S))
    elif tail:
        memcpy(y + n - strip, last, strip * sizeof(S))
