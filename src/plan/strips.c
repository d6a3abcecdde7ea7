#include "strips.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../driver/parallel.h"
#include "parts.h"

/* Rows of a strip: with more, runs are longer; with fewer, a strip's sums stay closer and there are
 * more strips to deal out. */
#define STRIP_ROWS 256
#define STRIP_ROWS_FEW 128 /* of a matrix with fewer rows than FEW_ROWS */
#define FEW_ROWS 1024

/* Panels and sums of a worker stay below these, whatever the shapes. */
#define PANEL_MOST ((ptrdiff_t)1 << 20)
#define SUMS_MOST ((ptrdiff_t)1 << 20)
/* Rows of a block, so that one vector's width of them fits a panel; 16 bits number them. */
#define BLOCK_MOST (PANEL_MOST / SPK_ALIGN)

/* Entries of a strip in a block that pay for the loop around them. */
#define ENTRIES_PER_CELL 8.0
/* Cells beyond one per entry that a matrix may have all the same. */
#define MOST_EMPTY_CELLS 4096.0

/* Entries per row of a panel that pay for packing it. */
#define PART_ENTRIES 40.0

typedef struct packing {
  const spk_sparse *A;
  spk_strips *into;
} packing;

/* Scratch of one strip: where entries of row i in block b are, or go. */
typedef struct counts {
  uint32_t *entries; /* [b * rows + i]: how many */
  ptrdiff_t *cursor; /* where the next one goes */
  uint32_t *with;    /* rows that have so many, of one block */
  ptrdiff_t longest;
} counts;

static void free_counts(counts *c) {
  free(c->entries);
  free(c->cursor);
  free(c->with);
}

static int take_counts(counts *c, ptrdiff_t cells, ptrdiff_t longest) {
  c->longest = longest;
  c->entries = calloc((size_t)cells + 1, sizeof *c->entries);
  c->cursor = malloc(((size_t)cells + 1) * sizeof *c->cursor);
  c->with = calloc((size_t)longest + 2, sizeof *c->with);
  return c->entries && c->cursor && c->with;
}

/* The parts of a strip's one allocation. */
static int take_strip(spk_strip *s, ptrdiff_t blocks, ptrdiff_t runs, ptrdiff_t ids,
                      ptrdiff_t entries, size_t size) {
  const size_t cells = spk_slice((size_t)(blocks + 1) * sizeof *s->cells);
  const size_t run_bytes = spk_slice((size_t)runs * sizeof *s->runs);
  const size_t id_bytes = spk_slice((size_t)ids * sizeof *s->row_ids);
  const size_t offset_bytes = spk_slice((size_t)entries * sizeof *s->offsets);
  s->bytes = cells + run_bytes + id_bytes + offset_bytes + spk_slice((size_t)entries * size);
  char *memory = aligned_alloc(SPK_ALIGN, s->bytes);
  if (!memory) return 0;
  s->cells = (spk_strip_cell *)(void *)memory;
  s->runs = (spk_strip_run *)(void *)(memory += cells);
  s->row_ids = (uint16_t *)(void *)(memory += run_bytes);
  s->offsets = (uint16_t *)(void *)(memory += id_bytes);
  s->values = memory + offset_bytes;
  return 1;
}

/* Rows [0, rows) of a block by their length: counts them per length, returns the greatest. */
static uint32_t tally(counts *c, const uint32_t *entries, ptrdiff_t rows) {
  uint32_t most = 0;
  for (ptrdiff_t i = 0; i < rows; i++) {
    c->with[entries[i]]++;
    if (entries[i] > most) most = entries[i];
  }
  return most;
}

/* Runs and rows that all blocks of a strip will list. */
static void measure(counts *c, ptrdiff_t rows, ptrdiff_t blocks, ptrdiff_t *runs, ptrdiff_t *ids) {
  *runs = *ids = 0;
  for (ptrdiff_t b = 0; b < blocks; b++) {
    const uint32_t most = tally(c, c->entries + b * rows, rows);
    for (uint32_t length = b == 0 ? 0 : 1; length <= most; length++) {
      *runs += c->with[length] > 0;
      *ids += c->with[length];
    }
    memset(c->with, 0, ((size_t)most + 1) * sizeof *c->with);
  }
}

