"""The inner loops of cybn, inline: what the kernels are made of and what a Cython plugin builds on.

Every function works on a pointer and a length, is `noexcept nogil`, allocates nothing, starts no
thread and keeps no state. The caller owns memory and threads and has checked every length.
Pointers need the alignment of their type, no more. Outputs may be exactly an input (in place) and
must not overlap one otherwise. They compile into the module that cimports them, so no binary
interface ties a plugin to one release of cybn. docs/primitives.md goes through them one by one.

Sums are kept in LANES independent partial sums, lane j taking the elements j, j + LANES, ... The
order of every addition is then fixed by the length alone: a compiler that vectorizes the lanes by
4, 8 or 16 gets the same bits. A plain `s += x[i]` was rejected, since only -ffast-math vectorizes
it, and then in an order that depends on the CPU; intrinsics were rejected as one copy per CPU.

T is the type of the data. A is the type that partial sums are kept in: T itself where at most a
few dozen elements meet in one lane, double where they are many or must be nearly exact.
"""

cdef extern from *:
    """
    #define CYBN_PRIMITIVES_VERSION 1  /* goes up when a plugin that uses them would notice */
    #if defined(__x86_64__) || defined(_M_X64)
      #include <immintrin.h>
      #define CYBN_CAN_STREAM 1
      /* 64 bytes to a 64-byte aligned address, past the caches. */
      static inline void cybn_stream_line(void *to, const void *from) {
      #if defined(__AVX512F__)
        _mm512_stream_si512((__m512i *)to, _mm512_loadu_si512(from));
      #elif defined(__AVX__)
        _mm256_stream_si256((__m256i *)to, _mm256_loadu_si256((const __m256i *)from));
        _mm256_stream_si256((__m256i *)to + 1, _mm256_loadu_si256((const __m256i *)from + 1));
      #else
        for (int i = 0; i < 4; i++)
          _mm_stream_si128((__m128i *)to + i, _mm_loadu_si128((const __m128i *)from + i));
      #endif
      }
      #define cybn_stream_fence() _mm_sfence()
    #else
      #include <string.h>
      #define CYBN_CAN_STREAM 0
      static inline void cybn_stream_line(void *to, const void *from) { memcpy(to, from, 64); }
      #define cybn_stream_fence() ((void)0)
    #endif
    #if defined(__GNUC__) || defined(__clang__)
      #define cybn_prefetch(p) __builtin_prefetch(p)
    #else
      #define cybn_prefetch(p) ((void)(p))
    #endif
    """
    const int PRIMITIVES_VERSION "CYBN_PRIMITIVES_VERSION"
    const bint CAN_STREAM "CYBN_CAN_STREAM"
    void stream_line "cybn_stream_line"(void *to, const void *src) noexcept nogil
    void stream_fence "cybn_stream_fence"() noexcept nogil
    void prefetch "cybn_prefetch"(const void *p) noexcept nogil

from libc.float cimport DBL_MAX, FLT_MAX
from libc.math cimport INFINITY

ctypedef fused T:
    float
    double

ctypedef fused A:
    float
    double

cdef enum:
    LANES = 32          # partial sums; a multiple of every vector width
    STRIP = 16          # items that one streaming step writes
    LINE = 64           # bytes of a cache line


