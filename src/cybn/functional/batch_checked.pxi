# Batch normalization.

cdef object no_stats(Py_ssize_t n, double eps):
    """The statistics of n channels, or rows, without values."""
    stats = zeros((3, n))
    stats[2] = 1 / sqrt(eps) if eps > 0 else INFINITY
    return stats


def forward_checked(
    x, weight, bias, running_mean, running_var, num_batches_tracked,
    bint training, momentum, eps, int channel_axis, out, residual=None, gate=OPEN,
):
    """batch_norm_forward for arguments that were checked; None as momentum is CUMULATIVE.

    The running statistics move last: whatever is raised, they are as they were.
    """
    return forward(
        x, weight, bias, running_mean, running_var, num_batches_tracked, training, momentum, eps,
        channel_axis, out, residual, gate,
    )


cdef tuple forward(
    x, weight, bias, running_mean, running_var, num_batches_tracked,
    bint training, momentum, eps, int channel_axis, out, residual, gate,
):
    cdef Views views = views_of(x, out, channel_axis)
    if not views.size:
        return views.y, no_stats(views.C, eps)
    stats, room = table(views.C), views.out
    mean, var, count = running_mean, running_var, num_batches_tracked
    if views.out is None:
        room = views.room()
        if training:  # the output is still to be copied, and statistics move last
            mean = var = count = None
    if residual is not None:
        residual = views.gather(residual)
    slope, most, curve = <tuple>gate
    threads, cache, stream = plan_of(views, not training)
    kernels_of(views).batch_forward(
        room, stats, mean, var, count, views.x, residual, weight, bias, eps, momentum, slope, most,
        curve, training, threads, cache, stream,
    )
    if views.out is None:
        views.arrangement.scatter(room, views.y)
        if training:
            m = views.size // views.C
            follow([Step(running_mean, running_var, num_batches_tracked, stats, m, momentum)])
    return views.y, stats


@cython.final
cdef class BatchWay:
    """How a batch norm goes about a batch, by its options, its mode and its arrays.

    It is found out once, for all calls until one of those is another.
    """
    cdef readonly object weight, bias, running_mean, running_var, num_batches_tracked
    cdef readonly bint of_batch     # by moments of its own, not by the running statistics
    cdef readonly bint moves        # these follow
    cdef readonly bint careful      # there is more to look at than how many values a channel has
    cdef readonly Py_ssize_t channels
    cdef tuple ranks
    cdef bint at_once               # a kernel may move them that computes the last part of a call
    cdef int axis
    cdef object momentum, eps, gate
    cdef object saved               # the class of what is kept for backward
    cdef object last_weight         # a copy of the weight, as the last call had it

    def __init__(
        self, saved, arrays, of_batch, moves, at_once, careful, ranks, channels, axis, momentum,
        eps, gate,
    ):
        (self.weight, self.bias, self.running_mean, self.running_var,
         self.num_batches_tracked) = arrays
        self.of_batch, self.moves, self.at_once, self.careful = of_batch, moves, at_once, careful
        self.saved, self.ranks, self.channels, self.axis = saved, ranks, channels, axis
        self.momentum, self.eps, self.gate = momentum, eps, gate

    def by_running(self):
        """The same by the running statistics, which stay as they are."""
        arrays = (self.weight, self.bias, self.running_mean, self.running_var, None)
        return BatchWay(self.saved, arrays, False, False, False, False, self.ranks, self.channels,
                        self.axis, self.momentum, self.eps, self.gate)

    def values(self, x) -> int:
        """How many values each channel has in x; -1 where it has to be looked at."""
        return values_per_channel(x, self.ranks, self.channels, self.axis)

    def alone(self, x):
        """y and what backward needs, of x and nothing else; None where there is more to see."""
        cdef Py_ssize_t values = values_per_channel(x, self.ranks, self.channels, self.axis)
        if (values < 1 + self.of_batch or self.careful or self.moves and not self.at_once
                or self.gate is not OPEN):
            return None
        try:
            return self.done(x, None, None, True, False)[:2]
        except ValueError:      # an array was spoilt since it was checked: who looks says which
            return None

    def normalize(self, x, residual, out, bint last, bint valid):
        """y, what backward needs, and whether running statistics are still to move.

        `last`: nothing is computed after this batch, so that its kernel may move them. `valid`: x
        is the positions that a mask leaves, (M, C).
        """
        return self.done(x, residual, out, last, valid)

    cdef tuple done(self, x, residual, out, bint last, bint valid):
        cdef bint later = self.moves and not (self.at_once and last)
        cdef int axis = 1 if valid else self.axis
        mean, var, count = self.running_mean, self.running_var, self.num_batches_tracked
        if later or self.of_batch and not self.moves:
            mean = var = count = None
        bias = kept = None
        if self.gate is not OPEN and (<tuple>self.gate)[2]:
            # a curve, of which backward computes again what went into it
            bias, kept = None if self.bias is None else self.bias.copy(), residual
            if out is not None and residual is not None and may_share_memory(out, residual):
                kept = residual.copy()
        self.last_weight = weight = as_before(self.weight, self.last_weight)
        y, stats = forward(
            x, self.weight, self.bias, mean, var, count, self.of_batch, self.momentum, self.eps,
            axis, out, residual, self.gate,
        )
        later = later and y.size > 0
        saved = (
            x, stats, weight, self.of_batch, axis, None if self.gate is OPEN else y, self.gate,
            residual is not None, None, None, bias, kept,
        )
        return y, new(self.saved, saved), later


