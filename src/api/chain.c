/* spk_chain: check all layers, then multiply layer by layer, or some columns by all layers at a
 * time. */
#include "../driver/drivers.h"
#include "../plan/chain_plan.h"
#include "../threads/parallel.h"
#include "../threads/workspace.h"
#include "operands.h"
#include "prepared.h"

/* The most layers that slices of columns go through; others follow them. */
#define MAX_SLICED 32

static spk_prepared_facts facts_of(const spk_layer *layer) {
  const spk_sparse *A = layer->A;
  if (layer->packed) return spk_facts_of(layer->packed);
  return (spk_prepared_facts){A->dtype, A->rows, A->cols, A->nnz, 0};
}

static spk_status check(const spk_layer *layers, ptrdiff_t count, const spk_dense *X,
                        const spk_dense *Y) {
  if (!layers || count < 1) return SPK_ERR_ARGUMENT;
  spk_status status = spk_check_dense(X);
  if (status == SPK_OK) status = spk_check_dense(Y);
  if (status != SPK_OK) return status;
  ptrdiff_t rows = X->rows;
  for (ptrdiff_t i = 0; i < count; i++) {
    if ((unsigned)layers[i].activation > SPK_RELU6) return SPK_ERR_ARGUMENT;
    if (!layers[i].packed) status = spk_check_sparse(layers[i].A);
    if (status != SPK_OK) return status;
    const spk_prepared_facts f = facts_of(&layers[i]);
    if (f.cols != rows) return SPK_ERR_SHAPE;
    if (f.dtype != X->dtype) return SPK_ERR_DTYPE;
    rows = f.rows;
  }
  if (rows != Y->rows || X->cols != Y->cols) return SPK_ERR_SHAPE;
  if (Y->dtype != X->dtype) return SPK_ERR_DTYPE;
  return spk_active_kernels() ? SPK_OK : SPK_ERR_ISA;
}

static spk_epilogue epilogue_of(const spk_layer *layer) {
  return (spk_epilogue){.alpha = 1.0, .bias_row = layer->bias, .activation = layer->activation};
}

static spk_dense held(const spk_layer *layer, const spk_dense *X, char *memory) {
  return (spk_dense){.dtype = X->dtype,
                     .rows = facts_of(layer).rows,
                     .cols = X->cols,
                     .row_stride = X->cols,
                     .col_stride = 1,
                     .data = memory};
}

/* Layer by layer; the results alternate between two halves of the memory. */
static spk_status multiply(const spk_layer *layers, ptrdiff_t count, const spk_dense *X,
                           const spk_dense *Y, char *const halves[2], int threads) {
  spk_dense from = *X;
  for (ptrdiff_t i = 0; i < count; i++) {
    const spk_layer *layer = &layers[i];
    const spk_epilogue e = epilogue_of(layer);
    const spk_dense to = i == count - 1 ? *Y : held(layer, X, halves[i % 2]);
    const spk_status status = layer->packed
                                  ? spk_prepared_spmm(layer->packed, &from, &to, &e, threads)
                                  : spk_spmm(layer->A, &from, &to, &e, threads);
    if (status != SPK_OK) return status;
    from = to;
  }
  return SPK_OK;
}

/* Find the layers in row panels, from the first one on.  Only row panels have the same bits for any
 * columns. */
static ptrdiff_t find_row_panels(const spk_layer *layers, ptrdiff_t count,
                                 const spk_row_panels *found[MAX_SLICED]) {
  ptrdiff_t i = 0;
  for (; i < spk_min(count, MAX_SLICED) && layers[i].packed && layers[i].packed->row_panels; i++)
    found[i] = layers[i].packed->row_panels;
  return i;
}

spk_status spk_chain(const spk_layer *layers, ptrdiff_t count, const spk_dense *X,
                     const spk_dense *Y, int threads) {
  spk_status status = check(layers, count, X, Y);
  if (status != SPK_OK || Y->rows == 0 || Y->cols == 0) return status;
  double work = 0;
  ptrdiff_t highest = 0; /* the most rows of a result between two layers */
  for (ptrdiff_t i = 0; i < count; i++) {
    const spk_prepared_facts f = facts_of(&layers[i]);
    work += (double)f.nnz * (double)X->cols;
    if (i < count - 1) highest = spk_max(highest, f.rows);
  }
  const int workers = spk_choose_threads(threads, work);
  const spk_row_panels *row_panels[MAX_SLICED];
  ptrdiff_t sliced = find_row_panels(layers, count, row_panels);
  const ptrdiff_t slices = spk_plan_chain_slices(row_panels, sliced, X->cols, workers);
  if (slices == 1) sliced = 0;
  spk_workspace space = {0};
  char *halves[2] = {NULL, NULL};
  if (sliced < count) {
    const size_t row = spk_size_product((size_t)X->cols, spk_dtype_size(X->dtype));
    const size_t half = spk_aligned_size(spk_size_product((size_t)highest, row));
    status = spk_workspace_take(&space, half, half, count < 2 ? 0 : 1);
    if (status != SPK_OK) return status;
    halves[0] = space.shared;
    halves[1] = space.slices;
  }
  spk_dense from = *X;
  if (sliced > 0) {
    spk_panel_layer panels[MAX_SLICED];
    for (ptrdiff_t i = 0; i < sliced; i++)
      panels[i] = (spk_panel_layer){row_panels[i], epilogue_of(&layers[i])};
    const spk_dense to = sliced == count ? *Y : held(&layers[sliced - 1], X, halves[1]);
    status = spk_drive_chain(panels, sliced, X, &to, slices, workers, spk_active_machine());
    from = to;
  }
  if (status == SPK_OK && sliced < count)
    status = multiply(layers + sliced, count - sliced, &from, Y, halves, threads);
  spk_workspace_free(&space);
  return status;
}
