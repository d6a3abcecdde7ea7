#include "int8_gather4.h"

#include <stdlib.h>
#include <string.h>

#include "packing.h"
#include "../threads/partition.h"

typedef struct packing {
  const spk_sparse *A;
  const int8_t *values;
  const spk_int8_gather4_shape *shape;
  spk_int8_gather4 *into;
} packing;

static ptrdiff_t start_of(const spk_sparse *A, ptrdiff_t row) {
  return spk_index(A->offsets, A->itype, row);
}

static ptrdiff_t column_of(const spk_sparse *A, ptrdiff_t entry) {
  return spk_index(A->indices, A->itype, entry);
}

static ptrdiff_t groups_of(ptrdiff_t entries) { return spk_ceil_div(entries, 4); }

/* Some rows of a row panel in one block: row r has the entries [from[r], to[r]) of A. */
typedef struct rows_in_block {
  ptrdiff_t count;
  ptrdiff_t from[SPK_INT8_GATHER4_ROWS], to[SPK_INT8_GATHER4_ROWS];
} rows_in_block;

/* Take the next column that at least one of the rows has; -1 at the end.  Bit r of `has` is set if
 * row r has the column. */
static ptrdiff_t next_column(const spk_sparse *A, rows_in_block *rows, unsigned *has) {
  ptrdiff_t column = -1;
  *has = 0;
  for (ptrdiff_t r = 0; r < rows->count; r++) {
    if (rows->from[r] == rows->to[r]) continue;
    const ptrdiff_t here = column_of(A, rows->from[r]);
    if (column < 0 || here < column) column = here, *has = 0;
    if (here == column) *has |= 1u << r;
  }
  for (ptrdiff_t r = 0; r < rows->count; r++) rows->from[r] += *has >> r & 1;
  return column;
}

static ptrdiff_t count_columns(const spk_sparse *A, rows_in_block rows) {
  ptrdiff_t columns = 0;
  unsigned has;
  while (next_column(A, &rows, &has) >= 0) columns++;
  return columns;
}

/* An item while items are sorted. */
typedef struct item {
  uint32_t groups;
  uint16_t row, rows;
} item;

/* Single rows come before items of several rows, and items with many groups come first, so that
 * runs are long. */
static int compare(const void *left, const void *right) {
  const item *a = left, *b = right;
  if (a->rows != b->rows) return a->rows < b->rows ? -1 : 1;
  if (a->groups != b->groups) return a->groups > b->groups ? -1 : 1;
  return a->row < b->row ? -1 : a->row > b->row;
}

/* Find where blocks begin: entries of row i in block b are cuts[b * rows + i] .. cuts[(b + 1) *
 * rows + i]. */
static void cut(const spk_sparse *A, ptrdiff_t first, ptrdiff_t rows, ptrdiff_t block,
                ptrdiff_t blocks, ptrdiff_t *cuts) {
  for (ptrdiff_t i = 0; i < rows; i++) {
    ptrdiff_t p = start_of(A, first + i);
    const ptrdiff_t end = start_of(A, first + i + 1);
    for (ptrdiff_t b = 0; b <= blocks; b++) {
      const ptrdiff_t below = b * block;
      while (p < end && (b == blocks || column_of(A, p) < below)) p++;
      cuts[b * rows + i] = p;
    }
  }
}

static rows_in_block in_block(const ptrdiff_t *cuts, ptrdiff_t rows, ptrdiff_t b, ptrdiff_t row,
                              ptrdiff_t count) {
  rows_in_block some = {.count = count};
  for (ptrdiff_t r = 0; r < count; r++) {
    some.from[r] = cuts[b * rows + row + r];
    some.to[r] = cuts[(b + 1) * rows + row + r];
  }
  return some;
}

