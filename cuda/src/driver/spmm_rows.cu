/* Parts of rows, for any matrix, dtype and number of columns. */
#include "../kernels/spmm_rows.h"

#include "values.h"
#include "epilogue.h"

namespace spk {
namespace {

template <class T>
class RowsKernel : public SpmmKernel {
 public:
  int make(const SpmmWanted &wanted) {
    Owned<spk_rows, spk_rows_free> rows;
    int status = spk_rows_make(wanted.A, &rows);
    dtype_ = wanted.dtype;
    multiprocessors_ = wanted.device.multiprocessors;
    parts_ = rows.parts;
    cut_rows_ = rows.cut_rows;
    sums_ = rows.sums;
    const spk_cuda_dtype stored = dtype_ == SPK_CUDA_F64 ? SPK_CUDA_F64 : SPK_CUDA_F32;
    if (status == SPK_OK) status = part_.assign(rows.part, rows.parts);
    if (status == SPK_OK) status = cut_.assign(rows.cut, rows.cut_rows);
    if (status == SPK_OK) status = columns_.assign(wanted.A->columns, wanted.A->nnz);
    if (status == SPK_OK) status = values_.make(wanted.A->slots, wanted.A->nnz, stored);
    for (const Choice &choice : choices) {
      if (status == SPK_OK) status = load_kernel(choice.kernel, SHARED);
    }
    if (status == SPK_OK) status = load_kernel(add_cut_rows<T>, 0);
    return status;
  }

  int fill(const void *values, void *stream) override {
    return values_.fill(values, dtype_, stream);
  }

  size_t workspace(int64_t n) const override {
    return (size_t)sums_ * (size_t)n * sizeof(sum_of<T>);
  }

  size_t bytes() const override {
    return part_.bytes() + cut_.bytes() + columns_.bytes() + values_.bytes();
  }

  const char *name(int64_t) const override { return "rows"; }

  int run(const Product &p) const override {
    const bool aligned = is_aligned(p.B, p.ldb, sizeof(T)) && p.n % V == 0 &&
                         (p.c_col != 1 || is_aligned(p.C, p.c_row, sizeof(T)));
    const Choice &choice = choose(p.n, aligned);
    SpmmRows<T> task;
    task.parts = part_.data();
    task.part_count = parts_;
    task.part_blocks = (parts_ + ROWS_WARPS - 1) / ROWS_WARPS;
    task.columns = columns_.data();
    task.values = static_cast<const sum_of<T> *>(values_.data());
    task.B = static_cast<const T *>(p.B);
    task.row_bytes = (uint32_t)(p.ldb * (int64_t)sizeof(T));
    task.n = p.n;
    task.epilogue = epilogue_of<T>(p);
    task.sums = reinterpret_cast<sum_of<T> *>(p.workspace);
    const int64_t tiles = tiles_of(p.n, choice.columns);
    int status = launch(choice.kernel, blocks_of(task.part_blocks, tiles), ROWS_WARPS * 32, SHARED,
                        p.stream, task);
    if (status != SPK_OK || !cut_rows_) return status;
    AddCutRows<T> rest;
    rest.cut = cut_.data();
    rest.n = p.n;
    rest.tiles = tiles_of(p.n, CUT_THREADS);
    rest.sums = task.sums;
    rest.epilogue = task.epilogue;
    return launch(add_cut_rows<T>, blocks_of(cut_rows_, rest.tiles), CUT_THREADS, 0, p.stream,
                  rest);
  }

 private:
  static constexpr size_t SHARED = ROWS_WARPS * sizeof(RowsStage<sum_of<T>>);
  static constexpr int V = 16 / (int)sizeof(T); /* elements of B that a lane loads at once */

  struct Choice {
    int columns; /* of a tile */
    bool aligned;
    void (*kernel)(SpmmRows<T>);
  };
  static constexpr Choice choices[7] = {
      {1, false, spmm_rows<T, 1, 1, false>},     {V, false, spmm_rows<T, 1, V, false>},
      {V, true, spmm_rows<T, 1, V, true>},       {8 * V, false, spmm_rows<T, 8, V, false>},
      {8 * V, true, spmm_rows<T, 8, V, true>},   {32 * V, false, spmm_rows<T, 32, V, false>},
      {32 * V, true, spmm_rows<T, 32, V, true>},
  };

  /* The narrowest tile that holds all columns, if there is one.  Otherwise the widest tile that is
   * padded by no more than a quarter and whose warps still fill the device.  Narrow tiles are left
   * out in that case, because they read A once per tile. */
  const Choice &choose(int64_t n, bool aligned) const {
    const int64_t enough = (int64_t)multiprocessors_ * 8;
    const Choice *best = nullptr;
    for (const Choice &choice : choices) {
      if (choice.columns > 1 && choice.aligned != aligned) continue;
      if (best && best->columns >= n) break;
      const int64_t tiles = tiles_of(n, choice.columns);
      const bool full = tiles * choice.columns <= n + n / 4;
      if (!best || best->columns < 8 * V || (full && parts_ * tiles >= enough)) best = &choice;
    }
    return *best;
  }

  spk_cuda_dtype dtype_ = SPK_CUDA_F32;
  int multiprocessors_ = 1;
  int64_t parts_ = 0, cut_rows_ = 0, sums_ = 0;
  DeviceArray<spk_part> part_;
  DeviceArray<spk_cut_row> cut_;
  DeviceArray<int32_t> columns_;
  PackedValues values_;
};

} // namespace

int make_spmm_rows(const SpmmWanted &wanted, std::unique_ptr<SpmmKernel> *made) {
  switch (wanted.dtype) {
    case SPK_CUDA_F32:
      return make_kernel<RowsKernel<float>>(made, wanted);
    case SPK_CUDA_F64:
      return make_kernel<RowsKernel<double>>(made, wanted);
    case SPK_CUDA_F16:
      return make_kernel<RowsKernel<half>>(made, wanted);
    default:
      return make_kernel<RowsKernel<bfloat16>>(made, wanted);
  }
}

} // namespace spk
