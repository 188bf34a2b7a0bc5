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

S is the type that data is stored in, T the type of arithmetic: for float and double the same, and
float for data of sixteen bits. A is the type that partial sums are kept in: T itself where at most
a few dozen elements meet in one lane, double where they are many or must be nearly exact.

Data of sixteen bits is converted strip by strip, by `load` and `store`, which do nothing for the
other types: what is read and written there lies in the arrays themselves. The conversion is the one
place with intrinsics, since no compiler makes the instructions of a loop; where the CPU has none,
whole numbers do the same to the bit. A line of them is streamed from registers: one that went
through memory first was half as quick.

A row ends, and where it is streamed begins, with less than a strip. What lies there is computed as
a whole strip too, which overlaps another, and the part of it that is missing is written: the same
values, and no loop of an unknown length.
"""

cdef extern from *:
    """
    #define CYBN_PRIMITIVES_VERSION 2  /* goes up when a plugin that uses them would notice */
    #include <string.h>
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
      #define CYBN_CAN_STREAM 0
      static inline void cybn_stream_line(void *to, const void *from) { memcpy(to, from, 64); }
      #define cybn_stream_fence() ((void)0)
    #endif
    /* cybn_always: a loop that is told by flags what it is compiles to one without them. */
    #if defined(__GNUC__) || defined(__clang__)
      #define cybn_prefetch(p) __builtin_prefetch(p)
      #define cybn_always __attribute__((always_inline)) void
      #define cybn_apart static __attribute__((noinline, unused))
      #define cybn_known(n) __builtin_constant_p(n)
      typedef unsigned cybn_pair __attribute__((may_alias, aligned(2)));
    #else
      #define cybn_prefetch(p) ((void)(p))
      #define cybn_always void
      #define cybn_apart static
      #define cybn_known(n) 1
      typedef unsigned cybn_pair;
    #endif

    static inline int cybn_bits(float x) { int w; memcpy(&w, &x, 4); return w; }
    static inline float cybn_float(int w) { float x; memcpy(&x, &w, 4); return x; }

    /* bfloat16 is the upper half of a float. Rounded to nearest, ties to even; NaN stays NaN. */
    static inline float cybn_of_bfloat16(unsigned short h) {
      return cybn_float((int)((unsigned)h << 16));
    }
    static inline unsigned cybn_rounded(float x) {
      unsigned w = (unsigned)cybn_bits(x);
      return x == x ? w + 0x7fff + (w >> 16 & 1) : w | 0x400000;
    }
    static inline unsigned short cybn_to_bfloat16(float x) {
      return (unsigned short)(cybn_rounded(x) >> 16);
    }

    /* 16 items at once: in order, or in pairs where order does not matter, which a shift and a mask
       take apart where vectors would be shuffled. What is stored comes out of arithmetic, so NaN is
       a quiet one. gcc's own vectors of the loops do the same in twice the time. */
    #if defined(__AVX2__)
      static inline __m256i cybn_rounded_words(__m256i high, __m256i low) {
        __m256i above = _mm256_xor_si256(low, _mm256_set1_epi16((short)0x8000)), up, nan;
        above = _mm256_adds_epi16(above, _mm256_and_si256(high, _mm256_set1_epi16(1)));
        up = _mm256_cmpgt_epi16(above, _mm256_setzero_si256());
        nan = _mm256_and_si256(high, _mm256_set1_epi16(0x7fff));
        nan = _mm256_cmpgt_epi16(nan, _mm256_set1_epi16(0x7f80));
        return _mm256_sub_epi16(high, _mm256_andnot_si256(nan, up));
      }
      static inline __m256i cybn_words_of_pairs(const float *from) {
        __m256i a = _mm256_castps_si256(_mm256_loadu_ps(from));
        __m256i b = _mm256_castps_si256(_mm256_loadu_ps(from + 8));
        return cybn_rounded_words(_mm256_blend_epi16(_mm256_srli_epi32(a, 16), b, 0xaa),
                                  _mm256_blend_epi16(a, _mm256_slli_epi32(b, 16), 0xaa));
      }
      static inline __m256i cybn_words_in_order(const float *from) {
        __m256i a = _mm256_castps_si256(_mm256_loadu_ps(from)), none = _mm256_setzero_si256();
        __m256i b = _mm256_castps_si256(_mm256_loadu_ps(from + 8)), low, high;
        high = _mm256_packus_epi32(_mm256_srli_epi32(a, 16), _mm256_srli_epi32(b, 16));
        low = _mm256_packus_epi32(_mm256_blend_epi16(a, none, 0xaa),
                                  _mm256_blend_epi16(b, none, 0xaa));
        return _mm256_permute4x64_epi64(cybn_rounded_words(high, low), 0xd8);
      }
      static inline void cybn_load_pairs(float *to, const void *from) {
        __m256i pairs = _mm256_loadu_si256((const __m256i *)from);
        __m256i high = _mm256_and_si256(pairs, _mm256_set1_epi32((int)0xffff0000u));
        _mm256_storeu_ps(to, _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)));
        _mm256_storeu_ps(to + 8, _mm256_castsi256_ps(high));
      }
      static inline void cybn_load_order(float *to, const void *from) {
        for (int i = 0; i < 2; i++) {
          __m256i words = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)from + i));
          _mm256_storeu_ps(to + 8 * i, _mm256_castsi256_ps(_mm256_slli_epi32(words, 16)));
        }
      }
      static inline void cybn_store_pairs(void *to, const float *from) {
        _mm256_storeu_si256((__m256i *)to, cybn_words_of_pairs(from));
      }
      static inline void cybn_store_order(void *to, const float *from) {
        _mm256_storeu_si256((__m256i *)to, cybn_words_in_order(from));
      }
    #else
      static inline void cybn_load_pairs(float *to, const void *from) {
        const cybn_pair *pairs = (const cybn_pair *)from;
        for (int i = 0; i < 8; i++) to[i] = cybn_float((int)(pairs[i] << 16));
        for (int i = 0; i < 8; i++) to[i + 8] = cybn_float((int)(pairs[i] & 0xffff0000u));
      }
      static inline void cybn_load_order(float *to, const void *from) {
        for (int i = 0; i < 16; i++) to[i] = cybn_of_bfloat16(((const unsigned short *)from)[i]);
      }
      static inline void cybn_store_pairs(void *to, const float *from) {
        cybn_pair *pairs = (cybn_pair *)to;
        for (int i = 0; i < 8; i++)
          pairs[i] = cybn_rounded(from[i]) >> 16 | (cybn_rounded(from[i + 8]) & 0xffff0000u);
      }
      static inline void cybn_store_order(void *to, const float *from) {
        for (int i = 0; i < 16; i++) ((unsigned short *)to)[i] = cybn_to_bfloat16(from[i]);
      }
    #endif

    /* float16, with whole numbers and without a branch. Exponents are moved by multiplying; what is
       below the normal numbers is aligned by adding a number whose last bit is theirs. */
    static inline float cybn_of_float16(unsigned short h) {
      int w = h & 0x7fff;
      float normal = cybn_float((w << 13) + 0x70000000) * 0x1p-112f;
      float below = cybn_float(w | 0x3f000000) - 0.5f;
      return cybn_float((h & 0x8000) << 16 | cybn_bits(w < 0x400 ? below : normal));
    }
    static inline unsigned short cybn_to_float16(float x) {
      int w = cybn_bits(x), size = w & 0x7fffffff, power = w & 0x7f800000, rounded;
      float base = (cybn_float(size) * 0x1p+112f) * 0x1p-110f;
      power = (power < 0x38800000 ? 0x38800000 : power) + 0x07800000;
      rounded = cybn_bits(cybn_float(power) + base);
      rounded = (rounded >> 13 & 0x7c00) + (rounded & 0xfff);
      rounded = size > 0x7f800000 ? 0x7e00 | (size >> 13 & 0x3ff) : rounded;
      return (unsigned short)((unsigned)w >> 16 & 0x8000) | (unsigned short)rounded;
    }

    /* n items. Whole strips are converted where they are wanted, HERE, if that takes a few
       instructions; what takes many, and ends of a length that is known only then, by one function
       for all of them. */
    #if defined(__F16C__) || (defined(_MSC_VER) && defined(__AVX2__))
      #define CYBN_EIGHT 8
      static inline void cybn_load_eight(float *to, const unsigned short *from) {
        _mm256_storeu_ps(to, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)from)));
      }
      static inline void cybn_store_eight(unsigned short *to, const float *from) {
        _mm_storeu_si128((__m128i *)to, _mm256_cvtps_ph(_mm256_loadu_ps(from), 0));
      }
    #else
      #define CYBN_EIGHT 0
      #define cybn_load_eight(to, from) ((void)0)
      #define cybn_store_eight(to, from) ((void)0)
    #endif
    #define CYBN_CONVERTER(name, OUT, IN, eight, convert, EIGHT, HERE) \\
      static inline void name##_here(OUT *to, const IN *from, ptrdiff_t n) { \\
        ptrdiff_t i = 0; \\
        if (EIGHT) for (; i < n - 7; i += 8) eight(to + i, from + i); \\
        for (; i < n; i++) to[i] = convert(from[i]); \\
      } \\
      cybn_apart void name##_apart(OUT *to, const IN *from, ptrdiff_t n) { \\
        name##_here(to, from, n); \\
      } \\
      static inline void name(void *to, const void *from, ptrdiff_t n) { \\
        if (HERE && cybn_known(n)) name##_here((OUT *)to, (const IN *)from, n); \\
        else name##_apart((OUT *)to, (const IN *)from, n); \\
      }
    CYBN_CONVERTER(cybn_load_float16, float, unsigned short, cybn_load_eight, cybn_of_float16,
                   CYBN_EIGHT, CYBN_EIGHT)
    CYBN_CONVERTER(cybn_store_float16, unsigned short, float, cybn_store_eight, cybn_to_float16,
                   CYBN_EIGHT, CYBN_EIGHT)
    CYBN_CONVERTER(cybn_load_bfloat16, float, unsigned short, cybn_load_eight, cybn_of_bfloat16,
                   0, 1)
    CYBN_CONVERTER(cybn_store_bfloat16, unsigned short, float, cybn_store_eight, cybn_to_bfloat16,
                   0, 1)

    /* 32 floats as one line of words, past the caches, from registers where there are such. */
    static inline void cybn_stream_float16(void *to, const float *from) {
    #if CYBN_EIGHT
      for (int i = 0; i < 2; i++)
        _mm256_stream_si256((__m256i *)to + i, _mm256_set_m128i(
          _mm256_cvtps_ph(_mm256_loadu_ps(from + 16 * i + 8), 0),
          _mm256_cvtps_ph(_mm256_loadu_ps(from + 16 * i), 0)));
    #else
      unsigned short words[32];
      cybn_store_float16(words, from, 32);
      cybn_stream_line(to, words);
    #endif
    }
    static inline void cybn_stream_bfloat16(void *to, const float *from, int ordered) {
      unsigned short words[32];
      for (int i = 0; i < 32; i += 16) {
        if (ordered) cybn_store_order(words + i, from + i);
        else cybn_store_pairs(words + i, from + i);
      }
      cybn_stream_line(to, words);
    }
    """
    ctypedef void _always "cybn_always"
    const int PRIMITIVES_VERSION "CYBN_PRIMITIVES_VERSION"
    const bint CAN_STREAM "CYBN_CAN_STREAM"
    void stream_line "cybn_stream_line"(void *to, const void *src) noexcept nogil
    void stream_fence "cybn_stream_fence"() noexcept nogil
    void prefetch "cybn_prefetch"(const void *p) noexcept nogil
    void _load_float16 "cybn_load_float16"(float *to, const void *x, Py_ssize_t n) noexcept nogil
    void _load_bfloat16 "cybn_load_bfloat16"(float *to, const void *x, Py_ssize_t n) noexcept nogil
    void _store_float16 "cybn_store_float16"(void *y, const float *x, Py_ssize_t n) noexcept nogil
    void _store_bfloat16 "cybn_store_bfloat16"(void *y, const float *x, Py_ssize_t n) noexcept nogil
    void _load_pairs "cybn_load_pairs"(float *to, const void *x) noexcept nogil
    void _store_pairs "cybn_store_pairs"(void *y, const float *x) noexcept nogil
    void _load_order "cybn_load_order"(float *to, const void *x) noexcept nogil
    void _store_order "cybn_store_order"(void *y, const float *x) noexcept nogil
    void _stream_float16 "cybn_stream_float16"(void *y, const float *x) noexcept nogil
    void _stream_bfloat16 "cybn_stream_bfloat16"(void *y, const float *x,
                                                 bint ordered) noexcept nogil

from libc.float cimport DBL_MAX, FLT_MAX
from libc.math cimport INFINITY
from libc.string cimport memcpy

cdef struct float16:        # NumPy's float16, as its word: array.view(np.uint16)
    unsigned short word

cdef struct bfloat16:       # the upper half of a float32
    unsigned short word

ctypedef fused S:
    float
    double
    float16
    bfloat16

ctypedef fused T:
    float
    double

ctypedef fused A:
    float
    double

cdef enum:
    LANES = 32          # partial sums; a multiple of every vector width
    STRIP = 16          # items that one streaming step writes, and of sixteen bits
    MOST_STRIP = 32     # twice as many: whole cache lines
    LINE = 64           # bytes of a cache line


# Reading and writing: `load` before items are `loaded`, and `store` after they were `put`. Where S
# is float or double, items are read and written where they lie, and room is not used.

cdef inline void load(T *room, const S *x, Py_ssize_t n) noexcept nogil:
    """OUT room: x[0:n] as T, where S has sixteen bits."""
    cdef Py_ssize_t i
    cdef float one
    if S is float16 or S is bfloat16:
        if T is float:
            _load_words(room, x, n)
        else:
            for i in range(n):
                _load_words(&one, x + i, 1)
                room[i] = one


cdef inline void _read(T *room, const S *x, Py_ssize_t n, bint whole,
                       bint ordered) noexcept nogil:
    # As load. whole: n is a multiple of STRIP; ordered: the order of items in room matters. Where it
    # does not, it is one that _store_strip alone knows.
    cdef Py_ssize_t i
    if S is bfloat16 and T is float:
        if whole:
            for i in range(n // STRIP):
                if ordered:
                    _load_order(room + i * STRIP, x + i * STRIP)
                else:
                    _load_pairs(room + i * STRIP, x + i * STRIP)
        else:
            load(room, x, n)
    else:
        load(room, x, n)


cdef inline void _load_words(float *room, const S *x, Py_ssize_t n) noexcept nogil:
    if S is float16:
        _load_float16(room, x, n)
    else:
        _load_bfloat16(room, x, n)


cdef inline T loaded(const T *room, const S *x, Py_ssize_t i) noexcept nogil:
    """x[i] as T, from room where S has sixteen bits."""
    if S is float16 or S is bfloat16:
        return room[i]
    else:
        return <T>x[i]


cdef inline void put(S *y, T *room, Py_ssize_t i, T value) noexcept nogil:
    """y[i] = value, in room where S has sixteen bits: `store` then takes it to y."""
    if S is float16 or S is bfloat16:
        room[i] = value
    else:
        y[i] = <S>value


cdef inline void store(S *y, const T *room, Py_ssize_t n) noexcept nogil:
    """y[0:n] = room[0:n], rounded to nearest even, where S has sixteen bits."""
    cdef Py_ssize_t i
    cdef float one
    if S is float16 or S is bfloat16:
        if T is float:
            _store_words(y, room, n)
        else:
            for i in range(n):
                one = <float>room[i]
                _store_words(y + i, &one, 1)


cdef inline void _store_words(S *y, const float *room, Py_ssize_t n) noexcept nogil:
    if S is float16:
        _store_float16(y, room, n)
    else:
        _store_bfloat16(y, room, n)


cdef inline T item(const S *x, T _) noexcept nogil:
    """The one item at x, as a number of the type of the second argument."""
    cdef T room = 0
    load(&room, x, 1)
    return loaded(&room, x, 0)


cdef inline void fetch(const S *x, Py_ssize_t n) noexcept nogil:
    """Ask for the cache lines of n items that will be read soon; x need not be readable."""
    cdef Py_ssize_t i
    for i in range(n * sizeof(S) // LINE):
        prefetch(<const char *>x + i * LINE)


cdef inline void clear_lanes(A *s, A *q) noexcept nogil:
    """OUT s, q: LANES zeros each."""
    cdef Py_ssize_t j
    for j in range(LANES):
        s[j] = 0
    for j in range(LANES):
        q[j] = 0


cdef inline _always _settle_lanes(A *s, A *q, const A *a, const A *b, bint fresh) noexcept nogil:
    # s = a and q = b, or += where there are sums already
    cdef Py_ssize_t j
    for j in range(LANES):
        s[j] = a[j] if fresh else s[j] + a[j]
    for j in range(LANES):
        q[j] = b[j] if fresh else q[j] + b[j]


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


cdef inline void add_shifted(A *s, A *q, const S *x, Py_ssize_t n, A k,
                             Py_ssize_t ahead) noexcept nogil:
    """s[j] += x - k and q[j] += (x - k)^2 over x[0:n], lane by lane.

    OUT s, q: LANES each, accumulated into. IN x: n. k: the shift, near the mean of x.
    ahead: what lies so many items after x is read next, and fetched on the way.
    """
    _shifted(s, q, x, n, k, ahead, False)


cdef inline void sum_shifted(A *s, A *q, const S *x, Py_ssize_t n, A k,
                             Py_ssize_t ahead) noexcept nogil:
    """As add_shifted to lanes of zeros, which it does not read."""
    _shifted(s, q, x, n, k, ahead, True)


cdef inline _always _shifted(A *s, A *q, const S *x, Py_ssize_t n, A k, Py_ssize_t ahead,
                             bint fresh) noexcept nogil:
    cdef Py_ssize_t i, whole = n - n % LANES
    cdef A a[LANES]
    cdef A b[LANES]
    clear_lanes(a, b)
    for i in range(n // LANES):
        fetch(x + i * LANES + ahead, LANES)
        _shifted_some(a, b, x + i * LANES, LANES, k, True)
    _settle_lanes(s, q, a, b, fresh)
    if whole < n:
        _shifted_some(s, q, x + whole, n - whole, k, False)


cdef inline _always _shifted_some(A *s, A *q, const S *x, Py_ssize_t n, A k,
                                  bint whole) noexcept nogil:
    # of LANES items, or of less
    cdef Py_ssize_t j
    cdef A room[LANES]
    cdef A d
    _read(room, x, n, whole, False)
    for j in range(n):
        d = loaded(room, x, j) - k
        s[j] += d
        q[j] += d * d


cdef inline bint trusted(double s, double q, Py_ssize_t n, double far,
                         size_t itemsize) noexcept nogil:
    """Are the sums of n items about k good enough to take their variance from?

    s, q: sum(x - k) and sum((x - k)^2), kept in a type of itemsize bytes. (q - s^2/n)/n cancels
    where k was far from the mean: what rounding has done to q counts 1/(1 - s^2/(n*q)) times in it.
    far: the largest s^2/(n*q) that is allowed. A q that may have lost bits to underflow, or have
    overflowed on its way, is not to be trusted, and NaN never is.
    """
    cdef double least = 1e-30 if itemsize < sizeof(double) else 1e-280
    cdef double most = 1e37 if itemsize < sizeof(double) else 1e300
    return (s == 0 and q == 0) or (least < q and q < most and s * s <= far * n * q)


cdef inline T gate(T x, T slope, T most) noexcept nogil:
    """x above 0, slope*x below, `most` at the most: relu (0, inf), relu6 (0, 6), identity (1, inf).

    NaN stays NaN; -inf with slope 0 gives 0.
    """
    # Everything is computed and then chosen from: no branch, so that a compiler has vectors of it.
    cdef T lowest = -INFINITY if slope > 0 else (-FLT_MAX if T is float else -DBL_MAX)
    cdef T low = (lowest if x < lowest else x) * slope + 0       # 0, not -0
    cdef T y = x if x > 0 else low
    return most if y > most else y


cdef inline T gated(T dy, T y, T slope, T most) noexcept nogil:
    """The gradient of the gate's input, from that of its output y and y itself."""
    cdef T keep = <T>1 if y > 0 else slope
    return dy * (keep if y < most else <T>0)


