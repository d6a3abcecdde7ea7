#include "attention.h"

#include <algorithm>
#include <limits>

#include "../kernels/attention.h"

namespace spk {
namespace {

HeadStrides strides_of(const ptrdiff_t (&strides)[3]) {
  return {strides[0], strides[1], (int32_t)strides[2]};
}

/* One kernel per width of operands. */
template <class T>
struct Width {
  int most;
  size_t shared;
  int threads;
  void (*kernel)(Attend<T>);
};
template <class T, int D>
constexpr Width<T> width = {D, sizeof(AttendShared<D>), AttendShape<D>::THREADS, attend<T, D>};
template <class T>
constexpr Width<T> widths[3] = {width<T, 64>, width<T, 128>, width<T, 256>};

static_assert(sizeof(AttendShared<64>) <= SHARED_EVERYWHERE &&
              sizeof(AttendShared<128>) <= SHARED_EVERYWHERE &&
              sizeof(AttendShared<256>) <= SHARED_EVERYWHERE);

template <class T>
int load_kernels() {
  int status = SPK_OK;
  for (const Width<T> &w : widths<T>) {
    if (status == SPK_OK) status = load_kernel(w.kernel, w.shared);
  }
  return status;
}

template <class T>
int run_task(Attend<T> task, const spk_cuda_attention &a, void *stream) {
  task.heads = a.heads;
  task.all_heads = a.batch * a.heads;
  task.sharing = a.heads / a.kv_heads;
  task.d = (int)a.d;
  task.dv = (int)a.dv;
  task.Q = static_cast<const T *>(a.Q);
  task.K = static_cast<const T *>(a.K);
  task.V = static_cast<const T *>(a.V);
  task.out = static_cast<T *>(a.out);
  task.q = strides_of(a.q_strides);
  task.k = strides_of(a.k_strides);
  task.v = strides_of(a.v_strides);
  task.o = strides_of(a.out_strides);
  task.lse = a.lse;
  task.negative = a.scale < 0;
  task.scale = (float)std::abs(a.scale);
  task.binary_scale = (float)(std::abs(a.scale) * 1.4426950408889634);
  /* The scale must not be 0: masked scores are infinite, and infinity times 0 is NaN. */
  if (task.binary_scale == 0) task.binary_scale = std::numeric_limits<float>::denorm_min();
  const Width<T> *w = widths<T>;
  while (w->most < std::max(a.d, a.dv)) w++;
  return launch(w->kernel, blocks_of(task.panel_count, task.all_heads), w->threads, w->shared,
                stream, task);
}

} // namespace

int AttentionKernel::make(const spk_entries &mask, spk_cuda_dtype dtype) {
  if (dtype != SPK_CUDA_F16 && dtype != SPK_CUDA_BF16) return SPK_ERR_DTYPE;
  Owned<spk_block_mask, spk_block_mask_free> blocks;
  int status = spk_block_mask_make(&mask, &blocks);
  rows_ = blocks.rows;
  panel_count_ = blocks.panels;
  long_panels_ = blocks.long_panels;
  if (status == SPK_OK) status = panels_.assign(blocks.panel, blocks.panels);
  if (status == SPK_OK) status = groups_.assign(blocks.group, blocks.groups);
  if (status == SPK_OK) status = keys_.assign(blocks.keys, blocks.groups * SPK_GROUP_KEYS);
  if (status == SPK_OK) status = bits_.assign(blocks.bits, blocks.masks * SPK_PANEL_QUERIES);
  if (status != SPK_OK) return status;
  return dtype == SPK_CUDA_F16 ? load_kernels<half>() : load_kernels<bfloat16>();
}

int AttentionKernel::run(const spk_cuda_attention &a, void *stream) const {
  const auto run_as = [&](auto task) {
    task.panels = panels_.data();
    task.panel_count = panel_count_;
    task.long_panels = long_panels_;
    task.groups = groups_.data();
    task.keys = keys_.data();
    task.bits = bits_.data();
    task.rows = rows_;
    return run_task(task, a, stream);
  };
  return a.dtype == SPK_CUDA_F16 ? run_as(Attend<half>{}) : run_as(Attend<bfloat16>{});
}

} // namespace spk
