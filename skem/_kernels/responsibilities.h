/* Scores of a block to responsibilities, or to labels, included by tiles.h. */

/* Scores in, weighted responsibilities out, in place: R[k] = w softmax(S)[k], lse = log sum exp S.
 * n_k (K x W) gathers the column sums as vectors. Returns sum w lse.
 *
 * w NULL means weights of one, and lse NULL that nobody asks for it: with both the logarithms of 16 vectors of sums,
 * each between 1 and K, are taken as the one of their product. */
static double T(assign_soft)(double *S, int K, const double *w, int B, double *lse, double *n_k)
{
    V total = ZERO, product = ZERO + 1.0;
    int one_log = w == NULL && lse == NULL;
    for (int b = 0; b < B; b += STEP * W) {
        double *p = S + b;
        V m[STEP], t[STEP], share[STEP];
        EACH_STEP(v) m[v] = AT(p + v * W);
        for (int k = 1; k < K; k++) {
            p += B;
            EACH_STEP(v) m[v] = MAX(AT(p + v * W), m[v]);
        }
        EACH_STEP(v) t[v] = ZERO;
        p = S + b;
        for (int k = 0; k < K; k++, p += B) {
            V e[STEP];
            EACH_STEP(v) e[v] = AT(p + v * W) - m[v];
            T(exp)(e);
            EACH_STEP(v) t[v] += e[v];
            EACH_STEP(v) AT(p + v * W) = e[v];
        }
        if (one_log) {
            EACH_STEP(v) total += m[v];
            EACH_STEP(v) product *= t[v];
            if ((b / W + STEP) % 16 == 0 || b + STEP * W == B) {
                total += T(log)(product);
                product = ZERO + 1.0;
            }
            EACH_STEP(v) share[v] = 1.0 / t[v];
        } else
            EACH_STEP(v) {
                V weight = ZERO + 1.0;
                if (w) weight = CAT(w + b + v * W);
                m[v] += T(log)(t[v]);
                if (lse) AT(lse + b + v * W) = m[v];
                total += weight * m[v];
                share[v] = weight / t[v];
            }
        p = S + b;
        for (int k = 0; k < K; k++, p += B) {
            V sum = ZERO;
            EACH_STEP(v) AT(p + v * W) *= share[v];
            EACH_STEP(v) sum += AT(p + v * W);
            AT(n_k + k * W) += sum;
        }
    }
    return T(lane_sum)((double *)&total);
}

/* The best score of each row and its component (as a double), the first where several tie. */
static void T(best_score)(const double *S, int K, int B, double *best, double *index)
{
    for (int b = 0; b < B; b += W) {
        V top = CAT(S + b), at = ZERO;
        for (int k = 1; k < K; k++) {
            V s = CAT(S + (size_t)k * B + b);
            at = SELECT(s > top, ZERO + (double)k, at);
            top = SELECT(s > top, s, top);
        }
        AT(best + b) = top; AT(index + b) = at;
    }
}
