/* Every entry of the table of kernels in use, which SPKERNELS_ISA chooses, or of SPK_TABLE.
 *
 * The table is walked through kernels.def: with a row that has no check_<field> (checks.h), this
 * does not build.
 */
#include <stdlib.h>

#include "../../../src/dispatch/dispatch.h"
#include "checks.h"
#include "fixtures.h"

#ifdef SPK_TABLE
extern const spk_kernels SPK_TABLE;
#define TABLE (&SPK_TABLE)
#else
#define TABLE spk_active_kernels()
#endif

#define CHECK_ENTRY(entry, check, name)        \
  do {                                         \
    test_case("%s of %s", name, checked->isa); \
    CHECK((entry) != NULL);                    \
    if (entry) check;                          \
  } while (0)

#define SPK_KERNEL(field, fn) CHECK_ENTRY(checked->field, check_##field(checked->field), #field);
#define SPK_KERNEL_I(field, fn) \
  for (int i = 0; i < 2; i++)   \
    CHECK_ENTRY(checked->field[i], check_##field(checked->field[i], (spk_itype)i), #field);
#define SPK_KERNEL_T(field, fn) \
  for (int t = 0; t < 2; t++)   \
    CHECK_ENTRY(checked->field[t], check_##field(checked->field[t], (spk_dtype)t), #field);
/* Only some instruction sets have it. */
#define SPK_KERNEL_T_PERMUTE(field, fn) \
  for (int t = 0; t < 2; t++)           \
    if (checked->field[t])              \
      CHECK_ENTRY(checked->field[t], check_##field(checked->field[t], (spk_dtype)t), #field);
#define SPK_KERNEL_T_PAIRED SPK_KERNEL_T_PERMUTE
#define SPK_KERNEL_TV(field, fn, most)                                                            \
  for (int t = 0; t < 2; t++)                                                                     \
    for (int v = 0; v < most; v++)                                                                \
      CHECK_ENTRY(checked->field[t][v], check_##field(checked->field[t][v], (spk_dtype)t, v + 1), \
                  #field);
#define SPK_KERNEL_TI(field, fn)        \
  for (int t = 0; t < 2; t++)           \
    for (int i = 0; i < 2; i++)         \
      CHECK_ENTRY(checked->field[t][i], \
                  check_##field(checked->field[t][i], (spk_dtype)t, (spk_itype)i), #field);
#define SPK_KERNEL_TIV(field, fn, most)                                                        \
  for (int t = 0; t < 2; t++)                                                                  \
    for (int i = 0; i < 2; i++)                                                                \
      for (int v = 0; v < most; v++)                                                           \
        CHECK_ENTRY(checked->field[t][i][v],                                                   \
                    check_##field(checked->field[t][i][v], (spk_dtype)t, (spk_itype)i, v + 1), \
                    #field);

int main(void) {
  checked = TABLE;
  if (!checked) {
    printf("this machine has no %s\n", getenv("SPKERNELS_ISA"));
    return TEST_SKIPPED;
  }
  seed_random(20);
#include "../../../src/kernels/kernels.def"
  return test_result();
}
