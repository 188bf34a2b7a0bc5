# Norms with a function of their own (points.pxi), y = a*f(x; v, s, t) + b, where each coefficient
# is one number for each map, that is for each channel of each sample, or for each channel.
#
#     forward     y  = a*f + b; THRESHOLD: f                  coefs v, s, t, a, b
#     sums        of dy*f and of dy times the slopes          coefs v, s, t
#     gradient    dx = dy*a*f_x + (x - m)*k + c               coefs v, s, t, a, m, k, c
#
# with sums by map. What lies between, how the coefficients follow from moments and sums, is a few
# numbers for each map, and NumPy's. Everything is computed in double and rounded once, so that no
# data of fewer bits is too large or small for what is multiplied; tanh alone is in T, since it
# is all arithmetic, and of no such products.
#
# x is (N, A, B): channels on A and positions on B, or the other way round. A unit is a map, or a
# piece of a sample whose channels lie side by side. It is walked in strips, beside coefficients
# that are spread to `width` places: of a map they are all alike, else they are those of the
# channels, some times over where channels are few. Units are cut by the shape alone, and each is
# summed by one thread.

cdef enum:
    MAP_STRIP = 32          # items that are computed at a time
    MAP_PIECE = 65536       # items of a piece
    MAP_WIDTH = 4096        # places over which few channels are repeated, at the most
    MAP_COEFS = 7

cdef struct Maps:
    S *out
    const S *x
    const S *dy
    Py_ssize_t out_stride, x_stride, dy_stride      # from sample to sample, in items
    Py_ssize_t C, P                 # channels; positions of a sample
    bint last                       # channels lie side by side
    Py_ssize_t piece, pieces        # positions to a piece, pieces to a sample, if they do
    Py_ssize_t units
    Py_ssize_t width, room          # places with coefficients of their own; in whole strips
    int count                       # coefficients
    const double *coefs             # (count, samples, C)
    Py_ssize_t coef, each           # from one to the next; from sample to sample, 0 if all share
    double *sums                    # (terms, N*pieces, C)
    Py_ssize_t term                 # from one to the next


cdef struct Stretch:                   # a unit: n items from an offset in a sample on
    Py_ssize_t sample, channel, at, n


cdef struct Part:                   # a strip of a unit: where it lies, or a copy of less than one
    S *out
    const S *x
    const S *dy
    Py_ssize_t n
    S[MAP_STRIP] x_room
    S[MAP_STRIP] dy_room


cdef inline Stretch stretch_of(Maps *job, Py_ssize_t unit) noexcept nogil:
    cdef Stretch run
    cdef Py_ssize_t i
    if job.last:
        run.sample, i, run.channel = unit // job.pieces, unit % job.pieces, 0
        run.at = i * job.piece * job.C
        run.n = min(job.piece, job.P - i * job.piece) * job.C
    else:
        run.sample, run.channel = unit // job.C, unit % job.C
        run.at, run.n = run.channel * job.P, job.P
    return run


