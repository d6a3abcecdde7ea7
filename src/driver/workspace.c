#include "workspace.h"

#include <stdlib.h>

spk_status spk_workspace_take(spk_workspace *space, size_t per_worker, int workers) {
  space->memory = NULL;
  space->per_worker = spk_slice(per_worker);
  if (per_worker == 0) return SPK_OK;
  space->memory = aligned_alloc(SPK_ALIGN, space->per_worker * (size_t)workers);
  return space->memory ? SPK_OK : SPK_ERR_MEMORY;
}

void spk_workspace_free(spk_workspace *space) {
  free(space->memory);
  space->memory = NULL;
}