cdef inline void fetch(const T *x, Py_ssize_t n) noexcept nogil:
    """Ask for the cache lines of n items that will be read soon; x need not be readable."""
    cdef Py_ssize_t i
    for i in range(n * sizeof(T) // LINE):
        prefetch(<const char *>x + i * LINE)


cdef inline void clear_lanes(A *s, A *q) noexcept nogil:
    """OUT s, q: LANES zeros each."""
    cdef Py_ssize_t j
    for j in range(LANES):
        s[j] = 0
    for j in range(LANES):
        q[j] = 0


cdef inline double fold_lanes(const A *s) noexcept nogil:
    """The sum of the LANES values at s, by halves; the last eight are added in double."""
    cdef A h[16]
    cdef double d[4]
    cdef Py_ssize_t j
    for j in range(16):
        h[j] = s[j] + s[j + 16]
    for j in range(8):
        h[j] = h[j] + h[j + 8]
    for j in range(4):
        d[j] = <double>h[j] + <double>h[j + 4]
    return (d[0] + d[2]) + (d[1] + d[3])


cdef inline void add_shifted(A *s, A *q, const T *x, Py_ssize_t n, A k,
                             Py_ssize_t ahead) noexcept nogil:
    """s[j] += x - k and q[j] += (x - k)^2 over x[0:n], lane by lane.

    OUT s, q: LANES each, accumulated into. IN x: n. k: the shift, near the mean of x.
    ahead: what lies so many items after x is read next, and fetched on the way.
    """
    cdef Py_ssize_t i, j, whole = n - n % LANES
    cdef A a[LANES]
    cdef A b[LANES]
    cdef A d
    clear_lanes(a, b)
    for i in range(n // LANES):
        fetch(x + i * LANES + ahead, LANES)
        for j in range(LANES):
            d = <A>x[i * LANES + j] - k
            a[j] += d
            b[j] += d * d
    for j in range(LANES):
        s[j] += a[j]
    for j in range(LANES):
        q[j] += b[j]
    for j in range(n - whole):
        d = <A>x[whole + j] - k
        s[j] += d
        q[j] += d * d


cdef inline T gate(T x, T slope, T most) noexcept nogil:
    """x above 0, slope*x below, `most` at the most: relu (0, inf), relu6 (0, 6), identity (1, inf).

    NaN stays NaN; -inf with slope 0 gives 0.
    """
    # Everything is computed and then chosen from: no branch, so that a compiler has vectors of it.
    cdef T least = -INFINITY if slope > 0 else (-FLT_MAX if T is float else -DBL_MAX)
    cdef T low = (least if x < least else x) * slope + 0       # 0, not -0
    cdef T y = x if x > 0 else low
    return most if y > most else y


cdef inline T gated(T dy, T y, T slope, T most) noexcept nogil:
    """The gradient of the gate's input, from that of its output y and y itself."""
    cdef T keep = <T>1 if y > 0 else slope
    return dy * (keep if y < most else <T>0)


cdef inline void add_products(T *s, T *q, const T *dy, const T *x, Py_ssize_t n,
                              T mean, T rstd, Py_ssize_t dy_ahead,
                              Py_ssize_t x_ahead) noexcept nogil:
    """s[j] += dy and q[j] += dy * (x - mean) * rstd over [0:n], lane by lane.

    OUT s, q: LANES each, accumulated into. IN dy, x: n. ahead: as in add_shifted.
    """
    _add_products(s, q, dy, x, dy, n, mean, rstd, <T>1, <T>1, False, dy_ahead, x_ahead)


cdef inline void add_products_gated(T *s, T *q, const T *dy, const T *x, const T *y, Py_ssize_t n,
                                    T mean, T rstd, T slope, T most, Py_ssize_t dy_ahead,
                                    Py_ssize_t x_ahead) noexcept nogil:
    """add_products of gated(dy, y, slope, most)."""
    _add_products(s, q, dy, x, y, n, mean, rstd, slope, most, True, dy_ahead, x_ahead)


cdef inline void _add_products(T *s, T *q, const T *dy, const T *x, const T *y, Py_ssize_t n,
                               T mean, T rstd, T slope, T most, bint gating, Py_ssize_t dy_ahead,
                               Py_ssize_t x_ahead) noexcept nogil:
    cdef Py_ssize_t i, j, whole = n - n % LANES
    cdef T a[LANES]
    cdef T b[LANES]
    cdef T g
    clear_lanes(a, b)
    for i in range(n // LANES):
        fetch(dy + i * LANES + dy_ahead, LANES)
        fetch(x + i * LANES + x_ahead, LANES)
        if gating:
            fetch(y + i * LANES + dy_ahead, LANES)
        for j in range(LANES):
            g = dy[i * LANES + j]
            if gating:
                g = gated(g, y[i * LANES + j], slope, most)
            a[j] += g
            b[j] += g * ((x[i * LANES + j] - mean) * rstd)
    for j in range(LANES):
        s[j] += a[j]
    for j in range(LANES):
        q[j] += b[j]
    for j in range(n - whole):
        g = dy[whole + j]
        if gating:
            g = gated(g, y[whole + j], slope, most)
        s[j] += g
        q[j] += g * ((x[whole + j] - mean) * rstd)


cdef inline Py_ssize_t before_line(const void *y, Py_ssize_t n, Py_ssize_t itemsize) noexcept nogil:
    """How many of the n items at y lie before the first address that is a multiple of a line."""
    cdef Py_ssize_t ahead = <Py_ssize_t>((LINE - (<size_t>y) % LINE) % LINE) // itemsize
    return ahead if ahead < n else n


cdef inline void store_strip(T *y, const T *strip, bint stream) noexcept nogil:
    """STRIP items to y; with stream past the caches, and y on a line boundary."""
    cdef Py_ssize_t i
    if stream:
        for i in range(STRIP * sizeof(T) // LINE):
            stream_line(<char *>y + i * LINE, <const char *>strip + i * LINE)
    else:
        for i in range(STRIP):
            y[i] = strip[i]


cdef inline T normal(T x, T mean, T scale, T shift) noexcept nogil:
    return (x - mean) * scale + shift


cdef inline T slope(T dy, T x, T weight, T mean, T along, T dy_mean, T scale) noexcept nogil:
    return ((dy * weight - dy_mean) - (x - mean) * along) * scale


# The loops that write. Each asks on the way for what lies `ahead` items after its inputs: while one
# tile is written from the caches, the next one comes from memory.

cdef inline void normalize(T *y, const T *x, Py_ssize_t n, T mean, T scale, T shift,
                           bint stream, Py_ssize_t ahead) noexcept nogil:
    """y = (x - mean) * scale + shift over [0:n].

    OUT y: n; may be x. IN x: n. stream: write past the caches (call stream_fence at the end).
    """
    _normalize(y, x, <const T *>NULL, n, &mean, &scale, &shift, False, <T>1, <T>1, False, stream,
               ahead)


cdef inline void normalize_gated(T *y, const T *x, const T *z, Py_ssize_t n, T mean, T scale,
                                 T shift, T slope, T most, bint stream,
                                 Py_ssize_t ahead) noexcept nogil:
    """y = gate((x - mean) * scale + shift + z, slope, most); z, n items, may be NULL."""
    _normalize(y, x, z, n, &mean, &scale, &shift, False, slope, most, True, stream, ahead)


cdef inline void normalize_each(T *y, const T *x, Py_ssize_t n, const T *mean, const T *scale,
                                const T *shift, bint stream, Py_ssize_t ahead) noexcept nogil:
    """As normalize, with a mean, scale and shift for every item."""
    _normalize(y, x, <const T *>NULL, n, mean, scale, shift, True, <T>1, <T>1, False, stream,
               ahead)


cdef inline void normalize_each_gated(T *y, const T *x, const T *z, Py_ssize_t n, const T *mean,
                                      const T *scale, const T *shift, T slope, T most,
                                      bint stream, Py_ssize_t ahead) noexcept nogil:
    """As normalize_gated, with a mean, scale and shift for every item."""
    _normalize(y, x, z, n, mean, scale, shift, True, slope, most, True, stream, ahead)


cdef inline T _output(const T *x, const T *z, Py_ssize_t i, const T *mean, const T *scale,
                      const T *shift, bint each, T slope, T most, bint gating) noexcept nogil:
    cdef Py_ssize_t c = i if each else 0
    cdef T y = normal(x[i], mean[c], scale[c], shift[c])
    if gating:
        y = gate(y + z[i] if z != NULL else y, slope, most)
    return y


cdef inline void _normalize(T *y, const T *x, const T *z, Py_ssize_t n, const T *mean,
                            const T *scale, const T *shift, bint each, T slope, T most,
                            bint gating, bint stream, Py_ssize_t ahead) noexcept nogil:
    cdef Py_ssize_t i, j, _s, head = before_line(y, n, sizeof(T)) if stream else 0
    cdef T strip[STRIP]
    for i in range(head):
        y[i] = _output(x, z, i, mean, scale, shift, each, slope, most, gating)
    for _s in range((n - head) // STRIP):
        fetch(x + head + ahead, STRIP)
        if gating and z != NULL:
            fetch(z + head + ahead, STRIP)
        for j in range(STRIP):
            strip[j] = _output(x, z, head + j, mean, scale, shift, each, slope, most, gating)
        store_strip(y + head, strip, stream)
        head += STRIP
    for i in range(head, n):
        y[i] = _output(x, z, i, mean, scale, shift, each, slope, most, gating)


cdef inline void gradient(T *dx, const T *dy, const T *x, Py_ssize_t n, T weight, T mean, T along,
                          T dy_mean, T scale, bint stream, Py_ssize_t ahead) noexcept nogil:
    """dx = (dy*weight - dy_mean - (x - mean)*along) * scale over [0:n].

    OUT dx: n; may be dy or x. IN dy, x: n. stream: as in normalize.
    """
    _gradient(dx, <T *>NULL, dy, x, dy, n, weight, &mean, &along, &dy_mean, &scale, False, <T>1,
              <T>1, False, stream, ahead)


cdef inline void gradient_gated(T *dx, T *dz, const T *dy, const T *x, const T *y, Py_ssize_t n,
                                T mean, T along, T dy_mean, T scale, T slope, T most,
                                bint stream, Py_ssize_t ahead) noexcept nogil:
    """gradient with weight 1 of g = gated(dy, y, slope, most); g also goes to dz unless NULL."""
    _gradient(dx, dz, dy, x, y, n, <T>1, &mean, &along, &dy_mean, &scale, False, slope, most, True,
              stream, ahead)


cdef inline void gradient_each(T *dx, const T *dy, const T *x, Py_ssize_t n, const T *mean,
                               const T *along, const T *dy_mean, const T *scale,
                               bint stream, Py_ssize_t ahead) noexcept nogil:
    """As gradient with weight 1, with four coefficients for every item."""
    _gradient(dx, <T *>NULL, dy, x, dy, n, <T>1, mean, along, dy_mean, scale, True, <T>1, <T>1,
              False, stream, ahead)


cdef inline void gradient_each_gated(T *dx, T *dz, const T *dy, const T *x, const T *y,
                                     Py_ssize_t n, const T *mean, const T *along, const T *dy_mean,
                                     const T *scale, T slope, T most, bint stream,
                                     Py_ssize_t ahead) noexcept nogil:
    """As gradient_gated, with four coefficients for every item."""
    _gradient(dx, dz, dy, x, y, n, <T>1, mean, along, dy_mean, scale, True, slope, most, True,
              stream, ahead)


cdef inline void _gradient(T *dx, T *dz, const T *dy, const T *x, const T *y, Py_ssize_t n,
                           T weight, const T *mean, const T *along, const T *dy_mean,
                           const T *scale, bint each, T slope_, T most, bint gating, bint stream,
                           Py_ssize_t ahead) noexcept nogil:
    cdef Py_ssize_t i, j, c, _s, head = before_line(dx, n, sizeof(T)) if stream else 0
    cdef T strip[STRIP]
    cdef T g[STRIP]
    cdef T d
    for i in range(head):
        c = i if each else 0
        g[0] = gated(dy[i], y[i], slope_, most) if gating else dy[i]
        if gating and dz != NULL:
            dz[i] = g[0]
        dx[i] = slope(g[0], x[i], weight, mean[c], along[c], dy_mean[c], scale[c])
    for _s in range((n - head) // STRIP):
        fetch(dy + head + ahead, STRIP)
        fetch(x + head + ahead, STRIP)
        if gating:
            fetch(y + head + ahead, STRIP)
        for j in range(STRIP):
            c = head + j if each else 0
            d = gated(dy[head + j], y[head + j], slope_, most) if gating else dy[head + j]
            strip[j] = slope(d, x[head + j], weight, mean[c], along[c], dy_mean[c], scale[c])
            g[j] = d
        store_strip(dx + head, strip, stream)
        if gating and dz != NULL:
            store_strip(dz + head, g, stream and <size_t>(dz + head) % LINE == 0)
        head += STRIP
    for i in range(head, n):
        c = i if each else 0
        g[0] = gated(dy[i], y[i], slope_, most) if gating else dy[i]
        if gating and dz != NULL:
            dz[i] = g[0]
        dx[i] = slope(g[0], x[i], weight, mean[c], along[c], dy_mean[c], scale[c])


# The same three loops where every item has a weight and bias of its own, as in layer norm, and
# xhat = (x - mean)*rstd + shift, in which shift puts right what rounding the mean left out.

cdef inline T xhat(T x, T mean, T rstd, T shift) noexcept nogil:
    return (x - mean) * rstd + shift


cdef inline void normalize_weighted(T *y, const T *x, const T *weight, const T *bias, Py_ssize_t n,
                                    T mean, T rstd, T shift, bint stream,
                                    Py_ssize_t ahead) noexcept nogil:
    """y = xhat*weight + bias over [0:n].

    OUT y: n; may be x. IN x, weight, bias: n. stream: as in normalize.
    """
    cdef Py_ssize_t i, j, _s, head = before_line(y, n, sizeof(T)) if stream else 0
    cdef T strip[STRIP]
    for i in range(head):
        y[i] = xhat(x[i], mean, rstd, shift) * weight[i] + bias[i]
    for _s in range((n - head) // STRIP):
        fetch(x + head + ahead, STRIP)
        for j in range(STRIP):
            strip[j] = xhat(x[head + j], mean, rstd, shift) * weight[head + j] + bias[head + j]
        store_strip(y + head, strip, stream)
        head += STRIP
    for i in range(head, n):
        y[i] = xhat(x[i], mean, rstd, shift) * weight[i] + bias[i]


cdef inline void add_weighted(T *s, T *q, const T *dy, const T *x, const T *weight, Py_ssize_t n,
                              T mean, T rstd, T shift) noexcept nogil:
    """s[j] += dy*weight and q[j] += dy*weight*xhat over [0:n], lane by lane.

    OUT s, q: LANES each, accumulated into. IN dy, x, weight: n.
    """
    cdef Py_ssize_t i, j, whole = n - n % LANES
    cdef T a[LANES]
    cdef T b[LANES]
    cdef T g
    clear_lanes(a, b)
    for i in range(n // LANES):
        for j in range(LANES):
            g = dy[i * LANES + j] * weight[i * LANES + j]
            a[j] += g
            b[j] += g * xhat(x[i * LANES + j], mean, rstd, shift)
    for j in range(LANES):
        s[j] += a[j]
    for j in range(LANES):
        q[j] += b[j]
    for j in range(n - whole):
        g = dy[whole + j] * weight[whole + j]
        s[j] += g
        q[j] += g * xhat(x[whole + j], mean, rstd, shift)


cdef inline void gradient_weighted(T *dx, T *dbias, T *dweight, const T *dy, const T *x,
                                   const T *weight, Py_ssize_t n, T mean, T rstd, T shift,
                                   T g_mean, T along, bint stream, Py_ssize_t ahead) noexcept nogil:
    """dx = (dy*weight - g_mean - xhat*along)*rstd, dbias += dy, dweight += dy*xhat over [0:n].

    OUT dx: n; may be dy or x; dbias, dweight: n, accumulated into. IN dy, x, weight: n.
    """
    cdef Py_ssize_t i, j, _s, head = before_line(dx, n, sizeof(T)) if stream else 0
    cdef T strip[STRIP]
    cdef T d[STRIP]             # local copies, so that no store can alias a load
    cdef T hats[STRIP]
    cdef T h
    for i in range(head):
        h = xhat(x[i], mean, rstd, shift)
        dbias[i] += dy[i]
        dweight[i] += dy[i] * h
        dx[i] = ((dy[i] * weight[i] - g_mean) - h * along) * rstd
    for _s in range((n - head) // STRIP):
        fetch(dy + head + ahead, STRIP)
        fetch(x + head + ahead, STRIP)
        for j in range(STRIP):
            d[j] = dy[head + j]
        for j in range(STRIP):
            hats[j] = xhat(x[head + j], mean, rstd, shift)
        for j in range(STRIP):
            strip[j] = ((d[j] * weight[head + j] - g_mean) - hats[j] * along) * rstd
        store_strip(dx + head, strip, stream)
        for j in range(STRIP):
            strip[j] = dbias[head + j] + d[j]
        for j in range(STRIP):
            dbias[head + j] = strip[j]
        for j in range(STRIP):
            strip[j] = dweight[head + j] + d[j] * hats[j]
        for j in range(STRIP):
            dweight[head + j] = strip[j]
        head += STRIP
    for i in range(head, n):
        h = xhat(x[i], mean, rstd, shift)
        dbias[i] += dy[i]
        dweight[i] += dy[i] * h
        dx[i] = ((dy[i] * weight[i] - g_mean) - h * along) * rstd
