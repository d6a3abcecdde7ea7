#include "column_runs.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "../threads/parallel.h"
#include "../threads/workspace.h"

/* Tiles of a task, and the cost of a row or an entry in multiply-adds. */
#define TILES_PER_TASK 8
#define ROW_WORK 20.0

void spk_tile_begin(const spk_column_runs *column_runs, ptrdiff_t tile, spk_tile_cursor *cursor) {
  const ptrdiff_t row = tile * SPK_TILE_ROWS;
  *cursor = (spk_tile_cursor){.row = row, .rows = spk_min(SPK_TILE_ROWS, column_runs->rows - row)};
  for (ptrdiff_t i = 0; i < cursor->rows; i++) cursor->run[i] = column_runs->offsets[row + i];
}

/* The first column of any row that is not before `next`, or -1. */
static int32_t first_column(const spk_column_runs *p, const spk_tile_cursor *c) {
  int32_t first = -1;
  for (ptrdiff_t i = 0; i < c->rows; i++) {
    if (c->run[i] == p->offsets[c->row + i + 1]) continue;
    const int32_t start = p->starts[c->run[i]], at = start > c->next ? start : c->next;
    if (first < 0 || at < first) first = at;
  }
  return first;
}

/* Mark `count` words.  The first four are marked at once without a branch, because the lengths of
 * short runs are hard to predict (doc/decisions/attention.rst, decision-short-runs). */
static void mark(uint16_t *words, ptrdiff_t count, uint16_t bit) {
  static const uint16_t ones[5][4] = {{0}, {1}, {1, 1}, {1, 1, 1}, {1, 1, 1, 1}};
  uint64_t four, set;
  memcpy(&four, words, sizeof four);
  memcpy(&set, ones[count < 4 ? count : 4], sizeof set);
  four |= set * bit;
  memcpy(words, &four, sizeof four);
  for (ptrdiff_t k = 4; k < count; k++) words[k] = (uint16_t)(words[k] | bit);
}

/* The number of columns from `first` on, of `most`, that all rows of the tile have, if no row has
 * another one of these; else 0. */
static int32_t common_columns(const spk_column_runs *p, const spk_tile_cursor *c, int32_t first,
                              int32_t most) {
  int32_t common = 0;
  for (ptrdiff_t i = 0; i < c->rows; i++) {
    const int64_t r = c->run[i], end = p->offsets[c->row + i + 1];
    if (r == end || p->starts[r] > first) return 0;
    if (r + 1 < end && p->starts[r + 1] - first < most) return 0;
    const int32_t count = (int32_t)spk_min(p->stops[r] - first, most);
    if (i > 0 && count != common) return 0;
    common = count;
  }
  return common;
}

ptrdiff_t spk_tile_next(const spk_column_runs *p, spk_tile_cursor *c, uint16_t *scratch,
                        int32_t *keys, uint16_t *bits) {
  const int32_t first = first_column(p, c);
  if (first < 0) return 0;
  const int32_t most = (int32_t)spk_min(SPK_TILE_WINDOW, p->cols - first);
  const int32_t common = common_columns(p, c, first, most);
  if (common > 0) {
    for (ptrdiff_t i = 0; i < c->rows; i++) c->run[i] += p->stops[c->run[i]] - first <= most;
    c->next = first + most;
    const uint16_t all = (uint16_t)((1u << c->rows) - 1);
    for (int32_t k = 0; k < common; k++) keys[k] = first + k, bits[k] = all;
    return common;
  }
  int32_t width = 0;
  for (ptrdiff_t i = 0; i < c->rows; i++) {
    const int64_t end = p->offsets[c->row + i + 1];
    const uint16_t bit = (uint16_t)(1u << i);
    int64_t r = c->run[i];
    for (; r < end && p->starts[r] - first < most; r++) {
      const int32_t from = p->starts[r] > first ? p->starts[r] - first : 0;
      const int32_t stop = p->stops[r] - first, to = stop < most ? stop : most;
      mark(scratch + from, to - from, bit);
      if (to > width) width = to;
      if (stop > most) break; /* the run goes on in the next window */
    }
    c->run[i] = r;
  }
  c->next = first + most;
  ptrdiff_t count = 0;
  for (int32_t k = 0; k < width; k += 4) {
    uint64_t four;
    memcpy(&four, scratch + k, sizeof four);
    if (four == 0) continue;
    for (int32_t u = k; u < k + 4; u++) {
      keys[count] = first + u;
      bits[count] = scratch[u];
      count += scratch[u] != 0;
    }
  }
  memset(scratch, 0, (size_t)spk_round_up(width, 4) * sizeof *scratch);
  return count;
}

