# What products of matrices are made of (matrices.pxi): out += a^T b, of what is packed in panels.
#
# A panel is TILE columns side by side, row after row. An item of out adds up its terms one after
# another in their order, DEEP of them from zero on, and these sums are added in theirs: one lane to
# an item, so no bit depends on the CPU level. A compiler keeps a tile in eight registers of AVX2.

cdef enum:
    TILE = 8            # items side by side in a panel, and the rows of a tile
    HALF = 4            # its columns
    DEEP = 128          # positions that are packed at a time

cdef struct Field:      # what a matrix is made of: channels over positions, (x - centre)*scale
    char *x
    Py_ssize_t stride, C, L         # from one n to the next, in bytes
    bint single                     # float, else double
    const double *centre            # (C,)
    const double *scale


cdef inline Py_ssize_t panels(Py_ssize_t n) noexcept nogil:
    """n as far as whole panels go."""
    return ceil_div(n, TILE) * TILE


cdef leaf add_tile(A *out, Py_ssize_t step, const A *a, const A *b, Py_ssize_t n) noexcept nogil:
    """out[i*step + j] += sum of a[k, i]*b[k, j] over n, TILE rows by 32 bytes of it."""
    cdef A[TILE * TILE] s
    cdef Py_ssize_t i, j, k
    for i in range(TILE * TILE):
        s[i] = 0
    for k in range(n):
        for i in range(TILE):
            for j in range(TILE if A is float else HALF):
                s[i * TILE + j] += a[i] * b[j]
        a += TILE
        b += TILE
    for i in range(TILE):
        for j in range(TILE if A is float else HALF):
            out[i * step + j] += s[i * TILE + j]


cdef loop add_product(A *out, Py_ssize_t step, const A *a, const A *b, Py_ssize_t rows,
                      Py_ssize_t columns, Py_ssize_t n, bint upper) noexcept nogil:
    """out += a^T b of panels of n. upper: of out all that is on the diagonal or above."""
    cdef Py_ssize_t tile, i, j, k = 0, deep
    while k < n:
        deep = min(<Py_ssize_t>DEEP, n - k)
        for tile in range(ceil_div(rows, TILE)):
            i = tile * TILE
            j = i if upper else 0
            while j < columns:
                add_tile(out + i * step + j, step, a + i * n + k * TILE,
                         b + (j - j % TILE) * n + k * TILE + j % TILE, deep)
                j += TILE if A is float else HALF
        k += deep


# Packing. What is missing of the last panel is zero.

cdef void pack_channels(double *to, const Field *field, Py_ssize_t first, Py_ssize_t d,
                        Py_ssize_t p, Py_ssize_t n) noexcept nogil:
    """OUT to: d channels from `first` on in panels, of n <= DEEP positions from p on each."""
    cdef double[DEEP] row
    cdef double *at
    cdef Py_ssize_t c, k
    for c in range(panels(d)):
        at = to + c // TILE * TILE * n + c % TILE
        if c < d:
            gather_row(row, field, first + c, p, n)
        else:
            memset(row, 0, n * sizeof(double))
        for k in range(n):
            at[k * TILE] = row[k]


cdef void pack_positions(A *to, const Field *field, Py_ssize_t first, Py_ssize_t d,
                         Py_ssize_t p, Py_ssize_t n, Py_ssize_t deep) noexcept nogil:
    """OUT to: n <= DEEP positions in panels, of d rows each, which are the channels, and deep - d
    more that are left out."""
    cdef double[DEEP] row
    cdef A *at
    cdef Py_ssize_t c, i, k
    for k in range(n, panels(n)):
        row[k] = 0
    for c in range(d):
        gather_row(row, field, first + c, p, n)
        for i in range(ceil_div(n, TILE)):
            at = to + (i * deep + c) * TILE
            for k in range(TILE):
                at[k] = <A>row[i * TILE + k]


cdef inline void gather_row(double *row, const Field *field, Py_ssize_t c, Py_ssize_t p,
                            Py_ssize_t n) noexcept nogil:
    """OUT row: n positions of a channel from p on."""
    cdef Py_ssize_t run
    while n > 0:
        run = n if field.L == 1 else min(n, field.L - p % field.L)
        if field.single:
            gather_run(row, <const float *>at_position(field, c, p), field, c, run)
        else:
            gather_run(row, <const double *>at_position(field, c, p), field, c, run)
        row, p, n = row + run, p + run, n - run


cdef inline char *at_position(const Field *field, Py_ssize_t c, Py_ssize_t p) noexcept nogil:
    cdef Py_ssize_t size = sizeof(float) if field.single else sizeof(double)
    return field.x + p // field.L * field.stride + (c * field.L + p % field.L) * size


cdef inline void gather_run(double *row, const A *x, const Field *field, Py_ssize_t c,
                            Py_ssize_t n) noexcept nogil:
    cdef double centre = field.centre[c], scale = field.scale[c]
    cdef Py_ssize_t k, step = field.stride // <Py_ssize_t>sizeof(A)
    if field.L == 1:
        for k in range(n):
            row[k] = (<double>x[k * step] - centre) * scale
    else:
        for k in range(n):
            row[k] = (<double>x[k] - centre) * scale


cdef void pack_rows(A *to, const double *a, Py_ssize_t n, Py_ssize_t d,
                    Py_ssize_t deep) noexcept nogil:
    """OUT to: a, (n, d), in panels of its columns, of n rows and deep - n more, left out."""
    cdef A *at
    cdef Py_ssize_t i, j, k
    for i in range(ceil_div(d, TILE)):
        for k in range(n):
            at = to + (i * deep + k) * TILE
            if (i + 1) * TILE <= d:
                for j in range(TILE):
                    at[j] = <A>a[k * d + i * TILE + j]
            else:
                for j in range(TILE):
                    at[j] = <A>a[k * d + i * TILE + j] if i * TILE + j < d else 0
