/* Attention.  A tile of 16 queries goes together by the union of their keys.  If the keys differ
 * too much from query to query, queries go one by one. */
#include <math.h>

#include "../threads/partition.h"
#include "../plan/cost.h"
#include "drivers.h"
#include "../threads/parallel.h"
#include "../threads/workspace.h"

/* The keys of a tile that go together, so few that their rows of V stay in L1 while the outputs of
 * all queries read them, piece by piece: rows that lie a multiple of 256 bytes apart share sets. */
#define CHUNK 48
/* The keys of a single query that are scored together. */
#define ROW_CHUNK 2048

/* The number of tasks per thread, by which the tiles of a head are cut into parts. */
#define TASKS_PER_THREAD 8

typedef struct job {
  const spk_column_runs *mask;
  const spk_attention *a;
  const spk_kernels *kernels;
  ptrdiff_t parts;
  ptrdiff_t *before; /* tiles + 1: the weight of all tiles before each */
  size_t query_bytes, output_bytes;
  spk_workspace space;
} job;

#define WINDOW_WORDS (SPK_TILE_WINDOW + SPK_TILE_ROWS)
#define KEY_BYTES (WINDOW_WORDS * sizeof(int32_t))
#define BIT_BYTES (WINDOW_WORDS * sizeof(uint16_t))
#define TILE_SCORES ((CHUNK + SPK_TILE_ROWS) * SPK_TILE_ROWS)
#define ROW_SCORES (ROW_CHUNK + SPK_MAX_LANES)
#define SCORE_BYTES ((TILE_SCORES > ROW_SCORES ? TILE_SCORES : ROW_SCORES) * sizeof(double))
#define STATE_BYTES (2 * SPK_TILE_ROWS * sizeof(double))

/* The memory of one worker. */
typedef struct scratch {
  int32_t *keys;
  uint16_t *bits, *marks; /* marks: all 0 between two tiles */
  char *q;                /* a panel of queries */
  char *scores, *state, *O;
} scratch;

static scratch scratch_of(const job *j, int worker) {
  scratch s;
  char *at = spk_workspace_of(&j->space, worker);
  s.keys = (int32_t *)(void *)at;
  s.bits = (uint16_t *)(void *)(at += spk_aligned_size(KEY_BYTES));
  s.marks = (uint16_t *)(void *)(at += spk_aligned_size(BIT_BYTES));
  s.scores = at += spk_aligned_size(BIT_BYTES);
  s.state = at += spk_aligned_size(SCORE_BYTES);
  s.q = at += spk_aligned_size(STATE_BYTES);
  s.O = at + j->query_bytes;
  return s;
}

static size_t scratch_bytes(const job *j) {
  const size_t fixed = spk_aligned_size(KEY_BYTES) + 2 * spk_aligned_size(BIT_BYTES) +
                       spk_aligned_size(SCORE_BYTES) + spk_aligned_size(STATE_BYTES);
  return spk_size_sum(fixed, spk_size_sum(j->query_bytes, j->output_bytes));
}

static int in_tile(const spk_column_runs *mask, ptrdiff_t tile) {
  const ptrdiff_t row = tile * SPK_TILE_ROWS, end = spk_min(mask->rows, row + SPK_TILE_ROWS);
  const double entries = (double)(mask->entries[end] - mask->entries[row]);
  return entries >= SPK_ATTENTION_ROW_SHARE * (double)mask->columns[tile];
}

/* The cost of a tile, in keys of a tile. */
static double weight_of(const spk_column_runs *mask, ptrdiff_t tile) {
  const ptrdiff_t row = tile * SPK_TILE_ROWS, end = spk_min(mask->rows, row + SPK_TILE_ROWS);
  if (in_tile(mask, tile)) return (double)mask->columns[tile];
  return (double)(mask->entries[end] - mask->entries[row]) / SPK_ATTENTION_ROW_SHARE;
}

/* The task of `rows` rows from `row` on. */
static spk_attend_task task_of(const job *j, const scratch *s, ptrdiff_t head, ptrdiff_t row,
                               ptrdiff_t rows) {
  const spk_attention *a = j->a;
  const size_t size = spk_dtype_size(a->dtype);
  spk_attend_task t = {.K = spk_at(a->K, a->k_offsets[head], size),
                       .V = spk_at(a->V, a->v_offsets[head], size),
                       .ldk = a->k_stride,
                       .ldv = a->v_stride,
                       .d = a->d,
                       .dv = a->dv,
                       .rows = rows,
                       .scale = a->scale,
                       .bits = s->bits,
                       .keys = s->keys,
                       .bias_row_stride = a->bias_row_stride,
                       .bias_col_stride = a->bias_col_stride,
                       .scores = s->scores,
                       .maxima = s->state,
                       .sums = s->state + SPK_TILE_ROWS * size,
                       .O = s->O};
  if (a->bias) t.bias = spk_at(a->bias, a->bias_offsets[head] + row * a->bias_row_stride, size);
  return t;
}

