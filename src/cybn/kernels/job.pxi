# What one call of a kernel works on. Filled in by the entry points, read by every step.

cdef enum:
    COEFS = 5           # arrays of coefficients a job has room for
    LONG_ROW = 64       # from here on rows are walked as rows
    FEW_ROWS = 8        # below this short rows are, too, if they fill the lanes
    STRIDE_AHEAD = 512  # items to fetch ahead where memory is read straight on
    UNIT_BYTES = 1 << 20        # what a cache of the second level holds
    L3_SHARES = 4               # `cache` is that part of the last level, or more
    FEW_ITEMS = 64      # up to here float32 is summed in double outright: nothing to gain by less
    MOST_SCRATCH = 1 << 23      # bytes; or where that is more, the bytes of x over
    SCRATCH_SHARE = 8

cdef enum Task:
    NORMALIZE           # y from x and its own statistics
    INFERENCE           # y from x and given statistics
    GRADIENT            # dx through the statistics, dweight, dbias
    GRADIENT_INFERENCE  # dx past the statistics, dweight, dbias

cdef struct Job:
    Task task
    bint columns            # walk the view as columns, else as rows
    Py_ssize_t units, blocks, unit_bytes
    Py_ssize_t tile         # channels to a unit
    Py_ssize_t look         # the tile by the shape alone: doubtful channels are looked at in these
    Py_ssize_t part         # channels to a part, of which one after the other has the scratch
    Py_ssize_t channel_sums     # doubles for the sums of a channel
    # The view: out, x and dy are (N, C, L); L and C lie close, N at these strides, in items.
    S *out
    const S *x
    const S *dy
    Py_ssize_t out_stride, x_stride, dy_stride
    # What is fused: y = gate(norm(x) + residual); backward tells from y where the gate was open,
    # and writes the gradient of the residual. They have rows like out; each may be NULL.
    bint gating
    T slope, most
    const void *bend        # a curve in place of the gate (curves.pxi), or NULL
    Job *before             # another on the same grid that is done first, unit by unit; or NULL:
    const S *given          # what it multiplies by f', or NULL where it writes f
    Py_ssize_t given_stride
    const S *residual
    const S *y
    S *dresidual
    Py_ssize_t residual_stride, y_stride, dresidual_stride
    Py_ssize_t N, C, L
    bint stream             # write out past the caches
    Py_ssize_t ahead        # from what is applied to what is to be fetched meanwhile, in items
    # Rows: a block is `rows` rows of up to ROW_BLOCK items, `pieces` blocks side by side.
    Py_ssize_t rows, pieces
    # Columns: `fold` rows of the view lie side by side in one of `width` positions, `lines` of
    # those and `left` items over; `block_lines` of them are a block.
    Py_ssize_t fold, lines, left, block_lines
    Py_ssize_t step         # lines summed side by side
    Py_ssize_t reach        # lines from what is summed to what is fetched; 0: to the next step
    bint back               # write from the end on, since a cache may hold what was summed last
    bint wide               # partial sums in double
    # Per channel, double.
    double *mean
    double *var
    double *rstd
    double *weight
    double *bias
    double *dweight
    double *dbias
    double eps
    # Of a batch that x is a part of (functional/halves.py):
    bint sums_given         # dweight and dbias are there, as if they were of x alone
    double count            # values per channel that the sums of moments are of
    double *shift           # those sums, k, s1 and s2, of all channels: OUT of moments, IN of an
    double *total           # output; or NULL
    double *squares
    double *k               # the shift that sums are about
    double *s1              # the sums, when the blocks are merged
    double *s2
    double *rest            # what the mean, rounded to T, lacks
    double *unit            # 0, or what x is multiplied by where it is doubtful (wide.pxi)
    char *doubtful          # per unit: is any of its channels?
    # Scratch, for the channels of a part, as are the last six above.
    double *sums
    double *centre          # columns: the shift of every position where sums are kept in double
    T *coef                 # COEFS arrays of `width` items
    T *channel              # COEFS arrays of C items
    Py_ssize_t width, each  # `each` positions side by side belong to one channel


cdef inline Py_ssize_t ceil_div(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return (a + b - 1) // b


cdef inline Py_ssize_t all_bytes(Job *job) noexcept nogil:
    """What all units read."""
    return job.unit_bytes // job.tile * job.C


cdef inline Py_ssize_t first_channel(Job *job, Py_ssize_t u) noexcept nogil:
    return u * job.tile


cdef inline Py_ssize_t last_channel(Job *job, Py_ssize_t u) noexcept nogil:
    return min((u + 1) * job.tile, job.C)
