/* spk_int8_prepare, spk_int8_spmm and what belongs to them: check, plan, drive. */
#include "../driver/drivers.h"
#include "../plan/int8_plan.h"
#include "../plan/row_panels_plan.h"
#include "operands.h"

spk_status spk_int8_prepare(const spk_sparse *A, const int8_t *values, ptrdiff_t width, int threads,
                            spk_int8 **prepared) {
  if (!A || !prepared || width < 0) return SPK_ERR_ARGUMENT;
  spk_sparse canonical = *A;
  canonical.values = values;
  spk_status status = spk_check_sparse(&canonical);
  if (status != SPK_OK) return status;
  if (canonical.format != SPK_CSR) return SPK_ERR_ARGUMENT;
  const spk_kernels *kernels = spk_active_kernels();
  if (!kernels) return SPK_ERR_ISA;
  status = spk_validate(&canonical, 1, threads);
  if (status != SPK_OK) return status;
  if (!(canonical.flags & SPK_SORTED)) return SPK_ERR_ARGUMENT;
  return spk_drive_int8_prepare(&canonical, values, width ? width : SPK_DEFAULT_WIDTH, threads,
                                kernels, spk_active_machine(), prepared);
}

static int is_value(int x, int is_signed) {
  return is_signed ? x >= INT8_MIN && x <= INT8_MAX : x >= 0 && x <= UINT8_MAX;
}

static int are_values(const int32_t *x, ptrdiff_t count, int is_signed) {
  for (ptrdiff_t j = 0; x && j < count; j++)
    if (!is_value(x[j], is_signed)) return 0;
  return 1;
}

spk_status spk_int8_spmm(const spk_int8 *A, const spk_bytes *B, void *C, ptrdiff_t row_stride,
                         ptrdiff_t col_stride, const spk_requantise *how, int threads) {
  if (!A || !B || !how || B->rows < 0 || B->cols < 0 || (unsigned)how->result > SPK_RESULT_U8 ||
      !is_value(how->zero_point, B->is_signed))
    return SPK_ERR_ARGUMENT;
  if (how->result != SPK_RESULT_I32 && (unsigned)how->activation > SPK_RELU6)
    return SPK_ERR_ARGUMENT;
  if (how->result >= SPK_RESULT_S8 && !is_value(how->out_zero_point, how->result == SPK_RESULT_S8))
    return SPK_ERR_ARGUMENT;
  if (B->rows != A->cols) return SPK_ERR_SHAPE;
  if (A->rows == 0 || B->cols == 0) return SPK_OK;
  if (!C || (!B->data && B->rows > 0)) return SPK_ERR_ARGUMENT;
  if (!spk_extent_fits(B->rows, B->cols, B->row_stride, B->col_stride, 1) ||
      !spk_extent_fits(A->rows, B->cols, row_stride, col_stride, spk_result_size(how->result)))
    return SPK_ERR_ARGUMENT;
  if (!are_values(how->column_zero_points, B->cols, B->is_signed)) return SPK_ERR_ARGUMENT;
  if (B->cols == 1) col_stride = 1; /* the stride of a lone column means nothing */
  if (!A->gather4) return spk_drive_int8_block4(A, B, C, row_stride, col_stride, how, threads);
  spk_int8_gather4_plan plan;
  spk_plan_int8_gather4(A->gather4, B->cols, threads, spk_active_machine(), &plan);
  return spk_drive_int8_gather4(A->gather4, A->row_sums, B, C, row_stride, col_stride, how, &plan);
}

ptrdiff_t spk_int8_width(ptrdiff_t n) {
  const spk_kernels *kernels = spk_active_kernels();
  if (!kernels || !kernels->bytes || n > SPK_INT8_BLOCK4_MAX_COLUMNS) return SPK_DEFAULT_WIDTH;
  if (n <= 1) return 1;
  return spk_row_panels_tile(SPK_F32, n, kernels->bytes, spk_active_machine());
}

void spk_int8_free(spk_int8 *A) { spk_int8_discard(A); }

size_t spk_int8_bytes(const spk_int8 *A) { return A ? spk_int8_size(A) : 0; }

spk_layout spk_int8_layout(const spk_int8 *A) {
  return A && A->sell ? SPK_SELL : A && A->row_panels ? SPK_ROW_PANELS : SPK_INT8_GATHER4;
}

double spk_int8_share(const spk_int8 *A) {
  if (!A) return 0;
  ptrdiff_t shared = 0, all = 0;
  if (A->gather4) shared = A->gather4->shared, all = A->gather4->nnz;
  if (A->row_panels) shared = A->row_panels->shared, all = A->row_panels->nnz;
  if (A->sell) shared = A->sell->begin[A->sell->row_panels].shared, all = A->sell->nnz;
  return all > 0 ? (double)shared / (double)all : 0;
}