static const void *query(const spk_attention *a, ptrdiff_t head, ptrdiff_t row) {
  return spk_at(a->Q, a->q_offsets[head] + row * a->q_stride, spk_dtype_size(a->dtype));
}
static void *output(const spk_attention *a, ptrdiff_t head, ptrdiff_t row) {
  return spk_at_mut(a->out, a->out_offsets[head] + row * a->out_stride, spk_dtype_size(a->dtype));
}
static void *log_sum(const job *j, ptrdiff_t head, ptrdiff_t row) {
  if (!j->a->lse) return NULL;
  return spk_at_mut(j->a->lse, head * j->mask->rows + row, spk_dtype_size(j->a->dtype));
}

/* Reset the maxima, the sums and the outputs of `rows` rows. */
static void clear(const job *j, const scratch *s, ptrdiff_t rows) {
  const size_t size = spk_dtype_size(j->a->dtype), half = SPK_TILE_ROWS * size;
  for (ptrdiff_t i = 0; i < rows; i++)
    if (j->a->dtype == SPK_F32)
      ((float *)(void *)s->state)[i] = -INFINITY;
    else
      ((double *)(void *)s->state)[i] = -INFINITY;
  memset(s->state + half, 0, half);
  memset(s->O, 0, (size_t)((j->a->dv + SPK_MAX_LANES) * rows) * size);
}

/* List the keys of a row's runs from *run and *skipped on, at most `most`.  Most runs of such rows
 * are short, so four keys are written without a branch on their number. */
static ptrdiff_t list_keys(const spk_column_runs *mask, ptrdiff_t row, int64_t *run,
                           int32_t *skipped, ptrdiff_t most, int32_t *keys) {
  const int64_t end = mask->offsets[row + 1];
  ptrdiff_t count = 0;
  for (; *run < end; ++*run, *skipped = 0) {
    const int32_t start = mask->starts[*run] + *skipped, left = mask->stops[*run] - start;
    const int32_t taken = (int32_t)spk_min(left, most - count);
    for (int32_t k = 0; k < 4; k++) keys[count + k] = start + k;
    for (int32_t k = 4; k < taken; k++) keys[count + k] = start + k;
    count += taken;
    if (taken < left) {
      *skipped += taken;
      break;
    }
  }
  return count;
}

/* Attend query by query. */
static void run_rows(const job *j, const scratch *s, ptrdiff_t head, ptrdiff_t first,
                     ptrdiff_t last) {
  const spk_attention *a = j->a;
  const size_t size = spk_dtype_size(a->dtype);
  spk_attend_task t = task_of(j, s, head, first, 1);
  for (ptrdiff_t row = first; row < last; row++) {
    if (a->bias) t.bias = spk_at(a->bias, a->bias_offsets[head] + row * a->bias_row_stride, size);
    t.q = query(a, head, row);
    clear(j, s, 1);
    int64_t run = j->mask->offsets[row];
    int32_t skipped = 0;
    while ((t.count = list_keys(j->mask, row, &run, &skipped, ROW_CHUNK, s->keys)) > 0)
      j->kernels->attend_row[a->dtype](&t);
    j->kernels->attend_row_finish[a->dtype](&t, output(a, head, row), log_sum(j, head, row));
  }
}

/* Prefetch rows that will be needed when the keys of a tile are done. */
static void fetch(const void *rows, ptrdiff_t stride, ptrdiff_t count, ptrdiff_t width,
                  size_t size) {
  for (ptrdiff_t i = 0; i < count; i++) {
    const char *row = spk_at(rows, i * stride, size);
    for (ptrdiff_t at = 0; at < width * (ptrdiff_t)size; at += SPK_ALIGN) SPK_PREFETCH(row + at);
  }
}

/* Returns whether the output is finite.  If it is not, some value may have been infinite or NaN and
 * have met rows that do not attend to it, with weight 0. */
