# A run of items with a curve after the norm, and the residual between them: in pieces that
# lie in the first level of the cache, one step after the other: so there is one copy of each step,
# whatever is normalized, and the constants of a curve are loaded once in a piece.

cdef leaf bent_run(S *y, const S *x, const S *z, const S *dy, Py_ssize_t n, const T *mean,
                   const T *scale, const T *shift, const T *weight, const T *bias, bint each,
                   T slope, T most, const void *bend, bint stream, Py_ssize_t ahead) noexcept nogil:
    """y = f(h) over [0:n], or dy*f'(h) where dy is not NULL; h = normalized x (+ z, unless NULL).

    each: a mean, scale and shift for every item, and one weight and bias for all of them; otherwise
    one mean, scale and shift, and a weight and a bias for every item. weight and bias may be NULL.
    """
    cdef T[2 * BENT] v
    cdef Py_ssize_t at = 0, piece, strip = strip_of(sizeof(S))
    cdef Py_ssize_t head = before_line(y, n, sizeof(S)) if stream else 0
    while at < n:
        # from the second piece on they begin with a line
        piece = min(n - at, BENT - strip + head if head else BENT)
        fetch_run(x + at, piece, ahead)
        if each:
            normalize_positions(v, x + at, piece, mean + at, scale + at, shift + at)
        else:
            normalize_items(v, x + at, piece, mean[0], scale[0], shift[0])
        if weight != NULL and each:
            weight_positions(v, piece, weight[0], bias[0])
        elif weight != NULL:
            weight_items(v, piece, weight + at, bias + at)
        if z != NULL:
            fetch_run(z + at, piece, ahead)
            add_run(v, z + at, piece)
        if dy != NULL:
            fetch_run(dy + at, piece, ahead)
            read_run(v + BENT, dy + at, piece)
        bend_piece(v, piece, dy != NULL, slope, most, bend)
        write_run(y + at, v, piece, head, stream)
        at += piece
        head = 0


cdef inline void bend_piece(T *v, Py_ssize_t n, bint back, T slope, T most,
                            const void *bend) noexcept nogil:
    """n items by a curve, which takes whole vectors of them: 0 is what they lack."""
    cdef Py_ssize_t j, whole = ceil_div(n, EIGHT) * EIGHT
    for j in range(n, whole):
        v[j] = v[BENT + j] = 0
    (<Bend>bend)(v, whole, back, slope, most)


cdef inline void fetch_run(const S *x, Py_ssize_t n, Py_ssize_t ahead) noexcept nogil:
    if ahead > FAR:
        fetch_far(x + ahead, n)
    elif ahead:
        fetch(x + ahead, n)


# Steps: IN, OUT v: n <= BENT items.

cdef inline void read_run(T *v, const S *x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t j
    load(v, x, n)
    for j in range(n):
        v[j] = loaded(v, x, j)


cdef inline void normalize_items(T *v, const S *x, Py_ssize_t n, T mean, T scale,
                                 T shift) noexcept nogil:
    cdef Py_ssize_t j
    load(v, x, n)
    for j in range(n):
        v[j] = (loaded(v, x, j) - mean) * scale + shift


cdef inline void normalize_positions(T *v, const S *x, Py_ssize_t n, const T *mean, const T *scale,
                                     const T *shift) noexcept nogil:
    cdef Py_ssize_t j
    load(v, x, n)
    for j in range(n):
        v[j] = (loaded(v, x, j) - mean[j]) * scale[j] + shift[j]


cdef inline void weight_items(T *v, Py_ssize_t n, const T *weight, const T *bias) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        v[j] = v[j] * weight[j] + bias[j]


cdef inline void weight_positions(T *v, Py_ssize_t n, T weight, T bias) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        v[j] = v[j] * weight + bias


cdef inline void add_run(T *v, const S *z, Py_ssize_t n) noexcept nogil:
    cdef T[BENT] room
    cdef Py_ssize_t j
    load(room, z, n)
    for j in range(n):
        v[j] = v[j] + loaded(room, z, j)


cdef inline void write_run(S *y, const T *v, Py_ssize_t n, Py_ssize_t head,
                           bint stream) noexcept nogil:
    """n items to y; with stream past the caches what are whole lines from `head` on."""
    cdef Py_ssize_t strip = strip_of(sizeof(S)), s
    if not stream:
        head = n
    write_some(y, v, head)
    for s in range((n - head) // strip):
        store_strip(y + head, v + head, True)
        head += strip
    write_some(y + head, v + head, n - head)


cdef leaf write_some(S *y, const T *v, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        put(y, <T *>v, j, v[j])
    store(y, v, n)