/* --- Making column runs --- */

typedef struct making {
  const spk_sparse *P;
  spk_column_runs *into;
  atomic_int changed; /* whether P has changed since its runs were counted */
  spk_workspace space;
} making;

/* The entries of row i.  If another thread writes to P's arrays meanwhile, the result is another
 * structure or an error, but nothing is read or written outside of the arrays. */
static void entries_of(const spk_sparse *P, ptrdiff_t i, ptrdiff_t *begin, ptrdiff_t *end) {
  *begin = spk_max(0, spk_min(spk_index(P->offsets, P->itype, i), P->nnz));
  *end = spk_max(*begin, spk_min(spk_index(P->offsets, P->itype, i + 1), P->nnz));
}

/* Count runs and distinct entries of each row.  A new run begins where a column is neither equal to
 * the one before nor its successor.  Rows are sorted. */
#define COUNT_RUNS(I)                                  \
  do {                                                 \
    const I *idx = P->indices;                         \
    for (ptrdiff_t i = first; i < last; i++) {         \
      ptrdiff_t begin, end;                            \
      entries_of(P, i, &begin, &end);                  \
      int64_t runs = begin < end, repeats = 0;         \
      for (ptrdiff_t e = begin + 1; e < end; e++) {    \
        const I now = idx[e], previous = idx[e - 1];   \
        runs += now > previous && now - 1 != previous; \
        repeats += now == previous;                    \
      }                                                \
      p->offsets[i + 1] = runs;                        \
      p->entries[i + 1] = end - begin - repeats;       \
    }                                                  \
  } while (0)

/* Write the runs.  If P has changed, stop before anything is written that exceeds the counted runs
 * and entries, descends or lies outside. */
#define FILL_RUNS(I)                                                         \
  do {                                                                       \
    const I *idx = P->indices;                                               \
    for (ptrdiff_t i = first; i < last; i++) {                               \
      ptrdiff_t e, end;                                                      \
      entries_of(P, i, &e, &end);                                            \
      const int64_t stop = p->offsets[i + 1];                                \
      int64_t run = p->offsets[i], left = p->entries[i + 1] - p->entries[i]; \
      I before = 0;                                                          \
      while (e < end && run < stop) {                                        \
        const I start = idx[e];                                              \
        I at = start;                                                        \
        for (e++; e < end; e++) {                                            \
          const I now = idx[e];                                              \
          if (now > at && now - 1 != at) break;                              \
          at = now;                                                          \
        }                                                                    \
        if (start < before || at < start || at >= P->cols) break;            \
        before = at + 1;                                                     \
        p->starts[run] = (int32_t)start;                                     \
        p->stops[run++] = (int32_t)before;                                   \
        left -= before - start;                                              \
      }                                                                      \
      if (e < end || run < stop || left != 0)                                \
        atomic_store_explicit(&job->changed, 1, memory_order_relaxed);       \
    }                                                                        \
  } while (0)

static void rows_of(const spk_column_runs *p, ptrdiff_t task, ptrdiff_t *first, ptrdiff_t *last) {
  *first = task * TILES_PER_TASK * SPK_TILE_ROWS;
  *last = spk_min(p->rows, *first + TILES_PER_TASK * SPK_TILE_ROWS);
}

static void count_runs(void *context, ptrdiff_t task, int worker) {
  (void)worker;
  const making *job = context;
  const spk_sparse *P = job->P;
  spk_column_runs *p = job->into;
  ptrdiff_t first, last;
  rows_of(p, task, &first, &last);
  if (P->itype == SPK_I32)
    COUNT_RUNS(int32_t);
  else
    COUNT_RUNS(int64_t);
}

