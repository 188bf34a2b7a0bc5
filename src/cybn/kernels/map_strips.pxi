# What is done to a strip of a map (maps.pxi), a loop for each function and task. They are called by
# pointer, since what walks is the same for all; a strip is long enough for that.

cdef enum:
    MAP_STRIP = 32          # items that are computed at a time

# A strip of items, beside a strip of each coefficient and of each sum.
ctypedef void (*Strip)(S *out, const S *x, const S *dy, const double *coefs,
                       double *sums) noexcept nogil


cdef inline always strip(S *out, const S *x, const S *dy, const double *coefs, double *sums,
                         Point which, bint backward, bint writing, bint adding,
                         A kind) noexcept nogil:
    """A strip, in the type of `kind`. Only literals tell what is done."""
    # to local arrays, so that no store can alias a load
    cdef S[MAP_STRIP] y
    cdef A[MOST_TERMS * MAP_STRIP] terms
    cdef A f = 0, f_x = 0, f_v = 0, f_s = 0, f_t = 0, item, d = 0, s = 0, t = 0
    cdef const double *scale = coefs + 3 * MAP_STRIP        # and what follows it
    cdef Py_ssize_t j
    for j in range(MAP_STRIP):
        item = <A>x[j]
        if backward:
            d = <A>dy[j]
        if which == THRESHOLD or which == LARGER:
            s, t = <A>coefs[MAP_STRIP + j], <A>coefs[2 * MAP_STRIP + j]
        point(&f, &f_x, &f_v, &f_s, &f_t, item, <A>coefs[j], s, t, which)
        if writing and backward:
            f_x = d * <A>scale[j] * f_x
            if which != SQUASH:         # it has no moments
                f_x = f_x + ((item - <A>scale[MAP_STRIP + j]) * <A>scale[2 * MAP_STRIP + j]
                             + <A>scale[3 * MAP_STRIP + j])
            y[j] = <S>f_x
        elif writing:
            if which != THRESHOLD:      # it has a scale and a shift of its own
                f = f * <A>scale[j] + <A>scale[MAP_STRIP + j]
            y[j] = <S>f
        if adding:
            if which == MOMENTS:
                terms[j], terms[MAP_STRIP + j] = f, f * f
            elif which == THRESHOLD:
                terms[j], terms[MAP_STRIP + j] = d * f_v, d * f_s
                terms[2 * MAP_STRIP + j] = d * f_t
            else:
                terms[j], terms[MAP_STRIP + j] = d, d * f
                terms[2 * MAP_STRIP + j] = d * f_v
                if which == LARGER:
                    terms[3 * MAP_STRIP + j], terms[4 * MAP_STRIP + j] = d * f_s, d * f_t
    if writing:
        for j in range(MAP_STRIP):
            out[j] = y[j]
    if adding:
        for j in range(terms_of(which) * MAP_STRIP):
            sums[j] += terms[j]


# One loop for each, forward, of sums and of gradients.

cdef loop sum_moments(S *out, const S *x, const S *dy, const double *coefs,
                      double *sums) noexcept nogil:
    strip(out, x, dy, coefs, sums, MOMENTS, False, False, True, <double>0)


cdef loop write_threshold(S *out, const S *x, const S *dy, const double *coefs,
                          double *sums) noexcept nogil:
    strip(out, x, dy, coefs, sums, THRESHOLD, False, True, False, <double>0)


cdef loop sum_threshold(S *out, const S *x, const S *dy, const double *coefs,
                        double *sums) noexcept nogil:
    strip(out, x, dy, coefs, sums, THRESHOLD, True, False, True, <double>0)


cdef loop pull_threshold(S *out, const S *x, const S *dy, const double *coefs,
                         double *sums) noexcept nogil:
    strip(out, x, dy, coefs, sums, THRESHOLD, True, True, False, <double>0)


cdef loop write_swish(S *out, const S *x, const S *dy, const double *coefs,
                      double *sums) noexcept nogil:
    strip(out, x, dy, coefs, sums, SWISH, False, True, False, <double>0)


cdef loop sum_swish(S *out, const S *x, const S *dy, const double *coefs,
                    double *sums) noexcept nogil:
    strip(out, x, dy, coefs, sums, SWISH, True, False, True, <double>0)


cdef loop pull_swish(S *out, const S *x, const S *dy, const double *coefs,
                     double *sums) noexcept nogil:
    strip(out, x, dy, coefs, sums, SWISH, True, True, False, <double>0)


cdef loop write_squash(S *out, const S *x, const S *dy, const double *coefs,
                       double *sums) noexcept nogil:
    strip(out, x, dy, coefs, sums, SQUASH, False, True, False, <S>0)


cdef loop pull_squash(S *out, const S *x, const S *dy, const double *coefs,
                      double *sums) noexcept nogil:
    strip(out, x, dy, coefs, sums, SQUASH, True, True, True, <S>0)


cdef loop write_larger(S *out, const S *x, const S *dy, const double *coefs,
                       double *sums) noexcept nogil:
    strip(out, x, dy, coefs, sums, LARGER, False, True, False, <double>0)


cdef loop sum_larger(S *out, const S *x, const S *dy, const double *coefs,
                     double *sums) noexcept nogil:
    strip(out, x, dy, coefs, sums, LARGER, True, False, True, <double>0)


cdef loop pull_larger(S *out, const S *x, const S *dy, const double *coefs,
                      double *sums) noexcept nogil:
    strip(out, x, dy, coefs, sums, LARGER, True, True, False, <double>0)


cdef Strip strip_for(int which, bint out, bint dy, bint sums) noexcept nogil:
    """The loop for what is given, or NULL."""
    cdef int task = out + 2 * dy + 4 * sums
    if task == 1:           # forward
        if which == THRESHOLD:
            return write_threshold
        if which == SWISH:
            return write_swish
        if which == SQUASH:
            return write_squash
        if which == LARGER:
            return write_larger
    elif task == 6:         # sums
        if which == THRESHOLD:
            return sum_threshold
        if which == SWISH:
            return sum_swish
        if which == LARGER:
            return sum_larger
    elif task == 3:         # the gradient
        if which == THRESHOLD:
            return pull_threshold
        if which == SWISH:
            return pull_swish
        if which == LARGER:
            return pull_larger
    elif task == 7 and which == SQUASH:
        return pull_squash
    elif task == 4 and which == MOMENTS:
        return sum_moments
    return NULL
