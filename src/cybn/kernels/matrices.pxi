# Products of matrices for whitening: covariances of channels over positions, channels mapped by a
# matrix, and products of square matrices. All are out += a^T b of panels (panels.pxi):
#
#     covariances      out[i, j] = sum of a'_i b'_j, over positions
#     map_channels     y[i, p] = (sum of W[i, j]*a'_j[p])*scale + shift, over channels
#     square_products  out = a b + c e
#
# with a' = (a - centre)*scale. x is (N, C, L), G groups of d = C/G channels side by side; the
# m = N*L positions are cut by the shape alone, and threads share the pieces out. Covariances and
# squares are in double, maps in the dtype of the data.
#
# Rejected: BLAS, whose order of summation follows its threads and the CPU; covariances in float32,
# whose errors the inverse root magnifies.

include "panels.pxi"

cdef enum:
    CHUNK = 1024        # positions of a group that are worth a sum of their own,
    MOST_CHUNKS = 8     # so many at the most,
    MOST_SUMS = 1 << 22     # and so many doubles for them


# Covariances.

cdef struct Gram:
    Field a, b
    bint upper                      # of a with itself
    Py_ssize_t d, m, chunks, units
    double *sums                    # (units, panels(d), panels(d))


cdef void sum_chunk(Gram *job, Py_ssize_t unit, double *scratch) noexcept nogil:
    """Unit: a group and a chunk of positions."""
    cdef Py_ssize_t d = job.d, wide = panels(d)
    cdef Py_ssize_t first = unit // job.chunks * d, chunk = unit % job.chunks
    cdef Py_ssize_t p = job.m * chunk // job.chunks, end = job.m * (chunk + 1) // job.chunks, n
    cdef double *out = job.sums + unit * wide * wide
    cdef double *other = scratch
    memset(out, 0, wide * wide * sizeof(double))
    while p < end:
        n = min(<Py_ssize_t>DEEP, end - p)
        pack_channels(scratch, &job.a, first, d, p, n)
        if not job.upper:
            other = scratch + wide * DEEP
            pack_channels(other, &job.b, first, d, p, n)
        add_product(out, wide, scratch, other, wide, wide, n, job.upper)
        p += n


cdef void sum_chunks(Gram *job, Py_ssize_t t, int threads, double *scratch) noexcept nogil:
    """Every `threads`-th unit from `t` on."""
    while t < job.units:
        sum_chunk(job, t, scratch)
        t += threads


cdef void merge_chunks(Gram *job, double *out, Py_ssize_t group, double scale) noexcept nogil:
    """OUT out: (d, d), the sums of the chunks of a group in their order, by scale."""
    cdef Py_ssize_t i, j, k, at, d = job.d, wide = panels(d)
    cdef const double *sums = job.sums + group * job.chunks * wide * wide
    cdef double s
    for i in range(d):
        for j in range(d):
            at = j * wide + i if job.upper and j < i else i * wide + j
            s = sums[at]
            for k in range(1, job.chunks):
                s += sums[k * wide * wide + at]
            out[i * d + j] = s * scale


cdef int set_field(Field *field, Call call, Data *data, x, const Data *like, before,
                   str name) except -1:
    """OUT field, data: those of x."""
    lend_data(data, call, x, False, like, name)
    if data.letter != b"f" and data.letter != b"d":
        refuse(name, "float32 or float64", x.dtype)
    field.x, field.stride, field.single = data.at, data.stride, data.letter == b"f"
    field.C, field.L = data.shape[1], data.shape[2]
    field.centre = call.table(before, 2, field.C, name + "_before")
    field.scale = field.centre + field.C
    return 0


cdef Py_ssize_t size_of_groups(Py_ssize_t channels, Py_ssize_t groups) except -1:
    if groups < 1 or channels % groups:
        refuse("a number of groups", f"a divisor of {channels}", groups)
    return channels // groups


