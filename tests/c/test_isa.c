/* SPKERNELS_ISA, as meson.build sets it: a name, or "bogus". */
#include <stdlib.h>
#include <string.h>

#include "testing.h"

static void check_listed(const char *wanted) {
  const char *const *list = spk_isa_list();
  CHECK(list[0] && !strcmp(list[0], "scalar"), "the portable kernels are always there");
  int found = 0;
  for (; *list; list++) found += !strcmp(*list, wanted);
  CHECK(found == (spk_isa() != NULL), "%s is listed %d times", wanted, found);
}

/* Every call says what is wrong, and writes nothing. */
static void check_unusable(void) {
  const int32_t offsets[] = {0, 1}, indices[] = {0};
  const float one = 1;
  float b = 2, c = 3, s = 4;
  spk_sparse A = {.format = SPK_CSR,
                  .rows = 1,
                  .cols = 1,
                  .nnz = 1,
                  .block_rows = 1,
                  .block_cols = 1,
                  .offsets = offsets,
                  .indices = indices,
                  .values = &one};
  const spk_dense B = {SPK_F32, 1, 1, 1, 1, &b}, C = {SPK_F32, 1, 1, 1, 1, &c};
  char name[80];
  CHECK(spk_init() == SPK_ERR_ISA);
  CHECK(spk_isa() == NULL);
  CHECK(spk_check(&A, 1) == SPK_ERR_ISA);
  CHECK(spk_spmm(&A, &B, &C, NULL, 1) == SPK_ERR_ISA);
  CHECK(spk_sddmm(&A, &B, &C, &s, NULL, 1) == SPK_ERR_ISA);
  CHECK(spk_spmm_kernel_name(&A, &B, &C, 1, name, sizeof name) == SPK_ERR_ISA);
  CHECK(c == 3 && s == 4);
}

int main(void) {
  const char *wanted = getenv("SPKERNELS_ISA");
  if (!wanted) {
    printf("set SPKERNELS_ISA\n");
    return EXIT_FAILURE;
  }
  test_case("SPKERNELS_ISA=%s", wanted);
  check_listed(wanted);
  if (spk_isa())
    CHECK(!strcmp(spk_isa(), wanted) && spk_init() == SPK_OK, "%s is in use", spk_isa());
  else
    check_unusable();
  return test_result();
}
