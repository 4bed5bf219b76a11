/* The intrinsics of x86, declared for the least processor: GCC, told -march=native, would not inline them into functions
 * of a set that has less than the native processor. */
#ifndef SKEM_INTRINSICS_H
#define SKEM_INTRINSICS_H

#if defined(__GNUC__) && defined(__x86_64__)
#if defined(__clang__)
#include <immintrin.h>
#else
#pragma GCC push_options
#pragma GCC target("arch=x86-64")
#include <immintrin.h>
#pragma GCC pop_options
#endif
#endif

#endif
