/* Stores the sums of int8 products to C: scales, zero points, bias, activation, and the type of
 * C. */

/* A line: neighbouring sums in a row or in a column of C, with a factor and a bias for each sum or
 * one for all.  Compilers turn each loop over a line into vectors.  The bits are the same for any
 * line, because every operation is rounded by itself. */
typedef struct spk_line {
  union {
    int32_t whole[SPK_INT8_TILE];
    float x[SPK_INT8_TILE];
  } u;
  float scale[SPK_INT8_TILE], bias[SPK_INT8_TILE];
} spk_line;

/* A loop over a line of constant length.  GCC makes the fastest code of a short line if it remains
 * a loop until it is vectorised (5 against 21 ns), and of a long line if not (8 against 12 ns; Zen
 * 5). */
#define SPK_LINE_LOOP(e, n, ...)                                      \
  do {                                                                \
    if ((n) <= 2 * SPK_LANES_f32) {                                   \
      SPK_ROLLED for (ptrdiff_t e = 0; e < (n); e++) { __VA_ARGS__; } \
    } else {                                                          \
      for (ptrdiff_t e = 0; e < (n); e++) {                           \
        __VA_ARGS__;                                                  \
      }                                                               \
    }                                                                 \
  } while (0)

SPK_INLINE void spk_line_scale(spk_line *l, int one_scale, int one_bias, int relu, ptrdiff_t n) {
  SPK_LINE_LOOP(j, n, {
    const float scaled = (float)l->u.whole[j] * l->scale[one_scale ? 0 : j];
    l->u.x[j] = scaled + l->bias[one_bias ? 0 : j];
  });
  if (relu) SPK_LINE_LOOP(j, n, l->u.x[j] = l->u.x[j] < 0.0f ? 0.0f : l->u.x[j]);
}

/* Round to the nearest integer, ties to even, and clamp to [low, high], whose magnitudes are below
 * 2^9.  NaN becomes low. */
SPK_INLINE void spk_line_round(spk_line *l, float step, int32_t low, int32_t high, int32_t zero,
                               ptrdiff_t n) {
  const float least = (float)(low - zero), most = (float)(high - zero);
  SPK_LINE_LOOP(j, n, {
    float y = l->u.x[j] / step;
    y = y > least ? y : least;
    y = y < most ? y : most;
    l->u.whole[j] = (int32_t)((y + 0x1.8p23f) - 0x1.8p23f) + zero;
  });
}

/* Store the first n numbers of a line to C.  No masked store is used: if C held the sums, the load
 * of the next sums would wait for it (13 against 5 ns for 8 columns, Zen 5; doc/decisions/int8.rst,
 * decision-int8-masked-store). */
SPK_INLINE void spk_line_store(const spk_line *l, float *c, ptrdiff_t step, ptrdiff_t n) {
  if (step == 1 && n == SPK_INT8_TILE)
    memcpy(c, l->u.x, SPK_INT8_TILE * sizeof *c);
  else if (step == 1)
    memcpy(c, l->u.x, (size_t)n * sizeof *c);
  else
    for (ptrdiff_t j = 0; j < n; j++) memcpy(c + j * step, &l->u.x[j], sizeof *c);
}

/* Factors and zero points of columns, filled up with zeros. */
typedef struct spk_columns {
  float scale[SPK_INT8_TILE];
  int32_t zeros[SPK_INT8_TILE];
} spk_columns;

/* Store n elements from (i, j) on: of a row (`per` 0), of a column (`per` 1), or of whole
 * contiguous rows of `per` elements each.  The loops run to `most`, a constant that is not less
 * than n.  Elements beyond n hold whatever follows the sums, if `ahead` elements follow, and do not
 * matter.  `own`, for `per` 0 or 1, holds factors and zero points of columns, or is NULL. */
