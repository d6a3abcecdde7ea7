/* Matrices transposed from column-major to row-major, into a workspace. */
#ifndef SPK_DRIVER_TRANSPOSE_H
#define SPK_DRIVER_TRANSPOSE_H

#include "../device/runtime.h"

namespace spk {

/* Elements from row to row of a transposed matrix, such that rows are aligned to 16 bytes, and its
 * size in bytes. */
int64_t transposed_stride(spk_cuda_dtype dtype, int64_t cols);
size_t transposed_bytes(spk_cuda_dtype dtype, int64_t rows, int64_t cols);

/* Called at prepare: see load_kernel (runtime.h). */
int load_transpose(spk_cuda_dtype dtype);

/* `to` = `from`, which has rows x cols elements and columns that are from_stride apart. */
int transpose_to_rows(spk_cuda_dtype dtype, const void *from, int64_t from_stride, void *to,
                      int64_t rows, int64_t cols, void *stream);

} // namespace spk

#endif
