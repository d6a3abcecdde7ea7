/* Panels of 8 rows, for float32 and float64. */
#include "../kernels/spmm_panels.h"

#include "values.h"
#include "epilogue.h"

namespace spk {
namespace {

template <class T>
class PanelsKernel : public SpmmKernel {
 public:
  int make(const SpmmWanted &wanted) {
    Owned<spk_register_panels, spk_register_panels_free> register_panels;
    int status = spk_register_panels_make(wanted.A, &register_panels);
    dtype_ = wanted.dtype;
    multiprocessors_ = wanted.device.multiprocessors;
    panels_ = register_panels.panels;
    if (status == SPK_OK) status = panel_.assign(register_panels.panel, register_panels.panels);
    if (status == SPK_OK) status = heads_.assign(register_panels.heads, register_panels.records);
    if (status == SPK_OK)
      status = values_.make(register_panels.slots,
                            SPK_REGISTER_PANEL_ROWS * register_panels.records, dtype_);
    for (const Choice &choice : choices) {
      if (status == SPK_OK) status = load_kernel(choice.kernel, choice.shared);
    }
    return status;
  }

  int fill(const void *values, void *stream) override {
    return values_.fill(values, dtype_, stream);
  }
  size_t workspace(int64_t) const override { return 0; }
  size_t bytes() const override { return panel_.bytes() + heads_.bytes() + values_.bytes(); }
  const char *name(int64_t) const override { return "panels"; }

  int run(const Product &p) const override {
    const bool aligned = is_aligned(p.B, p.ldb, sizeof(T)) && p.n % V == 0 &&
                         (p.c_col != 1 || is_aligned(p.C, p.c_row, sizeof(T)));
    const Choice &choice = choose(p.n, aligned);
    const int64_t tiles = tiles_of(p.n, choice.columns);
    SpmmPanels<T> task;
    task.panels = panel_.data();
    task.panel_count = panels_;
    task.split = split(tiles);
    task.panel_blocks = tiles_of(panels_, PANEL_WARPS / task.split);
    task.heads = heads_.data();
    task.values = static_cast<const T *>(values_.data());
    task.B = static_cast<const T *>(p.B);
    task.row_bytes = (uint32_t)(p.ldb * (int64_t)sizeof(T));
    task.n = p.n;
    task.epilogue = epilogue_of<T>(p);
    return launch(choice.kernel, blocks_of(task.panel_blocks, tiles), PANEL_WARPS * 32,
                  choice.shared, p.stream, task);
  }

 private:
  static constexpr int V = panel_vector<T>;

  struct Choice {
    int columns; /* of a tile */
    bool aligned;
    size_t shared;
    void (*kernel)(SpmmPanels<T>);
  };
  static constexpr Choice choices[3] = {
      {32 * V, false, panel_shared<T, 1>(), spmm_panels<T, 1, false>},
      {32 * V, true, panel_shared<T, 1>(), spmm_panels<T, 1, true>},
      {64 * V, true, panel_shared<T, 2>(), spmm_panels<T, 2, true>},
  };

  /* A lane has two vectors if there are enough columns, and if every scheduler still has a warp. */
  const Choice &choose(int64_t n, bool aligned) const {
    if (!aligned) return choices[0];
    const bool enough = panels_ * tiles_of(n, choices[2].columns) >= 4 * (int64_t)multiprocessors_;
    return choices[n > choices[1].columns && enough ? 2 : 1];
  }

  /* The warps that share a panel, so that every scheduler has two warps. */
  int split(int64_t tiles) const {
    int split = 1;
    while (split < PANEL_WARPS && panels_ * tiles * split < 8 * (int64_t)multiprocessors_)
      split *= 2;
    return split;
  }

  spk_cuda_dtype dtype_ = SPK_CUDA_F32;
  int multiprocessors_ = 1;
  int64_t panels_ = 0;
  DeviceArray<spk_register_panel> panel_;
  DeviceArray<uint32_t> heads_;
  PackedValues values_;
};

} // namespace

int make_spmm_panels(const SpmmWanted &wanted, std::unique_ptr<SpmmKernel> *made) {
  if (wanted.dtype == SPK_CUDA_F32) return make_kernel<PanelsKernel<float>>(made, wanted);
  if (wanted.dtype == SPK_CUDA_F64) return make_kernel<PanelsKernel<double>>(made, wanted);
  return SPK_ERR_DTYPE;
}

} // namespace spk
