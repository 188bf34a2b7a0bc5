# Activations that may follow a norm, and their slopes, with the accuracy of a few roundings over
# the whole range: to the last subnormal number, with the limits at infinity. They are arithmetic
# alone, as exponential.pxi is, so that compilers make vectors of them and every CPU gives the same
# bits.
#
# What writes calls them by pointer for a piece at a time, before it is stored (bending.pxi). So one
# loop serves all activations, and each of them is a loop over a piece. Forward a piece z becomes
# f(z); backward, where there is a piece dy as well, dy*f'(z).
#
# To add one: a name in Curve, which functional/gates.py has too, its equations in `curve`, and its
# loop at the end.
#
# Rejected: erf and tanh of the C library (other bits on another system, and no vectors); the usual
# x/2*(1 + erf(x/sqrt(2))), which has no digit left at x = -6, where x*Phi(x) has all.

cdef enum Curve:
    GATE            # a gate of normalize.pxi: relu, leaky_relu, relu6, and nothing at all
    SILU            # x*sigma(x)
    GELU            # x*Phi(x), Phi being the distribution of the normal law
    GELU_TANH       # x*sigma(2*sqrt(2/pi)*(x + 0.044715*x^3))
    HARDSWISH       # x*relu6(x + 3)/6
    ELU             # x above 0, slope*(e^x - 1) below
    MISH            # x*tanh(log(1 + e^x))
    CURVES

cdef enum:
    BENT = 256      # items of a piece, at most
    EIGHT = 8       # a multiple of what a vector holds

# OUT z: f(z) of n items, a multiple of EIGHT; back: dy*f'(z), dy lying BENT items after z.
ctypedef void (*Bend)(T *z, Py_ssize_t n, bint back, T slope, T most) noexcept nogil


cdef inline A split(A x) noexcept nogil:
    """The upper half of the bits of x, which is not large."""
    cdef A c = x * (<A>134217729 if A is double else <A>4097)
    return c - (c - x)


cdef inline A lacking(A product, A x, A y) noexcept nogil:
    """x*y - product, exactly, where product is x*y rounded."""
    cdef A a = split(x), b = split(y)
    return ((a * b - product) + a * (y - b) + (x - a) * b) + (x - a) * (y - b)


cdef inline always tail(A *share, A t) noexcept nogil:
    """OUT share: Phi(-t)*e^(t^2/2) of 0 <= t < 40, to a few roundings.

    A polynomial of (t - 4)/(t + 4), over t + 4: as Shepherd and Laframboise, Chebyshev
    approximation of (1 + 2x)exp(x^2)erfc(x), Mathematics of Computation 36, 1981.
    """
    cdef A over = <A>1 / (t + <A>4), q = (t - <A>4) * over, square = q * q, even, odd, p
    # odd and even powers apart: neither waits for the other
    if A is double:
        even, odd = -9.990624160023276e-10, -1.01529571764961797e-11
        even = 1.39765281559508218e-8 + square * even
        even = -7.63471284344108608e-8 + square * even
        odd = 1.48423900727513431e-8 + square * odd
        even = 2.63543105606844541e-7 + square * even
        odd = -1.54619681912219187e-7 + square * odd
        even = -6.24990699536978521e-7 + square * even
        odd = 1.02007133925684645e-6 + square * odd
        even = 7.14930832547840089e-7 + square * even
        odd = -5.91901318615404412e-6 + square * odd
        even = -1.90784340592487053e-6 + square * even
        odd = 0.0000351442149682578036 + square * odd
        even = 0.000133344249783584282 + square * even
        odd = -0.00023109482414997104 + square * odd
        even = -0.00347969236180405956 + square * even
        odd = 0.00163081844248058856 + square * odd
        even = 0.0603965748906766544 + square * even
        odd = -0.00754018896562501684 + square * odd
        even = 0.387137400742219335 + square * even
        odd = -0.186521857959693392 + square * odd
        p = 0.755285130415751478 + q * (-0.607896641971891764 + q * (even + q * odd))
    else:
        even, odd = <float>-5.15565933e-5, <float>-0.0002317986783
        even = <float>0.0001710546116 + square * even
        even = <float>-0.003489317276 + square * even
        odd = <float>0.001645219297 + square * odd
        even = <float>0.06039753309 + square * even
        odd = <float>-0.007545268266 + square * odd
        even = <float>0.387137368 + square * even
        odd = <float>-0.1865212814 + square * odd
        p = <float>0.7552851306 + q * (<float>-0.6078966591 + q * (even + q * odd))
    share[0] = p * over


cdef inline always exponent(A *x, A *low, A t, Curve which) noexcept nogil:
    """OUT x <= 0, of whose e^x a curve is made at -t and t; low: what it lacks."""
    cdef A square = t * t, a = <A>1.5957691216057308, b = <A>0.07135481627260025, part, sum, rest
    if which == GELU:               # of the upper half of t exactly, and of what that lacks
        part = split(t)
        x[0], low[0] = <A>-0.5 * (part * part), <A>-0.5 * ((t - part) * (t + part))
    elif which == GELU_TANH:        # -t*(a + b*t^2), each product and sum with what it lacks
        part = b * square
        sum = a + part
        rest = (part - (sum - a)) + (a - (sum - (sum - a)))
        rest = rest + lacking(part, b, square) + b * lacking(square, t, t)
        rest = rest + <A>(-9.97e-17 if A is double else -4.534e-8)      # what a and b lack
        rest = rest + <A>(-6.18e-19 if A is double else 2.399e-9) * square
        x[0], low[0] = -(t * sum), -(lacking(t * sum, t, sum) + t * rest)
    else:
        x[0], low[0] = -t, 0


