# Which calls are the kernels', and what a module has for them.

# A small call that a gradient may be asked of costs more than all of PyTorch's own: an
# autograd.Function that does nothing takes 23 us of the 25 that PyTorch's layer norm takes there
# and back. So calls of fewer items than these are PyTorch's, where its norm is one kernel: from
# there on both ways together were measured to be as quick here (float32, one thread).
cdef Py_ssize_t SMALL_BATCH = 0, SMALL_ROWS = 0


def hand_over(bint small):
    """Are small calls with a gradient to be PyTorch's? CYBN_TORCH_SMALL says so first."""
    global SMALL_BATCH, SMALL_ROWS
    SMALL_BATCH = 8192 if small else 0
    SMALL_ROWS = BELOW if small else 0


hand_over(number_from("CYBN_TORCH_SMALL", "0 or 1", 0, 1) != 0)


cdef bint is_small(const Look *x, a, weight, bias, Py_ssize_t below):
    """Is it a small call that a gradient may be asked of?"""
    return x.size < below and x.at.dtype.bits >= 32 and is_differentiable(a, weight, bias)


cdef bint is_differentiable(x, weight, bias):
    return is_grad_enabled() and (
        x.requires_grad or (weight is not None and weight.requires_grad)
        or (bias is not None and bias.requires_grad)
    )


cdef bint is_watched():
    """Is there a transform, a mode or a tracer?"""
    return (
        transforms() or dispatch_modes() > 0 or tracing() is not None
        or forward_ad._current_level >= 0 or (function_modes() > 0 and functions_are_watched())
    )


cdef bint functions_are_watched():
    """A default device (`torch.set_default_device`) is a mode, too, but changes no norm."""
    cdef int i
    for i in range(function_modes()):
        if not isinstance(torch._C._get_function_stack_at(i), DeviceContext):
            return True
    return False


cdef object held(module, dict own, str name):
    """An attribute of a module, parameter or buffer as a rule; a parametrized one is computed."""
    cdef PyObject *found = PyDict_GetItemWithError(own["_parameters"], name)
    if found == NULL:
        found = PyDict_GetItemWithError(own["_buffers"], name)
        if found == NULL:
            return getattr(module, name)
    return <object>found


cdef bint look_at_input(Look *to, x):
    """OUT to: an input that is the kernels'; else False."""
    return look(to, x) and is_data(to) and not x.is_neg()


cdef bint look_at_values(Look *to, a, const Look *x, Py_ssize_t n, Look *first):
    """OUT to: what lies on channels, or all zero if that is None; else False.

    n values, in one piece, of the dtype of `first`, unless that is all zero, which it then is; and
    this is x's, or float32 beside sixteen bits, as PyTorch mixes them.
    """
    if a is None:
        to.size = 0
        return True
    if not look(to, a) or to.size != n or to.order != C_ORDER:
        return False
    if first.size == 0:
        first[0] = to[0]
        return same_kind(to, x) or (
            is_sixteen(x) and to.at.dtype.code == FLOAT and to.at.dtype.bits == 32
        )
    return same_kind(to, first)


cdef object wide(a, Look *at):
    """A parameter as kernels take it: float32 if it has sixteen bits, and then looked at anew."""
    if a is None or not is_sixteen(at):
        return a
    a = a.detach().float()
    look(at, a)
    return a


cdef inline object lent_values(a, const Look *at):
    return None if a is None else lend(at, a)


cdef object room_for(a):
    """Room for the gradient of a parameter."""
    if a.itemsize == 2:
        return empty_like(a, dtype=torch.float32, memory_format=contiguous_format)
    return empty_like(a)
