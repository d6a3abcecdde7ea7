/* spk_prepare, spk_prepare_bitmap, spk_prepared_spmm and what belongs to them: check, plan, drive.
 */
#include <float.h>
#include <stdlib.h>

#include "../driver/drivers.h"
#include "../plan/bitmap_plan.h"
#include "../plan/predict.h"
#include "../plan/row_panels_plan.h"
#include "../plan/sell_plan.h"
#include "../pack/unpack.h"
#include "operands.h"
#include "prepared.h"

/* The most columns of a matrix that spk_predict accepts: an address space holds no more. */
#define MAX_COLS ((ptrdiff_t)1 << 56)
/* The width beyond which a matrix is packed in the same way for any width. */
#define WIDEST 4096

static spk_status check(const spk_prepared *prepared, const spk_dense *B, const spk_dense *C) {
  spk_status status = spk_check_dense(B);
  if (status == SPK_OK) status = spk_check_dense(C);
  if (status != SPK_OK) return status;
  const spk_prepared_facts A = spk_facts_of(prepared);
  if (A.cols != B->rows || A.rows != C->rows || B->cols != C->cols) return SPK_ERR_SHAPE;
  return A.dtype != B->dtype || A.dtype != C->dtype ? SPK_ERR_DTYPE : SPK_OK;
}

spk_status spk_prepare(const spk_sparse *A, ptrdiff_t width, ptrdiff_t block_rows,
                       spk_storage storage, int threads, spk_prepared **prepared) {
  spk_status status = spk_check_sparse(A);
  if (status != SPK_OK) return status;
  if (!prepared || A->format != SPK_CSR || width < 0 || block_rows < 0 ||
      (unsigned)storage > SPK_STORAGE_BF16)
    return SPK_ERR_ARGUMENT;
  if (storage != SPK_STORAGE_SAME && A->dtype != SPK_F32) return SPK_ERR_DTYPE;
  const spk_kernels *kernels = spk_active_kernels();
  if (!kernels) return SPK_ERR_ISA;
  spk_sparse canonical = *A;
  const int vector = width == 1 && block_rows == 0;
  status = spk_validate(&canonical, vector, threads);
  if (status != SPK_OK) return status;
  spk_prepared *made = calloc(1, sizeof *made);
  if (!made) return SPK_ERR_MEMORY;
  width = width > 0 ? spk_min(width, WIDEST) : SPK_DEFAULT_WIDTH;
  status = spk_drive_prepare(&canonical, width, block_rows, storage, threads, kernels,
                             spk_active_machine(), &made->row_panels, &made->sell);
  if (status == SPK_OK)
    *prepared = made;
  else
    free(made);
  return status;
}

/* Whether a bitmap can have groups of so many columns, and these scales. */
static int check_scales(const spk_sparse *A, const float *scales, ptrdiff_t group) {
  if (!scales || group < 1) return 0;
  if (group != SPK_PIECE / 2 && group % SPK_PIECE != 0 && group < A->cols) return 0;
  const ptrdiff_t count = spk_product(A->rows, spk_ceil_div(A->cols, group));
  for (ptrdiff_t i = 0; i < count; i++)
    if (!(scales[i] >= 0 && scales[i] <= FLT_MAX)) return 0;
  return 1;
}

spk_status spk_prepare_bitmap(const spk_sparse *A, const float *scales, ptrdiff_t group,
                              spk_storage storage, int threads, spk_prepared **prepared) {
  spk_status status = spk_check_sparse(A);
  if (status != SPK_OK) return status;
  if (!prepared || A->format != SPK_CSR || storage == SPK_STORAGE_SAME ||
      (unsigned)storage > SPK_STORAGE_S4)
    return SPK_ERR_ARGUMENT;
  if (A->dtype != SPK_F32) return SPK_ERR_DTYPE;
  if (spk_has_scales(storage) && !check_scales(A, scales, group)) return SPK_ERR_ARGUMENT;
  if (!spk_active_kernels()) return SPK_ERR_ISA;
  if (!spk_bitmap_suits(A)) return SPK_ERR_SPARSE;
  spk_sparse canonical = *A;
  status = spk_validate(&canonical, 1, threads);
  if (status != SPK_OK) return status;
  if (!(canonical.flags & SPK_SORTED)) return SPK_ERR_ARGUMENT;
  spk_prepared *made = calloc(1, sizeof *made);
  if (!made) return SPK_ERR_MEMORY;
  status = spk_bitmap_pack(&canonical, scales, group, storage, threads, &made->bitmap);
  if (status == SPK_OK)
    *prepared = made;
  else
    free(made);
  return status;
}

spk_status spk_prepare_sell(const spk_sparse *A, const float *scales, int threads,
                            spk_prepared **prepared) {
  spk_status status = spk_check_sparse(A);
  if (status != SPK_OK) return status;
  if (!prepared || A->format != SPK_CSR) return SPK_ERR_ARGUMENT;
  if (A->dtype != SPK_F32) return SPK_ERR_DTYPE;
  if (!check_scales(A, scales, spk_max(1, A->cols))) return SPK_ERR_ARGUMENT;
  const spk_kernels *kernels = spk_active_kernels();
  if (!kernels) return SPK_ERR_ISA;
  spk_sparse canonical = *A;
  status = spk_validate(&canonical, 1, threads);
  if (status != SPK_OK) return status;
  if (!(canonical.flags & SPK_SORTED)) return SPK_ERR_ARGUMENT;
  if (!spk_sell_suit(&canonical, kernels)) return SPK_ERR_SPARSE;
  spk_prepared *made = calloc(1, sizeof *made);
  if (!made) return SPK_ERR_MEMORY;
  status = spk_sell_pack_scaled(&canonical, scales, threads, kernels, &made->sell);
  if (status == SPK_OK && !made->sell) status = SPK_ERR_SPARSE;
  if (status == SPK_OK)
    *prepared = made;
  else
    free(made);
  return status;
}

