/* The most memory that calls take for their workspace. */
#include "../plan/int8_plan.h"
#include "../plan/partial_plan.h"
#include "../plan/row_panels_plan.h"
#include "../plan/spmm_plan.h"

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

size_t spk_workspace_limit(void) {
  const size_t packed =
      larger(spk_row_panels_workspace_limit(), spk_int8_gather4_workspace_limit());
  return larger(spk_gather_workspace_limit(), packed);
}

size_t spk_shared_limit(ptrdiff_t rows) {
  return spk_size_product((size_t)spk_max(rows, SPK_MAX_PARTIAL_BYTES / SPK_ALIGN), SPK_ALIGN);
}