SPK_INLINE void spk_int8_store_line(const spk_int8_store_task *t, ptrdiff_t i, ptrdiff_t j,
                                    ptrdiff_t n, const ptrdiff_t most, const ptrdiff_t per,
                                    const spk_columns *own, ptrdiff_t ahead) {
  const spk_requantise *how = t->how;
  const int32_t *sums = t->sums + i * t->sum_row_stride + j * t->sum_col_stride;
  const ptrdiff_t sum_step = per == 1 ? t->sum_row_stride : t->sum_col_stride;
  const ptrdiff_t step = per == 1 ? t->row_stride : t->col_stride;
  const ptrdiff_t rows = per ? n / per : 1, each = per ? per : 1; /* elements per row */
  spk_line l;
  if (sum_step == 1 && ahead >= most)
    memcpy(l.u.whole, sums, (size_t)most * sizeof *sums);
  else
    for (ptrdiff_t e = 0; e < most; e++) l.u.whole[e] = e < n ? sums[e * sum_step] : 0;
  /* Elements beyond n must not overflow, so they are computed without a sign. */
  if (per == 1) {
    const int32_t *row_sums = t->row_sums + i, shift = t->shift + (own ? own->zeros[j] : 0);
    for (ptrdiff_t e = 0; e < n; e++) l.u.whole[e] -= shift * row_sums[e];
  } else if (own) {
    const uint32_t row_sum = (uint32_t)t->row_sums[i], shift = (uint32_t)t->shift;
    SPK_LINE_LOOP(e, most, {
      const uint32_t less = (shift + (uint32_t)own->zeros[e]) * row_sum;
      l.u.whole[e] = (int32_t)((uint32_t)l.u.whole[e] - less);
    });
  } else if (!per) {
    const uint32_t less = (uint32_t)(t->shift * t->row_sums[i]);
    SPK_LINE_LOOP(e, most, l.u.whole[e] = (int32_t)((uint32_t)l.u.whole[e] - less));
  } else {
    for (ptrdiff_t r = 0; r < rows; r++)
      for (ptrdiff_t e = 0; e < each; e++) l.u.whole[r * each + e] -= t->shift * t->row_sums[i + r];
  }
  void *c = spk_at_mut(t->C, i * t->row_stride + j * t->col_stride, spk_result_size(how->result));
  if (how->result != SPK_RESULT_I32) {
    for (ptrdiff_t r = 0; r < rows; r++) {
      const float scale = how->scale ? how->scale[i + r] : 1.0f;
      const float bias = how->bias ? how->bias[i + r] : 0.0f;
      for (ptrdiff_t e = 0; e < each; e++) {
        l.scale[r * each + e] = own && per ? scale * own->scale[j] : scale;
        l.bias[r * each + e] = bias;
      }
    }
    for (ptrdiff_t e = n; per && e < most; e++) l.scale[e] = l.bias[e] = 0.0f;
    if (own && !per) {
      const float scale = l.scale[0];
      SPK_LINE_LOOP(e, most, l.scale[e] = scale * own->scale[e]);
    }
    spk_line_scale(&l, !per && !own, !per, how->activation == SPK_RELU, most);
    if (how->activation > SPK_RELU)
      SPK_NAME2(f32, activate_row, SPK_ISA_NAME)(l.u.x, n, how->activation);
  }
  if (how->result <= SPK_RESULT_F32) {
    spk_line_store(&l, c, step, n);
    return;
  }
  const int32_t low = how->result == SPK_RESULT_S8 ? -128 : 0;
  spk_line_round(&l, how->out_scale, low, low + 255, how->out_zero_point, most);
  uint8_t bytes[SPK_INT8_TILE], *to = c;
  SPK_LINE_LOOP(e, most, bytes[e] = (uint8_t)l.u.whole[e]);
  if (step == 1)
    memcpy(to, bytes, (size_t)n);
  else
    for (ptrdiff_t e = 0; e < n; e++) to[e * step] = bytes[e];
}

/* With this many columns or fewer, sums go column by column, because rows would be short lines: 2.2
 * against 6 ns a row of four columns. */
#define SPK_FEW_COLUMNS 4

/* Store all rows of `per` elements each, several rows at a time: 1.8 ns a row of 8 columns.  For 16
 * columns this takes longer than row by row. */
SPK_INLINE void spk_int8_store_close(const spk_int8_store_task *t, const ptrdiff_t per) {
  const ptrdiff_t some = SPK_INT8_TILE / per;
  for (ptrdiff_t i = 0; i < t->rows; i += some)
    spk_int8_store_line(t, i, 0, spk_min(some, t->rows - i) * per, SPK_INT8_TILE, per, NULL,
                        (t->rows - i) * per);
}

/* Store column by column; `own` as for a line. */
SPK_INLINE void spk_int8_store_columns(const spk_int8_store_task *t, const spk_columns *own) {
  for (ptrdiff_t j = 0; j < t->cols; j++)
    for (ptrdiff_t i = 0; i < t->rows; i += SPK_INT8_TILE)
      spk_int8_store_line(t, i, j, spk_min(SPK_INT8_TILE, t->rows - i), SPK_INT8_TILE, 1, own,
                          t->rows - i);
}

/* For columns with scales or zero points of their own.  The function is separate because the other
 * case is faster without these tests. */
static void SPK_NAME1(int8_store_by_column, SPK_ISA_NAME)(const spk_int8_store_task *t) {
  const ptrdiff_t rows = t->rows, cols = t->cols, lanes = SPK_LANES_f32;
  const spk_requantise *how = t->how;
  spk_columns own = {{0}, {0}};
  for (ptrdiff_t j = 0; j < cols; j++) {
    own.scale[j] = how->column_scale ? how->column_scale[j] : 1.0f;
    own.zeros[j] = how->column_zero_points ? how->column_zero_points[j] : 0;
  }
  if (cols <= SPK_FEW_COLUMNS) {
    spk_int8_store_columns(t, &own);
    return;
  }
  for (ptrdiff_t i = 0; i < rows; i++) {
    const ptrdiff_t ahead = (rows - 1 - i) * spk_max(0, t->sum_row_stride) + cols;
    if (cols <= lanes)
      spk_int8_store_line(t, i, 0, cols, lanes, 0, &own, ahead);
    else if (cols <= 2 * lanes)
      spk_int8_store_line(t, i, 0, cols, 2 * lanes, 0, &own, ahead);
    else
      spk_int8_store_line(t, i, 0, cols, SPK_INT8_TILE, 0, &own, ahead);
  }
}

