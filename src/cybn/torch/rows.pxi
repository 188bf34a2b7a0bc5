# Norms of a sample: layer, RMS, group and instance norm are rows of x in C order.

# What an RMS norm without eps has: PyTorch's of the dtype of arithmetic.
cdef object EPS32 = torch.finfo(torch.float32).eps, EPS64 = torch.finfo(torch.float64).eps


@cython.final
cdef class OfRows:
    """What a norm of a sample keeps for its gradient besides tensors."""
    cdef object y, stats
    cdef object axes        # what PyTorch's function is told: the last sizes, or how many groups
    cdef Py_ssize_t run
    cdef bint centred
    cdef double eps


def layer_norm(module, x, bint centred):
    """The output of a LayerNorm, or not centred an RMSNorm; None where it is PyTorch's."""
    cdef Look at
    cdef tuple sizes = module.normalized_shape
    cdef dict own = module.__dict__
    cdef Py_ssize_t n = 1, size
    cdef int i, first
    if not look_at_input(&at, x) or not sizes:
        return None
    first = at.at.ndim - <int>len(sizes)
    if first < 0:
        return None
    for i, size in enumerate(sizes):
        if at.at.shape[first + i] != size:
            return None
        n *= size
    eps = module.eps
    if eps is None:
        eps = EPS64 if at.at.dtype.bits == 64 else EPS32
    weight, bias = held(module, own, "weight"), held(module, own, "bias") if centred else None
    if centred and is_small(&at, x, weight, bias, SMALL_ROWS):
        return None
    return normalize(x, weight, bias, n, at.size // n, 1, eps, centred, sizes)


def group_norm(module, x, Py_ssize_t groups):
    """The output of a GroupNorm."""
    cdef Look at
    cdef dict own = module.__dict__
    cdef Py_ssize_t C, N
    if not look_at_input(&at, x) or at.at.ndim < 2:
        return None
    N, C = at.at.shape[0], at.at.shape[1]
    if at.order != C_ORDER and stays_last(x):
        return None
    if groups < 1 or C % groups != 0 or at.size <= N * groups:
        return None
    weight, bias = held(module, own, "weight"), held(module, own, "bias")
    if is_small(&at, x, weight, bias, SMALL_ROWS):
        return None
    return normalize(
        x, weight, bias, C, N * groups, at.size // (N * C), module.eps, True, groups
    )


cdef object normalize(
    x, weight, bias, Py_ssize_t values, Py_ssize_t count, Py_ssize_t run, eps, bint centred, axes,
    Followers followers=None,
):
    """The output, with a gradient where one may be asked for; None where it is PyTorch's."""
    cdef OfRows done
    differentiable = is_differentiable(x, weight, bias)
    if differentiable and x.is_inference():
        return None
    made = rows_forward(x, weight, bias, values, count, run, eps, centred)
    if made is not None and followers is not None:
        followers.follow(made[1], run)
    if made is None or not differentiable:
        return made and made[0]
    done = OfRows.__new__(OfRows)
    done.y, done.stats = made
    done.axes, done.run, done.centred, done.eps = axes, run, centred, eps
    return apply_rows(x, weight, bias, done)


def rows_forward(
    x, weight, bias, Py_ssize_t values, Py_ssize_t count, Py_ssize_t run, eps, bint centred
):
    """y and statistics, (3, count), of so many rows; None where it is PyTorch's.

    `run` items side by side share one of so many values of weight and bias.
    """
    cdef Look at, weight_at, bias_at, first
    cdef Cut cut
    first.size = 0
    if not (
        look_at_input(&at, x) and eps > 0 and not is_watched()
        and look_at_values(&weight_at, weight, &at, values, &first)
        and look_at_values(&bias_at, bias, &at, values, &first)
    ):
        return None
    if at.order != C_ORDER:
        x = x.contiguous()
        look(&at, x)
    y, stats = empty_like(x), empty((3, count))
    cut = rows(&at, count)
    weight, bias = wide(weight, &weight_at), wide(bias, &bias_at)
    threads, cache, stream = plan_for(&at)
    kernels_for(&at).rows_forward(
        lend_new_cut(y, &cut), stats, lend_cut(&at, x, &cut), lent_values(weight, &weight_at),
        lent_values(bias, &bias_at), run, eps, centred, threads, cache, stream,
    )
    return y, stats


def rows_begin(ctx, x, weight, bias, OfRows done):
    """Keep what the gradient needs; the output that was computed."""
    y, done.y = done.y, None
    ctx.done = done
    ctx.save_for_backward(x, weight)
    return y


def rows_end(ctx, dy):
    """The gradients of x, weight and bias."""
    cdef OfRows done = ctx.done
    x, weight = ctx.saved_tensors
    of_x, of_weight, of_bias, _ = ctx.needs_input_grad
    wanted = of_x, of_weight, of_bias
    if is_grad_enabled() or not can_take(dy):
        grads = formulas.rows_again(
            dy, x, weight, done.eps, done.centred, done.axes, wanted
        )
    else:
        grads = rows_gradient(dy, x, done.stats, weight, done.run, done.centred, wanted)
    return *grads, None


def rows_gradient(dy, x, stats, weight, Py_ssize_t run, bint centred, wanted):
    """The gradients of x, weight and bias, each where it is wanted."""
    cdef Look at, dy_at, weight_at
    cdef Cut cut
    of_x, of_weight, of_bias = wanted
    look(&at, x)
    if at.order != C_ORDER:
        x = x.contiguous()
        look(&at, x)
    look(&dy_at, dy)
    if dy_at.order != C_ORDER:
        dy = dy.contiguous()
        look(&dy_at, dy)
    dx = empty_like(x)
    dweight = room_for(weight) if of_weight else None
    dbias = room_for(weight) if of_bias else None
    weight_used = weight
    if weight is not None:
        look(&weight_at, weight)
        weight_used = wide(weight, &weight_at)
    cut = rows(&at, stats.shape[1])
    threads, cache, stream = plan_for(&at)
    kernels_for(&at).rows_backward(
        lend_new_cut(dx, &cut), lend_new(dweight), lend_new(dbias), lend_cut(&dy_at, dy, &cut),
        lend_cut(&at, x, &cut), stats, lent_values(weight_used, &weight_at), run, centred, threads,
        cache, stream,
    )
    if weight is not None and weight_used is not weight:
        dweight = None if dweight is None else dweight.to(weight.dtype)
        dbias = None if dbias is None else dbias.to(weight.dtype)
    return dx if of_x else None, dweight, dbias
