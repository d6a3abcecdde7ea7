/* int8 x bytes: groups of columns against a panel of B that is four vectors of columns wide.
 *
 * Instructions that multiply bytes add four products to a 32-bit number.  Here the four columns of
 * A need not be neighbours: their rows of the panel are loaded, and interleaved byte by byte.
 *
 * Port model per group, AVX-512 with VNNI: 4 loads, 8 unpacks on two ports, 4 products per row of
 * A.  So one row takes 4 cycles (4.2 measured, Zen 5, panel in L1), and four rows that share the
 * columns take 8 (8.6 measured).  Rows go four at a time if they have enough columns in common
 * (pack/int8_gather4.c).
 *
 * With 16 registers, the sums of four rows do not fit beside what they need.  Such rows may go
 * twice, with SPK_INT8_PASS vectors of columns at a time (doc/decisions/int8.rst,
 * decision-int8-halves).
 *
 * Sums are exact, so their order does not matter.  Rows of four that lack a column have a zero
 * there, and so have groups that are not full. */
enum { SPK_INT8_TILE = 4 * SPK_LANES_f32 };
#ifndef SPK_INT8_PASS
#define SPK_INT8_PASS 4
#endif

SPK_INLINE void spk_int8_gather4_item(const uint8_t *panel, const uint16_t *o, const int8_t *w,
                                      ptrdiff_t groups, int32_t *sums, const int rows,
                                      const int from, const int to) {
  v_s32 acc[4 * SPK_INT8_GATHER4_ROWS];
  SPK_UNROLL for (int r = 0; r < rows; r++) SPK_UNROLL for (int v = from; v < to; v++)
      acc[4 * r + v] = v_s32_load(sums + (4 * r + v) * SPK_LANES_f32);
  for (const uint16_t *end = o + 4 * groups; o < end; o += 4, w += 4 * rows) {
    ptrdiff_t k[4];
    v_u8 b[4], q[4];
    spk_four(o, k);
    SPK_UNROLL for (int i = 0; i < 4; i++) b[i] = v_u8_load(panel + k[i] * SPK_INT8_TILE);
    v_u8_interleave4(b, q);
    SPK_UNROLL for (int r = 0; r < rows; r++) {
      const spk_weights weights = spk_weights_load(w + 4 * r);
      SPK_UNROLL for (int v = from; v < to; v++) acc[4 * r + v] =
          v_s32_dot(q[v], weights, acc[4 * r + v]);
    }
  }
  SPK_UNROLL for (int r = 0; r < rows; r++) SPK_UNROLL for (int v = from; v < to; v++)
      v_s32_store(sums + (4 * r + v) * SPK_LANES_f32, acc[4 * r + v]);
}

static void SPK_NAME1(int8_gather4, SPK_ISA_NAME)(const spk_int8_gather4_task *t) {
  const uint16_t *ids = t->row_ids, *o = t->offsets;
  const int8_t *w = t->values;
  for (ptrdiff_t r = 0; r < t->run_count; r++) {
    const spk_int8_gather4_run run = t->runs[r];
    for (uint32_t i = 0; i < run.items; i++, o += 4 * run.groups, w += 4 * run.groups * run.rows) {
      int32_t *sums = t->sums + (ptrdiff_t)*ids++ * SPK_INT8_TILE;
      if (run.rows == 1) {
        spk_int8_gather4_item(t->panel, o, w, run.groups, sums, 1, 0, 4);
      } else {
        SPK_UNROLL for (int v = 0; v < 4; v += SPK_INT8_PASS) spk_int8_gather4_item(
            t->panel, o, w, run.groups, sums, SPK_INT8_GATHER4_ROWS, v, v + SPK_INT8_PASS);
      }
    }
  }
}
