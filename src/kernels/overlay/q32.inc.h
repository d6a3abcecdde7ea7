/* The templates of float32 with words of q32.  Sums of bytes are stored as they are: int8 has an
 * epilogue of its own (int8_epilogue.inc.h), later, and an activation does nothing here. */
#define SPK_STORED_VALUES 0
#define T float
#define TN q32
#define T_FN(name) name##f
#include "../names.inc.h"
#include "../pack_panel.inc.h"
static void FT(activate_row)(T *x, ptrdiff_t n, spk_activation activation) {
  (void)x, (void)n, (void)activation;
}
static void FT(activate_tile)(T *C, ptrdiff_t row_stride, ptrdiff_t col_stride, ptrdiff_t rows,
                              ptrdiff_t n, spk_activation activation) {
  (void)C, (void)row_stride, (void)col_stride, (void)rows, (void)n, (void)activation;
}
#include "../epilogue.inc.h"
#include "../spmm_row_panels.inc.h"
#include "../spmm_paired_rows.inc.h"
#include "../spmv_sell.inc.h"

#define SPK_Q32_WIDTHS_4(field)                                              \
  {                                                                          \
    {                                                                        \
      FT(field##_1x1v), FT(field##_1x2v), FT(field##_1x3v), FT(field##_1x4v) \
    }                                                                        \
  }
#ifdef SPK_HAS_PAIRED_ROWS
#define SPK_Q32_PAIRED                                  \
  .spmm_paired_rows_half = {FT(spmm_paired_rows_half)}, \
  .spmm_paired_rows_whole = {FT(spmm_paired_rows_whole)},
#else
#define SPK_Q32_PAIRED
#endif
#define SPK_Q32_KERNELS                                                                      \
  .number_values = SPK_Q32_VALUES, .spmm_row_panels_2 = SPK_Q32_WIDTHS_4(spmm_row_panels_2), \
  .spmm_row_panels_4 = SPK_Q32_WIDTHS_4(spmm_row_panels_4),                                  \
  .spmm_row_panels_8 = {{FT(spmm_row_panels_8_1x1v)}}, SPK_Q32_PAIRED.spmv_sell = {FT(spmv_sell)}