spk_status spk_prepared_spmm(const spk_prepared *prepared, const spk_dense *B, const spk_dense *C,
                             const spk_epilogue *epilogue, int threads) {
  static const spk_epilogue plain = {.alpha = 1.0};
  if (!prepared) return SPK_ERR_ARGUMENT;
  if (!epilogue) epilogue = &plain;
  const spk_status status = check(prepared, B, C);
  if (status != SPK_OK) return status;
  if ((unsigned)epilogue->activation > SPK_RELU6) return SPK_ERR_ARGUMENT;
  if (C->rows == 0 || C->cols == 0) return SPK_OK;
  const spk_epilogue e = spk_rounded_epilogue(epilogue, B->dtype);
  if (prepared->sell)
    return spk_drive_sell(prepared->sell, B, C, &e, threads, spk_active_kernels());
  if (prepared->bitmap)
    return spk_drive_bitmap(prepared->bitmap, B, C, &e, threads, spk_active_kernels());
  spk_row_panels_plan plan;
  spk_plan_row_panels(prepared->row_panels, B, C, threads, spk_active_machine(), &plan);
  return spk_drive_row_panels(prepared->row_panels, B, C, &e, &plan);
}

static void unpack(const spk_prepared *prepared, const spk_unpacked *to) {
  if (prepared->sell)
    spk_sell_unpack(prepared->sell, spk_active_kernels()->permute_bits, to);
  else if (prepared->bitmap)
    spk_bitmap_unpack(prepared->bitmap, to);
  else
    spk_row_panels_unpack(prepared->row_panels, to);
}

spk_status spk_prepared_csr(const spk_prepared *prepared, spk_itype itype, void *offsets,
                            void *indices, void *values) {
  if (!prepared || !offsets || !indices || !values || (unsigned)itype > SPK_I64)
    return SPK_ERR_ARGUMENT;
  const spk_prepared_facts A = spk_facts_of(prepared);
  if (itype == SPK_I32 && (A.cols > INT32_MAX || A.nnz > INT32_MAX)) return SPK_ERR_ARGUMENT;
  ptrdiff_t *next = calloc((size_t)A.rows + 1, sizeof *next);
  if (!next) return SPK_ERR_MEMORY;
  unpack(prepared, &(spk_unpacked){.itype = itype, .next = next});
  ptrdiff_t first = 0;
  for (ptrdiff_t i = 0; i <= A.rows; i++) {
    const ptrdiff_t count = next[i];
    if (itype == SPK_I32)
      ((int32_t *)offsets)[i] = (int32_t)first;
    else
      ((int64_t *)offsets)[i] = (int64_t)first;
    next[i] = first;
    first += count;
  }
  unpack(prepared, &(spk_unpacked){itype, next, indices, values});
  free(next);
  return SPK_OK;
}

void spk_prepared_free(spk_prepared *prepared) {
  if (!prepared) return;
  spk_row_panels_free(prepared->row_panels);
  spk_sell_free(prepared->sell);
  spk_bitmap_free(prepared->bitmap);
  free(prepared);
}

ptrdiff_t spk_prepare_width(spk_dtype dtype, ptrdiff_t n) {
  const spk_kernels *kernels = spk_active_kernels();
  if (!kernels || (unsigned)dtype > SPK_F64 || n <= 1) return n;
  return spk_row_panels_tile(dtype, spk_min(n, WIDEST), kernels, spk_active_machine());
}

double spk_predict(const spk_sparse *A, ptrdiff_t n, spk_strategy strategy) {
  const spk_kernels *kernels = spk_active_kernels();
  if (!A || !kernels || (unsigned)A->dtype > SPK_F64 || (unsigned)strategy > SPK_STRATEGY_BITMAP ||
      n < 1 || A->rows < 0 || A->nnz < 0 || A->cols < 0 || A->cols > MAX_COLS)
    return 0;
  spk_sparse sorted = *A;
  sorted.flags |= SPK_SORTED;
  return spk_predict_cycles(&sorted, n, strategy, kernels, spk_active_machine());
}

spk_layout spk_prepared_layout(const spk_prepared *prepared) {
  if (prepared && prepared->bitmap) return SPK_BITMAP;
  return prepared && prepared->sell ? SPK_SELL : SPK_ROW_PANELS;
}

ptrdiff_t spk_prepared_block_rows(const spk_prepared *prepared) {
  if (!prepared) return 0;
  if (prepared->bitmap) return SPK_PIECE;
  return prepared->sell ? prepared->sell->window_columns : prepared->row_panels->block_rows;
}

ptrdiff_t spk_prepared_shared(const spk_prepared *prepared) {
  if (!prepared || prepared->bitmap) return 0;
  const spk_sell *sell = prepared->sell;
  return sell ? sell->begin[sell->row_panels].shared : prepared->row_panels->shared;
}

size_t spk_prepared_bytes(const spk_prepared *prepared) {
  return prepared ? sizeof *prepared + spk_facts_of(prepared).bytes : 0;
}
