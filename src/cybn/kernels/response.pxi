# Local response normalization across channels: y = x * s^-beta, s = k + alpha/size * sum(x^2) over
# a window of `size` channels.
#
# A sample is C*L items in a row, and the next channel of an item lies L items further on. A window
# is therefore a sum of runs that lie L apart, whatever L is: one inner loop does for channels first
# and last. Every window is summed by itself, in the order of its channels. A running sum costs less
# for wide windows, but subtracts what it has added: after a large item the small ones are lost.
#
# The work is a grid of samples by panels. A large sample is cut along L, so that what its windows
# share stays in cache; a panel is then a run of items of each channel, and else all of a sample. An
# output depends on the input alone, so neither panels nor threads change a bit of it. Sums are kept
# in T: there are `size` terms, all of one sign. Where they, or what they are multiplied by, may
# leave the range of T, all is computed again in double: of a piece forward, of a panel backward.

cdef enum:
    PIECE = 512             # items that are worked on at a time
    PANEL_ITEMS = 262144    # items of a panel, all channels together
    NARROW_PANEL = 256      # items of a channel that a panel has at least, so that runs are long

cdef struct Response:
    S *out
    const S *x
    const S *dy
    Py_ssize_t out_stride, x_stride, dy_stride      # from sample to sample, in items
    Py_ssize_t N, C, L
    Py_ssize_t panel, panels        # items of a channel in a panel; panels to a sample
    Py_ssize_t before, after        # channels of a window on either side of its own
    double ratio, beta, k           # ratio: alpha/size


cdef struct Panel:          # `lines` runs of n items, L apart
    Py_ssize_t sample, start, lines, n


cdef inline Panel panel_of(Response *job, Py_ssize_t i) noexcept nogil:
    cdef Panel p
    p.sample, p.start = i // job.panels, i % job.panels * job.panel
    p.lines, p.n = job.C, min(job.panel, job.L - p.start)
    if job.panels == 1:
        p.lines, p.n = 1, job.C * job.L
    return p


cdef inline void add_window(A *s, const D *a, Py_ssize_t at, Py_ssize_t n, Py_ssize_t step,
                            Py_ssize_t size, Py_ssize_t before, Py_ssize_t after,
                            bint squared) noexcept nogil:
    """s[i] = sum of a[at + i + o*step], or of its square, over -before <= o <= after.

    OUT s: n, PIECE at the most. IN a: size items; what lies outside counts nothing.
    """
    cdef Py_ssize_t o, i, first, last, place
    cdef A[PIECE] room
    cdef A item
    for i in range(n):
        s[i] = 0
    for o in range(-before, after + 1):
        place = at + o * step
        first, last = max(<Py_ssize_t>0, -place), min(n, size - place)
        load(room, a + place + first, last - first)
        if squared:
            for i in range(first, last):
                item = loaded(room - first, a + place, i)
                s[i] += item * item
        else:
            for i in range(first, last):
                s[i] += loaded(room - first, a + place, i)


cdef inline A root(A value) noexcept nogil:
    if A is float:
        return sqrtf(value)
    else:
        return sqrt(value)


cdef inline void settle_scale(A *p, A *s, Py_ssize_t n, double ratio, double beta,
                              double k) noexcept nogil:
    """s = k + ratio*s, in place, and p = s^-beta; the usual betas without the cost of pow."""
    cdef Py_ssize_t i
    cdef A r
    for i in range(n):
        s[i] = <A>k + <A>ratio * s[i]
    if beta == 0.75:
        for i in range(n):
            r = root(s[i])
            p[i] = 1 / (r * root(r))
    elif beta == 0.5:
        for i in range(n):
            p[i] = 1 / root(s[i])
    elif beta == 1:
        for i in range(n):
            p[i] = 1 / s[i]
    else:
        for i in range(n):
            p[i] = <A>pow(s[i], -beta)


cdef inline bint any_beyond(const A *a, Py_ssize_t n, double least, double most) noexcept nogil:
    """Is the size of one of n items not between the two?"""
    cdef A low = <A>least, high = <A>most
    cdef bint found = False
    cdef Py_ssize_t i
    for i in range(n):
        found |= not ((a[i] >= low) & (a[i] <= high))
    return found


