#include "sell.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "../threads/parallel.h"
#include "equal_rows.h"
#include "packing.h"
#include "../threads/partition.h"
#include "reduced_precision.h"

/* The least number of row panels, for threads to share, if a matrix has the rows, and the least
 * number of rows of a row panel. */
#define MIN_ROW_PANELS 8
#define MIN_ROW_PANEL_ROWS 64

/* The most windows of a matrix whose slices may go without permutes, because its x may be copied
 * twice. */
#define MAX_PLAIN_WINDOWS (SPK_SELL_MAX_WINDOWS / 2)

/* Rows stay in order if the longest has at most EQUAL_LENGTHS times the mean number of entries,
 * plus EQUAL_LENGTHS_MORE.  For random rows, sorting saves 3% of the steps, but then sums go to C
 * one by one, which takes longer (doc/decisions/sell.rst, decision-sell-order). */
#define EQUAL_LENGTHS 1.5
#define EQUAL_LENGTHS_MORE 8.0

/* The most groups of lanes with the same columns that a slice may have.  A step takes one load per
 * group. */
#define MAX_GROUPS 4

/* Windows of one vector: the most empty places per entry, and the least mean number of steps of a
 * segment.  A segment of one step takes longer than half of one of two steps, which windows of two
 * vectors have. */
#define MAX_WINDOW_PADDING 0.12
#define MIN_WINDOW_STEPS 3

/* The most places per entry.  Uniform rows have 2 at 90% sparsity and 4 at 98%. */
#define MAX_PADDING 8.0

typedef struct packing {
  const spk_sparse *A;
  spk_sell *into;
  void *values; /* of A's dtype: the values of `into`, or floats that will be rounded to them */
  int permute_bits;
  atomic_int failed; /* whether there was no memory */
  /* whether a row has more entries in a window than the window has columns */
  atomic_int duplicates;
} packing;

/* Whether the rows [first, last) keep their order, as no row is much longer than the mean. */
static int keep_order(const spk_sparse *A, ptrdiff_t first, ptrdiff_t last) {
  ptrdiff_t longest = 0;
  for (ptrdiff_t i = first; i < last; i++) longest = spk_max(longest, spk_row_length(A, i));
  const ptrdiff_t all =
      spk_index(A->offsets, A->itype, last) - spk_index(A->offsets, A->itype, first);
  return (double)longest <=
         EQUAL_LENGTHS * (double)all / (double)(last - first) + EQUAL_LENGTHS_MORE;
}

/* Sort the rows [first, last) by their length, longest first; equal lengths keep their order, and
 * so may all rows.  Returns whether they do. */
static int sort_rows(const spk_sparse *A, ptrdiff_t first, ptrdiff_t last, uint32_t *ids) {
  for (ptrdiff_t i = first; i < last; i++) ids[i - first] = (uint32_t)i;
  if (keep_order(A, first, last)) return 1;
  for (ptrdiff_t i = first; i < last; i++) {
    ptrdiff_t at = i - first;
    const ptrdiff_t length = spk_row_length(A, i);
    for (; at > 0 && spk_row_length(A, ids[at - 1]) < length; at--) ids[at] = ids[at - 1];
    ids[at] = (uint32_t)i;
  }
  return 0;
}

/* Scratch of one row panel.  Segments are numbered in the order of use: window by window, and slice
 * by slice in a window. */
typedef struct plan {
  ptrdiff_t slices, segments;
  uint8_t *steps; /* the number of steps of each segment */
  uint32_t *rank; /* the rank of each segment among segments with the same number of steps */
  uint32_t count[2 * SPK_MAX_LANES];
  /* For slices without permutes: `shared` of their runs, and the most entries of a row.  shares is
   * 0 for slices with permutes. */
  uint16_t shares[SPK_SELL_ROW_PANEL_ROWS];
  uint32_t length[SPK_SELL_ROW_PANEL_ROWS];
  ptrdiff_t shared; /* the entries of slices without permutes */
} plan;

static int take_plan(plan *p, const spk_sell *s) {
  *p = (plan){.slices = s->row_panel_rows / s->lanes};
  p->segments = p->slices * s->windows;
  p->steps = calloc((size_t)p->segments + 1, sizeof *p->steps);
  p->rank = malloc(spk_size_product((size_t)p->segments + 1, sizeof *p->rank));
  return p->steps && p->rank;
}

