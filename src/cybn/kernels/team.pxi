# What threads wait for each other.
#
# A thread that sleeps has to be woken, and one whose core another process has been given comes
# milliseconds late; the others wait for it and keep their cores busy with that. Each time that
# threads work together is therefore measured, as `took` against what they worked of it, `busy`; the
# wait is paid back by calls on one thread (policy.py), so that it never costs a multiple of them.

cdef extern from *:
    """
    #ifdef _OPENMP
      #include <omp.h>
      #define cybn_now() omp_get_wtime()
    #else
      #define cybn_now() 0.0
    #endif
    """
    double now "cybn_now"() noexcept nogil     # seconds

cdef double MOST_WAIT = 0.35                # of the time that the threads were together


cdef void owe(double seconds) noexcept with gil:
    _machine.owe(seconds)


cdef inline void settle_wait(double began, double busy, int threads) noexcept nogil:
    """busy: what the threads have worked since `began`, all together."""
    cdef double took = now() - began, waited = took - busy / threads
    if threads > 1 and waited > MOST_WAIT * took:
        owe(waited)
