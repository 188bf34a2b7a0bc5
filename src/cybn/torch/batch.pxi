# Batch norm.

@cython.final
cdef class OfBatch:
    """What a batch norm keeps for its gradient besides tensors."""
    cdef object y, stats, gate
    cdef bint training
    cdef double eps


def batch_norm(module, x, residual, tuple ranks, gate=None, bint spare=False):
    """The output of a module, one of BatchNorm's; None where it is PyTorch's to compute.

    ranks: how many axes x may have; gate: what follows, where that is not the module's own; spare:
    nobody looks at x any more, but for a gradient.
    """
    cdef Look at
    cdef dict own = module.__dict__
    cdef bint training = module.training, of_batch
    cdef OfBatch done
    if not look_at_input(&at, x) or at.at.ndim not in ranks:
        return None
    weight, bias = held(module, own, "weight"), held(module, own, "bias")
    mean, var = held(module, own, "running_mean"), held(module, own, "running_var")
    count = None
    eps, momentum = module.eps, module.momentum
    of_batch = training or (mean is None and var is None)
    if training:
        if module.track_running_stats:
            count = held(module, own, "num_batches_tracked")
        else:
            mean = var = None
    if (mean is None) != (var is None):
        return None
    if momentum is None:
        momentum = 0.0 if count is None else -1.0
    elif not 0 <= momentum <= 1:
        return None
    differentiable = is_differentiable(x, weight, bias) or (
        residual is not None and is_differentiable(residual, None, None)
    )
    # A module that is given PyTorch's class in the middle of a call has the attribute no more.
    activation = None if gate is not None else getattr(module, "activation", None)
    if (
        differentiable and at.size < SMALL_BATCH and at.at.dtype.bits >= 32 and residual is None
        and gate is None and activation is None
    ):
        return None
    if (differentiable and x.is_inference()) or (
        training and mean is not None and mean.is_inference() and not is_inference_mode_enabled()
    ):
        return None
    if gate is None:
        gate = OPEN if activation is None else gate_of(
            type(module).__name__, *formulas.followed(module)
        )
    made = batch_forward(
        x, residual, weight, bias, mean, var, count, of_batch, momentum, eps, gate,
        spare and not differentiable,
    )
    if made is None or not differentiable:
        return made and made[0]
    done = OfBatch.__new__(OfBatch)
    done.y, done.stats = made
    done.gate, done.training, done.eps = gate, of_batch, eps
    return apply_batch(x, weight, bias, residual, done)


def batch_forward(
    x, residual, weight, bias, mean, var, count, bint of_batch, momentum, eps, gate,
    bint spare=False,
):
    """y and statistics, (3, C); None where it is PyTorch's.

    mean, var and count are the running ones, which move if it is of the batch; momentum -1 stands
    for 1/count. y is x itself where that is to spare: memory that is in the caches, and has pages.
    """
    cdef Look at, weight_at, bias_at, mean_at, var_at, count_at, residual_at, first
    cdef Py_ssize_t C
    cdef Cut axes
    if not look_at_input(&at, x) or at.at.ndim < 2 or is_watched():
        return None
    C = at.at.shape[1]
    first.size = 0
    if not (
        look_at_values(&weight_at, weight, &at, C, &first)
        and look_at_values(&bias_at, bias, &at, C, &first)
        and look_at_values(&mean_at, mean, &at, C, &first)
        and look_at_values(&var_at, var, &at, C, &first)
        and (count is None or (look(&count_at, count) and count_at.at.dtype.code == INT
                               and count_at.at.dtype.bits == 64 and count_at.size == 1))
        and eps > 0
        and (at.size > C if of_batch else mean is not None and var is not None)
    ):
        return None
    if residual is not None and not (
        look_at_input(&residual_at, residual) and same_kind(&residual_at, &at)
        and same_shape(&residual_at, &at)
    ):
        return None
    if at.order == OTHER:
        x, spare = dense(x), True
        look(&at, x)
    if residual is not None and residual_at.order != at.order:
        residual = ordered(residual, x)
        look(&residual_at, residual)
    axes = channels(&at)
    stats, y = empty((3, C)), x if spare else empty_like(x)
    weight, bias = wide(weight, &weight_at), wide(bias, &bias_at)
    moving = [a for a in (mean, var, count) if a is not None] if of_batch else None
    given_mean, given_var = mean, var
    mean, var = wide(mean, &mean_at), wide(var, &var_at)
    slope, most, curve = gate
    threads, cache, stream = plan_for(&at)
    kernels_for(&at).batch_forward(
        lend_new_cut(y, &axes), stats, lent_values(mean, &mean_at), lent_values(var, &var_at),
        lent_values(count, &count_at), lend_cut(&at, x, &axes),
        None if residual is None else lend_cut(&residual_at, residual, &axes),
        lent_values(weight, &weight_at), lent_values(bias, &bias_at), eps, momentum, slope, most,
        curve, of_batch, threads, cache, stream and not spare,
    )
    if moving:
        for given, moved in ((given_mean, mean), (given_var, var)):
            if moved is not given:
                given.copy_(moved)
        increment_version(moving)
    return y, stats


def batch_begin(ctx, x, weight, bias, residual, OfBatch done):
    """Keep what the gradient needs; the output that was computed."""
    y, done.y = done.y, None
    ctx.done = done
    if done.gate[2]:
        ctx.save_for_backward(x, weight, None, bias, residual)
    else:
        ctx.save_for_backward(x, weight, None if done.gate is OPEN else y)
    return y


