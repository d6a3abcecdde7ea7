/* spk_spmm: check, choose gather, scatter or partial sums, plan, drive. */
#include <stdio.h>

#include "../driver/drivers.h"
#include "operands.h"

static const spk_epilogue plain = {.alpha = 1.0};

/* The switches have no default: where a format is missing, the compiler warns. */

static const char *name_of(spk_format format) {
  switch (format) {
    case SPK_CSR:
      return "csr";
    case SPK_CSC:
      return "csc";
    case SPK_COO:
      return "coo";
    case SPK_BSR:
      return "bsr";
  }
  return "unknown";
}

/* Whether A goes by gather; scatter takes the rest.  COO times a vector does not gather, even if
 * sorted, because finding its rows would cost more than the product. */
static int gathers(const spk_sparse *A, const spk_dense *B) {
  switch (A->format) {
    case SPK_CSR:
    case SPK_BSR:
      return 1;
    case SPK_COO:
      return (A->flags & SPK_SORTED) && B->cols > 1;
    case SPK_CSC:
      return 0;
  }
  return 0;
}

/* Whether the product needs to know if A is sorted.  COO needs it to gather.  Rows of CSR and BSR
 * are cut only if B is packed, which it is for more than a few columns or with a stride. */
static int wants_sorted(const spk_sparse *A, const spk_dense *B) {
  if (B->cols <= 1) return 0;
  switch (A->format) {
    case SPK_CSR:
    case SPK_BSR:
      return B->cols > 8 || B->col_stride != 1;
    case SPK_COO:
      return 1;
    case SPK_CSC:
      return 0;
  }
  return 0;
}

/* The most columns of B for which COO is not tested for sorted rows.  With few columns, that test
 * and finding the rows cost more than they save. */
#define FEW_COLUMNS 16

/* Whether kernels of partial sums take the format at all, with as many columns. */
static int may_sum_parts(const spk_sparse *A, const spk_dense *B) {
  switch (A->format) {
    case SPK_CSR:
      return B->cols == 1;
    case SPK_CSC:
      return 1;
    case SPK_COO:
      return B->cols <= FEW_COLUMNS || ((A->flags & SPK_CHECKED) != 0 && !gathers(A, B));
    case SPK_BSR:
      return 0;
  }
  return 0;
}

/* Entries per row of CSR below which vectors of 32 bytes are as good as those of 64 (Zen 4: 7%
 * faster at 1 and 3 entries a row, 10% slower at 8). */
#define SHORT_ROW 4.0

/* Whether the product goes by partial sums, and by which kernels and plan.  The shape and the
 * number of entries of A decide. */
static int goes_by_partial_sums(const spk_sparse *A, const spk_dense *B, int threads,
                                const spk_kernels **kernels, spk_partial_plan *plan) {
  if (!may_sum_parts(A, B)) return 0;
  *kernels = spk_active_kernels();
  /* Rows of CSR go by whole vectors even for one column (kernels/spmv_partial.inc.h).  The vectors
   * are wide unless rows are short. */
  if (A->format != SPK_CSR || (double)A->nnz < SHORT_ROW * (double)A->rows)
    *kernels = spk_kernels_for(*kernels, B->dtype, B->cols);
  return spk_plan_partial(A, B, threads, *kernels, spk_active_machine(), plan);
}

/* BSR whose blocks have one element is CSR. */
static spk_sparse without_blocks(const spk_sparse *A) {
  spk_sparse same = *A;
  if (A->format == SPK_BSR && A->block_rows == 1 && A->block_cols == 1) same.format = SPK_CSR;
  return same;
}

static spk_status check(const spk_sparse *A, const spk_dense *B, const spk_dense *C) {
  spk_status status = spk_check_sparse(A);
  if (status == SPK_OK) status = spk_check_dense(B);
  if (status == SPK_OK) status = spk_check_dense(C);
  if (status != SPK_OK) return status;
  if (A->cols != B->rows || A->rows != C->rows || B->cols != C->cols) return SPK_ERR_SHAPE;
  if (A->dtype != B->dtype || A->dtype != C->dtype) return SPK_ERR_DTYPE;
  return spk_active_kernels() ? SPK_OK : SPK_ERR_ISA;
}

