/* How many threads pack a matrix, where several callers may pack at once. */
#ifndef SPK_PACK_PACKING_H
#define SPK_PACK_PACKING_H

#include "../threads/parallel.h"

/* Run the tasks of packing nnz entries.  Callers that pack at the same time share the threads,
 * because each caller would start threads of its own otherwise. */
void spk_run_packing(int threads, ptrdiff_t nnz, spk_phase phase, void *context);

#endif
