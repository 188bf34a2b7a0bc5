# What a call looks at of a tensor: where its memory is, what is in it, and how it lies.
#
# PyTorch tells all of it at once by a C function of DLPack's, from the table that its class Tensor
# has (`__dlpack_c_exchange_api__`), at less than one attribute costs.

cdef extern from *:
    """
    #include <stdint.h>
    typedef struct { int32_t type, id; } cybn_device;
    typedef struct { uint8_t code, bits; uint16_t lanes; } cybn_kind;
    typedef struct { uint32_t major, minor; } cybn_version;
    typedef struct {
        void *data;
        cybn_device device;
        int32_t ndim;
        cybn_kind dtype;
        int64_t *shape, *strides;       /* in items */
        uint64_t byte_offset;
    } cybn_tensor;                      /* DLTensor */
    typedef struct {
        cybn_version version;
        void *previous;
        void *allocate, *to_managed, *from_managed;
        int (*look)(void *object, cybn_tensor *out);
        void *stream;
    } cybn_exchange;                    /* DLPackExchangeAPI */
    """
    ctypedef struct Device "cybn_device":
        int type
    ctypedef struct Kind "cybn_kind":
        unsigned char code, bits
    ctypedef struct Shown "cybn_tensor":
        void *data
        Device device
        int ndim
        Kind dtype
        int64_t *shape
        int64_t *strides
    ctypedef struct Version "cybn_version":
        unsigned int major
    ctypedef struct Exchange "cybn_exchange":
        Version version
        int (*look)(void *, Shown *) noexcept

cdef enum:
    CPU = 1                     # DLPack's number of the device
    INT = 0                     # and of kinds of items
    FLOAT = 2
    BFLOAT = 4

cdef enum Order:                # of a tensor's items in memory
    OTHER, C_ORDER, CHANNELS_LAST

cdef struct Look:
    Shown at
    Py_ssize_t size                 # items
    Order order


cdef Exchange *get_exchange() except NULL:
    """PyTorch's table."""
    capsule = Tensor.__dlpack_c_exchange_api__
    found = <Exchange *>PyCapsule_GetPointer(capsule, b"dlpack_exchange_api")
    if found.version.major != 1:
        raise ImportError(
            f"cybn.torch knows version 1 of DLPack's table of functions, and this PyTorch has "
            f"version {found.version.major}; use a newer cybn"
        )
    return found


cdef Exchange *exchange = get_exchange()


cdef bint look(Look *to, object t):
    """OUT to: what there is to know of a plain tensor with items, on the CPU; of any other False.

    A subclass of Tensor means something else by what it does, and one without storage of its own,
    meta or wrapped by a transform, has nothing to lend.
    """
    cdef int i
    if type(t) is not Tensor and type(t) is not Parameter:
        return False
    if exchange.look(<void *>t, &to.at) != 0:
        PyErr_Clear()
        return False
    if to.at.device.type != CPU or to.at.data == NULL:
        return False
    to.size = 1
    for i in range(to.at.ndim):
        to.size *= to.at.shape[i]
    to.order = order_of(&to.at)
    return to.size > 0


cdef Order order_of(const Shown *a) noexcept:
    """Axes of one item lie anywhere."""
    cdef int64_t step = 1
    cdef int i
    for i in range(a.ndim - 1, -1, -1):
        if a.shape[i] != 1:
            if a.strides[i] != step:
                break
            step *= a.shape[i]
    else:
        return C_ORDER
    if a.ndim != 4 and a.ndim != 5:
        return OTHER
    if a.shape[1] != 1 and a.strides[1] != 1:
        return OTHER
    step = a.shape[1]
    for i in range(a.ndim - 1, -1, -1):
        if i != 1 and a.shape[i] != 1:
            if a.strides[i] != step:
                return OTHER
            step *= a.shape[i]
    return CHANNELS_LAST


cdef inline bint is_sixteen(const Look *a) noexcept:
    return a.at.dtype.bits == 16


cdef inline bint is_data(const Look *a) noexcept:
    """Of a dtype that kernels take?"""
    cdef unsigned char code = a.at.dtype.code, bits = a.at.dtype.bits
    return (code == FLOAT and (bits == 32 or bits == 64 or bits == 16)) or (
        code == BFLOAT and bits == 16
    )


cdef inline bint same_kind(const Look *a, const Look *b) noexcept:
    return a.at.dtype.code == b.at.dtype.code and a.at.dtype.bits == b.at.dtype.bits


cdef bint same_shape(const Look *a, const Look *b) noexcept:
    cdef int i
    if a.at.ndim != b.at.ndim:
        return False
    for i in range(a.at.ndim):
        if a.at.shape[i] != b.at.shape[i]:
            return False
    return True
