/* Checks of the structs that callers hand in, before any array is read. */
#ifndef SPK_API_OPERANDS_H
#define SPK_API_OPERANDS_H

#include "../common.h"

/* Pointers, sizes and enum values of a sparse operand. */
spk_status spk_check_sparse(const spk_sparse *A);
/* The same for a dense one. */
spk_status spk_check_dense(const spk_dense *D);

/* A operand ready to run: checked, and with SPK_SORTED known. */
spk_status spk_ready(spk_sparse *A);

#endif
