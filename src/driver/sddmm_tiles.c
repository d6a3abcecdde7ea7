#include "sddmm_tiles.h"

#include "../plan/cost.h"
#include "../plan/sddmm_plan.h"
#include "../plan/sddmm_scratch.h"

/* The most pairs of neighbouring entries that are sampled in a row. */
#define PROBES 4

/* Whether a tile can pay whose runs are copied.  If all rows had the same columns, it would pay if
 * runs are long enough, so a few pairs of neighbouring entries in each row estimate the length of
 * runs.  With a tile of all columns, short runs are taken entry by entry. */
static int worth_looking(const spk_sddmm_task *t, spk_itype itype, ptrdiff_t row, ptrdiff_t rows) {
  double pairs = 0, consecutive = 0, entries = 0;
  ptrdiff_t low = PTRDIFF_MAX, high = -1;
  for (ptrdiff_t i = row; i < row + rows; i++) {
    const ptrdiff_t p = spk_index(t->begin, itype, i), q = spk_index(t->end, itype, i);
    if (q - p < 2) continue;
    const ptrdiff_t left = spk_index(t->indices, itype, p);
    const ptrdiff_t right = spk_index(t->indices, itype, q - 1), span = right - left;
    low = spk_min(low, left);
    high = spk_max(high, right);
    entries += (double)(q - p);
    const int whole = span == q - 1 - p; /* unless repeated columns make up for gaps */
    const ptrdiff_t looked = spk_min(PROBES, q - p - 1);
    pairs += (double)looked;
    consecutive +=
        whole ? (double)looked : (double)spk_consecutive(t->indices, itype, p, q, looked);
  }
  if (pairs == 0) return 0;
  const double k = (double)t->k, breaks = (pairs - consecutive) / pairs;
  if (breaks * SPK_SDDMM_RUN > SPK_SDDMM_TAKE &&
      spk_worth_all_columns(k, entries, (double)(high - low + 1)))
    return 0;
  return spk_worth_looking(k, breaks);
}

/* List the columns that are marked, in ascending order, and clear the marks. */
static ptrdiff_t collect(const spk_sddmm_scratch *s, size_t width) {
  ptrdiff_t count = 0;
  for (size_t k = 0; k < width; k += 8) {
    uint64_t eight;
    memcpy(&eight, s->marks + k, sizeof eight);
    if (eight == 0) continue;
    if (eight == UINT64_C(0x0101010101010101)) {
      for (size_t u = 0; u < 8; u++) {
        s->keys[count + (ptrdiff_t)u] = (int32_t)(k + u);
        s->where[k + u] = (int32_t)(count + (ptrdiff_t)u);
      }
      count += 8;
      continue;
    }
    for (size_t u = k; u < k + 8; u++) {
      s->keys[count] = (int32_t)u;
      s->where[u] = (int32_t)count;
      count += s->marks[u];
    }
  }
  memset(s->marks, 0, width);
  for (int i = 0; i < SPK_TILE_ROWS && count > 0; i++) s->keys[count + i] = s->keys[count - 1];
  return count;
}

/* The entries that are left of each row, and the end of those in the current window of columns. */
typedef struct tile_rows {
  const spk_column_runs *column_runs; /* those of P, or NULL */
  int64_t run[SPK_TILE_ROWS];         /* the next column run of each row */
  ptrdiff_t first, rows;
  ptrdiff_t at[SPK_TILE_ROWS], end[SPK_TILE_ROWS], next[SPK_TILE_ROWS];
} tile_rows;

/* Find the runs of the columns from `low` on, and set next.  Returns the number of runs; *entries
 * becomes the number of their entries. */
static ptrdiff_t find_runs(const spk_sddmm_task *t, spk_itype itype, const spk_sddmm_scratch *s,
                           tile_rows *rows, ptrdiff_t low, ptrdiff_t *entries, int32_t *width,
                           const spk_kernels *kernels) {
  const size_t isize = spk_itype_size(itype);
  const spk_column_runs *column_runs = rows->column_runs;
  ptrdiff_t runs = 0;
  *entries = 0;
  *width = 0;
  for (ptrdiff_t i = 0; i < rows->rows; i++) {
    ptrdiff_t p = rows->at[i];
    const ptrdiff_t most = SPK_SDDMM_RUNS / SPK_TILE_ROWS * (i + 1);
    while (p < rows->end[i] && runs < most) {
      const ptrdiff_t column = spk_index(t->indices, itype, p) - low;
      if (column >= SPK_SDDMM_WINDOW) break;
      ptrdiff_t count = spk_min(rows->end[i] - p, SPK_SDDMM_WINDOW - column);
      if (column_runs) {
        const ptrdiff_t run = column_runs->stops[rows->run[i]] - (column + low);
        if (run <= count) rows->run[i]++;
        count = spk_min(count, run);
      } else {
        count = kernels->run_length[itype](spk_at(t->indices, p, isize), count);
      }
      s->runs[runs++] = (spk_tile_run){p, (int32_t)i, (int32_t)column, (int32_t)count};
      memset(s->marks + column, 1, (size_t)count);
      *width = (int32_t)spk_max(*width, column + count);
      *entries += count;
      p += count;
    }
    rows->next[i] = p;
  }
  return runs;
}

