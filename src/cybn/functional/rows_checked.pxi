# Norms of a sample, row by row; what the rows are, a Rows says (arrays/layout.py).

cdef enum:
    MOST_AXES = 8   # of an array whose rows are remembered


def normalize_checked(x, rows, weight, bias, eps, centred, out, residual=None, gate=OPEN):
    """y and stats of the rows of x, for arguments that were checked."""
    return normalize(x, rows, weight, bias, eps, centred, out, residual, gate)


cdef tuple normalize(x, rows, weight, bias, eps, centred, out, residual, gate):
    arrangement, run, values, counted = <tuple>rows
    if run and centred and arrangement.order is not None:
        by_samples = normalize_channels_last(
            x, rows, flat(weight, values), flat(bias, values), eps, out, residual, gate
        )
        if by_samples is not None:
            return by_samples
    cdef Views views = rows_of(x, out, arrangement)
    cdef Py_ssize_t count = views.C if run else views.N * views.L
    if not views.size:
        return views.y, no_stats(count, eps)
    stats, room = table(count), views.out
    if room is None:
        room = room_beside(x, views.x)
    threads, cache, stream = plan_of(views)
    weight, bias = flat(weight, values), flat(bias, values)
    if residual is not None:
        residual = views.gather(residual)
    slope, most, curve = <tuple>gate
    if run:
        kernels_of(views).rows_forward(
            room, stats, views.x, weight, bias, run, eps, centred, threads, cache, stream,
            counted, residual, slope, most, curve,
        )
    else:
        kernels_of(views).positions_forward(
            room, stats, views.x, weight, bias, eps, centred, threads, stream, residual, slope,
            most, curve,
        )
    if views.out is None:
        arrangement.scatter(room, views.y)
    return views.y, stats


@cython.final
cdef class RowsWay:
    """How a norm of a sample goes about its input, by its arrays and the rows of the last one.

    It is found out once, for all calls until an array or an option is another.
    """
    cdef readonly object weight, bias
    cdef object centred, found, dtype
    cdef object last_weight     # a copy of the weight, as the last call had it
    cdef type saved             # what is kept for backward of x and nothing else: x, rows, stats,
    cdef tuple rest             # weight and these; None where there is always something else
    cdef bint unit_offset       # the weight is what 1 lacks of the factor
    cdef Py_ssize_t[MOST_AXES] shape
    cdef int ndim

    def __init__(self, weight, bias, centred, unit_offset=False, saved=None, rest=None):
        self.weight, self.bias, self.centred = weight, bias, centred
        self.saved, self.rest = saved, rest
        self.unit_offset = unit_offset and weight is not None

    cpdef tuple known(self, x):
        """What was learnt of an array in C order of x's shape and dtype, if that was the last."""
        cdef Lent lent
        lent = lend(x)
        if (lent is None or lent.own.ndim != self.ndim or dtype_of(x) is not self.dtype
                or memcmp(lent.own.shape, self.shape, self.ndim * sizeof(Py_ssize_t))):
            return None
        return self.found

    def learn(self, x, rows, eps):
        """The rows of x and their eps, which are remembered if x lies in C order."""
        cdef Lent lent = lend(x)
        cdef tuple found = (rows, eps)
        if lent is not None and lent.own.ndim <= MOST_AXES:
            self.found, self.dtype, self.ndim = found, x.dtype, lent.own.ndim
            memcpy(self.shape, lent.own.shape, self.ndim * sizeof(Py_ssize_t))
        return found

    def alone(self, x):
        """y and what backward needs, of x and nothing else; None where there is more to see."""
        cdef tuple found = self.known(x) if self.rest is not None else None
        if found is None:
            return None
        rows, eps = found
        try:
            y, stats, weight = self.done(x, rows, eps, None, None, OPEN)
        except ValueError:      # an array was spoilt since it was checked: who looks says which
            return None
        return y, new(self.saved, (x, rows, stats, weight) + self.rest)

    def normalize(self, x, rows, eps, out, residual=None, gate=OPEN):
        """y, stats, and what it was multiplied by, as it is now."""
        return self.done(x, rows, eps, out, residual, gate)

    cdef tuple done(self, x, rows, eps, out, residual, gate):
        if self.unit_offset:
            weight = add(self.weight, 1.0, dtype=FLOAT64)
        else:
            self.last_weight = weight = as_before(self.weight, self.last_weight)
        y, stats = normalize(
            x, rows, weight, self.bias, eps, self.centred, out, residual, gate
        )
        return y, stats, weight