cdef inline T xhat(T x, T mean, T rstd, T shift) noexcept nogil:
    return (x - mean) * rstd + shift


cdef inline void add_products(T *s, T *q, const S *dy, const S *x, Py_ssize_t n,
                              T mean, T rstd, Py_ssize_t dy_ahead,
                              Py_ssize_t x_ahead) noexcept nogil:
    """s[j] += dy and q[j] += dy * (x - mean) * rstd over [0:n], lane by lane.

    OUT s, q: LANES each, accumulated into. IN dy, x: n. ahead: as in add_shifted.
    """
    _products(s, q, dy, x, dy, &mean, n, mean, rstd, <T>0, <T>1, <T>1, False, False, False,
              dy_ahead, x_ahead)


cdef inline void sum_products(T *s, T *q, const S *dy, const S *x, Py_ssize_t n,
                              T mean, T rstd, Py_ssize_t dy_ahead,
                              Py_ssize_t x_ahead) noexcept nogil:
    """As add_products to lanes of zeros, which it does not read."""
    _products(s, q, dy, x, dy, &mean, n, mean, rstd, <T>0, <T>1, <T>1, False, False, True,
              dy_ahead, x_ahead)


cdef inline void add_products_gated(T *s, T *q, const S *dy, const S *x, const S *y, Py_ssize_t n,
                                    T mean, T rstd, T slope, T most, Py_ssize_t dy_ahead,
                                    Py_ssize_t x_ahead) noexcept nogil:
    """add_products of gated(dy, y, slope, most)."""
    _products(s, q, dy, x, y, &mean, n, mean, rstd, <T>0, slope, most, True, False, False,
              dy_ahead, x_ahead)


