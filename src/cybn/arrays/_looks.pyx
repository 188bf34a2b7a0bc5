"""Looks that each call takes at its arrays, compiled for small ones.

They say whether all is well. Where it is not, the functions of validation.py, which begin with
them, say what is wrong, or make of what was given an array that will do.
"""

cimport cython
from cpython.buffer cimport (
    PyBUF_STRIDES, PyBuffer_IsContiguous, PyBuffer_Release, PyObject_GetBuffer,
)
from libc.string cimport memcpy

from cybn.arrays._seen cimport (
    Dtype, alike_in, as_lent, plain_type, seen, shaped_alike, struct_of,
)

from numpy import asarray, ndarray

from .dtypes import FLOAT32, FLOAT64


cdef type plain = plain_type(ndarray((2, 3), "f4")[:, 1:])      # whose struct may be read


def is_seen(a, bint writable=False) -> bool:
    """Is `a` read where NumPy keeps it? ValueError if that is not what the buffer protocol says."""
    cdef Py_buffer own
    if not seen(&own, a, plain, writable):
        return False
    if not as_lent(a, &own):
        raise ValueError(f"the struct of {a!r} says something else than its buffer")
    return True


cdef inline bint usual(a):
    """Is it an ndarray, no subclass, of a dtype that most data is of?"""
    if type(a) is not ndarray:
        return False
    dtype = a.dtype
    return dtype is FLOAT32 or dtype is FLOAT64


def is_usual(a) -> bool:
    """Is `a` an ndarray of float32 or float64, as a check would return it?"""
    return usual(a)


cpdef Py_ssize_t values_per_channel(x, tuple ranks, Py_ssize_t channels, Py_ssize_t axis):
    """How many values each channel has in x; -1 where x is not of these ranks and channels."""
    cdef Py_ssize_t i, n = 1, size
    cdef bint known = False
    cdef Py_buffer own
    if not seen(&own, x, plain, False) or own.format[0] != b"f" and own.format[0] != b"d":
        return -1
    for rank in ranks:
        known |= <Py_ssize_t>rank == own.ndim
    if not known:
        return -1
    if axis < 0:
        axis += own.ndim
    for i in range(own.ndim):
        size = own.shape[i]
        if i != axis:
            n *= size
        elif size != channels:
            return -1
    return n


cdef enum:
    MOST_ARRAYS = 8     # of a layer that is known
    MOST_AXES = 4       # of each

cdef struct Was:                # what an array was
    Dtype *dtype
    int ndim, flags
    Py_ssize_t[MOST_AXES] shape


@cython.final
cdef class Known:
    """The arrays of a layer, which were looked at and are in order."""
    cdef list arrays
    cdef Was[MOST_ARRAYS] was
    cdef bint training

    cdef bint learn(self, dict own):
        """Take the arrays of a layer, whose attributes these are. False: there is more to see."""
        cdef Was *was
        cdef Py_buffer lent
        self.arrays, self.training = [], own["training"]
        for store in (own["_parameters"], own["_buffers"]):
            for a in (<dict>store).values():
                if len(self.arrays) == MOST_ARRAYS:
                    return False
                was = &self.was[len(self.arrays)]
                self.arrays.append(a)
                if a is None:
                    continue
                if not seen(&lent, a, plain, False) or lent.ndim > MOST_AXES:
                    return False
                was.dtype, was.ndim, was.flags = (
                    struct_of(a).dtype, lent.ndim, struct_of(a).flags
                )
                memcpy(was.shape, lent.shape, lent.ndim * sizeof(Py_ssize_t))
        return True

    cdef bint same(self, dict own):
        """Are they still what they were?"""
        cdef Py_ssize_t i = 0, n = len(self.arrays)
        cdef Was *was
        cdef int axis
        if self.training != <bint>own["training"]:
            return False
        for store in (own["_parameters"], own["_buffers"]):
            for a in (<dict>store).values():
                if i == n or a is not self.arrays[i]:
                    return False
                was = &self.was[i]
                i += 1
                if a is None:
                    continue
                if (
                    struct_of(a).dtype != was.dtype or struct_of(a).ndim != was.ndim
                    or struct_of(a).flags != was.flags
                ):
                    return False
                for axis in range(was.ndim):
                    if struct_of(a).shape[axis] != was.shape[axis]:
                        return False
        return i == n


def known_arrays(dict own):
    """The arrays of a layer with these attributes, which are in order; None if they are unusual."""
    cdef Known known = Known.__new__(Known)
    return known if known.learn(own) else None


def is_known(Known known, dict own, x, tuple ranks, channels, axis) -> bool:
    """Is x an array of these ranks and channels, and the arrays of a layer as they were?

    Any rank where there are none, any channels for None.
    """
    cdef Py_buffer lent
    if known is None or not known.same(own):
        return False
    if channels is not None and ranks and seen(&lent, x, plain, False):
        if not -lent.ndim <= <Py_ssize_t>axis < lent.ndim:
            return False
        return values_per_channel(x, ranks, channels, axis) >= 0
    if channels is not None or not usual(x) or not seen(&lent, x, plain, False):
        return False
    return not ranks or lent.ndim in ranks


cpdef bint alike(a, x):
    """Is `a` an ndarray of x's shape and dtype?"""
    if type(a) is plain and type(x) is plain:
        return alike_in(struct_of(a), struct_of(x))
    return type(a) is ndarray and a.dtype is x.dtype and a.shape == x.shape


