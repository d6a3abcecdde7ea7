/* Matrices turned from column-major to row-major, into a workspace. */
#ifndef SPK_DRIVER_TURN_H
#define SPK_DRIVER_TURN_H

#include "../device/runtime.h"

namespace spk {

/* Elements from row to row of what is turned, so that rows are aligned to 16 bytes; and its size.
 */
int64_t turned_stride(spk_cuda_dtype dtype, int64_t cols);
size_t turned_bytes(spk_cuda_dtype dtype, int64_t rows, int64_t cols);

/* At prepare: see make_ready (runtime.h). */
int make_turn_ready(spk_cuda_dtype dtype);

/* `to` = `from`, of rows x cols elements, its columns from_stride apart. */
int turn_to_rows(spk_cuda_dtype dtype, const void *from, int64_t from_stride, void *to,
                 int64_t rows, int64_t cols, void *stream);

} // namespace spk

#endif
