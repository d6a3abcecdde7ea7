/* spk_column_runs: what attention and sampled products know of a structure. */
#include "../pack/column_runs.h"

#include "operands.h"

ptrdiff_t spk_column_runs_nnz(const spk_column_runs *column_runs) {
  return column_runs ? column_runs->nnz : 0;
}

size_t spk_column_runs_bytes(const spk_column_runs *column_runs) {
  return column_runs ? column_runs->bytes : 0;
}

spk_status spk_column_runs_make(const spk_sparse *P, int threads, spk_column_runs **made) {
  if (!P || !made) return SPK_ERR_ARGUMENT;
  spk_sparse canonical = *P;
  canonical.values = P->indices; /* not read, and may be missing */
  spk_status status = spk_check_sparse(&canonical);
  if (status != SPK_OK) return status;
  if (P->format != SPK_CSR) return SPK_ERR_ARGUMENT;
  status = spk_validate(&canonical, 1, threads);
  if (status != SPK_OK) return status;
  if (!(canonical.flags & SPK_SORTED)) return SPK_ERR_ARGUMENT;
  return spk_column_runs_pack(&canonical, threads, made);
}

spk_status spk_column_runs_from(const spk_runs *R, int threads, spk_column_runs **made) {
  if (!R || !made || R->rows < 0 || R->cols < 0 || !R->offsets) return SPK_ERR_ARGUMENT;
  if (R->rows >= PTRDIFF_MAX / (ptrdiff_t)sizeof *R->offsets) return SPK_ERR_ARGUMENT;
  return spk_column_runs_pack_runs(R, threads, made);
}

void spk_column_runs_free(spk_column_runs *column_runs) { spk_column_runs_discard(column_runs); }
