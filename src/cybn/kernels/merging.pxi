# Sums of parts as those of the whole, and what statistics follow from them. functional/moments.py
# says what the sums are, and why these.
#
# By strips of channels, whose sums stay in registers while the parts go by, so that of many parts
# no more than a cache holds is in use. A part is a step in the order of the parts.

from libc.math cimport fabs, sqrt

cdef enum:
    STRIP = 32              # channels

cdef double BEYOND = 2.0 ** -600  # squares that a double does not hold are those of x * BEYOND

cdef struct Sums:           # of one part, on a strip of channels
    double n                # values per channel
    const double *shift
    const double *rest      # what the shift lacks
    const double *total
    const double *squares   # negative ones are those of x * BEYOND


cdef struct Shift:          # what the sums of the whole are about
    double[STRIP] k
    double[STRIP] rest


cdef struct Whole:
    double[STRIP] total
    double[STRIP] squares


cdef inline void begin(Whole *whole) noexcept nogil:
    cdef Py_ssize_t c
    for c in range(STRIP):
        whole.total[c] = whole.squares[c] = -0.0  # the one number that changes no other


cdef inline void add_about(Whole *whole, const Sums *part, const Shift *to, double unit,
                           Py_ssize_t n) noexcept nogil:
    """whole += the sums of the part about the shift, of x * unit."""
    cdef Py_ssize_t c
    cdef double away, moved, total, own
    for c in range(n):
        own = unit / (BEYOND if part.squares[c] < 0 else 1.0)
        away = (part.shift[c] * unit - to.k[c] * unit) + (part.rest[c] - to.rest[c]) * unit
        total = part.total[c] * unit
        moved = total + part.n * away
        whole.total[c] += moved
        whole.squares[c] += fabs(part.squares[c]) * own * own + away * (total + moved)


cdef struct Parts:
    const double *at        # (parts, rows, C)
    const double *counts
    Py_ssize_t parts, rows, C


cdef inline bint see(Sums *part, const Parts *all, Py_ssize_t i, Py_ssize_t start,
                     const double *zeros) noexcept nogil:
    """OUT part: the i-th one from this channel on; False where it has no values."""
    cdef const double *at = all.at + i * all.rows * all.C + start
    part.n = all.counts[i]
    part.shift = at
    part.rest = zeros if all.rows == 3 else at + all.C
    part.total = at + (all.rows - 2) * all.C
    part.squares = at + (all.rows - 1) * all.C
    return part.n != 0


cdef void merge_strip(double *out, const Parts *all, Py_ssize_t start, Py_ssize_t n,
                      double count, const double *zeros) noexcept nogil:
    """OUT out: (4, C) from `start` on, n channels of it; some part has values."""
    cdef Py_ssize_t i, c, filled = 0, C = all.C
    cdef Shift first, near
    cdef Whole whole
    cdef Sums part
    cdef double[STRIP] best
    cdef bint[STRIP] finite
    cdef bint large = False
    cdef double d, k

    memset(&first, 0, sizeof(first))
    begin(&whole)
    for i in range(all.parts):
        if not see(&part, all, i, start, zeros):
            continue
        if not filled:
            memcpy(first.k, part.shift, n * sizeof(double))
            memcpy(first.rest, part.rest, n * sizeof(double))
            for c in range(n):
                out[c], out[C + c] = part.shift[c], part.rest[c]
                out[2 * C + c], out[3 * C + c] = part.total[c], part.squares[c]
        filled += 1
        add_about(&whole, &part, &first, 1.0, n)
    if filled == 1:  # it is the whole
        return

    # The shift that is nearest to its channel's mean
    near = first
    for c in range(n):
        best[c], finite[c] = fabs(0.0 - whole.total[c] / count), True
    for i in range(all.parts):
        if see(&part, all, i, start, zeros):
            for c in range(n):
                d = fabs(((part.shift[c] - first.k[c]) + (part.rest[c] - first.rest[c]))
                         - whole.total[c] / count)
                finite[c] &= isfinite(part.shift[c])
                if d < best[c] or (d != d and best[c] == best[c]):
                    best[c], near.k[c], near.rest[c] = d, part.shift[c], part.rest[c]

    begin(&whole)
    for i in range(all.parts):
        if see(&part, all, i, start, zeros):
            add_about(&whole, &part, &near, 1.0, n)
    for c in range(n):
        out[c], out[C + c] = near.k[c], near.rest[c]
        out[2 * C + c], out[3 * C + c] = whole.total[c], whole.squares[c]
        finite[c] &= not isfinite(whole.squares[c])
        large |= finite[c]
    if not large:
        return

    # About the mean, whose distance from all values is a number
    begin(&whole)
    for i in range(all.parts):
        if see(&part, all, i, start, zeros):
            add_about(&whole, &part, &first, BEYOND, n)
    for c in range(n):
        near.k[c] = (first.k[c] * BEYOND + whole.total[c] / count) / BEYOND
        near.rest[c] = 0.0
    begin(&whole)
    for i in range(all.parts):
        if see(&part, all, i, start, zeros):
            add_about(&whole, &part, &near, BEYOND, n)
    for c in range(n):
        if finite[c]:
            k = near.k[c]
            out[c], out[C + c] = k, 0 * k
            out[2 * C + c], out[3 * C + c] = whole.total[c] / BEYOND, -whole.squares[c]