static void run_window(const spk_sddmm_task *t, spk_dtype dtype, const spk_sddmm_scratch *s,
                       ptrdiff_t low, ptrdiff_t runs, ptrdiff_t count, const spk_kernels *kernels) {
  const size_t size = spk_dtype_size(dtype);
  spk_tile_task tile = {.q = s->q,
                        .K = spk_at(t->Yt, (low - t->base) * t->ldy, size),
                        .ldk = t->ldy,
                        .d = t->k,
                        .scores = s->scores,
                        .rows = s->rows,
                        .ld = SPK_SDDMM_CHUNK + SPK_TILE_ROWS};
  spk_place_task place = {.runs = s->runs,
                          .run_count = runs,
                          .where = s->where,
                          .rows = s->rows,
                          .ld = tile.ld,
                          .out = t->out,
                          .values = t->values,
                          .sampling = t->sampling};
  for (ptrdiff_t from = 0; from < count; from += SPK_SDDMM_CHUNK) {
    tile.keys = s->keys + from;
    tile.count = spk_min(SPK_SDDMM_CHUNK, count - from);
    kernels->sddmm_tile[dtype](&tile);
    place.from = from;
    place.count = tile.count;
    kernels->sddmm_place[dtype](&place);
  }
}

/* Sample entries [at, next) of each row, row by row. */
static void run_rows_alone(const spk_sddmm_task *t, spk_dtype dtype, spk_itype itype,
                           const tile_rows *rows, spk_sddmm_fn kernel) {
  int64_t begin64[SPK_TILE_ROWS], end64[SPK_TILE_ROWS];
  int32_t begin32[SPK_TILE_ROWS], end32[SPK_TILE_ROWS];
  for (ptrdiff_t i = 0; i < rows->rows; i++) {
    begin64[i] = rows->at[i], end64[i] = rows->next[i];
    begin32[i] = (int32_t)rows->at[i], end32[i] = (int32_t)rows->next[i];
  }
  spk_sddmm_task task = *t;
  task.X = spk_at(t->X, rows->first * t->ldx, spk_dtype_size(dtype));
  task.rows = rows->rows;
  task.begin = itype == SPK_I32 ? (const void *)begin32 : begin64;
  task.end = itype == SPK_I32 ? (const void *)end32 : end64;
  kernel(&task);
}

/* Transpose the tile's rows of X, unless they are. */
static void pack(const spk_sddmm_task *t, spk_dtype dtype, const spk_sddmm_scratch *s,
                 const tile_rows *rows, int *packed, const spk_kernels *kernels) {
  if (!*packed)
    kernels->tile_pack[dtype](s->q, spk_at(t->X, rows->first * t->ldx, spk_dtype_size(dtype)),
                              t->ldx, rows->rows, t->k, 1.0);
  *packed = 1;
}

/* Sample entries [at, next) of each row out of the scores of all columns [low, high]. */
static void run_all_columns(const spk_sddmm_task *t, spk_dtype dtype, spk_itype itype,
                            const spk_sddmm_scratch *s, const tile_rows *rows, ptrdiff_t low,
                            ptrdiff_t high, const spk_kernels *kernels) {
  ptrdiff_t next[SPK_TILE_ROWS];
  memcpy(next, rows->at, sizeof next);
  spk_tile_task tile = {.q = s->q,
                        .ldk = t->ldy,
                        .d = t->k,
                        .keys = s->keys,
                        .scores = s->scores,
                        .rows = s->rows,
                        .ld = SPK_SDDMM_CHUNK + SPK_TILE_ROWS};
  spk_take_task take = {.indices = t->indices,
                        .next = next,
                        .end = rows->next,
                        .rows = rows->rows,
                        .scores = s->rows,
                        .ld = tile.ld,
                        .out = t->out,
                        .values = t->values,
                        .sampling = t->sampling};
  for (ptrdiff_t from = low; from <= high; from += SPK_SDDMM_CHUNK) {
    const ptrdiff_t count = spk_min(SPK_SDDMM_CHUNK, high + 1 - from);
    for (ptrdiff_t i = 0; i < count + SPK_TILE_ROWS; i++)
      s->keys[i] = (int32_t)spk_min(i, count - 1);
    tile.K = spk_at(t->Yt, (from - t->base) * t->ldy, spk_dtype_size(dtype));
    tile.count = take.count = count;
    take.from = from;
    kernels->sddmm_tile[dtype](&tile);
    kernels->sddmm_take[dtype][itype](&take);
  }
}

