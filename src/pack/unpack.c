#include "unpack.h"

#include "../common/float16.h"
#include "reduced_precision.h"

/* What is needed to put back an entry of a packed matrix. */
typedef struct source {
  const spk_unpacked *to;
  const void *values;
  spk_dtype dtype;
  spk_storage storage;
  const float *scales; /* one per row; NULL: 1 */
} source;

/* Value number i of an array, without its scale. */
static float stored_value(const void *values, ptrdiff_t i, spk_storage storage) {
  const uint8_t *bytes = values;
  const uint16_t *halves = values;
  switch (storage) {
    case SPK_STORAGE_S4:
      return (float)((int8_t)(uint8_t)(i % 2 ? bytes[i / 2] & 0xf0 : bytes[i / 2] << 4) / 16);
    case SPK_STORAGE_S8:
      return (float)(int8_t)bytes[i];
    case SPK_STORAGE_F16:
      return spk_from_f16(halves[i]);
    case SPK_STORAGE_BF16:
      return spk_from_bf16(halves[i]);
    default:
      return ((const float *)values)[i];
  }
}

static void put(const source *from, ptrdiff_t row, ptrdiff_t col, ptrdiff_t value) {
  const spk_unpacked *to = from->to;
  const ptrdiff_t at = to->next[row]++;
  if (!to->values) return;
  if (to->itype == SPK_I32)
    ((int32_t *)to->indices)[at] = (int32_t)col;
  else
    ((int64_t *)to->indices)[at] = (int64_t)col;
  if (from->dtype == SPK_F64)
    ((double *)to->values)[at] = ((const double *)from->values)[value];
  else
    ((float *)to->values)[at] = stored_value(from->values, value, from->storage) *
                                (from->scales ? from->scales[row] : 1.0f);
}

/* Where the next group of rows begins in the arrays of a row panel.  `first` is the first row of
 * the row panel, and `col` the first column of the block. */
typedef struct group_at {
  const uint16_t *ids, *offsets;
  ptrdiff_t value, first, col;
} group_at;

/* Put back a group of `size` rows in lockstep, which has one offset for each `common` rows, and
 * move to the next group. */
static void unpack_group(const source *from, group_at *g, ptrdiff_t size, ptrdiff_t entries,
                         ptrdiff_t common, ptrdiff_t padding) {
  for (ptrdiff_t i = 0; i < size; i++)
    for (ptrdiff_t e = 0; e < entries; e++) {
      const ptrdiff_t offset = g->offsets[(e * size + i) / common];
      if (offset != padding)
        put(from, g->first + g->ids[i], g->col + offset, g->value + e * size + i);
    }
  g->ids += size;
  g->offsets += size * entries / common;
  g->value += size * entries;
}

void spk_row_panels_unpack(const spk_row_panels *A, const spk_unpacked *to) {
  for (ptrdiff_t number = 0; number < A->row_panels; number++) {
    const spk_row_panel *s = &A->row_panel[number];
    const source from = {to, s->values, A->dtype, A->storage, NULL};
    for (ptrdiff_t part = 0; part < 2 * A->blocks; part++) {
      const spk_row_panel_cell *cell = &s->cells[part];
      const int paired_rows = part % 2 == 0;
      const ptrdiff_t common = paired_rows ? SPK_PAIRED_SHARE : 1;
      group_at g = {s->row_ids + cell->row, s->offsets + cell->offset, cell->entry,
                    number * A->row_panel_rows, part / 2 * A->block_rows};
      for (ptrdiff_t r = cell[0].run; r < cell[1].run; r++) {
        const ptrdiff_t entries = s->runs[r].entries;
        /* Rows are grouped as in the kernels: the rest of a run of paired rows goes by halves, the
         * rest of another run row by row. */
        ptrdiff_t size = paired_rows ? SPK_PAIRED_GROUP : A->group;
        for (ptrdiff_t rows = s->runs[r].rows; rows > 0; rows -= size) {
          while (size > rows) size = paired_rows ? size / 2 : 1;
          unpack_group(&from, &g, size, entries, common, A->block_rows);
        }
      }
    }
  }
}

/* Where the next segment of a row panel of SELL slices begins, in steps and in words of
 * permutes. */
typedef struct segment_at {
  const spk_sell_segment *segment;
  ptrdiff_t step, permute;
} segment_at;

/* The row in a lane of a slice, or -1 if the lane has none. */
static ptrdiff_t row_of(const spk_sell *A, ptrdiff_t row_panel, ptrdiff_t slice, ptrdiff_t lane) {
  const ptrdiff_t at = row_panel * A->row_panel_rows + slice * A->lanes + lane;
  return at < A->rows ? (ptrdiff_t)A->row_ids[at] : -1;
}

