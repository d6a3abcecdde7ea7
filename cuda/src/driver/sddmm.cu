/* Sampled products: one launch for the tiles, and one for the other entries. */
#include "sddmm.h"

#include "values.h"
#include "../kernels/sddmm_rows.h"
#include "../kernels/sddmm_tiles.h"
#include "../kernels/tile_fma.h"
#include "../kernels/tile_tensor.h"
#include "product.h"

namespace spk {
namespace {

/* The entries from which on a tile is faster than its entries one by one (calculated).  A single
 * entry is bound by L2: k elements of Y, at 24 bytes a cycle.  A tile of 16 bits at a depth of 64
 * takes about 650 cycles of instructions, as long as 128 entries.  A deeper tile is bound by L2 as
 * well, for 64 rows of Y, and for 64 rows of X unless they stay in shared memory.  By FMA, a tile
 * takes 4096 k / 128 cycles, as long as 192 entries of float32, which take k * 4 / 24 cycles
 * each. */
constexpr int TENSOR_TILE_ENTRIES = 128, FMA_TILE_ENTRIES = 192;
/* float64 takes 64 FMA a cycle and twice the bytes, so the threshold is the same.  But if the
 * device has only two FMA of float64 a cycle, a tile loses by every position that is not stored. */
constexpr int SLOW_DOUBLE_TILE_ENTRIES = 3072;

bool has_fast_double(const spk_cuda_device &device) {
  /* Compute capabilities 8.0, 9.0 and 10.0, by CUDA's tables. */
  return device.minor == 0 && device.major < 12;
}

/* The most tiles of a run: so many that X is read seldom, if each multiprocessor still has
 * RUNS_EACH runs, several times what it holds at once. */
constexpr int64_t TILES_OF_RUN = 8, RUNS_EACH = 16;

template <class Product>
class Kernel : public SddmmKernel {
 public:
  using T = typename Product::Element;

  int make(const SddmmWanted &wanted, int tile_entries) {
    Owned<spk_sddmm_tiles, spk_sddmm_tiles_free> tiles;
    int status = spk_sddmm_tiles_make(wanted.P, tile_entries, &tiles);
    const int64_t each = tiles.tiles / (RUNS_EACH * wanted.device.multiprocessors);
    const int64_t most = each < 1 ? 1 : each < TILES_OF_RUN ? each : TILES_OF_RUN;
    if (status == SPK_OK) status = spk_sddmm_tiles_cut(&tiles, most);
    runs_ = tiles.runs;
    rest_ = tiles.rest;
    m_ = wanted.P->rows;
    n_ = wanted.P->cols;
    if (status == SPK_OK) status = run_.assign(tiles.run, tiles.runs);
    if (status == SPK_OK) status = column_.assign(tiles.column, tiles.tiles);
    if (status == SPK_OK) status = row_.assign(tiles.row, tiles.tiles * SPK_TILE);
    has_slots_ = tiles.slots != nullptr;
    if (status == SPK_OK && has_slots_) status = slots_.make(tiles.slots, tiles.tiled);
    if (status == SPK_OK) status = rest_rows_.assign(tiles.rest_rows, rest_);
    if (status == SPK_OK) status = rest_columns_.assign(tiles.rest_columns, rest_);
    if (status == SPK_OK && tiles.rest_slots) status = rest_slots_.make(tiles.rest_slots, rest_);
    if (status == SPK_OK && wanted.values) {
      has_values_ = true;
      status = values_.resize(wanted.P->nnz);
    }
    if (status == SPK_OK) status = load_kernel(sddmm_rows<T>, 0);
    if (status == SPK_OK) status = load_kernel(sddmm_tiles<Product, false>, MAX_SHARED);
    if (status == SPK_OK) status = load_kernel(sddmm_tiles<Product, true>, MAX_SHARED);
    return status;
  }

  int fill(const void *values, void *stream) override {
    if (!has_values_) return SPK_CUDA_ERR_PREPARED;
    return copy_on_device(values_.data(), values, values_.bytes(), stream);
  }

  size_t bytes() const override {
    return run_.bytes() + column_.bytes() + row_.bytes() + slots_.bytes() + rest_rows_.bytes() +
           rest_columns_.bytes() + rest_slots_.bytes() + values_.bytes();
  }

  int run(const SampledProduct &product) const override {
    SampledProduct p = product;
    if (!p.k) {
      /* Nothing is read then, and any address will do. */
      p.X = p.Y = row_.data();
      p.ldx = p.ldy = 0;
    }
    const int status = run_tiles(p);
    return status == SPK_OK ? run_rest(p) : status;
  }

