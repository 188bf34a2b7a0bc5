# Gates, and the sums of a backward.

cdef inline T gate(T x, T slope, T most) noexcept nogil:
    """x above 0, slope*x below, `most` at the most: relu (0, inf), relu6 (0, 6), identity (1, inf).

    NaN stays NaN; -inf with slope 0 gives 0.
    """
    # Everything is computed and then chosen from: no branch, so that a compiler has vectors of it.
    cdef T lowest = -INFINITY if slope > 0 else (-FLT_MAX if T is float else -DBL_MAX)
    cdef T low = (lowest if x < lowest else x) * slope + 0       # 0, not -0
    cdef T y = x if x > 0 else low
    return most if y > most else y


cdef inline T gated(T dy, T y, T slope, T most) noexcept nogil:
    """The gradient of the gate's input, from that of its output y and y itself."""
    cdef T keep = <T>1 if y > 0 else slope
    return dy * (keep if y < most else <T>0)


cdef inline T xhat(T x, T mean, T rstd, T shift) noexcept nogil:
    return (x - mean) * rstd + shift


cdef inline void add_products(T *s, T *q, const S *dy, const S *x, Py_ssize_t n,
                              T mean, T rstd, Py_ssize_t dy_ahead,
                              Py_ssize_t x_ahead) noexcept nogil:
    """s[j] += dy and q[j] += dy * (x - mean) * rstd over [0:n], lane by lane.

    OUT s, q: LANES each, accumulated into. IN dy, x: n. ahead: as in add_shifted.
    """
    _products(s, q, dy, x, dy, &mean, n, mean, rstd, <T>0, <T>1, <T>1, False, False, False,
              dy_ahead, x_ahead)


cdef inline void sum_products(T *s, T *q, const S *dy, const S *x, Py_ssize_t n,
                              T mean, T rstd, Py_ssize_t dy_ahead,
                              Py_ssize_t x_ahead) noexcept nogil:
    """As add_products to lanes of zeros, which it does not read."""
    _products(s, q, dy, x, dy, &mean, n, mean, rstd, <T>0, <T>1, <T>1, False, False, True,
              dy_ahead, x_ahead)


cdef inline void add_products_gated(T *s, T *q, const S *dy, const S *x, const S *y, Py_ssize_t n,
                                    T mean, T rstd, T slope, T most, Py_ssize_t dy_ahead,
                                    Py_ssize_t x_ahead) noexcept nogil:
    """add_products of gated(dy, y, slope, most)."""
    _products(s, q, dy, x, y, &mean, n, mean, rstd, <T>0, slope, most, True, False, False,
              dy_ahead, x_ahead)


cdef inline void sum_weighted(T *s, T *q, const S *dy, const S *x, const T *weight, Py_ssize_t n,
                              T mean, T rstd, T shift) noexcept nogil:
    """s[j] = sum of dy*weight and q[j] = sum of dy*weight*xhat over [0:n], lane by lane.

    OUT s, q: LANES each. IN dy, x, weight: n.
    """
    _products(s, q, dy, x, dy, weight, n, mean, rstd, shift, <T>1, <T>1, False, True, True, 0, 0)


