#include "row_panels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../threads/parallel.h"
#include "equal_rows.h"
#include "packing.h"
#include "../threads/partition.h"
#include "reduced_precision.h"

/* The zeros that a group may be padded with: MAX_PADDED_ROW per row, or MAX_PADDED of its
 * places. */
#define MAX_PADDED_ROW 2
#define MAX_PADDED 0.25

typedef struct packing {
  const spk_sparse *A;
  spk_row_panels *into;
} packing;

/* Where an entry and its offset go, and the distance to those of the next entry of the row. */
typedef struct spot {
  ptrdiff_t entry, offset;
  uint8_t entry_step, offset_step;
} spot;

/* Scratch for one row panel, whose rows begin at `first`.  Arrays are indexed by [b * rows + i],
 * for row i in block b, unless the comment says otherwise. */
typedef struct counts {
  const spk_sparse *A;
  ptrdiff_t first;
  uint32_t *entries; /* the number of entries */
  uint64_t *columns; /* a hash of the columns of the entries */
  spot *next;        /* where the next entry goes */
  /* Of one block: first the number of rows with each number of entries, then where the next row
   * with that number is listed. */
  uint32_t *with;
  uint16_t *sorted; /* the rows of one block by their length, longest first */
  uint16_t *shared; /* those rows of one block that are paired */
} counts;

static void free_counts(counts *c) {
  free(c->entries);
  free(c->columns);
  free(c->next);
  free(c->with);
  free(c->sorted);
  free(c->shared);
}

static int take_counts(counts *c, const spk_sparse *A, ptrdiff_t first, ptrdiff_t rows,
                       ptrdiff_t cells, ptrdiff_t longest) {
  c->A = A;
  c->first = first;
  c->entries = calloc((size_t)cells + 1, sizeof *c->entries);
  c->columns = calloc((size_t)cells + 1, sizeof *c->columns);
  c->next = malloc(spk_size_product((size_t)cells + 1, sizeof *c->next));
  c->with = calloc((size_t)longest + 2, sizeof *c->with);
  c->sorted = malloc(spk_size_product((size_t)rows + 1, sizeof *c->sorted));
  c->shared = malloc(spk_size_product((size_t)rows + 1, sizeof *c->shared));
  return c->entries && c->columns && c->next && c->with && c->sorted && c->shared;
}

/* Allocate a row panel: its arrays share one allocation. */
static int take_row_panel(spk_row_panel *s, ptrdiff_t blocks, const spk_row_panel_cell *end,
                          size_t size) {
  const size_t cells = spk_aligned_size(spk_size_product(2 * (size_t)blocks + 1, sizeof *s->cells));
  const size_t run_bytes = spk_aligned_size(spk_size_product((size_t)end->run, sizeof *s->runs));
  const size_t id_bytes = spk_aligned_size(spk_size_product((size_t)end->row, sizeof *s->row_ids));
  const size_t offset_bytes =
      spk_aligned_size(spk_size_product((size_t)end->offset, sizeof *s->offsets));
  const size_t value_bytes = spk_aligned_size(spk_size_product((size_t)end->entry, size));
  s->bytes = spk_size_sum(spk_size_sum(cells, run_bytes), spk_size_sum(id_bytes, offset_bytes));
  s->bytes = spk_size_sum(s->bytes, value_bytes);
  char *memory = aligned_alloc(SPK_ALIGN, s->bytes);
  if (!memory) return 0;
  s->cells = (spk_row_panel_cell *)(void *)memory;
  s->runs = (spk_row_panel_run *)(void *)(memory += cells);
  s->row_ids = (uint16_t *)(void *)(memory += run_bytes);
  s->offsets = (uint16_t *)(void *)(memory += id_bytes);
  s->values = memory + offset_bytes;
  return 1;
}

/* Sort the rows of a block by their length, longest first.  Returns the number of rows that have
 * entries. */
static ptrdiff_t sort_rows(counts *c, const uint32_t *entries, ptrdiff_t rows) {
  uint32_t most = 0;
  for (ptrdiff_t i = 0; i < rows; i++) {
    c->with[entries[i]]++;
    if (entries[i] > most) most = entries[i];
  }
  const ptrdiff_t empty = c->with[0];
  uint32_t listed = 0;
  for (uint32_t length = most + 1; length-- > 0;) {
    const uint32_t count = c->with[length];
    c->with[length] = listed;
    listed += count;
  }
  for (ptrdiff_t i = 0; i < rows; i++) c->sorted[c->with[entries[i]]++] = (uint16_t)i;
  memset(c->with, 0, ((size_t)most + 1) * sizeof *c->with);
  return rows - empty;
}

