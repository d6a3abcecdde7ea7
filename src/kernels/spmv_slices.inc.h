/* Slices x a vector: a step multiplies one entry of every row of a slice.
 *
 * Port model per step: two loads of the window, one of the values, one of 16 (8) indices of 8 bits,
 * one of the window's number; a conversion, a pick, an FMA.  With one load of 64 bytes a cycle (Zen
 * 4) 3.5 cycles, with two 2.  Two sums hide the latency of the FMA.  That a step loads its window
 * again saves a loop per window, which would end unpredictably after a few steps.
 */
#ifdef SPK_HAS_PICK
static void FT(spmv_slices)(const spk_slice_task *t) {
  const uint16_t *window = t->window;
  const uint8_t *picks = t->picks;
  const T *values = t->values, *x = t->x;
  const enum FT(store_mode) mode = FT(store_mode_of)(&t->epilogue);
  for (ptrdiff_t s = 0; s < t->slices; s++) {
    const uint32_t *row_ids = t->row_ids + s * LANES;
    const ptrdiff_t stop = t->begin[s + 1];
    VEC even = V(zero)(), odd = V(zero)();
    ptrdiff_t p = t->begin[s];
    for (; p + 2 <= stop; p += 2) {
      even = V(fma)(V(load)(values + p * LANES),
                    V(pick)(x + (ptrdiff_t)window[p] * (2 * LANES), picks + p * LANES), even);
      odd =
          V(fma)(V(load)(values + (p + 1) * LANES),
                 V(pick)(x + (ptrdiff_t)window[p + 1] * (2 * LANES), picks + (p + 1) * LANES), odd);
    }
    if (p < stop)
      even = V(fma)(V(load)(values + p * LANES),
                    V(pick)(x + (ptrdiff_t)window[p] * (2 * LANES), picks + p * LANES), even);
    T sums[LANES];
    V(store)(sums, V(add)(even, odd));
    for (ptrdiff_t l = 0; l < LANES; l++) {
      const ptrdiff_t row = row_ids[l];
      if (row >= t->rows) break; /* only at the end of the last slice */
      T *c = (T *)t->C + row * t->ldc;
      if (mode == FT(STORE_PLAIN))
        *c = sums[l];
      else
        FT(store_one)(sums[l], c, row, 0, &t->epilogue);
    }
  }
}
#endif
