/* How many threads a matrix is packed by, where callers pack several at once. */
#ifndef SPK_PACK_PACKING_H
#define SPK_PACK_PACKING_H

#include "../threads/parallel.h"

/* Runs the tasks of packing nnz entries: those who pack at the same time share the threads, as each
 * would start some of its own. */
void spk_run_packing(int threads, ptrdiff_t nnz, spk_phase phase, void *context);

#endif
