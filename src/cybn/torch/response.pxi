# Local response norm.

def local_response_norm(x, size, alpha, beta, k):
    """The output of a LocalResponseNorm; None where it is PyTorch's."""
    cdef Look at
    if not (
        look_at_input(&at, x) and at.at.ndim >= 3 and size >= 1 and not is_watched()
        # The one norm that autocast gives float32.
        and not (is_sixteen(&at) and torch.is_autocast_enabled("cpu"))
    ):
        return None
    options = size, alpha, beta, k
    if x.requires_grad and is_grad_enabled():
        return None if x.is_inference() else apply_response(x, options)
    return respond(x, options)


def respond(x, options):
    cdef Look at
    cdef Cut axes
    look(&at, x)
    given = x
    if at.order == OTHER:
        x = dense(x)
        look(&at, x)
    y = empty_like(x)
    axes = channels(&at)
    kernels_for(&at).response_forward(
        lend_new_cut(y, &axes), lend_cut(&at, x, &axes), *options, plan_for(&at).threads
    )
    return y if given is x else empty_like(given).copy_(y)


def response_begin(ctx, x, options):
    """Keep what the gradient needs; the output."""
    ctx.options = options
    ctx.save_for_backward(x)
    return respond(x, options)


def response_end(ctx, dy):
    """The gradient of x."""
    x, = ctx.saved_tensors
    if is_grad_enabled() or not can_take(dy):
        return formulas.response_again(dy, x, *ctx.options), None
    return response_gradient(dy, x, ctx.options), None


def response_gradient(dy, x, options):
    cdef Look at, dy_at
    cdef Cut axes
    look(&at, x)
    if at.order == OTHER:
        x = dense(x)
        look(&at, x)
    look(&dy_at, dy)
    if dy_at.order != at.order:
        dy = ordered(dy, x)
        look(&dy_at, dy)
    dx = empty_like(x)
    axes = channels(&at)
    kernels_for(&at).response_backward(
        lend_new_cut(dx, &axes), lend_cut(&dy_at, dy, &axes), lend_cut(&at, x, &axes), *options,
        plan_for(&at).threads,
    )
    return dx
