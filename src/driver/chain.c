/* Layers in row panels, one after the other: each thread takes some columns through all of them,
 * so that it finds in its own L2 what it reads of the layer before, and waits for nobody. */
#include "drivers.h"
#include "../threads/parallel.h"
#include "../threads/workspace.h"

/* An address with the alignment of the workspace. */
#define ALIGNED ((char *)(uintptr_t)SPK_ALIGN)

typedef struct job {
  const spk_panel_layer *layers;
  ptrdiff_t count;
  spk_dense X, Y;
  ptrdiff_t slices, lanes;
  const spk_machine *machine;
  size_t result; /* the bytes of one of the two results that a worker holds */
  spk_workspace space;
} job;

/* The first column of a slice.  Slices are even in whole vectors, and wider ones lie among narrower
 * ones, so that threads, which take neighbours, have as many vectors. */
static ptrdiff_t begin_of(const job *j, ptrdiff_t slice) {
  const ptrdiff_t vectors = spk_ceil_div(j->X.cols, j->lanes);
  return spk_min(j->X.cols, vectors * slice / j->slices * j->lanes);
}

static spk_dense columns_of(const job *j, const spk_dense *D, ptrdiff_t slice) {
  const ptrdiff_t begin = begin_of(j, slice);
  spk_dense part = *D;
  part.cols = begin_of(j, slice + 1) - begin;
  part.data = spk_at_mut(D->data, begin * D->col_stride, spk_dtype_size(D->dtype));
  return part;
}

/* The result of a layer of a slice, where results alternate between two halves of `memory`. */
static spk_dense result_of(const job *j, ptrdiff_t layer, ptrdiff_t slice, char *memory) {
  if (layer == j->count - 1) return columns_of(j, &j->Y, slice);
  spk_dense held = columns_of(j, &j->X, slice);
  held.rows = j->layers[layer].A->rows;
  held.row_stride = held.cols;
  held.col_stride = 1;
  held.data = memory + (layer % 2 ? j->result : 0);
  return held;
}

static void run_slice(void *context, ptrdiff_t slice, int worker) {
  const job *j = context;
  char *memory = spk_workspace_of(&j->space, worker);
  spk_dense from = columns_of(j, &j->X, slice);
  for (ptrdiff_t i = 0; i < j->count; i++) {
    const spk_row_panels *A = j->layers[i].A;
    const spk_dense to = result_of(j, i, slice, memory);
    spk_row_panels_plan plan;
    spk_plan_row_panels(A, &from, &to, 1, j->machine, &plan);
    spk_run_row_panels(A, &from, &to, &j->layers[i].epilogue, &plan, memory + 2 * j->result);
    from = to;
  }
}

/* The most bytes that the product of a layer and a slice takes. */
static size_t most_scratch(const job *j) {
  size_t most = 0;
  for (ptrdiff_t slice = 0; slice < j->slices; slice++) {
    spk_dense from = columns_of(j, &j->X, slice);
    for (ptrdiff_t i = 0; i < j->count; i++) {
      const spk_dense to = result_of(j, i, slice, ALIGNED);
      spk_row_panels_plan plan;
      spk_plan_row_panels(j->layers[i].A, &from, &to, 1, j->machine, &plan);
      const size_t scratch = spk_row_panels_scratch(&plan);
      most = most > scratch ? most : scratch;
      from = to;
    }
  }
  return most;
}

spk_status spk_drive_chain(const spk_panel_layer *layers, ptrdiff_t count, const spk_dense *X,
                           const spk_dense *Y, ptrdiff_t slices, int threads,
                           const spk_machine *machine) {
  job j = {.layers = layers, .count = count, .X = *X, .Y = *Y, .slices = slices};
  j.machine = machine;
  j.lanes = 1;
  for (ptrdiff_t i = 0; i < count; i++)
    j.lanes = spk_max(j.lanes, layers[i].A->kernels->lanes[X->dtype]);
  ptrdiff_t highest = 0, widest = 0;
  for (ptrdiff_t i = 0; i < count - 1; i++) highest = spk_max(highest, layers[i].A->rows);
  for (ptrdiff_t slice = 0; slice < slices; slice++)
    widest = spk_max(widest, begin_of(&j, slice + 1) - begin_of(&j, slice));
  const size_t row = spk_size_product((size_t)widest, spk_dtype_size(X->dtype));
  const size_t result = spk_aligned_size(spk_size_product((size_t)highest, row));
  const size_t results = spk_size_product(result, 2);
  const spk_status status =
      spk_workspace_take(&j.space, 0, spk_size_sum(results, most_scratch(&j)), threads);
  if (status != SPK_OK) return status;
  j.result = result;
  spk_parallel(threads, (spk_phase){0}, (spk_phase){slices, run_slice}, &j);
  spk_workspace_free(&j.space);
  return SPK_OK;
}