static void SPK_NAME1(int8_store_rows, SPK_ISA_NAME)(const spk_int8_store_task *t) {
  if ((t->how->result != SPK_RESULT_I32 && t->how->column_scale) || t->how->column_zero_points) {
    SPK_NAME1(int8_store_by_column, SPK_ISA_NAME)(t);
    return;
  }
  const ptrdiff_t rows = t->rows, cols = t->cols, tile = SPK_INT8_TILE, lanes = SPK_LANES_f32;
  const int side_by_side = t->sum_row_stride == cols && t->sum_col_stride == 1 &&
                           t->row_stride == cols && t->col_stride == 1;
  if (side_by_side && cols == 4)
    spk_int8_store_close(t, 4);
  else if (side_by_side && cols == 8)
    spk_int8_store_close(t, 8);
  else if (cols <= SPK_FEW_COLUMNS)
    spk_int8_store_columns(t, NULL);
  else
    for (ptrdiff_t i = 0; i < rows; i++) {
      const ptrdiff_t ahead = (rows - 1 - i) * spk_max(0, t->sum_row_stride) + cols;
      if (cols == lanes)
        spk_int8_store_line(t, i, 0, lanes, lanes, 0, NULL, ahead);
      else if (cols < lanes)
        spk_int8_store_line(t, i, 0, cols, lanes, 0, NULL, ahead);
      else if (cols == 2 * lanes)
        spk_int8_store_line(t, i, 0, 2 * lanes, 2 * lanes, 0, NULL, ahead);
      else if (cols < 2 * lanes)
        spk_int8_store_line(t, i, 0, cols, 2 * lanes, 0, NULL, ahead);
      else if (cols == tile)
        spk_int8_store_line(t, i, 0, tile, tile, 0, NULL, ahead);
      else
        spk_int8_store_line(t, i, 0, cols, tile, 0, NULL, ahead);
    }
}

/* The bytes of sums of rows that are finished before they go to columns of C.  They stay in L1. */
#define SPK_STORE_BYTES 16384

/* If rows of C are not contiguous, sums are finished in place and then copied, so that whole lines
 * of C are written (64 columns of 2048 rows: 0.1 ns an element, 4 one by one). */
static void SPK_NAME1(int8_store_strided, SPK_ISA_NAME)(const spk_int8_store_task *t) {
  const size_t size = spk_result_size(t->how->result);
  /* In units of C's elements, so that a finished row never overwrites sums that are still
   * unread. */
  const ptrdiff_t ld = t->sum_row_stride;
  const ptrdiff_t most = spk_max(1, SPK_STORE_BYTES / (4 * ld));
  for (ptrdiff_t i = 0; i < t->rows; i += most) {
    const ptrdiff_t rows = spk_min(most, t->rows - i);
    spk_requantise how = *t->how;
    spk_int8_store_task some = *t;
    if (how.scale) how.scale += i;
    if (how.bias) how.bias += i;
    some.how = &how;
    some.sums += i * t->sum_row_stride;
    some.row_sums += i;
    some.rows = rows;
    some.C = some.sums;
    some.row_stride = ld;
    some.col_stride = 1;
    SPK_NAME1(int8_store_rows, SPK_ISA_NAME)(&some);
    void *c = spk_at_mut(t->C, i * t->row_stride, size);
    const uint8_t *bytes = some.C;
    if (size == 4)
      SPK_NAME2(f32, unpack, SPK_ISA_NAME)(some.C, ld, c, t->row_stride, t->col_stride, rows,
                                           t->cols);
    else if (t->row_stride == 1)
      SPK_NAME1(bytes_transpose, SPK_ISA_NAME)(c, t->col_stride, bytes, ld, t->cols, rows, 0);
    else
      for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t j = 0; j < t->cols; j++)
          ((uint8_t *)c)[r * t->row_stride + j * t->col_stride] = bytes[r * ld + j];
  }
}

static void SPK_NAME1(int8_store, SPK_ISA_NAME)(const spk_int8_store_task *t) {
  if (t->col_stride != 1 && t->sum_col_stride == 1 && t->cols > SPK_FEW_COLUMNS)
    SPK_NAME1(int8_store_strided, SPK_ISA_NAME)(t);
  else
    SPK_NAME1(int8_store_rows, SPK_ISA_NAME)(t);
}
