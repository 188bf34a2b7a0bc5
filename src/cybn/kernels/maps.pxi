# Norms with a function of their own (points.pxi), y = a*f(x; v, s, t) + b, where each coefficient
# is one number for each map, that is for each channel of each sample, or for each channel.
#
#     forward     y  = a*f + b; THRESHOLD: f                  coefs v, s, t, a, b
#     sums        of dy*f and of dy times the slopes          coefs v, s, t
#     gradient    dx = dy*a*f_x + (x - m)*k + c               coefs v, s, t, a, m, k, c
#
# with sums by map. What lies between, how the coefficients follow from moments and sums, is a few
# numbers for each map, and NumPy's. Everything is computed in double and rounded once, so that no
# data of fewer bits is too large or small for what is multiplied; tanh alone is in S, since it
# is all arithmetic, and of no such products. S is float or double: data of sixteen bits comes
# widened, as half of these loops would be for it, and they are too seldom used for their size.
#
# x is (N, A, B): channels on A and positions on B, or the other way round. A unit is a map, or a
# piece of a sample whose channels lie side by side. It is walked in strips, beside coefficients
# that are spread to `width` places: of a map they are all alike, else they are those of the
# channels, some times over where channels are few. Units are cut by the shape alone, and each is
# summed by one thread.

include "points.pxi"
include "map_strips.pxi"

cdef enum:
    MAP_PIECE = 65536       # items of a piece
    MAP_WIDTH = 4096        # places over which few channels are repeated, at the most
    MAP_COEFS = 7

cdef struct Maps:
    Strip strip
    bint moments
    S *out
    const S *x
    const S *dy
    Py_ssize_t out_stride, x_stride, dy_stride      # from sample to sample, in items
    Py_ssize_t C, P                 # channels; positions of a sample
    bint last                       # channels lie side by side
    Py_ssize_t piece, pieces        # positions to a piece, pieces to a sample, if they do
    Py_ssize_t units
    Py_ssize_t width, strips        # places with coefficients of their own, and strips of them
    int count, terms                # coefficients and sums
    const double *coefs             # (count, samples, C)
    Py_ssize_t coef, each           # from one to the next; from sample to sample, 0 if all share
    double *sums                    # (terms, N*pieces, C)
    Py_ssize_t term                 # from one to the next

cdef struct Stretch:                # a unit: n items from an offset in a sample on
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


cdef void spread_coefs(Maps *job, Stretch run, double *to) noexcept nogil:
    """OUT to: (strips, count, MAP_STRIP), the coefficients of a unit, place by place."""
    cdef const double *values
    cdef Py_ssize_t i, j, k, place
    for i in range(job.count):
        values = job.coefs + i * job.coef + run.sample * job.each + run.channel
        if not job.last:
            for j in range(MAP_STRIP):
                to[i * MAP_STRIP + j] = values[0]
            continue
        k = 0
        for place in range(job.strips * MAP_STRIP):
            j = place // MAP_STRIP * job.count * MAP_STRIP + place % MAP_STRIP
            to[j + i * MAP_STRIP] = values[k] if place < job.width else 0
            k = k + 1 if k + 1 < job.C else 0


cdef void keep_terms(Maps *job, Py_ssize_t unit, const double *sums) noexcept nogil:
    """To the table: the sums of places, (strips, terms, MAP_STRIP), that belong to a channel."""
    cdef double *to
    cdef Py_ssize_t i, j, k, place
    for i in range(job.terms):
        to = job.sums + i * job.term + unit * (job.C if job.last else 1)
        if not job.last:
            to[0] = fold_lanes(sums + i * MAP_STRIP)
            continue
        memset(to, 0, job.C * sizeof(double))
        k = 0
        for place in range(job.width):
            j = place // MAP_STRIP * job.terms * MAP_STRIP + place % MAP_STRIP
            to[k] += sums[j + i * MAP_STRIP]
            k = k + 1 if k + 1 < job.C else 0


cdef void copy_part(Part *part) noexcept nogil:
    """Less than a strip: a copy of it, with zeros that make it whole."""
    memset(part.x_room, 0, sizeof(part.x_room))
    memset(part.dy_room, 0, sizeof(part.dy_room))
    memcpy(part.x_room, part.x, part.n * sizeof(S))
    memcpy(part.dy_room, part.dy, part.n * sizeof(S))
    part.x, part.dy, part.out = part.x_room, part.dy_room, part.x_room


