/* Rows of B, as the lanes of a warp read them. */
#ifndef SPK_KERNELS_TILE_OF_B_H
#define SPK_KERNELS_TILE_OF_B_H

#include <type_traits>

#include "../device/device.h"

namespace spk {

/* V elements of a row of B, as a lane has loaded them. */
template <class T, int V, bool ALIGNED>
class RowOfB {
 public:
  /* Two elements of 16 bits stay in their word until they are used.  To separate them at once would
   * take two more instructions. */
  static constexpr bool PAIRS = ALIGNED && sizeof(T) == 2;
  using Stored = std::conditional_t<PAIRS, vec<uint32_t, V / 2>, vec<T, V>>;

  SPK_DEVICE sum_of<T> at(int j) const {
    if constexpr (PAIRS)
      return half_of<T>(stored[j / 2], j % 2);
    else
      return to_float(stored[j]);
  }

  Stored stored;
};

/* The columns of a tile of B that a lane has: V neighbours if B is ALIGNED to V elements, else
 * every G-th column, so that neighbouring lanes still read neighbouring elements.  Lanes beyond the
 * last column read a valid column again, so that no load waits for a condition, and their sums are
 * never written. */
template <class T, int G, int V, bool ALIGNED>
class TileOfB {
 public:
  static SPK_DEVICE int column(int lane, int j) { return ALIGNED ? lane * V + j : lane + j * G; }

  TileOfB() = default;
  SPK_DEVICE TileOfB(const T *tile, uint32_t row_bytes, int lane, int left)
      : tile_(reinterpret_cast<const char *>(tile)), row_bytes_(row_bytes) {
    SPK_UNROLLED
    for (int i = 0; i < OFFSETS; i++) {
      const int col = column(lane, i);
      offsets_[i] = (uint32_t)(col < left ? col : 0) * (uint32_t)sizeof(T);
    }
    if (ALIGNED) tile_ += offsets_[0];
  }

  SPK_DEVICE RowOfB<T, V, ALIGNED> read(uint32_t row) const {
    using Stored = typename RowOfB<T, V, ALIGNED>::Stored;
    /* 32 by 32 bits multiplied, and 64 bits added, is one instruction. */
    const char *p = tile_ + (uint64_t)row * row_bytes_;
    RowOfB<T, V, ALIGNED> b;
    if constexpr (ALIGNED) {
      b.stored = load(reinterpret_cast<const Stored *>(p));
    } else {
      SPK_UNROLLED
      for (int j = 0; j < V; j++) b.stored[j] = load(reinterpret_cast<const T *>(p + offsets_[j]));
    }
    return b;
  }

 private:
  static constexpr int OFFSETS = ALIGNED ? 1 : V;
  const char *tile_;
  uint32_t row_bytes_, offsets_[OFFSETS];
};

} // namespace spk

#endif
