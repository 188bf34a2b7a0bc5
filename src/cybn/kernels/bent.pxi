# Backward past a curve (curves.pxi) after batch norm: what went into it is computed again.

def batch_given(S[:, :, :] out, stats, const S[:, :, :] dy, const S[:, :, :] x,
                const S[:, :, :] residual, weight, bias, double slope, double most, int curve,
                int threads, Py_ssize_t cache):
    """OUT out: dy*f'(z), z being what went into a curve of the same y; it may be dy."""
    cdef Call call = Call.__new__(Call)
    cdef Job job
    if out is None or dy is None:
        refuse("out" if out is None else "dy", "shape (N, C, L)", None)
    open_forward(&job, call, INFERENCE, out, stats, x, residual, dy, weight, bias, slope, most,
                 curve, threads, False)
    start(&job, threads, cache)
    settled()


cdef int bend_back(Job *job, Job *before, Call call, int curve, double slope, double most,
                   const S[:, :, :] residual, bias) except -1:
    """Let another job write dy*f'(z), z being what went into the curve, for this one to take as dy.

    It goes to where the gradient of the residual is wanted, or else to where dx will be: unit by
    unit, so that a cache still holds it.
    """
    cdef Channels biases
    cdef S *to = job.dresidual if job.dresidual != NULL else job.out
    cdef Py_ssize_t stride = job.dresidual_stride if job.dresidual != NULL else job.out_stride
    call.borrow(&biases, bias, job.C, False, "bias")
    read_values(job.bias, &biases, 0, job.C)
    before[0] = job[0]
    before.task, before.bend, before.stream = INFERENCE, bend_of(curve), False
    before.slope, before.most = <T>slope, <T>most
    before.given, before.given_stride = job.dy, job.dy_stride
    before.out, before.out_stride = to, stride
    if residual is not None:
        before.residual, before.residual_stride = &residual[0, 0, 0], row_stride(residual)
    job.dy, job.dy_stride, job.dresidual, job.before = to, stride, NULL, before
    job.unit_bytes = job.unit_bytes // 2 * 3
    return 0
