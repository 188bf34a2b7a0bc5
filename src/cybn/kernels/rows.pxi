# Long rows: the (N, C, L) view channel by channel, each channel N rows of L contiguous items. A
# unit is a channel; a block is one piece of ROW_BLOCK items, or as many whole rows as fit in one.

cdef enum:
    ROW_BLOCK = 2048        # items summed between two looks at the partial sums: 64 to a lane


cdef struct Piece:          # where block b of a channel lies
    Py_ssize_t row, rows    # first row and number of rows
    Py_ssize_t start, n     # first item in each row and number of items


cdef inline Piece piece_of(Job *job, Py_ssize_t b) noexcept nogil:
    cdef Piece p
    p.row = b // job.pieces * job.rows
    p.rows = min(job.rows, job.N - p.row)
    p.start = b % job.pieces * ROW_BLOCK
    p.n = min(<Py_ssize_t>ROW_BLOCK, job.L - p.start)
    return p


cdef inline Py_ssize_t row_ahead(Job *job, Piece p, Py_ssize_t stride) noexcept nogil:
    """From a piece to what is reduced after next: the following block of the next channel."""
    return job.L + (p.rows * stride - p.start if p.start + p.n == job.L else p.n)


cdef inline void sum_piece(double *out, const T *x, Py_ssize_t rows, Py_ssize_t stride,
                           Py_ssize_t n, A k) noexcept nogil:
    """OUT out: k, sum(x - k), sum((x - k)^2) over rows of n items that are stride apart."""
    cdef A s[LANES]
    cdef A q[LANES]
    cdef Py_ssize_t r
    clear_lanes(s, q)
    for r in range(rows):
        add_shifted(s, q, x + r * stride, n, k)
    out[0] = k
    out[1] = fold_lanes(s)
    out[2] = fold_lanes(q)


cdef void sum_row_moments(Job *job, Py_ssize_t c, Py_ssize_t b, T kind) noexcept nogil:
    cdef Piece p = piece_of(job, b)
    cdef const T *x = <const T *>job.x + p.row * job.x_stride + c * job.L + p.start
    cdef double *out = job.sums + 3 * (c * job.blocks + b)
    cdef T k = median5(x[0], x[p.n // 4], x[p.n // 2], x[p.n // 4 * 3], x[p.n - 1])
    sum_piece(out, x, p.rows, job.x_stride, p.n, k)
    if not trusted(out[1], out[2], p.rows * p.n, least_square(k), most_square(k)):
        # The piece is still in L1: look again in double, and then about its mean.
        sum_piece(out, x, p.rows, job.x_stride, p.n, <double>k)
        sum_piece(out, x, p.rows, job.x_stride, p.n, out[0] + out[1] / (p.rows * p.n))


cdef void settle_row_moments(Job *job, Py_ssize_t c, T kind) noexcept nogil:
    cdef const double *block = job.sums + 3 * c * job.blocks
    cdef double k = block[0], s1 = block[1], s2 = block[2], away, n
    cdef Py_ssize_t b
    cdef Piece p
    for b in range(1, job.blocks):
        block += 3
        p = piece_of(job, b)
        n = <double>(p.rows * p.n)
        away = block[0] - k
        s2 += block[2] + away * (2 * block[1] + n * away)
        s1 += block[1] + n * away
    settle_moments(job, c, k, s1, s2, kind)


cdef void apply_row_normal(Job *job, Py_ssize_t c, Py_ssize_t b, const T *x, Py_ssize_t x_stride,
                           const T *coef) noexcept nogil:
    """out = (x - mean) * scale + shift, the three arrays at coef."""
    cdef Piece p = piece_of(job, b)
    cdef Py_ssize_t r, at = c * job.L + p.start
    for r in range(p.row, p.row + p.rows):
        normalize(<T *>job.out + r * job.out_stride + at, x + r * x_stride + at, p.n,
                  coef[c], coef[job.width + c], coef[2 * job.width + c], job.stream,
                  row_ahead(job, p, x_stride))


cdef void sum_row_products(Job *job, Py_ssize_t c, Py_ssize_t b, T kind) noexcept nogil:
    cdef Piece p = piece_of(job, b)
    cdef const T *dy = <const T *>job.dy + p.row * job.dy_stride + c * job.L + p.start
    cdef const T *x = <const T *>job.x + p.row * job.x_stride + c * job.L + p.start
    cdef const T *coef = <const T *>job.coef + c
    cdef double *out = job.sums + 2 * (c * job.blocks + b)
    cdef T s[LANES]
    cdef T q[LANES]
    cdef Py_ssize_t r
    clear_lanes(s, q)
    for r in range(p.rows):
        add_products(s, q, dy + r * job.dy_stride, x + r * job.x_stride, p.n,
                     coef[0], coef[job.width])
    out[0] = fold_lanes(s)
    out[1] = fold_lanes(q)


cdef void settle_row_products(Job *job, Py_ssize_t c, T kind) noexcept nogil:
    cdef const double *block = job.sums + 2 * c * job.blocks
    cdef double s1 = 0, s2 = 0
    cdef Py_ssize_t b
    for b in range(job.blocks):
        s1 += block[2 * b]
        s2 += block[2 * b + 1]
    settle_gradient(job, c, s1, s2, kind)


cdef void apply_row_gradient(Job *job, Py_ssize_t c, Py_ssize_t b, T kind) noexcept nogil:
    cdef Piece p = piece_of(job, b)
    cdef Py_ssize_t r, at = c * job.L + p.start, w = job.width
    cdef const T *coef = <const T *>job.coef + c
    for r in range(p.row, p.row + p.rows):
        slope_rows(<T *>job.out + r * job.out_stride + at,
                   <const T *>job.dy + r * job.dy_stride + at,
                   <const T *>job.x + r * job.x_stride + at, p.n,
                   coef[0], coef[w], coef[2 * w], coef[3 * w], job.stream,
                   row_ahead(job, p, job.dy_stride), row_ahead(job, p, job.x_stride))
