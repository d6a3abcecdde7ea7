/* The words of one value type: T, TN, T_FN as in kernels; T_LIMIT(MAX) is its greatest number. */
#include "../../../src/kernels/names.inc.h"
#include "numbers.inc.h"
#include "memory.inc.h"
#include "lanewise.inc.h"
#include "across.inc.h"
#ifdef SPK_PERMUTE_BITS
#include "permutes.inc.h"
#endif
#ifdef SPK_HAS_PAIRED_ROWS
#include "paired.inc.h"
#endif

static void FT(check_words)(void) {
  FT(make_numbers)();
  FT(check_memory)();
  FT(check_lanewise)();
  FT(check_across)();
#ifdef SPK_PERMUTE_BITS
  FT(check_permutes)();
#endif
#ifdef SPK_HAS_PAIRED_ROWS
  FT(check_paired)();
#endif
}