spk_status spk_spmm(const spk_sparse *A, const spk_dense *B, const spk_dense *C,
                    const spk_epilogue *epilogue, int threads) {
  if (!epilogue) epilogue = &plain;
  spk_status status = check(A, B, C);
  if (status != SPK_OK) return status;
  if ((unsigned)epilogue->activation > SPK_RELU6) return SPK_ERR_ARGUMENT;
  const spk_epilogue e = spk_rounded_epilogue(epilogue, A->dtype);
  const spk_sparse simple = without_blocks(A);
  A = &simple;
  const spk_kernels *kernels;
  spk_partial_plan partial;
  if (goes_by_partial_sums(A, B, threads, &kernels, &partial)) {
    /* The kernels check indices as they use them (kernels/spmm_partial.inc.h). */
    status = spk_check_offsets(A);
    return status == SPK_OK ? spk_drive_partial(A, B, C, &e, &partial, kernels) : status;
  }
  spk_sparse canonical = *A;
  status = spk_validate(&canonical, wants_sorted(A, B), threads);
  if (status != SPK_OK) return status;
  if (C->rows == 0 || C->cols == 0) return SPK_OK;
  if (goes_by_partial_sums(&canonical, B, threads, &kernels, &partial))
    return spk_drive_partial(&canonical, B, C, &e, &partial, kernels);
  const int keeps = e.beta != 0.0;
  kernels = spk_active_kernels();
  spk_spmm_plan plan;
  if (gathers(&canonical, B)) {
    kernels = spk_kernels_for(kernels, B->dtype, B->cols);
    spk_plan_gather(&canonical, B, C, keeps, threads, kernels, spk_active_machine(), &plan);
    return spk_drive_gather(&canonical, B, C, &e, &plan, kernels);
  }
  spk_plan_scatter(&canonical, B, C, keeps, threads, kernels, spk_active_machine(), &plan);
  return spk_drive_scatter(&canonical, B, C, &e, &plan, kernels);
}

spk_status spk_spmm_kernel_name(const spk_sparse *A, const spk_dense *B, const spk_dense *C,
                                int threads, char *name, size_t size) {
  spk_status status = check(A, B, C);
  if (status != SPK_OK) return status;
  if (!name || size == 0) return SPK_ERR_ARGUMENT;
  const spk_sparse simple = without_blocks(A);
  A = &simple;
  spk_sparse canonical = *A;
  status = spk_validate(&canonical, wants_sorted(A, B), threads);
  if (status != SPK_OK) return status;
  if (C->rows == 0 || C->cols == 0) {
    snprintf(name, size, "spmm_%s_empty", name_of(A->format));
    return SPK_OK;
  }
  const spk_kernels *kernels;
  spk_partial_plan partial;
  if (goes_by_partial_sums(A, B, threads, &kernels, &partial) ||
      goes_by_partial_sums(&canonical, B, threads, &kernels, &partial)) {
    char shape[32] = "vector";
    if (B->cols > 1)
      snprintf(shape, sizeof shape, "1x%tdv", spk_ceil_div(partial.tile, kernels->lanes[A->dtype]));
    snprintf(name, size, "spmm_%s_%s%s, partial sums of %td part%s, %d thread%s",
             name_of(A->format), shape, partial.pack ? " packed" : "", partial.parts,
             partial.parts == 1 ? "" : "s", partial.threads, partial.threads == 1 ? "" : "s");
    return SPK_OK;
  }
  const int gather = gathers(&canonical, B);
  kernels = spk_active_kernels();
  if (gather) kernels = spk_kernels_for(kernels, B->dtype, B->cols);
  spk_spmm_plan plan;
  if (gather)
    spk_plan_gather(&canonical, B, C, 0, threads, kernels, spk_active_machine(), &plan);
  else
    spk_plan_scatter(&canonical, B, C, 0, threads, kernels, spk_active_machine(), &plan);
  char shape[32], how[96];
  if (plan.strided)
    snprintf(shape, sizeof shape, "strided");
  else if (B->cols == 1)
    snprintf(shape, sizeof shape, "vector");
  else
    snprintf(shape, sizeof shape, "1x%tdv", spk_ceil_div(plan.tile, kernels->lanes[A->dtype]));
  how[0] = 0;
  if (plan.pack && plan.blocks > 1)
    snprintf(how, sizeof how, " packed, blocks of %td rows", plan.block_rows);
  else if (plan.pack)
    snprintf(how, sizeof how, " packed");
  else if (plan.copy)
    snprintf(how, sizeof how, " copied");
  snprintf(name, size, "spmm_%s_%s%s, %d thread%s", name_of(A->format), shape, how, plan.threads,
           plan.threads == 1 ? "" : "s");
  return SPK_OK;
}
