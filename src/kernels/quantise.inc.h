/* Rounds floats to bytes as the epilogue of int8 products does (int8_epilogue.inc.h). */

SPK_INLINE void spk_quantise_line(uint8_t *to, const float *from, const ptrdiff_t most,
                                  ptrdiff_t count, float scale, int32_t low, int32_t zero_point) {
  spk_line l;
  uint8_t bytes[SPK_INT8_TILE];
  if (count < most) memset(l.u.x, 0, sizeof l.u.x);
  memcpy(l.u.x, from, (size_t)count * sizeof *from);
  spk_line_round(&l, scale, low, low + 255, zero_point, most);
  SPK_LINE_LOOP(j, most, bytes[j] = (uint8_t)l.u.whole[j]);
  memcpy(to, bytes, (size_t)count);
}

static void SPK_NAME1(quantise, SPK_ISA_NAME)(uint8_t *to, const float *from, ptrdiff_t count,
                                              float scale, int32_t low, int32_t zero_point) {
  const ptrdiff_t tile = SPK_INT8_TILE;
  for (; count >= tile; count -= tile, to += tile, from += tile)
    spk_quantise_line(to, from, tile, tile, scale, low, zero_point);
  if (count > 0) spk_quantise_line(to, from, tile, count, scale, low, zero_point);
}
