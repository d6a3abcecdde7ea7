#include "workspace.h"

#include <stdatomic.h>
#include <stdlib.h>

/* The most bytes of the one block that is kept for the next call.  A megabyte that is taken and
 * freed at every call may be mapped and unmapped each time, depending on the state of the heap:
 * bcsstk13 with 128 columns on two threads took 1.1 to 1.3 ms in half of all processes, and 0.2 in
 * the others (doc/decisions/threads.rst, decision-kept-workspace). */
#define MAX_KEPT ((size_t)1 << 24)
/* The same for each worker of the call, if that is more.  Mapping the workspace of 128 workers anew
 * took 1.9 milliseconds at each call, and each worker 0.07 for the faults of its part, beside tasks
 * of 0.005 (doc/decisions/threads.rst, decision-kept-per-worker). */
#define MAX_KEPT_EACH ((size_t)1 << 21)

static _Atomic(spk_block *) kept;

struct spk_block {
  size_t bytes; /* usable bytes behind the cache line that this struct lies in */
  size_t most;  /* the block is kept if it has no more bytes; a call of more workers raises it */
};

static spk_block *find_block(size_t bytes) {
  spk_block *block = atomic_exchange(&kept, NULL);
  if (block && block->bytes >= bytes) return block;
  free(block);
  block = aligned_alloc(SPK_ALIGN, SPK_ALIGN + bytes);
  if (block) *block = (spk_block){.bytes = bytes, .most = MAX_KEPT};
  return block;
}

spk_status spk_workspace_take(spk_workspace *space, size_t shared, size_t per_worker, int workers) {
  shared = spk_aligned_size(shared);
  per_worker = spk_aligned_size(per_worker);
  *space = (spk_workspace){.per_worker = per_worker};
  if (shared == 0 && per_worker == 0) return SPK_OK;
  const size_t most = PTRDIFF_MAX - SPK_ALIGN;
  if (shared > most || per_worker > (most - shared) / (size_t)spk_max(1, workers))
    return SPK_ERR_MEMORY;
  space->block = find_block(shared + per_worker * (size_t)spk_max(1, workers));
  if (!space->block) return SPK_ERR_MEMORY;
  const size_t each = MAX_KEPT_EACH * (size_t)spk_max(1, workers);
  if (space->block->most < each) space->block->most = each;
  space->shared = (char *)space->block + SPK_ALIGN;
  space->slices = space->shared + shared;
  return SPK_OK;
}

void spk_workspace_free(spk_workspace *space) {
  spk_block *block = space->block;
  if (!block) return;
  free(block->bytes <= block->most ? atomic_exchange(&kept, block) : block);
}

size_t spk_workspace_drop(void) {
  spk_block *block = atomic_exchange(&kept, NULL);
  const size_t bytes = block ? block->bytes : 0;
  free(block);
  return bytes;
}