/* Whether rows go in lockstep: they are padded to the length of the longest row, which is the
 * first. */
static int suit_lockstep(const uint32_t *entries, const uint16_t *rows, ptrdiff_t group) {
  ptrdiff_t padding = 0;
  for (ptrdiff_t g = 1; g < group; g++) padding += entries[rows[0]] - entries[rows[g]];
  return padding <= MAX_PADDED_ROW * group ||
         (double)padding <= MAX_PADDED * (double)(group * entries[rows[0]]);
}

/* The number of consecutive rows of a group that seem to have the same columns: the whole group, a
 * half, ... 2, or 0 if rows differ.  Hashes of different columns may agree, so check_shared
 * compares the columns later. */
static uint32_t equal_rows(const uint64_t *columns, const uint32_t *entries, const uint16_t *rows,
                           ptrdiff_t group) {
  if (entries[rows[0]] == 0) return 0;
  for (ptrdiff_t share = group; share > 1; share /= 2) {
    ptrdiff_t g = 0;
    for (; g < group; g++) {
      const uint16_t row = rows[g], first = rows[g - g % share];
      if (entries[row] != entries[first] || columns[row] != columns[first]) break;
    }
    if (g == group) return (uint32_t)share;
  }
  return 0;
}

/* Where the next group goes, and the length, group size and number of sharing rows of the current
 * run. */
typedef struct place {
  spk_row_panel_cell *at;
  ptrdiff_t group;
  uint32_t length, rows, shared;
} place;

/* Place the next group, whose longest row is the first.  It has one offset for each `common` rows.
 * If s is NULL, the group is only counted. */
static void place_group(spk_row_panel *s, counts *c, ptrdiff_t cell, place *p,
                        const uint16_t *group_rows, ptrdiff_t group, uint32_t shared,
                        ptrdiff_t common) {
  const uint32_t places = c->entries[cell + group_rows[0]];
  spk_row_panel_cell *at = p->at;
  /* Smaller groups of paired rows are the rest of a run. */
  const int alone = common > 1 && group < SPK_PAIRED_GROUP;
  if (p->rows == 0 || places != p->length || shared != p->shared || group != p->group || alone)
    at->run++, p->rows = 0;
  p->length = places, p->shared = shared, p->group = group, p->rows += (uint32_t)group;
  if (s) {
    s->runs[at->run - 1] = (spk_row_panel_run){places, p->rows, shared};
    for (ptrdiff_t g = 0; g < group; g++) {
      s->row_ids[at->row + g] = group_rows[g];
      if (shared) s->shared += c->entries[cell + group_rows[g]];
      if (common > 1) s->paired += c->entries[cell + group_rows[g]];
      c->next[cell + group_rows[g]] =
          (spot){at->entry + g, at->offset + g / common, (uint8_t)group, (uint8_t)(group / common)};
    }
  }
  at->row += group;
  at->entry += group * (ptrdiff_t)places;
  at->offset += group / common * (ptrdiff_t)places;
}

/* The number of consecutive rows of a group that have the same columns: the whole group, a half,
 * ... or SPK_PAIRED_SHARE; 0 if fewer rows have. */
static uint32_t equal_neighbours(const counts *c, const uint16_t *rows, ptrdiff_t group) {
  for (ptrdiff_t share = group; share >= SPK_PAIRED_SHARE; share /= 2) {
    ptrdiff_t g = 0;
    while (g < group && spk_same_columns(c->A, c->first + rows[g], c->first + rows[g - g % share]))
      g++;
    if (g == group) return (uint32_t)share;
  }
  return 0;
}

/* Take those rows of a block that have the same columns by fours out of `sorted` and into `shared`.
 * Returns the number of rows that are left in `sorted`. */
static ptrdiff_t extract_paired(counts *c, ptrdiff_t rows, ptrdiff_t filled, ptrdiff_t *shared) {
  ptrdiff_t left = 0;
  for (ptrdiff_t i = 0; i < rows;) {
    const uint16_t *group_rows = c->sorted + i;
    if (i + SPK_PAIRED_SHARE <= filled && equal_neighbours(c, group_rows, SPK_PAIRED_SHARE)) {
      memcpy(c->shared + *shared, group_rows, SPK_PAIRED_SHARE * sizeof *group_rows);
      *shared += SPK_PAIRED_SHARE;
      i += SPK_PAIRED_SHARE;
    } else {
      c->sorted[left++] = c->sorted[i++];
    }
  }
  return left;
}

