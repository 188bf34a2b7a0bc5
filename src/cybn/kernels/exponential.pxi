# e^x by arithmetic alone: without a branch and without a function of the C library, so that
# compilers make vectors of it and every CPU gives the same bits. A is the type of arithmetic.

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


cdef inline A series(A r) noexcept nogil:
    """e^r - 1, to a few roundings, for |r| <= log(2)/2."""
    # odd and even powers apart: neither waits for the other
    cdef A square = r * r, odd, even
    if A is double:
        odd = 1.0 / 39916800 + square * (1.0 / 6227020800.0)
        even = 1.0 / 3628800 + square * (1.0 / 479001600)
        odd = 1.0 / 362880 + square * odd
        even = 1.0 / 40320 + square * even
        odd = 1.0 / 5040 + square * odd
    else:
        odd, even = <float>(1.0 / 5040), <float>(1.0 / 40320)
    even = <A>(1.0 / 720) + square * even
    odd = <A>(1.0 / 120) + square * odd
    even = <A>(1.0 / 24) + square * even
    odd = <A>(1.0 / 6) + square * odd
    even = <A>0.5 + square * even
    return r + square * (even + r * odd)


cdef inline float short_series(float r) noexcept nogil:
    """As `series`: a polynomial that is off by 2^-28 at most and has two terms less."""
    cdef float square = r * r, even, odd
    odd = <float>0.16666521 + square * <float>0.008368745
    even = <float>0.04166839 + square * <float>0.0013814539
    even = <float>0.49999994 + square * even
    return r + square * (even + r * odd)


cdef inline always exponential(A x, A *power, A *rest) noexcept nogil:
    """e^x = power*(1 + rest) of x <= 0, to a few roundings; power is 1 where x is next to 0.

    Below what a normal number holds, power is 0. NaN comes out in rest.
    """
    # x = k*log(2) + r with |r| <= log(2)/2
    cdef A lowest = <A>-708 if A is double else <A>-87
    cdef A y = lowest if x < lowest else x
    cdef A shifted, k
    if A is double:
        shifted = y * 1.4426950408889634 + 6755399441055744.0
        k = shifted - 6755399441055744.0
        rest[0] = series((y - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10)
        power[0] = power_of_double(shifted)
    else:
        shifted = y * <float>1.4426950408889634 + <float>12582912.0
        k = shifted - <float>12582912.0
        rest[0] = short_series((y - k * <float>0.693359375) - k * <float>-2.12194440e-4)
        power[0] = power_of_float(shifted)
    power[0] = <A>0 if x < lowest else power[0]


cdef inline always e_to(A *result, A x) noexcept nogil:
    """e^x to a few roundings, of -87 <= x <= 89 (-708 and 710 of double): infinite at that end."""
    cdef A shifted, k, power
    if A is double:
        shifted = x * 1.4426950408889634 + 6755399441055744.0
        k = shifted - 6755399441055744.0
        x = (x - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10
        power = power_of_double(shifted)
        x = series(x)
    else:
        shifted = x * <float>1.4426950408889634 + <float>12582912.0
        k = shifted - <float>12582912.0
        x = (x - k * <float>0.693359375) - k * <float>-2.12194440e-4
        power = power_of_float(shifted)
        x = short_series(x)
    result[0] = power * (<A>1 + x)


cdef inline always raised(A *rest, A *power, A *more, A x, A low) noexcept nogil:
    """e^(x + low) = (1 + rest)*power*more to a few roundings, `low` being what x lacks.

    0 >= x >= -760, and -120 of float. With two powers of two, what is multiplied by them one after
    the other is right down to the subnormal numbers.
    """
    cdef A y, k, half, magic = <A>6755399441055744.0 if A is double else <A>12582912.0
    k = (x * <A>1.4426950408889634 + magic) - magic
    half = k * <A>0.5 + magic
    if A is double:
        y = (x - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10
        power[0] = power_of_double(half)
        more[0] = power_of_double(k - (half - magic) + magic)
    else:
        y = (x - k * <float>0.693359375) - k * <float>-2.12194440e-4
        power[0] = power_of_float(half)
        more[0] = power_of_float(k - (half - magic) + magic)
    rest[0] = series(y + low)