static int run_tile(const job *j, const scratch *s, ptrdiff_t head, ptrdiff_t tile) {
  const spk_attention *a = j->a;
  const int f = a->dtype;
  const size_t size = spk_dtype_size(a->dtype);
  spk_tile_cursor cursor;
  spk_tile_begin(j->mask, tile, &cursor);
  const ptrdiff_t row = cursor.row, rows = cursor.rows;
  spk_attend_task t = task_of(j, s, head, row, rows);
  t.q = s->q;
  j->kernels->tile_pack[f](s->q, query(a, head, row), a->q_stride, rows, a->d, a->scale);
  clear(j, s, SPK_TILE_ROWS);
  fetch(output(a, head, row), a->out_stride, rows, a->dv, size);
  const ptrdiff_t next = row + rows, more = spk_min(SPK_TILE_ROWS, j->mask->rows - next);
  if (more > 0) fetch(query(a, head, next), a->q_stride, more, a->d, size);
  for (ptrdiff_t count;
       (count = spk_tile_next(j->mask, &cursor, s->marks, s->keys, s->bits)) > 0;) {
    for (int i = 0; i < SPK_TILE_ROWS; i++) s->keys[count + i] = s->keys[count - 1];
    for (ptrdiff_t at = 0; at < count; at += CHUNK) {
      t.keys = s->keys + at;
      t.bits = s->bits + at;
      t.count = spk_min(CHUNK, count - at);
      j->kernels->attend_tile[f](&t);
    }
  }
  return j->kernels->attend_finish[f](&t, output(a, head, row), a->out_stride,
                                      log_sum(j, head, row));
}

static void run_part(void *context, ptrdiff_t task, int worker) {
  const job *j = context;
  const spk_column_runs *mask = j->mask;
  const ptrdiff_t head = task / j->parts, part = task % j->parts;
  const scratch s = scratch_of(j, worker);
  const ptrdiff_t last = spk_partition_balanced(j->before, mask->tiles, part + 1, j->parts);
  for (ptrdiff_t tile = spk_partition_balanced(j->before, mask->tiles, part, j->parts); tile < last;
       tile++) {
    if (in_tile(mask, tile) && run_tile(j, &s, head, tile)) continue;
    const ptrdiff_t row = tile * SPK_TILE_ROWS, end = spk_min(mask->rows, row + SPK_TILE_ROWS);
    run_rows(j, &s, head, row, end);
  }
}

spk_status spk_drive_attention(const spk_column_runs *mask, const spk_attention *attention,
                               int threads, const spk_kernels *kernels) {
  const spk_attention *a = attention;
  job j = {.mask = mask, .a = a, .kernels = kernels};
  const size_t size = spk_dtype_size(a->dtype);
  double keys = 0;
  for (ptrdiff_t tile = 0; tile < mask->tiles; tile++) keys += weight_of(mask, tile);
  const double work =
      keys * ((double)a->d + (double)a->dv + 16.0) * SPK_TILE_ROWS * (double)a->heads;
  threads = spk_choose_threads(threads, work + 100.0 * (double)mask->rows * (double)a->heads);
  const ptrdiff_t wanted = threads > 1 ? (ptrdiff_t)threads * TASKS_PER_THREAD : 1;
  j.parts = spk_max(1, spk_min(mask->tiles, spk_ceil_div(wanted, a->heads)));
  threads = (int)spk_min(threads, j.parts * a->heads);
  const size_t width = spk_size_sum((size_t)a->dv, SPK_MAX_LANES);
  j.query_bytes = spk_aligned_size(spk_size_product((size_t)a->d, SPK_TILE_ROWS * size));
  j.output_bytes = spk_aligned_size(spk_size_product(width, SPK_TILE_ROWS * size));
  const size_t shared = spk_aligned_size(((size_t)mask->tiles + 1) * sizeof *j.before);
  const spk_status status = spk_workspace_take(&j.space, shared, scratch_bytes(&j), threads);
  if (status != SPK_OK) return status;
  j.before = (ptrdiff_t *)(void *)j.space.shared;
  j.before[0] = 0;
  for (ptrdiff_t tile = 0; tile < mask->tiles; tile++)
    j.before[tile + 1] = j.before[tile] + 1 + (ptrdiff_t)weight_of(mask, tile);
  for (int worker = 0; worker < threads; worker++)
    memset(scratch_of(&j, worker).marks, 0, BIT_BYTES);
  spk_parallel(threads, (spk_phase){0}, (spk_phase){a->heads * j.parts, run_part}, &j);
  spk_workspace_free(&j.space);
  return SPK_OK;
}
