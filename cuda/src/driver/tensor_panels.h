/* Panels of rows on tensor cores, for any kind of fragments. */
#ifndef SPK_DRIVER_TENSOR_PANELS_H
#define SPK_DRIVER_TENSOR_PANELS_H

#include <vector>

#include "values.h"
#include "../kernels/spmm_gather.h"
#include "epilogue.h"

namespace spk {

/* Whether tensor cores can multiply this dtype and precision: SPK_OK, or the reason against it. */
inline int check_tensor_cores(spk_cuda_dtype dtype, spk_cuda_precision precision) {
  if (dtype == SPK_CUDA_F64) return SPK_ERR_DTYPE;
  return dtype == SPK_CUDA_F32 && precision == SPK_CUDA_STRICT ? SPK_ERR_ARGUMENT : SPK_OK;
}

/* Panels cut into parts.  The longest part has `longest` slices. */
struct PanelLevel {
  int64_t longest = 0, parts = 0, cut_rows = 0, sums = 0;
  DeviceArray<spk_panel_part> part;
  DeviceArray<spk_cut_row> cut;

  int make(const spk_panels &panels, int64_t rows, int64_t at_most) {
    Owned<spk_panel_parts, spk_panel_parts_free> made;
    int status = spk_panel_parts_make(&panels, rows, at_most, &made);
    longest = made.longest;
    parts = made.parts;
    cut_rows = made.cut_rows;
    sums = made.sums;
    if (status == SPK_OK) status = part.assign(made.part, parts);
    if (status == SPK_OK) status = cut.assign(made.cut, cut_rows);
    return status;
  }
  size_t bytes() const { return part.bytes() + cut.bytes(); }
};

/* Fragments is what A is packed into. It has the functions
 *   make(entries, panels, dtype) fill(values, dtype, stream) source() bytes()
 * the types Source (of kernels) and Type (tensor_types.h), and a NAME. */
template <class Fragments>
class TensorPanels : public SpmmKernel {
 public:
  using Source = typename Fragments::Source;
  using Type = typename Fragments::Type;
  using T = typename Type::Element;

  int make(const SpmmWanted &wanted) {
    const spk_entries &A = *wanted.A;
    dtype_ = wanted.dtype;
    rows_ = A.rows;
    blocks_ = wanted.device.multiprocessors * BLOCKS_PER_MULTIPROCESSOR;
    int status = spk_panels_height(&A, Type::HALVES, &height_);
    Owned<spk_panels, spk_panels_free> panels;
    if (status == SPK_OK) status = spk_panels_make(&A, height_, Type::HALVES, &panels);
    if (status != SPK_OK) return status;
    slices_ = panels.slices;
    status = begins_.assign(panels.begin, panels.count + 1);
    if (status == SPK_OK) status = columns_.assign(panels.columns, slices_ * Type::DEPTH);
    if (status == SPK_OK) status = make_levels(panels);
    if (status == SPK_OK) status = fragments_.make(A, panels, dtype_);
    for (const int across : {1, 2}) {
      if (status == SPK_OK) status = load_kernel(kernel(across), shared(across));
    }
    if (status == SPK_OK) status = load_kernel(finish_cut_panels<Source>, 0);
    return status;
  }

  int fill(const void *values, void *stream) override {
    return fragments_.fill(values, dtype_, stream);
  }

  size_t workspace(int64_t n) const override {
    return (size_t)level(n).sums * (size_t)n * sizeof(float);
  }

  size_t bytes() const override {
    size_t all = begins_.bytes() + columns_.bytes() + fragments_.bytes();
    for (const auto &one : levels_) all += one->bytes();
    return all;
  }

  const char *name(int64_t) const override { return Fragments::NAME; }

  int run(const Product &p) const override {
    const PanelLevel &parts = level(p.n);
    const int across = across_of(p.n);
    SpmmGather<Source> task;
    task.source = fragments_.source();
    task.parts = parts.part.data();
    task.part_count = parts.parts;
    task.begins = begins_.data();
    task.columns = columns_.data();
    task.height = height_;
    task.at_once = copied_at_once(p);
    task.rows = rows_;
    task.n = p.n;
    task.B = static_cast<const T *>(p.B);
    task.row_bytes = (uint32_t)(p.ldb * (int64_t)sizeof(T));
    task.epilogue = epilogue_of<T>(p);
    task.sums = reinterpret_cast<float *>(p.workspace);
    const int threads = height_ / (16 * fragments_high()) * across * 32;
    const int status = launch(kernel(across), blocks_of(parts.parts, tiles(p.n)), threads,
                              shared(across), p.stream, task);
    if (status != SPK_OK || !parts.cut_rows) return status;
    FinishCutPanels<Source> rest;
    rest.product = task;
    rest.cut = parts.cut.data();
    rest.tiles = tiles_of(p.n, CUT_THREADS);
    return launch(finish_cut_panels<Source>, blocks_of(parts.cut_rows, rest.tiles), CUT_THREADS, 0,
                  p.stream, rest);
  }