cdef inline A along(A t) noexcept nogil:
    """The slope of what GELU_TANH takes sigma of, along t."""
    return <A>1.5957691216057308 + <A>0.21406444881780075 * (t * t)


cdef inline always curve(A *f, A z, A slope, A most, bint back, Curve which) noexcept nogil:
    """OUT f: f(z), or back f'(z). `back` and `which` are literals."""
    cdef A one = 1, two = 2, four = 4, none = 0, rest = 0, power = 0, more = 0, share = 0
    cdef A limit, t, e, m, low, up, down
    cdef A x = 0, lacks = 0
    if which == GATE:
        f[0] = gated(one, z, slope, most) if back else gate(z, slope, most)
        return
    if which == HARDSWISH:
        up = (two * z + <A>3) / <A>6 if back else z * (z + <A>3) / <A>6
        up = up if z < 3 else (one if back else z)
        f[0] = up if z > -3 else (z if z != z else none)
        return
    # |z|, up to where e^x is nothing: there the limits are
    limit = <A>760 if A is double else <A>120
    if which == GELU:
        limit = <A>38.9 if A is double else <A>15
    elif which == GELU_TANH:
        limit = <A>21.6 if A is double else <A>11.2
    elif which == ELU and not back:
        limit = <A>40
    t = -z if z < 0 else z
    t = limit if t > limit else t
    exponent(&x, &lacks, t, which)
    raised(&rest, &power, &more, x, lacks)
    m = one + rest
    e = (m * power) * more
    if which == ELU:
        down = (slope * m * power) * more if back else slope * ((power * more - one)
                                                                + (power * more) * rest)
        f[0] = (one if back else z) if z > 0 else down
        return
    if which == MISH:           # of e^-t above 0, and of e^t below
        low = -t if z < 0 else t
        share = one / (one + two * e * (one + e) if z > 0 else e * (e + two) + two)
        if back:
            up = (one + two * e) * share + four * t * (e * e) * (one + e) * (share * share)
            down = (e + two - four * t * (one + e) * share) * share
        else:
            up = z * ((one + two * e) * share)
            down = low * ((e + two) * share)
        f[0] = up if z > 0 else ((down * m) * power) * more
        return
    # f(-t) = f(t) - t and f'(-t) = 1 - f'(t): what is right to its last digit is at -t
    if which == GELU:
        tail(&share, t)
        down = share - t * <A>0.3989422804014327 if back else t * share
    else:
        share = one / (one + e)     # the larger of sigma(x) and sigma(-x)
        low = t * along(t) if which == GELU_TANH else t
        down = share * (one - low * share) if back else t * share
    down = ((down * m) * power) * more
    if back:
        f[0] = one - down if z > 0 else down
    else:
        f[0] = (z if z > 0 else none) - down


cdef inline always bend(T *z, Py_ssize_t n, bint back, T slope, T most,
                        Curve which) noexcept nogil:
    cdef T f = 0
    cdef Py_ssize_t j, whole = n & -EIGHT       # so that compilers know: no loop for the rest
    if back:
        for j in range(whole):
            curve(&f, z[j], slope, most, True, which)
            z[j] = z[j + BENT] * f
    else:
        for j in range(whole):
            curve(&f, z[j], slope, most, False, which)
            z[j] = f


cdef loop bend_gate(T *z, Py_ssize_t n, bint back, T slope, T most) noexcept nogil:
    bend(z, n, back, slope, most, GATE)


cdef loop bend_silu(T *z, Py_ssize_t n, bint back, T slope, T most) noexcept nogil:
    bend(z, n, back, slope, most, SILU)


cdef loop bend_gelu(T *z, Py_ssize_t n, bint back, T slope, T most) noexcept nogil:
    bend(z, n, back, slope, most, GELU)


cdef loop bend_gelu_tanh(T *z, Py_ssize_t n, bint back, T slope, T most) noexcept nogil:
    bend(z, n, back, slope, most, GELU_TANH)


cdef loop bend_hardswish(T *z, Py_ssize_t n, bint back, T slope, T most) noexcept nogil:
    bend(z, n, back, slope, most, HARDSWISH)


cdef loop bend_elu(T *z, Py_ssize_t n, bint back, T slope, T most) noexcept nogil:
    bend(z, n, back, slope, most, ELU)


cdef loop bend_mish(T *z, Py_ssize_t n, bint back, T slope, T most) noexcept nogil:
    bend(z, n, back, slope, most, MISH)


cdef const void *bend_of(int which) except NULL:
    cdef Bend[CURVES] bends = [bend_gate, bend_silu, bend_gelu, bend_gelu_tanh, bend_hardswish,
                               bend_elu, bend_mish]
    if not 0 <= which < CURVES:
        refuse("curve", f"0 to {CURVES - 1}", which)
    return <const void *>bends[which]
