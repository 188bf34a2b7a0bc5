# What a call looks at of a tensor: where its memory is, what is in it, and how it lies.
#
# PyTorch tells all of it at once by DLPack's table of C functions, which its class Tensor has
# (`__dlpack_c_exchange_api__`), at less than one attribute costs. A version without the table is
# asked for the attributes.

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
    MOST_AXES = 8               # of a tensor whose attributes are looked at

cdef enum Order:                # of a tensor's items in memory
    OTHER, C_ORDER, CHANNELS_LAST

cdef struct Look:
    Shown at
    int64_t[2 * MOST_AXES] room     # for shape and strides that PyTorch does not lend
    Py_ssize_t size                 # items
    Order order

cdef Exchange *exchange = NULL


cdef int get_acquainted() except -1:
    """Find PyTorch's table."""
    global exchange
    capsule = getattr(Tensor, "__dlpack_c_exchange_api__", None)
    if capsule is not None:
        exchange = <Exchange *>PyCapsule_GetPointer(capsule, b"dlpack_exchange_api")
        if exchange.version.major != 1:
            exchange = NULL
    return 0


cdef bint look(Look *to, object t):
    """OUT to: what there is to know of a plain tensor with items, on the CPU; of any other False.

    A subclass of Tensor means something else by what it does, and one without storage of its own,
    meta or wrapped by a transform, has nothing to lend.
    """
    cdef int i
    if type(t) is not Tensor and type(t) is not Parameter:
        return False
    if exchange == NULL:
        if not look_by_attributes(to, t):
            return False
    elif exchange.look(<void *>t, &to.at) != 0:
        PyErr_Clear()
        return False
    if to.at.device.type != CPU or to.at.data == NULL:
        return False
    to.size = 1
    for i in range(to.at.ndim):
        to.size *= to.at.shape[i]
    to.order = order_of(&to.at)
    return to.size > 0


cdef bint look_by_attributes(Look *to, t):
    kind = KINDS.get(t.dtype)
    if kind is None or not t.is_cpu or t.layout is not strided or t.dim() > MOST_AXES:
        return False
    try:
        to.at.data = <void *><size_t>t.data_ptr()
    except RuntimeError:
        return False
    to.at.device.type, to.at.ndim = CPU, t.dim()
    to.at.dtype.code, to.at.dtype.bits = kind
    to.at.shape, to.at.strides = to.room, to.room + MOST_AXES
    for i, (n, step) in enumerate(zip(t.shape, t.stride(), strict=True)):
        to.at.shape[i], to.at.strides[i] = n, step
    return True


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