/* Arrange block b from *at on, and move *at to its end: runs, rows and the places of entries.  The
 * first and last block list all rows, others those with entries.  Paired rows come first, and end
 * at *middle.  If s is NULL, everything is only counted. */
static void arrange(spk_row_panel *s, counts *c, ptrdiff_t rows, ptrdiff_t b,
                    const spk_row_panels *all, spk_row_panel_cell *middle, spk_row_panel_cell *at) {
  const ptrdiff_t cell = b * rows, group = all->group;
  const uint32_t *entries = c->entries + cell;
  const uint64_t *columns = c->columns + cell;
  ptrdiff_t filled = sort_rows(c, entries, rows), shared = 0, left = rows;
  if (all->paired_rows) {
    left = extract_paired(c, rows, filled, &shared);
    filled -= shared;
    place p = {.at = at};
    for (ptrdiff_t i = 0, size; i < shared; i += size) {
      const uint16_t *group_rows = c->shared + i;
      size = SPK_PAIRED_GROUP;
      while (size > SPK_PAIRED_SHARE &&
             (i + size > shared || !suit_lockstep(entries, group_rows, size) ||
              entries[group_rows[0]] * size > SPK_MAX_EXPANDED))
        size /= 2;
      const uint32_t same = equal_neighbours(c, group_rows, size);
      place_group(s, c, cell, &p, group_rows, size,
                  size == SPK_PAIRED_GROUP ? same : SPK_PAIRED_SHARE, SPK_PAIRED_SHARE);
    }
  }
  *middle = *at;
  /* Empty rows complete a last group. */
  const ptrdiff_t listed = b == 0 || b == all->blocks - 1 ? left : filled,
                  most = spk_min(left, spk_round_up(listed, group));
  place p = {.at = at};
  for (ptrdiff_t i = 0; i < listed;) {
    const uint16_t *group_rows = c->sorted + i;
    const int together = i + group <= most && suit_lockstep(entries, group_rows, group);
    place_group(s, c, cell, &p, group_rows, together ? group : 1,
                together ? equal_rows(columns, entries, group_rows, group) : 0, 1);
    i += together ? group : 1;
  }
}

/* For each entry of a row panel: its row i, the index `at` of its row and block in the scratch, and
 * its column k in the block.  Rows are mostly sorted, so it pays to test whether the block is still
 * the same before dividing. */
#define FOR_ENTRIES(I, body)                                                               \
  do {                                                                                     \
    const I *indices = A->indices, *offsets = A->offsets;                                  \
    for (ptrdiff_t i = 0; i < s->rows; i++) {                                              \
      ptrdiff_t low = 0, at = i;                                                           \
      for (ptrdiff_t p = offsets[first + i]; p < (ptrdiff_t)offsets[first + i + 1]; p++) { \
        ptrdiff_t k = (ptrdiff_t)indices[p] - low;                                         \
        if (k < 0 || k >= block) {                                                         \
          const ptrdiff_t b = (ptrdiff_t)indices[p] / block;                               \
          low = b * block, k = (ptrdiff_t)indices[p] - low, at = b * s->rows + i;          \
        }                                                                                  \
        body;                                                                              \
      }                                                                                    \
    }                                                                                      \
  } while (0)

static void count(const spk_sparse *A, ptrdiff_t first, ptrdiff_t block, const spk_row_panel *s,
                  counts *c) {
#define COUNT                                                                    \
  do {                                                                           \
    c->entries[at]++;                                                            \
    c->columns[at] = (c->columns[at] ^ (uint64_t)(k + 1)) * 0x9e3779b97f4a7c15u; \
    c->columns[at] ^= c->columns[at] >> 29;                                      \
  } while (0)
  if (A->itype == SPK_I32)
    FOR_ENTRIES(int32_t, COUNT);
  else
    FOR_ENTRIES(int64_t, COUNT);
#undef COUNT
}

/* Fill a row panel with -0 times the row of zeros below the block; entries overwrite it.  Adding -0
 * changes no sum, not even a sum of -0. */
