/* Converts stored values of 16 bits to floats.  A vector of values takes a load, a conversion and a
 * store, which is little against the FMAs that use each value. */
#define SPK_EXPAND(kind)                                                              \
  static void SPK_NAME1(expand_##kind, SPK_ISA_NAME)(float *to, const uint16_t *from, \
                                                     ptrdiff_t count) {               \
    ptrdiff_t i = 0;                                                                  \
    for (; i + SPK_LANES_f32 <= count; i += SPK_LANES_f32)                            \
      v_f32_store(to + i, v_f32_from_##kind(from + i));                               \
    for (; i < count; i++) to[i] = spk_from_##kind(from[i]);                          \
  }
SPK_EXPAND(f16)
SPK_EXPAND(bf16)
#undef SPK_EXPAND
