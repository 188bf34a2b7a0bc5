# Instance norm: by the moments of each sample it is a norm of rows, which running statistics may
# follow; by these it is a batch norm in evaluation.

@cython.final
cdef class Followers:
    """Running statistics that move by the mean of the samples' moments."""
    cdef object mean, var
    cdef double momentum

    cdef int follow(self, stats, Py_ssize_t n) except -1:
        move(self.mean, self.var, None, stats, n, self.momentum)
        increment_version([self.mean, self.var])
        return 0


def instance_norm(module, x):
    """The output of an InstanceNorm; None where it is PyTorch's."""
    cdef Look at, mean_at, var_at, first
    cdef dict own = module.__dict__
    cdef Followers followers = None
    cdef Py_ssize_t N, C
    cdef bint of_samples = module.training or not module.track_running_stats
    mean, var = held(module, own, "running_mean"), held(module, own, "running_var")
    if (mean is None) != (var is None) or not look_at_input(&at, x) or at.at.ndim < 3:
        return None
    if not of_samples:
        if mean is None:
            return None
        # PyTorch's output is in C order, whatever x is
        return batch_norm(module, x if at.order == C_ORDER else x.contiguous(), None, (3, 4, 5),
                          OPEN)
    N, C = at.at.shape[0], at.at.shape[1]
    if at.size <= N * C:
        return None
    weight, bias = held(module, own, "weight"), held(module, own, "bias")
    momentum = module.momentum
    if mean is not None and momentum is not None:
        first.size = 0
        if not (
            0 <= momentum <= 1
            and look_at_values(&mean_at, mean, &at, C, &first)
            and look_at_values(&var_at, var, &at, C, &first)
        ) or (mean.is_inference() and not is_inference_mode_enabled()):
            return None
        followers = Followers.__new__(Followers)
        followers.mean, followers.var, followers.momentum = mean, var, momentum
    return normalize(
        x, weight, bias, C, N * C, at.size // (N * C), module.eps, True, C, followers
    )