 private:
  /* The blocks per multiprocessor that fill the device, and the least slices of a part that is cut
   * for that.  The copies at the start of a block take about as long as four slices. */
  static constexpr int BLOCKS_PER_MULTIPROCESSOR = 2, SHORTEST = 4;

  static int across_of(int64_t n) { return n > WARP_COLUMNS ? 2 : 1; }
  static int64_t tiles(int64_t n) { return tiles_of(n, across_of(n) * WARP_COLUMNS); }

  int fragments_high() const { return height_ == 16 ? 1 : 2; }
  size_t shared(int across) const {
    return gather_shared<Source>(height_, fragments_high(), across);
  }
  auto kernel(int across) const {
    if (fragments_high() == 1)
      return across == 1 ? spmm_gather<Source, 1, 1> : spmm_gather<Source, 1, 2>;
    return across == 1 ? spmm_gather<Source, 2, 1> : spmm_gather<Source, 2, 2>;
  }

  /* The bytes that a copy of B may move at once, by the alignment of the rows of B. */
  static int copied_at_once(const Product &p) {
    const uint64_t places =
        reinterpret_cast<uintptr_t>(p.B) | (uint64_t)p.ldb * (uint64_t)sizeof(T);
    return places % 16 == 0 ? 16 : places % 4 == 0 ? 4 : 2;
  }

  /* Parts of SHORTEST slices, of twice as many, and so on, up to the first level that cuts no
   * panel. */
  int make_levels(const spk_panels &panels) {
    int64_t longest = 0;
    for (int64_t i = 0; i < panels.count; i++) {
      const int64_t length = panels.begin[i + 1] - panels.begin[i];
      longest = length > longest ? length : longest;
    }
    int status = SPK_OK;
    for (int64_t at_most = SHORTEST; status == SPK_OK; at_most *= 2) {
      /* Levels that no width needs are left out: see level(). */
      if (at_most < longest && at_most * 2 <= share(1)) continue;
      levels_.push_back(std::make_unique<PanelLevel>());
      status = levels_.back()->make(panels, rows_, at_most);
      if (at_most >= longest) break;
    }
    return status;
  }

  /* The level with the longest parts that are at most 3 / 2 times the share of each of the blocks
   * that fill the device.  No panel is cut if there are about enough panels and none is much longer
   * than the others, because sums that go through the workspace take time, too. */
  int64_t share(int64_t n) const { return slices_ * tiles(n) * 3 / (2 * blocks_); }
  const PanelLevel &level(int64_t n) const {
    size_t best = 0;
    while (best + 1 < levels_.size() && levels_[best + 1]->longest <= share(n)) best++;
    return *levels_[best];
  }

  spk_cuda_dtype dtype_ = SPK_CUDA_F32;
  int64_t rows_ = 0, slices_ = 0, blocks_ = 1;
  int height_ = SPK_MIN_HEIGHT;
  DeviceArray<int64_t> begins_;
  DeviceArray<int32_t> columns_;
  std::vector<std::unique_ptr<PanelLevel>> levels_;
  Fragments fragments_;
};

/* Make a kernel for the dtype and precision: Fragments<Type> of the type that multiplies them. */
template <template <class> class Fragments>
int make_tensor_panels(const SpmmWanted &wanted, std::unique_ptr<SpmmKernel> *made) {
  const int status = check_tensor_cores(wanted.dtype, wanted.precision);
  if (status != SPK_OK) return status;
  switch (wanted.dtype) {
    case SPK_CUDA_F16:
      return make_kernel<TensorPanels<Fragments<SixteenBits<half>>>>(made, wanted);
    case SPK_CUDA_BF16:
      return make_kernel<TensorPanels<Fragments<SixteenBits<bfloat16>>>>(made, wanted);
    default:
      if (wanted.precision == SPK_CUDA_TF32)
        return make_kernel<TensorPanels<Fragments<Floats<false>>>>(made, wanted);
      return make_kernel<TensorPanels<Fragments<Floats<true>>>>(made, wanted);
  }
}

} // namespace spk

#endif
