/* Feature maps: a block of columns in, a block of features out, included by tiles.h. */

static void T(features)(int map, const double *X, int d, double *F, int B)
{
    size_t area = (size_t)d * B;
    if (map == MAP_LOG_BOTH) {
        for (size_t b = 0; b < area; b += W) {
            /* what rounding took from 1 - x goes back in */
            V x = CAT(X + b), rest = 1.0 - x;
            AT(F + b) = T(log_any)(x);
            AT(F + area + b) = T(log)(rest) - ((rest - 1.0) + x) / rest;
        }
        return;
    }
    memcpy(F, X, area * sizeof(double));
    if (map == MAP_LOG)
        for (size_t b = 0; b < area; b += W) AT(F + area + b) = T(log_any)(CAT(X + b));
    else if (map == MAP_SQUARES)
        for (size_t b = 0; b < area; b += W) AT(F + area + b) = CAT(X + b) * CAT(X + b);
    else if (map == MAP_NORM)
        for (int b = 0; b < B; b += W) {
            V a = ZERO;
            for (int j = 0; j < d; j++) a += CAT(X + (size_t)j * B + b) * CAT(X + (size_t)j * B + b);
            AT(F + area + b) = a;
        }
    else if (map == MAP_PAIRS) {
        double *f = F + area;
        for (int i = 0; i < d; i++)
            for (int j = 0; j <= i; j++, f += B)
                for (int b = 0; b < B; b += W) AT(f + b) = CAT(X + (size_t)i * B + b) * CAT(X + (size_t)j * B + b);
    }
}
