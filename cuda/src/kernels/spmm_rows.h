/* C = A @ B by parts of rows. A warp adds up the rows of B that one part of a row of A names.
 *
 * The lanes of a warp lie side by side along a row of B, with 16 bytes each if B is aligned.  If
 * fewer than 32 lanes cover the columns, the other lanes take other entries of the part, and sums
 * are added across lanes at the end.  Columns and values are copied 32 at a time by cp.async, while
 * the 32 before are used; one load reads four of each.  A row of B is read from L1 once for each
 * entry that names it: 32 floats a cycle, where the FMA units take 128.  This limits the kernel to
 * a quarter of float32's peak. */
#ifndef SPK_KERNELS_SPMM_ROWS_H
#define SPK_KERNELS_SPMM_ROWS_H

#include "../pack/rows.h"
#include "epilogue.h"
#include "tile_of_b.h"

namespace spk {

constexpr int ROWS_WARPS = 8, ROWS_CHUNK = 32;

template <class T>
struct SpmmRows {
  const spk_part *parts;
  int64_t part_count, part_blocks; /* blocks of ROWS_WARPS parts */
  const int32_t *columns;
  const sum_of<T> *values;
  const T *B;
  uint32_t row_bytes; /* bytes from row to row of B */
  int64_t n;
  Epilogue<T> epilogue;
  sum_of<T> *sums; /* n sums for each part of a cut row */
};

/* The shared memory of one warp: two chunks of entries. */
template <class S>
struct RowsStage {
  alignas(16) uint32_t columns[2][ROWS_CHUNK];
  alignas(16) S values[2][ROWS_CHUNK];
};

template <class T>
SPK_DEVICE void fetch_chunk(RowsStage<sum_of<T>> *stage, int into, const SpmmRows<T> &t,
                            int64_t begin, int count) {
  const int i = lane();
  const bool there = i < count;
  /* The address of an element that is not read must be valid, too. */
  const int64_t at = there ? begin + i : 0;
  copy_async<4>(&stage->columns[into][i], t.columns + at, there ? 4 : 0);
  copy_async<sizeof(sum_of<T>)>(&stage->values[into][i], t.values + at,
                                there ? (int)sizeof(sum_of<T>) : 0);
}

/* Add the first `count` entries of a chunk. */
template <class T, int G, int V, bool ALIGNED>
SPK_DEVICE void add_chunk(sum_of<T> (&sum)[V], const RowsStage<sum_of<T>> *stage, int from,
                          const TileOfB<T, G, V, ALIGNED> &B, int count) {
  constexpr int TOGETHER = 32 / G; /* entries at a time, by this number of groups of lanes */
  constexpr int MAX = !ALIGNED && V > 4 ? 2 : 4;
  /* loads of each group in flight */
  constexpr int LOADS = 32 / TOGETHER < MAX ? 32 / TOGETHER : MAX;
  SPK_ONE_BY_ONE
  for (int e = lane() / G * LOADS; e < count; e += TOGETHER * LOADS) {
    const auto rows = *reinterpret_cast<const vec<uint32_t, LOADS> *>(&stage->columns[from][e]);
    const auto values = *reinterpret_cast<const vec<sum_of<T>, LOADS> *>(&stage->values[from][e]);
    RowOfB<T, V, ALIGNED> b[LOADS];
    SPK_UNROLLED
    /* beyond the last entry, row 0 is read */
    for (int i = 0; i < LOADS; i++) b[i] = B.read(rows[i]);
    SPK_UNROLLED
    for (int i = 0; i < LOADS; i++) {
      if (e + i >= count) continue;
      SPK_UNROLLED
      for (int j = 0; j < V; j++) sum[j] = fma(values[i], b[i].at(j), sum[j]);
    }
  }
}

/* Write the sums of a part: to C with the epilogue, or, for a cut row, to the workspace. */
template <class T, int G, int V, bool ALIGNED>
SPK_DEVICE void write_part(const SpmmRows<T> &t, const spk_part &part, int64_t first, int left,
                           const sum_of<T> (&sum)[V]) {
  using Tile = TileOfB<T, G, V, ALIGNED>;
  if (part.sum < 0 && ALIGNED && t.epilogue.col_stride == 1) {
    if (Tile::column(lane(), 0) < left)
      finish_vector<T, V>(t.epilogue, part.row, first + Tile::column(lane(), 0), sum);
    return;
  }
  SPK_UNROLLED
  for (int j = 0; j < V; j++) {
    if (Tile::column(lane(), j) >= left) continue;
    const int64_t col = first + Tile::column(lane(), j);
    if (part.sum >= 0)
      t.sums[part.sum * t.n + col] = sum[j];
    else
      finish_one(t.epilogue, part.row, col, sum[j]);
  }
}

template <class T, int G, int V, bool ALIGNED>
SPK_KERNEL(ROWS_WARPS * 32, (sizeof(T) == 2 ? 3 : 4))
spmm_rows(SPK_PARAMETER(t, SpmmRows<T>)) {
  using S = sum_of<T>;
  const int64_t index = block() % t.part_blocks * ROWS_WARPS + warp();
  const int64_t first = block() / t.part_blocks * (G * V);
  const int left = t.n - first < G * V ? (int)(t.n - first) : G * V;
  /* the condition is the same for the whole warp, and no barrier of the block follows */
  if (index >= t.part_count) return;
  RowsStage<S> *stage = reinterpret_cast<RowsStage<S> *>(block_memory()) + warp();
  const TileOfB<T, G, V, ALIGNED> B(t.B + first, t.row_bytes, lane() % G, left);
  const spk_part part = t.parts[index];
  S sum[V] = {};
  fetch_chunk(stage, 0, t, part.begin, part.length);
  copy_commit();
  int into = 0;
  SPK_ONE_BY_ONE
  for (int done = 0; done < part.length; done += ROWS_CHUNK) {
    const int rest = part.length - done;
    if (rest > ROWS_CHUNK)
      fetch_chunk(stage, into ^ 1, t, part.begin + done + ROWS_CHUNK, rest - ROWS_CHUNK);
    copy_commit();
    copy_wait<1>();
    sync_warp();
    add_chunk(sum, stage, into, B, rest < ROWS_CHUNK ? rest : ROWS_CHUNK);
    sync_warp();
    into ^= 1;
  }
  copy_wait<0>();
  SPK_UNROLLED
  for (int apart = G; apart < 32; apart *= 2) {
    SPK_UNROLLED
    for (int j = 0; j < V; j++) sum[j] += shuffle_xor(sum[j], apart);
  }
  if (lane() < G) write_part<T, G, V, ALIGNED>(t, part, first, left, sum);
}

/* The rows that were cut.  Their sums are added in order. */
template <class T>
struct AddCutRows {
  const spk_cut_row *cut;
  int64_t n, tiles;
  const sum_of<T> *sums;
  Epilogue<T> epilogue;
};

constexpr int CUT_THREADS = 128;

template <class S>
SPK_DEVICE S sum_of_cut(const spk_cut_row &cut, const S *sums, int64_t n, int64_t col) {
  S sum = 0;
  for (int i = 0; i < cut.count; i++) sum += sums[(cut.first + i) * n + col];
  return sum;
}

template <class T>
SPK_KERNEL(CUT_THREADS, 4)
add_cut_rows(SPK_PARAMETER(t, AddCutRows<T>)) {
  const spk_cut_row cut = t.cut[block() / t.tiles];
  const int64_t col = block() % t.tiles * CUT_THREADS + thread();
  if (col >= t.n) return;
  finish_one(t.epilogue, cut.row, col, sum_of_cut(cut, t.sums, t.n, col));
}

} // namespace spk

#endif