/* Find the items of block b.  Returns their number. */
static ptrdiff_t find_items(const packing *job, const ptrdiff_t *cuts, ptrdiff_t rows, ptrdiff_t b,
                            item *items) {
  const double row_cycles = job->shape->row_cycles, rows_cycles = job->shape->rows_cycles;
  ptrdiff_t count = 0;
  for (ptrdiff_t row = 0; row < rows;) {
    const ptrdiff_t here = spk_min(SPK_INT8_GATHER4_ROWS, rows - row);
    const rows_in_block four = in_block(cuts, rows, b, row, here);
    ptrdiff_t alone = 0;
    for (ptrdiff_t r = 0; r < here; r++) alone += groups_of(four.to[r] - four.from[r]);
    if (alone > 0 && here == SPK_INT8_GATHER4_ROWS) {
      const ptrdiff_t together = groups_of(count_columns(job->A, four));
      if ((double)together * rows_cycles <= (double)alone * row_cycles) {
        items[count++] = (item){(uint32_t)together, (uint16_t)row, SPK_INT8_GATHER4_ROWS};
        row += here;
        continue;
      }
    }
    for (ptrdiff_t r = 0; r < here; r++) {
      const ptrdiff_t groups = groups_of(four.to[r] - four.from[r]);
      if (groups > 0) items[count++] = (item){(uint32_t)groups, (uint16_t)(row + r), 1};
    }
    row += here;
  }
  qsort(items, (size_t)count, sizeof *items, compare);
  return count;
}

/* Move *at past the items of a block. */
static void advance(const item *items, ptrdiff_t count, spk_int8_gather4_cell *at) {
  for (ptrdiff_t i = 0; i < count; i++) {
    at->run +=
        i == 0 || items[i].groups != items[i - 1].groups || items[i].rows != items[i - 1].rows;
    at->item++;
    at->group += items[i].groups;
    at->value += (ptrdiff_t)4 * items[i].groups * items[i].rows;
  }
}

/* Allocate a row panel: its arrays share one allocation. */
static int take_row_panel(spk_int8_gather4_row_panel *s, ptrdiff_t blocks,
                          const spk_int8_gather4_cell *end) {
  const size_t cells = spk_aligned_size(spk_size_product((size_t)blocks + 1, sizeof *s->cells));
  const size_t runs = spk_aligned_size(spk_size_product((size_t)end->run, sizeof *s->runs));
  const size_t ids = spk_aligned_size(spk_size_product((size_t)end->item, sizeof *s->row_ids));
  const size_t offsets =
      spk_aligned_size(spk_size_product((size_t)end->group, 4 * sizeof *s->offsets));
  s->bytes = spk_size_sum(spk_size_sum(cells, runs), spk_size_sum(ids, offsets));
  s->bytes = spk_size_sum(s->bytes, spk_aligned_size((size_t)end->value));
  char *memory = aligned_alloc(SPK_ALIGN, s->bytes);
  if (!memory) return 0;
  memset(memory, 0, s->bytes);
  s->cells = (spk_int8_gather4_cell *)(void *)memory;
  s->runs = (spk_int8_gather4_run *)(void *)(memory += cells);
  s->row_ids = (uint16_t *)(void *)(memory += runs);
  s->offsets = (uint16_t *)(void *)(memory += ids);
  s->values = (int8_t *)(void *)(memory + offsets);
  return 1;
}

/* Write the items of block b, whose columns begin at `low`, from *at on.  The memory is zero
 * already. */
static void fill(const packing *job, const ptrdiff_t *cuts, ptrdiff_t b, ptrdiff_t low,
                 const item *items, ptrdiff_t count, spk_int8_gather4_cell at,
                 spk_int8_gather4_row_panel *s) {
  ptrdiff_t run = at.run - 1;
  for (ptrdiff_t i = 0; i < count; i++) {
    const item *it = &items[i];
    if (i == 0 || it->groups != it[-1].groups || it->rows != it[-1].rows)
      s->runs[++run] = (spk_int8_gather4_run){it->groups, 0, it->rows};
    s->runs[run].items++;
    s->row_ids[at.item++] = it->row;
    rows_in_block rows = in_block(cuts, s->rows, b, it->row, it->rows);
    uint16_t *o = s->offsets + 4 * at.group;
    unsigned has;
    for (ptrdiff_t slot = 0;; slot++) {
      const rows_in_block before = rows;
      const ptrdiff_t column = next_column(job->A, &rows, &has);
      if (column < 0) break;
      o[slot] = (uint16_t)(column - low);
      int8_t *w = s->values + at.value + slot / 4 * 4 * it->rows + slot % 4;
      for (ptrdiff_t r = 0; r < it->rows; r++)
        if (has >> r & 1) {
          w[4 * r] = job->values[before.from[r]];
          s->shared += it->rows > 1;
        }
    }
    at.group += it->groups;
    at.value += (ptrdiff_t)4 * it->groups * it->rows;
  }
}

