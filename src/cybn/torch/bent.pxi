# The gradient of a batch norm past a curve, of which what went into it is computed again.

cdef object as_given(Look *to, a):
    """OUT to: a parameter as kernels take it, looked at; None where there is none."""
    if a is None:
        return None
    look(to, a)
    return wide(a, to)


cdef object as_added(Look *to, residual, x, const Cut *axes):
    """A residual, lent in the memory order of x; None where there is none."""
    if residual is None:
        return None
    residual = ordered(residual, x)
    look(to, residual)
    return lend_cut(to, residual, axes)


cdef object gradient_apart(
    dy, x, stats, weight, bint training, gate, wanted, bias, residual
):
    """The gradients where a curve goes before the norm, and not part by part with it.

    So it is where the norm has no pass of its own to share, and with sixteen bits, of which each
    gradient is rounded once.
    """
    wide_x = x.float() if x.itemsize == 2 else x
    dz = let_back(dy.to(wide_x.dtype), wide_x, stats, weight, bias, residual, gate)
    dx, dweight, dbias, dresidual = batch_gradient(
        dz, wide_x, None, stats, weight, training, OPEN, wanted
    )
    of_values = x.dtype if weight is None else weight.dtype
    return (
        None if dx is None else dx.to(x.dtype),
        None if dweight is None else dweight.to(of_values),
        None if dbias is None else dbias.to(of_values),
        None if dresidual is None else dresidual.to(x.dtype),
    )


cdef object let_back(dy, x, stats, weight, bias, residual, gate):
    """dy times the slope of a curve at what went into it, a new tensor; x is of 32 or 64 bits."""
    cdef Look at, dy_at, weight_at, bias_at, residual_at
    cdef Cut axes
    x = dense(x)
    look(&at, x)
    dy = ordered(dy, x)
    look(&dy_at, dy)
    axes = channels(&at)
    weight, bias = as_given(&weight_at, weight), as_given(&bias_at, bias)
    if residual is not None:
        residual = as_added(&residual_at, residual.to(x.dtype), x, &axes)
    out = empty_like(x)
    slope, most, curve = gate
    threads, cache, _ = plan_for(&at)
    kernels_for(&at).batch_given(
        lend_new_cut(out, &axes), stats, lend_cut(&dy_at, dy, &axes), lend_cut(&at, x, &axes),
        residual, lent_values(weight, &weight_at), lent_values(bias, &bias_at), slope, most, curve,
        threads, cache,
    )
    return out
