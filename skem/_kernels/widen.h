/* Vectors of floats as doubles, by the number of lanes: of a conversion in general GCC 12 makes four instructions. */
#ifndef SKEM_WIDEN_H
#define SKEM_WIDEN_H

#include "interleave.h"
#include "intrinsics.h"

#define AS_DOUBLES(lanes, vector, a) SKEM_NAME(AS_DOUBLES_, lanes)(vector, a)
#define AS_DOUBLES_2(vector, a) __builtin_convertvector(a, vector)
#define AS_DOUBLES_4(vector, a) ((vector)_mm256_cvtps_pd((__m128)(a)))
#define AS_DOUBLES_8(vector, a) ((vector)_mm512_cvtps_pd((__m256)(a)))

#endif
