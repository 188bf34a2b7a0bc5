# Values on channels, which lie as their owner has them: float32 or float64, at any steps, perhaps
# misaligned, so that each is copied. They are read into double once: no loop comes in two dtypes.
# Of values side by side the steps are literals, and compilers make vectors of the loops.

cdef struct Channels:       # at is NULL where there are none
    char *at
    Py_ssize_t step, n      # bytes from one to the next; how many
    bint single             # float32, else float64


cdef inline double number_at(const char *at, bint single) noexcept nogil:
    cdef float narrow
    cdef double value
    if single:
        memcpy(&narrow, at, sizeof(float))
        return narrow
    memcpy(&value, at, sizeof(double))
    return value


cdef inline void set_number(char *at, bint single, double value) noexcept nogil:
    cdef float narrow = <float>value
    if single:
        memcpy(at, &narrow, sizeof(float))
    else:
        memcpy(at, &value, sizeof(double))


cdef inline double value_at(const Channels *a, Py_ssize_t i) noexcept nogil:
    return number_at(a.at + i * a.step, a.single)


cdef inline void set_value(const Channels *a, Py_ssize_t i, double value) noexcept nogil:
    set_number(a.at + i * a.step, a.single, value)


cdef inline bint are_floats(const Channels *a) noexcept nogil:
    """Side by side?"""
    return a.single and a.step == sizeof(float)


cdef inline bint are_doubles(const Channels *a) noexcept nogil:
    return not a.single and a.step == sizeof(double)


cdef inline void read_each(double *to, const char *at, Py_ssize_t step, bint single,
                           Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        to[i] = number_at(at + i * step, single)


cdef inline void write_each(char *at, Py_ssize_t step, bint single, const double *values,
                            Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        set_number(at + i * step, single, values[i])


cdef loop read_values(double *to, const Channels *a, double otherwise, Py_ssize_t n) noexcept nogil:
    """to = the values, or all `otherwise` where there are none."""
    cdef Py_ssize_t i
    if a.at == NULL:
        for i in range(n):
            to[i] = otherwise
    elif are_floats(a):
        read_each(to, a.at, sizeof(float), True, n)
    elif are_doubles(a):
        read_each(to, a.at, sizeof(double), False, n)
    else:
        read_each(to, a.at, a.step, a.single, n)


cdef loop write_values(const Channels *a, const double *values, Py_ssize_t n) noexcept nogil:
    if a.at == NULL:
        return
    if are_floats(a):
        write_each(a.at, sizeof(float), True, values, n)
    elif are_doubles(a):
        write_each(a.at, sizeof(double), False, values, n)
    else:
        write_each(a.at, a.step, a.single, values, n)
