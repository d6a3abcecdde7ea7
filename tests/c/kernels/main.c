/* Every entry of the table of kernels in use.  SPKERNELS_ISA chooses the table.
 *
 * The table is walked through kernels.def: with a row that has no check_<field> (checks.h), this
 * does not build.
 */
#include <stdlib.h>

#include "../../../src/dispatch/dispatch.h"
#include "../testing.h"
#include "checks.h"

#define CHECK_ENTRY(entry, check, name)      \
  do {                                       \
    test_case("%s of %s", name, table->isa); \
    CHECK((entry) != NULL);                  \
    if (entry) check;                        \
  } while (0)

#define SPK_KERNEL(field, fn) CHECK_ENTRY(table->field, check_##field(table->field), #field);
#define SPK_KERNEL_I(field, fn) \
  for (int i = 0; i < 2; i++)   \
    CHECK_ENTRY(table->field[i], check_##field(table->field[i], (spk_itype)i), #field);
#define SPK_KERNEL_T(field, fn) \
  for (int t = 0; t < 2; t++)   \
    CHECK_ENTRY(table->field[t], check_##field(table->field[t], (spk_dtype)t), #field);
/* Only some instruction sets have it. */
#define SPK_KERNEL_T_PERMUTE(field, fn) \
  for (int t = 0; t < 2; t++)           \
    if (table->field[t])                \
      CHECK_ENTRY(table->field[t], check_##field(table->field[t], (spk_dtype)t), #field);
#define SPK_KERNEL_T_PAIRED SPK_KERNEL_T_PERMUTE
#define SPK_KERNEL_TV(field, fn, most)                                                        \
  for (int t = 0; t < 2; t++)                                                                 \
    for (int v = 0; v < most; v++)                                                            \
      CHECK_ENTRY(table->field[t][v], check_##field(table->field[t][v], (spk_dtype)t, v + 1), \
                  #field);
#define SPK_KERNEL_TI(field, fn)      \
  for (int t = 0; t < 2; t++)         \
    for (int i = 0; i < 2; i++)       \
      CHECK_ENTRY(table->field[t][i], \
                  check_##field(table->field[t][i], (spk_dtype)t, (spk_itype)i), #field);
#define SPK_KERNEL_TIV(field, fn, most)                                                      \
  for (int t = 0; t < 2; t++)                                                                \
    for (int i = 0; i < 2; i++)                                                              \
      for (int v = 0; v < most; v++)                                                         \
        CHECK_ENTRY(table->field[t][i][v],                                                   \
                    check_##field(table->field[t][i][v], (spk_dtype)t, (spk_itype)i, v + 1), \
                    #field);

int main(void) {
  const spk_kernels *table = spk_active_kernels();
  if (!table) {
    printf("this machine has no %s\n", getenv("SPKERNELS_ISA"));
    return TEST_SKIPPED;
  }
  seed_random(20);
#include "../../../src/kernels/kernels.def"
  return test_result();
}