static void free_plan(plan *p) {
  free(p->steps);
  free(p->rank);
}

/* For each entry of row `row`: its window, its column `col - low` in the window, and the number of
 * entries before it in the window. */
#define FOR_ENTRIES(row, ...)                                                              \
  do {                                                                                     \
    const ptrdiff_t stop_ = spk_index(A->offsets, A->itype, (row) + 1);                    \
    ptrdiff_t window = 0, low = 0, before = -1;                                            \
    for (ptrdiff_t entry = spk_index(A->offsets, A->itype, row); entry < stop_; entry++) { \
      const ptrdiff_t col = spk_index(A->indices, A->itype, entry);                        \
      before++;                                                                            \
      if (col - low >= width) window = col / width, low = window * width, before = 0;      \
      __VA_ARGS__;                                                                         \
    }                                                                                      \
  } while (0)

/* What slices of rows in order would take with windows of `width` columns: places for entries, and
 * segments.  Stops, with too many places, where more than MAX_WINDOW_PADDING of them are empty. */
typedef struct census {
  ptrdiff_t places, segments;
} census;

static census count_places(const spk_sparse *A, ptrdiff_t lanes, ptrdiff_t width, uint8_t *most) {
  const ptrdiff_t windows = spk_ceil_div(A->cols, width), limit = spk_min(width, 2 * lanes - 1);
  const ptrdiff_t all = spk_index(A->offsets, A->itype, A->rows);
  const census none = {PTRDIFF_MAX, 1};
  census c = {0, 0};
  for (ptrdiff_t i = 0; i < A->rows; i += lanes) {
    const ptrdiff_t rows = spk_min(lanes, A->rows - i);
    memset(most, 0, (size_t)windows);
    for (ptrdiff_t row = i; row < i + rows; row++)
      FOR_ENTRIES(row, {
        if (before >= limit) return none;
        if (before >= most[window]) most[window] = (uint8_t)(before + 1);
      });
    for (ptrdiff_t w = 0; w < windows; w++) {
      c.places += most[w] * rows;
      c.segments += most[w] > 0;
    }
    const ptrdiff_t entries = spk_index(A->offsets, A->itype, i + rows);
    /* The first slices may differ from the others. */
    if ((double)c.places > (1.0 + MAX_WINDOW_PADDING) * (double)entries + all / 16) return none;
  }
  return (double)c.places > (1.0 + MAX_WINDOW_PADDING) * (double)all ? none : c;
}

/* Choose how wide windows are. */
static void choose_windows(const spk_sparse *A, spk_sell *s, const spk_kernels *kernels) {
  const ptrdiff_t lanes = s->lanes, step = s->row_panel_rows;
  s->window_columns = spk_window_columns(lanes);
  s->kind = SPK_SELL_TWO;
  if (spk_ceil_div(A->cols, lanes) > SPK_SELL_MAX_WINDOWS || A->rows == 0) return;
  for (ptrdiff_t i = 0; i < A->rows; i += step)
    if (!keep_order(A, i, spk_min(A->rows, i + step))) return;
  uint8_t *most = malloc((size_t)spk_ceil_div(A->cols, lanes) + 1);
  if (!most) return;
  const ptrdiff_t nnz = spk_index(A->offsets, A->itype, A->rows);
  /* With one instruction for two vectors, one vector gains nothing. */
  if (kernels->permute_bits == 4) {
    const census one = count_places(A, lanes, lanes, most);
    if (one.places != PTRDIFF_MAX && one.places >= MIN_WINDOW_STEPS * one.segments * lanes) {
      s->window_columns = lanes;
      s->kind = one.places == nnz ? SPK_SELL_ONE : SPK_SELL_ONE_PADDED;
    }
  }
  if (s->kind == SPK_SELL_TWO && count_places(A, lanes, 2 * lanes, most).places == nnz)
    s->window_columns = 2 * lanes;
  free(most);
}

