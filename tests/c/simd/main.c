/* Runs the words that words.c was compiled with, where this machine has their instructions.
 * SPKERNELS_ISA names the instruction set; an argument names what only some CPUs of it have. */
#include <stdlib.h>
#include <string.h>

#include "../../../src/dispatch/cpu.h"
#include "../../../src/dispatch/dispatch.h"
#include "../testing.h"
#include "simd.h"

static int has(const char *overlay) {
  if (!strcmp(overlay, "avx512_vnni")) return spk_cpu_has_avx512_vnni();
  if (!strcmp(overlay, "avx512_vbmi2")) return spk_cpu_has_avx512_vbmi2();
  return strcmp(overlay, "avx2_vnni") || spk_cpu_has_avx_vnni();
}

int main(int argc, char **argv) {
  if (!spk_active_kernels() || (argc > 1 && !has(argv[1]))) {
    printf("this machine has no %s\n", argc > 1 ? argv[1] : getenv("SPKERNELS_ISA"));
    return TEST_SKIPPED;
  }
  seed_random(30);
  check_words();
  return test_result();
}
