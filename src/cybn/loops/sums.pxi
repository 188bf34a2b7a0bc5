# Sums in lanes, and whether they are to be trusted.

cdef inline void clear_lanes(A *s, A *q) noexcept nogil:
    """OUT s, q: LANES zeros each."""
    cdef Py_ssize_t j
    for j in range(LANES):
        s[j] = 0
    for j in range(LANES):
        q[j] = 0


cdef inline _always _settle_lanes(A *s, A *q, const A *a, const A *b, bint fresh) noexcept nogil:
    # s = a and q = b, or += where there are sums already
    cdef Py_ssize_t j
    for j in range(LANES):
        s[j] = a[j] if fresh else s[j] + a[j]
    for j in range(LANES):
        q[j] = b[j] if fresh else q[j] + b[j]


cdef inline double fold_lanes(const A *s) noexcept nogil:
    """The sum of the LANES values at s, by halves; the last eight are added in double."""
    cdef A h[8]
    cdef double to
    _halve_lanes(h, s)
    _fold_eight(&to, h)
    return to


cdef inline _always _halve_lanes(A *h, const A *s) noexcept nogil:
    # OUT h: eight sums of the LANES values at s
    cdef Py_ssize_t j
    for j in range(8):
        h[j] = (s[j] + s[j + 16]) + (s[j + 8] + s[j + 24])


cdef inline _always _fold_eight(double *to, const A *h) noexcept nogil:
    # OUT to: the sum of eight, in steps that are vectors
    cdef double c[8]
    cdef double d[4]
    cdef double e[2]
    cdef Py_ssize_t j
    for j in range(8):
        c[j] = h[j]
    for j in range(4):
        d[j] = c[j] + c[j + 4]
    for j in range(2):
        e[j] = d[j] + d[j + 2]
    to[0] = e[0] + e[1]


cdef inline void add_shifted(A *s, A *q, const S *x, Py_ssize_t n, A k,
                             Py_ssize_t ahead) noexcept nogil:
    """s[j] += x - k and q[j] += (x - k)^2 over x[0:n], lane by lane.

    OUT s, q: LANES each, accumulated into. IN x: n. k: the shift, near the mean of x.
    ahead: what lies so many items after x is read next, and fetched on the way; 0: nothing is.
    """
    _shifted(s, q, x, n, k, ahead, False)


cdef inline _loop sum_shifted(A *s, A *q, const S *x, Py_ssize_t n, A k,
                              Py_ssize_t ahead) noexcept nogil:
    """As add_shifted to lanes of zeros, which it does not read."""
    _shifted(s, q, x, n, k, ahead, True)


cdef inline _always _shifted(A *s, A *q, const S *x, Py_ssize_t n, A k, Py_ssize_t ahead,
                             bint fresh) noexcept nogil:
    cdef Py_ssize_t i, whole = n - n % LANES
    cdef A a[LANES]
    cdef A b[LANES]
    clear_lanes(a, b)
    for i in range(n // LANES):
        if ahead:
            fetch_far(x + i * LANES + ahead, LANES)
        _shifted_some(a, b, x + i * LANES, LANES, k, True)
    if ahead and whole < n:
        fetch_far(x + whole + ahead, LANES)
    _settle_lanes(s, q, a, b, fresh)
    if fresh and whole < n:
        _shifted_rest(s, q, x + whole, n - whole, k)
    elif whole < n:
        _shifted_some(s, q, x + whole, n - whole, k, False)


cdef inline _always _shifted_rest(A *s, A *q, const S *x, Py_ssize_t n, A k) noexcept nogil:
    # Of less than LANES items, eight lanes at a time; as if k came after them.
    cdef Py_ssize_t i, j, at = n // FEW * FEW
    cdef A room[FEW]
    cdef A d
    for i in range(n // FEW):
        load(room, x + i * FEW, FEW)
        for j in range(FEW):
            d = loaded(room, x + i * FEW, j) - k
            s[i * FEW + j] += d
            q[i * FEW + j] += d * d
    if at == n:
        return
    _load_few(room, x + at, n - at, k)
    for j in range(FEW):
        d = room[j] - k
        s[at + j] += d
        q[at + j] += d * d


cdef inline _always _shifted_some(A *s, A *q, const S *x, Py_ssize_t n, A k,
                                  bint whole) noexcept nogil:
    # of LANES items, or of less
    cdef Py_ssize_t j
    cdef A room[LANES]
    cdef A d
    _read(room, x, n, whole, False)
    for j in range(n):
        d = loaded(room, x, j) - k
        s[j] += d
        q[j] += d * d


cdef inline bint trusted(double s, double q, Py_ssize_t n, double far,
                         size_t itemsize) noexcept nogil:
    """Are the sums of n items about k good enough to take their variance from?

    s, q: sum(x - k) and sum((x - k)^2), kept in a type of itemsize bytes. (q - s^2/n)/n cancels
    where k was far from the mean: what rounding has done to q counts 1/(1 - s^2/(n*q)) times in it.
    far: the largest s^2/(n*q) that is allowed. A q that may have lost bits to underflow, or have
    overflowed on its way, is not to be trusted, and NaN never is.
    """
    cdef double least = 1e-30 if itemsize < sizeof(double) else 1e-280
    cdef double most = 1e37 if itemsize < sizeof(double) else 1e300
    return (s == 0 and q == 0) or (least < q and q < most and s * s <= far * n * q)
