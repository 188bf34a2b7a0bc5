# The work of a kernel as a grid of units (channels, or tiles of channels) by blocks (pieces of what
# is averaged over), and the one place that walks the grid with threads.
#
# A kernel fills in a Job: the geometry and four steps. What a step computes for a (unit, block) is
# fixed by the shape alone and goes to a place of its own; finish merges the blocks of a unit in
# their order. Threads and walking order therefore never change a bit of the result, and are free to
# follow the memory:
#
# - by units, where a unit fits in cache: a unit is applied right after it was reduced, so memory
#   is read once. While it is written, the next one is asked for (see primitives.pxd), so that the
#   memory bus is not idle. Alternating the reduction of the next unit with the application of this
#   one, block by block, was measured slower: both then want the same cache.
# - by blocks, where units are too few or too large: all reductions, then all applications, each
#   spread evenly over the threads. Memory is read twice. Columns are then walked in the order of
#   memory, in wide units and line by line, and written from the end on (columns.pxi).
#
# Rejected: one OpenMP loop per step with a critical section to merge (order depends on timing);
# atomics (the same); a task runtime (cost per task, and nothing to gain: blocks are alike).

cdef void walk_units(Job *job, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    cdef Py_ssize_t u, b
    for u in range(start, stop):
        if job.before != NULL:
            prepare(job.before, u)
            for b in range(job.blocks):
                apply(job.before, u, b)
        prepare(job, u)
        for b in range(job.blocks):
            reduce(job, u, b)
        finish(job, u)
        for b in range(job.blocks):
            apply(job, u, b)
    if job.stream:
        stream_fence()


cdef void reduce_blocks(Job *job, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(start, stop):
        reduce(job, unit_at(job, i), block_at(job, i))


cdef void apply_blocks(Job *job, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    cdef Py_ssize_t i, at
    for i in range(start, stop):
        at = start + stop - 1 - i if job.back else i
        apply(job, unit_at(job, at), block_at(job, at))
    if job.stream:
        stream_fence()


# The i-th place of the grid in the order of memory: rows, in each the units, in each its pieces.

cdef inline Py_ssize_t unit_at(Job *job, Py_ssize_t i) noexcept nogil:
    return i // job.pieces % job.units


cdef inline Py_ssize_t block_at(Job *job, Py_ssize_t i) noexcept nogil:
    return i // (job.pieces * job.units) * job.pieces + i % job.pieces


cdef void prepare_units(Job *job, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    cdef Py_ssize_t u
    for u in range(start, stop):
        prepare(job, u)


cdef void finish_units(Job *job, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    cdef Py_ssize_t u
    for u in range(start, stop):
        finish(job, u)


cdef void run_by_units(Job *job, int threads) noexcept nogil:
    cdef Py_ssize_t t, units = job.units
    cdef Team team
    gather(&team, threads, units)
    for t in prange(threads, num_threads=threads, schedule="static", chunksize=1):
        begin_share(&team, t)
        walk_units(job, units * t // threads, units * (t + 1) // threads)
        end_share(&team, t)
    part_ways(&team)


cdef void run_by_blocks(Job *job, int threads) noexcept nogil:
    cdef Py_ssize_t t, units = job.units, total = job.units * job.blocks
    cdef Team team
    if job.before != NULL:
        run_by_blocks(job.before, threads)
    gather(&team, threads, total)
    for t in prange(threads, num_threads=threads, schedule="static", chunksize=1):
        begin_share(&team, t)
        prepare_units(job, units * t // threads, units * (t + 1) // threads)
        end_share(&team, t)
    if job.task != INFERENCE:
        for t in prange(threads, num_threads=threads, schedule="static", chunksize=1):
            begin_share(&team, t)
            reduce_blocks(job, total * t // threads, total * (t + 1) // threads)
            end_share(&team, t)
        for t in prange(threads, num_threads=threads, schedule="static", chunksize=1):
            begin_share(&team, t)
            finish_units(job, units * t // threads, units * (t + 1) // threads)
            end_share(&team, t)
    for t in prange(threads, num_threads=threads, schedule="static", chunksize=1):
        begin_share(&team, t)
        apply_blocks(job, total * t // threads, total * (t + 1) // threads)
        end_share(&team, t)
    part_ways(&team)


cdef inline void skip_channels(Job *job, Py_ssize_t n) noexcept nogil:
    """Move what lies on channels n channels on."""
    cdef Py_ssize_t items = n * job.L
    job.x = job.x + items
    if job.out != NULL:
        job.out = job.out + items
    if job.dy != NULL:
        job.dy = job.dy + items
    if job.residual != NULL:
        job.residual = job.residual + items
    if job.y != NULL:
        job.y = job.y + items
    if job.dresidual != NULL:
        job.dresidual = job.dresidual + items
    if job.given != NULL:
        job.given = job.given + items
    job.mean, job.var, job.rstd = job.mean + n, job.var + n, job.rstd + n
    job.weight, job.bias = job.weight + n, job.bias + n
    job.dweight, job.dbias = job.dweight + n, job.dbias + n
    if job.shift != NULL:
        job.shift, job.total, job.squares = job.shift + n, job.total + n, job.squares + n


cdef void run(Job *job, int threads, Py_ssize_t cache) noexcept nogil:
    """All of a job, part by part. No sum mixes channels, so parts change no bit."""
    cdef Job part, before
    cdef Py_ssize_t i
    for i in range(ceil_div(job.C, job.part)):
        part = job[0]
        take_part(&part, i * job.part)
        if job.before != NULL:
            before = job.before[0]
            take_part(&before, i * job.part)
            part.before = &before
        run_part(&part, threads, cache)


cdef void take_part(Job *job, Py_ssize_t first) noexcept nogil:
    """The channels from the first on, as many as there is scratch for."""
    if job.part < job.C:
        job.C = min(job.part, job.C - first)
        job.tile = min(job.tile, job.C)
        job.units = ceil_div(job.C, job.tile)
        job.width = job.C * job.each
        skip_channels(job, first)


cdef inline bint fits(Job *job, Py_ssize_t cache, int threads) noexcept nogil:
    """Is a unit to be written right after it was summed, from a cache?

    Columns of more than the second level holds are not if the last level holds all of them: the
    second look is no quicker then, and lines that are read whole are.
    """
    if job.task == INFERENCE or job.unit_bytes > cache:
        return False
    return not job.columns or job.unit_bytes <= UNIT_BYTES or (
        all_bytes(job) > L3_SHARES * threads * cache)


cdef void run_part(Job *job, int threads, Py_ssize_t cache) noexcept nogil:
    """cache: bytes a thread may count on to find again what it has just read."""
    cdef bint near = fits(job, cache, threads)
    cdef bint even = job.units % threads == 0 or job.units >= 8 * threads
    cdef Py_ssize_t total
    if job.columns and job.task != INFERENCE and not (near and even):
        near = False
        read_straight_on(job)
        if job.before != NULL:
            read_straight_on(job.before)
    if not near or job.units == 1:      # no other unit is wanted next, but what follows in memory
        job.ahead = line_ahead(job) if job.columns else STRIDE_AHEAD
    total = job.units * job.blocks
    if threads > 1:
        if near and even:
            run_by_units(job, threads)
        else:
            run_by_blocks(job, threads)
    elif near:
        walk_units(job, 0, job.units)
    else:
        if job.before != NULL:
            prepare_units(job.before, 0, job.units)
            apply_blocks(job.before, 0, total)
        prepare_units(job, 0, job.units)
        reduce_blocks(job, 0, total)
        finish_units(job, 0, job.units)
        apply_blocks(job, 0, total)