cdef leaf spread_coefs(Maps *job, Stretch run, A *to) noexcept nogil:
    """OUT to: (count, room), the coefficients of a unit, place by place."""
    cdef const double *values
    cdef Py_ssize_t i, j, k
    for i in range(job.count):
        values = job.coefs + i * job.coef + run.sample * job.each + run.channel
        if job.last:
            for k in range(job.width // job.C):
                for j in range(job.C):
                    to[k * job.C + j] = <A>values[j]
            for j in range(job.width, job.room):
                to[j] = 0
        else:
            for j in range(job.room):
                to[j] = <A>values[0]
        to += job.room


cdef inline void begin_part(Part *part, S *out, const S *x, const S *dy, Py_ssize_t n,
                            bint backward) noexcept nogil:
    """OUT part: the next strip; less than one is copied, and zeros make it whole."""
    part.n, part.out, part.x, part.dy = min(n, <Py_ssize_t>MAP_STRIP), out, x, dy
    if n < MAP_STRIP:
        copy_part(part, x, dy, backward)


cdef leaf copy_part(Part *part, const S *x, const S *dy, bint backward) noexcept nogil:
    memset(part.x_room, 0, sizeof(part.x_room))
    memcpy(part.x_room, x, part.n * sizeof(S))
    part.x, part.dy, part.out = part.x_room, part.dy_room, part.x_room
    if backward:
        memset(part.dy_room, 0, sizeof(part.dy_room))
        memcpy(part.dy_room, dy, part.n * sizeof(S))


cdef inline void end_part(const Part *part, S *out) noexcept nogil:
    if part.n < MAP_STRIP:
        memcpy(out, part.out, part.n * sizeof(S))


cdef inline always add_term(double *sums, const A *values) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(MAP_STRIP):
        sums[j] += values[j]


cdef inline always strip(S *out, const S *x, const S *dy, const A *coefs, double *sums,
                         Py_ssize_t room, Point which, bint backward, bint writing,
                         bint adding) noexcept nogil:
    """A whole strip. Only literals tell what is done."""
    # to local arrays, so that no store can alias a load
    cdef T[MAP_STRIP] x_room
    cdef T[MAP_STRIP] dy_room
    cdef T[MAP_STRIP] y
    cdef A[MOST_TERMS][MAP_STRIP] terms
    cdef A f = 0, f_x = 0, f_v = 0, f_s = 0, f_t = 0, item, d = 0, s = 0, t = 0
    cdef Py_ssize_t j
    load(x_room, x, MAP_STRIP)
    if backward:
        load(dy_room, dy, MAP_STRIP)
    for j in range(MAP_STRIP):
        item = <A>loaded(x_room, x, j)
        if backward:
            d = <A>loaded(dy_room, dy, j)
        if which == THRESHOLD or which == LARGER:
            s, t = coefs[room + j], coefs[2 * room + j]
        point(&f, &f_x, &f_v, &f_s, &f_t, item, coefs[j], s, t, which)
        if writing and backward:
            f_x = d * coefs[3 * room + j] * f_x
            if which != SQUASH:         # it has no moments
                f_x += (item - coefs[4 * room + j]) * coefs[5 * room + j] + coefs[6 * room + j]
            y[j] = <T>f_x
        elif writing:
            if which != THRESHOLD:      # it has a scale and a shift of its own
                f = f * coefs[3 * room + j] + coefs[4 * room + j]
            y[j] = <T>f
        if adding:
            if which == MOMENTS:
                terms[0][j], terms[1][j] = f, f * f
            elif which == THRESHOLD:
                terms[0][j], terms[1][j], terms[2][j] = d * f_v, d * f_s, d * f_t
            else:
                terms[0][j], terms[1][j], terms[2][j] = d, d * f, d * f_v
                if which == LARGER:
                    terms[3][j], terms[4][j] = d * f_s, d * f_t
    if writing:
        for j in range(MAP_STRIP):
            put(out, y, j, y[j])
        store(out, y, MAP_STRIP)
    if adding:
        for j in range(terms_of(which)):
            add_term(sums + j * room, terms[j])


cdef inline always walk_unit(Maps *job, Stretch run, const A *coefs, double *sums, Point which,
                             bint backward, bint writing, bint adding) noexcept nogil:
    cdef const S *x = job.x + run.sample * job.x_stride + run.at
    cdef const S *dy = job.dy + run.sample * job.dy_stride + run.at
    cdef S *out = job.out + run.sample * job.out_stride + run.at
    cdef Part part
    cdef A[MAP_STRIP] shifts
    cdef const A *own
    cdef Py_ssize_t at = 0, place = 0
    while at < run.n:
        own = coefs + place
        begin_part(&part, out + at, x + at, dy + at, min(job.width - place, run.n - at), backward)
        if which == MOMENTS and part.n < MAP_STRIP:     # nothing, about 0, is what is missing
            memset(shifts, 0, sizeof(shifts))
            memcpy(shifts, own, part.n * sizeof(A))
            own = shifts
        strip(part.out, part.x, part.dy, own, sums + place, job.room, which, backward, writing,
              adding)
        if writing:
            end_part(&part, out + at)
        at += part.n
        place += part.n
        if place == job.width:
            place = 0


# One loop for each; whoever comes here has chosen which.

cdef leaf walk_moments(Maps *job, Stretch run, const double *coefs, double *sums) noexcept nogil:
    walk_unit(job, run, coefs, sums, MOMENTS, False, False, True)


cdef leaf walk_threshold(Maps *job, Stretch run, const double *coefs, double *sums) noexcept nogil:
    if job.dy == NULL:
        walk_unit(job, run, coefs, sums, THRESHOLD, False, True, False)
    elif job.out == NULL:
        walk_unit(job, run, coefs, sums, THRESHOLD, True, False, True)
    else:
        walk_unit(job, run, coefs, sums, THRESHOLD, True, True, False)


cdef leaf walk_swish(Maps *job, Stretch run, const double *coefs, double *sums) noexcept nogil:
    if job.dy == NULL:
        walk_unit(job, run, coefs, sums, SWISH, False, True, False)
    elif job.out == NULL:
        walk_unit(job, run, coefs, sums, SWISH, True, False, True)
    else:
        walk_unit(job, run, coefs, sums, SWISH, True, True, False)


cdef leaf walk_larger(Maps *job, Stretch run, const double *coefs, double *sums) noexcept nogil:
    if job.dy == NULL:
        walk_unit(job, run, coefs, sums, LARGER, False, True, False)
    elif job.out == NULL:
        walk_unit(job, run, coefs, sums, LARGER, True, False, True)
    else:
        walk_unit(job, run, coefs, sums, LARGER, True, True, False)


cdef leaf walk_squash(Maps *job, Stretch run, const T *coefs, double *sums) noexcept nogil:
    if job.dy == NULL:
        walk_unit(job, run, coefs, sums, SQUASH, False, True, False)
    else:
        walk_unit(job, run, coefs, sums, SQUASH, True, True, True)


cdef void keep_terms(Maps *job, Py_ssize_t unit, const double *sums, int terms) noexcept nogil:
    """To the table: places that belong to one channel are added up."""
    cdef double *to
    cdef Py_ssize_t k, j, i
    for k in range(terms):
        to = job.sums + k * job.term + (unit * job.C if job.last else unit)
        if job.last:
            for j in range(job.C):
                to[j] = sums[j]
            for i in range(1, job.width // job.C):
                for j in range(job.C):
                    to[j] += sums[i * job.C + j]
        else:
            to[0] = fold_lanes(sums)
        sums += job.room


cdef void walk_maps(Maps *job, Py_ssize_t start, Py_ssize_t stop, double *scratch,
                    Point which) noexcept nogil:
    cdef double *sums = scratch + MAP_COEFS * job.room
    cdef Py_ssize_t unit, before = -1
    cdef int terms = terms_of(which)
    cdef Stretch run
    for unit in range(start, stop):
        run = stretch_of(job, unit)
        if not job.last or before < 0 or (job.each and before != run.sample):
            if which == SQUASH:
                spread_coefs(job, run, <T *>scratch)
            else:
                spread_coefs(job, run, scratch)
            before = run.sample
        if job.sums != NULL:
            memset(sums, 0, terms * job.room * sizeof(double))
        if which == MOMENTS:
            walk_moments(job, run, scratch, sums)
        elif which == THRESHOLD:
            walk_threshold(job, run, scratch, sums)
        elif which == SWISH:
            walk_swish(job, run, scratch, sums)
        elif which == SQUASH:
            walk_squash(job, run, <T *>scratch, sums)
        else:
            walk_larger(job, run, scratch, sums)
        if job.sums != NULL:
            keep_terms(job, unit, sums, terms)


cdef Py_ssize_t repeats(Py_ssize_t channels, Py_ssize_t positions) noexcept nogil:
    """How often channels are repeated, to be whole strips; once where that were too many."""
    cdef Py_ssize_t times = MAP_STRIP, left = channels
    while times > 1 and left % 2 == 0:
        times, left = times // 2, left // 2
    return min(times, positions) if times * channels <= MAP_WIDTH else 1


cdef void set_units(Maps *job, Py_ssize_t samples) noexcept nogil:
    job.piece, job.pieces = job.P, 1
    job.units, job.width = samples * job.C, MAP_STRIP
    if job.last:
        job.piece = max(<Py_ssize_t>1, MAP_PIECE // job.C)
        job.pieces = ceil_div(job.P, job.piece)
        job.units, job.width = samples * job.pieces, job.C * repeats(job.C, min(job.piece, job.P))
    job.room = ceil_div(job.width, MAP_STRIP) * MAP_STRIP


cdef int check_task(int which, bint out, bint dy, bint sums) except -1:
    """Is there a loop for what is given?"""
    if not MOMENTS <= which <= LARGER:
        refuse("which", f"a number up to {<int>LARGER}", which)
    if which == MOMENTS and (out or dy or not sums):
        refuse("out, dy and sums", "sums alone", None)
    if which == SQUASH and (not out or dy != sums):
        refuse("out, dy and sums", "all of them, or out alone", None)
    if which != MOMENTS and which != SQUASH and (out + sums != 1 or (sums and not dy)):
        refuse("out, dy and sums", "sums with dy, or out", None)
    return 0


def map_points(S[:, :, :] out, const S[:, :, :] x, const S[:, :, :] dy, coefs, sums, bint last,
               int which, int threads):
    """OUT out, which may be x or dy, or sums. IN x, dy (N, A, B), coefs. May be None: all but x.

    last: channels lie on B, else on A. Without dy it is the forward, or the sums of MOMENTS.
    coefs: (count*N, C) or (count, C); sums: (terms*N*pieces, C).
    """
    cdef Call call = Call.__new__(Call)
    cdef Maps job
    cdef Py_ssize_t N, t, room
    cdef double *scratch
    memset(&job, 0, sizeof(Maps))
    check_view(x, x, "x")
    check_threads(threads)
    check_task(which, out is not None, dy is not None, sums is not None)
    N, job.last = x.shape[0], last
    job.C, job.P = (x.shape[2], x.shape[1]) if last else (x.shape[1], x.shape[2])
    set_units(&job, N)
    job.x, job.x_stride = &x[0, 0, 0], row_stride(x)
    if out is not None:
        check_view(out, x, "out")
        job.out, job.out_stride = &out[0, 0, 0], row_stride(out)
    if dy is not None:
        check_view(dy, x, "dy")
        job.dy, job.dy_stride = &dy[0, 0, 0], row_stride(dy)
    job.count = 1 if which == MOMENTS else 3 if out is None else 5 if dy is None else MAP_COEFS
    job.coefs = call.table(coefs, job.count * N, job.C, "coefs", job.count)
    job.each = job.C if N > 1 and len(coefs) > job.count else 0
    job.coef = N * job.C if job.each else job.C
    if sums is not None:
        job.term = N * job.pieces * job.C
        job.sums = call.table(sums, terms_of(<Point>which) * N * job.pieces, job.C, "sums")
    room = (MAP_COEFS + MOST_TERMS) * job.room
    call.doubles(threads * room)
    call.allocate()
    scratch = call.doubles(threads * room)
    with nogil:
        for t in prange(threads, num_threads=threads, schedule="static", chunksize=1):
            walk_maps(&job, job.units * t // threads, job.units * (t + 1) // threads,
                      scratch + t * room, <Point>which)