/* Whether the columns of a row come in groups of four neighbours. */
static int in_blocks_of_4(const spk_sparse *A, ptrdiff_t row) {
  const ptrdiff_t start = spk_index(A->offsets, A->itype, row), length = spk_row_length(A, row);
  if (length % 4) return 0;
  for (ptrdiff_t i = 0; i < length; i++)
    if (spk_index(A->indices, A->itype, start + i) !=
        spk_index(A->indices, A->itype, start + i / 4 * 4) + i % 4)
      return 0;
  return 1;
}

/* The smallest number of groups of lanes such that the rows of each group have the same columns; or
 * SPK_SELL_BLOCKS; or 0 if there would be too many groups. */
static int share_of(const spk_sparse *A, const uint32_t *ids, ptrdiff_t rows, ptrdiff_t lanes) {
  for (int groups = 1; groups <= MAX_GROUPS && 2 * groups <= lanes; groups *= 2) {
    const ptrdiff_t width = lanes / groups;
    ptrdiff_t i = 0;
    while (i < rows && (i % width == 0 || spk_same_columns(A, ids[i], ids[i - i % width]))) i++;
    if (i < rows) continue;
    for (i = 0; i < rows && width == 4 && in_blocks_of_4(A, ids[i]);) i += 4;
    return i < rows ? groups : SPK_SELL_BLOCKS;
  }
  return 0;
}

/* Count the steps of each segment.  Returns 0 if a row has more entries in a window than the window
 * has columns. */
static int count_steps(const spk_sparse *A, const spk_sell *s, ptrdiff_t row_panel, plan *p) {
  const ptrdiff_t width = s->window_columns, first = row_panel * s->row_panel_rows;
  const ptrdiff_t rows = spk_min(s->row_panel_rows, A->rows - first);
  for (ptrdiff_t i = 0; i < rows; i += s->lanes) {
    const ptrdiff_t slice = i / s->lanes, here = spk_min(s->lanes, rows - i);
    const uint32_t *ids = s->row_ids + first + i;
    if (s->windows > MAX_PLAIN_WINDOWS) continue;
    p->shares[slice] = (uint16_t)share_of(A, ids, here, s->lanes);
    for (ptrdiff_t l = 0; p->shares[slice] && l < here; l++) {
      p->length[slice] = (uint32_t)spk_max(p->length[slice], spk_row_length(A, ids[l]));
      p->shared += spk_row_length(A, ids[l]);
    }
  }
  for (ptrdiff_t i = 0; i < rows; i++) {
    const ptrdiff_t slice = i / s->lanes;
    if (p->shares[slice]) continue;
    FOR_ENTRIES(s->row_ids[first + i], {
      if (before >= width) return 0;
      uint8_t *steps = &p->steps[window * p->slices + slice];
      if (before >= *steps) *steps = (uint8_t)(before + 1);
    });
  }
  for (ptrdiff_t c = 0; c < p->segments; c++) p->rank[c] = p->count[p->steps[c]]++;
  return 1;
}

/* The size of a row panel.  Runs are ordered by their number of steps, from few to many; runs
 * without permutes follow. */
static spk_sell_row_panel size_of(const spk_sell *s, const plan *p, int bits) {
  const size_t vector = (size_t)s->lanes * spk_dtype_size(s->dtype);
  spk_sell_row_panel size = {.shared = p->shared};
  for (ptrdiff_t steps = 1; steps < 2 * s->lanes; steps++) {
    const ptrdiff_t count = p->count[steps];
    size.run += count > 0;
    size.segment += count;
    size.permute += count * spk_ceil_div(steps, 32 / bits);
    size.step += count * steps;
  }
  for (ptrdiff_t slice = 0; slice < p->slices; slice++) {
    if (!p->shares[slice]) continue;
    const spk_sell_run run = {p->length[slice], 1, p->shares[slice]};
    size.run++;
    size.segment++;
    size.permute += spk_sell_permutes(&run, bits, s->lanes, vector);
    size.step += run.steps;
  }
  return size;
}

