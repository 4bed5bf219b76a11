/* What a pass calls: the table of its micro-kernels. passes.pyx compiles them (dispatch.h), the others take the table
 * from there. */
#ifndef SKEM_TILE_SET_H
#define SKEM_TILE_SET_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tickets.h"

enum { MAP_IDENTITY, MAP_SQUARES, MAP_NORM, MAP_PAIRS, MAP_ONE_HOT, MAP_LOG, MAP_LOG_BOTH };

/* How rows are coded as bytes, see skem.coding.Coding. */
typedef struct {
    int n_bytes, n_entries;
    const int32_t *first;   /* (n_bytes + 1) first entry of each byte's table */
    const int32_t *column;  /* (n_bytes + 1) first column of each byte */
    const int32_t *level;   /* (d + 1) place of each column's first level in the arrays below */
    const int32_t *feature; /* (n_levels) the feature that a level adds to, */
    const double *value;    /* (n_levels) and how much of it */
} coding;

typedef struct {
    int width;
    void (*load)(const double *x, ptrdiff_t row_stride, const double *origin, const double *inv_scale, int rows, int d,
                 int B, double *out);
    void (*load_floats)(const float *x, ptrdiff_t row_stride, const double *origin, const double *inv_scale, int rows,
                        int d, int B, double *out);
    void (*linear_scores)(const double *F, int m, const double *packed, int K, const double *start, double *S, int B);
    void (*full_scores)(const double *X, int d, const double *mean, const double *packed, size_t stride, int K,
                        double *S, int B, double *z);
    void (*diag_scores)(const double *X, int d, const double *mean, const double *factor, int K, double *S, int B);
    double (*assign_soft)(double *S, int K, const double *w, int B, double *lse, double *n_k);
    void (*best_score)(const double *S, int K, int B, double *best, double *index);
    void (*linear_sums)(const double *F, int M, const double *R, int K, double *table, int B);
    void (*member_sums)(const void *x, int is_float, ptrdiff_t row_stride, int d, const int *members, int count,
                     const double *R, int B, double *table, int D);
    void (*full_sums)(const double *X, int d, const double *m, const double *r, double *first, double *second, int B);
    void (*diag_sums)(const double *X, int D, const double *m, const double *r, double *first, double *second, int B);
    void (*wide_sums)(const double *x, int rows, const int *members, int count, int D, const double *m,
                      const double *root, double *y, double *first, double *second);
    void (*features)(int map, const double *X, int d, double *F, int B);
    void (*read_codes)(const double *X, int d, int m, int32_t *codes, int B);
    void (*gather_scores)(const int32_t *codes, int d, const double *packed, int K, const double *start, double *S,
                          int B, double *z);
    void (*gather_sums)(const int32_t *codes, int d, const double *R, int K, double *table, int B, double *z);
    void (*unfold)(const coding *c, const double *weights, int K, int m, double *tables);
    void (*fold)(const coding *c, double *tables, int K, int m, double *sums);
    void (*coded_scores)(const coding *c, const uint8_t *bytes, const double *tables, int K, const double *start,
                         double *S, int B);
    void (*coded_sums)(const coding *c, const uint8_t *bytes, const double *R, int K, double *tables, int B);
    int (*unlog)(const coding *c, const double *logs, const double *start, int K, double *products, double *top);
    double (*coded_soft)(const coding *c, const uint8_t *bytes, const double *products, int K, const double *w,
                         int every, double *tables, double *n_k, int B);
    double (*top_scores)(const coding *c, const double *tables, int K, const double *top);
    double (*lane_sum)(const double *p);
    void (*tail_scores)(double dof, int d, double *Q, double *L, double *S, int B);
    void (*latent_sums)(const double *r, const double *u, const double *L, double *scaled, double *sums, int B);
    int panel_rows;
    void (*load_panel)(const float *x, ptrdiff_t row_stride, const float *origin, const float *inv_scale, int rows, int d,
                       float *panel);
    void (*panel_scores)(const float *panel, int m, const float *packed, int K, const double *start, double *S, int B);
    int (*heavy_rows)(const double *R, int B, int rows, const double *least, int *members, float *weights);
    void (*heavy_sums)(const float *x, ptrdiff_t row_stride, const float *origin, int d, int rows, int K,
                       const int *members, const int *count, const float *weights, int room, double *table, int D,
                       float *z);
    int panel_columns;
    void (*centred_scores)(const float *panels, int d, const float *mean, const float *packed, size_t stride, int K,
                           const double *start, double *S, int B, float *z);
    void (*load_wide)(const float *x, ptrdiff_t row_stride, const float *origin, const float *inv_scale, int rows, int d,
                      float *out);
    void (*float_wide_sums)(const float *x, int rows, const int *members, int count, int D, const float *m,
                            const float *root, float *y, double *first, double *second);
    void (*panel_pairs)(const float *panel, int d, float *features);
    void (*panel_sums)(const float *panels, int m, int M, const double *R, int K, double *table, int B, float *scratch);
    void (*pairs_in_float)(const double *X, int d, const float *packed, int K, const double *start, double *S, int B,
                           float *scratch);
    void (*centred_in_float)(const double *X, int d, const float *mean, const float *packed, size_t stride, int K,
                             const double *start, double *S, int B, float *scratch);
    int (*doubtful_rows)(const double *X, int d, const double *S, int K, double slope, double base, double most, int B,
                         int rows, double *best, double *index, int *doubtful);
} tile_set;

#endif