cdef inline void sum_weighted(T *s, T *q, const S *dy, const S *x, const T *weight, Py_ssize_t n,
                              T mean, T rstd, T shift) noexcept nogil:
    """s[j] = sum of dy*weight and q[j] = sum of dy*weight*xhat over [0:n], lane by lane.

    OUT s, q: LANES each. IN dy, x, weight: n.
    """
    _products(s, q, dy, x, dy, weight, n, mean, rstd, shift, <T>1, <T>1, False, True, True, 0, 0)


cdef inline _always _products(T *s, T *q, const S *dy, const S *x, const S *y, const T *weight,
                              Py_ssize_t n, T mean, T rstd, T shift, T slope, T most, bint gating,
                              bint weighted, bint fresh, Py_ssize_t dy_ahead,
                              Py_ssize_t x_ahead) noexcept nogil:
    # Converted, two inputs have registers for half of the lanes.
    cdef Py_ssize_t some = LANES // 2 if sizeof(S) < sizeof(float) else LANES
    cdef Py_ssize_t i, at, whole = n - n % LANES
    cdef T a[LANES]
    cdef T b[LANES]
    clear_lanes(a, b)
    for i in range(n // LANES):
        if not weighted:
            fetch(dy + i * LANES + dy_ahead, LANES)
            fetch(x + i * LANES + x_ahead, LANES)
        if gating:
            fetch(y + i * LANES + dy_ahead, LANES)
        at = i * LANES
        _add_some(a, b, dy + at, x + at, y + at, weight + at if weighted else weight, some, mean,
                  rstd, shift, slope, most, gating, weighted, True)
        if some < LANES:
            at += some
            _add_some(&a[some], &b[some], dy + at, x + at, y + at,
                      weight + at if weighted else weight, some, mean, rstd, shift, slope, most,
                      gating, weighted, True)
    _settle_lanes(s, q, a, b, fresh)
    if whole < n:
        _add_some(s, q, dy + whole, x + whole, y + whole, weight + whole if weighted else weight,
                  n - whole, mean, rstd, shift, slope, most, gating, weighted, False)


cdef inline _always _add_some(T *s, T *q, const S *dy, const S *x, const S *y, const T *weight,
                              Py_ssize_t n, T mean, T rstd, T shift, T slope, T most, bint gating,
                              bint weighted, bint whole) noexcept nogil:
    # of all or half of the lanes, or of less
    cdef Py_ssize_t j
    cdef T g, h
    cdef T dy_room[LANES]
    cdef T x_room[LANES]
    cdef T y_room[LANES]
    _read(dy_room, dy, n, whole, weighted)
    _read(x_room, x, n, whole, weighted)
    if gating:
        _read(y_room, y, n, whole, weighted)
    for j in range(n):
        g = loaded(dy_room, dy, j)
        if gating:
            g = gated(g, loaded(y_room, y, j), slope, most)
        if weighted:
            g = g * weight[j]
        h = (loaded(x_room, x, j) - mean) * rstd
        if weighted:
            h = h + shift
        s[j] += g
        q[j] += g * h


cdef inline Py_ssize_t before_line(const void *y, Py_ssize_t n, Py_ssize_t itemsize) noexcept nogil:
    """How many of the n items at y lie before the first address that is a multiple of a line."""
    cdef Py_ssize_t ahead = <Py_ssize_t>((LINE - (<size_t>y) % LINE) % LINE) // itemsize
    return ahead if ahead < n else n


cdef inline Py_ssize_t strip_of(Py_ssize_t itemsize) noexcept nogil:
    """How many items of such a size are written at a time: whole cache lines."""
    return MOST_STRIP if itemsize < sizeof(float) else STRIP


cdef inline void store_strip(S *y, const T *strip, bint stream) noexcept nogil:
    """A strip of items to y; with stream past the caches, and y on a line boundary."""
    _store_strip(y, strip, True, stream)


cdef inline void _store_strip(S *y, const T *strip, bint ordered, bint stream) noexcept nogil:
    # ordered: as `_read` was told of what the strip was made of
    cdef Py_ssize_t i, n = strip_of(sizeof(S))
    cdef S words[MOST_STRIP]
    if S is bfloat16 and T is float:
        if stream:
            _stream_bfloat16(y, strip, ordered)
        else:
            for i in range(n // STRIP):
                if ordered:
                    _store_order(y + i * STRIP, strip + i * STRIP)
                else:
                    _store_pairs(y + i * STRIP, strip + i * STRIP)
    elif not stream:
        for i in range(n):
            put(y, <T *>strip, i, strip[i])
        store(y, strip, n)
    elif S is float16 and T is float:
        _stream_float16(y, strip)
    elif S is T:
        for i in range(n * sizeof(S) // LINE):
            stream_line(<char *>y + i * LINE, <const char *>strip + i * LINE)
    else:
        _store_strip(words, strip, ordered, False)
        for i in range(n * sizeof(S) // LINE):
            stream_line(<char *>y + i * LINE, <const char *>words + i * LINE)


cdef inline void _store_ends(S *y, const S *first, const S *last, Py_ssize_t n, Py_ssize_t head,
                             Py_ssize_t tail, bint stream) noexcept nogil:
    # The head of the first strip and the tail of the last one, where strips do not fill y[0:n]. Both
    # were computed as whole strips, and before anything was written: y may be an input. What other
    # strips have written past the caches is not to be touched again.
    cdef Py_ssize_t strip = strip_of(sizeof(S))
    if head:
        memcpy(y, first, head * sizeof(S))
    if tail and stream:
        memcpy(y + n - tail, last + strip - tail, tail * sizeof(S))
    elif tail:
        memcpy(y + n - strip, last, strip * sizeof(S))


cdef inline T normal(T x, T mean, T scale, T shift) noexcept nogil:
    return (x - mean) * scale + shift


cdef inline T normal_back(T dy, T x, T weight, T mean, T along, T dy_mean, T scale) noexcept nogil:
    return ((dy * weight - dy_mean) - (x - mean) * along) * scale


# The loops that write. Each asks on the way for what lies `ahead` items after its inputs: while one
# tile is written from the caches, the next one comes from memory. What differs between them is said
# by flags, literals all of them, so that each compiles to a loop without them.

cdef inline void normalize(S *y, const S *x, Py_ssize_t n, T mean, T scale, T shift,
                           bint stream, Py_ssize_t ahead) noexcept nogil:
    """y = (x - mean) * scale + shift over [0:n].

    OUT y: n; may be x. IN x: n. stream: write past the caches (call stream_fence at the end).
    """
    _normalize(y, x, <const S *>NULL, n, &mean, &scale, &shift, &mean, &mean, False, False, <T>1,
               <T>1, False, stream, ahead)


cdef inline void normalize_gated(S *y, const S *x, const S *z, Py_ssize_t n, T mean, T scale,
                                 T shift, T slope, T most, bint stream,
                                 Py_ssize_t ahead) noexcept nogil:
    """y = gate((x - mean) * scale + shift + z, slope, most); z, n items, may be NULL."""
    _normalize(y, x, z, n, &mean, &scale, &shift, &mean, &mean, False, False, slope, most, True,
               stream, ahead)


cdef inline void normalize_each(S *y, const S *x, Py_ssize_t n, const T *mean, const T *scale,
                                const T *shift, bint stream, Py_ssize_t ahead) noexcept nogil:
    """As normalize, with a mean, scale and shift for every item."""
    _normalize(y, x, <const S *>NULL, n, mean, scale, shift, mean, mean, True, False, <T>1, <T>1,
               False, stream, ahead)


cdef inline void normalize_each_gated(S *y, const S *x, const S *z, Py_ssize_t n, const T *mean,
                                      const T *scale, const T *shift, T slope, T most,
                                      bint stream, Py_ssize_t ahead) noexcept nogil:
    """As normalize_gated, with a mean, scale and shift for every item."""
    _normalize(y, x, z, n, mean, scale, shift, mean, mean, True, False, slope, most, True, stream,
               ahead)


cdef inline void normalize_weighted(S *y, const S *x, const T *weight, const T *bias, Py_ssize_t n,
                                    T mean, T rstd, T shift, bint stream,
                                    Py_ssize_t ahead) noexcept nogil:
    """y = xhat*weight + bias over [0:n], with a weight and a bias for every item, as in layer norm.

    xhat = (x - mean)*rstd + shift, in which shift puts right what rounding the mean left out.
    OUT y: n; may be x. IN x, weight, bias: n. stream: as in normalize.
    """
    _normalize(y, x, <const S *>NULL, n, &mean, &rstd, &shift, weight, bias, False, True, <T>1,
               <T>1, False, stream, ahead)


cdef inline _always _normalize(S *y, const S *x, const S *z, Py_ssize_t n, const T *mean,
                               const T *scale, const T *shift, const T *weight, const T *bias,
                               bint each, bint weighted, T slope, T most, bint gating, bint stream,
                               Py_ssize_t ahead) noexcept nogil:
    cdef Py_ssize_t _s, at, tail, head = 0, strip = strip_of(sizeof(S))
    cdef S first[MOST_STRIP]
    cdef S last[MOST_STRIP]
    if n < strip:
        _normalize_some(y, x, z, 0, n, mean, scale, shift, weight, bias, each, weighted, slope,
                        most, gating, False, False)
        return
    if stream:
        head = before_line(y, n, sizeof(S))
    tail = (n - head) % strip
    if head:
        _normalize_some(first, x, z, 0, strip, mean, scale, shift, weight, bias, each, weighted,
                        slope, most, gating, True, False)
    if tail:
        _normalize_some(last, x, z, n - strip, strip, mean, scale, shift, weight, bias, each,
                        weighted, slope, most, gating, True, False)
    at = head
    for _s in range((n - head) // strip):
        fetch(x + at + ahead, strip)
        if gating and z != NULL:
            fetch(z + at + ahead, strip)
        _normalize_some(y + at, x, z, at, strip, mean, scale, shift, weight, bias, each, weighted,
                        slope, most, gating, True, stream)
        at += strip
    _store_ends(y, first, last, n, head, tail, stream)


cdef inline _always _normalize_some(S *y, const S *x, const S *z, Py_ssize_t at, Py_ssize_t n,
                                    const T *mean, const T *scale, const T *shift, const T *weight,
                                    const T *bias, bint each, bint weighted, T slope, T most,
                                    bint gating, bint strip, bint stream) noexcept nogil:
    # to y, n items from `at` on: a strip, or less than one
    cdef Py_ssize_t j, c
    cdef T x_room[MOST_STRIP]
    cdef T z_room[MOST_STRIP]
    cdef T out[MOST_STRIP]
    cdef T v
    _read(x_room, x + at, n, strip, each or weighted)
    if gating and z != NULL:
        _read(z_room, z + at, n, strip, each or weighted)
    for j in range(n):
        c = at + j if each else 0
        v = normal(loaded(x_room, x + at, j), mean[c], scale[c], shift[c])
        if weighted:
            v = v * weight[at + j] + bias[at + j]
        if gating:
            v = gate(v + loaded(z_room, z + at, j) if z != NULL else v, slope, most)
        if strip:
            out[j] = v
        else:
            put(y, out, j, v)
    if strip:
        _store_strip(y, out, each or weighted, stream)
    else:
        store(y, out, n)


cdef inline void gradient(S *dx, const S *dy, const S *x, Py_ssize_t n, T weight, T mean, T along,
                          T dy_mean, T scale, bint stream, Py_ssize_t ahead) noexcept nogil:
    """dx = (dy*weight - dy_mean - (x - mean)*along) * scale over [0:n].

    OUT dx: n; may be dy or x. IN dy, x: n. stream: as in normalize.
    """
    _gradient(dx, <S *>NULL, dy, x, dy, n, weight, &mean, &along, &dy_mean, &scale, False, <T>1,
              <T>1, False, stream, ahead)


cdef inline void gradient_gated(S *dx, S *dz, const S *dy, const S *x, const S *y, Py_ssize_t n,
                                T mean, T along, T dy_mean, T scale, T slope, T most,
                                bint stream, Py_ssize_t ahead) noexcept nogil:
    """gradient with weight 1 of g = gated(dy, y, slope, most); g also goes to dz unless NULL."""
    _gradient(dx, dz, dy, x, y, n, <T>1, &mean, &along, &dy_mean, &scale, False, slope, most, True,
              stream, ahead)


cdef inline void gradient_each(S *dx, const S *dy, const S *x, Py_ssize_t n, const T *mean,
                               const T *along, const T *dy_mean, const T *scale,
                               bint stream, Py_ssize_t ahead) noexcept nogil:
    """As gradient with weight 1, with four coefficients for every item."""
    _gradient(dx, <S *>NULL, dy, x, dy, n, <T>1, mean, along, dy_mean, scale, True, <T>1, <T>1,
              False, stream, ahead)


cdef inline void gradient_each_gated(S *dx, S *dz, const S *dy, const S *x, const S *y,
                                     Py_ssize_t n, const T *mean, const T *along, const T *dy_mean,
                                     const T *scale, T slope, T most, bint stream,
                                     Py_ssize_t ahead) noexcept nogil:
    """As gradient_gated, with four coefficients for every item."""
    _gradient(dx, dz, dy, x, y, n, <T>1, mean, along, dy_mean, scale, True, slope, most, True,
              stream, ahead)


cdef inline _always _gradient(S *dx, S *dz, const S *dy, const S *x, const S *y, Py_ssize_t n,
                              T weight, const T *mean, const T *along, const T *dy_mean,
                              const T *scale, bint each, T slope, T most, bint gating, bint stream,
                              Py_ssize_t ahead) noexcept nogil:
    cdef Py_ssize_t _s, at, tail, head = 0, strip = strip_of(sizeof(S))
    cdef bint gates = gating and dz != NULL
    cdef S first[MOST_STRIP]
    cdef S last[MOST_STRIP]
    cdef S z_first[MOST_STRIP]
    cdef S z_last[MOST_STRIP]
    if n < strip:
        _gradient_some(dx, dz, dy, x, y, 0, n, weight, mean, along, dy_mean, scale, each, slope,
                       most, gating, gates, False, False)
        return
    if stream:
        head = before_line(dx, n, sizeof(S))
    tail = (n - head) % strip
    if head:
        _gradient_some(first, z_first, dy, x, y, 0, strip, weight, mean, along, dy_mean, scale,
                       each, slope, most, gating, gates, True, False)
    if tail:
        _gradient_some(last, z_last, dy, x, y, n - strip, strip, weight, mean, along, dy_mean,
                       scale, each, slope, most, gating, gates, True, False)
    at = head
    for _s in range((n - head) // strip):
        fetch(dy + at + ahead, strip)
        fetch(x + at + ahead, strip)
        if gating:
            fetch(y + at + ahead, strip)
        _gradient_some(dx + at, dz + at, dy, x, y, at, strip, weight, mean, along, dy_mean, scale,
                       each, slope, most, gating, gates, True, stream)
        at += strip
    _store_ends(dx, first, last, n, head, tail, stream)
    if gates:
        _store_ends(dz, z_first, z_last, n, head, tail, stream)


cdef inline _always _gradient_some(S *dx, S *dz, const S *dy, const S *x, const S *y, Py_ssize_t at,
                                   Py_ssize_t n, T weight, const T *mean, const T *along,
                                   const T *dy_mean, const T *scale, bint each, T slope, T most,
                                   bint gating, bint gates, bint strip,
                                   bint stream) noexcept nogil:
    # to dx and dz, n items from `at` on: a strip, or less than one
    cdef Py_ssize_t j, c
    cdef T dy_room[MOST_STRIP]
    cdef T x_room[MOST_STRIP]
    cdef T y_room[MOST_STRIP]
    cdef T out[MOST_STRIP]
    cdef T g[MOST_STRIP]
    cdef T d, v
    _read(dy_room, dy + at, n, strip, each)
    _read(x_room, x + at, n, strip, each)
    if gating:
        _read(y_room, y + at, n, strip, each)
    for j in range(n):
        c = at + j if each else 0
        d = loaded(dy_room, dy + at, j)
        if gating:
            d = gated(d, loaded(y_room, y + at, j), slope, most)
        v = normal_back(d, loaded(x_room, x + at, j), weight, mean[c], along[c], dy_mean[c],
                        scale[c])
        if strip:
            out[j] = v
            g[j] = d
        else:
            if gates:
                put(dz, g, j, d)
            put(dx, out, j, v)
    if strip:
        _store_strip(dx, out, each, stream)
        if gates:
            _store_strip(dz, g, each, stream and <size_t>dz % LINE == 0)
    else:
        store(dx, out, n)
        if gates:
            store(dz, g, n)


cdef inline void gradient_weighted(S *dx, T *dbias, T *dweight, const S *dy, const S *x,
                                   const T *weight, Py_ssize_t n, T mean, T rstd, T shift,
                                   T g_mean, T g_xhat, bint stream,
                                   Py_ssize_t ahead) noexcept nogil:
    """dx = (dy*weight - g_mean - xhat*g_xhat)*rstd, dbias += dy, dweight += dy*xhat over [0:n].

    OUT dx: n; may be dy or x; dbias, dweight: n, accumulated into. IN dy, x, weight: n.
    """
    cdef Py_ssize_t _s, strip = strip_of(sizeof(S))
    cdef Py_ssize_t head = before_line(dx, n, sizeof(S)) if stream else 0
    _weighted_some(dx, dbias, dweight, dy, x, weight, 0, head, mean, rstd, shift, g_mean, g_xhat,
                   False, False)
    for _s in range((n - head) // strip):
        fetch(dy + head + ahead, strip)
        fetch(x + head + ahead, strip)
        _weighted_some(dx, dbias, dweight, dy, x, weight, head, strip, mean, rstd, shift, g_mean,
                       g_xhat, True, stream)
        head += strip
    _weighted_some(dx, dbias, dweight, dy, x, weight, head, n - head, mean, rstd, shift, g_mean,
                   g_xhat, False, False)


cdef inline _always _weighted_some(S *dx, T *dbias, T *dweight, const S *dy, const S *x,
                                   const T *weight, Py_ssize_t at, Py_ssize_t n, T mean, T rstd,
                                   T shift, T g_mean, T g_xhat, bint strip,
                                   bint stream) noexcept nogil:
    # n items from `at` on, a strip or less; in local copies, so that no store can alias a load
    cdef Py_ssize_t j
    cdef T d[MOST_STRIP]
    cdef T hats[MOST_STRIP]
    cdef T out[MOST_STRIP]
    load(d, dy + at, n)
    load(hats, x + at, n)
    for j in range(n):
        d[j] = loaded(d, dy + at, j)
    for j in range(n):
        hats[j] = xhat(loaded(hats, x + at, j), mean, rstd, shift)
    for j in range(n):
        out[j] = ((d[j] * weight[at + j] - g_mean) - hats[j] * g_xhat) * rstd
    if strip:
        _store_strip(dx + at, out, True, stream)
    else:
        for j in range(n):
            put(dx + at, out, j, out[j])
        store(dx + at, out, n)
    for j in range(n):
        out[j] = dbias[at + j] + d[j]
    for j in range(n):
        dbias[at + j] = out[j]
    for j in range(n):
        out[j] = dweight[at + j] + d[j] * hats[j]
    for j in range(n):
        dweight[at + j] = out[j]