static void clear(spk_row_panel *s, void *values, const spk_row_panel_cell *end, ptrdiff_t block,
                  spk_dtype dtype) {
  for (ptrdiff_t o = 0; o < end->offset; o++) s->offsets[o] = (uint16_t)block;
  if (dtype == SPK_F32)
    for (ptrdiff_t e = 0; e < end->entry; e++) ((float *)values)[e] = -0.0f;
  else
    for (ptrdiff_t e = 0; e < end->entry; e++) ((double *)values)[e] = -0.0;
}

/* Write entries to their places. */
#define FILL(I, T)                          \
  do {                                      \
    const T *values = A->values;            \
    T *into = to_values;                    \
    FOR_ENTRIES(I, {                        \
      spot *to = &c->next[at];              \
      s->offsets[to->offset] = (uint16_t)k; \
      into[to->entry] = values[p];          \
      to->entry += to->entry_step;          \
      to->offset += to->offset_step;        \
    });                                     \
  } while (0)

static void fill(const spk_sparse *A, ptrdiff_t first, ptrdiff_t block, spk_row_panel *s,
                 void *to_values, counts *c) {
  if (A->itype == SPK_I32 && A->dtype == SPK_F32)
    FILL(int32_t, float);
  else if (A->itype == SPK_I32)
    FILL(int32_t, double);
  else if (A->dtype == SPK_F32)
    FILL(int64_t, float);
  else
    FILL(int64_t, double);
}

/* Runs whose rows do not have the same columns after all become ordinary runs. */
static void check_shared(spk_row_panel *s, ptrdiff_t blocks) {
  for (ptrdiff_t b = 0; b < blocks; b++) {
    const spk_row_panel_cell *rest = &s->cells[2 * b + 1];
    const uint16_t *o = s->offsets + rest[0].offset;
    for (spk_row_panel_run *run = s->runs + rest[0].run; run < s->runs + rest[1].run; run++) {
      const ptrdiff_t entries = (ptrdiff_t)run->entries * run->rows;
      for (ptrdiff_t e = 0; run->shared && e < entries; e++)
        if (o[e] != o[e - e % run->shared]) run->shared = 0;
      o += entries;
    }
  }
}

/* Pack one row panel.  Without memory, it gets no cells. */
static void pack_row_panel(void *context, ptrdiff_t number, int worker) {
  (void)worker;
  const packing *job = context;
  const spk_sparse *A = job->A;
  const spk_row_panels *all = job->into;
  spk_row_panel *s = &all->row_panel[number];
  const ptrdiff_t first = number * all->row_panel_rows, block = all->block_rows,
                  blocks = all->blocks;
  s->rows = spk_min(all->row_panel_rows, A->rows - first);
  ptrdiff_t longest = 0;
  for (ptrdiff_t i = first; i < first + s->rows; i++)
    longest = spk_max(longest, spk_row_length(A, i));
  counts c;
  if (take_counts(&c, A, first, s->rows, s->rows * blocks, longest)) {
    count(A, first, block, s, &c);
    spk_row_panel_cell end = {0}, middle;
    for (ptrdiff_t b = 0; b < blocks; b++) arrange(NULL, &c, s->rows, b, all, &middle, &end);
    const size_t size = spk_dtype_size(A->dtype), entries = (size_t)end.entry;
    const int taken = take_row_panel(s, blocks, &end, spk_stored_size(A->dtype, all->storage));
    const int same = all->storage == SPK_STORAGE_SAME;
    void *values = same ? s->values : malloc(spk_size_sum(spk_size_product(entries, size), 1));
    if (taken && values) {
      clear(s, values, &end, block, A->dtype);
      s->cells[0] = end = (spk_row_panel_cell){0};
      for (ptrdiff_t b = 0; b < blocks; b++) {
        arrange(s, &c, s->rows, b, all, &s->cells[2 * b + 1], &end);
        s->cells[2 * b + 2] = end;
      }
      fill(A, first, block, s, values, &c);
      check_shared(s, blocks);
      if (!same) spk_round_values(s->values, values, entries, all->storage);
    } else {
      free(s->cells);
      s->cells = NULL;
    }
    if (!same) free(values);
  }
  free_counts(&c);
}