def fits(a, tuple shape, dtype) -> bool:
    """Is `a` an aligned ndarray of this shape, and of this dtype, or, for None, of a usual one?"""
    return (
        usual(a) and (dtype is None or a.dtype is dtype) and a.shape == shape and a.flags.aligned
    )


cpdef bint overlaps_itself(a):
    """Might two items of `a` share memory? False where each axis steps over the ones within."""
    cdef Py_ssize_t reach = a.itemsize, step, n
    if a.flags.forc or a.size == 0:
        return False
    for step, n in sorted([(abs(step), n) for step, n in zip(a.strides, a.shape)]):
        if n > 1:
            if step < reach:
                return True
            reach += step * (n - 1)
    return False


cdef struct Span:               # the memory that the items of an array lie in
    size_t low, high


cdef Span span(Py_buffer *a) noexcept:
    cdef Span found
    cdef Py_ssize_t reach
    cdef int i
    found.low = <size_t>a.buf
    found.high = found.low + a.itemsize
    for i in range(a.ndim):
        reach = a.strides[i] * (a.shape[i] - 1)
        if reach < 0:
            found.low += reach
        else:
            found.high += reach
    return found


cdef bint apart(a, Span out):
    """Does an array lie wholly outside? So does None, and a dict of such."""
    cdef Py_buffer lent
    cdef Span own
    if a is None:
        return True
    if type(a) is dict:
        for one in (<dict>a).values():
            if not apart(one, out):
                return False
        return True
    if seen(&lent, a, plain, False):
        own = span(&lent)
    else:
        PyObject_GetBuffer(a, &lent, PyBUF_STRIDES)
        own = span(&lent)
        PyBuffer_Release(&lent)
    return own.high <= out.low or out.high <= own.low


def clear(out, x, *others) -> bool:
    """Is `out` an array like x that can be written to, apart from x and the others?

    others: arrays, None, and dicts of them. False where it takes a longer look to say.
    """
    cdef Py_buffer lent
    cdef Span own
    cdef bint good
    if not alike(out, x) or not x.size:
        return False
    if not seen(&lent, out, plain, False):
        PyObject_GetBuffer(out, &lent, PyBUF_STRIDES)
    own = span(&lent)
    good = not lent.readonly and (PyBuffer_IsContiguous(&lent, b"A") or not overlaps_itself(out))
    PyBuffer_Release(&lent)
    if not good or not apart(x, own):
        return False
    for a in others:
        if not apart(a, own):
            return False
    return True


def ordered_grads(dict grads, dict parameters, dict learned) -> dict:
    """The gradients of the parameters that learn, in their order, shape and dtype, then the others.

    KeyError for one that is missing: its name, and the names of what is there.
    """
    cdef dict own = {}
    for name, a in parameters.items():
        g = grads.pop(name, None)
        if a is None or name not in learned:
            continue
        if g is None:
            raise KeyError(name, [*own, *grads])
        own[name] = g if alike(g, a) else asarray(g, a.dtype).reshape(a.shape)
    for name, g in grads.items():
        if g is not None:
            own[name] = g
    return own


cpdef dict learned_of(dict own):
    """The parameters of a layer, but for those that its option `trainable` holds fixed."""
    cdef dict parameters = own["_parameters"]
    trainable = own.get("trainable", True)
    if trainable is True:
        return parameters
    return {name: a for name, a in parameters.items() if name.rpartition(".")[2] == trainable}


cpdef dict affine_grads(dict parameters, dweight, dbias, dresidual=None):
    """What kernels found for weight and bias, in one piece, as the gradients of those there are.

    `parameters` are those that learn.
    """
    cdef dict own = {}
    keep_affine(own, parameters, "weight", dweight)
    keep_affine(own, parameters, "bias", dbias)
    if dresidual is not None:
        own["residual"] = dresidual
    return own


cdef int keep_affine(dict own, dict parameters, str name, g) except -1:
    a = parameters.get(name)
    if a is not None:
        own[name] = g if of_one_shape(g, a) else g.reshape(a.shape)
    return 0


def keep_grads(dict own, found, inputs) -> None:
    """OUT own, the attributes of a layer: grads, those of parameters in their dtypes, and by "d" +
    name those of inputs."""
    cdef dict parameters = own["_parameters"], learned = learned_of(own)
    cdef dict grads = found if type(found) is dict else dict(found)
    for name in inputs:
        own[derivative(name)] = grads.pop(name, None)
    if learned is not parameters:  # a pullback of an author's may not know
        grads = {name: g for name, g in grads.items() if name in learned or name not in parameters}
    for name, g in grads.items():
        a = parameters.get(name)
        if a is not None and not of_one_dtype(g, a):
            grads[name] = asarray(g, a.dtype)
    own["grads"] = grads


cdef dict derivatives = {}      # by name: a string that was hashed before, each time


cdef object derivative(str name):
    """The name of the attribute that the gradient of an input is."""
    found = derivatives.get(name)
    if found is None:
        found = derivatives[name] = "d" + name
    return found


cdef bint of_one_dtype(g, a):
    """Is g an ndarray, no subclass, of the dtype of the array `a`?"""
    if type(g) is plain and type(a) is plain:
        return struct_of(g).dtype == struct_of(a).dtype
    return type(g) is ndarray and g.dtype is a.dtype


cdef bint of_one_shape(g, a):
    if type(g) is plain and type(a) is plain:
        return shaped_alike(struct_of(g), struct_of(a))
    return g.shape == a.shape
