/* Scratch memory of one call: a shared part and a slice per worker, aligned to cache lines. */
#ifndef SPK_THREADS_WORKSPACE_H
#define SPK_THREADS_WORKSPACE_H

#include "../common/common.h"

typedef struct spk_block spk_block;

typedef struct spk_workspace {
  spk_block *block; /* what shared and slices lie in */
  char *shared;
  char *slices;
  size_t per_worker;
} spk_workspace;

/* Nothing is taken where all is 0.  SPK_ERR_MEMORY before any output is written. */
spk_status spk_workspace_take(spk_workspace *space, size_t shared, size_t per_worker, int workers);
/* It may be kept, up to 16 MiB in the whole process, for a call to come. */
void spk_workspace_free(spk_workspace *space);
/* Give back what is kept. */
void spk_workspace_drop(void);

static inline char *spk_workspace_of(const spk_workspace *space, int worker) {
  return space->slices + space->per_worker * (size_t)worker;
}

#endif
