# What threads gain by working together, and what they lose by waiting for each other.
#
# A thread that sleeps has to be woken, and one whose core another process has been given comes
# milliseconds late, or stops on its way; the others wait for it and keep their cores busy so. It is
# measured what each thread's share has taken. Shares are alike, and the least of them is what a
# share takes that nothing comes between; that for every thread is what one thread would have taken
# for all of it, and what they took together is a gain or a loss beside it. Gains are kept, up to a
# bound, so that a thread that is woken late now and then is no reason to do without it; what is
# lost beyond them is paid back by calls on one thread (policy.py), so that it never costs a
# multiple of them. Rejected: the time that threads have waited (on an idle machine a call may wait
# half of its time and be quicker than on one thread); the CPU time of each thread, for which the
# system has to be asked, at the price of a small call.

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

cdef enum:
    MOST_SEEN = 16          # shares that are looked at

cdef double MOST_GAIN = 1e-3    # seconds
cdef double gained = 0

cdef struct Team:
    int threads
    double began
    double[MOST_SEEN] took      # by the share


cdef void lose(double seconds) noexcept with gil:
    _machine.owe(seconds)


cdef inline void gather(Team *team, int threads, Py_ssize_t tasks) noexcept nogil:
    """Threads begin to work together. One is not looked at, nor are shares of nothing."""
    team.threads = threads if tasks >= threads else 1
    if team.threads > 1:
        memset(team.took, 0, sizeof(team.took))
        team.began = now()


cdef inline void begin_share(Team *team, Py_ssize_t share) noexcept nogil:
    if team.threads > 1 and share < MOST_SEEN:
        team.took[share] -= now()


cdef inline void end_share(Team *team, Py_ssize_t share) noexcept nogil:
    if team.threads > 1 and share < MOST_SEEN:
        team.took[share] += now()


cdef inline void part_ways(Team *team) noexcept nogil:
    """They have done what there was to do."""
    global gained
    cdef double least
    cdef int i
    if team.threads == 1:
        return
    least = team.took[0]
    for i in range(1, min(team.threads, <int>MOST_SEEN)):
        least = min(least, team.took[i])
    gained = min(gained + team.threads * least - (now() - team.began), MOST_GAIN)
    if gained < 0:
        lose(-gained)
        gained = 0