/* Runs and rows of each block, longest first, and where the entries of each row go. */
static void arrange(spk_strip *s, counts *c, ptrdiff_t blocks) {
  const ptrdiff_t rows = s->rows;
  spk_strip_cell at = {0};
  for (ptrdiff_t b = 0; b < blocks; b++) {
    const uint32_t *entries = c->entries + b * rows;
    ptrdiff_t *cursor = c->cursor + b * rows;
    s->cells[b] = at;
    const uint32_t most = tally(c, entries, rows);
    const uint32_t least = b == 0 ? 0 : 1;
    /* From here on `with` holds where the next row of that length is listed. */
    uint32_t listed = 0;
    for (uint32_t length = most + 1; length-- > least;) {
      const uint32_t count = c->with[length];
      if (count) s->runs[at.run++] = (spk_strip_run){.entries = length, .rows = count};
      c->with[length] = listed;
      listed += count;
    }
    for (ptrdiff_t i = 0; i < rows; i++)
      if (entries[i] >= least) s->row_ids[at.row + c->with[entries[i]]++] = (uint16_t)i;
    memset(c->with, 0, ((size_t)most + 1) * sizeof *c->with);
    ptrdiff_t id = at.row;
    for (ptrdiff_t r = s->cells[b].run; r < at.run; r++) {
      const ptrdiff_t length = s->runs[r].entries, count = s->runs[r].rows;
      for (ptrdiff_t i = 0; i < count; i++, id++)
        cursor[s->row_ids[id]] = i + 1 == count && count % 2
                                     ? at.entry + i * length
                                     : -(at.entry + i / 2 * 2 * length + i % 2) - 1;
      at.entry += length * count;
    }
    at.row += listed;
  }
  s->cells[blocks] = at;
}

/* For each entry of a strip, its row i and where that row's count for the entry's block is.  Rows
 * are mostly sorted, so that it is worth looking whether the block is still the same before
 * dividing. */
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

static void count(const spk_sparse *A, ptrdiff_t first, ptrdiff_t block, const spk_strip *s,
                  counts *c) {
  if (A->itype == SPK_I32)
    FOR_ENTRIES(int32_t, (void)k; c->entries[at]++);
  else
    FOR_ENTRIES(int64_t, (void)k; c->entries[at]++);
}

/* Entries to their places: steps of 2 (cursor below 0) where two rows go in lockstep. */
#define FILL(I, T)                               \
  do {                                           \
    const T *values = A->values;                 \
    T *into = s->values;                         \
    FOR_ENTRIES(I, {                             \
      const ptrdiff_t to = c->cursor[at];        \
      const ptrdiff_t e = to < 0 ? -to - 1 : to; \
      s->offsets[e] = (uint16_t)k;               \
      into[e] = values[p];                       \
      c->cursor[at] += to < 0 ? -2 : 1;          \
    });                                          \
  } while (0)

static void fill(const spk_sparse *A, ptrdiff_t first, ptrdiff_t block, spk_strip *s, counts *c) {
  if (A->itype == SPK_I32 && A->dtype == SPK_F32)
    FILL(int32_t, float);
  else if (A->itype == SPK_I32)
    FILL(int32_t, double);
  else if (A->dtype == SPK_F32)
    FILL(int64_t, float);
  else
    FILL(int64_t, double);
}

/* One strip; it has no cells if there was no memory. */
static void pack_strip(void *context, ptrdiff_t number, int worker) {
  (void)worker;
  const packing *job = context;
  const spk_sparse *A = job->A;
  const spk_strips *all = job->into;
  spk_strip *s = &all->strip[number];
  const ptrdiff_t first = number * all->strip_rows, block = all->block_rows, blocks = all->blocks;
  s->rows = spk_min(all->strip_rows, A->rows - first);
  ptrdiff_t longest = 0;
  for (ptrdiff_t i = first; i < first + s->rows; i++)
    longest = spk_max(longest,
                      spk_index(A->offsets, A->itype, i + 1) - spk_index(A->offsets, A->itype, i));
  const ptrdiff_t entries =
      spk_index(A->offsets, A->itype, first + s->rows) - spk_index(A->offsets, A->itype, first);
  counts c;
  if (take_counts(&c, s->rows * blocks, longest)) {
    count(A, first, block, s, &c);
    ptrdiff_t runs, ids;
    measure(&c, s->rows, blocks, &runs, &ids);
    if (take_strip(s, blocks, runs, ids, entries, spk_dtype_size(A->dtype))) {
      arrange(s, &c, blocks);
      fill(A, first, block, s, &c);
    }
  }
  free_counts(&c);
}