cdef inline bint scale_piece(Response *job, Panel panel, Py_ssize_t at, Py_ssize_t n, A *p,
                             A *s) noexcept nogil:
    """OUT s, p of n items, in A. Returns whether A may be too narrow for them.

    s below `most`, and above its reciprocal, leaves room for what is multiplied by it.
    """
    cdef double most = 2.0 ** 32 if sizeof(A) == sizeof(float) else 2.0 ** 256
    add_window(s, job.x + panel.sample * job.x_stride, at, n, job.L, job.C * job.L, job.before,
               job.after, True)
    settle_scale(p, s, n, job.ratio, job.beta, job.k)
    return any_beyond(s, n, 1 / most, most)


cdef inline bint write_piece(Response *job, Panel panel, Py_ssize_t at, Py_ssize_t n,
                             A kind) noexcept nogil:
    """y of n items, computed in A.

    Returns whether A is too narrow for them; nothing is written then, if there is a wider type.
    """
    cdef const S *x = job.x + panel.sample * job.x_stride + at
    cdef S *y = job.out + panel.sample * job.out_stride + at
    cdef Py_ssize_t i
    cdef A[PIECE] s
    cdef A[PIECE] p
    cdef A[PIECE] room
    if unlikely(scale_piece(job, panel, at, n, p, s)) and sizeof(A) < sizeof(double):
        return True
    load(room, x, n)
    for i in range(n):
        put(y, room, i, loaded(room, x, i) * p[i])
    store(y, room, n)
    return False


cdef void respond_panel(Response *job, Panel panel) noexcept nogil:
    cdef Py_ssize_t line, piece, at, n
    for line in range(panel.lines):
        for piece in range(ceil_div(panel.n, PIECE)):
            at = panel.start + line * job.L + piece * PIECE
            n = min(<Py_ssize_t>PIECE, panel.n - piece * PIECE)
            if unlikely(write_piece(job, panel, at, n, <T>0)):
                write_piece(job, panel, at, n, <double>0)


cdef bint pull_panel(Response *job, Panel panel, A *scratch) noexcept nogil:
    """OUT scratch: p = s^-beta and pull = dy*y/s of the items of a panel, in A.

    Returns whether A may be too narrow for them.
    """
    cdef const S *x = job.x + panel.sample * job.x_stride
    cdef const S *dy = job.dy + panel.sample * job.dy_stride
    cdef Py_ssize_t line, piece, j, i, n, at, here
    cdef double most = 2.0 ** 100 if sizeof(A) == sizeof(float) else 2.0 ** 900
    cdef A *p = scratch
    cdef A *pull = scratch + panel.lines * panel.n
    cdef A[PIECE] s
    cdef A[PIECE] size
    cdef A[PIECE] room
    cdef A[PIECE] dy_room
    cdef bint beyond = False
    for line in range(panel.lines):
        for piece in range(ceil_div(panel.n, PIECE)):
            j = piece * PIECE
            at, here = panel.start + line * job.L + j, line * panel.n + j
            n = min(<Py_ssize_t>PIECE, panel.n - j)
            beyond |= scale_piece(job, panel, at, n, p + here, s)
            load(room, x + at, n)
            load(dy_room, dy + at, n)
            for i in range(n):
                pull[here + i] = (loaded(dy_room, dy + at, i) * loaded(room, x + at, i)
                                  * p[here + i] / s[i])
            for i in range(n):
                size[i] = fabs(pull[here + i])
            beyond |= any_beyond(size, n, 0, most)
    return beyond


cdef loop write_pulled(Response *job, Panel panel, const A *scratch) noexcept nogil:
    """dx of a panel, from what pull_panel found."""
    cdef const S *x = job.x + panel.sample * job.x_stride
    cdef const S *dy = job.dy + panel.sample * job.dy_stride
    cdef S *dx = job.out + panel.sample * job.out_stride
    cdef Py_ssize_t step = panel.n if panel.lines > 1 else job.L, items = panel.lines * panel.n
    cdef Py_ssize_t line, piece, j, i, n, at, here
    cdef const A *p = scratch
    cdef const A *pull = scratch + items
    cdef A factor = <A>(2 * job.ratio * job.beta)
    cdef A[PIECE] s
    cdef A[PIECE] room
    cdef A[PIECE] dy_room
    for line in range(panel.lines):
        for piece in range(ceil_div(panel.n, PIECE)):
            j = piece * PIECE
            at, here = panel.start + line * job.L + j, line * panel.n + j
            n = min(<Py_ssize_t>PIECE, panel.n - j)
            add_window(s, pull, here, n, step, items, job.after, job.before, False)
            load(room, x + at, n)
            load(dy_room, dy + at, n)
            for i in range(n):
                put(dx + at, room, i, loaded(dy_room, dy + at, i) * p[here + i]
                    - factor * loaded(room, x + at, i) * s[i])
            store(dx + at, room, n)


