/* Activations over the whole range of their arguments. */
#ifndef SPK_TESTING_KERNELS_ACTIVATIONS_H
#define SPK_TESTING_KERNELS_ACTIVATIONS_H

#include "../../../src/kernels/table.h"

/* Each of them, as tile_store applies it, to numbers of all sizes. */
void check_activations(spk_store_fn kernel, spk_dtype dtype);
/* An element has the same bits wherever it lies, in all layouts and next to any others. */
void check_places(spk_store_fn kernel, spk_dtype dtype);

#endif
