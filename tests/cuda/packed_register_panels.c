/* C = A @ B from panels of 8 rows, as kernels/spmm_panels.h takes them. */
#include "register_panels.h"

int spk_packed_register_panels(const spk_sparse *A, ptrdiff_t n, const double *B, double *C);

static void add_record(const spk_register_panel *panel, uint32_t head, const int64_t *slots,
                       const double *values, ptrdiff_t n, const double *B, double *C) {
  const double *row = B + (ptrdiff_t)(head & ((1u << SPK_REGISTER_PANEL_COLUMN_BITS) - 1)) * n;
  for (int r = 0; r < SPK_REGISTER_PANEL_ROWS; r++) {
    if (!(head >> (SPK_REGISTER_PANEL_COLUMN_BITS + r) & 1u)) continue;
    for (ptrdiff_t j = 0; j < n; j++) C[(panel->row + r) * n + j] += values[slots[r]] * row[j];
  }
}

/* SPK_ERR_ARGUMENT where what is promised of panels does not hold. */
static int check(const spk_register_panels *register_panels, const spk_entries *entries) {
  int64_t entries_found = 0, records = 0;
  for (int64_t i = 0; i < register_panels->panels; i++) {
    const spk_register_panel *panel = &register_panels->panel[i];
    if (i && panel->records > register_panels->panel[i - 1].records) return SPK_ERR_ARGUMENT;
    if (panel->records % SPK_REGISTER_PANEL_RECORDS) return SPK_ERR_ARGUMENT;
    records += panel->records;
  }
  for (int64_t i = 0; i < SPK_REGISTER_PANEL_ROWS * register_panels->records; i++) {
    const uint32_t rows =
        register_panels->heads[i / SPK_REGISTER_PANEL_ROWS] >> SPK_REGISTER_PANEL_COLUMN_BITS;
    if ((register_panels->slots[i] >= 0) != (rows >> i % SPK_REGISTER_PANEL_ROWS & 1u))
      return SPK_ERR_ARGUMENT;
    entries_found += register_panels->slots[i] >= 0;
  }
  return entries_found == entries->nnz && records == register_panels->records ? SPK_OK
                                                                              : SPK_ERR_ARGUMENT;
}

int spk_packed_register_panels(const spk_sparse *A, ptrdiff_t n, const double *B, double *C) {
  spk_entries entries;
  spk_register_panels register_panels;
  int status = spk_entries_make(A, &entries);
  if (status != SPK_OK) return status;
  status = spk_register_panels_make(&entries, &register_panels);
  if (status == SPK_OK) status = check(&register_panels, &entries);
  memset(C, 0, (size_t)(A->rows * n) * sizeof *C);
  for (int64_t i = 0; status == SPK_OK && i < register_panels.panels; i++) {
    const spk_register_panel *panel = &register_panels.panel[i];
    for (int64_t j = panel->begin; j < panel->begin + panel->records; j++)
      add_record(panel, register_panels.heads[j],
                 register_panels.slots + SPK_REGISTER_PANEL_ROWS * j, (const double *)A->values, n,
                 B, C);
  }
  spk_register_panels_free(&register_panels);
  spk_entries_free(&entries);
  return status;
}