def covariances(out, a, a_before, b, b_before, Py_ssize_t groups, double scale, int threads):
    """OUT out (C, d), a matrix of each group: scale * sum of a' b'^T, of a' = (a - centre)*scale.

    IN a, b (N, C, L), float32 or float64; b may be None, for a again. What is before, a centre and
    a scale, (2, C).
    """
    cdef Call call = Call.__new__(Call)
    cdef Gram job
    cdef Data data, other
    cdef Py_ssize_t C, wide, u
    cdef double *to
    cdef double *scratch
    cdef Team team
    cdef int t
    memset(&job, 0, sizeof(Gram))
    check_threads(threads)
    set_field(&job.a, call, &data, a, NULL, a_before, "a")
    job.upper = b is None
    if not job.upper:
        set_field(&job.b, call, &other, b, &data, b_before, "b")
    C, job.m = data.shape[1], data.shape[0] * data.shape[2]
    job.d = size_of_groups(C, groups)
    wide = panels(job.d)
    job.chunks = min(job.m // CHUNK, MOST_SUMS // (groups * wide * wide))
    job.chunks = max(<Py_ssize_t>1, min(job.chunks, <Py_ssize_t>MOST_CHUNKS))
    to = call.table(out, C, job.d, "out")
    job.units = groups * job.chunks
    call.doubles(job.units * wide * wide + threads * 2 * wide * DEEP + TILE)
    call.allocate()
    job.sums = call.doubles(job.units * wide * wide + threads * 2 * wide * DEEP)
    scratch = job.sums + job.units * wide * wide
    with nogil:
        if threads == 1:
            sum_chunks(&job, 0, 1, scratch)
        else:
            gather(&team, threads, job.units)
            for t in prange(threads, num_threads=threads, schedule="static", chunksize=1):
                begin_share(&team, t)
                sum_chunks(&job, t, threads, scratch + t * 2 * wide * DEEP)
                end_share(&team, t)
            part_ways(&team)
        for u in range(groups):
            merge_chunks(&job, to + u * job.d * job.d, u, scale)


# Channels mapped by a matrix.

cdef struct Mapped:
    Field out, a, b
    const double *scale             # (C,)
    const double *shift
    double *matrices                # of each group, (deep, d) in panels
    Py_ssize_t d, m, blocks, units
    Py_ssize_t deep                 # d for each of a and b


cdef void map_block(Mapped *job, Py_ssize_t unit, A *scratch) noexcept nogil:
    """Unit: a group and a block of positions. In the type of the scratch."""
    cdef Py_ssize_t d = job.d, wide = panels(d), group = unit // job.blocks
    cdef Py_ssize_t p = unit % job.blocks * DEEP, n = min(<Py_ssize_t>DEEP, job.m - p), i
    cdef A *out = scratch + job.deep * DEEP
    memset(out, 0, wide * DEEP * sizeof(A))
    pack_positions(scratch, &job.a, group * d, d, p, n, job.deep)
    if job.deep > d:
        pack_positions(scratch + d * TILE, &job.b, group * d, d, p, n, job.deep)
    add_product(out, DEEP, <A *>job.matrices + group * job.deep * wide, scratch, wide, n, job.deep,
                False)
    for i in range(d):
        write_row(job, out + i * DEEP, group * d + i, p, n)


cdef void map_blocks(Mapped *job, Py_ssize_t t, int threads, double *scratch) noexcept nogil:
    """Every `threads`-th unit from `t` on."""
    while t < job.units:
        if job.a.single:
            map_block(job, t, <float *>scratch)
        else:
            map_block(job, t, scratch)
        t += threads


cdef inline void write_row(Mapped *job, const A *row, Py_ssize_t c, Py_ssize_t p,
                           Py_ssize_t n) noexcept nogil:
    """To out: n positions of a channel from p on, row*scale + shift."""
    cdef Py_ssize_t k, run, L = job.a.L, step = job.out.stride // <Py_ssize_t>sizeof(A)
    cdef double scale = job.scale[c], shift = job.shift[c]
    cdef A *y
    while n > 0:
        y = <A *>at_position(&job.out, c, p)
        if L == 1:
            run = n
            for k in range(n):
                y[k * step] = <A>(row[k] * scale + shift)
        else:
            run = min(n, L - p % L)
            for k in range(run):
                y[k] = <A>(row[k] * scale + shift)
        row, p, n = row + run, p + run, n - run


def map_channels(out, after, a, a_before, b, b_before, matrices, Py_ssize_t groups, int threads):
    """OUT out: (W^T a' + V^T b')*scale + shift of a' = (a - centre)*scale, each group by itself.

    out may be a or b. IN a, b (N, C, L), float32 or float64, b may be None; what is before, a
    centre and a scale, and after, a scale and a shift, (2, C); matrices (C, d), W of each group, or
    (2*C, d), V beneath W.
    """
    cdef Call call = Call.__new__(Call)
    cdef Mapped job
    cdef Data data, other
    cdef Py_ssize_t C, wide, u, room, at
    cdef const double *given
    cdef double *scratch
    cdef Team team
    cdef int t
    memset(&job, 0, sizeof(Mapped))
    check_threads(threads)
    set_field(&job.a, call, &data, a, NULL, a_before, "a")
    lend_data(&other, call, out, True, &data, "out")
    job.out = job.a
    job.out.x, job.out.stride = other.at, other.stride
    if b is not None:
        set_field(&job.b, call, &other, b, &data, b_before, "b")
    C, job.m = data.shape[1], data.shape[0] * data.shape[2]
    job.d = size_of_groups(C, groups)
    job.deep, wide = (1 if b is None else 2) * job.d, panels(job.d)
    given = call.table(matrices, groups * job.deep, job.d, "matrices")
    job.scale = call.table(after, 2, C, "after")
    job.shift = job.scale + C
    job.blocks = ceil_div(job.m, <Py_ssize_t>DEEP)
    job.units, room = groups * job.blocks, (job.deep + wide) * DEEP
    call.doubles(groups * job.deep * wide + threads * room + TILE)
    call.allocate()
    job.matrices = call.doubles(groups * job.deep * wide + threads * room)
    scratch = job.matrices + groups * job.deep * wide
    for u in range(groups):
        at = u * job.deep * wide
        if job.a.single:
            pack_rows(<float *>job.matrices + at, given + u * job.deep * job.d, job.deep, job.d,
                      job.deep)
        else:
            pack_rows(job.matrices + at, given + u * job.deep * job.d, job.deep, job.d, job.deep)
    with nogil:
        if threads == 1:
            map_blocks(&job, 0, 1, scratch)
        else:
            gather(&team, threads, job.units)
            for t in prange(threads, num_threads=threads, schedule="static", chunksize=1):
                begin_share(&team, t)
                map_blocks(&job, t, threads, scratch + t * room)
                end_share(&team, t)
            part_ways(&team)


# Square matrices.

cdef struct Square:
    double *out                     # (groups, wide, wide)
    double *left                    # (groups, deep, d) in panels
    double *right
    Py_ssize_t d, deep, wide, units


cdef void multiply_panel(Square *job, Py_ssize_t unit) noexcept nogil:
    """Unit: a group and a panel of the rows of its product."""
    cdef Py_ssize_t wide = job.wide, group = unit // (wide // TILE), j
    cdef Py_ssize_t i = unit % (wide // TILE) * TILE
    cdef double *out = job.out + (group * wide + i) * wide
    cdef const double *left = job.left + (group * wide + i) * job.deep
    memset(out, 0, TILE * wide * sizeof(double))
    add_product(out + i, wide, left, job.right + (group * wide + i) * job.deep, TILE, wide - i,
                job.deep, False)


cdef void multiply_panels(Square *job, Py_ssize_t t, int threads) noexcept nogil:
    """Every `threads`-th unit from `t` on."""
    while t < job.units:
        multiply_panel(job, t)
        t += threads


cdef void pack_squares(Square *job, double *to, const double *a, Py_ssize_t groups,
                       Py_ssize_t first) noexcept nogil:
    """A matrix of each group, from row `first` of its panels on."""
    cdef Py_ssize_t u, d = job.d
    for u in range(groups):
        pack_rows(to + u * job.wide * job.deep + first * TILE, a + u * d * d, d, d, job.deep)


cdef void mirror(double *to, const double *upper, Py_ssize_t d, Py_ssize_t wide) noexcept nogil:
    """OUT to: (d, d), as `upper` has it, and below the diagonal what is above.

    By tiles, since that is read down.
    """
    cdef Py_ssize_t row, column, i, j, below, beside
    for i in range(d):
        memcpy(to + i * d + i, upper + i * wide + i, (d - i) * sizeof(double))
    for row in range(wide // TILE):
        below = min(d, (row + 1) * TILE)
        for column in range(row + 1):
            for i in range(row * TILE, below):
                beside = min(i, (column + 1) * TILE)
                for j in range(column * TILE, beside):
                    to[i * d + j] = upper[j * wide + i]


def square_products(out, a, b, c, e, Py_ssize_t groups, Py_ssize_t d, int threads):
    """OUT out: a b + c e, which is known to be symmetric, as are a and c.

    All are (groups*d, d), a matrix of each group; c and e may be None. What is computed is the
    upper half.
    """
    cdef Call call = Call.__new__(Call)
    cdef Square job
    cdef double *to
    cdef Team team
    cdef int t
    cdef Py_ssize_t u
    check_threads(threads)
    if groups < 1 or d < 1:
        refuse("a number of groups, and channels to a group,", "1 or more", min(groups, d))
    job.d, job.wide, job.deep = d, panels(d), d if c is None else 2 * d
    job.units = groups * job.wide // TILE
    to = call.table(out, groups * d, d, "out")
    call.doubles(groups * job.wide * (job.wide + 2 * job.deep) + TILE)
    call.allocate()
    job.out = call.doubles(groups * job.wide * (job.wide + 2 * job.deep))
    job.left = job.out + groups * job.wide * job.wide
    job.right = job.left + groups * job.wide * job.deep
    pack_squares(&job, job.left, call.table(a, groups * d, d, "a"), groups, 0)
    pack_squares(&job, job.right, call.table(b, groups * d, d, "b"), groups, 0)
    if c is not None:
        pack_squares(&job, job.left, call.table(c, groups * d, d, "c"), groups, d)
        pack_squares(&job, job.right, call.table(e, groups * d, d, "e"), groups, d)
    with nogil:
        if threads == 1:
            multiply_panels(&job, 0, 1)
        else:
            gather(&team, threads, job.units)
            for t in prange(threads, num_threads=threads, schedule="static", chunksize=1):
                begin_share(&team, t)
                multiply_panels(&job, t, threads)
                end_share(&team, t)
            part_ways(&team)
        for u in range(groups):
            mirror(to + u * d * d, job.out + u * job.wide * job.wide, d, job.wide)
