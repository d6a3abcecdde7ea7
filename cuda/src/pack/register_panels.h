/* Panels of 8 rows: the columns that any of the rows has, and which rows have each column.
 *
 * A kernel that multiplies a panel loads a row of B once for all rows that need it.  A record is a
 * column, a bit per row, and 8 values, which are zeros for rows without an entry.  Kernels test the
 * bits and never multiply these zeros.  If a row has a column twice, there are two records of the
 * column.  Records ascend by column, so that panels that run at the same time read the same rows of
 * B at about the same time.  (Register blocking of rows: Wilkinson, Cheshmi and Mehri Dehnavi,
 * "Register tiling for unstructured sparsity in neural network inference", PLDI 2023.) */
#ifndef SPK_PACK_REGISTER_PANELS_H
#define SPK_PACK_REGISTER_PANELS_H

#include "entries.h"

#define SPK_REGISTER_PANEL_ROWS 8
/* The number of records of a panel is a multiple of this.  Records of padding have no row. */
#define SPK_REGISTER_PANEL_RECORDS 8
/* A record's head: the column below, the rows above. */
#define SPK_REGISTER_PANEL_COLUMN_BITS 24

typedef struct spk_register_panel {
  int64_t begin; /* its first record */
  int64_t row;   /* its first row */
  int32_t records;
  int32_t rows;
} spk_register_panel;

typedef struct spk_register_panels {
  int64_t panels, records;
  spk_register_panel *panel; /* panels with the most records come first */
  uint32_t *heads;
  int64_t *slots; /* 8 per record */
} spk_register_panels;

static inline void spk_register_panels_free(spk_register_panels *register_panels) {
  free(register_panels->panel);
  free(register_panels->heads);
  free(register_panels->slots);
  memset(register_panels, 0, sizeof *register_panels);
}

/* Find the next record of the rows whose next entries are at[0...rows - 1]: its head, and, if
 * `slots` is not NULL, its slots.  Returns 0 if there is none. */
static inline int spk_register_panel_next(const spk_entries *A, int64_t row, int rows, int64_t *at,
                                          uint32_t *head, int64_t *slots) {
  int32_t column = INT32_MAX;
  uint32_t mask = 0;
  for (int r = 0; r < rows; r++) {
    if (at[r] >= A->offsets[row + r + 1]) continue;
    const int32_t next = A->columns[at[r]];
    if (next < column) {
      column = next;
      mask = 0;
    }
    if (next == column) mask |= 1u << r;
  }
  if (!mask) return 0;
  *head = (uint32_t)column | mask << SPK_REGISTER_PANEL_COLUMN_BITS;
  for (int r = 0; r < SPK_REGISTER_PANEL_ROWS; r++) {
    const int64_t slot = mask >> r & 1u ? A->slots[at[r]++] : -1;
    if (slots) slots[r] = slot;
  }
  return 1;
}

/* Walk a panel and return the number of its records.  `heads` and `slots` are written unless they
 * are NULL. */
static inline int64_t spk_register_panel_walk(const spk_entries *A, const spk_register_panel *panel,
                                              uint32_t *heads, int64_t *slots) {
  int64_t at[SPK_REGISTER_PANEL_ROWS], count = 0;
  uint32_t head;
  for (int r = 0; r < panel->rows; r++) at[r] = A->offsets[panel->row + r];
  while (spk_register_panel_next(A, panel->row, panel->rows, at, &head,
                                 slots ? slots + SPK_REGISTER_PANEL_ROWS * count : NULL)) {
    if (heads) heads[count] = head;
    count++;
  }
  return count;
}

static inline int spk_register_panel_order(const void *x, const void *y) {
  const spk_register_panel *a = (const spk_register_panel *)x, *b = (const spk_register_panel *)y;
  if (a->records != b->records) return a->records > b->records ? -1 : 1;
  return a->row < b->row ? -1 : a->row > b->row;
}

/* The cost of multiplying by panels: the number of records, of pairs of rows with entries in a
 * record, and of records of the longest panel. */
