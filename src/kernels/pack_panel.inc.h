/* Copies between a matrix of any strides and a row-major panel. */

/* dst[i * dst_ld + j] = src[j * src_ld + i] for i < rows, j < cols, neither more than LANES. */
SPK_INLINE void FT(transpose_block)(T *dst, ptrdiff_t dst_ld, const T *src, ptrdiff_t src_ld,
                                    ptrdiff_t rows, ptrdiff_t cols) {
  VEC block[LANES];
  if (rows == LANES && cols == LANES) {
    /* One pointer moves from row to row.  With a pointer for each row, a loop around this block
     * would keep most of them on the stack, which takes 2.3 times as long (AVX-512). */
    SPK_UNROLL for (int j = 0; j < LANES; j++, src += src_ld) {
      SPK_ONE_POINTER(src);
      block[j] = V(load)(src);
    }
    V(transpose)(block);
    SPK_UNROLL for (int i = 0; i < LANES; i++, dst += dst_ld) {
      SPK_ONE_POINTER(dst);
      V(store)(dst, block[i]);
    }
    return;
  }
  const MASK down = V(mask)(rows), across = V(mask)(cols);
  for (ptrdiff_t j = 0; j < LANES; j++)
    block[j] = j < cols ? V(load_masked)(src + j * src_ld, down) : V(zero)();
  V(transpose)(block);
  for (ptrdiff_t i = 0; i < rows; i++) V(store_masked)(dst + i * dst_ld, across, block[i]);
}

/* The same for any number of rows and columns.  The loop goes along rows of dst first, so that
 * writes are streamed and reads come from the cache. */
static void FT(transpose)(T *dst, ptrdiff_t dst_ld, const T *src, ptrdiff_t src_ld, ptrdiff_t rows,
                          ptrdiff_t cols) {
  for (ptrdiff_t i = 0; i < rows; i += LANES)
    for (ptrdiff_t j = 0; j < cols; j += LANES)
      FT(transpose_block)(dst + i * dst_ld + j, dst_ld, src + j * src_ld + i, src_ld,
                          spk_min(LANES, rows - i), spk_min(LANES, cols - j));
}

/* Elements of a cache line. */
#define SPK_LINE ((ptrdiff_t)(SPK_ALIGN / sizeof(T)))

/* The same, along rows of src first, so that reads are streamed.  Lines of dst are written
 * whole. */
static void FT(transpose_in)(T *dst, ptrdiff_t dst_ld, const T *src, ptrdiff_t src_ld,
                             ptrdiff_t rows, ptrdiff_t cols) {
  for (ptrdiff_t j0 = 0; j0 < cols; j0 += SPK_LINE)
    for (ptrdiff_t i = 0; i < rows; i += LANES)
      for (ptrdiff_t j = j0; j < spk_min(cols, j0 + SPK_LINE); j += LANES)
        FT(transpose_block)(dst + i * dst_ld + j, dst_ld, src + j * src_ld + i, src_ld,
                            spk_min(LANES, rows - i), spk_min(LANES, cols - j));
}

/* The same for a src whose elements of a row lie `step` apart, a constant.  All elements between
 * are transposed, too, and compilers leave out those that are not stored: for a step of 2, 5
 * shuffles instead of 4.  Reads step - 1 elements behind the last. */
SPK_INLINE void FT(transpose_block_every)(T *dst, ptrdiff_t dst_ld, const T *src, ptrdiff_t src_ld,
                                          const int step) {
  SPK_UNROLL for (int part = 0; part < step; part++) {
    const T *s = src + part * LANES;
    VEC block[LANES];
    SPK_UNROLL for (int j = 0; j < LANES; j++, s += src_ld) {
      SPK_ONE_POINTER(s);
      block[j] = V(load)(s);
    }
    V(transpose)(block);
    SPK_UNROLL for (int i = 0; i < LANES; i++) {
      if ((part * LANES + i) % step) continue;
      SPK_ONE_POINTER(dst);
      V(store)(dst, block[i]);
      dst += dst_ld;
    }
  }
}

