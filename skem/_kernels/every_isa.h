/* Compiles the header that SKEM_TILES names once for every instruction set that the compiler can target, and tells
 * at run time which of them to use. The header finds
 *   W   vector lanes in doubles (8, 4, 2 or 1)      T(name)  the name with the set's prefix
 *
 * Tables of function pointers, not ifunc: they work with any C library, and SKEM_SIMD=avx512|avx2|plain in the
 * environment can hold the choice down for tests. Compilers without GNU vector types get one lane, plain C.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__GNUC__)
#define ALWAYS_INLINE inline __attribute__((always_inline))
#define PRAGMA(text) _Pragma(#text)
#else
#define PRAGMA(text)
#define ALWAYS_INLINE inline
#endif

#if defined(__GNUC__) && defined(__x86_64__)
#define SKEM_X86_DISPATCH 1
#include "intrinsics.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("arch=x86-64-v4"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4")
#endif
#define W 8
#define T(name) avx512_##name
#include SKEM_TILES
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
#include SKEM_TILES
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
#if defined(SKEM_X86_DISPATCH) && !defined(__clang__)
/* the set that runs anywhere, and so the intrinsics are declared; whatever -march says */
#pragma GCC push_options
#pragma GCC target("arch=x86-64")
#endif
#define T(name) plain_##name
#include SKEM_TILES
#undef W
#undef T
#if defined(SKEM_X86_DISPATCH) && !defined(__clang__)
#pragma GCC pop_options
#endif

#ifndef SKEM_SIMD_LEVEL
#define SKEM_SIMD_LEVEL
/* 2 for AVX-512, 1 for AVX2, 0 for plain: the widest that this processor runs and that SKEM_SIMD allows. */
static inline int simd_level(void)
{
#if defined(SKEM_X86_DISPATCH)
    const char *limit = getenv("SKEM_SIMD");
    int level = limit == NULL || strcmp(limit, "avx512") == 0 ? 2 : strcmp(limit, "avx2") == 0 ? 1 : 0;
    __builtin_cpu_init();
    if (level >= 2 && __builtin_cpu_supports("x86-64-v4")) return 2;
    if (level >= 1 && __builtin_cpu_supports("x86-64-v3")) return 1;
#endif
    return 0;
}
#endif
