/* The table of the micro-kernels over CSR rows (csr_rows.h), one for each instruction set. */
#ifndef SKEM_CSR_DISPATCH_H
#define SKEM_CSR_DISPATCH_H

#include "tile_set.h"

typedef struct {
    int width;
    void (*scores)(const double *x, const int32_t *columns, ptrdiff_t n, const double *packed, int KW, double *z);
    void (*sums)(const double *x, const int32_t *columns, ptrdiff_t n, const double *r, int KW, double *table);
} csr_set;

#undef SKEM_TILES
#define SKEM_TILES "csr_rows.h"
#include "every_isa.h"

static const csr_set *select_csr(void)
{
#if defined(SKEM_X86_DISPATCH)
    if (simd_level() == 2) return &avx512_csr;
    if (simd_level() == 1) return &avx2_csr;
#endif
    return &plain_csr;
}

#endif