/* What a product takes per row of A and tile of `vectors` vectors with blocks of `block` rows, in
 * vector FMAs that run at full speed.
 *
 * Fitted on Zen 4 (AVX-512; 512 x 512 and larger, 50 to 98% sparse, blocks of 64 to 512 rows): an
 * entry costs its FMAs and half a slot for the broadcast; a row of a block 6 slots per vector, for
 * its sums to come and go and for the loop to start; and where a block is larger than L1, the share
 * of loads that come from L2 instead grows by a third with each doubling, since rows walk B in
 * order and find much of what the last one left. */
static double block_cost(const spk_sparse *A, ptrdiff_t block, ptrdiff_t vectors,
                         ptrdiff_t row_bytes, const spk_machine *machine) {
  const double per_row = (double)A->nnz / (double)spk_max(1, A->rows);
  const double blocks = ceil((double)A->cols / (double)block);
  const double excess = log2((double)(block * row_bytes) / (double)machine->l1_bytes);
  const double missing = excess <= 0 ? 0 : fmin(1.0, 0.33 * excess);
  const double entry = (double)vectors * (1.0 + missing * machine->tuning.strip_miss) + 0.5;
  const double used =
      blocks * (1.0 - exp(-per_row / blocks)); /* blocks that hold entries of a row */
  return per_row * entry + used * 6.0 * (double)vectors;
}

static ptrdiff_t choose_block(const spk_sparse *A, ptrdiff_t vectors, ptrdiff_t row_bytes,
                              const spk_machine *machine) {
  const ptrdiff_t half_l2 = (ptrdiff_t)machine->l2_bytes / 2;
  const ptrdiff_t most = spk_max(1, spk_min(half_l2, PANEL_MOST) / row_bytes);
  ptrdiff_t best = 0;
  double least = 0;
  for (ptrdiff_t blocks = spk_ceil_div(spk_max(1, A->cols), most);; blocks += 1 + blocks / 8) {
    const ptrdiff_t block = spk_max(1, spk_ceil_div(A->cols, blocks));
    const double cost = block_cost(A, block, vectors, row_bytes, machine);
    if (best == 0 || cost < least) best = block, least = cost;
    if (block * row_bytes * 2 <= (ptrdiff_t)machine->l1_bytes || block <= 16) return best;
  }
}

spk_status spk_strips_make(const spk_sparse *A, ptrdiff_t width, ptrdiff_t block_rows, int threads,
                           const spk_kernels *kernels, const spk_machine *machine,
                           spk_strips **made) {
  const ptrdiff_t size = (ptrdiff_t)spk_dtype_size(A->dtype);
  if (block_rows == 0) {
    const ptrdiff_t tile =
        spk_tile_of(width, kernels->lanes[A->dtype], machine->tuning.strip_vectors);
    block_rows = choose_block(A, tile / kernels->lanes[A->dtype], tile * size, machine);
  }
  const ptrdiff_t height = A->rows < FEW_ROWS ? STRIP_ROWS_FEW : STRIP_ROWS;
  const double strips = ceil((double)A->rows / (double)height);
  /* Where a strip has few entries in a block, blocks as high as can be; and then no more. */
  const double cells = strips * ceil((double)A->cols / (double)block_rows);
  if (cells > (double)A->nnz / ENTRIES_PER_CELL) block_rows = BLOCK_MOST;
  if (strips * ceil((double)A->cols / BLOCK_MOST) > (double)A->nnz + MOST_EMPTY_CELLS)
    return SPK_ERR_SPARSE;
  /* Blocks of nearly the same height. */
  const ptrdiff_t most = spk_max(1, spk_min(block_rows, spk_min(BLOCK_MOST, A->cols)));
  const ptrdiff_t blocks = spk_max(1, spk_ceil_div(A->cols, most));
  spk_strips *s = malloc(sizeof *s);
  if (!s) return SPK_ERR_MEMORY;
  *s = (spk_strips){.dtype = A->dtype, .rows = A->rows, .cols = A->cols, .nnz = A->nnz};
  s->strip_rows = height;
  s->strips = spk_ceil_div(A->rows, s->strip_rows);
  s->block_rows = spk_max(1, spk_ceil_div(A->cols, blocks));
  s->blocks = blocks;
  s->strip = calloc((size_t)s->strips + 1, sizeof *s->strip);
  s->weights = calloc((size_t)s->strips + 1, sizeof *s->weights);
  int whole = s->strip && s->weights;
  if (whole) {
    packing job = {A, s};
    spk_parallel(spk_choose_threads(threads, 8.0 * (double)A->nnz), (spk_phase){0},
                 (spk_phase){s->strips, pack_strip}, &job);
    for (ptrdiff_t i = 0; i < s->strips; i++) {
      whole = whole && s->strip[i].cells;
      const ptrdiff_t end = spk_min(A->rows, (i + 1) * s->strip_rows);
      s->weights[i + 1] = spk_index(A->offsets, A->itype, end) + end;
    }
  }
  if (!whole) {
    spk_strips_free(s);
    return SPK_ERR_MEMORY;
  }
  *made = s;
  return SPK_OK;
}