static void fill_runs(void *context, ptrdiff_t task, int worker) {
  (void)worker;
  making *job = context;
  const spk_sparse *P = job->P;
  spk_column_runs *p = job->into;
  ptrdiff_t first, last;
  rows_of(p, task, &first, &last);
  if (P->itype == SPK_I32)
    FILL_RUNS(int32_t);
  else
    FILL_RUNS(int64_t);
}

/* Scratch with which a worker looks at tiles. */
typedef struct looking {
  uint16_t marks[SPK_TILE_WINDOW + 4], bits[SPK_TILE_WINDOW + 4];
  int32_t keys[SPK_TILE_WINDOW + 4];
} looking;

static looking *looking_of(const making *job, int worker) {
  return (looking *)(void *)spk_workspace_of(&job->space, worker);
}

static void count_columns(void *context, ptrdiff_t task, int worker) {
  const making *job = context;
  spk_column_runs *p = job->into;
  looking *with = looking_of(job, worker);
  const ptrdiff_t end = spk_min(p->tiles, (task + 1) * TILES_PER_TASK);
  for (ptrdiff_t tile = task * TILES_PER_TASK; tile < end; tile++) {
    spk_tile_cursor cursor;
    spk_tile_begin(p, tile, &cursor);
    p->columns[tile] = 0;
    for (ptrdiff_t count;
         (count = spk_tile_next(p, &cursor, with->marks, with->keys, with->bits)) > 0;)
      p->columns[tile] += count;
  }
}

static spk_column_runs *new_column_runs(ptrdiff_t rows, ptrdiff_t cols) {
  spk_column_runs *p = calloc(1, sizeof *p);
  if (!p) return NULL;
  p->rows = rows;
  p->cols = cols;
  p->tiles = spk_ceil_div(rows, SPK_TILE_ROWS);
  p->offsets = calloc((size_t)rows + 1, sizeof *p->offsets);
  p->entries = calloc((size_t)rows + 1, sizeof *p->entries);
  p->columns = calloc((size_t)p->tiles + 1, sizeof *p->columns);
  if (p->offsets && p->entries && p->columns) return p;
  spk_column_runs_discard(p);
  return NULL;
}

/* Allocate runs, once it is known where the runs and entries of each row begin. */
static int take_runs(spk_column_runs *p) {
  const size_t runs = (size_t)p->offsets[p->rows];
  const size_t bytes = spk_size_sum(spk_size_product(runs, sizeof *p->starts), 1);
  p->starts = malloc(bytes);
  p->stops = malloc(bytes);
  p->bytes = sizeof *p + ((size_t)p->rows + 1) * (sizeof *p->offsets + sizeof *p->entries) +
             ((size_t)p->tiles + 1) * sizeof *p->columns + runs * 2 * sizeof *p->starts;
  return p->starts && p->stops;
}

static void run_tasks(making *job, spk_task_fn fn, int threads) {
  const ptrdiff_t tasks = spk_ceil_div(job->into->tiles, TILES_PER_TASK);
  spk_parallel(threads, (spk_phase){0}, (spk_phase){tasks, fn}, job);
}

/* Count the columns of each tile. */
static spk_status run_count_columns(making *job, int threads) {
  const spk_status status = spk_workspace_take(&job->space, 0, sizeof(looking), threads);
  if (status != SPK_OK) return status;
  for (int worker = 0; worker < threads; worker++) {
    looking *with = looking_of(job, worker);
    memset(with->marks, 0, sizeof with->marks);
  }
  run_tasks(job, count_columns, threads);
  spk_workspace_free(&job->space);
  return SPK_OK;
}

static spk_status finish(const making *job, spk_status status, spk_column_runs **made) {
  if (status == SPK_OK)
    *made = job->into;
  else
    spk_column_runs_discard(job->into);
  return status;
}

