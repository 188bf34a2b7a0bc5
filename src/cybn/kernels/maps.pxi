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
# is all arithmetic, and of no such products. S is float or double. Data of sixteen bits goes by the
# loops of float: strips of it are converted on their way in and out, so that no loop is there
# twice.
#
# x is (N, A, B): channels on A and positions on B, or the other way round. A unit is a map, or a
# piece of a sample whose channels lie side by side. It is walked in strips, beside coefficients
# that are spread to `width` places: of a map they are all alike, else they are those of the
# channels, some times over where channels are few. Units are cut by the shape alone, and each is
# summed by one thread.

include "loans.pxi"
include "points.pxi"
include "map_strips.pxi"

cdef enum:
    MAP_PIECE = 65536       # items of a piece
    MAP_WIDTH = 4096        # places over which few channels are repeated, at the most
    MAP_COEFS = 7

cdef enum Words:                # what items are
    NO_WORDS                    # S
    FLOAT16
    BFLOAT16

cdef struct Maps:
    Strip strip
    bint moments
    Words words
    char *out
    char *x
    char *dy
    Py_ssize_t out_stride, x_stride, dy_stride      # from sample to sample, in bytes
    Py_ssize_t itemsize
    Py_ssize_t samples, C, P        # channels; positions of a sample
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

cdef struct Part:                   # a strip of a unit that is not read where it lies
    Py_ssize_t n
    S[MAP_STRIP] x
    S[MAP_STRIP] dy


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


cdef void read_part(S *room, const char *x, Py_ssize_t n, Words words) noexcept nogil:
    """OUT room: n items, and zeros that make a strip of them. A strip of a known length has vectors
    and no loop for what is left."""
    cdef S[MAP_STRIP] part
    if n < MAP_STRIP:
        memset(part, 0, sizeof(part))
        memcpy(part, x, n * (sizeof(S) if words == NO_WORDS else 2))
        x = <const char *>part
    if words == NO_WORDS or sizeof(S) == sizeof(double):
        memcpy(room, x, MAP_STRIP * sizeof(S))
    elif words == FLOAT16:
        load(room, <const float16 *>x, MAP_STRIP)
    else:
        read(room, <const bfloat16 *>x, MAP_STRIP, True, True)


cdef void write_part(char *out, const S *room, Py_ssize_t n, Words words) noexcept nogil:
    """To out: n items of a strip."""
    cdef float16[MAP_STRIP] part
    if words == NO_WORDS or sizeof(S) == sizeof(double):
        memcpy(out, room, n * sizeof(S))
        return
    if words == FLOAT16:
        store_strip(part, room, False)
    else:
        store_strip(<bfloat16 *>part, room, False)
    memcpy(out, part, n * 2)


cdef void walk_unit(Maps *job, Stretch run, const double *coefs, double *sums) noexcept nogil:
    cdef Py_ssize_t place = 0, i = 0, left = run.n, skipped = run.at * job.itemsize, bytes_read
    cdef char *x = job.x + run.sample * job.x_stride + skipped
    cdef char *dy = job.dy + run.sample * job.dy_stride + skipped if job.dy != NULL else x
    cdef char *out = job.out + run.sample * job.out_stride + skipped if job.out != NULL else x
    cdef double[MAP_STRIP] shifts
    cdef const double *own
    cdef Part part
    while left > 0:
        own = coefs + i * job.count * MAP_STRIP
        part.n = min(<Py_ssize_t>MAP_STRIP, min(job.width - place, left))
        if part.n < MAP_STRIP and job.moments:      # nothing, about 0, is what is missing
            memset(shifts, 0, sizeof(shifts))
            memcpy(shifts, own, part.n * sizeof(double))
            own = shifts
        if part.n < MAP_STRIP or job.words:
            read_part(part.x, x, part.n, job.words)
            if job.dy != NULL:
                read_part(part.dy, dy, part.n, job.words)
            job.strip(part.x, part.x, part.dy, own, sums + i * job.terms * MAP_STRIP)
            if job.out != NULL:
                write_part(out, part.x, part.n, job.words)
        else:
            job.strip(<S *>out, <const S *>x, <const S *>dy, own,
                      sums + i * job.terms * MAP_STRIP)
        bytes_read = part.n * job.itemsize
        x, dy, out = x + bytes_read, dy + bytes_read, out + bytes_read
        left -= part.n
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


cdef void set_units(Maps *job) noexcept nogil:
    job.piece, job.pieces = job.P, 1
    job.units, job.width = job.samples * job.C, MAP_STRIP
    if job.last:
        job.piece = max(<Py_ssize_t>1, MAP_PIECE // job.C)
        job.pieces = ceil_div(job.P, job.piece)
        job.units = job.samples * job.pieces
        job.width = job.C * repeats(job.C, min(job.piece, job.P))
    job.strips = ceil_div(job.width, MAP_STRIP)


def map_points(out, x, dy, coefs, sums, bint last, int which, int words, int threads):
    """OUT out, which may be x or dy, or sums. IN x, dy (N, A, B), coefs. May be None: all but x.

    last: channels lie on B, else on A. words: 0, or 1 for float16 and 2 for bfloat16, which come as
    their words. Without dy it is the forward, or the sums of MOMENTS.
    coefs: (count*N, C) or (count, C); sums: (terms*N*pieces, C).
    """
    cdef Call call = Call.__new__(Call)
    cdef Maps job
    cdef Data data, other
    cdef char letter
    cdef Py_ssize_t N, t, room
    cdef double *scratch
    cdef Team team
    memset(&job, 0, sizeof(Maps))
    check_threads(threads)
    if words < 0 or words > 2 or (words and sizeof(S) != sizeof(float)):
        refuse("words", "0, 1 or 2, of float32", words)
    job.strip = strip_for(which, out is not None, dy is not None, sums is not None)
    lend_data(&data, call, x, False, NULL, "x")
    letter = b"H" if words else b"f" if sizeof(S) == sizeof(float) else b"d"
    if data.letter != letter:
        refuse("x", "the dtype of the kernel", x.dtype)
    if job.strip == NULL:
        refuse("out, dy and sums", f"those of a loop of function {which}", None)
    job.words, job.last, job.itemsize = <Words>words, last, data.itemsize
    job.x, job.x_stride, job.samples, N = data.at, data.stride, data.shape[0], data.shape[0]
    job.C, job.P = data.shape[2 if last else 1], data.shape[1 if last else 2]
    if out is not None:
        lend_data(&other, call, out, True, &data, "out")
        job.out, job.out_stride = other.at, other.stride
    if dy is not None:
        lend_data(&other, call, dy, False, &data, "dy")
        job.dy, job.dy_stride = other.at, other.stride
    job.moments, job.terms = which == MOMENTS, terms_of(<Point>which)
    set_units(&job)
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
        gather(&team, threads, job.units)
        for t in prange(threads, num_threads=threads, schedule="static", chunksize=1):
            begin_share(&team, t)
            walk_maps(&job, job.units * t // threads, job.units * (t + 1) // threads,
                      scratch + t * room)
            end_share(&team, t)
        part_ways(&team)