static spk_status pack(const spk_sparse *A, const spk_row_panels_shape *shape, spk_storage storage,
                       int threads, spk_row_panels **made) {
  const ptrdiff_t blocks = shape->blocks;
  spk_row_panels *s = malloc(sizeof *s);
  if (!s) return SPK_ERR_MEMORY;
  *s = (spk_row_panels){.dtype = A->dtype, .rows = A->rows, .cols = A->cols, .nnz = A->nnz};
  s->kernels = shape->kernels;
  s->storage = storage;
  s->vectors = shape->vectors;
  s->group = shape->group;
  s->paired_rows = shape->paired_rows;
  s->row_panel_rows = shape->row_panel_rows;
  s->row_panels = spk_ceil_div(A->rows, s->row_panel_rows);
  s->block_rows = shape->block_rows;
  s->blocks = blocks;
  s->row_panel = calloc((size_t)s->row_panels + 1, sizeof *s->row_panel);
  s->weights = calloc((size_t)s->row_panels + 1, sizeof *s->weights);
  int whole = s->row_panel && s->weights;
  if (whole) {
    packing job = {A, s};
    spk_run_packing(threads, A->nnz, (spk_phase){s->row_panels, pack_row_panel}, &job);
    for (ptrdiff_t i = 0; i < s->row_panels; i++) {
      whole = whole && s->row_panel[i].cells;
      for (ptrdiff_t r = 0; whole && r < s->row_panel[i].cells[2 * blocks].run; r++) {
        const spk_row_panel_run *run = &s->row_panel[i].runs[r];
        s->longest = spk_max(s->longest, run->entries);
      }
      s->shared += s->row_panel[i].shared;
      s->paired += s->row_panel[i].paired;
      const ptrdiff_t end = spk_min(A->rows, (i + 1) * s->row_panel_rows);
      s->weights[i + 1] = spk_index(A->offsets, A->itype, end) + end;
    }
  }
  if (!whole) {
    spk_row_panels_free(s);
    return SPK_ERR_MEMORY;
  }
  *made = s;
  return SPK_OK;
}

/* Pack values that are rounded as the storage demands, but stored as floats. */
static spk_status pack_rounded(const spk_sparse *A, const spk_row_panels_shape *shape,
                               spk_storage storage, int threads, spk_row_panels **made) {
  const size_t count = (size_t)A->nnz;
  float *values = malloc(spk_size_sum(spk_size_product(count, sizeof *values), 1));
  uint16_t *stored = malloc(spk_size_sum(spk_size_product(count, sizeof *stored), 1));
  spk_status status = SPK_ERR_MEMORY;
  if (values && stored) {
    spk_round_values(stored, A->values, count, storage);
    spk_expander(shape->kernels, storage)(values, stored, A->nnz);
    spk_sparse rounded = *A;
    rounded.values = values;
    status = pack(&rounded, shape, SPK_STORAGE_SAME, threads, made);
  }
  free(values);
  free(stored);
  return status;
}

spk_status spk_row_panels_pack(const spk_sparse *A, const spk_row_panels_shape *shape,
                               spk_storage storage, int threads, spk_row_panels **made) {
  spk_row_panels *s = NULL;
  spk_status status = pack(A, shape, storage, threads, &s);
  /* A group of longer rows would not fit into what is expanded at a time.  Only duplicates make
   * such rows. */
  if (status == SPK_OK && storage != SPK_STORAGE_SAME && s->longest * s->group > SPK_MAX_EXPANDED) {
    spk_row_panels_free(s);
    status = pack_rounded(A, shape, storage, threads, &s);
  }
  if (status == SPK_OK) *made = s;
  return status;
}

ptrdiff_t spk_row_panels_part(const spk_row_panels *A, ptrdiff_t part, ptrdiff_t parts) {
  return spk_partition_balanced(A->weights, A->row_panels, part, parts);
}

void spk_row_panels_free(spk_row_panels *row_panels) {
  if (!row_panels) return;
  for (ptrdiff_t i = 0; row_panels->row_panel && i < row_panels->row_panels; i++)
    free(row_panels->row_panel[i].cells);
  free(row_panels->row_panel);
  free(row_panels->weights);
  free(row_panels);
}

size_t spk_row_panels_bytes(const spk_row_panels *row_panels) {
  size_t bytes =
      sizeof *row_panels + ((size_t)row_panels->row_panels + 1) * sizeof *row_panels->weights;
  for (ptrdiff_t i = 0; i < row_panels->row_panels; i++)
    bytes += sizeof *row_panels->row_panel + row_panels->row_panel[i].bytes;
  return bytes;
}
