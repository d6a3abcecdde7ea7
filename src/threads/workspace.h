/* Scratch memory of one call: a shared part, and a part for each worker, aligned to cache lines. */
#ifndef SPK_THREADS_WORKSPACE_H
#define SPK_THREADS_WORKSPACE_H

#include "../common/common.h"

typedef struct spk_block spk_block;

typedef struct spk_workspace {
  spk_block *block; /* the allocation that holds `shared` and `slices` */
  char *shared;
  char *slices;
  size_t per_worker;
} spk_workspace;

/* Take memory, before any output is written; SPK_ERR_MEMORY if there is none.  If both sizes are 0,
 * nothing is taken. */
spk_status spk_workspace_take(spk_workspace *space, size_t shared, size_t per_worker, int workers);
/* Give the memory back.  Up to 16 MiB in the whole process, or 2 MiB for each worker of the
 * call, may be kept for a later call. */
void spk_workspace_free(spk_workspace *space);
/* Free the memory that is kept, and return how many bytes these were. */
size_t spk_workspace_drop(void);

static inline char *spk_workspace_of(const spk_workspace *space, int worker) {
  return space->slices + space->per_worker * (size_t)worker;
}

#endif