def merge_sums(whole, counts, parts, double count):
    """OUT whole: shift, rest, total and squares, (4, C), of parts that have as many values.

    counts (parts,) and parts (parts, 4, C), or (parts, 3, C) without rest; count is the sum.
    """
    cdef Call call = Call.__new__(Call)
    cdef Channels sums, numbers
    cdef Parts all
    cdef double[STRIP] zeros
    cdef double *out
    cdef Py_ssize_t start = 0
    all.parts, all.rows, all.C = parts.shape
    call.borrow(&numbers, counts, all.parts, False, "counts")
    call.borrow(&sums, parts, -1, False, "parts")
    if numbers.single or sums.single or not 3 <= all.rows <= 4:
        refuse("parts", "3 or 4 rows of float64", f"{all.rows} of {parts.dtype}")
    out = call.table(whole, 4, all.C, "whole")
    all.at, all.counts = <const double *>sums.at, <const double *>numbers.at
    with nogil:
        memset(zeros, 0, sizeof(zeros))
        if count == 0:
            memset(out, 0, 4 * all.C * sizeof(double))
        else:
            while start < all.C:
                merge_strip(out + start, &all, start, min(<Py_ssize_t>STRIP, all.C - start), count,
                            zeros)
                start += STRIP


def follow_sums(rows, sums, Py_ssize_t count, double eps, Py_ssize_t ddof):
    """OUT rows: what follows from the sums (4, C) of so many values per channel, (8, C).

    mean, var and rstd; shift, total and squares without a rest of the shift; the squares about the
    mean, and what the mean, which is rounded, lacks. The variance is by count - ddof, but in rstd.
    """
    cdef Call call = Call.__new__(Call)
    cdef Py_ssize_t C = sums.shape[1], c
    cdef const double *of = call.table(sums, 4, C, "sums")
    cdef double *to = call.table(rows, 8, C, "rows")
    cdef double shift, rest, total, squares, unit, left, scaled, mean, near, part, away, moved
    cdef double n = max(<Py_ssize_t>1, count), freedom = max(<Py_ssize_t>1, count - ddof)
    with nogil:
        for c in range(C):
            shift, rest, total, squares = of[c], of[C + c], of[2 * C + c], of[3 * C + c]
            unit = BEYOND if squares < 0 else 1.0
            scaled = total * unit
            left = fabs(squares) - scaled * scaled / n
            if left < 0:
                left = 0
            mean = shift + (rest + total / n)
            to[c] = mean
            to[C + c] = left / freedom / unit / unit
            to[2 * C + c] = unit / sqrt(left / n + eps * unit * unit)
            near = shift + rest  # and what is left after rounding, exactly
            part = near - shift
            away = (shift - (near - part)) + (rest - part)
            moved = total + count * away
            to[3 * C + c], to[4 * C + c] = near, moved
            to[5 * C + c] = squares if squares < 0 else squares + away * (total + moved)
            to[6 * C + c] = left / unit / unit
            to[7 * C + c] = (shift - mean) + (rest + total / n)
