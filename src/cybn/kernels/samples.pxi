# Norms of a sample by itself (layer, RMS, group, instance): x as (rows, n), moments over each row.
#
# A row is cut into cells, and weight and bias lie on it in one of two ways:
#
# - by items (layer norm): each item has its own. A cell is a piece of ROW_BLOCK items, read with
#   the weights beside it, and dweight and dbias are summed down the rows. So that threads share
#   them out in an order that the shape alone fixes, rows are split into shards with sums of their
#   own.
# - by runs (group and instance norm): `run` items side by side share one. A cell is a run or a
#   piece of one, its coefficients are scalars, and its sums of dy and dy*xhat are kept, to be added
#   up per channel in the end. Where runs are short, rows are written whole, with weights spread out
#   to items. Runs too short for sums of their own are spread out to items from the first.
#
# The moments are those of rows.pxi: sums about an item of the row, looked at again in double where
# they are not to be trusted. Where nothing is centred they may be those of a row's first items.

cdef enum:
    SHORT_RUN = 64          # shorter runs are spread out to items,
    SHORT_BACK = 32         # in backward, where sums by items cost more, shorter ones than this;
    FEW_LANES = 512         # shorter runs are summed in eight lanes,
    WHOLE_RUN = 256         # and of shorter ones than this rows are written whole,
    LEAST_SPREAD = 4        # if weights that are spread out serve so many rows
    FEWEST_SHARED = 32      # rows to a shard, and
    MOST_SHARDS = 64        # shards, at the most
    NEAR_ROW = 8192         # items of a row that is asked for while the one before it is written
    TILE_ROWS = 16          # short rows taken together: their square roots do not wait for another
    TILE_ITEMS = 8192       # of x, or of x and dy: as many again are fetched meanwhile
    NEAR_ITEMS = 4096       # of short runs, and forward by runs: what the first level holds
    MOST_CELLS = 16         # cells that are laid out together
    HELD_BYTES = 1 << 19    # of all data, which a cache of the second level holds

cdef struct Samples:
    bint centred, items, affine
    bint short, whole       # backward by runs: are they short, are rows written whole?
    bint several            # several runs to a row, each of one cell: rows are taken whole
    bint summed             # backward: the sums of rows are in g_mean and g_xhat
    bint odd                # are there weights, or biases, that T should not multiply?
    S *out
    const S *x
    const S *dy
    const S *residual       # what is added before out is written; or NULL
    const void *bend        # a gate or curve that follows (curves.pxi), of slope and most; or NULL
    T slope, most
    const S *given          # backward past it: dy is given*f'(z), to be written to g first; or NULL
    S *g
    Py_ssize_t rows, n
    Py_ssize_t counted      # the moments are those of so many items of a row, the first
    Py_ssize_t run, parts   # items to a run; cells to a run
    Py_ssize_t cells        # cells to a row
    Py_ssize_t pieces       # pieces to a row, for the moments
    Py_ssize_t groups       # rows until weight and bias begin again
    Py_ssize_t owners       # runs of a row: each has a weight of its own
    Py_ssize_t shard, shards
    bint stream
    Py_ssize_t tile         # rows taken together where they are near
    Py_ssize_t ahead        # from what is written to what is to be fetched meanwhile, in items,
    Py_ssize_t sum_ahead    # and from what is summed; 0: nothing is
    double eps
    double *mean            # (rows,) each
    double *var
    double *rstd
    double *g_mean          # mean of g = dy*weight, and of g*xhat
    double *g_xhat
    double *rest            # what the mean, rounded to T, lacks
    double *unit            # 0, or what x is multiplied by where a row is doubtful
    double *centre          # doubtful rows: what g is taken about; g_mean is that of the rest
    double *sums            # 3 for each piece forward, 2 for each cell backward,
    Py_ssize_t row          # for the rows from this one on,
    Py_ssize_t row_sums     # so many for each
    double *weight          # by runs (groups * n/run,); by items (groups * n,) where they are odd
    double *bias
    double least            # the least size of a weight by runs, other than 0
    T *weights              # by items, or NULL: (groups * n,)
    T *biases
    T *item_sums            # by items: (threads, 2, stride), on the way to `shared`
    Py_ssize_t stride       # groups * n, in whole cache lines
    double *shared          # by items: (shards, 2, groups * n): sums of dy, of dy*xhat


cdef struct Cell:           # items [at, at + n) of all rows; by items, its weights begin at place
    Py_ssize_t at, n, place


cdef struct Lines:          # cells side by side, or rows: what the loops need of each
    T[MOST_CELLS] mean
    T[MOST_CELLS] scale
    T[MOST_CELLS] shift
    T[MOST_CELLS] dy_mean
    T[MOST_CELLS] along
    T[MOST_CELLS] weight