ptrdiff_t spk_strips_part(const spk_strips *A, ptrdiff_t part, ptrdiff_t parts) {
  return spk_balanced_part(A->weights, A->strips, 0.0, part, parts);
}

void spk_plan_strips(const spk_strips *A, const spk_dense *B, const spk_dense *C, int threads,
                     const spk_kernels *kernels, const spk_machine *machine,
                     spk_strips_plan *plan) {
  const ptrdiff_t size = (ptrdiff_t)spk_dtype_size(A->dtype), n = B->cols;
  const double work = ((double)A->nnz + (double)A->rows) * (double)n;
  *plan = (spk_strips_plan){.threads = spk_choose_threads(threads, work)};
  const ptrdiff_t lanes = kernels->lanes[A->dtype];
  /* Blocks may have been chosen for narrower tiles, and fit no others. */
  const ptrdiff_t fits = spk_max(1, PANEL_MOST / (A->block_rows * lanes * size));
  plan->tile = spk_tile_of(n, lanes, spk_min(machine->tuning.strip_vectors, fits));
  plan->tiles = spk_ceil_div(n, plan->tile);
  plan->stage = A->blocks > 1 || !(C->col_stride == 1 || n == 1);
  const ptrdiff_t row_bytes = plan->tile * size;
  plan->panel_bytes = spk_slice((size_t)(A->block_rows * row_bytes));
  ptrdiff_t most = A->strips;
  if (plan->stage) {
    /* Sums of a part wait in L2 until the last block is done. */
    const ptrdiff_t bytes = spk_min((ptrdiff_t)machine->l2_bytes / 2, SUMS_MOST);
    most = spk_max(1, bytes / (A->strip_rows * row_bytes));
    most = spk_min(most, A->strips);
  }
  /* Each part packs the panels of a tile again: as many as keep the threads busy, and a few times
   * that, to even out disturbances, where a part's entries outweigh the packing. */
  const double per_panel_row = (double)A->nnz / (double)spk_max(1, A->cols);
  ptrdiff_t parts = spk_ceil_div(plan->threads, plan->tiles);
  const ptrdiff_t light = (ptrdiff_t)(per_panel_row / PART_ENTRIES);
  if (plan->threads > 1)
    parts = spk_max(parts, spk_min(light, spk_ceil_div(4 * plan->threads, plan->tiles)));
  parts = spk_max(parts, spk_ceil_div(A->strips, most));
  plan->parts = spk_max(1, spk_min(parts, A->strips));
  plan->threads = (int)spk_min(plan->threads, plan->parts * plan->tiles);
  if (!plan->stage) return;
  for (ptrdiff_t part = 0; part < plan->parts; part++) {
    const ptrdiff_t strips =
        spk_strips_part(A, part + 1, plan->parts) - spk_strips_part(A, part, plan->parts);
    plan->stage_rows = spk_max(plan->stage_rows, strips * A->strip_rows);
  }
  plan->stage_rows = spk_min(plan->stage_rows, most * A->strip_rows);
  plan->stage_bytes = spk_slice((size_t)(plan->stage_rows * row_bytes));
}

void spk_strips_free(spk_strips *strips) {
  if (!strips) return;
  for (ptrdiff_t i = 0; strips->strip && i < strips->strips; i++) free(strips->strip[i].cells);
  free(strips->strip);
  free(strips->weights);
  free(strips);
}

size_t spk_strips_bytes(const spk_strips *strips) {
  size_t bytes = sizeof *strips + ((size_t)strips->strips + 1) * sizeof *strips->weights;
  for (ptrdiff_t i = 0; i < strips->strips; i++)
    bytes += sizeof *strips->strip + strips->strip[i].bytes;
  return bytes;
}
