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
    SWISHED         # SWISH that multiplies
    LINEAR          # v*(x - t) + s, with sums as if t were 0

cdef enum:
    MOST_TERMS = 5

cdef inline always point(A *f, A *f_x, A *f_v, A *f_s, A *f_t, A x, A v, A s, A t, A far, A near,
                         Point which) noexcept nogil:
    """OUT f and its slopes along x, v, s and t; of SWISH that along v over f. `which` is a literal.

    e^-far is a normal number, and e^near infinite; who knows them at compile time makes a branch of
    what is beyond them, where two operations do.
    """
    cdef A one = 1, zero = 0, u = v * x, power, rest, e, along, share
    cdef A largest = <A>DBL_MAX if A is double else <A>FLT_MAX
    if which == MOMENTS:
        f[0] = x - v
    elif which == LINEAR:
        f[0], f_x[0], f_v[0], f_s[0] = v * (x - t) + s, v, x, one
    elif which == THRESHOLD:
        u = u + s
        f[0] = t if (u <= t) | (t != t) else u      # NaN of either stays
        f_x[0] = v if u > t else zero
        f_v[0] = x if u > t else zero
        f_s[0] = one if u > t else zero
        f_t[0] = zero if u > t else one
    elif which == SWISH or which == SWISHED:
        power = u if u < far else far
        power = power if power > -near else -near
        e_to(&e, -power)
        share = one / (one + e)
        f[0] = x * share
        e = (e if e < largest else largest) * share     # 1 - share, to its last digit
        e = zero if u > far else e
        f_x[0] = share * (one + power * e)
        f_v[0] = x * e                  # over f: no more than x
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
    return 2 if which == MOMENTS or which == LINEAR else 5 if which == LARGER else 3