cdef void walk_unit(Maps *job, Stretch run, const double *coefs, double *sums) noexcept nogil:
    cdef const S *x = job.x + run.sample * job.x_stride + run.at
    cdef const S *dy = job.dy + run.sample * job.dy_stride + run.at if job.dy != NULL else x
    cdef S *out = <S *>x        # where nothing is written
    cdef Py_ssize_t at = 0, place = 0, i = 0
    cdef double[MAP_STRIP] shifts
    cdef const double *own
    cdef Part part
    if job.out != NULL:
        out = job.out + run.sample * job.out_stride + run.at
    while at < run.n:
        own = coefs + i * job.count * MAP_STRIP
        part.n = min(<Py_ssize_t>MAP_STRIP, min(job.width - place, run.n - at))
        part.out, part.x, part.dy = out + at, x + at, dy + at
        if part.n < MAP_STRIP:
            copy_part(&part)
            if job.moments:             # nothing, about 0, is what is missing
                memset(shifts, 0, sizeof(shifts))
                memcpy(shifts, own, part.n * sizeof(double))
                own = shifts
        job.strip(part.out, part.x, part.dy, own, sums + i * job.terms * MAP_STRIP)
        if part.n < MAP_STRIP and job.out != NULL:
            memcpy(out + at, part.out, part.n * sizeof(S))
        at += part.n
        place += part.n
        i += 1
        if place == job.width:
            place = i = 0


cdef void walk_maps(Maps *job, Py_ssize_t start, Py_ssize_t stop, double *scratch) noexcept nogil:
    cdef double *sums = scratch + MAP_COEFS * job.strips * MAP_STRIP
    cdef Py_ssize_t unit, before = -1
    cdef Stretch run
    for unit in range(start, stop):
        run = stretch_of(job, unit)
        if not job.last or before < 0 or (job.each and before != run.sample):
            spread_coefs(job, run, scratch)
            before = run.sample
        if job.sums != NULL:
            memset(sums, 0, job.terms * job.strips * MAP_STRIP * sizeof(double))
        walk_unit(job, run, scratch, sums)
        if job.sums != NULL:
            keep_terms(job, unit, sums)


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
        job.units = samples * job.pieces
        job.width = job.C * repeats(job.C, min(job.piece, job.P))
    job.strips = ceil_div(job.width, MAP_STRIP)


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
    cdef double start, busy = 0, began
    memset(&job, 0, sizeof(Maps))
    check_view(x, x, "x")
    check_threads(threads)
    job.strip = strip_for(which, out is not None, dy is not None, sums is not None)
    if job.strip == NULL:
        refuse("out, dy and sums", f"those of a loop of function {which}", None)
    N, job.x, job.x_stride = x.shape[0], &x[0, 0, 0], row_stride(x)
    if out is not None:
        check_view(out, x, "out")
        job.out, job.out_stride = &out[0, 0, 0], row_stride(out)
    if dy is not None:
        check_view(dy, x, "dy")
        job.dy, job.dy_stride = &dy[0, 0, 0], row_stride(dy)
    job.last, job.moments, job.terms = last, which == MOMENTS, terms_of(<Point>which)
    job.C, job.P = (x.shape[2], x.shape[1]) if last else (x.shape[1], x.shape[2])
    set_units(&job, N)
    job.count = 1 if job.moments else 3 if out is None else 5 if dy is None else MAP_COEFS
    job.coefs = call.table(coefs, job.count * N, job.C, "coefs", job.count)
    job.each = job.C if N > 1 and len(coefs) > job.count else 0
    job.coef = N * job.C if job.each else job.C
    if sums is not None:
        job.term = N * job.pieces * job.C
        job.sums = call.table(sums, job.terms * N * job.pieces, job.C, "sums")
    room = (MAP_COEFS + job.terms) * job.strips * MAP_STRIP
    call.doubles(threads * room)
    call.allocate()
    scratch = call.doubles(threads * room)
    with nogil:
        began = now()
        for t in prange(threads, num_threads=threads, schedule="static", chunksize=1):
            start = now()
            walk_maps(&job, job.units * t // threads, job.units * (t + 1) // threads,
                      scratch + t * room)
            busy += now() - start
        settle_wait(began, busy, threads)
