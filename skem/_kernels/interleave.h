/* Exchanges of lanes between vectors, by the number of lanes (a macro such as W, or a number). */
#ifndef SKEM_INTERLEAVE_H
#define SKEM_INTERLEAVE_H

#define SKEM_PASTE(name, lanes) name##lanes
#define SKEM_NAME(name, lanes) SKEM_PASTE(name, lanes)

/* The even (LOW) or odd (HIGH) groups of 1, 2 or 4 lanes of two vectors, in turn. */
#define LOW1(lanes, a, b) SKEM_NAME(LOW1_, lanes)(a, b)
#define HIGH1(lanes, a, b) SKEM_NAME(HIGH1_, lanes)(a, b)
#define LOW2(lanes, a, b) SKEM_NAME(LOW2_, lanes)(a, b)
#define HIGH2(lanes, a, b) SKEM_NAME(HIGH2_, lanes)(a, b)
#define LOW4(lanes, a, b) SKEM_NAME(LOW4_, lanes)(a, b)
#define HIGH4(lanes, a, b) SKEM_NAME(HIGH4_, lanes)(a, b)
#define LOW1_2(a, b) __builtin_shufflevector(a, b, 0, 2)
#define HIGH1_2(a, b) __builtin_shufflevector(a, b, 1, 3)
#define LOW1_4(a, b) __builtin_shufflevector(a, b, 0, 4, 2, 6)
#define HIGH1_4(a, b) __builtin_shufflevector(a, b, 1, 5, 3, 7)
#define LOW2_4(a, b) __builtin_shufflevector(a, b, 0, 1, 4, 5)
#define HIGH2_4(a, b) __builtin_shufflevector(a, b, 2, 3, 6, 7)
#define LOW1_8(a, b) __builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14)
#define HIGH1_8(a, b) __builtin_shufflevector(a, b, 1, 9, 3, 11, 5, 13, 7, 15)
#define LOW2_8(a, b) __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define HIGH2_8(a, b) __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15)
#define LOW4_8(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11)
#define HIGH4_8(a, b) __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15)

#define SKEM_EXCHANGE(vector, lanes, step, r)                                                                         \
    PRAGMA(GCC unroll 8) for (int i = 0; i < lanes; i++)                                                              \
        if (!(i & step)) {                                                                                            \
            vector a = LOW##step##_##lanes(r[i], r[i + step]);                                                        \
            r[i + step] = HIGH##step##_##lanes(r[i], r[i + step]);                                                    \
            r[i] = a;                                                                                                 \
        }

/* `lanes` vectors r, rows for columns. */
#define TRANSPOSE(lanes, vector, r) SKEM_NAME(TRANSPOSE_, lanes)(vector, r)
#define TRANSPOSE_1(vector, r)
#define TRANSPOSE_2(vector, r) SKEM_EXCHANGE(vector, 2, 1, r)
#define TRANSPOSE_4(vector, r) SKEM_EXCHANGE(vector, 4, 1, r) SKEM_EXCHANGE(vector, 4, 2, r)
#define TRANSPOSE_8(vector, r)                                                                                        \
    SKEM_EXCHANGE(vector, 8, 1, r) SKEM_EXCHANGE(vector, 8, 2, r) SKEM_EXCHANGE(vector, 8, 4, r)

#endif
