#include "slices.h"

#include <stdlib.h>
#include <string.h>

#include "../driver/parallel.h"
#include "parts.h"

/* Rows among which those of a slice are chosen. */
#define SIGMA 256

/* 2 MiB of x: it is copied into the workspace at every product. */
#define MOST_WINDOWS ((ptrdiff_t)1 << 14)

/* Places per entry; uniform rows have 2 at 90% sparsity, 4 at 98%. */
#define MOST_PADDING 8.0

typedef struct packing {
  const spk_sparse *A;
  spk_slices *into;
} packing;

int spk_slices_suit(const spk_sparse *A, const spk_kernels *kernels) {
  if (!kernels->spmv_slices[A->dtype] || !(A->flags & SPK_SORTED)) return 0;
  const ptrdiff_t lanes = kernels->lanes[A->dtype];
  const ptrdiff_t windows = spk_ceil_div(A->cols, spk_window_columns(lanes));
  const double cells = (double)spk_ceil_div(A->rows, lanes) * (double)windows;
  /* With fewer entries than cells, most steps would hold a single one. */
  return windows <= MOST_WINDOWS && A->rows < UINT32_MAX && (double)A->nnz >= cells;
}

static ptrdiff_t length_of(const spk_sparse *A, ptrdiff_t row) {
  return spk_index(A->offsets, A->itype, row + 1) - spk_index(A->offsets, A->itype, row);
}

/* Rows of one SIGMA by their length, longest first; equal ones stay in order. */
static void sort_rows(const spk_sparse *A, ptrdiff_t first, ptrdiff_t last, uint32_t *ids) {
  for (ptrdiff_t i = first; i < last; i++) {
    ptrdiff_t at = i - first;
    const ptrdiff_t length = length_of(A, i);
    for (; at > 0 && length_of(A, ids[at - 1]) < length; at--) ids[at] = ids[at - 1];
    ids[at] = (uint32_t)i;
  }
}

/* The steps of a slice in the order of windows; what each holds goes to `fill`, unless NULL. */
static ptrdiff_t walk(const spk_sparse *A, const spk_slices *s, ptrdiff_t slice, spk_slices *fill) {
  const ptrdiff_t lanes = s->lanes, width = spk_window_columns(lanes);
  const size_t size = spk_dtype_size(A->dtype);
  ptrdiff_t next[SPK_MOST_LANES], last[SPK_MOST_LANES];
  for (ptrdiff_t l = 0; l < lanes; l++) {
    const ptrdiff_t row = s->row_ids[slice * lanes + l];
    next[l] = row < A->rows ? spk_index(A->offsets, A->itype, row) : 0;
    last[l] = row < A->rows ? spk_index(A->offsets, A->itype, row + 1) : 0;
  }
  ptrdiff_t steps = 0;
  for (;;) {
    /* The next window that holds anything. */
    ptrdiff_t least = A->cols;
    for (ptrdiff_t l = 0; l < lanes; l++)
      if (next[l] < last[l]) least = spk_min(least, spk_index(A->indices, A->itype, next[l]));
    if (least == A->cols) return steps;
    const ptrdiff_t window = least / width, end = (window + 1) * width;
    ptrdiff_t most = 0;
    for (ptrdiff_t l = 0; l < lanes; l++) {
      ptrdiff_t count = 0;
      for (; next[l] < last[l] && spk_index(A->indices, A->itype, next[l]) < end; next[l]++) {
        if (fill) {
          const ptrdiff_t step = s->begin[slice] + steps + count, at = step * lanes + l;
          fill->picks[at] = (uint8_t)(spk_index(A->indices, A->itype, next[l]) - window * width);
          memcpy(spk_at_mut(fill->values, at, size), spk_at(A->values, next[l], size), size);
        }
        count++;
      }
      most = spk_max(most, count);
    }
    if (fill)
      for (ptrdiff_t i = 0; i < most; i++)
        fill->window[s->begin[slice] + steps + i] = (uint16_t)window;
    steps += most;
  }
}

