/* Scores of a block: S[k] += ..., included by tiles.h. */

/* One tile of the scores of four components. */
static ALWAYS_INLINE void T(score_tile)(const int vectors, const double *f, int m, const double *w, const double *start,
                                        double *s, int B)
{
    V a[4][NV];
    UNROLL for (int c = 0; c < 4; c++)
        EACH(v) {
            if (start) a[c][v] = ZERO + start[c];
            else a[c][v] = AT(s + c * B + v * W);
        }
    for (int i = 0; i < m; i++, f += B, w += 4)
        UNROLL for (int c = 0; c < 4; c++)
            EACH(v) a[c][v] += w[c] * CAT(f + v * W);
    UNROLL for (int c = 0; c < 4; c++)
        EACH(v) AT(s + c * B + v * W) = a[c][v];
}

/* S[k] = (start[k], or S[k] where start is NULL) + sum_i weights[k, i] F[i]; weights packed as (K / 4, m, 4), F is
 * (m x B). */
static void T(linear_scores)(const double *F, int m, const double *packed, int K, const double *start, double *S,
                             int B)
{
    for (int b = 0, n = 0; b < B; b += n * W) {
        n = VECTORS((B - b) / W);
        for (int k = 0; k < K; k += 4) {
            const double *w = packed + (size_t)k * m, *from = start ? start + k : NULL;
            double *s = S + (size_t)k * B + b;
            if (n == NV) T(score_tile)(NV, F + b, m, w, from, s, B);
            else T(score_tile)(2, F + b, m, w, from, s, B);
        }
    }
}

#include "triangles.h"

/* S[k] -= |F_k (x - m_k)|^2 / 2, the difference formed first. The lower-triangular F_k is packed by
 * groups of four rows: for each group g the columns 0 .. min(4 g + 4, d) - 1, four numbers a column.
 * stride is the packed length, or 0 where the components share one factor. z: scratch (d x 4 W). */
static void T(full_scores)(const double *X, int d, const double *mean, const double *packed, size_t stride,
                           int K, double *S, int B, double *z)
{
    for (int b = 0, n = 0; b < B; b += n * W) {
        n = VECTORS((B - b) / W);
        for (int k = 0; k < K; k++) {
            const double *m = mean + (size_t)k * d, *f = packed + (size_t)k * stride;
            double *s = S + (size_t)k * B + b;
            if (n == NV) N(full_tile)(NV, X + b, B, d, m, f, s, z);
            else N(full_tile)(2, X + b, B, d, m, f, s, z);
        }
    }
}

/* S[k] -= sum_j (f_kj (x_j - m_kj))^2 / 2; factor is (K x d). */
static void T(diag_scores)(const double *X, int d, const double *mean, const double *factor, int K, double *S, int B)
{
    for (int b = 0; b < B; b += 4 * W)
        for (int k = 0; k < K; k++) {
            const double *x = X + b, *m = mean + (size_t)k * d, *f = factor + (size_t)k * d;
            V q[4];
            UNROLL for (int v = 0; v < 4; v++) q[v] = ZERO;
            for (int j = 0; j < d; j++, x += B)
                UNROLL for (int v = 0; v < 4; v++) {
                    V y = (CAT(x + v * W) - m[j]) * f[j];
                    q[v] += y * y;
                }
            double *s = S + (size_t)k * B + b;
            UNROLL for (int v = 0; v < 4; v++) AT(s + v * W) -= 0.5 * q[v];
        }
}

/* Student-t tails of one component, in place: Q holds -q / 2 and becomes u = (nu + d) / (nu + q), L becomes
 * log(1 + q / nu) and S -= (nu + d) / 2 L. Without tails (nu = inf) u is 1, S += -q / 2, and L becomes (q - 2 d) q / 4,
 * the part of the slope of the log density in 1 / nu that depends on the row. A distance whose square overflows counts
 * as the largest whose square does not. */
static void T(tail_scores)(double dof, int d, double *Q, double *L, double *S, int B)
{
    if (dof > 1.7e308) {
        for (int b = 0; b < B; b += W) {
            V q = MAX(CAT(Q + b), ZERO - 1e290);
            AT(S + b) += q;
            AT(L + b) = (q + d) * q;
            AT(Q + b) = ZERO + 1.0;
        }
        return;
    }
    double rate = -2.0 / dof, top = (dof + d) / dof, power = -0.5 * (dof + d);
    for (int b = 0; b < B; b += STEP * W) {
        V z[STEP], y[STEP], inverse[STEP];
        EACH_STEP(v) z[v] = MAX(CAT(Q + b + v * W), ZERO - 1e290) * rate;
        EACH_STEP(v) y[v] = z[v] + 1.0;
        EACH_STEP(v) inverse[v] = 1.0 / y[v];
        EACH_STEP(v) AT(Q + b + v * W) = inverse[v] * top;
        /* what the sum has lost of z */
        EACH_STEP(v) z[v] = (z[v] - (y[v] - 1.0)) * inverse[v];
        EACH_STEP(v) y[v] = T(log)(y[v]) + z[v];
        EACH_STEP(v) AT(L + b + v * W) = y[v];
        EACH_STEP(v) AT(S + b + v * W) += y[v] * power;
    }
}
