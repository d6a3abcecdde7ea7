/* The task of kernels/attention.h, the shape of its blocks, and the contents of their shared
 * memory. */
#ifndef SPK_KERNELS_ATTENTION_TASK_H
#define SPK_KERNELS_ATTENTION_TASK_H

#include "../pack/block_mask.h"
#include "tensor.h"

namespace spk {

/* Elements from one batch, head and row to the next. */
struct HeadStrides {
  int64_t batch, head;
  int32_t row; /* not negative */
};

template <class T>
struct Attend {
  const spk_query_panel *panels;
  int64_t panel_count, long_panels;
  const spk_group *groups;
  const int32_t *keys;
  const uint64_t *bits;
  int64_t rows;
  /* heads of a batch; heads of all batches; heads that share one of K and V */
  int64_t heads, all_heads, sharing;
  int d, dv;
  const T *Q, *K, *V;
  T *out;
  HeadStrides q, k, v, o;
  float *lse; /* NULL: not wanted */
  /* scale is |scale|.  binary_scale is |scale| log2 e, and not 0. */
  float scale, binary_scale;
  /* Whether the scale is negative.  If so, the signs of Q are inverted. */
  int negative;
};

/* The shape of a block, for operands of up to D elements per row: 64, 128 or 256. */
template <int D>
struct AttendShape {
  /* With 32 queries to a warp, what it reads of K and V serves two mma each.  The sums take 128
   * registers of a lane at D = 128.  So at D = 256, a warp has 16 queries and half the scores. */
  static constexpr int WARPS = D == 256 ? 8 : 4, THREADS = WARPS * 32;
  static constexpr int TILES = SPK_PANEL_QUERIES / 16 / WARPS; /* tiles of 16 queries of a warp */
  static constexpr int KEYS = D == 64 ? 64 : 32;               /* keys of a step */
  static constexpr int STEPS = SPK_GROUP_KEYS / KEYS;          /* steps of a group */
  static constexpr int BLOCKS = D == 256 ? 1 : 2;
};

/* Operands are D / 64 tiles of 64 columns each: see kernels/tensor.h. */
template <int D>
struct AttendShared {
  static constexpr int KEYS = AttendShape<D>::KEYS;
  alignas(128) char Q[SPK_PANEL_QUERIES * D * 2]; /* holds the output at the end */
  alignas(128) char K[KEYS * D * 2];
  alignas(128) char V[KEYS * D * 2];
  alignas(16) uint64_t bits[SPK_PANEL_QUERIES];
  /* By turns: the keys of the step that is copied now, and of the next. */
  alignas(16) int32_t keys[2][KEYS];
  float most[SPK_PANEL_QUERIES], total[SPK_PANEL_QUERIES];
};

/* The offset of the tile that has column chunk `chunk` of an operand of ROWS rows. */
template <int ROWS>
SPK_DEVICE int tile_of_chunk(int chunk) {
  return chunk / TILE_ROW_CHUNKS * ROWS * TILE_ROW_BYTES;
}

/* One multiplication of 32 bits by 32 suffices, because a row of 16-bit elements is less than 2**32
 * bytes from the next. */
template <class T>
SPK_DEVICE const T *row_at(const T *from, int row, int stride) {
  const uint32_t bytes = (uint32_t)stride * (uint32_t)sizeof(T);
  return reinterpret_cast<const T *>(reinterpret_cast<const char *>(from) +
                                     (uint64_t)(uint32_t)row * bytes);
}

/* The binary exponent that weights of T are scaled by.  Weights of half go up to 2**15, because
 * weights below 2**-24 could not be told from 0. */
template <class T>
constexpr float weight_exponent = 0;
template <>
constexpr float weight_exponent<half> = 15;

/* A maximum that may be subtracted.  If there is no score, or -infinity alone, subtracting
 * -infinity would give NaN. */
SPK_DEVICE float usable(float most) { return most == -INFINITY ? 0.0f : most; }

template <class T>
SPK_DEVICE float weight_of(const Attend<T> &t, float score, float base) {
  return exp2(fma(score - base, t.binary_scale, weight_exponent<T>));
}

/* The work of a block: a panel and a head. */
struct AttendPlace {
  spk_query_panel panel;
  int64_t batch, head, all;
};

/* Long panels of all heads come first.  Then blocks go head by head, with longer panels first, so
 * that blocks that run at the same time read the same K and V. */
template <class T>
SPK_DEVICE AttendPlace place_of_block(const Attend<T> &t) {
  AttendPlace place;
  const int64_t early = t.long_panels * t.all_heads, later = t.panel_count - t.long_panels;
  int64_t panel;
  if (block() < early) {
    panel = block() / t.all_heads;
    place.all = block() % t.all_heads;
  } else {
    panel = t.long_panels + (block() - early) % later;
    place.all = (block() - early) / later;
  }
  place.panel = t.panels[panel];
  place.batch = place.all / t.heads;
  place.head = place.all % t.heads;
  return place;
}

SPK_DEVICE int64_t offset_of(const HeadStrides &s, int64_t batch, int64_t head, int64_t row) {
  return batch * s.batch + head * s.head + row * s.row;
}

} // namespace spk

#endif
