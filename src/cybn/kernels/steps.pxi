# The four steps of a job on one unit or one (unit, block), by task and by the shape of the view.
# What a gate changes in a loop is a literal from here on: one loop with it, and one without.

cdef leaf prepare(Job *job, Py_ssize_t u) noexcept nogil:
    """Set the coefficients that reduce needs."""
    if job.task == NORMALIZE:
        if job.columns:
            sample_shifts(job, u)
    elif job.task == INFERENCE:
        settle_given(job, u)
        settle_output(job, u)
        doubt_output(job, u)
    else:
        settle_products(job, u)
        if job.sums_given:
            settle_gradient(job, u)


cdef inline void reduce(Job *job, Py_ssize_t u, Py_ssize_t b) noexcept nogil:
    """Sum one block."""
    if job.task == NORMALIZE:
        if job.columns:
            sum_column_moments(job, u, b, job.wide)
        else:
            sum_row_moments(job, u, b)
    elif job.task != INFERENCE and not job.sums_given:
        if job.gating:
            reduce_gated(job, u, b)
        else:
            reduce_open(job, u, b)


cdef leaf reduce_gated(Job *job, Py_ssize_t u, Py_ssize_t b) noexcept nogil:
    sum_products_of(job, u, b, True)


cdef leaf reduce_open(Job *job, Py_ssize_t u, Py_ssize_t b) noexcept nogil:
    sum_products_of(job, u, b, False)


cdef inline always sum_products_of(Job *job, Py_ssize_t u, Py_ssize_t b,
                                   bint gating) noexcept nogil:
    if job.columns:
        sum_column_products(job, u, b, gating)
    else:
        sum_row_products(job, u, b, gating)


cdef leaf finish(Job *job, Py_ssize_t u) noexcept nogil:
    """Merge the blocks of a unit: statistics or gradients, and what apply needs."""
    if job.task == NORMALIZE:
        if job.columns:
            settle_column_moments(job, u)
        else:
            settle_row_moments(job, u)
    elif job.task != INFERENCE and not job.sums_given:
        if job.columns:
            settle_column_products(job, u)
        else:
            settle_row_products(job, u)


cdef inline void apply(Job *job, Py_ssize_t u, Py_ssize_t b) noexcept nogil:
    """Write the output of one block, where an output is wanted."""
    if job.out == NULL:
        return
    if unlikely(job.doubtful[u]):
        if job.columns:
            write_wide_columns(job, u, b)
            return
        write_wide_rows(job, u, b)          # and the others below
    if job.bend != NULL:
        apply_bent(job, u, b)
    elif job.residual != NULL:
        apply_added(job, u, b)
    elif job.gating:
        apply_gated(job, u, b)
    else:
        apply_open(job, u, b)


cdef leaf apply_bent(Job *job, Py_ssize_t u, Py_ssize_t b) noexcept nogil:
    write_output(job, u, b, job.x, job.x_stride, coef_of(job, 0), False, False, True)


cdef leaf apply_added(Job *job, Py_ssize_t u, Py_ssize_t b) noexcept nogil:
    write_output(job, u, b, job.x, job.x_stride, coef_of(job, 0), True, True, False)


cdef leaf apply_gated(Job *job, Py_ssize_t u, Py_ssize_t b) noexcept nogil:
    write_block(job, u, b, True)


cdef leaf apply_open(Job *job, Py_ssize_t u, Py_ssize_t b) noexcept nogil:
    write_block(job, u, b, False)


cdef inline always write_block(Job *job, Py_ssize_t u, Py_ssize_t b, bint gating) noexcept nogil:
    cdef bint past = job.task == GRADIENT_INFERENCE     # dx is a multiple of dy
    cdef const S *x = job.dy if past else job.x
    cdef Py_ssize_t x_stride = job.dy_stride if past else job.x_stride
    cdef const T *coef = coef_of(job, 2 if past else 0)
    if job.task == GRADIENT:
        if job.columns:
            write_column_gradient(job, u, b, gating)
        else:
            write_row_gradient(job, u, b, gating)
    else:
        write_output(job, u, b, x, x_stride, coef, gating, False, False)


cdef inline always write_output(Job *job, Py_ssize_t u, Py_ssize_t b, const S *x,
                                Py_ssize_t x_stride, const T *coef, bint gating, bint adds,
                                bint bending) noexcept nogil:
    if job.columns:
        write_column_normal(job, u, b, x, x_stride, coef, gating, adds, bending)
    else:
        write_row_normal(job, u, b, x, x_stride, coef, gating, adds, bending)
