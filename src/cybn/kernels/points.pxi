# Functions of one item, f(x; v, s, t), with their slopes: what maps.pxi walks over data.
#
# They are arithmetic alone, without a branch and without a function of the C library, so that
# compilers make vectors of them and every CPU gives the same bits. A is the type of arithmetic.
#
# To add one: a name in Point, its equations in `point`, its number of sums in `terms_of`, and its
# loops in map_strips.pxi.

cdef enum Point:
    MOMENTS         # x - v alone, for sums of it and of its square
    THRESHOLD       # the larger of v*x + s and t
    SWISH           # x * sigma(v*x)
    SQUASH          # tanh(v*x)
    LARGER          # x over the larger of v*x + s and t

cdef enum:
    MOST_TERMS = 5

cdef extern from *:
    """
    /* 2^k, given k + 1.5*2^52 (or 1.5*2^23), whose last bits are those of the integer k. */
    static inline double cybn_power_of_double(double k) {
      unsigned long long w;
      memcpy(&w, &k, 8);
      w = (w << 52) + 0x3ff0000000000000ull;
      memcpy(&k, &w, 8);
      return k;
    }
    static inline float cybn_power_of_float(float k) {
      unsigned w;
      memcpy(&w, &k, 4);
      w = (w << 23) + 0x3f800000u;
      memcpy(&k, &w, 4);
      return k;
    }
    """
    double power_of_double "cybn_power_of_double"(double k) noexcept nogil
    float power_of_float "cybn_power_of_float"(float k) noexcept nogil


cdef inline void exponential(A x, A *power, A *rest) noexcept nogil:
    """e^x = power*(1 + rest) of x <= 0, to a few roundings; power is 1 where x is next to 0.

    Below what a normal number holds, power is 0. NaN comes out in rest.
    """
    # x = k*log(2) + r with |r| <= log(2)/2, and the series of e^r - 1, odd and even powers apart:
    # neither waits for the other
    cdef A lowest = <A>-708 if A is double else <A>-87
    cdef A y = lowest if x < lowest else x
    cdef A shifted, k, r, square, odd, even
    if A is double:
        shifted = y * 1.4426950408889634 + 6755399441055744.0
        k = shifted - 6755399441055744.0
        r = (y - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10
        square = r * r
        odd = 1.0 / 39916800 + square * (1.0 / 6227020800.0)
        even = 1.0 / 3628800 + square * (1.0 / 479001600)
        odd = 1.0 / 362880 + square * odd
        even = 1.0 / 40320 + square * even
        odd = 1.0 / 5040 + square * odd
        power[0] = power_of_double(shifted)
    else:
        shifted = y * <float>1.4426950408889634 + <float>12582912.0
        k = shifted - <float>12582912.0
        r = (y - k * <float>0.693359375) - k * <float>-2.12194440e-4
        square = r * r
        odd, even = <float>(1.0 / 5040), <float>(1.0 / 40320)
        power[0] = power_of_float(shifted)
    even = <A>(1.0 / 720) + square * even
    odd = <A>(1.0 / 120) + square * odd
    even = <A>(1.0 / 24) + square * even
    odd = <A>(1.0 / 6) + square * odd
    even = <A>0.5 + square * even
    rest[0] = r + square * (even + r * odd)
    power[0] = <A>0 if x < lowest else power[0]


cdef inline void point(A *f, A *f_x, A *f_v, A *f_s, A *f_t, A x, A v, A s, A t,
                       Point which) noexcept nogil:
    """OUT f and its slopes along x, v, s and t. `which` is a literal."""
    cdef A one = 1, zero = 0, u = v * x, power, rest, e, along, share
    if which == MOMENTS:
        f[0] = x - v
    elif which == THRESHOLD:
        u = u + s
        f[0] = u if (u > t) | (u != u) else t       # NaN of either stays
        f_x[0] = v if u > t else zero
        f_v[0] = x if u > t else zero
        f_s[0] = one if u > t else zero
        f_t[0] = zero if u > t else one
    elif which == SWISH:
        exponential(-u if u > 0 else u, &power, &rest)
        e = power + power * rest
        share = one / (one + e)         # of the larger of sigma(u) and sigma(-u)
        along = x * (e * share * share)
        share = share if u > 0 else e * share
        f[0] = x * share
        f_x[0] = share + v * along
        f_v[0] = x * along
    elif which == SQUASH:
        exponential(-2 * u if u > 0 else 2 * u, &power, &rest)
        e = power + power * rest
        share = one / (one + e)
        along = (power - one) + power * rest        # e - 1: next to 0 all digits of u are kept
        f[0] = (-along if u > 0 else along) * share
        along = 4 * (e * share * share)     # 1 - tanh^2 has no digits left where tanh is next to 1
        f_x[0] = v * along
        f_v[0] = x * along
    else:
        u = u + s
        share = one / (t if u <= t else u)
        f[0] = x * share
        along = -f[0] * share
        f_s[0] = along if u > t else zero
        f_t[0] = zero if u > t else along
        f_x[0] = share + v * f_s[0]
        f_v[0] = x * f_s[0]


cdef inline int terms_of(Point which) noexcept nogil:
    """How many sums a function has: see `add_terms`."""
    return 2 if which == MOMENTS else 5 if which == LARGER else 3
