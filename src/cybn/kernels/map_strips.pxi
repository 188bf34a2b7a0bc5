# What is done to strips of a map (maps.pxi), a loop for each function and task. They are called by
# pointer, since what walks is the same for all.

cdef enum:
    MAP_COEFS = 7
    MAP_STRIP = 8           # items that are computed at a time: a multiple of what a vector holds
    MAP_PART = 32           # items that are not read where they lie

cdef enum Words:                # what items are
    NO_WORDS                    # S
    FLOAT16
    BFLOAT16

cdef struct Run:            # what a loop does
    S *out
    const S *x
    const S *dy
    const void *coefs
    double *sums
    # Strips lie side by side, each beside a strip of every coefficient, in the type of the loop,
    # and of every sum; below each lie others that share these, `next` items from one to the other.
    Py_ssize_t n                # strips; or items of a map
    Py_ssize_t below, next
    # Unless there are no maps, they lie one after the other, and coefficients and sums, (count,
    # coef) and (terms, term) of double, have a number for each.
    Py_ssize_t maps, coef, term
    double far, near            # of the type of the loop, as `point` has them

ctypedef void (*Loop)(Run run) noexcept nogil


cdef inline always strip(S *y, double *terms, const S *x, const S *dy, const A *coefs, A far,
                         A near, bint each, Point which, bint backward, bint writing,
                         bint adding) noexcept nogil:
    """OUT y and terms: of a strip, in the type of `coefs`. Only literals tell what is done.

    each: coefficients of their own for every place.
    """
    cdef A f = 0, f_x = 0, f_v = 0, f_s = 0, f_t = 0, item, d = 0, s = 0, t = 0
    cdef double wide
    cdef Py_ssize_t j, k, n = MAP_STRIP if each else 1      # from one coefficient to the next
    cdef bint straight = which == THRESHOLD or which == LINEAR
    for j in range(MAP_STRIP):
        k = j if each else 0
        item = <A>x[j]
        if backward:
            d = <A>dy[j]
        if straight or which == LARGER:
            s, t = coefs[n + k], coefs[2 * n + k]
        point(&f, &f_x, &f_v, &f_s, &f_t, item, coefs[k], s, t, far, near, which)
        if writing and backward:
            f_x = d * (coefs[3 * n + k] * (f if which == SWISHED else f_x))
            if straight:
                f_x = f_x + ((item - coefs[4 * n + k]) * coefs[5 * n + k] + coefs[6 * n + k])
            y[j] = <S>f_x
        elif writing:
            if not straight:            # it has a scale and a shift of its own
                f = f * coefs[3 * n + k] + coefs[4 * n + k]
            y[j] = <S>f
        if adding:
            if which == MOMENTS:
                terms[j], terms[MAP_STRIP + j] = f, f * f
            elif straight:
                terms[j], terms[MAP_STRIP + j] = d * f_v, d * f_s
                if which == THRESHOLD:
                    terms[2 * MAP_STRIP + j] = d * f_t
            elif which == SQUASH:       # of 1 at the most
                terms[j], terms[MAP_STRIP + j] = d, d * f
                terms[2 * MAP_STRIP + j] = d * f_v
            else:                       # products of narrow numbers may be wide
                terms[j], wide = d, <double>d * <double>f
                terms[MAP_STRIP + j] = wide
                terms[2 * MAP_STRIP + j] = (wide if which == SWISH else <double>d) * <double>f_v
                if which == LARGER:
                    terms[3 * MAP_STRIP + j], terms[4 * MAP_STRIP + j] = d * f_s, d * f_t


cdef inline always line(S *out, const S *x, const S *dy, double *sums, const A *coefs, A far,
                        A near, Py_ssize_t n, Py_ssize_t next, bint each, Point which,
                        bint backward, bint writing, bint adding) noexcept nogil:
    """OUT out, sums: n strips that share what is beside them."""
    # to local arrays, so that no store can alias a load
    cdef S[MAP_STRIP] y
    cdef double[MOST_TERMS * MAP_STRIP] terms
    cdef Py_ssize_t i, j
    for i in range(n):
        strip(y, terms, x, dy, coefs, far, near, each, which, backward, writing, adding)
        if writing:
            for j in range(MAP_STRIP):
                out[j] = y[j]
        if adding:
            for j in range(terms_of(which) * MAP_STRIP):
                sums[j] += terms[j]
        x, dy, out = x + next, dy + next, out + next