 private:
  static constexpr int SLICE = TILE_ROW_BYTES / (int)sizeof(T);
  static constexpr int MAX_BYTES_OF_X =
      Product::RESIDENT > Product::STAGES ? Product::RESIDENT : Product::STAGES;
  static constexpr size_t shared_for(int x_slots) {
    return (size_t)(x_slots + Product::STAGES) * TILE_BYTES +
           Product::THREADS / 32 * sizeof(Piece<T>);
  }
  static constexpr size_t MAX_SHARED = shared_for(MAX_BYTES_OF_X);
  static_assert(MAX_SHARED <= SHARED_EVERYWHERE, "a block must fit into any device");

  Sampling<T> sampling_of(const SampledProduct &p) const {
    Sampling<T> made;
    made.values = static_cast<T *>(p.values);
    made.old = values_.data();
    made.alpha = (sum_of<T>)p.sampling.alpha;
    made.beta = (sum_of<T>)p.sampling.beta;
    made.scale = p.sampling.scale;
    return made;
  }

  static bool are_aligned(const SampledProduct &p) {
    return is_aligned(p.X, p.ldx, sizeof(T)) && is_aligned(p.Y, p.ldy, sizeof(T));
  }

  int run_tiles(const SampledProduct &p) const {
    SddmmTiles<T> task;
    task.runs = run_.data();
    task.columns = column_.data();
    task.rows = row_.data();
    task.slots = {slots_.near(), slots_.far()};
    task.X = static_cast<const T *>(p.X);
    task.Y = static_cast<const T *>(p.Y);
    task.ldx = p.ldx;
    task.ldy = p.ldy;
    task.m = m_;
    task.n = n_;
    task.k = p.k;
    task.slices = p.k ? tiles_of(p.k, SLICE) : 1;
    task.x_stays = task.slices <= Product::RESIDENT;
    task.x_slots = task.x_stays ? (int)task.slices : Product::STAGES;
    task.sampling = sampling_of(p);
    task.scaled = !p.sampling.scale && p.sampling.beta == 0 && !has_slots_;
    const auto kernel = are_aligned(p) ? sddmm_tiles<Product, true> : sddmm_tiles<Product, false>;
    return launch(kernel, runs_, Product::THREADS, shared_for(task.x_slots), p.stream, task);
  }

  int run_rest(const SampledProduct &p) const {
    constexpr int64_t VECTOR = 16 / sizeof(T);
    SddmmRows<T> task;
    task.rows = rest_rows_.data();
    task.columns = rest_columns_.data();
    task.slots = {rest_slots_.near(), rest_slots_.far()};
    task.count = rest_;
    task.X = static_cast<const T *>(p.X);
    task.Y = static_cast<const T *>(p.Y);
    task.ldx = p.ldx;
    task.ldy = p.ldy;
    task.k = p.k;
    task.vector_k = are_aligned(p) ? p.k / VECTOR * VECTOR : 0;
    task.sampling = sampling_of(p);
    return launch(sddmm_rows<T>, tiles_of(rest_, SDDMM_ROWS_WARPS * 32), SDDMM_ROWS_WARPS * 32, 0,
                  p.stream, task);
  }

  int64_t m_ = 0, n_ = 0, runs_ = 0, rest_ = 0;
  DeviceArray<spk_tile_run> run_;
  DeviceArray<int32_t> column_;
  DeviceArray<spk_tile_row> row_;
  DeviceSlots slots_;
  DeviceArray<int32_t> rest_rows_, rest_columns_;
  DeviceSlots rest_slots_;
  bool has_slots_ = false, has_values_ = false;
  DeviceArray<T> values_; /* in P's order */
};

} // namespace

int make_sddmm(const SddmmWanted &wanted, std::unique_ptr<SddmmKernel> *made) {
  switch (wanted.dtype) {
    case SPK_CUDA_F64: {
      const bool fast = has_fast_double(wanted.device);
      const int entries = fast ? FMA_TILE_ENTRIES : SLOW_DOUBLE_TILE_ENTRIES;
      return make_kernel<Kernel<FmaTile<double>>>(made, wanted, entries);
    }
    case SPK_CUDA_F16:
      return make_kernel<Kernel<TensorTile<half, half>>>(made, wanted, TENSOR_TILE_ENTRIES);
    case SPK_CUDA_BF16:
      return make_kernel<Kernel<TensorTile<bfloat16, bfloat16>>>(made, wanted, TENSOR_TILE_ENTRIES);
    default:
      break;
  }
  using Tf32 = TensorTile<float, tfloat32>;
  using ThreeTf32 = TensorTile<float, tfloat32, true>;
  if (wanted.precision == SPK_CUDA_TF32)
    return make_kernel<Kernel<Tf32>>(made, wanted, TENSOR_TILE_ENTRIES);
  if (wanted.precision == SPK_CUDA_3XTF32)
    return make_kernel<Kernel<ThreeTf32>>(made, wanted, TENSOR_TILE_ENTRIES);
  return make_kernel<Kernel<FmaTile<float>>>(made, wanted, FMA_TILE_ENTRIES);
}

} // namespace spk
