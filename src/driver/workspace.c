#include "workspace.h"

#include <stdlib.h>

spk_status spk_workspace_take(spk_workspace *space, size_t shared, size_t per_worker, int workers) {
  shared = spk_slice(shared);
  per_worker = spk_slice(per_worker);
  *space = (spk_workspace){.per_worker = per_worker};
  if (shared == 0 && per_worker == 0) return SPK_OK;
  space->shared = aligned_alloc(SPK_ALIGN, shared + per_worker * (size_t)workers);
  if (!space->shared) return SPK_ERR_MEMORY;
  space->slices = space->shared + shared;
  return SPK_OK;
}

void spk_workspace_free(spk_workspace *space) { free(space->shared); }