def batch_end(ctx, dy):
    """The gradients of x, weight, bias and residual."""
    cdef OfBatch done = ctx.done
    x, weight, y, *more = ctx.saved_tensors
    bias, residual = more or (None, None)
    of_x, of_weight, of_bias, of_residual, _ = ctx.needs_input_grad
    wanted = of_x, of_weight, of_bias, of_residual
    if is_grad_enabled() or not can_take(dy):
        grads = formulas.batch_again(
            dy, x, y, torch.from_numpy(done.stats), weight, done.training, done.eps, done.gate,
            wanted, bias, residual,
        )
    else:
        grads = batch_gradient(
            dy, x, y, done.stats, weight, done.training, done.gate, wanted, bias, residual
        )
    return *grads, None


def can_take(x) -> bool:
    """Is it a tensor that a kernel takes as x, dy or a residual?"""
    cdef Look at
    return look_at_input(&at, x)


def batch_gradient(
    dy, x, y, stats, weight, bint training, gate, wanted, bias=None, residual=None
):
    """The gradients of x, weight, bias and residual, each where it is wanted.

    y: the output, past a gate; bias and residual: what there was, past a curve.
    """
    cdef Look at, dy_at, y_at, weight_at, bias_at, residual_at
    cdef Cut axes
    cdef bint of_x, of_weight, of_bias, of_residual, gated = gate is not OPEN, bent = gate[2] != 0
    of_x, of_weight, of_bias, of_residual = wanted
    look(&at, x)
    if bent and (
        is_sixteen(&at) or not of_x or not (training or of_weight or of_bias)
    ):
        return gradient_apart(dy, x, stats, weight, training, gate, wanted, bias, residual)
    if at.order == OTHER:
        x = dense(x)
        look(&at, x)
    look(&dy_at, dy)
    if dy_at.order != at.order:
        dy = ordered(dy, x)
        look(&dy_at, dy)
    if gated and not bent:
        look(&y_at, y)
        if y_at.order != at.order:
            y = ordered(y, x)
            look(&y_at, y)
    axes = channels(&at)
    dx = dweight = dbias = dresidual = None
    if of_residual and not gated:
        dresidual = dy
    if gated and not bent and (not training or (of_residual and not of_x)):
        # Past constant statistics nothing is summed that the gate's pass could be shared with.
        dy = ordered(formulas.opened(dy, y, gate), x)
        look(&dy_at, dy)
        dresidual = dy if of_residual else None
        gated, gate = False, OPEN
    shared = weight_of(weight, x)
    weight_used = weight
    if weight is not None:
        look(&weight_at, weight)
        weight_used = wide(weight, &weight_at)
    lent_dy, lent_x = lend_cut(&dy_at, dy, &axes), lend_cut(&at, x, &axes)
    lent_y = lend_cut(&y_at, y, &axes) if gated and not bent else None
    slope, most, curve = gate
    if bent:
        bias, residual = as_given(&bias_at, bias), as_added(&residual_at, residual, x, &axes)
    threads, cache, stream = plan_for(&at)
    kernels = kernels_for(&at)
    if not of_x and not (gated and of_residual):
        if of_weight or of_bias:
            sums = empty((2, axes.C))
            kernels.batch_sums(sums, lent_dy, lent_x, lent_y, stats, slope, most, threads, cache)
            dbias, dweight = torch.from_numpy(sums).to(shared.dtype)
        return None, dweight if of_weight else None, dbias if of_bias else None, dresidual
    dx = empty_like(x)
    if not training and not of_weight and not of_bias:
        # dx is dy, scaled; x is not looked at.
        still = stats.copy()
        still[0] = 0
        kernels.batch_output(
            lend_new_cut(dx, &axes), still, lent_dy, None, lent_values(weight_used, &weight_at),
            None, 1.0, *OPEN, threads, cache, stream,
        )
        return dx, None, None, dresidual
    if of_weight:
        dweight = room_for(shared)
    if of_bias:
        dbias = room_for(shared)
    if gated and of_residual:
        dresidual = empty_like(x)
    kernels.batch_backward(
        lend_new_cut(dx, &axes), lend_new_cut(dresidual, &axes) if gated else None,
        lend_new(dweight), lend_new(dbias), lent_dy, lent_x, lent_y, stats,
        lent_values(weight_used, &weight_at), slope, most, training, threads, cache, stream, curve,
        lent_values(bias, &bias_at) if bent else None, residual if bent else None,
    )
    if is_sixteen(&at) and shared.itemsize == 2:
        dweight = None if dweight is None else dweight.to(shared.dtype)
        dbias = None if dbias is None else dbias.to(shared.dtype)
    return dx, dweight, dbias, dresidual


cdef object weight_of(weight, x):
    """A tensor of the shape and dtype that weight has, or would have."""
    return x.new_empty(x.shape[1]) if weight is None else weight


def move(mean, var, count, stats, m, momentum):
    """Move running statistics by those of a batch of m values per channel; -1: by 1/count.

    Or by the means of those of each sample, (3, N*C), of m values each.
    """
    cdef Look mean_at, var_at, count_at
    given_mean, given_var = mean, var
    if not look(&mean_at, mean) or not look(&var_at, var) or not (
        count is None or look(&count_at, count)
    ):
        raise ValueError("running statistics are tensors in memory, and not empty")
    if stats.shape[1] != mean_at.size:
        of_samples = stats.reshape(3, -1, mean_at.size)
        stats = add.reduce(of_samples, 1) / of_samples.shape[1]
    mean, var = wide(mean, &mean_at), wide(var, &var_at)
    follow([Step(
        lend(&mean_at, mean), lend(&var_at, var), lent_values(count, &count_at), stats, m, momentum
    )])
    for given, moved in ((given_mean, mean), (given_var, var)):
        if moved is not given:
            given.copy_(moved)