cdef inline always strips(Run run, Point which, bint backward, bint writing, bint adding,
                          A kind) noexcept nogil:
    cdef A[MAP_COEFS * MAP_STRIP] mine
    cdef double[MOST_TERMS * MAP_STRIP] sums
    cdef const A *coefs = <const A *>run.coefs
    cdef A far = <A>run.far, near = <A>run.near
    cdef Py_ssize_t i, j, terms = terms_of(which) * MAP_STRIP
    cdef Py_ssize_t count = count_of(which, backward, writing, adding) * MAP_STRIP
    for i in range(run.n):
        for j in range(count):
            mine[j] = coefs[j]
        if adding:
            for j in range(terms):
                sums[j] = run.sums[j]
        line(run.out, run.x, run.dy, sums, mine, far, near, run.below, run.next, True, which,
             backward, writing, adding)
        if adding:
            for j in range(terms):
                run.sums[j] = sums[j]
        advance(&run, MAP_STRIP)
        coefs, run.sums = coefs + count, run.sums + terms


cdef inline void advance(Run *run, Py_ssize_t n) noexcept nogil:
    run.x, run.dy, run.out = run.x + n, run.dy + n, run.out + n


cdef inline int count_of(Point which, bint backward, bint writing, bint adding) noexcept nogil:
    """How many coefficients a loop has."""
    if which == MOMENTS:
        return 1
    return 5 if not backward else 7 if not adding else 4 if writing else 3


cdef inline always maps(Run run, Point which, bint backward, bint writing, bint adding,
                        A kind) noexcept nogil:
    cdef S[MAP_STRIP] y, room, upstream
    cdef double[MOST_TERMS * MAP_STRIP] sums, terms
    cdef A[MAP_COEFS] mine
    cdef A far = <A>run.far, near = <A>run.near
    cdef const double *coefs = <const double *>run.coefs
    cdef Py_ssize_t map, j, left = run.n % MAP_STRIP
    cdef int count = count_of(which, backward, writing, adding), k
    for map in range(run.maps):
        for k in range(count):
            mine[k] = <A>coefs[k * run.coef + map]
        for j in range(terms_of(which) * MAP_STRIP):
            sums[j] = 0
        line(run.out, run.x, run.dy, sums, mine, far, near, run.n // MAP_STRIP, MAP_STRIP, False,
             which, backward, writing, adding)
        advance(&run, run.n - left)
        if left:
            for j in range(MAP_STRIP):
                room[j] = run.x[j] if j < left else <S>0
            if backward:
                for j in range(MAP_STRIP):
                    upstream[j] = run.dy[j] if j < left else <S>0
            strip(y, terms, room, upstream, mine, far, near, False, which, backward, writing,
                  adding)
            if writing:
                for j in range(left):
                    run.out[j] = y[j]
            if adding:
                for k in range(terms_of(which)):
                    for j in range(MAP_STRIP):
                        sums[k * MAP_STRIP + j] += terms[k * MAP_STRIP + j] if j < left else 0.0
            advance(&run, left)
        if adding:
            for k in range(terms_of(which)):
                fold_eight(&run.sums[k * run.term + map], sums + k * MAP_STRIP)


cdef inline always walk_run(Run run, Point which, bint backward, bint writing, bint adding,
                            A kind) noexcept nogil:
    if run.maps:
        maps(run, which, backward, writing, adding, kind)
    else:
        strips(run, which, backward, writing, adding, kind)


# One for each: moments, and what is written; sums, and gradients; or sums and slopes at once.

cdef loop sum_moments(Run run) noexcept nogil:
    walk_run(run, MOMENTS, False, False, True, <double>0)


cdef loop write_threshold(Run run) noexcept nogil:
    walk_run(run, THRESHOLD, False, True, False, <double>0)


cdef loop sum_threshold(Run run) noexcept nogil:
    walk_run(run, THRESHOLD, True, False, True, <double>0)


