/* Packing: plans decide how, and pack/ does the work. */
#include <stdlib.h>

#include "../plan/int8_plan.h"
#include "../plan/row_panels_plan.h"
#include "../plan/sell_plan.h"
#include "drivers.h"

static spk_status pack_row_panels(const spk_sparse *A, ptrdiff_t width, ptrdiff_t block_rows,
                                  spk_storage storage, int threads, const spk_kernels *kernels,
                                  const spk_machine *machine, spk_row_panels **made) {
  spk_row_panels_shape shape;
  const spk_status status =
      spk_choose_row_panels(A, width, block_rows, threads, kernels, machine, &shape);
  return status == SPK_OK ? spk_row_panels_pack(A, &shape, storage, threads, made) : status;
}

static spk_status pack_gather4(const spk_sparse *A, const int8_t *values, int threads,
                               const spk_kernels *kernels, const spk_machine *machine,
                               spk_int8_gather4 **made) {
  spk_int8_gather4_shape shape;
  const spk_status status = spk_choose_int8_gather4(A, threads, kernels, machine, &shape);
  return status == SPK_OK ? spk_int8_gather4_pack(A, values, &shape, threads, made) : status;
}

spk_status spk_drive_prepare(const spk_sparse *A, ptrdiff_t width, ptrdiff_t block_rows,
                             spk_storage storage, int threads, const spk_kernels *kernels,
                             const spk_machine *machine, spk_row_panels **row_panels,
                             spk_sell **sell) {
  if (width == 1 && block_rows == 0 && spk_sell_suit(A, kernels)) {
    const spk_status status = spk_sell_pack(A, storage, threads, kernels, sell);
    if (status != SPK_OK || *sell) return status;
  }
  return pack_row_panels(A, width, block_rows, storage, threads, kernels, machine, row_panels);
}

/* Pack four or two neighbouring columns as one, unless entries are scattered. */
static spk_status pack_block4(const spk_sparse *A, const int8_t *values, ptrdiff_t width,
                              int threads, const spk_kernels *kernels, const spk_machine *machine,
                              spk_int8 *into) {
  spk_int8_block4 block4;
  spk_status status = spk_int8_group(A, values, kernels->bytes->number_values, &block4);
  if (status != SPK_OK) return status;
  if (spk_int8_is_scattered(A, &block4.grouped, width, kernels))
    status = pack_gather4(A, values, threads, kernels, machine, &into->gather4);
  else
    status = spk_drive_prepare(&block4.grouped, width, 0, SPK_STORAGE_SAME, threads, kernels->bytes,
                               machine, &into->row_panels, &into->sell);
  free(block4.memory);
  return status;
}

spk_status spk_drive_int8_prepare(const spk_sparse *A, const int8_t *values, ptrdiff_t width,
                                  int threads, const spk_kernels *kernels,
                                  const spk_machine *machine, spk_int8 **made) {
  spk_int8 *new = NULL;
  spk_status status = spk_int8_new(A, values, &new);
  if (status != SPK_OK) return status;
  if (!kernels->bytes)
    status = pack_gather4(A, values, threads, kernels, machine, &new->gather4);
  else
    status = pack_block4(A, values, width, threads, kernels, machine, new);
  if (status == SPK_OK)
    *made = new;
  else
    spk_int8_discard(new);
  return status;
}