static int threads_for(const spk_column_runs *p, ptrdiff_t items, int threads) {
  const ptrdiff_t useful =
      spk_choose_threads(threads, ROW_WORK * ((double)p->rows + (double)items));
  return (int)spk_min(useful, spk_max(1, spk_ceil_div(p->tiles, TILES_PER_TASK)));
}

static spk_status make_from_entries(making *job, int threads) {
  spk_column_runs *p = job->into;
  const spk_sparse *P = job->P;
  const int workers = threads_for(p, P->nnz, threads);
  run_tasks(job, count_runs, workers);
  for (ptrdiff_t i = 0; i < p->rows; i++) {
    p->offsets[i + 1] += p->offsets[i];
    p->entries[i + 1] += p->entries[i];
  }
  p->nnz = p->entries[p->rows];
  p->has_duplicates = p->nnz != spk_index(P->offsets, P->itype, P->rows);
  if (!take_runs(p)) return SPK_ERR_MEMORY;
  run_tasks(job, fill_runs, workers);
  if (atomic_load_explicit(&job->changed, memory_order_relaxed)) return SPK_ERR_INDEX;
  return run_count_columns(job, workers);
}

spk_status spk_column_runs_pack(const spk_sparse *P, int threads, spk_column_runs **made) {
  if (P->cols > INT32_MAX - SPK_TILE_WINDOW) return SPK_ERR_SHAPE;
  making job = {.P = P, .into = new_column_runs(P->rows, P->cols)};
  if (!job.into) return SPK_ERR_MEMORY;
  return finish(&job, make_from_entries(&job, threads), made);
}

/* Whether runs ascend, are not empty and lie inside, and the number of their entries fits a
 * ptrdiff_t.  Counts the entries. */
static int runs_are_right(spk_column_runs *p) {
  for (ptrdiff_t i = 0; i < p->rows; i++) {
    int64_t before = 0, entries = 0;
    for (int64_t r = p->offsets[i]; r < p->offsets[i + 1]; r++) {
      if (p->starts[r] < before || p->stops[r] <= p->starts[r] || p->stops[r] > p->cols) return 0;
      before = p->stops[r];
      entries += p->stops[r] - p->starts[r];
    }
    if (entries > PTRDIFF_MAX - p->entries[i]) return 0;
    p->entries[i + 1] = p->entries[i] + entries;
  }
  p->nnz = p->entries[p->rows];
  return 1;
}

/* Runs are copied first and checked in the copy, which no other thread changes. */
static spk_status make_from_runs(making *job, const spk_runs *R, int threads) {
  spk_column_runs *p = job->into;
  memcpy(p->offsets, R->offsets, ((size_t)p->rows + 1) * sizeof *p->offsets);
  if (p->offsets[0] != 0) return SPK_ERR_INDEX;
  for (ptrdiff_t i = 0; i < p->rows; i++)
    if (p->offsets[i + 1] < p->offsets[i]) return SPK_ERR_INDEX;
  const size_t bytes = spk_size_product((size_t)p->offsets[p->rows], sizeof *p->starts);
  if (bytes > 0 && (!R->starts || !R->stops)) return SPK_ERR_ARGUMENT;
  if (!take_runs(p)) return SPK_ERR_MEMORY;
  if (bytes > 0) {
    memcpy(p->starts, R->starts, bytes);
    memcpy(p->stops, R->stops, bytes);
  }
  if (!runs_are_right(p)) return SPK_ERR_INDEX;
  return run_count_columns(job, threads_for(p, p->offsets[p->rows], threads));
}

spk_status spk_column_runs_pack_runs(const spk_runs *R, int threads, spk_column_runs **made) {
  if (R->cols > INT32_MAX - SPK_TILE_WINDOW) return SPK_ERR_SHAPE;
  making job = {.into = new_column_runs(R->rows, R->cols)};
  if (!job.into) return SPK_ERR_MEMORY;
  return finish(&job, make_from_runs(&job, R, threads), made);
}

void spk_column_runs_discard(spk_column_runs *column_runs) {
  if (!column_runs) return;
  free(column_runs->offsets);
  free(column_runs->entries);
  free(column_runs->columns);
  free(column_runs->starts);
  free(column_runs->stops);
  free(column_runs);
}
