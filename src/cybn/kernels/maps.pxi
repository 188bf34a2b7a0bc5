# Norms with a function of their own (points.pxi), y = a*f(x; v, s, t) + b, where each coefficient
# is one number for each map, that is for each channel of each sample, or for each channel.
#
#     forward     y  = a*f + b; THRESHOLD, LINEAR: f          coefs v, s, t, a, b
#     slopes      dy*a*f_x, and sums of dy, dy*f and dy times the slopes along v, s and t
#                                                             coefs v, s, t, a; not of these two
#     sums        of dy times the slopes along v, s and t     coefs v, s, t; of these
#     gradient    dx = dy*a*f_x + (x - m)*k + c               the same, m, k, c; of these
#     product     dy*a*f_x of SWISH, dy*a*f of SWISHED        as the gradient
#
# with sums by map. So what is costly is computed once on the way back: slopes are written where dx
# will be, and a gradient of LINEAR, of these as dy, adds what goes through moments. What lies
# between, how the coefficients follow from moments and sums, is a few numbers for each
# map, and NumPy's.
#
# Everything is computed in double and rounded once, so that no data of fewer bits is too large or
# small for what is multiplied; but the exponential of SWISH and SQUASH, and what stands beside it,
# is computed in S: `narrow` loops. Those of SWISH have wide ones for the coefficients of which S
# has not all digits. S is float or double. Data of sixteen bits goes by the loops of float: parts
# of it are converted on their way in and out, so that no loop is there twice.
#
# x is (N, A, B): channels on A and positions on B, or the other way round. A unit is a map, or a
# piece of a sample whose channels lie side by side, which is walked in strips beside those of the
# coefficients of its channels, some times over where channels are few, to `width` places. Units are
# cut by the shape alone, and each is summed by one thread.

include "loans.pxi"
include "points.pxi"
include "map_strips.pxi"

cdef enum:
    MAP_PIECE = 65536       # items of a piece
    MAP_WIDTH = 4096        # places over which few channels are repeated, at the most
    MAP_BLOCK = 8192        # bytes that are walked strip by strip, downwards, from a cache

cdef struct Items:              # an array, or NULL
    char *at
    Py_ssize_t stride           # from sample to sample, in bytes
    Py_ssize_t itemsize
    Words words

cdef struct Maps:
    Loop loop
    bint narrow                 # coefficients are of S
    double far, near
    bint moments
    Items out, x, dy
    bint words                  # any of them
    Py_ssize_t samples, C, P        # channels; positions of a sample
    bint last                       # channels lie side by side
    Py_ssize_t piece, pieces        # positions to a piece, pieces to a sample, if they do
    Py_ssize_t units
    Py_ssize_t width, strips        # places with coefficients of their own, and strips of them
    bint beside                     # have they? One channel is a map, wherever it lies
    Py_ssize_t block                # so often to `width` places before the next strip
    int count, terms                # coefficients and sums
    const double *coefs             # (count, samples, C)
    Py_ssize_t coef, each           # from one to the next; from sample to sample, 0 if all share
    double *sums                    # (terms, N*pieces, C)
    Py_ssize_t term                 # from one to the next

cdef struct Stretch:                # a unit: n items from an offset in a sample on
    Py_ssize_t sample, channel, at, n


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


cdef bint within(const double *coefs, Py_ssize_t n) noexcept nogil:
    """Has S all digits of the coefficients?"""
    cdef double size, least = 1, most = 1
    cdef Py_ssize_t i
    for i in range(n):
        size = fabs(coefs[i])
        size = 1 if size == 0 else size
        least = size if size < least else least
        most = most if size < most else size        # NaN is most
    return least > 1e-30 and most < 1e30


cdef void spread_coefs(Maps *job, Stretch run, A *to) noexcept nogil:
    """OUT to: (strips, count, MAP_STRIP), the coefficients of a unit, place by place."""
    cdef const double *values
    cdef Py_ssize_t i, j, k, place
    for i in range(job.count):
        values = job.coefs + i * job.coef + run.sample * job.each + run.channel
        if not job.last:
            for j in range(MAP_STRIP):
                to[i * MAP_STRIP + j] = <A>values[0]
            continue
        k = 0
        for place in range(job.strips):
            for j in range(MAP_STRIP):
                to[(place * job.count + i) * MAP_STRIP + j] = <A>values[k]
                k = k + 1 if k + 1 < job.C else 0


cdef void keep_terms(Maps *job, Py_ssize_t unit, const double *sums) noexcept nogil:
    """To the table: the sums of places, (strips, terms, MAP_STRIP), that belong to a channel."""
    cdef double *to
    cdef Py_ssize_t i, j, k, place
    for i in range(job.terms):
        to = job.sums + i * job.term + unit * (job.C if job.last else 1)
        if not job.last:
            fold_eight(to, sums + i * MAP_STRIP)
            continue
        memset(to, 0, job.C * sizeof(double))
        k = 0
        for place in range(job.width):
            j = place // MAP_STRIP * job.terms * MAP_STRIP + place % MAP_STRIP
            to[k] += sums[j + i * MAP_STRIP]
            k = k + 1 if k + 1 < job.C else 0


