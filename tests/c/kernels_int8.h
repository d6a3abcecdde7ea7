/* The kernels of int8, for test_kernels.c. */
#ifndef SPK_TESTING_KERNELS_INT8_H
#define SPK_TESTING_KERNELS_INT8_H

#include "../../src/dispatch/dispatch.h"

void check_int8_gather4(spk_int8_gather4_fn kernel);
void check_int8_gather4_panel(spk_int8_gather4_panel_fn kernel);
void check_int8_store(spk_int8_store_fn kernel);
void check_int8_block4(spk_int8_block4_fn kernel);

#endif