cdef struct Halves:         # their lanes, folded to eight: two sums of each
    T[2 * MOST_CELLS][8] sums


cdef leaf fold_halves(double *out, const Halves *halves, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(2 * count):
        fold_eight(out + i, halves.sums[i])


cdef inline always lay_out_rests(Lines *lines, double *rests, const double *means,
                                 const double *rstds) noexcept nogil:
    """OUT lines: mean and shift; rests: what xhat is too large by for the mean is rounded."""
    cdef Py_ssize_t c
    for c in range(MOST_CELLS):
        lines.mean[c] = <T>means[c]
    for c in range(MOST_CELLS):
        rests[c] = (means[c] - lines.mean[c]) * rstds[c]
    for c in range(MOST_CELLS):
        lines.shift[c] = <T>-rests[c]


cdef inline void coefs_of(T *coefs, const Lines *lines, Py_ssize_t i) noexcept nogil:
    """OUT coefs: those of weighted_run."""
    coefs[0], coefs[1], coefs[2] = lines.mean[i], lines.scale[i], lines.shift[i]
    coefs[3], coefs[4] = lines.dy_mean[i], lines.along[i]


cdef inline Cell cell_of(Samples *job, Py_ssize_t c) noexcept nogil:
    """Cell c, counted through all rows."""
    cdef Cell cell
    cdef Py_ssize_t run = c, part = 0, width = job.groups * job.n
    if job.parts > 1:
        run = c // job.parts
        part = c - run * job.parts
    cell.at = run * job.run + part * ROW_BLOCK
    cell.n = min(<Py_ssize_t>ROW_BLOCK, job.run - part * ROW_BLOCK) if job.parts > 1 else job.run
    cell.place = 0
    if job.items:
        cell.place = cell.at % width if cell.n < width else 0
    return cell


cdef inline Py_ssize_t place_after(Py_ssize_t place, Py_ssize_t n, Py_ssize_t width) noexcept nogil:
    """By items, where the weights begin of the cell after one of n."""
    return place + n if place + n < width else 0


cdef inline Py_ssize_t group_of(Samples *job, Py_ssize_t r) noexcept nogil:
    return r % job.groups if job.groups > 1 else 0


cdef inline Py_ssize_t piece_length(Samples *job, Py_ssize_t i) noexcept nogil:
    return min(<Py_ssize_t>ROW_BLOCK, job.counted - i * ROW_BLOCK)


cdef inline const S *from_at(const S *a, Py_ssize_t at) noexcept nogil:
    if a == NULL:
        return NULL
    return a + at


# The steps. Pieces and cells are counted through all rows, so that [start, stop) is some of a row,
# or of many: what a call costs is paid once for a tile of short ones.
#
# What the loops need of cells is laid out for some of them first, in loops that become vectors, as
# if there were MOST_CELLS of them: a short cell is soon done, and what leads up to it would take
# longer than itself. They are rows, or cells of one row, which have all but their weights from it.

cdef inline Py_ssize_t together(Samples *job, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    """How many cells from `start` on are laid out together."""
    cdef Py_ssize_t most = min(<Py_ssize_t>MOST_CELLS, stop - start)
    if job.parts > 1:
        return 1
    return min(most, job.cells - start % job.cells) if job.cells > 1 else most


cdef const double *filled_up(double *room, const double *values, Py_ssize_t count) noexcept nogil:
    """`count` values, and the last of them until there are MOST_CELLS: in `room`, or as they are.

    Loops of a known length are vectors without an end.
    """
    cdef Py_ssize_t c
    cdef double last = values[count - 1]
    if count == MOST_CELLS:
        return values
    for c in range(MOST_CELLS):
        room[c] = last
    memcpy(room, values, count * sizeof(double))
    return room


cdef inline const double *of_rows(Samples *job, double *room, const double *values,
                                  Py_ssize_t start, Py_ssize_t count) noexcept nogil:
    """For `count` cells from `start` on, MOST_CELLS values of their rows: see filled_up."""
    if job.cells == 1:
        return filled_up(room, values + start, count)
    return filled_up(room, values + start // job.cells, 1)


cdef inline const double *of_runs(Samples *job, double *room, const double *values,
                                  Py_ssize_t start, Py_ssize_t count) noexcept nogil:
    """For `count` cells, the values of their runs, weights or biases: as of_rows."""
    cdef Py_ssize_t last = job.groups * job.cells, i = start % last, c
    if job.parts > 1:
        return filled_up(room, values + i // job.parts, 1)
    if i + count <= last:
        return filled_up(room, values + i, count)
    for c in range(MOST_CELLS):
        room[c] = values[i]
        i = i + 1 if i + 1 < last else 0
    return room