/* The rows that are brought together at a time.  With this many, vectors are loaded long after the
 * scalar stores to them; otherwise loads would wait for the stores. */
#define SPK_CLOSE_ROWS 16

/* The same for elements that lie `step` apart: dst[i * dst_ld + j] = src[j * src_ld + i * step]. */
static void FT(transpose_in_apart)(T *dst, ptrdiff_t dst_ld, const T *src, ptrdiff_t src_ld,
                                   ptrdiff_t step, ptrdiff_t rows, ptrdiff_t cols) {
  T close[SPK_ALIGN / sizeof(T) * SPK_CLOSE_ROWS];
  for (ptrdiff_t j = 0; j < cols; j += SPK_LINE) {
    const ptrdiff_t across = spk_min(SPK_LINE, cols - j);
    ptrdiff_t i = 0;
    if (step >= 2 && step <= 4 && across % LANES == 0)
      for (; i + LANES < rows; i += LANES)
        for (ptrdiff_t c = j; c < j + across; c += LANES) {
          T *d = dst + i * dst_ld + c;
          const T *s = src + c * src_ld + i * step;
          if (step == 2)
            FT(transpose_block_every)(d, dst_ld, s, src_ld, 2);
          else if (step == 3)
            FT(transpose_block_every)(d, dst_ld, s, src_ld, 3);
          else
            FT(transpose_block_every)(d, dst_ld, s, src_ld, 4);
        }
    for (; i < rows; i += SPK_CLOSE_ROWS) {
      const ptrdiff_t down = spk_min(SPK_CLOSE_ROWS, rows - i);
      for (ptrdiff_t c = 0; c < across; c++) {
        const T *s = src + (j + c) * src_ld + i * step;
        for (ptrdiff_t r = 0; r < down; r++, s += step) close[c * SPK_CLOSE_ROWS + r] = *s;
      }
      FT(transpose)(dst + i * dst_ld + j, dst_ld, close, SPK_CLOSE_ROWS, down, across);
    }
  }
}
#undef SPK_CLOSE_ROWS

/* Copy rows whose elements are contiguous.  memcpy takes longer for short rows. */
SPK_INLINE void FT(pack_rows)(T *d, ptrdiff_t ld, const T *s, ptrdiff_t row_stride, ptrdiff_t rows,
                              ptrdiff_t cols) {
  const MASK mask = V(mask)(cols % LANES);
  for (ptrdiff_t i = 0; i < rows; i++, d += ld, s += row_stride) {
    ptrdiff_t j = 0;
    for (; j + LANES <= cols; j += LANES) V(store)(d + j, V(load)(s + j));
    if (j < cols) V(store_masked)(d + j, mask, V(load_masked)(s + j, mask));
  }
}

/* Whether elements of a row lie nearer to each other than elements of a column. */
SPK_INLINE int FT(goes_across)(ptrdiff_t row_stride, ptrdiff_t col_stride) {
  return (col_stride < 0 ? -col_stride : col_stride) < (row_stride < 0 ? -row_stride : row_stride);
}

/* The side of the blocks of a copy across: 16 lines of the source and of the panel stay in L1. */
#define SPK_PACK_BLOCK 16