/* Pack one row panel.  Without memory, it gets no cells. */
static void pack_row_panel(void *context, ptrdiff_t number, int worker) {
  (void)worker;
  packing *job = context;
  const spk_int8_gather4 *all = job->into;
  spk_int8_gather4_row_panel *s = &all->row_panel[number];
  const ptrdiff_t first = number * all->row_panel_rows, blocks = all->blocks;
  s->rows = spk_min(all->row_panel_rows, job->A->rows - first);
  item items[SPK_INT8_GATHER4_PANEL_ROWS];
  const size_t cut_bytes =
      spk_size_product((size_t)blocks + 1, (size_t)s->rows * sizeof(ptrdiff_t));
  ptrdiff_t *cuts = malloc(spk_size_sum(cut_bytes, 1));
  if (!cuts) return;
  cut(job->A, first, s->rows, all->block_rows, blocks, cuts);
  spk_int8_gather4_cell end = {0};
  for (ptrdiff_t b = 0; b < blocks; b++)
    advance(items, find_items(job, cuts, s->rows, b, items), &end);
  if (take_row_panel(s, blocks, &end)) {
    for (ptrdiff_t b = 0; b < blocks; b++) {
      const ptrdiff_t count = find_items(job, cuts, s->rows, b, items);
      fill(job, cuts, b, b * all->block_rows, items, count, s->cells[b], s);
      s->cells[b + 1] = s->cells[b];
      advance(items, count, &s->cells[b + 1]);
    }
  }
  free(cuts);
}

spk_status spk_int8_gather4_pack(const spk_sparse *A, const int8_t *values,
                                 const spk_int8_gather4_shape *shape, int threads,
                                 spk_int8_gather4 **made) {
  spk_int8_gather4 *q = malloc(sizeof *q);
  if (!q) return SPK_ERR_MEMORY;
  *q = (spk_int8_gather4){
      .kernels = shape->kernels, .rows = A->rows, .cols = A->cols, .nnz = A->nnz};
  q->tile = shape->tile;
  q->block_rows = shape->block_rows;
  q->blocks = shape->blocks;
  q->row_panel_rows = shape->row_panel_rows;
  q->row_panels = spk_ceil_div(A->rows, q->row_panel_rows);
  q->row_panel = calloc((size_t)q->row_panels + 1, sizeof *q->row_panel);
  q->weights = calloc((size_t)q->row_panels + 1, sizeof *q->weights);
  spk_status status = q->row_panel && q->weights ? SPK_OK : SPK_ERR_MEMORY;
  if (status == SPK_OK) {
    packing job = {A, values, shape, q};
    spk_run_packing(threads, A->nnz, (spk_phase){q->row_panels, pack_row_panel}, &job);
    for (ptrdiff_t i = 0; i < q->row_panels; i++) {
      if (!q->row_panel[i].cells) status = SPK_ERR_MEMORY;
      q->shared += q->row_panel[i].shared;
      const ptrdiff_t end = spk_min(A->rows, (i + 1) * q->row_panel_rows);
      q->weights[i + 1] = start_of(A, end) + end;
    }
  }
  if (status == SPK_OK)
    *made = q;
  else
    spk_int8_gather4_free(q);
  return status;
}

void spk_int8_gather4_free(spk_int8_gather4 *packed) {
  if (!packed) return;
  for (ptrdiff_t i = 0; packed->row_panel && i < packed->row_panels; i++)
    free(packed->row_panel[i].cells);
  free(packed->row_panel);
  free(packed->weights);
  free(packed);
}

size_t spk_int8_gather4_bytes(const spk_int8_gather4 *packed) {
  size_t bytes = sizeof *packed + ((size_t)packed->row_panels + 1) * sizeof *packed->weights;
  for (ptrdiff_t i = 0; i < packed->row_panels; i++)
    bytes += sizeof *packed->row_panel + packed->row_panel[i].bytes;
  return bytes;
}

ptrdiff_t spk_int8_gather4_part(const spk_int8_gather4 *A, ptrdiff_t part, ptrdiff_t parts) {
  return spk_partition_balanced(A->weights, A->row_panels, part, parts);
}
