/* The kernels of int8, for test_kernels.c. */
#ifndef SPK_TESTING_KERNELS_INT8_H
#define SPK_TESTING_KERNELS_INT8_H

#include "../../src/dispatch/dispatch.h"

void check_quads(spk_quad_fn kernel);
void check_quad_panel(spk_quad_panel_fn kernel);
void check_quad_store(spk_quad_store_fn kernel);
void check_fours(spk_fours_fn kernel);

#endif