cdef void walk_part(Maps *job, Run run, const char *coefs, Py_ssize_t n) noexcept nogil:
    """n <= MAP_PART items that are words, or less than a strip."""
    cdef S[MAP_PART] room, upstream
    cdef char *out = <char *>run.out
    cdef double[MAP_STRIP] shifts
    if n < MAP_STRIP and job.moments:       # nothing, about 0, is what is missing
        memset(shifts, 0, sizeof(shifts))
        memcpy(shifts, coefs, n * sizeof(double))
        coefs = <const char *>shifts
    read_part(room, <const char *>run.x, n, job.x.words)
    if job.dy.at != NULL:
        read_part(upstream, <const char *>run.dy, n, job.dy.words)
    run.out, run.x, run.dy, run.coefs = room, room, upstream, coefs
    lay(&run, job, ceil_div(n, MAP_STRIP))
    job.loop(run)
    if job.out.at != NULL:
        write_part(out, room, n, job.out.words)


cdef inline char *start_of(Items items, Stretch run) noexcept nogil:
    return items.at + run.sample * items.stride + run.at * items.itemsize


cdef inline void lay(Run *run, Maps *job, Py_ssize_t n) noexcept nogil:
    """n strips side by side, or below each other where all share their coefficients."""
    run.n, run.below, run.next = n, 1, 0
    if not job.beside:
        run.n, run.below, run.next = 1, n, MAP_STRIP