/* Write a slice without permutes, whose run begins at *at. */
static void fill_shared(const spk_sparse *A, spk_sell *s, void *values, ptrdiff_t row_panel,
                        ptrdiff_t slice, const plan *p, int bits, spk_sell_row_panel *at) {
  const size_t size = spk_dtype_size(A->dtype), vector = (size_t)s->lanes * size;
  const ptrdiff_t lanes = s->lanes, share = p->shares[slice];
  const ptrdiff_t steps = p->length[slice], row = row_panel * s->row_panel_rows + slice * lanes;
  const ptrdiff_t rows = spk_min(lanes, A->rows - row);
  const int by_blocks = share == SPK_SELL_BLOCKS;
  const ptrdiff_t groups = by_blocks ? lanes / 4 : share, of = by_blocks ? 4 : 1;
  uint32_t *places = s->permutes + at->permute * (ptrdiff_t)(vector / sizeof *s->permutes);
  /* Groups with fewer entries end in zeros, which meet the zeros behind x. */
  for (ptrdiff_t i = 0; i < steps / of * groups; i++) places[i] = (uint32_t)A->cols;
  for (ptrdiff_t lane = 0; lane < rows; lane++) {
    const ptrdiff_t id = s->row_ids[row + lane], start = spk_index(A->offsets, A->itype, id);
    for (ptrdiff_t step = 0; step < spk_row_length(A, id); step++) {
      memcpy(spk_at_mut(values, (at->step + step) * lanes + lane, size),
             spk_at(A->values, start + step, size), size);
      if (step % of == 0)
        places[step / of * groups + lane * groups / lanes] =
            (uint32_t)spk_index(A->indices, A->itype, start + step);
    }
  }
  const spk_sell_run run = {(uint32_t)steps, 1, (uint32_t)share};
  s->segments[at->segment++] = (spk_sell_segment){.slice = (uint16_t)slice};
  s->runs[at->run++] = run;
  at->permute += spk_sell_permutes(&run, bits, lanes, vector);
  at->step += run.steps;
}

static void fill(const spk_sparse *A, spk_sell *s, void *values, ptrdiff_t row_panel, const plan *p,
                 int bits) {
  const size_t size = spk_dtype_size(A->dtype);
  const ptrdiff_t lanes = s->lanes, width = s->window_columns, codes_per_word = 32 / bits;
  const ptrdiff_t words = (ptrdiff_t)(size / sizeof *s->permutes),
                  first = row_panel * s->row_panel_rows;
  const ptrdiff_t rows = spk_min(s->row_panel_rows, A->rows - first);
  spk_sell_row_panel runs[2 * SPK_MAX_LANES], at = s->begin[row_panel];
  for (ptrdiff_t steps = 1; steps < 2 * lanes; steps++) {
    const uint32_t count = p->count[steps];
    runs[steps] = at;
    if (count) s->runs[at.run++] = (spk_sell_run){.steps = (uint32_t)steps, .segments = count};
    at.segment += count;
    at.permute += count * spk_ceil_div(steps, codes_per_word);
    at.step += count * steps;
  }
  for (ptrdiff_t c = 0; c < p->segments; c++)
    if (p->steps[c])
      s->segments[runs[p->steps[c]].segment + p->rank[c]] = (spk_sell_segment){
          .window = (uint16_t)(c / p->slices), .slice = (uint16_t)(c % p->slices)};
  for (ptrdiff_t i = 0; i < rows; i++) {
    const ptrdiff_t slice = i / lanes, lane = i % lanes;
    if (p->shares[slice]) continue;
    FOR_ENTRIES(s->row_ids[first + i], {
      const ptrdiff_t c = window * p->slices + slice, steps = p->steps[c], rank = p->rank[c];
      const ptrdiff_t step = runs[steps].step + rank * steps + before;
      memcpy(spk_at_mut(values, step * lanes + lane, size), spk_at(A->values, entry, size), size);
      const ptrdiff_t permute = runs[steps].permute + rank * spk_ceil_div(steps, codes_per_word) +
                                before / codes_per_word;
      uint32_t *codes = s->permutes + (permute * lanes + lane) * words;
      const int shift = (int)(before % codes_per_word) * bits;
      for (ptrdiff_t w = 0; w < words; w++) {
        codes[w] &= ~(((1u << bits) - 1u) << shift);
        codes[w] |= (uint32_t)((col - low) * words + w) << shift;
      }
    });
  }
  for (ptrdiff_t slice = 0; slice < p->slices; slice++)
    if (p->shares[slice]) fill_shared(A, s, values, row_panel, slice, p, bits, &at);
}

