/* Compiles tiles.h once for every instruction set that the compiler can target and picks one at run time.
 *
 * A table of function pointers, not ifunc: it works with any C library, and SKEM_SIMD=avx512|avx2|plain in the
 * environment can hold the choice down for tests. Compilers without GNU vector types get one lane, plain C.
 */
#ifndef SKEM_DISPATCH_H
#define SKEM_DISPATCH_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MAP_IDENTITY, MAP_SQUARES, MAP_NORM, MAP_PAIRS };

typedef struct {
    int width;
    void (*load)(const double *x, ptrdiff_t row_stride, const double *origin, const double *inv_scale, int rows, int d,
                 int B, double *out);
    void (*linear_scores)(const double *F, int m, const double *packed, int K, double *S, int B);
    void (*full_scores)(const double *X, int d, const double *mean, const double *packed, size_t stride, int K,
                        double *S, int B, double *z);
    void (*diag_scores)(const double *X, int d, const double *mean, const double *factor, int K, double *S, int B);
    double (*assign_soft)(double *S, int K, const double *w, int B, double *lse, double *n_k);
    void (*best_score)(const double *S, int K, int B, double *best, double *index);
    void (*linear_sums)(const double *F, int M, const double *R, int K, double *table, int B);
    void (*centre)(const double *X, int d, const double *m, const double *r, int B, double *z, double *rz);
    void (*first_sums)(const double *rz, int D, double *first, int B);
    void (*full_sums)(const double *z, const double *rz, int D, double *second, int B);
    void (*diag_sums)(const double *z, const double *rz, int D, double *second, int B);
    void (*wide_sums)(const double *x, int rows, int D, const double *m, const double *r, double *z, double *rz,
                      double *first, double *second);
    void (*features)(int map, const double *X, int d, double *F, int B);
    double (*lane_sum)(const double *p);
} tile_set;

#if defined(__GNUC__)
#define ALWAYS_INLINE inline __attribute__((always_inline))
#else
#define ALWAYS_INLINE inline
#endif

#if defined(__GNUC__) && defined(__x86_64__)
#define SKEM_X86_DISPATCH 1

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("arch=x86-64-v4"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4")
#endif
#define W 8
#define T(name) avx512_##name
#include "tiles.h"
#undef W
#undef T
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("arch=x86-64-v3"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
#endif
#define W 4
#define T(name) avx2_##name
#include "tiles.h"
#undef W
#undef T
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

#if defined(__GNUC__)
#define W 2
#else
#define W 1
#endif
#define T(name) plain_##name
#include "tiles.h"
#undef W
#undef T

/* The widest set that this processor runs and that SKEM_SIMD allows. */
static const tile_set *select_tiles(void)
{
#if defined(SKEM_X86_DISPATCH)
    const char *limit = getenv("SKEM_SIMD");
    int level = limit == NULL || strcmp(limit, "avx512") == 0 ? 2 : strcmp(limit, "avx2") == 0 ? 1 : 0;
    __builtin_cpu_init();
    if (level >= 2 && __builtin_cpu_supports("x86-64-v4")) return &avx512_tiles;
    if (level >= 1 && __builtin_cpu_supports("x86-64-v3")) return &avx2_tiles;
#endif
    return &plain_tiles;
}

/* A ticket counter shared by the threads of a pass: chunks are taken, and later committed, in their order. */
#if defined(_MSC_VER)
#include <intrin.h>
static __inline long take_ticket(volatile long *counter) { return _InterlockedExchangeAdd(counter, 1); }
static __inline void wait_turn(volatile long *turn, long mine) { while (*turn != mine) _mm_pause(); }
static __inline void pass_turn(volatile long *turn) { _InterlockedExchangeAdd(turn, 1); }
#else
#include <sched.h>
static inline long take_ticket(volatile long *counter) { return __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED); }
static inline void wait_turn(volatile long *turn, long mine)
{
    for (int spins = 0; __atomic_load_n(turn, __ATOMIC_ACQUIRE) != mine; spins++)
        if (spins > 1000) sched_yield();
}
static inline void pass_turn(volatile long *turn) { __atomic_fetch_add(turn, 1, __ATOMIC_RELEASE); }
#endif

#endif