def rows_back(saved, dy, tuple rest, centred, dtype, dict own):
    """dx and the gradients of rows without anything beside them; None where there is more.

    saved: x, rows, stats, weight, then `rest` if there is no more. own: attributes of the layer.
    """
    cdef tuple all = <tuple>saved
    cdef Py_ssize_t i
    for i in range(len(rest)):
        if all[4 + i] is not rest[i]:
            return None
    if not alike(dy, all[0]):
        return None
    cdef dict learned = learned_of(own)
    wanted = learned.get("weight") is not None, learned.get("bias") is not None
    dx, dweight, dbias = gradient_checked(
        dy, all[0], all[1], all[2], all[3], centred, None, dtype, wanted
    )
    return dx, affine_grads(learned, dweight, dbias)


def gradient_checked(
    dy, x, rows, stats, weight, centred, out, dtype, wanted=(True, True), bias=None, residual=None,
    gate=OPEN, dresidual=None,
):
    """dx, dweight and dbias (values,), for arguments that were checked.

    wanted: whether dweight and dbias are to be computed; else they are None. Past a gate there are
    bias, and the residual that there was; its gradient is written to dresidual, unless None.
    """
    arrangement, run, values, counted = <tuple>rows
    of_weight, of_bias = <tuple>wanted
    if run and centred and gate is OPEN and dresidual is None and arrangement.order is not None:
        by_samples = gradient_channels_last(dy, x, rows, stats, flat(weight, values), out)
        if by_samples is not None:
            dx, dweight, dbias = by_samples
            return (dx, dweight.astype(dtype) if of_weight else None,
                    dbias.astype(dtype) if of_bias else None)
    cdef Views views = rows_of(x, out, arrangement)
    dweight = floats(values, dtype) if of_weight else None
    dbias = floats(values, dtype) if of_bias else None
    if not views.size:
        for a in (dweight, dbias):
            if a is not None:
                a[...] = 0
        return views.y, dweight, dbias
    if gate is OPEN:
        if dresidual is not None:
            dresidual[...] = dy
        residual = dresidual = None
    elif views.itemsize == 2:           # of which dx is rounded once
        dz = None if dresidual is None else empty_like(dresidual, FLOAT32)
        residual = None if residual is None else widened(residual)
        wide, *found = gradient_checked(
            widened(dy), widened(x), rows, stats, weight, centred, None, dtype, wanted, bias,
            residual, gate, dz,
        )
        if dz is not None:
            round_to(dresidual, dz)
        return round_to(views.y, wide), *found
    dz = dz_room = None
    if dresidual is not None:
        dz = views.view(dresidual)
        dz_room = views.room() if dz is None else dz
    residual = None if residual is None else views.gather(residual)
    dy_rows, room = views.gather(dy), views.out
    if room is None:
        room = room_beside(dy, dy_rows)
    threads, cache, stream = plan_of(views)
    weight = flat(weight, values)
    bias = None if gate is OPEN else flat(bias, values)
    slope, most, curve = <tuple>gate
    if run:
        kernels_of(views).rows_backward(
            room, dweight, dbias, dy_rows, views.x, stats, weight, run, centred, threads, cache,
            stream, counted, bias, residual, slope, most, curve, dz_room,
        )
    else:
        kernels_of(views).positions_backward(
            room, dweight, dbias, dy_rows, views.x, stats, weight, centred, threads, stream,
            bias, residual, slope, most, curve, dz_room,
        )
    if views.out is None:
        arrangement.scatter(room, views.y)
    if dz is not dz_room:
        views.arranged().scatter(dz_room, dresidual)
    return views.y, dweight, dbias


cdef object room_beside(a, a_rows):
    """Where an output that is no view goes first: over the copy of an input, if that is one."""
    return empty_like(a_rows) if may_share_memory(a, a_rows) else a_rows


cdef object flat(a, Py_ssize_t values):
    """weight or bias in one piece."""
    # The one check that is made here too: an array can be resized behind everybody's back
    if a is not None and a.size != values:
        raise ValueError(f"expected {values} values, got {a.size}")
    return a if a is None or a.ndim == 1 or a.flags.c_contiguous else ascontiguousarray(a)
