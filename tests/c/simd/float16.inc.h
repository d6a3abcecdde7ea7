/* Lanes from 16 bits in memory: all of them, as float16.h, which tests/c/kernels checks, has it. */
#include "../../../src/common/float16.h"

static void check_float16(void) {
  test_case("words of float16 and of bytes, %s", SPK_SIMD_HEADER);
  for (int at = -128; at < 128; at += SPK_LANES_f32) {
    int8_t *p = exact_memory(SPK_LANES_f32);
    float numbers[SPK_LANES_f32];
    for (int i = 0; i < SPK_LANES_f32; i++) p[i] = (int8_t)(at + i);
    v_f32_store(numbers, v_f32_from_s8(p));
    for (int i = 0; i < SPK_LANES_f32; i++) CHECK(numbers[i] == (float)p[i], "byte %d", p[i]);
    exact_memory_release();
  }
  for (uint32_t at = 0; at < 1u << 16; at += SPK_LANES_f32) {
    uint16_t *p = exact_memory(SPK_LANES_f32 * sizeof *p);
    float f16[SPK_LANES_f32], bf16[SPK_LANES_f32];
    for (uint32_t i = 0; i < SPK_LANES_f32; i++) p[i] = (uint16_t)(at + i);
    v_f32_store(f16, v_f32_from_f16(p));
    v_f32_store(bf16, v_f32_from_bf16(p));
    for (int i = 0; i < SPK_LANES_f32; i++) {
      const float expected = spk_from_f16(p[i]), expected_bf16 = spk_from_bf16(p[i]);
      CHECK(f16[i] == expected ? !signbit(f16[i]) == !signbit(expected)
                               : isnan(f16[i]) && isnan(expected),
            "float16 %#x is %g", p[i], (double)f16[i]);
      CHECK(memcmp(&bf16[i], &expected_bf16, sizeof *bf16) == 0, "bfloat16 %#x is %g", p[i],
            (double)bf16[i]);
    }
    exact_memory_release();
  }
}