static void plan_row_panel(void *context, ptrdiff_t row_panel, int worker) {
  (void)worker;
  packing *job = context;
  const spk_sparse *A = job->A;
  spk_sell *s = job->into;
  const ptrdiff_t first = row_panel * s->row_panel_rows;
  s->in_order[row_panel] =
      (uint8_t)sort_rows(A, first, spk_min(A->rows, first + s->row_panel_rows), s->row_ids + first);
  plan p;
  if (take_plan(&p, s)) {
    if (!count_steps(A, s, row_panel, &p)) atomic_store(&job->duplicates, 1);
    s->begin[row_panel + 1] = size_of(s, &p, job->permute_bits);
  } else {
    atomic_store(&job->failed, 1);
  }
  free_plan(&p);
}

static void fill_row_panel(void *context, ptrdiff_t row_panel, int worker) {
  (void)worker;
  packing *job = context;
  plan p;
  spk_sell *s = job->into;
  const spk_sell_row_panel *at = &s->begin[row_panel];
  const size_t size = spk_dtype_size(s->dtype), vector = (size_t)s->lanes * size;
  const size_t steps = (size_t)(at[1].step - at[0].step);
  void *values = spk_at_mut(job->values, at[0].step, vector);
  /* The worker that fills a row panel is the first to write its memory, so that it lies near that
   * worker.  All bits set select the last element of a window, whatever the bits of a code. */
  memset(spk_at_mut(s->permutes, at[0].permute, vector), 0xff,
         (size_t)(at[1].permute - at[0].permute) * vector);
  memset(values, 0, steps * vector);
  if (take_plan(&p, s)) {
    count_steps(job->A, s, row_panel, &p);
    fill(job->A, s, job->values, row_panel, &p, job->permute_bits);
    if (s->storage != SPK_STORAGE_SAME)
      spk_store_values(
          spk_at_mut(s->values, at[0].step * s->lanes, spk_stored_size(s->dtype, s->storage)),
          values, steps * (size_t)s->lanes, s->storage);
  } else {
    atomic_store(&job->failed, 1);
  }
  free_plan(&p);
}

