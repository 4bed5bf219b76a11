"""OpenMP where the compiler had it, its one-thread meaning elsewhere."""

cdef extern from *:
    """
    #ifdef _OPENMP
    #include <omp.h>
    #define SKEM_OPENMP 1
    #else
    #define SKEM_OPENMP 0
    static inline int omp_get_max_threads(void) { return 1; }
    static inline int omp_get_num_procs(void) { return 1; }
    #endif
    """
    const int SKEM_OPENMP
    int omp_get_max_threads() nogil
    int omp_get_num_procs() nogil