static void sort_part(void *context, ptrdiff_t task, int worker) {
  (void)worker;
  const packing *job = context;
  const ptrdiff_t first = task * SIGMA, last = spk_min(job->A->rows, first + SIGMA);
  sort_rows(job->A, first, last, job->into->row_ids + first);
}

static void count_slice(void *context, ptrdiff_t slice, int worker) {
  (void)worker;
  const packing *job = context;
  job->into->begin[slice + 1] = walk(job->A, job->into, slice, NULL);
}

static void fill_slice(void *context, ptrdiff_t slice, int worker) {
  (void)worker;
  const packing *job = context;
  walk(job->A, job->into, slice, job->into);
}

spk_status spk_slices_make(const spk_sparse *A, int threads, const spk_kernels *kernels,
                           spk_slices **made) {
  const ptrdiff_t lanes = kernels->lanes[A->dtype];
  spk_slices *s = malloc(sizeof *s);
  if (!s) return SPK_ERR_MEMORY;
  *s = (spk_slices){.dtype = A->dtype, .rows = A->rows, .cols = A->cols, .nnz = A->nnz};
  s->lanes = lanes;
  s->slices = spk_ceil_div(A->rows, lanes);
  s->windows = spk_ceil_div(A->cols, spk_window_columns(lanes));
  const ptrdiff_t places = s->slices * lanes;
  s->begin = calloc((size_t)s->slices + 1, sizeof *s->begin);
  s->row_ids = malloc(((size_t)places + 1) * sizeof *s->row_ids);
  if (!s->begin || !s->row_ids) goto no_memory;
  for (ptrdiff_t i = A->rows; i < places; i++) s->row_ids[i] = (uint32_t)A->rows;
  packing job = {A, s};
  const int most = spk_choose_threads(threads, 8.0 * (double)A->nnz);
  spk_parallel(most, (spk_phase){0}, (spk_phase){spk_ceil_div(A->rows, SIGMA), sort_part}, &job);
  spk_parallel(most, (spk_phase){0}, (spk_phase){s->slices, count_slice}, &job);
  for (ptrdiff_t i = 0; i < s->slices; i++) s->begin[i + 1] += s->begin[i];
  if ((double)s->begin[s->slices] * (double)lanes > MOST_PADDING * (double)A->nnz) {
    spk_slices_free(s);
    return SPK_OK;
  }
  const size_t steps = (size_t)s->begin[s->slices], entries = steps * (size_t)lanes;
  const size_t value_bytes = spk_slice(entries * spk_dtype_size(A->dtype)) + SPK_ALIGN;
  s->window = malloc((steps + 1) * sizeof *s->window);
  s->picks = malloc(entries + 1);
  s->values = aligned_alloc(SPK_ALIGN, value_bytes);
  if (!s->window || !s->picks || !s->values) goto no_memory;
  memset(s->picks, (int)spk_window_columns(lanes), entries);
  memset(s->values, 0, value_bytes);
  spk_parallel(most, (spk_phase){0}, (spk_phase){s->slices, fill_slice}, &job);
  s->bytes = sizeof *s + ((size_t)s->slices + 1) * sizeof *s->begin +
             (size_t)places * sizeof *s->row_ids + steps * sizeof *s->window + entries +
             value_bytes;
  *made = s;
  return SPK_OK;
no_memory:
  spk_slices_free(s);
  return SPK_ERR_MEMORY;
}

void spk_slices_free(spk_slices *slices) {
  if (!slices) return;
  free(slices->begin);
  free(slices->row_ids);
  free(slices->window);
  free(slices->picks);
  free(slices->values);
  free(slices);
}

ptrdiff_t spk_slices_part(const spk_slices *A, ptrdiff_t part, ptrdiff_t parts) {
  return spk_balanced_part(A->begin, A->slices, 1.0, part, parts);
}