cdef loop pull_threshold(Run run) noexcept nogil:
    walk_run(run, THRESHOLD, True, True, False, <double>0)


cdef loop write_linear(Run run) noexcept nogil:
    walk_run(run, LINEAR, False, True, False, <double>0)


cdef loop sum_linear(Run run) noexcept nogil:
    walk_run(run, LINEAR, True, False, True, <double>0)


cdef loop pull_linear(Run run) noexcept nogil:
    walk_run(run, LINEAR, True, True, False, <double>0)


cdef loop write_swish(Run run) noexcept nogil:
    walk_run(run, SWISH, False, True, False, <S>0)


cdef loop slope_swish(Run run) noexcept nogil:
    walk_run(run, SWISH, True, True, True, <S>0)


cdef loop write_swish_wide(Run run) noexcept nogil:
    walk_run(run, SWISH, False, True, False, <double>0)


cdef loop slope_swish_wide(Run run) noexcept nogil:
    walk_run(run, SWISH, True, True, True, <double>0)


cdef loop pull_swish(Run run) noexcept nogil:
    walk_run(run, SWISH, True, True, False, <S>0)


cdef loop multiply_swish(Run run) noexcept nogil:
    walk_run(run, SWISHED, True, True, False, <S>0)


cdef loop write_squash(Run run) noexcept nogil:
    walk_run(run, SQUASH, False, True, False, <S>0)


cdef loop slope_squash(Run run) noexcept nogil:
    walk_run(run, SQUASH, True, True, True, <S>0)


cdef loop write_larger(Run run) noexcept nogil:
    walk_run(run, LARGER, False, True, False, <double>0)


cdef loop slope_larger(Run run) noexcept nogil:
    walk_run(run, LARGER, True, True, True, <double>0)


cdef Loop loop_for(int which, bint out, bint dy, bint sums, bint wide) noexcept nogil:
    """The loop for what is given, or NULL. wide: of double, where there is a narrow one."""
    cdef int task = out + 2 * dy + 4 * sums
    wide = wide and sizeof(S) < sizeof(double)
    if task == 1:           # forward
        if which == THRESHOLD:
            return write_threshold
        if which == LINEAR:
            return write_linear
        if which == SWISH:
            return write_swish_wide if wide else write_swish
        if which == SQUASH:
            return write_squash
        if which == LARGER:
            return write_larger
    elif task == 7:         # slopes and sums
        if which == SWISH:
            return slope_swish_wide if wide else slope_swish
        if which == SQUASH:
            return slope_squash
        if which == LARGER:
            return slope_larger
    elif task == 6:         # sums
        if which == THRESHOLD:
            return sum_threshold
        if which == LINEAR:
            return sum_linear
    elif task == 3:         # the gradient
        if which == THRESHOLD:
            return pull_threshold
        if which == LINEAR:
            return pull_linear
        if which == SWISH and not wide:
            return pull_swish
        if which == SWISHED:
            return multiply_swish
    elif task == 4 and which == MOMENTS:
        return sum_moments
    return NULL


cdef void read_part(S *room, const char *x, Py_ssize_t n, Words words) noexcept nogil:
    """OUT room: n items, and zeros that make a part of them. A part of a known length has vectors
    and no loop for what is left."""
    cdef S[MAP_PART] part
    if n < MAP_PART:
        memset(part, 0, sizeof(part))
        memcpy(part, x, n * (sizeof(S) if words == NO_WORDS else 2))
        x = <const char *>part
    if words == NO_WORDS or sizeof(S) == sizeof(double):
        memcpy(room, x, MAP_PART * sizeof(S))
    elif words == FLOAT16:
        load(room, <const float16 *>x, MAP_PART)
    else:
        read(room, <const bfloat16 *>x, MAP_PART, True, True)


cdef void write_part(char *out, const S *room, Py_ssize_t n, Words words) noexcept nogil:
    """To out: n items of a part."""
    cdef float16[MAP_PART] part
    if words == NO_WORDS or sizeof(S) == sizeof(double):
        memcpy(out, room, n * sizeof(S))
        return
    if words == FLOAT16:
        store_strip(part, room, False)
    else:
        store_strip(<bfloat16 *>part, room, False)
    memcpy(out, part, n * 2)
