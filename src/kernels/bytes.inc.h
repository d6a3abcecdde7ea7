/* Bytes into panels, and sums of whole numbers into what is wanted. */

/* Rows of a panel whose elements are the neighbours, 8 columns of 8 rows at a time: a word holds a
 * column's, and words become rows by swaps of halves. */
static void SPK_NAME1(bytes_across, SPK_ISA_NAME)(uint8_t *to, const uint8_t *src,
                                                  ptrdiff_t col_stride, ptrdiff_t rows,
                                                  ptrdiff_t cols) {
  for (ptrdiff_t j = 0; j < cols; j += 8)
    for (ptrdiff_t i = 0; i < rows; i += 8) {
      const ptrdiff_t down = spk_min(8, rows - i), across = spk_min(8, cols - j);
      uint64_t x[8] = {0};
      for (ptrdiff_t c = 0; c < across; c++) {
        const uint8_t *from = src + (j + c) * col_stride + i;
        if (down == 8)
          memcpy(&x[c], from, 8);
        else
          memcpy(&x[c], from, (size_t)down);
      }
      SPK_UNROLL for (int half = 4; half > 0; half /= 2) {
        const int bits = 8 * half;
        const uint64_t low = half == 4   ? 0x00000000ffffffffu
                             : half == 2 ? 0x0000ffff0000ffffu
                                         : 0x00ff00ff00ff00ffu;
        SPK_UNROLL for (int c = 0; c < 8; c++) {
          if (c & half) continue;
          const uint64_t swap = ((x[c] >> bits) ^ x[c + half]) & low;
          x[c] ^= swap << bits;
          x[c + half] ^= swap;
        }
      }
      for (ptrdiff_t r = 0; r < down; r++) memcpy(to + (i + r) * SPK_QUAD_TILE + j, &x[r], 8);
    }
}

/* Rows of B, ordered for v_u8_quads; what comes after their last column does not matter, and is
 * read with it where the rows below lie there. */
static void SPK_NAME1(quad_panel, SPK_ISA_NAME)(uint8_t *panel, const uint8_t *src,
                                                ptrdiff_t row_stride, ptrdiff_t col_stride,
                                                ptrdiff_t rows, ptrdiff_t cols, uint8_t flip) {
  const ptrdiff_t last = (rows - 1) * row_stride + cols; /* the end of them all */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  if (row_stride == 1 && col_stride != 1 && cols > 1) {
    SPK_NAME1(bytes_across, SPK_ISA_NAME)(panel, src, col_stride, rows, cols);
    for (ptrdiff_t i = 0; i < rows; i++, panel += SPK_QUAD_TILE)
      v_u8_store(panel, v_u8_order(v_u8_load(panel), flip));
    return;
  }
#endif
  for (ptrdiff_t i = 0; i < rows; i++, panel += SPK_QUAD_TILE) {
    const uint8_t *s = src + i * row_stride;
    uint8_t row[SPK_QUAD_TILE] = {0};
    if (col_stride != 1) {
      for (ptrdiff_t j = 0; j < cols; j++) row[j] = s[j * col_stride];
      s = row;
    } else if (cols < SPK_QUAD_TILE && (row_stride < 0 || i * row_stride + SPK_QUAD_TILE > last)) {
      memcpy(row, s, (size_t)cols);
      s = row;
    }
    v_u8_store(panel, v_u8_order(v_u8_load(s), flip));
  }
}

/* Four rows of B to one of numbers, byte by byte; a last group of fewer rows is filled with 0. */
static void SPK_NAME1(fours, SPK_ISA_NAME)(uint8_t *to, const uint8_t *src, ptrdiff_t row_stride,
                                           ptrdiff_t col_stride, ptrdiff_t rows, ptrdiff_t cols,
                                           uint8_t flip) {
  if (cols == 1 && row_stride == 1) {
    for (ptrdiff_t i = 0; i < rows; i++) to[i] = src[i] ^ flip;
    memset(to + rows, 0, (size_t)(spk_round_up(rows, 4) - rows));
    return;
  }
  for (ptrdiff_t i = 0; i < rows; i += 4, to += 4 * cols, src += 4 * row_stride) {
    const ptrdiff_t here = spk_min(4, rows - i);
    if (here < 4) memset(to, 0, (size_t)(4 * cols));
    if (here == 4 && col_stride == 1) {
      for (ptrdiff_t j = 0; j < cols; j++)
        for (int r = 0; r < 4; r++) to[4 * j + r] = src[r * row_stride + j] ^ flip;
      continue;
    }
    for (ptrdiff_t r = 0; r < here; r++)
      for (ptrdiff_t j = 0; j < cols; j++)
        to[4 * j + r] = src[r * row_stride + j * col_stride] ^ flip;
  }
}