spk_status spk_sell_pack(const spk_sparse *A, spk_storage storage, int threads,
                         const spk_kernels *kernels, spk_sell **made) {
  const ptrdiff_t lanes = kernels->lanes[A->dtype];
  spk_sell *s = malloc(sizeof *s);
  if (!s) return SPK_ERR_MEMORY;
  *s = (spk_sell){.dtype = A->dtype, .rows = A->rows, .cols = A->cols, .nnz = A->nnz};
  s->storage = storage;
  s->lanes = lanes;
  s->row_panel_rows = spk_max(MIN_ROW_PANEL_ROWS, spk_ceil_div(A->rows, MIN_ROW_PANELS));
  s->row_panel_rows = spk_min(SPK_SELL_ROW_PANEL_ROWS, spk_round_up(s->row_panel_rows, lanes));
  choose_windows(A, s, kernels);
  s->windows = spk_ceil_div(A->cols, s->window_columns);
  s->row_panels = spk_ceil_div(A->rows, s->row_panel_rows);
  s->begin = calloc((size_t)s->row_panels + 1, sizeof *s->begin);
  s->weights = calloc((size_t)s->row_panels + 1, sizeof *s->weights);
  s->row_ids = malloc(spk_size_product((size_t)A->rows + 1, sizeof *s->row_ids));
  s->in_order = malloc((size_t)s->row_panels + 1);
  if (!s->begin || !s->weights || !s->row_ids || !s->in_order) goto no_memory;
  packing job = {A, s, NULL, kernels->permute_bits, 0, 0};
  spk_run_packing(threads, A->nnz, (spk_phase){s->row_panels, plan_row_panel}, &job);
  if (atomic_load(&job.failed)) goto no_memory;
  for (ptrdiff_t i = 0; i < s->row_panels; i++) {
    spk_sell_row_panel *next = &s->begin[i + 1], *last = &s->begin[i];
    next->run += last->run;
    next->segment += last->segment;
    next->permute += last->permute;
    next->step += last->step;
    next->shared += last->shared;
    s->weights[i + 1] = next->step;
  }
  const spk_sell_row_panel *end = &s->begin[s->row_panels];
  if (atomic_load(&job.duplicates) ||
      (double)end->step * (double)lanes > MAX_PADDING * (double)A->nnz) {
    spk_sell_free(s);
    return SPK_OK;
  }
  const size_t vector = (size_t)lanes * spk_dtype_size(A->dtype);
  const size_t permute_bytes =
      spk_size_sum(spk_aligned_size(spk_size_product((size_t)end->permute, vector)), SPK_ALIGN);
  const size_t values = spk_size_product((size_t)end->step, (size_t)lanes),
               size = spk_dtype_size(A->dtype);
  const size_t stored =
      spk_aligned_size(spk_size_product(values, spk_stored_size(A->dtype, storage)));
  const size_t value_bytes = spk_size_sum(stored, SPK_ALIGN);
  s->runs = malloc(spk_size_product((size_t)end->run + 1, sizeof *s->runs));
  s->segments = malloc(spk_size_product((size_t)end->segment + 1, sizeof *s->segments));
  s->permutes = aligned_alloc(SPK_ALIGN, permute_bytes);
  s->values = aligned_alloc(SPK_ALIGN, value_bytes);
  job.values = storage == SPK_STORAGE_SAME
                   ? s->values
                   : malloc(spk_size_sum(spk_size_product(values, size), 1));
  if (!s->runs || !s->segments || !s->permutes || !s->values || !job.values) {
    if (job.values != s->values) free(job.values);
    goto no_memory;
  }
  const size_t filled = (size_t)end->permute * vector;
  memset((char *)s->permutes + filled, 0xff, permute_bytes - filled);
  spk_run_packing(threads, A->nnz, (spk_phase){s->row_panels, fill_row_panel}, &job);
  if (job.values != s->values) free(job.values);
  if (atomic_load(&job.failed)) goto no_memory;
  s->bytes = sizeof *s + ((size_t)s->row_panels + 1) * (sizeof *s->begin + sizeof *s->weights) +
             (size_t)A->rows * sizeof *s->row_ids + (size_t)s->row_panels +
             (size_t)end->run * sizeof *s->runs + (size_t)end->segment * sizeof *s->segments +
             permute_bytes + value_bytes;
  *made = s;
  return SPK_OK;
no_memory:
  spk_sell_free(s);
  return SPK_ERR_MEMORY;
}

spk_status spk_sell_pack_scaled(const spk_sparse *A, const float *scales, int threads,
                                const spk_kernels *kernels, spk_sell **made) {
  float *numbers = malloc(spk_size_sum(spk_size_product((size_t)A->nnz, sizeof *numbers), 1));
  float *kept = malloc(spk_size_sum(spk_size_product((size_t)A->rows, sizeof *kept), 1));
  spk_status status = numbers && kept ? SPK_OK : SPK_ERR_MEMORY;
  for (ptrdiff_t i = 0; status == SPK_OK && i < A->rows; i++) {
    const ptrdiff_t end = spk_index(A->offsets, A->itype, i + 1);
    kept[i] = scales[i];
    for (ptrdiff_t p = spk_index(A->offsets, A->itype, i); p < end; p++)
      numbers[p] = (float)spk_number_of(((const float *)A->values)[p], scales[i], 127);
  }
  spk_sparse integers = *A;
  integers.values = numbers;
  if (status == SPK_OK) status = spk_sell_pack(&integers, SPK_STORAGE_S8, threads, kernels, made);
  free(numbers);
  if (status == SPK_OK && *made) {
    (*made)->scales = kept;
    (*made)->bytes += (size_t)A->rows * sizeof *kept;
  } else {
    free(kept);
  }
  return status;
}

void spk_sell_free(spk_sell *slices) {
  if (!slices) return;
  free(slices->begin);
  free(slices->weights);
  free(slices->row_ids);
  free(slices->in_order);
  free(slices->runs);
  free(slices->segments);
  free(slices->permutes);
  free(slices->values);
  free(slices->scales);
  free(slices);
}

ptrdiff_t spk_sell_part(const spk_sell *A, ptrdiff_t part, ptrdiff_t parts) {
  return spk_partition_balanced(A->weights, A->row_panels, part, parts);
}
