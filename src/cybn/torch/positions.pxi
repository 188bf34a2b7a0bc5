# Layer and RMS norm over the channels of (N, C, ...) in C order: no axis is moved.
#
# With channels last the same norm is one of rows, which is the caller's to say.

@cython.final
cdef class OfPositions:
    """What a norm over channels keeps for its gradient besides tensors."""
    cdef object y, stats
    cdef bint centred
    cdef double eps


def over_channels(x, weight, bias, eps, bint centred):
    """The output of a norm over axis 1; None where it is not this kernel's.

    weight, bias: (C,) or None.
    """
    cdef OfPositions done
    differentiable = is_differentiable(x, weight, bias)
    if differentiable and x.is_inference():
        return None
    made = positions_forward(x, weight, bias, eps, centred)
    if made is None or not differentiable:
        return made and made[0]
    done = OfPositions.__new__(OfPositions)
    done.y, done.stats = made
    done.centred, done.eps = centred, eps
    return apply_positions(x, weight, bias, done)


cdef object positions_forward(x, weight, bias, eps, bint centred):
    """y and statistics, (3, N*L); None where it is not this kernel's."""
    cdef Look at, weight_at, bias_at, first
    cdef Cut cut
    first.size = 0
    if not (
        look_at_input(&at, x) and at.order == C_ORDER and not is_sixteen(&at) and at.at.ndim > 2
        and eps > 0 and not is_watched()
        and look_at_values(&weight_at, weight, &at, at.at.shape[1], &first)
        and look_at_values(&bias_at, bias, &at, at.at.shape[1], &first)
    ):
        return None
    cut = channels(&at)
    y, stats = empty_like(x), empty((3, cut.N * cut.L))
    threads, _, stream = plan_for(&at)
    kernels_for(&at).positions_forward(
        lend_new_cut(y, &cut), stats, lend_cut(&at, x, &cut), lent_values(weight, &weight_at),
        lent_values(bias, &bias_at), eps, centred, threads, stream,
    )
    return y, stats


def positions_begin(ctx, x, weight, bias, OfPositions done):
    """Keep what the gradient needs; the output that was computed."""
    y, done.y = done.y, None
    ctx.done = done
    ctx.save_for_backward(x, weight)
    return y


def positions_end(ctx, dy):
    """The gradients of x, weight and bias."""
    cdef OfPositions done = ctx.done
    x, weight = ctx.saved_tensors
    of_x, of_weight, of_bias, _ = ctx.needs_input_grad
    wanted = of_x, of_weight, of_bias
    if is_grad_enabled() or not can_take(dy):
        grads = formulas.positions_again(dy, x, weight, done.eps, done.centred, wanted)
    else:
        grads = positions_gradient(dy, x, done.stats, weight, done.centred, wanted)
    return *grads, None


cdef tuple positions_gradient(dy, x, stats, weight, bint centred, wanted):
    """The gradients of x, weight and bias, each where it is wanted."""
    cdef Look at, dy_at, weight_at
    cdef Cut cut
    of_x, of_weight, of_bias = wanted
    look(&at, x)
    look(&dy_at, dy)
    if dy_at.order != C_ORDER:
        dy = dy.contiguous()
        look(&dy_at, dy)
    cut = channels(&at)
    dx = empty_like(x)
    dweight = room_for(weight) if of_weight else None
    dbias = x.new_empty(cut.C) if of_bias else None
    if weight is not None:
        look(&weight_at, weight)
    threads, _, stream = plan_for(&at)
    kernels_for(&at).positions_backward(
        lend_new_cut(dx, &cut), lend_new(dweight), lend_new(dbias), lend_cut(&dy_at, dy, &cut),
        lend_cut(&at, x, &cut), stats, lent_values(weight, &weight_at), centred, threads, stream,
    )
    return dx if of_x else None, dweight, dbias
