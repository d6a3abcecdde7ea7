/* Sums of int8 products into C: scales, zero points, bias, activation, and the type of C. */

/* Neighbours in a row or in a column of what is stored: sums, and factors and biases, of each one
 * or of all (`one`).  Each loop over them is one that compilers turn into vectors; the bits are the
 * same for all, as every operation is rounded for itself. */
typedef struct spk_line {
  union {
    int32_t whole[SPK_INT8_TILE];
    float x[SPK_INT8_TILE];
  } u;
  float scale[SPK_INT8_TILE], bias[SPK_INT8_TILE];
} spk_line;

/* A loop over a line of constant length.  GCC makes the fastest code of a short one if it stays a
 * loop until it becomes vectors, of a long one if not: 5 against 21 ns, 8 against 12 (Zen 5). */
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

/* To the nearest whole number, of two the even one, within [low, high], whose magnitude is below
 * 2^9; NaN becomes low. */
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

/* The first n numbers of a line to C.  (Where C held the sums, a masked store would delay the load
 * of the next ones, which it seems to overlap: 13 against 5 ns for 8 columns, Zen 5.) */
SPK_INLINE void spk_line_store(const spk_line *l, float *c, ptrdiff_t step, ptrdiff_t n) {
  if (step == 1 && n == SPK_INT8_TILE)
    memcpy(c, l->u.x, SPK_INT8_TILE * sizeof *c);
  else if (step == 1)
    memcpy(c, l->u.x, (size_t)n * sizeof *c);
  else
    for (ptrdiff_t j = 0; j < n; j++) memcpy(c + j * step, &l->u.x[j], sizeof *c);
}

/* What columns have of their own: factors and zero points, filled up with zeros. */
typedef struct spk_columns {
  float scale[SPK_INT8_TILE];
  int32_t zeros[SPK_INT8_TILE];
} spk_columns;

/* From element (i, j) on, n of a row (`per` 0), of a column (1), or of whole rows of `per` elements
 * each, which lie side by side.  The loops run to `most`, a constant that is not less than n: what
 * is beyond n is whatever follows the sums where `ahead` elements do, and does not matter.
 * `own`, with `per` 0 or 1: what columns have of their own, or NULL. */
SPK_INLINE void spk_int8_store_line(const spk_int8_store_task *t, ptrdiff_t i, ptrdiff_t j,
                                    ptrdiff_t n, const ptrdiff_t most, const ptrdiff_t per,
                                    const spk_columns *own, ptrdiff_t ahead) {
  const spk_requantise *how = t->how;
  const int32_t *sums = t->sums + i * t->sum_row_stride + j * t->sum_col_stride;
  const ptrdiff_t sum_step = per == 1 ? t->sum_row_stride : t->sum_col_stride;
  const ptrdiff_t step = per == 1 ? t->row_stride : t->col_stride;
  const ptrdiff_t rows = per ? n / per : 1, each = per ? per : 1; /* elements that differ */
  spk_line l;
  if (sum_step == 1 && ahead >= most)
    memcpy(l.u.whole, sums, (size_t)most * sizeof *sums);
  else
    for (ptrdiff_t e = 0; e < most; e++) l.u.whole[e] = e < n ? sums[e * sum_step] : 0;
  /* Beyond n nothing may overflow. */
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

/* So few columns go one by one, as rows would be short lines: 2.2 against 6 ns a row for four of
 * them. */
#define SPK_FEW_COLUMNS 4

/* All rows, some at a time, of `per` elements each: 1.8 ns a row for eight of them.  (Of 16, it
 * takes longer than row by row.) */
SPK_INLINE void spk_int8_store_close(const spk_int8_store_task *t, const ptrdiff_t per) {
  const ptrdiff_t some = SPK_INT8_TILE / per;
  for (ptrdiff_t i = 0; i < t->rows; i += some)
    spk_int8_store_line(t, i, 0, spk_min(some, t->rows - i) * per, SPK_INT8_TILE, per, NULL,
                        (t->rows - i) * per);
}

/* Column by column; `own` as for a line. */
SPK_INLINE void spk_int8_store_columns(const spk_int8_store_task *t, const spk_columns *own) {
  for (ptrdiff_t j = 0; j < t->cols; j++)
    for (ptrdiff_t i = 0; i < t->rows; i += SPK_INT8_TILE)
      spk_int8_store_line(t, i, j, spk_min(SPK_INT8_TILE, t->rows - i), SPK_INT8_TILE, 1, own,
                          t->rows - i);
}

/* Where columns have scales or zero points of their own: apart from the rest, which is faster
 * without these questions. */
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

/* Sums of rows that are finished before they go to columns of C: these stay in L1. */
#define SPK_STORE_BYTES 16384

/* Where rows of C do not lie whole, they are finished where the sums were, and copied from there:
 * whole lines of C are written (64 columns of 2048 rows: 0.1 ns an element, 4 one by one). */
static void SPK_NAME1(int8_store_strided, SPK_ISA_NAME)(const spk_int8_store_task *t) {
  const size_t size = spk_result_size(t->how->result);
  const ptrdiff_t ld = t->sum_row_stride; /* of bytes too: each row lies before what is unread */
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