/* Put back a segment whose elements of x are selected from a window.  Padding
 * selects what lies behind the columns of a window. */
static void unpack_window(const source *from, const spk_sell *A, ptrdiff_t row_panel,
                          segment_at *at, ptrdiff_t steps, int bits) {
  const ptrdiff_t lanes = A->lanes, codes_per_word = 32 / bits, width = A->window_columns;
  const ptrdiff_t words = (ptrdiff_t)(spk_dtype_size(A->dtype) / sizeof *A->permutes);
  const uint32_t codes = (uint32_t)(2 * lanes * words - 1);
  for (ptrdiff_t lane = 0; lane < lanes; lane++) {
    const ptrdiff_t row = row_of(A, row_panel, at->segment->slice, lane);
    for (ptrdiff_t step = 0; step < steps && row >= 0; step++) {
      const ptrdiff_t word = at->permute + (step / codes_per_word * lanes + lane) * words;
      const uint32_t code = A->permutes[word] >> (int)(step % codes_per_word) * bits & codes;
      const ptrdiff_t place = (ptrdiff_t)code / words;
      if (place < width)
        put(from, row, at->segment->window * width + place, (at->step + step) * lanes + lane);
    }
  }
}

/* Put back a segment of rows that share their columns, which are stored as numbers. */
static void unpack_shared(const source *from, const spk_sell *A, ptrdiff_t row_panel,
                          segment_at *at, const spk_sell_run *run) {
  const ptrdiff_t lanes = A->lanes;
  const int by_blocks = run->shared == SPK_SELL_BLOCKS;
  const ptrdiff_t groups = by_blocks ? lanes / 4 : (ptrdiff_t)run->shared, of = by_blocks ? 4 : 1;
  for (ptrdiff_t lane = 0; lane < lanes; lane++) {
    const ptrdiff_t row = row_of(A, row_panel, at->segment->slice, lane);
    for (ptrdiff_t step = 0; step < (ptrdiff_t)run->steps && row >= 0; step++) {
      const ptrdiff_t place =
          (ptrdiff_t)A->permutes[at->permute + step / of * groups + lane * groups / lanes];
      if (place < A->cols) put(from, row, place + step % of, (at->step + step) * lanes + lane);
    }
  }
}

void spk_sell_unpack(const spk_sell *A, int permute_bits, const spk_unpacked *to) {
  const source from = {to, A->values, A->dtype, A->storage, A->scales};
  const size_t vector = (size_t)A->lanes * spk_dtype_size(A->dtype);
  const ptrdiff_t words = (ptrdiff_t)(vector / sizeof *A->permutes);
  for (ptrdiff_t row_panel = 0; row_panel < A->row_panels; row_panel++) {
    const spk_sell_row_panel *begin = &A->begin[row_panel];
    segment_at at = {A->segments + begin->segment, begin->step, begin->permute * words};
    for (ptrdiff_t r = begin[0].run; r < begin[1].run; r++) {
      const spk_sell_run *run = &A->runs[r];
      const ptrdiff_t permutes = spk_sell_permutes(run, permute_bits, A->lanes, vector) * words;
      for (ptrdiff_t c = 0; c < (ptrdiff_t)run->segments; c++) {
        if (run->shared)
          unpack_shared(&from, A, row_panel, &at, run);
        else
          unpack_window(&from, A, row_panel, &at, run->steps, permute_bits);
        at.segment++;
        at.step += run->steps;
        at.permute += permutes;
      }
    }
  }
}

void spk_bitmap_unpack(const spk_bitmap *A, const spk_unpacked *to) {
  for (ptrdiff_t row = 0; row < A->rows; row++) {
    const char *values =
        (const char *)A->values + spk_bitmap_value_bytes(A->storage, A->begin[row]);
    ptrdiff_t i = 0;
    for (ptrdiff_t p = 0; p < A->pieces; p++)
      for (uint64_t left = A->bits[row * A->pieces + p]; left; left &= left - 1, i++) {
        const ptrdiff_t col = p * SPK_PIECE + spk_lowest_bit(left);
        float value = 0;
        if (to->values) value = stored_value(values, i, A->storage);
        if (to->values && A->groups) value *= A->scales[row * A->groups + col / A->group];
        const source from = {to, &value, SPK_F32, SPK_STORAGE_SAME, NULL};
        put(&from, row, col, 0);
      }
  }
}
