/* The micro-kernels of a pass (tiles.h), compiled for each instruction set. */
#ifndef SKEM_DISPATCH_H
#define SKEM_DISPATCH_H

#include "tile_set.h"

#define SKEM_TILES "tiles.h"
#include "every_isa.h"

static inline const tile_set *select_tiles(void)
{
#if defined(SKEM_X86_DISPATCH)
    if (simd_level() == 2) return &avx512_tiles;
    if (simd_level() == 1) return &avx2_tiles;
#endif
    return &plain_tiles;
}

#endif
