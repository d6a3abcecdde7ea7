/* The predicted cost of whole products, in cycles of one core, from shapes and the machine. */
#ifndef SPK_PLAN_PREDICT_H
#define SPK_PLAN_PREDICT_H

#include "../common/common.h"
#include "../dispatch/dispatch.h"

/* The cost of A times n dense columns.  Only shape, dtype, flags and the number of entries of A are
 * read.  Infinite if A is too sparse for the strategy. */
double spk_predict_cycles(const spk_sparse *A, ptrdiff_t n, spk_strategy strategy,
                          const spk_kernels *kernels, const spk_machine *machine);

#endif
