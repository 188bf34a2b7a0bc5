# What of sums by channel of a sample, (terms, N, C), becomes statistics of groups of channels, and
# coefficients by channel again: a few numbers for each. NumPy would take several times what the
# rest of a small call takes.

cdef double DOUBTFUL = 1e6      # squares of a mean, in variances, of which too many digits are lost


def group_moments(mean, var, Py_ssize_t groups, double eps):
    """(3, N, G), mean, var and rstd of groups of channels, from the moments of these, (N, C)."""
    cdef Py_ssize_t N = len(mean), C = mean.shape[1], unit = C // groups, i, j
    cdef const double *means = doubles(mean)
    cdef const double *vars = doubles(var)
    cdef Py_ssize_t[3] shape
    cdef double *stats
    cdef double whole, spread
    shape[0], shape[1], shape[2] = 3, N, groups
    found = made(make, ndarray, FLOAT64, 3, shape)
    stats = doubles(found)
    for i in range(N * groups):
        whole = spread = 0
        for j in range(i * unit, (i + 1) * unit):
            whole += means[j]
        whole /= unit
        for j in range(i * unit, (i + 1) * unit):
            spread += vars[j] + (means[j] - whole) * (means[j] - whole)
        spread /= unit
        stats[i], stats[N * groups + i] = whole, spread
        stats[2 * N * groups + i] = 1 / sqrt(spread + eps)
    return found


def channel_moments(sums, shift, double m):
    """mean and var, (N, C), from Σ(x - shift) and its squares over m items; None for var where it
    lacks digits."""
    cdef Py_ssize_t n = shift.size, i
    cdef const double *s = doubles(sums)
    cdef const double *about = doubles(shift)
    cdef double *mean
    cdef double *var
    cdef double left
    cdef bint good = True
    means, vars = table(shift), table(shift)
    mean, var = doubles(means), doubles(vars)
    for i in range(n):
        left = s[i] / m
        mean[i] = about[i] + left
        var[i] = max(s[n + i] / m - left * left, 0.0)
        good = good and not left * left > DOUBTFUL * var[i]
    return means, vars if good else None


def group_line(stats, weight, bias, Py_ssize_t channels):
    """v, s and t, which broadcast to (N, C), of y = v·(x - t) + s."""
    cdef Py_ssize_t N = stats.shape[1], G = stats.shape[2], unit = channels // G, n, i, g
    cdef const double *mean = doubles(stats)
    cdef const double *rstd = mean + 2 * N * G
    cdef double *v
    cdef double *t
    w = in_doubles(weight, 1, channels)
    cdef const double *factor = doubles(w)
    slope, middle = rows_of(N, channels), rows_of(N, channels)
    v, t = doubles(slope), doubles(middle)
    for n in range(N):
        for i in range(channels):
            g = n * G + i // unit
            v[n * channels + i], t[n * channels + i] = rstd[g] * factor[i], mean[g]
    return slope, 0.0 if bias is None else bias, middle


def group_pull(sums, stats, weight, double m):
    """a, m, k and c, (N, C), of the gradient, and dweight and dbias, (C,).

    sums: Σ dy·x and Σ dy over m positions; stats (3, N, G).
    """
    cdef Py_ssize_t N = stats.shape[1], G = stats.shape[2], C = sums.shape[2], unit = C // G
    cdef Py_ssize_t n, g, i, j
    cdef const double *mean = doubles(stats)
    cdef const double *rstd = mean + 2 * N * G
    cdef const double *products = doubles(sums)
    cdef const double *total = products + N * C
    cdef double of_g, of_products, along, own, over = 1 / (m * unit)
    w = in_doubles(weight, 1, C)
    cdef const double *factor = doubles(w)
    scales, means, slopes, shifts = [rows_of(N, C) for _ in range(4)]
    grads = zeros((2, C))
    cdef double *a = doubles(scales)
    cdef double *middle = doubles(means)
    cdef double *k = doubles(slopes)
    cdef double *c = doubles(shifts)
    cdef double *dweight = doubles(grads)
    for n in range(N):
        for g in range(G):
            own = rstd[n * G + g]
            of_g = of_products = 0
            for i in range(g * unit, (g + 1) * unit):
                j = n * C + i
                along = (products[j] - mean[n * G + g] * total[j]) * own
                dweight[i] += along
                dweight[C + i] += total[j]
                of_g += factor[i] * total[j]
                of_products += factor[i] * along
            for i in range(g * unit, (g + 1) * unit):
                j = n * C + i
                a[j], middle[j] = factor[i] * own, mean[n * G + g]
                k[j], c[j] = -own * own * (of_products * over), -own * (of_g * over)
    return (scales, means, slopes, shifts), grads[0], grads[1]


cdef double *doubles(a) except NULL:
    """Where the items of an array of float64 in one piece are."""
    cdef Py_buffer own
    if not seen(&own, a, plain, True):
        PyObject_GetBuffer(a, &own, PyBUF_CONTIG)
        PyBuffer_Release(&own)
    return <double *>own.buf


cdef object rows_of(Py_ssize_t N, Py_ssize_t C):
    cdef Py_ssize_t[2] shape
    shape[0], shape[1] = N, C
    return made(make, ndarray, FLOAT64, 2, shape)


cdef object table(like):
    return rows_of(like.shape[0], like.shape[1])


cdef object in_doubles(a, double otherwise, Py_ssize_t C):
    """(C,) float64 of what lies on channels."""
    return pack((otherwise if a is None else a,), 1, C)
