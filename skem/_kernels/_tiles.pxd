"""Declarations of the table of vector micro-kernels (tile_set.h)."""

from libc.stdint cimport int32_t, uint8_t

cdef extern from "tile_set.h" nogil:
    enum:
        MAP_IDENTITY
        MAP_SQUARES
        MAP_NORM
        MAP_PAIRS
        MAP_ONE_HOT
        MAP_LOG
        MAP_LOG_BOTH

    ctypedef struct coding:
        int n_bytes, n_entries
        const int32_t *first
        const int32_t *column
        const int32_t *level
        const int32_t *feature
        const double *value

    ctypedef struct tile_set:
        int width
        void (*load)(const double *x, Py_ssize_t row_stride, const double *origin, const double *inv_scale,
                     int rows, int d, int B, double *out) noexcept nogil
        void (*load_floats)(const float *x, Py_ssize_t row_stride, const double *origin, const double *inv_scale,
                            int rows, int d, int B, double *out) noexcept nogil
        void (*linear_scores)(const double *F, int m, const double *packed, int K, const double *start,
                              double *S, int B) noexcept nogil
        void (*full_scores)(const double *X, int d, const double *mean, const double *packed,
                            size_t stride, int K, double *S, int B, double *z) noexcept nogil
        void (*diag_scores)(const double *X, int d, const double *mean, const double *factor,
                            int K, double *S, int B) noexcept nogil
        double (*assign_soft)(double *S, int K, const double *w, int B, double *lse, double *n_k) noexcept nogil
        void (*best_score)(const double *S, int K, int B, double *best, double *index) noexcept nogil
        void (*linear_sums)(const double *F, int M, const double *R, int K, double *table, int B) noexcept nogil
        void (*member_sums)(const void *x, int is_float, Py_ssize_t row_stride, int d, const int *members, int count,
                            const double *R, int B, double *table, int D) noexcept nogil
        void (*full_sums)(const double *X, int d, const double *m, const double *r,
                          double *first, double *second, int B) noexcept nogil
        void (*diag_sums)(const double *X, int D, const double *m, const double *r,
                          double *first, double *second, int B) noexcept nogil
        void (*wide_sums)(const double *x, int rows, const int *members, int count, int D, const double *m,
                          const double *root, double *y, double *first, double *second) noexcept nogil
        void (*features)(int map, const double *X, int d, double *F, int B) noexcept nogil
        void (*read_codes)(const double *X, int d, int m, int32_t *codes, int B) noexcept nogil
        void (*gather_scores)(const int32_t *codes, int d, const double *packed, int K, const double *start,
                              double *S, int B, double *z) noexcept nogil
        void (*gather_sums)(const int32_t *codes, int d, const double *R, int K, double *table, int B,
                            double *z) noexcept nogil
        void (*unfold)(const coding *c, const double *weights, int K, int m, double *tables) noexcept nogil
        void (*fold)(const coding *c, double *tables, int K, int m, double *sums) noexcept nogil
        void (*coded_scores)(const coding *c, const uint8_t *bytes, const double *tables, int K,
                             const double *start, double *S, int B) noexcept nogil
        void (*coded_sums)(const coding *c, const uint8_t *bytes, const double *R, int K, double *tables,
                           int B) noexcept nogil
        int (*unlog)(const coding *c, const double *logs, const double *start, int K, double *products,
                     double *top) noexcept nogil
        double (*coded_soft)(const coding *c, const uint8_t *bytes, const double *products, int K, const double *w,
                             int every, double *tables, double *n_k, int B) noexcept nogil
        double (*top_scores)(const coding *c, const double *tables, int K, const double *top) noexcept nogil
        double (*lane_sum)(const double *p) noexcept nogil
        void (*tail_scores)(double dof, int d, double *Q, double *L, double *S, int B) noexcept nogil
        void (*latent_sums)(const double *r, const double *u, const double *L, double *scaled, double *sums,
                            int B) noexcept nogil
        int panel_rows
        void (*load_panel)(const float *x, Py_ssize_t row_stride, const float *origin, const float *inv_scale,
                           int rows, int d, float *panel) noexcept nogil
        void (*panel_scores)(const float *panel, int m, const float *packed, int K, const double *start, double *S,
                             int B) noexcept nogil
        int (*heavy_rows)(const double *R, int B, int rows, const double *least, int *members,
                          float *weights) noexcept nogil
        void (*heavy_sums)(const float *x, Py_ssize_t row_stride, const float *origin, int d, int rows, int K,
                           const int *members, const int *count, const float *weights, int room, double *table, int D,
                           float *z) noexcept nogil
        int panel_columns
        void (*centred_scores)(const float *panels, int d, const float *mean, const float *packed, size_t stride,
                               int K, const double *start, double *S, int B, float *z) noexcept nogil
        void (*load_wide)(const float *x, Py_ssize_t row_stride, const float *origin, const float *inv_scale,
                          int rows, int d, float *out) noexcept nogil
        void (*float_wide_sums)(const float *x, int rows, const int *members, int count, int D, const float *m,
                                const float *root, float *y, double *first, double *second) noexcept nogil
        void (*panel_pairs)(const float *panel, int d, float *features) noexcept nogil
        void (*panel_sums)(const float *panels, int m, int M, const double *R, int K, double *table, int B,
                           float *scratch) noexcept nogil
        void (*pairs_in_float)(const double *X, int d, const float *packed, int K, const double *start, double *S,
                               int B, float *scratch) noexcept nogil
        void (*centred_in_float)(const double *X, int d, const float *mean, const float *packed, size_t stride, int K,
                                 const double *start, double *S, int B, float *scratch) noexcept nogil
        int (*doubtful_rows)(const double *X, int d, const double *S, int K, double slope, double base, double most,
                             int B, int rows, double *best, double *index, int *doubtful) noexcept nogil

    long take_ticket(volatile long *counter)
    void wait_turn(volatile long *turn, long mine)
    void pass_turn(volatile long *turn)
