/* Copies between a matrix of any strides and a row-major panel. */

/* dst[i * dst_ld + j] = src[j * src_ld + i] for i < rows, j < cols, neither more than LANES. */
SPK_INLINE void FT(transpose_block)(T *dst, ptrdiff_t dst_ld, const T *src, ptrdiff_t src_ld,
                                    ptrdiff_t rows, ptrdiff_t cols) {
  VEC block[LANES];
  if (rows == LANES && cols == LANES) {
    SPK_UNROLL for (int j = 0; j < LANES; j++) block[j] = V(load)(src + j * src_ld);
    V(transpose)(block);
    SPK_UNROLL for (int i = 0; i < LANES; i++) V(store)(dst + i * dst_ld, block[i]);
    return;
  }
  const MASK down = V(mask)(rows), across = V(mask)(cols);
  for (ptrdiff_t j = 0; j < LANES; j++)
    block[j] = j < cols ? V(loadm)(src + j * src_ld, down) : V(zero)();
  V(transpose)(block);
  for (ptrdiff_t i = 0; i < rows; i++) V(storem)(dst + i * dst_ld, across, block[i]);
}

/* The same for any number of rows and columns. */
static void FT(transpose)(T *dst, ptrdiff_t dst_ld, const T *src, ptrdiff_t src_ld, ptrdiff_t rows,
                          ptrdiff_t cols) {
  for (ptrdiff_t i = 0; i < rows; i += LANES)
    for (ptrdiff_t j = 0; j < cols; j += LANES)
      FT(transpose_block)(dst + i * dst_ld + j, dst_ld, src + j * src_ld + i, src_ld,
                          spk_min(LANES, rows - i), spk_min(LANES, cols - j));
}

/* Side of the blocks of a transposing copy: 16 lines of source and of panel stay in L1. */
#define SPK_PACK_BLOCK 16

static void FT(pack)(void *dst, ptrdiff_t ld, const void *src, ptrdiff_t row_stride,
                     ptrdiff_t col_stride, ptrdiff_t rows, ptrdiff_t cols) {
  T *d = dst;
  const T *s = src;
  if (col_stride == 1) {
    for (ptrdiff_t i = 0; i < rows; i++)
      memcpy(d + i * ld, s + i * row_stride, (size_t)cols * sizeof(T));
    return;
  }
  if (row_stride == 1) {
    FT(transpose)(d, ld, s, col_stride, rows, cols);
    return;
  }
  for (ptrdiff_t i0 = 0; i0 < rows; i0 += SPK_PACK_BLOCK) {
    const ptrdiff_t i1 = spk_min(rows, i0 + SPK_PACK_BLOCK);
    for (ptrdiff_t j0 = 0; j0 < cols; j0 += SPK_PACK_BLOCK) {
      const ptrdiff_t j1 = spk_min(cols, j0 + SPK_PACK_BLOCK);
      for (ptrdiff_t j = j0; j < j1; j++)
        for (ptrdiff_t i = i0; i < i1; i++) d[i * ld + j] = s[i * row_stride + j * col_stride];
    }
  }
}

static void FT(pack_panel)(void *dst, ptrdiff_t ld, const void *src, ptrdiff_t row_stride,
                           ptrdiff_t col_stride, ptrdiff_t rows, ptrdiff_t cols) {
  T *d = dst;
  const ptrdiff_t whole = cols / LANES * LANES;
  const MASK mask = V(mask)(cols - whole);
  if (col_stride != 1) FT(pack)(dst, ld, src, row_stride, col_stride, rows, cols);
  /* A panel already: a row at a time takes 4 cycles a row. */
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
        V(store)(d + j, V(loadm)(s + j, mask));
        j += LANES;
      }
    } else if (cols > whole) {
      V(store)(d + j, V(loadm)(d + j, mask));
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
  for (ptrdiff_t i0 = 0; i0 < rows; i0 += SPK_PACK_BLOCK) {
    const ptrdiff_t i1 = spk_min(rows, i0 + SPK_PACK_BLOCK);
    for (ptrdiff_t j = 0; j < cols; j++)
      for (ptrdiff_t i = i0; i < i1; i++) d[i * row_stride + j * col_stride] = s[i * ld + j];
  }
}

#undef SPK_PACK_BLOCK
