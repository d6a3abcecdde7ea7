#include "sparse.h"

static const char *const names[FORMATS] = {"CSR", "CSC", "COO", "BSR"};

const char *sparse_format_name(spk_format format) { return names[format]; }

double sparse_value(const sparse *s, ptrdiff_t entry) {
  return get_value(s->view.values, s->view.dtype, entry);
}

static void *index_array(ptrdiff_t count, spk_itype itype) {
  return exact_memory((size_t)count * spk_itype_size(itype));
}

/* Lengths of rows: one empty, the others from 0 to twice the average. */
static ptrdiff_t random_offsets(ptrdiff_t outer, ptrdiff_t inner, ptrdiff_t entries,
                                spk_itype itype, void *offsets) {
  const ptrdiff_t per_row = spk_ceil_div(entries, spk_max(1, outer));
  ptrdiff_t count = 0;
  put_index(offsets, itype, 0, 0);
  for (ptrdiff_t i = 0; i < outer; i++) {
    if (i != outer / 2 && inner > 0) count += random_below(2 * per_row + 1);
    put_index(offsets, itype, i + 1, count);
  }
  return count;
}

static void indices_in_runs(void *indices, spk_itype itype, ptrdiff_t from, ptrdiff_t to,
                            ptrdiff_t below) {
  ptrdiff_t at = random_below(1 + below / 8);
  for (ptrdiff_t p = from; p < to; p++) {
    put_index(indices, itype, p, at);
    const ptrdiff_t step = random_below(40);
    at += step == 0 ? 0 : step == 1 ? 1 + random_below(1 + below / 20) : 1;
    if (at >= below) at = below - 1;
  }
}

/* `count` of 0 .. below-1; in order and with repeats if sorted. */
static void random_indices(void *indices, spk_itype itype, ptrdiff_t from, ptrdiff_t to,
                           ptrdiff_t below, int sorted) {
  for (ptrdiff_t p = from; p < to; p++) {
    if (!sorted) {
      put_index(indices, itype, p, random_below(below));
      continue;
    }
    /* Evenly spread, jittered, never falling. */
    const ptrdiff_t low = (p - from) * below / (to - from);
    const ptrdiff_t high = (p - from + 1) * below / (to - from);
    put_index(indices, itype, p, low + random_below(high - low));
  }
}

static void shuffle(void *a, void *b, spk_itype itype, ptrdiff_t count) {
  for (ptrdiff_t p = count - 1; p > 0; p--) {
    const ptrdiff_t q = random_below(p + 1);
    void *const arrays[] = {a, b};
    for (int x = 0; x < 2; x++) {
      const int64_t at_p = spk_index(arrays[x], itype, p);
      put_index(arrays[x], itype, p, spk_index(arrays[x], itype, q));
      put_index(arrays[x], itype, q, at_p);
    }
  }
}

static void list_blocks(sparse *s, ptrdiff_t outer) {
  const ptrdiff_t R = s->view.block_rows, W = s->view.block_cols;
  ptrdiff_t at = 0;
  for (ptrdiff_t i = 0; i < outer; i++)
    for (ptrdiff_t p = spk_index(s->view.offsets, s->view.itype, i);
         p < spk_index(s->view.offsets, s->view.itype, i + 1); p++)
      for (ptrdiff_t r = 0; r < R; r++)
        for (ptrdiff_t c = 0; c < W; c++, at++) {
          const ptrdiff_t index = spk_index(s->view.indices, s->view.itype, p);
          s->row[at] = s->view.format == SPK_CSC ? index : i * R + r;
          s->col[at] = s->view.format == SPK_CSC ? i : index * W + c;
        }
}

sparse sparse_random(const sparse_shape *shape) {
  const int coo = shape->format == SPK_COO, csc = shape->format == SPK_CSC;
  const spk_itype itype = shape->itype;
  const ptrdiff_t outer = csc ? shape->cols : shape->rows / shape->block_rows;
  const ptrdiff_t inner = csc ? shape->rows : shape->cols / shape->block_cols;
  void *offsets = index_array(outer + 1, itype);
  const ptrdiff_t area = shape->block_rows * shape->block_cols;
  const ptrdiff_t count = random_offsets(outer, inner, shape->entries / area, itype, offsets);
  void *indices = index_array(count, itype);
  for (ptrdiff_t i = 0; i < outer; i++)
    random_indices(indices, itype, spk_index(offsets, itype, i), spk_index(offsets, itype, i + 1),
                   inner, shape->sorted && !coo);
  for (ptrdiff_t i = 0; i < outer && shape->sorted == IN_RUNS; i++)
    indices_in_runs(indices, itype, spk_index(offsets, itype, i), spk_index(offsets, itype, i + 1),
                    inner);
  sparse s = {.entries = count * area};
  void *values = exact_memory((size_t)s.entries * spk_dtype_size(shape->dtype));
  for (ptrdiff_t p = 0; p < s.entries; p++) put_value(values, shape->dtype, p, random_number());
  s.view = (spk_sparse){.format = shape->format,
                        .dtype = shape->dtype,
                        .itype = itype,
                        .rows = shape->rows,
                        .cols = shape->cols,
                        .nnz = count,
                        .block_rows = shape->block_rows,
                        .block_cols = shape->block_cols,
                        .offsets = offsets,
                        .indices = indices,
                        .values = values};
  s.row = exact_memory((size_t)s.entries * sizeof *s.row);
  s.col = exact_memory((size_t)s.entries * sizeof *s.col);
  if (!coo) {
    list_blocks(&s, outer);
    return s;
  }
  void *row_indices = index_array(count, itype);
  for (ptrdiff_t i = 0; i < outer; i++)
    for (ptrdiff_t p = spk_index(offsets, itype, i); p < spk_index(offsets, itype, i + 1); p++)
      put_index(row_indices, itype, p, i);
  if (!shape->sorted) shuffle(row_indices, indices, itype, count);
  for (ptrdiff_t p = 0; p < count; p++) {
    s.row[p] = spk_index(row_indices, itype, p);
    s.col[p] = spk_index(indices, itype, p);
  }
  s.view.row_indices = row_indices;
  s.view.offsets = NULL;
  return s;
}
