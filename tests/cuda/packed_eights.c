/* C = A @ B from panels of 8 rows, as kernels/spmm_panels.h takes them. */
#include "eights.h"

int spk_packed_eights(const spk_sparse *A, ptrdiff_t n, const double *B, double *C);

static void add_record(const spk_eight *panel, uint32_t head, const int64_t *slots,
                       const double *values, ptrdiff_t n, const double *B, double *C) {
  const double *row = B + (ptrdiff_t)(head & ((1u << SPK_EIGHT_COLUMN_BITS) - 1)) * n;
  for (int r = 0; r < SPK_EIGHT; r++) {
    if (!(head >> (SPK_EIGHT_COLUMN_BITS + r) & 1u)) continue;
    for (ptrdiff_t j = 0; j < n; j++) C[(panel->row + r) * n + j] += values[slots[r]] * row[j];
  }
}

/* SPK_ERR_ARGUMENT where what is promised of panels does not hold. */
static int check(const spk_eights *eights, const spk_entries *entries) {
  int64_t entries_found = 0, records = 0;
  for (int64_t i = 0; i < eights->panels; i++) {
    const spk_eight *panel = &eights->panel[i];
    if (i && panel->records > eights->panel[i - 1].records) return SPK_ERR_ARGUMENT;
    if (panel->records % SPK_EIGHT_RECORDS) return SPK_ERR_ARGUMENT;
    records += panel->records;
  }
  for (int64_t i = 0; i < SPK_EIGHT * eights->records; i++) {
    const uint32_t rows = eights->heads[i / SPK_EIGHT] >> SPK_EIGHT_COLUMN_BITS;
    if ((eights->slots[i] >= 0) != (rows >> i % SPK_EIGHT & 1u)) return SPK_ERR_ARGUMENT;
    entries_found += eights->slots[i] >= 0;
  }
  return entries_found == entries->nnz && records == eights->records ? SPK_OK : SPK_ERR_ARGUMENT;
}

int spk_packed_eights(const spk_sparse *A, ptrdiff_t n, const double *B, double *C) {
  spk_entries entries;
  spk_eights eights;
  int status = spk_entries_make(A, &entries);
  if (status != SPK_OK) return status;
  status = spk_eights_make(&entries, &eights);
  if (status == SPK_OK) status = check(&eights, &entries);
  memset(C, 0, (size_t)(A->rows * n) * sizeof *C);
  for (int64_t i = 0; status == SPK_OK && i < eights.panels; i++) {
    const spk_eight *panel = &eights.panel[i];
    for (int64_t j = panel->begin; j < panel->begin + panel->records; j++)
      add_record(panel, eights.heads[j], eights.slots + SPK_EIGHT * j, (const double *)A->values, n,
                 B, C);
  }
  spk_eights_free(&eights);
  spk_entries_free(&entries);
  return status;
}
