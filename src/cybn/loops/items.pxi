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
    # As load. whole: n is a multiple of STRIP; ordered: the order of items in room matters. Where
    # it does not, it is one that _store_strip alone knows.
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


cdef inline _always _load_few(T *room, const S *x, Py_ssize_t n, T pad) noexcept nogil:
    # OUT room: n < FEW items as T, and as many times `pad` as makes FEW of them
    cdef int j, items = <int>n
    if S is T:
        if S is float:
            _few_float(room, x, items, pad)
        else:
            _few_double(room, x, items, pad)
    else:
        load(room, x, n)
        for j in range(FEW):
            room[j] = loaded(room, x, j) if j < items else pad


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


cdef inline void fetch_far(const S *x, Py_ssize_t n) noexcept nogil:
    """As fetch, of what will be read later: into the second level, which can wait for more lines
    of memory at once than the first can."""
    cdef Py_ssize_t i
    for i in range(n * sizeof(S) // LINE):
        prefetch_far(<const char *>x + i * LINE)


cdef inline void _fetch(const S *x, Py_ssize_t n, Py_ssize_t ahead) noexcept nogil:
    # what lies `ahead` items after x[0:n]; nothing if that is 0
    if ahead > FAR:
        fetch_far(x + ahead, n)
    elif ahead:
        fetch(x + ahead, n)