cdef void walk_unit(Maps *job, Stretch unit, const char *coefs, double *sums) noexcept nogil:
    cdef Py_ssize_t place = 0, left = unit.n, n, size = sizeof(S) if job.narrow else sizeof(double)
    cdef char *x = start_of(job.x, unit)
    cdef char *dy = start_of(job.dy, unit) if job.dy.at != NULL else x
    cdef char *out = start_of(job.out, unit) if job.out.at != NULL else x
    cdef const char *own
    cdef Run run
    run.far, run.near, run.maps, run.sums = job.far, job.near, 0, sums
    while left > 0:
        n = left
        own = coefs
        if job.beside:
            own += place * job.count * size
            run.sums = sums + place * job.terms
            n = min(job.width - place, left)
        if job.words:
            n = min(n, <Py_ssize_t>MAP_PART)
        if n >= MAP_STRIP:
            n -= n % MAP_STRIP
        run.out, run.x, run.dy = <S *>out, <const S *>x, <const S *>dy
        if job.words or n < MAP_STRIP:
            walk_part(job, run, own, n)
        else:
            run.coefs = own
            lay(&run, job, n // MAP_STRIP)
            if job.beside and n == job.width:
                run.below, run.next = min(left // n, job.block), n
            job.loop(run)
            n *= run.below if job.beside else 1
        x, dy, out = x + n * job.x.itemsize, dy + n * job.dy.itemsize, out + n * job.out.itemsize
        left -= n
        place = place + n if place + n < job.width else 0


cdef Py_ssize_t walk_whole(Maps *job, Py_ssize_t unit, Py_ssize_t stop) noexcept nogil:
    """Maps of one sample from a unit on; what follows them."""
    cdef Stretch first = stretch_of(job, unit)
    cdef Py_ssize_t at = first.sample * job.each + first.channel
    cdef Run run
    run.far, run.near = job.far, job.near
    run.maps, run.n = min(stop - unit, job.C - first.channel), job.P
    run.x = run.dy = <const S *>start_of(job.x, first)
    run.out = <S *>run.x
    if job.dy.at != NULL:
        run.dy = <const S *>start_of(job.dy, first)
    if job.out.at != NULL:
        run.out = <S *>start_of(job.out, first)
    run.coefs, run.coef, run.sums, run.term = job.coefs + at, job.coef, NULL, job.term
    if job.sums != NULL:
        run.sums = job.sums + unit
    job.loop(run)
    return unit + run.maps


cdef void walk_maps(Maps *job, Py_ssize_t t, int threads, double *scratch) noexcept nogil:
    """Thread t's share of the units."""
    cdef double *sums = scratch + MAP_COEFS * job.strips * MAP_STRIP
    cdef Py_ssize_t unit = job.units * t // threads, stop = job.units * (t + 1) // threads
    cdef Py_ssize_t before = -1
    cdef Stretch run
    while unit < stop:
        if not job.last and not job.words:
            unit = walk_whole(job, unit, stop)
            continue
        run = stretch_of(job, unit)
        if not job.last or before < 0 or (job.each and before != run.sample):
            if job.narrow:
                spread_coefs(job, run, <S *>scratch)
            else:
                spread_coefs(job, run, scratch)
            before = run.sample
        if job.sums != NULL:
            memset(sums, 0, job.terms * job.strips * MAP_STRIP * sizeof(double))
        walk_unit(job, run, <const char *>scratch, sums)
        if job.sums != NULL:
            keep_terms(job, unit, sums)
        unit += 1


cdef Py_ssize_t repeats(Py_ssize_t channels, Py_ssize_t positions) noexcept nogil:
    """How often channels are repeated, to be whole strips; once where that were too many."""
    cdef Py_ssize_t times = MAP_STRIP, left = channels
    while times > 1 and left % 2 == 0:
        times, left = times // 2, left // 2
    return min(times, positions) if times * channels <= MAP_WIDTH else 1


cdef void set_units(Maps *job) noexcept nogil:
    job.piece, job.pieces = job.P, 1
    job.units, job.width, job.beside = job.samples * job.C, MAP_STRIP, job.last and job.C > 1
    if job.last:
        job.piece = max(<Py_ssize_t>1, MAP_PIECE // job.C)
        job.pieces = ceil_div(job.P, job.piece)
        job.units = job.samples * job.pieces
        job.width = job.C * repeats(job.C, min(job.piece, job.P))
    job.strips = ceil_div(job.width, MAP_STRIP)
    job.block = max(<Py_ssize_t>1, MAP_BLOCK // (job.width * <Py_ssize_t>sizeof(S)))


cdef int lend_items(Items *to, Call call, a, bint writable, Data *data, const Data *like, int words,
                    str name) except -1:
    """OUT to, data: `a`, of S or of the words that data is, of the shape of `like` unless NULL.

    Between loops of words there may be S.
    """
    cdef char letter
    if a is None:
        return 0
    lend_data(data, call, a, writable, NULL, name)
    letter = b"f" if sizeof(S) == sizeof(float) else b"d"
    if not (data.letter == letter or (words and data.letter == b"H")):
        refuse(name, "the dtype of the kernel", a.dtype)
    for i in range(3):
        if like != NULL and data.shape[i] != like.shape[i]:
            refuse(name, "the shape of x", a.shape)
    to.at, to.stride, to.itemsize = data.at, data.stride, data.itemsize
    to.words = <Words>words if data.letter == b"H" else NO_WORDS
    return 0


def map_points(out, x, dy, coefs, sums, bint last, int which, int words, int threads):
    """OUT out, which may be x or dy, or sums. IN x, dy (N, A, B), coefs. May be None: all but x.

    last: channels lie on B, else on A. words: 0, or 1 for float16 and 2 for bfloat16, which come as
    their words; some of the arrays may be float32 then. Without dy it is the forward, or the sums
    of MOMENTS.
    coefs: (count*N, C) or (count, C); sums: (terms*N*pieces, C).
    """
    cdef Call call = Call.__new__(Call)
    cdef Maps job
    cdef Data data, other
    cdef Py_ssize_t N, n, t, room
    cdef double *scratch
    cdef Team team
    memset(&job, 0, sizeof(Maps))
    check_threads(threads)
    if words < 0 or words > 2 or (words and sizeof(S) != sizeof(float)):
        refuse("words", "0, 1 or 2, of float32", words)
    lend_items(&job.x, call, x, False, &data, NULL, words, "x")
    job.loop = loop_for(which, out is not None, dy is not None, sums is not None, False)
    if x is None or job.loop == NULL:
        refuse("x, out, dy and sums", f"those of a loop of function {which}", None)
    job.last, job.samples, N = last, data.shape[0], data.shape[0]
    job.C, job.P = data.shape[2 if last else 1], data.shape[1 if last else 2]
    lend_items(&job.out, call, out, True, &other, &data, words, "out")
    lend_items(&job.dy, call, dy, False, &other, &data, words, "dy")
    job.words = job.x.words or job.out.words or job.dy.words
    job.moments, job.terms = which == MOMENTS, terms_of(<Point>which)
    set_units(&job)
    job.count = MAP_COEFS if dy is not None else 5
    if sums is not None:
        job.count = 1 if job.moments else 3 if out is None else 4
    job.coefs = call.table(coefs, job.count * N, job.C, "coefs", job.count)
    job.each = job.C if N > 1 and len(coefs) > job.count else 0
    job.coef = N * job.C if job.each else job.C
    job.narrow = which == SQUASH or which == SWISH or which == SWISHED
    n = len(coefs) // job.count * job.C         # of each; those of s and t are nobody's
    if which == SWISH and not (within(job.coefs, n)
                               and within(job.coefs + 3 * n, (job.count - 3) * n)):
        job.narrow = False
        job.loop = loop_for(which, True, dy is not None, sums is not None, True)
        if job.loop == NULL:
            refuse("coefs", "numbers of which the dtype has all digits", None)
    if sums is not None:
        job.term = N * job.pieces * job.C
        job.sums = call.table(sums, job.terms * N * job.pieces, job.C, "sums")
    job.far, job.near = 708, 710
    if job.narrow and sizeof(S) < sizeof(double):
        job.far, job.near = 87, 89
    room = (MAP_COEFS + job.terms) * job.strips * MAP_STRIP
    call.doubles(threads * room)
    call.allocate()
    scratch = call.doubles(threads * room)
    with nogil:
        if threads == 1:        # without a team of one, a tenth of a small call
            walk_maps(&job, 0, 1, scratch)
        else:
            gather(&team, threads, job.units)
            for t in prange(threads, num_threads=threads, schedule="static", chunksize=1):
                begin_share(&team, t)
                walk_maps(&job, t, threads, scratch + t * room)
                end_share(&team, t)
            part_ways(&team)