static void FT(pack)(void *dst, ptrdiff_t ld, const void *src, ptrdiff_t row_stride,
                     ptrdiff_t col_stride, ptrdiff_t rows, ptrdiff_t cols) {
  T *d = dst;
  const T *s = src;
  /* Rows without gaps are copied as one long row.  Rows of 8 elements one by one take 3 times as
   * long. */
  if (ld == cols && row_stride == cols * col_stride && col_stride != 1) cols *= rows, rows = 1;
  if (col_stride == 1) {
    FT(pack_rows)(d, ld, s, row_stride, rows, cols);
    return;
  }
  if (row_stride == 1) {
    FT(transpose_in)(d, ld, s, col_stride, rows, cols);
    return;
  }
  if (row_stride == -1 && rows > 0) {
    FT(transpose_in)(d + (rows - 1) * ld, -ld, s - (rows - 1), col_stride, rows, cols);
    return;
  }
  if (FT(goes_across)(row_stride, col_stride)) {
    for (ptrdiff_t i = 0; i < rows; i++, d += ld, s += row_stride) {
      if (col_stride == -1)
        for (ptrdiff_t j = 0; j < cols; j++) d[j] = s[-j];
      else if (col_stride == 2)
        for (ptrdiff_t j = 0; j < cols; j++) d[j] = s[2 * j];
      else
        for (ptrdiff_t j = 0; j < cols; j++) d[j] = s[j * col_stride];
    }
    return;
  }
  if (row_stride < 0 && rows > 0)
    FT(transpose_in_apart)(d + (rows - 1) * ld, -ld, s + (rows - 1) * row_stride, col_stride,
                           -row_stride, rows, cols);
  else
    FT(transpose_in_apart)(d, ld, s, col_stride, row_stride, rows, cols);
}

static void FT(pack_panel)(void *dst, ptrdiff_t ld, const void *src, ptrdiff_t row_stride,
                           ptrdiff_t col_stride, ptrdiff_t rows, ptrdiff_t cols) {
  T *d = dst;
  const ptrdiff_t whole = cols / LANES * LANES;
  const MASK mask = V(mask)(cols - whole);
  if (col_stride != 1) FT(pack)(dst, ld, src, row_stride, col_stride, rows, cols);
  /* If src is a panel already, it is copied as one row.  A row at a time takes 4 cycles a row. */
  if (col_stride == 1 && row_stride == ld && cols == ld) {
    for (ptrdiff_t e = 0; e < rows * ld; e += LANES) V(store)(d + e, V(load)((const T *)src + e));
    return;
  }
  for (ptrdiff_t i = 0; i < rows; i++, d += ld) {
    const T *s = (const T *)src + i * row_stride;
    ptrdiff_t j = whole;
    if (col_stride == 1) {
      for (j = 0; j < whole; j += LANES) V(store)(d + j, V(load)(s + j));
      if (cols > whole) {
        V(store)(d + j, V(load_masked)(s + j, mask));
        j += LANES;
      }
    } else if (cols > whole) {
      V(store)(d + j, V(load_masked)(d + j, mask));
      j += LANES;
    }
    for (; j < ld; j += LANES) V(store)(d + j, V(zero)());
  }
}

static void FT(unpack)(const void *src, ptrdiff_t ld, void *dst, ptrdiff_t row_stride,
                       ptrdiff_t col_stride, ptrdiff_t rows, ptrdiff_t cols) {
  T *d = dst;
  const T *s = src;
  if (row_stride == 1 && cols > 1) {
    FT(transpose)(d, col_stride, s, ld, cols, rows);
    return;
  }
  if (row_stride == -1 && cols > 1 && rows > 0) {
    FT(transpose)(d - (rows - 1), col_stride, s + (rows - 1) * ld, -ld, cols, rows);
    return;
  }
  if (FT(goes_across)(row_stride, col_stride)) {
    for (ptrdiff_t i = 0; i < rows; i++, d += row_stride, s += ld)
      for (ptrdiff_t j = 0; j < cols; j++) d[j * col_stride] = s[j];
    return;
  }
  for (ptrdiff_t i0 = 0; i0 < rows; i0 += SPK_PACK_BLOCK) {
    const ptrdiff_t i1 = spk_min(rows, i0 + SPK_PACK_BLOCK);
    for (ptrdiff_t j = 0; j < cols; j++)
      for (ptrdiff_t i = i0; i < i1; i++) d[i * row_stride + j * col_stride] = s[i * ld + j];
  }
}

#undef SPK_PACK_BLOCK
#undef SPK_LINE
