/* The vector micro-kernels of a pass in one instruction set, see every_isa.h for W and T.
 *
 * A block holds B rows (a multiple of 4 W) as a struct of arrays: row n of column j stands at X[j * B + n],
 * so that rows lie in vector lanes. S and R are (components x B) in the same way. Every function is pure
 * arithmetic: no allocation, no Python, no branch on data but where said.
 */

#include "vectors.h"
#include "interleave.h"
#include "load_rows.h"
#include "score_tiles.h"
#include "responsibilities.h"
#include "sum_tiles.h"
#include "wide_sums.h"
#include "float_tiles.h"
#include "feature_maps.h"
#include "one_hot.h"
#include "coded.h"

static const tile_set T(tiles) = {
    W, T(load), T(load_floats), T(linear_scores), T(full_scores), T(diag_scores), T(assign_soft), T(best_score),
    T(linear_sums), T(member_sums), T(full_sums), T(diag_sums), T(wide_sums), T(features), T(read_codes),
    T(gather_scores), T(gather_sums), T(unfold), T(fold), T(coded_scores), T(coded_sums), T(unlog), T(coded_soft),
    T(top_scores), T(lane_sum), T(tail_scores), T(latent_sums), T(panel_rows),
    T(load_panel), T(panel_scores), T(heavy_rows), T(heavy_sums), T(panel_columns), T(centred_scores), T(load_wide),
    T(float_wide_sums), T(panel_pairs), T(panel_sums), T(pairs_in_float),
    T(centred_in_float), T(doubtful_rows),
};

#undef READ
#undef V
#undef IV
#undef AT
#undef CAT
#undef ZERO
#undef SELECT
#undef WHERE
#undef MAX
#undef NV
#undef VECTORS
#undef STEP
#undef EACH_STEP
#undef CN
#undef WIDE_ROWS
#undef UNROLL
#undef EACH
#undef AS_BITS
#undef AS_VALUE
