/* Ends what triangles.h and wide_sums.h are written in. */

#undef REAL
#undef N
#undef VEC
#undef LANES
#undef DEPTH
#undef PANEL
#undef READ_VEC
#undef VEC_AT
#undef ADD_UP