def batch_back(saved, dy, dtype, dict own):
    """dx and the gradients of a batch without anything beside it; None where there is more.

    own: the attributes of the layer.
    """
    x, stats, weight, of_batch, axis, _, gate, added, mask, _, _, _ = <tuple>saved
    if gate is not OPEN or added or mask is not None or not alike(dy, x):
        return None
    dx, dweight, dbias = backward_checked(dy, x, stats, weight, of_batch, axis, None, dtype)
    return dx, affine_grads(learned_of(own), dweight, dbias)


def backward_checked(
    dy, x, stats, weight, bint training, int channel_axis, out, dtype, y=None, gate=OPEN,
    dresidual=None, sums=None, bias=None, residual=None,
):
    """batch_norm_backward for arguments that were checked.

    Past a curve bias and the residual are those of the forward, and y is not needed.
    sums: those of dy and dy*xhat, (2, C), as if they were of x alone: they are not computed then,
    and dweight and dbias are zero.
    """
    cdef Views views = views_of(x, out, channel_axis)
    dweight, dbias = floats(views.C, dtype), floats(views.C, dtype)
    if not views.size or sums is not None:
        dweight[...] = dbias[...] = 0
    if not views.size:
        return views.y, dweight, dbias
    slope, most, curve = <tuple>gate
    if curve and views.itemsize == 2:   # of which dx is rounded once
        x = widened(x)
        dy = let_through(dy, x, stats, weight, bias, residual, channel_axis, gate)
        if dresidual is not None:
            round_to(dresidual, dy)
        wide, *found = backward_checked(
            dy, x, stats, weight, training, channel_axis, None, dtype
        )
        return round_to(views.y, wide), *found
    if curve:
        y = None
    elif gate is OPEN or not training:
        # Past constant statistics nothing is summed that the gate's pass could be shared with.
        if gate is not OPEN:
            dy = gated(dy, y, gate)
        if dresidual is not None:
            dresidual[...] = dy
        y = dresidual = None
        if dy.itemsize > views.itemsize:  # sixteen bits, of which dx is rounded once
            wide, *found = backward_checked(
                dy, widened(x), stats, weight, training, channel_axis, None, dtype
            )
            return round_to(views.y, wide), *found
    room = views.room() if views.out is None else views.out
    dz = dz_room = None
    if dresidual is not None:
        dz = views.view(dresidual)
        dz_room = views.room() if dz is None else dz
    if y is not None:
        y = views.gather(y)
    if curve and residual is not None:
        residual = views.gather(residual)
    threads, cache, stream = plan_of(views)
    kernels, dy = kernels_of(views), views.gather(dy)
    if sums is not None:
        kernels.batch_gradient(
            room, dz_room, dy, views.x, y, stats, sums, weight, slope, most, threads, cache, stream
        )
    else:
        kernels.batch_backward(
            room, dz_room, dweight, dbias, dy, views.x, y, stats, weight, slope, most, training,
            threads, cache, stream, curve, bias, residual if curve else None,
        )
    if views.out is None:
        views.arrangement.scatter(room, views.y)
    if dz is not dz_room:
        views.arranged().scatter(dz_room, dresidual)
    return views.y, dweight, dbias


def let_through(dy, x, stats, weight, bias, residual, int channel_axis, gate):
    """dy times the slope of a curve at what went into it, in x's type of arithmetic."""
    x, dy = widened(x), widened(dy)
    cdef Views views = views_of(x, None, channel_axis)
    if not views.size:
        return views.y
    room = views.room() if views.out is None else views.out
    residual = None if residual is None else views.gather(widened(residual))
    threads, cache, _ = plan_of(views)
    kernels_of(views).batch_given(
        room, stats, views.gather(dy), views.x, residual, weight, bias, *gate, threads, cache
    )
    if views.out is None:
        views.arrangement.scatter(room, views.y)
    return views.y
