# Norms of a sample, row by row; what the rows are, a Rows says (arrays/layout.py).

def normalize_checked(x, rows, weight, bias, eps, centred, out):
    """y and stats of the rows of x, for arguments that were checked."""
    arrangement, run, values = rows
    cdef Views views = rows_of(x, out, arrangement)
    if not views.size:
        return views.y, no_stats(views.C, eps)
    stats, room = empty((3, views.C)), views.out
    if room is None:
        room = room_beside(x, views.x)
    threads, cache, stream = plan_of(views)
    kernels_of(views).rows_forward(
        room, stats, views.x, flat(weight, values), flat(bias, values), run, eps, centred, threads,
        cache, stream,
    )
    if views.out is None:
        arrangement.scatter(room, views.y)
    return views.y, stats


def gradient_checked(
    dy, x, rows, stats, weight, centred, out, dtype, wanted=(True, True)
):
    """dx, dweight and dbias (values,), for arguments that were checked.

    wanted: whether dweight and dbias are to be computed; else they are None.
    """
    arrangement, run, values = rows
    of_weight, of_bias = wanted
    cdef Views views = rows_of(x, out, arrangement)
    dweight = zeros(values, dtype) if of_weight else None
    dbias = zeros(values, dtype) if of_bias else None
    if not views.size:
        return views.y, dweight, dbias
    dy_rows, room = views.gather(dy), views.out
    if room is None:
        room = room_beside(dy, dy_rows)
    threads, cache, stream = plan_of(views)
    kernels_of(views).rows_backward(
        room, dweight, dbias, dy_rows, views.x, stats, flat(weight, values), run, centred, threads,
        cache, stream,
    )
    if views.out is None:
        arrangement.scatter(room, views.y)
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
