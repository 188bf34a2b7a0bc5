cpdef dict affine_grads(dict parameters, dweight, dbias, dresidual=*)
cpdef bint alike(a, x)
cpdef dict learned_of(dict own)
cpdef Py_ssize_t values_per_channel(x, tuple ranks, Py_ssize_t channels, Py_ssize_t axis)