cdef void respond_back_panel(Response *job, Panel panel, double *scratch) noexcept nogil:
    """dx = dy*p - 2*ratio*beta*x * sum(dy*y/s), over the windows that the item is in.

    Scratch: room for 2 arrays of the items of the panel.
    """
    if unlikely(pull_panel(job, panel, <T *>scratch)):
        pull_panel(job, panel, scratch)
        write_pulled(job, panel, <const double *>scratch)
    else:
        write_pulled(job, panel, <const T *>scratch)


cdef void respond_panels(Response *job, Py_ssize_t start, Py_ssize_t stop,
                         double *scratch) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(start, stop):
        if job.dy == NULL:
            respond_panel(job, panel_of(job, i))
        else:
            respond_back_panel(job, panel_of(job, i), scratch)


cdef int set_response(Response *job, const S[:, :, :] x, Py_ssize_t size, double alpha,
                      double beta, double k) except -1:
    memset(job, 0, sizeof(Response))
    job.N, job.C, job.L = x.shape[0], x.shape[1], x.shape[2]
    job.x, job.x_stride = &x[0, 0, 0], row_stride(x)
    job.before = min(size // 2, job.C - 1)
    job.after = min((size - 1) // 2, job.C - 1)
    job.ratio, job.beta, job.k = alpha / size, beta, k
    job.panels = 1
    if job.C * job.L > PANEL_ITEMS:
        job.panels = ceil_div(job.L, max(<Py_ssize_t>NARROW_PANEL, PANEL_ITEMS // job.C))
    job.panel = ceil_div(job.L, job.panels)
    if job.panels > 1:
        job.panel = ceil_div(job.panel, STRIP) * STRIP
        job.panels = ceil_div(job.L, job.panel)
    return 0


cdef void run_response(Response *job, double *scratch, Py_ssize_t room, int threads) noexcept nogil:
    """Share the panels out to threads, with `room` items of scratch for each."""
    cdef Py_ssize_t t, total = job.N * job.panels
    cdef Team team
    if threads == 1:        # without a team of one
        respond_panels(job, 0, total, scratch)
        return
    gather(&team, threads, total)
    for t in prange(threads, num_threads=threads, schedule="static", chunksize=1):
        begin_share(&team, t)
        respond_panels(job, total * t // threads, total * (t + 1) // threads, scratch + t * room)
        end_share(&team, t)
    part_ways(&team)


cdef int check_size(Py_ssize_t size, int threads) except -1:
    if size < 1:
        refuse("size", "1 or more", size)
    return check_threads(threads)


def response_forward(S[:, :, :] y, const S[:, :, :] x, Py_ssize_t size, double alpha, double beta,
                     double k, int threads):
    """OUT y, which must not be x. IN x (N, C, L)."""
    cdef Response job
    check_view(x, x, "x")
    check_view(y, x, "y")
    check_size(size, threads)
    set_response(&job, x, size, alpha, beta, k)
    job.out, job.out_stride = &y[0, 0, 0], row_stride(y)
    with nogil:
        run_response(&job, NULL, 0, threads)


def response_backward(S[:, :, :] dx, const S[:, :, :] dy, const S[:, :, :] x, Py_ssize_t size,
                      double alpha, double beta, double k, int threads):
    """OUT dx, which may be dy. IN dy, x (N, C, L)."""
    cdef Call call = Call.__new__(Call)
    cdef Response job
    cdef Py_ssize_t room
    cdef double *scratch
    check_view(x, x, "x")
    check_view(dy, x, "dy")
    check_view(dx, x, "dx")
    check_size(size, threads)
    set_response(&job, x, size, alpha, beta, k)
    job.out, job.out_stride = &dx[0, 0, 0], row_stride(dx)
    job.dy, job.dy_stride = &dy[0, 0, 0], row_stride(dy)
    room = 2 * job.C * job.panel
    call.doubles(threads * room)
    call.allocate()
    scratch = call.doubles(threads * room)
    with nogil:
        run_response(&job, scratch, room, threads)
