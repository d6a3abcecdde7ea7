/* int8 x bytes by row panels or SELL slices whose numbers are four bytes each. */
#include "../plan/cost.h"
#include "drivers.h"
#include "../threads/parallel.h"
#include "../threads/workspace.h"

/* The most bytes of the copies of B, several rows as one, and of sums that do not fit into C; at
 * least one column is handled at a time. */
#define MAX_BYTES ((ptrdiff_t)8 << 20)

/* The rows whose sums are finished together. */
#define STORE_ROWS 256

static void store_rows(void *context, ptrdiff_t part, int worker) {
  (void)worker;
  const spk_int8_store_task *all = context;
  const ptrdiff_t row = part * STORE_ROWS;
  spk_int8_store_task task = *all;
  spk_requantise how = *all->how;
  if (how.scale) how.scale += row;
  if (how.bias) how.bias += row;
  task.how = &how;
  task.sums += row * all->sum_row_stride;
  task.row_sums += row;
  task.rows = spk_min(STORE_ROWS, all->rows - row);
  task.C = spk_at_mut(all->C, row * all->row_stride, spk_result_size(how.result));
  spk_active_kernels()->int8_store(&task);
}

typedef struct scratch {
  uint8_t *B;
  int32_t *sums; /* NULL: sums go to C */
} scratch;

/* Multiply with `cols` columns. */
static spk_status run(const spk_int8 *A, const spk_bytes *B, void *C, ptrdiff_t row_stride,
                      ptrdiff_t col_stride, const spk_requantise *how, int threads,
                      const scratch *space, ptrdiff_t cols) {
  static const spk_epilogue plain = {.alpha = 1.0};
  const spk_kernels *kernels = spk_active_kernels();
  const int number_values = kernels->bytes->number_values;
  const uint8_t flip = B->is_signed ? 0x80 : 0;
  if (number_values == 4)
    kernels->int8_block4(space->B, B->data, B->row_stride, B->col_stride, B->rows, cols, flip);
  else
    kernels->int8_block2((int16_t *)(void *)space->B, B->data, B->row_stride, B->col_stride,
                         B->rows, cols, flip);
  const spk_dense b = {SPK_F32, spk_ceil_div(B->rows, number_values), cols, cols, 1, space->B};
  spk_dense sums = {SPK_F32, A->rows, cols, cols, 1, space->sums};
  if (!space->sums) sums = (spk_dense){SPK_F32, A->rows, cols, row_stride, col_stride, C};
  spk_status status = SPK_OK;
  if (A->sell) {
    status = spk_drive_sell(A->sell, &b, &sums, &plain, threads, kernels->bytes);
  } else {
    spk_row_panels_plan plan;
    spk_plan_row_panels(A->row_panels, &b, &sums, threads, spk_active_machine(), &plan);
    status = spk_drive_row_panels(A->row_panels, &b, &sums, &plain, &plan);
  }
  const int32_t shift = spk_int8_shift(how, B);
  const int unshifted = shift == 0 && !how->column_zero_points;
  const int done = !space->sums && how->result == SPK_RESULT_I32 && unshifted;
  if (status != SPK_OK || done) return status;
  spk_int8_store_task store = {.sums = sums.data,
                               .sum_row_stride = sums.row_stride,
                               .sum_col_stride = sums.col_stride,
                               .row_sums = A->row_sums,
                               .shift = shift,
                               .rows = A->rows,
                               .cols = cols,
                               .C = C,
                               .row_stride = row_stride,
                               .col_stride = col_stride,
                               .how = how};
  const double work = SPK_WORK_INT8_STORE * (double)A->rows * (double)cols;
  spk_parallel(spk_choose_threads(threads, work), (spk_phase){0},
               (spk_phase){spk_ceil_div(A->rows, STORE_ROWS), store_rows}, &store);
  return SPK_OK;
}

spk_status spk_drive_int8_block4(const spk_int8 *A, const spk_bytes *B, void *C,
                                 ptrdiff_t row_stride, ptrdiff_t col_stride,
                                 const spk_requantise *how, int threads) {
  const size_t size = spk_result_size(how->result);
  /* Whether sums go to C directly: rows of C are contiguous and have 32-bit elements.  If columns
   * of C are contiguous, sums are finished by rows all the same, because lines of rows are faster
   * than lines of columns. */
  const int direct = size == 4 && col_stride == 1;
  const int number_values = spk_active_kernels()->bytes->number_values;
  const ptrdiff_t column = spk_product(4, spk_ceil_div(B->rows, number_values));
  const ptrdiff_t sums = direct ? 0 : spk_product(4, A->rows);
  const ptrdiff_t most = 4 * spk_active_kernels()->lanes[SPK_F32];
  ptrdiff_t tile = spk_min(
      B->cols,
      spk_max(1, MAX_BYTES / (ptrdiff_t)spk_max(1, spk_min(PTRDIFF_MAX - column, sums) + column)));
  tile = spk_min(tile, most);
  const size_t bytes = spk_aligned_size(spk_size_product((size_t)column, (size_t)tile));
  const size_t summed = spk_aligned_size(spk_size_product((size_t)sums, (size_t)tile));
  spk_workspace taken;
  spk_status status =
      spk_workspace_take(&taken, spk_size_sum(spk_size_sum(bytes, summed), SPK_ALIGN), 0, 1);
  if (status != SPK_OK) return status;
  const scratch space = {.B = (uint8_t *)taken.shared,
                         .sums = sums ? (int32_t *)(void *)(taken.shared + bytes) : NULL};
  for (ptrdiff_t col = 0; status == SPK_OK && col < B->cols; col += tile) {
    spk_bytes b = *B;
    b.data = (const uint8_t *)B->data + col * B->col_stride;
    spk_requantise here = *how;
    if (here.column_scale) here.column_scale += col;
    if (here.column_zero_points) here.column_zero_points += col;
    status = run(A, &b, spk_at_mut(C, col * col_stride, size), row_stride, col_stride, &here,
                 threads, &space, spk_min(tile, B->cols - col));
  }
  spk_workspace_free(&taken);
  return status;
}
