"""What the compiled code knows of the machine: the CPU's abilities and the OpenMP runtime."""

cdef extern from *:
    """
    #ifdef _OPENMP
      #include <omp.h>
      #define CYBN_OPENMP _OPENMP
    #else
      #define CYBN_OPENMP 0
      static int omp_get_max_threads(void) { return 1; }
      static void omp_set_num_threads(int n) { (void)n; }
    #endif
    #if defined(__x86_64__) && defined(__GNUC__)
      #include <cpuid.h>
      static int cybn_has_v3(void) {
        unsigned a, b, c, d;
        __builtin_cpu_init();
        if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_F16C)) return 0;
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
            && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
      }
    #else
      static int cybn_has_v3(void) { return 0; }
    #endif
    """
    const int CYBN_OPENMP
    int omp_get_max_threads()
    void omp_set_num_threads(int n)
    int cybn_has_v3()


# What threads have lost by waiting for each other (team.pxi), as time to work on one thread yet. A
# loss by itself is soon paid back, since something came between once; where one follows the other
# the cores are not ours, and each is paid back for twice as long as the one before.
cdef enum:
    LEAST_REPAY = 2             # times what was lost,
    MOST_REPAY = 32             # at the most
    CALM = 16                   # calls of threads without a loss: the next is one by itself
cdef double MOST_DEBT = 1       # seconds
cdef double debt = 0
cdef int repay = LEAST_REPAY
cdef int calm = CALM


def owe(double lost) -> None:
    """Threads have lost so many seconds, beside one thread, by waiting for each other."""
    global debt, repay, calm
    repay = LEAST_REPAY if calm >= CALM else min(2 * repay, <int>MOST_REPAY)
    calm = 0
    debt = min(debt + repay * lost, MOST_DEBT)


def pays(double seconds) -> bool:
    """Is work of so many seconds to be done on one thread? It then counts."""
    global debt, calm
    if debt <= 0:
        calm = min(calm + 1, <int>CALM)
        return False
    debt = max(debt - seconds, 0.0)
    return True


def forgive() -> None:
    """Begin anew: nothing has been lost."""
    global debt, calm
    debt, calm = 0, CALM


def openmp_version() -> int:
    """The date of the OpenMP specification as 201511; 0 where the build has no OpenMP."""
    return CYBN_OPENMP


def openmp_threads() -> int:
    """How many threads OpenMP would use for the calling thread."""
    return omp_get_max_threads()


def set_openmp_threads(int n) -> None:
    omp_set_num_threads(n)


def supports_v3() -> bool:
    """Can this CPU run code for x86-64-v3 (AVX2, FMA, BMI, F16C)?"""
    return cybn_has_v3() != 0