typedef struct spk_register_panels_size {
  int64_t records, pairs, longest;
} spk_register_panels_size;

static inline spk_register_panels_size spk_register_panels_measure(const spk_entries *A) {
  spk_register_panels_size size = {0, 0, 0};
  for (int64_t row = 0; row < A->rows; row += SPK_REGISTER_PANEL_ROWS) {
    const int rows =
        (int)(A->rows - row < SPK_REGISTER_PANEL_ROWS ? A->rows - row : SPK_REGISTER_PANEL_ROWS);
    int64_t at[SPK_REGISTER_PANEL_ROWS], count = 0;
    uint32_t head;
    for (int r = 0; r < rows; r++) at[r] = A->offsets[row + r];
    while (spk_register_panel_next(A, row, rows, at, &head, NULL)) {
      for (int pair = 0; pair < SPK_REGISTER_PANEL_ROWS; pair += 2)
        size.pairs += (head >> (SPK_REGISTER_PANEL_COLUMN_BITS + pair) & 3u) != 0;
      count++;
    }
    size.records += count;
    size.longest = count > size.longest ? count : size.longest;
  }
  return size;
}

/* Pack A.  SPK_ERR_SHAPE if a column does not fit a head. */
static inline int spk_register_panels_make(const spk_entries *A, spk_register_panels *made) {
  memset(made, 0, sizeof *made);
  if (A->cols > (int64_t)1 << SPK_REGISTER_PANEL_COLUMN_BITS) return SPK_ERR_SHAPE;
  made->panels = (A->rows + SPK_REGISTER_PANEL_ROWS - 1) / SPK_REGISTER_PANEL_ROWS;
  made->panel = (spk_register_panel *)spk_pack_new(made->panels, sizeof(spk_register_panel));
  int status = made->panel ? SPK_OK : SPK_ERR_MEMORY;
  for (int64_t i = 0; status == SPK_OK && i < made->panels; i++) {
    spk_register_panel *panel = &made->panel[i];
    const int64_t row = i * SPK_REGISTER_PANEL_ROWS;
    panel->row = row;
    panel->rows = (int32_t)(A->rows - row < SPK_REGISTER_PANEL_ROWS ? A->rows - row
                                                                    : SPK_REGISTER_PANEL_ROWS);
    const int64_t count = spk_register_panel_walk(A, panel, NULL, NULL);
    const int64_t full = (count + SPK_REGISTER_PANEL_RECORDS - 1) / SPK_REGISTER_PANEL_RECORDS *
                         SPK_REGISTER_PANEL_RECORDS;
    if (full > INT32_MAX) status = SPK_ERR_SHAPE;
    panel->records = (int32_t)full;
    panel->begin = made->records;
    made->records += full;
  }
  if (status == SPK_OK) {
    made->heads = (uint32_t *)spk_pack_new(made->records, sizeof(uint32_t));
    made->slots = (int64_t *)spk_pack_new(SPK_REGISTER_PANEL_ROWS * made->records, sizeof(int64_t));
    if (!made->heads || !made->slots) status = SPK_ERR_MEMORY;
  }
  for (int64_t i = 0; status == SPK_OK && i < made->panels; i++) {
    const spk_register_panel *panel = &made->panel[i];
    uint32_t *heads = made->heads + panel->begin;
    int64_t *slots = made->slots + SPK_REGISTER_PANEL_ROWS * panel->begin;
    for (int64_t j = spk_register_panel_walk(A, panel, heads, slots); j < panel->records; j++) {
      heads[j] = 0;
      for (int r = 0; r < SPK_REGISTER_PANEL_ROWS; r++) slots[SPK_REGISTER_PANEL_ROWS * j + r] = -1;
    }
  }
  if (status == SPK_OK)
    qsort(made->panel, (size_t)made->panels, sizeof(spk_register_panel), spk_register_panel_order);
  else
    spk_register_panels_free(made);
  return status;
}

#endif