cdef inline _always _products(T *s, T *q, const S *dy, const S *x, const S *y, const T *weight,
                              Py_ssize_t n, T mean, T rstd, T shift, T slope, T most, bint gating,
                              bint weighted, bint fresh, Py_ssize_t dy_ahead,
                              Py_ssize_t x_ahead) noexcept nogil:
    # Converted, two inputs have registers for half of the lanes.
    cdef Py_ssize_t some = LANES // 2 if sizeof(S) < sizeof(float) else LANES
    cdef Py_ssize_t i, at, whole = n - n % LANES
    cdef T a[LANES]
    cdef T b[LANES]
    clear_lanes(a, b)
    for i in range(n // LANES):
        if dy_ahead:
            fetch_far(dy + i * LANES + dy_ahead, LANES)
        if x_ahead:
            fetch_far(x + i * LANES + x_ahead, LANES)
        if gating and dy_ahead:
            fetch_far(y + i * LANES + dy_ahead, LANES)
        at = i * LANES
        _add_some(a, b, dy + at, x + at, y + at, weight + at if weighted else weight, some, mean,
                  rstd, shift, slope, most, gating, weighted, True)
        if some < LANES:
            at += some
            _add_some(&a[some], &b[some], dy + at, x + at, y + at,
                      weight + at if weighted else weight, some, mean, rstd, shift, slope, most,
                      gating, weighted, True)
    if dy_ahead and whole < n:
        fetch_far(dy + whole + dy_ahead, LANES)
        if gating:
            fetch_far(y + whole + dy_ahead, LANES)
    if x_ahead and whole < n:
        fetch_far(x + whole + x_ahead, LANES)
    _settle_lanes(s, q, a, b, fresh)
    if fresh and not gating and whole < n:
        _add_rest(s, q, dy + whole, x + whole, weight + whole if weighted else weight, n - whole,
                  mean, rstd, shift, weighted)
    elif whole < n:
        _add_some(s, q, dy + whole, x + whole, y + whole, weight + whole if weighted else weight,
                  n - whole, mean, rstd, shift, slope, most, gating, weighted, False)


cdef inline _always _products_in_eight(T *s, T *q, const S *dy, const S *x, const S *y,
                                       Py_ssize_t n, T mean, T rstd, T slope, T most,
                                       bint gating) noexcept nogil:
    # As sum_products of FEW items or more, in eight lanes: 32 are more than a short run fills. So
    # that sums stay in registers, the rest is added whatever there is of it, and a compiler is told
    # that there are whole eights.
    cdef Py_ssize_t i, j, few = n % FEW, whole = max(<Py_ssize_t>1, n // FEW)
    cdef T a[FEW]
    cdef T b[FEW]
    cdef T dy_rest[FEW]
    cdef T x_rest[FEW]
    cdef T y_rest[FEW]
    _load_few(dy_rest, dy + n - few, few, <T>0)
    _load_few(x_rest, x + n - few, few, mean)
    if gating:
        _load_few(y_rest, y + n - few, few, <T>0)
    for j in range(FEW):
        a[j] = 0
    for j in range(FEW):
        b[j] = 0
    for i in range(whole):
        _add_eight(a, b, dy + i * FEW, x + i * FEW, y + i * FEW if gating else y, &mean, mean, rstd,
                   <T>0, slope, most, gating, False)
    for j in range(FEW):
        s[j] = a[j]
    for j in range(FEW):
        q[j] = b[j]
    for j in range(FEW):
        _add_one(s + j, q + j, dy_rest[j], x_rest[j], y_rest[j] if gating else mean, mean, mean,
                 rstd, <T>0, slope, most, gating, False)


cdef inline _always _add_eight(T *s, T *q, const S *dy, const S *x, const S *y, const T *weight,
                               T mean, T rstd, T shift, T slope, T most, bint gating,
                               bint weighted) noexcept nogil:
    # to the first eight lanes
    cdef Py_ssize_t j
    cdef T dy_room[FEW]
    cdef T x_room[FEW]
    cdef T y_room[FEW]
    load(dy_room, dy, FEW)
    load(x_room, x, FEW)
    if gating:
        load(y_room, y, FEW)
    for j in range(FEW):
        _add_one(s + j, q + j, loaded(dy_room, dy, j), loaded(x_room, x, j),
                 loaded(y_room, y, j) if gating else mean, weight[j] if weighted else mean, mean,
                 rstd, shift, slope, most, gating, weighted)


cdef inline _always _add_one(T *s, T *q, T g, T x, T y, T weight, T mean, T rstd, T shift, T slope,
                             T most, bint gating, bint weighted) noexcept nogil:
    cdef T h = (x - mean) * rstd
    if gating:
        g = gated(g, y, slope, most)
    if weighted:
        g = g * weight
        h = h + shift
    s[0] += g
    q[0] += g * h


cdef inline _always _add_rest(T *s, T *q, const S *dy, const S *x, const T *weight, Py_ssize_t n,
                              T mean, T rstd, T shift, bint weighted) noexcept nogil:
    # Of less than LANES items, eight lanes at a time; as if dy were 0 after them.
    cdef Py_ssize_t i, j, at = n // FEW * FEW
    cdef T dy_room[FEW]
    cdef T x_room[FEW]
    cdef T weights[FEW]
    for i in range(n // FEW):
        _add_eight(s + i * FEW, q + i * FEW, dy + i * FEW, x + i * FEW, x,
                   weight + i * FEW if weighted else weight, mean, rstd, shift, <T>1, <T>1, False,
                   weighted)
    if at == n:
        return
    _load_few(dy_room, dy + at, n - at, <T>0)
    _load_few(x_room, x + at, n - at, mean)
    if weighted:
        _load_few(weights, weight + at, n - at, <T>0)
    for j in range(FEW):
        _add_one(s + at + j, q + at + j, dy_room[j], x_room[j], mean,
                 weights[j] if weighted else mean, mean, rstd, shift, <T>1, <T>1, False, weighted)


cdef inline _always _add_some(T *s, T *q, const S *dy, const S *x, const S *y, const T *weight,
                              Py_ssize_t n, T mean, T rstd, T shift, T slope, T most, bint gating,
                              bint weighted, bint whole) noexcept nogil:
    # of all or half of the lanes, or of less
    cdef Py_ssize_t j
    cdef T g, h
    cdef T dy_room[LANES]
    cdef T x_room[LANES]
    cdef T y_room[LANES]
    _read(dy_room, dy, n, whole, weighted)
    _read(x_room, x, n, whole, weighted)
    if gating:
        _read(y_room, y, n, whole, weighted)
    for j in range(n):
        g = loaded(dy_room, dy, j)
        if gating:
            g = gated(g, loaded(y_room, y, j), slope, most)
        if weighted:
            g = g * weight[j]
        h = (loaded(x_room, x, j) - mean) * rstd
        if weighted:
            h = h + shift
        s[j] += g
        q[j] += g * h