/* Neighbours in a row or in a column of what is stored: sums, and factors and biases, of each one
 * or of all (`one`).  Each loop over them is one that compilers turn into vectors; the bits are the
 * same for all, as every operation is rounded for itself. */
typedef struct spk_line {
  union {
    int32_t whole[SPK_QUAD_TILE];
    float x[SPK_QUAD_TILE];
  } u;
  float scale[SPK_QUAD_TILE], bias[SPK_QUAD_TILE];
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

SPK_INLINE void spk_line_scale(spk_line *l, int one, int relu, ptrdiff_t n) {
  SPK_LINE_LOOP(j, n,
                l->u.x[j] = (float)l->u.whole[j] * l->scale[one ? 0 : j] + l->bias[one ? 0 : j]);
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
  if (step == 1 && n == SPK_QUAD_TILE)
    memcpy(c, l->u.x, SPK_QUAD_TILE * sizeof *c);
  else if (step == 1)
    memcpy(c, l->u.x, (size_t)n * sizeof *c);
  else
    for (ptrdiff_t j = 0; j < n; j++) memcpy(c + j * step, &l->u.x[j], sizeof *c);
}

/* From element (i, j) on, n of a row (`per` 0), of a column (1), or of whole rows of `per` elements
 * each, which lie side by side.  The loops run to `most`, a constant that is not less than n: what
 * is beyond n is whatever follows the sums where `ahead` elements do, and does not matter.
 * `by_column`, with `per` 0: what columns have of their own counts. */
SPK_INLINE void spk_quad_store_line(const spk_quad_store_task *t, ptrdiff_t i, ptrdiff_t j,
                                    ptrdiff_t n, const ptrdiff_t most, const ptrdiff_t per,
                                    const int by_column, ptrdiff_t ahead) {
  const spk_requantise *how = t->how;
  const int32_t *sums = t->sums + i * t->sum_row_stride + j * t->sum_col_stride;
  const ptrdiff_t sum_step = per == 1 ? t->sum_row_stride : t->sum_col_stride;
  const ptrdiff_t step = per == 1 ? t->row_stride : t->col_stride;
  const ptrdiff_t rows = per ? n / per : 1, each = per ? per : 1; /* elements that differ */
  const int one = !per && !by_column;
  spk_line l;
  if (sum_step == 1 && ahead >= most)
    memcpy(l.u.whole, sums, (size_t)most * sizeof *sums);
  else
    for (ptrdiff_t e = 0; e < most; e++) l.u.whole[e] = e < n ? sums[e * sum_step] : 0;
  /* Beyond n nothing may overflow. */
  if (by_column && how->column_zero_points) {
    const int32_t *zeros = how->column_zero_points + j;
    for (ptrdiff_t e = 0; e < n; e++) l.u.whole[e] -= (t->shift + zeros[e]) * t->row_sums[i];
  } else if (!per) {
    const uint32_t less = (uint32_t)(t->shift * t->row_sums[i]);
    SPK_LINE_LOOP(e, most, l.u.whole[e] = (int32_t)((uint32_t)l.u.whole[e] - less));
  } else {
    for (ptrdiff_t r = 0; r < rows; r++)
      for (ptrdiff_t e = 0; e < each; e++) l.u.whole[r * each + e] -= t->shift * t->row_sums[i + r];
  }
  void *c = spk_at_mut(t->C, i * t->row_stride + j * t->col_stride, spk_result_size(how->result));
  if (how->result != SPK_RESULT_I32) {
    const float *column_scale = by_column ? how->column_scale : NULL;
    for (ptrdiff_t r = 0; r < rows; r++) {
      const float scale = how->scale ? how->scale[i + r] : 1.0f;
      const float bias = how->bias ? how->bias[i + r] : 0.0f;
      for (ptrdiff_t e = 0; e < (by_column ? n : each); e++) {
        l.scale[r * each + e] = column_scale ? scale * column_scale[j + e] : scale;
        l.bias[r * each + e] = bias;
      }
    }
    for (ptrdiff_t e = n; !one && e < most; e++) l.scale[e] = l.bias[e] = 0.0f;
    spk_line_scale(&l, one, how->activation == SPK_RELU, most);
    if (how->activation > SPK_RELU)
      SPK_NAME2(f32, activate_row, SPK_ISA_NAME)(l.u.x, n, how->activation);
  }
  if (how->result <= SPK_RESULT_F32) {
    spk_line_store(&l, c, step, n);
    return;
  }
  const int32_t low = how->result == SPK_RESULT_S8 ? -128 : 0;
  spk_line_round(&l, how->out_scale, low, low + 255, how->out_zero_point, most);
  uint8_t bytes[SPK_QUAD_TILE], *to = c;
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
SPK_INLINE void spk_quad_store_rows(const spk_quad_store_task *t, const ptrdiff_t per) {
  const ptrdiff_t some = SPK_QUAD_TILE / per;
  for (ptrdiff_t i = 0; i < t->rows; i += some)
    spk_quad_store_line(t, i, 0, spk_min(some, t->rows - i) * per, SPK_QUAD_TILE, per, 0,
                        (t->rows - i) * per);
}

/* Where columns have scales or zero points of their own: row by row, apart from the rest, which is
 * faster without these questions. */
static void SPK_NAME1(quad_store_by_column, SPK_ISA_NAME)(const spk_quad_store_task *t) {
  const ptrdiff_t rows = t->rows, cols = t->cols, lanes = SPK_LANES_f32;
  for (ptrdiff_t i = 0; i < rows; i++) {
    const ptrdiff_t ahead = (rows - 1 - i) * spk_max(0, t->sum_row_stride) + cols;
    if (cols <= lanes)
      spk_quad_store_line(t, i, 0, cols, lanes, 0, 1, ahead);
    else
      spk_quad_store_line(t, i, 0, cols, SPK_QUAD_TILE, 0, 1, ahead);
  }
}

static void SPK_NAME1(quad_store, SPK_ISA_NAME)(const spk_quad_store_task *t) {
  const int scales = t->how->result != SPK_RESULT_I32 && t->how->column_scale;
  if (scales || t->how->column_zero_points) {
    SPK_NAME1(quad_store_by_column, SPK_ISA_NAME)(t);
    return;
  }
  const ptrdiff_t rows = t->rows, cols = t->cols, tile = SPK_QUAD_TILE, lanes = SPK_LANES_f32;
  const int side_by_side = t->sum_row_stride == cols && t->sum_col_stride == 1 &&
                           t->row_stride == cols && t->col_stride == 1;
  if (side_by_side && cols == 4)
    spk_quad_store_rows(t, 4);
  else if (side_by_side && cols == 8)
    spk_quad_store_rows(t, 8);
  else if (cols <= SPK_FEW_COLUMNS)
    for (ptrdiff_t j = 0; j < cols; j++)
      for (ptrdiff_t i = 0; i < rows; i += tile)
        spk_quad_store_line(t, i, j, spk_min(tile, rows - i), tile, 1, 0, rows - i);
  else
    for (ptrdiff_t i = 0; i < rows; i++) {
      const ptrdiff_t ahead = (rows - 1 - i) * spk_max(0, t->sum_row_stride) + cols;
      if (cols == lanes)
        spk_quad_store_line(t, i, 0, lanes, lanes, 0, 0, ahead);
      else if (cols < lanes)
        spk_quad_store_line(t, i, 0, cols, lanes, 0, 0, ahead);
      else if (cols == 2 * lanes)
        spk_quad_store_line(t, i, 0, 2 * lanes, 2 * lanes, 0, 0, ahead);
      else if (cols < 2 * lanes)
        spk_quad_store_line(t, i, 0, cols, 2 * lanes, 0, 0, ahead);
      else if (cols == tile)
        spk_quad_store_line(t, i, 0, tile, tile, 0, 0, ahead);
      else
        spk_quad_store_line(t, i, 0, cols, tile, 0, 0, ahead);
    }
}