/* Sample entries [at, next) of each row, which are no long runs. */
static void run_scattered(const spk_sddmm_task *t, spk_dtype dtype, spk_itype itype,
                          const spk_sddmm_scratch *s, const tile_rows *rows, int *packed,
                          const spk_kernels *kernels, spk_sddmm_fn kernel) {
  ptrdiff_t low = PTRDIFF_MAX, high = -1, entries = 0;
  for (ptrdiff_t i = 0; i < rows->rows; i++) {
    if (rows->at[i] == rows->next[i]) continue;
    low = spk_min(low, spk_index(t->indices, itype, rows->at[i]));
    high = spk_max(high, spk_index(t->indices, itype, rows->next[i] - 1));
    entries += rows->next[i] - rows->at[i];
  }
  if (entries > 0 &&
      spk_worth_all_columns((double)t->k, (double)entries, (double)(high - low + 1))) {
    pack(t, dtype, s, rows, packed, kernels);
    run_all_columns(t, dtype, itype, s, rows, low, high, kernels);
  } else {
    run_rows_alone(t, dtype, itype, rows, kernel);
  }
}

/* The first column that any row still has, or -1. */
static ptrdiff_t lowest(const spk_sddmm_task *t, spk_itype itype, const tile_rows *rows) {
  ptrdiff_t low = -1;
  for (ptrdiff_t i = 0; i < rows->rows; i++) {
    if (rows->at[i] == rows->end[i]) continue;
    const ptrdiff_t column = spk_index(t->indices, itype, rows->at[i]);
    if (low < 0 || column < low) low = column;
  }
  return low;
}

static void run_tile(const spk_sddmm_task *t, spk_dtype dtype, spk_itype itype,
                     const spk_sddmm_scratch *s, tile_rows *rows, const spk_kernels *kernels,
                     spk_sddmm_fn kernel) {
  int packed = 0;
  for (ptrdiff_t low; (low = lowest(t, itype, rows)) >= 0;) {
    ptrdiff_t entries;
    int32_t width;
    const ptrdiff_t runs = find_runs(t, itype, s, rows, low, &entries, &width, kernels);
    const ptrdiff_t count = collect(s, (size_t)width);
    const double k = (double)t->k, copying = (double)runs * SPK_SDDMM_RUN;
    const double left_out = (double)(width - count) * (k + SPK_SDDMM_COLUMN);
    if (copying <= (double)entries * SPK_SDDMM_TAKE + left_out &&
        spk_worth_a_tile(k, (double)entries, (double)count, copying)) {
      pack(t, dtype, s, rows, &packed, kernels);
      run_window(t, dtype, s, low, runs, count, kernels);
    } else {
      run_scattered(t, dtype, itype, s, rows, &packed, kernels, kernel);
    }
    memcpy(rows->at, rows->next, sizeof rows->at);
  }
}

static int goes_as_tile(const spk_sddmm_task *t, spk_itype itype, const tile_rows *rows,
                        ptrdiff_t tile) {
  if (!rows->column_runs) return worth_looking(t, itype, rows->first, rows->rows);
  return spk_tile_is_worth(rows->column_runs, tile, t->k);
}

void spk_sddmm_tiles(const spk_sddmm_task *task, spk_dtype dtype, spk_itype itype,
                     const spk_column_runs *column_runs, ptrdiff_t first, void *scratch,
                     const spk_kernels *kernels, spk_sddmm_fn rows_kernel) {
  const spk_sddmm_scratch s = spk_sddmm_scratch_in(scratch, dtype, task->k);
  memset(s.marks, 0, SPK_SDDMM_MARK_BYTES);
  for (ptrdiff_t row = 0; row < task->rows; row += SPK_TILE_ROWS) {
    tile_rows rows = {
        .column_runs = column_runs, .first = row, .rows = spk_min(SPK_TILE_ROWS, task->rows - row)};
    for (ptrdiff_t i = 0; i < rows.rows; i++) {
      rows.at[i] = spk_index(task->begin, itype, row + i);
      rows.end[i] = rows.next[i] = spk_index(task->end, itype, row + i);
      if (column_runs) rows.run[i] = column_runs->offsets[first + row + i];
    }
    if (goes_as_tile(task, itype, &rows, (first + row) / SPK_TILE_ROWS))
      run_tile(task, dtype, itype, &s, &rows, kernels, rows_kernel);
    else
      run_scattered(task, dtype, itype, &s, &rows, &(int){0}, kernels, rows_kernel);
  }
}
