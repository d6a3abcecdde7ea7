/* What whole products take, predicted from shapes and the machine: cycles of one core. */
#ifndef SPK_PLAN_PREDICT_H
#define SPK_PLAN_PREDICT_H

#include "../common/common.h"
#include "../dispatch/dispatch.h"

/* A x n dense columns; of A only shape, dtype, flags and number of entries are read.  Infinite
 * where A is too sparse for the strategy. */
double spk_predict_cycles(const spk_sparse *A, ptrdiff_t n, spk_strategy strategy,
                          const spk_kernels *kernels, const spk_machine *machine);

#endif
