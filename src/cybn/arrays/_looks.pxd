cpdef Py_ssize_t values_per_channel(x, tuple ranks, Py_ssize_t channels, Py_ssize_t axis)
