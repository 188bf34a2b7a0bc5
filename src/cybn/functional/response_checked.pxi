# Local response normalization.

def respond_checked(x, size, alpha, beta, k, int channel_axis, out):
    """local_response_norm_forward for arguments that were checked; out must not be x."""
    cdef Views views = views_of(x, out, channel_axis)
    if views.size:
        room = views.room() if views.out is None else views.out
        threads, _, _ = plan_of(views)
        kernels_of(views).response_forward(room, views.x, size, alpha, beta, k, threads)
        if views.out is None:
            views.arrangement.scatter(room, views.y)
    return views.y


def respond_back_checked(dy, x, size, alpha, beta, k, int channel_axis, out):
    """local_response_norm_backward for arguments that were checked."""
    cdef Views views = views_of(x, out, channel_axis)
    if views.size:
        room = views.room() if views.out is None else views.out
        threads, _, _ = plan_of(views)
        kernels_of(views).response_backward(
            room, views.gather(dy), views.x, size, alpha, beta, k, threads
        )
        if views.out is None:
            views.arrangement.scatter(room, views.y)
    return views.y
