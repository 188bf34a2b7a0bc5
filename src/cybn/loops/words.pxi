# Data of sixteen bits to float and back: the one place with intrinsics.

cdef extern from *:
    """
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
      static cybn_here __m256i cybn_rounded_words(__m256i high, __m256i low) {
        __m256i above = _mm256_xor_si256(low, _mm256_set1_epi16((short)0x8000)), up, nan;
        above = _mm256_adds_epi16(above, _mm256_and_si256(high, _mm256_set1_epi16(1)));
        up = _mm256_cmpgt_epi16(above, _mm256_setzero_si256());
        nan = _mm256_and_si256(high, _mm256_set1_epi16(0x7fff));
        nan = _mm256_cmpgt_epi16(nan, _mm256_set1_epi16(0x7f80));
        return _mm256_sub_epi16(high, _mm256_andnot_si256(nan, up));
      }
      static cybn_here __m256i cybn_words_of_pairs(const float *from) {
        __m256i a = _mm256_castps_si256(_mm256_loadu_ps(from));
        __m256i b = _mm256_castps_si256(_mm256_loadu_ps(from + 8));
        return cybn_rounded_words(_mm256_blend_epi16(_mm256_srli_epi32(a, 16), b, 0xaa),
                                  _mm256_blend_epi16(a, _mm256_slli_epi32(b, 16), 0xaa));
      }
      static cybn_here __m256i cybn_words_in_order(const float *from) {
        __m256i a = _mm256_castps_si256(_mm256_loadu_ps(from)), none = _mm256_setzero_si256();
        __m256i b = _mm256_castps_si256(_mm256_loadu_ps(from + 8)), low, high;
        high = _mm256_packus_epi32(_mm256_srli_epi32(a, 16), _mm256_srli_epi32(b, 16));
        low = _mm256_packus_epi32(_mm256_blend_epi16(a, none, 0xaa),
                                  _mm256_blend_epi16(b, none, 0xaa));
        return _mm256_permute4x64_epi64(cybn_rounded_words(high, low), 0xd8);
      }
      static cybn_here void cybn_load_pairs(float *to, const void *from) {
        __m256i pairs = _mm256_loadu_si256((const __m256i *)from);
        __m256i high = _mm256_and_si256(pairs, _mm256_set1_epi32((int)0xffff0000u));
        _mm256_storeu_ps(to, _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)));
        _mm256_storeu_ps(to + 8, _mm256_castsi256_ps(high));
      }
      static cybn_here void cybn_load_order(float *to, const void *from) {
        for (int i = 0; i < 2; i++) {
          __m256i words = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)from + i));
          _mm256_storeu_ps(to + 8 * i, _mm256_castsi256_ps(_mm256_slli_epi32(words, 16)));
        }
      }
      static cybn_here void cybn_store_pairs(void *to, const float *from) {
        _mm256_storeu_si256((__m256i *)to, cybn_words_of_pairs(from));
      }
      static cybn_here void cybn_store_order(void *to, const float *from) {
        _mm256_storeu_si256((__m256i *)to, cybn_words_in_order(from));
      }
    #else
      static inline cybn_loop cybn_load_pairs(float *to, const void *from) {
        const cybn_pair *pairs = (const cybn_pair *)from;
        for (int i = 0; i < 8; i++) to[i] = cybn_float((int)(pairs[i] << 16));
        for (int i = 0; i < 8; i++) to[i + 8] = cybn_float((int)(pairs[i] & 0xffff0000u));
      }
      static inline cybn_loop cybn_load_order(float *to, const void *from) {
        for (int i = 0; i < 16; i++) to[i] = cybn_of_bfloat16(((const unsigned short *)from)[i]);
      }
      static inline cybn_loop cybn_store_pairs(void *to, const float *from) {
        cybn_pair *pairs = (cybn_pair *)to;
        for (int i = 0; i < 8; i++)
          pairs[i] = cybn_rounded(from[i]) >> 16 | (cybn_rounded(from[i + 8]) & 0xffff0000u);
      }
      static inline cybn_loop cybn_store_order(void *to, const float *from) {
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
        ptrdiff_t i, whole = EIGHT ? n - n % 8 : 0; \\
        for (i = 0; i < whole; i += 8) eight(to + i, from + i); \\
        for (i = whole; i < n; i++) to[i] = convert(from[i]); \\
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
