# What C has and Cython has not: lines written past the caches, and what compilers are told.

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
    /* cybn_always: a loop that is told by flags what it is compiles to one without them. cybn_loop:
       it is quick where what is around it is compiled for size, as setup.py has it. */
    #ifndef CYBN_QUICK
      #define CYBN_QUICK
    #endif
    #define cybn_loop CYBN_QUICK void
    #if defined(__GNUC__) || defined(__clang__)
      #define cybn_prefetch(p) __builtin_prefetch(p)
      #define cybn_prefetch_far(p) __builtin_prefetch(p, 0, 1)
      #define cybn_here inline __attribute__((always_inline))
      #define cybn_always __attribute__((always_inline)) void
      #define cybn_apart static CYBN_QUICK __attribute__((noinline, unused))
      #define cybn_known(n) __builtin_constant_p(n)
      typedef unsigned cybn_pair __attribute__((may_alias, aligned(2)));
    #else
      #define cybn_prefetch(p) ((void)(p))
      #define cybn_prefetch_far(p) ((void)(p))
      #define cybn_here inline
      #define cybn_always void
      #define cybn_apart static
      #define cybn_known(n) 1
      typedef unsigned cybn_pair;
    #endif
    /* to[0:N] = from[0:n], the rest `pad`: with masks where the CPU has them. A compiler is told
       that `to` is apart from `from`, or it makes a second loop for the case that it is not. */
    #if defined(__GNUC__) && !defined(__clang__)
      #define CYBN_APART _Pragma("GCC ivdep")
    #else
      #define CYBN_APART
    #endif
    #define CYBN_PART(name, T, N) static inline void name(T *to, const T *from, int n, T pad) \
    { CYBN_APART for (int j = 0; j < N; j++) to[j] = j < n ? from[j] : pad; }
    CYBN_PART(cybn_few_float, float, 8)
    CYBN_PART(cybn_few_double, double, 8)
    """
    ctypedef void _always "cybn_always"
    ctypedef void _loop "cybn_loop"
    const int PRIMITIVES_VERSION "CYBN_PRIMITIVES_VERSION"
    const bint CAN_STREAM "CYBN_CAN_STREAM"
    void stream_line "cybn_stream_line"(void *to, const void *src) noexcept nogil
    void stream_fence "cybn_stream_fence"() noexcept nogil
    void prefetch "cybn_prefetch"(const void *p) noexcept nogil
    void prefetch_far "cybn_prefetch_far"(const void *p) noexcept nogil
    void _few_float "cybn_few_float"(float *, const float *, int, float) noexcept nogil
    void _few_double "cybn_few_double"(double *, const double *, int, double) noexcept nogil
