# The four steps of a job on one unit or one (unit, block), by task and by the shape of the view.

cdef inline void prepare(Job *job, Py_ssize_t u, T kind) noexcept nogil:
    """Set the coefficients that reduce needs."""
    if job.task == NORMALIZE:
        if job.columns:
            sample_shifts(job, u, kind)
    elif job.task == INFERENCE:
        settle_given(job, u, kind)
        settle_output(job, u, kind)
        doubt_output(job, u, kind)
    else:
        settle_products(job, u, kind)


cdef inline void reduce(Job *job, Py_ssize_t u, Py_ssize_t b, T kind) noexcept nogil:
    """Sum one block."""
    if job.task == NORMALIZE:
        if job.columns:
            sum_column_moments(job, u, b, job.wide, kind)
        else:
            sum_row_moments(job, u, b, kind)
    elif job.task != INFERENCE:
        if job.columns:
            sum_column_products(job, u, b, kind)
        else:
            sum_row_products(job, u, b, kind)


cdef inline void finish(Job *job, Py_ssize_t u, T kind) noexcept nogil:
    """Merge the blocks of a unit: statistics or gradients, and what apply needs."""
    if job.task == NORMALIZE:
        if job.columns:
            settle_column_moments(job, u, kind)
        else:
            settle_row_moments(job, u, kind)
    elif job.task != INFERENCE:
        if job.columns:
            settle_column_products(job, u, kind)
        else:
            settle_row_products(job, u, kind)


cdef inline void apply(Job *job, Py_ssize_t u, Py_ssize_t b, T kind) noexcept nogil:
    """Write the output of one block, where an output is wanted."""
    cdef const T *coef = coef_of(job, 0, kind)
    cdef const T *x = <const T *>job.x
    cdef Py_ssize_t stride = job.x_stride
    if job.out == NULL:
        return
    if unlikely(job.doubtful[u]):
        if job.columns:
            write_wide_columns(job, u, b, kind)
            return
        write_wide_rows(job, u, b, kind)        # and the others below
    if job.task == GRADIENT:
        if job.columns:
            apply_column_gradient(job, u, b, kind)
        else:
            apply_row_gradient(job, u, b, kind)
        return
    if job.task == GRADIENT_INFERENCE:
        x = <const T *>job.dy
        stride = job.dy_stride
        coef = coef_of(job, 2, kind)
    if job.columns:
        apply_column_normal(job, u, b, x, stride, coef)
    else:
        apply_row_normal(job, u, b, x, stride, coef)
