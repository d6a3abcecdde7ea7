/* Packs bytes of B into the panels that the int8 kernels read. */

/* to[i * to_ld + j] = from[j * from_ld + i] for i < rows, j < cols, neither above SPK_INT8_TILE.
 * `whole`: rows of `to` have room for a whole vector.  Bytes of four vectors become numbers of four
 * bytes each, which are transposed as floats are.  That takes 0.1 cycles a byte; by words of 64
 * bits it takes 1 (Zen 4). */
SPK_INLINE void SPK_NAME1(bytes_block, SPK_ISA_NAME)(uint8_t *to, ptrdiff_t to_ld,
                                                     const uint8_t *from, ptrdiff_t from_ld,
                                                     ptrdiff_t rows, ptrdiff_t cols, int whole) {
  v_f32 groups_of_4[4][SPK_LANES_f32];
  const ptrdiff_t groups = spk_ceil_div(cols, 4);
  uint8_t part[SPK_INT8_TILE] = {0};
  for (ptrdiff_t j = 0; j < 4 * groups; j += 4) {
    v_u8 a[4], q[4];
    SPK_UNROLL for (int c = 0; c < 4; c++) {
      const uint8_t *p = from + (j + c) * from_ld;
      /* The value of bytes behind a short column does not matter, but they must be readable. */
      if (j + c < cols && rows < SPK_INT8_TILE &&
          (from_ld < 0 || (cols - 1 - j - c) * from_ld + rows < SPK_INT8_TILE))
        p = memcpy(part, p, (size_t)rows);
      a[c] = v_u8_order(v_u8_load(j + c < cols ? p : part), 0);
    }
    v_u8_interleave4(a, q);
    SPK_UNROLL for (int v = 0; v < 4; v++) memcpy(&groups_of_4[v][j / 4], &q[v], sizeof q[v]);
  }
  for (int v = 0; v < 4 && v * SPK_LANES_f32 < rows; v++) {
    v_f32 block[SPK_LANES_f32];
    for (ptrdiff_t g = 0; g < SPK_LANES_f32; g++)
      block[g] = g < groups ? groups_of_4[v][g] : v_f32_zero();
    v_f32_transpose(block);
    const ptrdiff_t count = spk_min(SPK_LANES_f32, rows - v * SPK_LANES_f32);
    const size_t bytes = whole ? SPK_INT8_TILE : (size_t)cols;
    if (count == SPK_LANES_f32 && bytes == SPK_INT8_TILE)
      SPK_UNROLL for (int i = 0; i < SPK_LANES_f32; i++, to += to_ld) {
        SPK_ONE_POINTER(to);
        memcpy(to, &block[i], SPK_INT8_TILE);
      }
    else
      for (ptrdiff_t i = 0; i < count; i++, to += to_ld) memcpy(to, &block[i], bytes);
  }
}

/* The same for any number of rows and columns.  `whole` requires at most SPK_INT8_TILE columns. */
static void SPK_NAME1(bytes_transpose, SPK_ISA_NAME)(uint8_t *to, ptrdiff_t to_ld,
                                                     const uint8_t *from, ptrdiff_t from_ld,
                                                     ptrdiff_t rows, ptrdiff_t cols, int whole) {
  const ptrdiff_t tile = SPK_INT8_TILE;
  for (ptrdiff_t j = 0; j < cols; j += tile)
    for (ptrdiff_t i = 0; i < rows; i += tile)
      SPK_NAME1(bytes_block, SPK_ISA_NAME)(to + i * to_ld + j, to_ld, from + j * from_ld + i,
                                           from_ld, spk_min(tile, rows - i),
                                           spk_min(tile, cols - j), whole);
}

/* Rows of B in the order that v_u8_interleave4 needs.  Bytes after the last column do not matter.
 * They are read from memory if a row below lies there. */
static void SPK_NAME1(int8_gather4_panel, SPK_ISA_NAME)(uint8_t *panel, const uint8_t *src,
                                                        ptrdiff_t row_stride, ptrdiff_t col_stride,
                                                        ptrdiff_t rows, ptrdiff_t cols,
                                                        uint8_t flip) {
  const ptrdiff_t last = (rows - 1) * row_stride + cols; /* the end of all rows */
  if (row_stride == 1 && col_stride != 1 && cols > 1) {
    SPK_NAME1(bytes_transpose, SPK_ISA_NAME)(panel, SPK_INT8_TILE, src, col_stride, rows, cols, 1);
    for (ptrdiff_t i = 0; i < rows; i++, panel += SPK_INT8_TILE)
      v_u8_store(panel, v_u8_order(v_u8_load(panel), flip));
    return;
  }
  for (ptrdiff_t i = 0; i < rows; i++, panel += SPK_INT8_TILE) {
    const uint8_t *s = src + i * row_stride;
    uint8_t row[SPK_INT8_TILE] = {0};
    if (col_stride != 1) {
      for (ptrdiff_t j = 0; j < cols; j++) row[j] = s[j * col_stride];
      s = row;
    } else if (cols < SPK_INT8_TILE && (row_stride < 0 || i * row_stride + SPK_INT8_TILE > last)) {
      memcpy(row, s, (size_t)cols);
      s = row;
    }
    v_u8_store(panel, v_u8_order(v_u8_load(s), flip));
  }
}

/* Four rows of B become one row of four-byte numbers.  A last group with fewer rows is filled with
 * 0. */
static void SPK_NAME1(int8_block4, SPK_ISA_NAME)(uint8_t *to, const uint8_t *src,
                                                 ptrdiff_t row_stride, ptrdiff_t col_stride,
                                                 ptrdiff_t rows, ptrdiff_t cols, uint8_t flip) {
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
    if (here == 4 && row_stride == 1) {
      /* Each column is read once, because 16 columns that lie 4096 bytes apart would evict each
       * other from L1. */
      for (ptrdiff_t j = 0; j < cols; j++) {
        uint32_t four;
        memcpy(&four, src + j * col_stride, sizeof four);
        four ^= flip * 0x01010101u;
        memcpy(to + 4 * j, &four, sizeof four);
      }
      continue;
    }
    for (ptrdiff_t r = 0; r < here; r++)
      for (ptrdiff_t j = 0; j < cols; j++)
        to[4 * j + r] = src[r * row_stride + j * col_stride] ^ flip;
  }
}

/* Two rows of B become one row of numbers that are two values of 16 bits each.  A last row without
 * another is paired with zeros. */
static void SPK_NAME1(int8_block2, SPK_ISA_NAME)(int16_t *to, const uint8_t *src,
                                                 ptrdiff_t row_stride, ptrdiff_t col_stride,
                                                 ptrdiff_t rows, ptrdiff_t cols, uint8_t flip) {
  for (ptrdiff_t i = 0; i < rows; i += 2, to += 2 * cols, src += 2 * row_stride) {
    if (i + 1 == rows) {
      for (ptrdiff_t j = 0; j < cols; j++) {
        to[2 * j] = src[j * col_stride] ^ flip;
        to[2 * j + 1] = 0;
      }
    } else if (col_stride == 1) {
      const uint8_t *next = src + row_stride;
      for (ptrdiff_t j = 0; j < cols; j++) {
        to[2 * j] = src[j] ^ flip;
        to[2 * j + 1] = next[j] ^ flip;
      }
    } else {
      for (ptrdiff_t j = 0; j < cols; j++) {
        const uint8_t *pair = src + j * col_stride;
        to[2 * j] = pair[0] ^ flip;
        to[2 * j + 1] = pair[row_stride] ^ flip;
      }
    }
  }
}
