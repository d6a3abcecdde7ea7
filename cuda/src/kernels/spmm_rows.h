/* C = A @ B by parts of rows: a warp adds up the rows of B that one part of a row of A names.
 *
 * A row of B is the warp's lanes side by side, 16 bytes each where B is aligned.  Where fewer than
 * 32 lanes cover the columns, the others take other entries of the part, and sums are added across
 * lanes in the end.  Columns and values come 32 at a time, by cp.async, while those before are
 * used; four of each by one load.  A row of B moves from L1 as often as an entry names it: 32
 * floats a cycle where the FMA units take 128, which bounds this kernel to a quarter of float32's
 * peak.
 */
#ifndef SPK_KERNELS_SPMM_ROWS_H
#define SPK_KERNELS_SPMM_ROWS_H

#include "../pack/rows.h"
#include "epilogue.h"

namespace spk {

constexpr int ROWS_WARPS = 8, ROWS_CHUNK = 32;

template <class T>
struct SpmmRows {
  const spk_part *parts;
  int64_t part_count, part_blocks; /* blocks of ROWS_WARPS parts */
  const int32_t *columns;
  const sum_of<T> *values;
  const T *B;
  int64_t ldb, n;
  Epilogue<T> epilogue;
  sum_of<T> *sums; /* of parts of cut rows: n each */
};

/* What one warp has in shared memory: two chunks of entries. */
template <class S>
struct RowsStage {
  alignas(16) int32_t columns[2][ROWS_CHUNK];
  alignas(16) S values[2][ROWS_CHUNK];
};

/* The columns of a tile that a lane has: V neighbours where B is ALIGNED to V elements, else every
 * G-th, so that lanes still read side by side.  `left` columns of the tile are B's. */
template <class T, int G, int V, bool ALIGNED>
struct RowOfB {
  static SPK_DEVICE int column(int lane, int j) { return ALIGNED ? lane * V + j : lane + j * G; }
  static SPK_DEVICE void read(T (&b)[V], const T *tile, int lane, int left) {
    const T *row = tile + column(lane, 0);
    if constexpr (ALIGNED) {
      vec<T, V> v = {};
      if (column(lane, 0) < left) v = load(reinterpret_cast<const vec<T, V> *>(row));
      SPK_UNROLLED
      for (int j = 0; j < V; j++) b[j] = v[j];
    } else {
      SPK_UNROLLED
      for (int j = 0; j < V; j++) b[j] = column(lane, j) < left ? load(row + j * G) : T{};
    }
  }
};

template <class T>
SPK_DEVICE void fetch_chunk(RowsStage<sum_of<T>> *stage, int into, const SpmmRows<T> &t,
                            int64_t begin, int count) {
  const int i = lane();
  const bool there = i < count;
  /* An address that is not read must still be one. */
  const int64_t at = there ? begin + i : 0;
  copy_async<4>(&stage->columns[into][i], t.columns + at, there ? 4 : 0);
  copy_async<sizeof(sum_of<T>)>(&stage->values[into][i], t.values + at,
                                there ? (int)sizeof(sum_of<T>) : 0);
}

/* Add the entries of a chunk; those from `count` on are not there where it is not FULL. */
template <class T, int G, int V, bool ALIGNED, bool FULL>
SPK_DEVICE void add_chunk(sum_of<T> (&sum)[V], const RowsStage<sum_of<T>> *stage, int from,
                          const T *tile, int64_t ldb, int left, int count) {
  using Row = RowOfB<T, G, V, ALIGNED>;
  constexpr int TOGETHER = 32 / G; /* entries at a time, by as many groups of lanes */
  constexpr int MOST = !ALIGNED && V > 4 ? 2 : 4;
  constexpr int LOADS = 32 / TOGETHER < MOST ? 32 / TOGETHER : MOST; /* of each group, in flight */
  const int group = lane() / G, in_group = lane() % G;
  SPK_ONE_BY_ONE
  for (int e = group * LOADS; e < (FULL ? ROWS_CHUNK : count); e += TOGETHER * LOADS) {
    const auto columns = *reinterpret_cast<const vec<int32_t, LOADS> *>(&stage->columns[from][e]);
    const auto values = *reinterpret_cast<const vec<sum_of<T>, LOADS> *>(&stage->values[from][e]);
    T b[LOADS][V];
    SPK_UNROLLED
    for (int i = 0; i < LOADS; i++) {
      if (FULL || e + i < count) Row::read(b[i], tile + columns[i] * ldb, in_group, left);
    }
    SPK_UNROLLED
    for (int i = 0; i < LOADS; i++) {
      if (FULL || e + i < count) {
        SPK_UNROLLED
        for (int j = 0; j < V; j++) sum[j] = fma(values[i], (sum_of<T>)to_float(b[i][j]), sum[j]);
      }
    }
  }
}

template <class T, int G, int V, bool ALIGNED>
SPK_KERNEL(ROWS_WARPS * 32, (sizeof(T) == 2 ? 3 : 4))
spmm_rows(SPK_PARAMETER(t, SpmmRows<T>)) {
  using S = sum_of<T>;
  using Row = RowOfB<T, G, V, ALIGNED>;
  const int64_t index = block() % t.part_blocks * ROWS_WARPS + warp();
  const int64_t first = block() / t.part_blocks * (G * V);
  const int left = t.n - first < G * V ? (int)(t.n - first) : G * V;
  if (index >= t.part_count) return; /* the whole warp; no barrier of the block follows */
  RowsStage<S> *stage = reinterpret_cast<RowsStage<S> *>(block_memory()) + warp();
  const spk_part part = t.parts[index];
  S sum[V] = {};
  fetch_chunk(stage, 0, t, part.begin, part.length);
  copy_commit();
  int into = 0;
  SPK_ONE_BY_ONE
  for (int done = 0; done < part.length; done += ROWS_CHUNK) {
    if (done + ROWS_CHUNK < part.length)
      fetch_chunk(stage, into ^ 1, t, part.begin + done + ROWS_CHUNK,
                  part.length - done - ROWS_CHUNK);
    copy_commit();
    copy_wait<1>();
    sync_warp();
    if (part.length - done >= ROWS_CHUNK)
      add_chunk<T, G, V, ALIGNED, true>(sum, stage, into, t.B + first, t.ldb, left, ROWS_CHUNK);
    else
      add_chunk<T, G, V, ALIGNED, false>(sum, stage, into, t.B + first, t.ldb, left,
                                         part.length - done);
    sync_warp();
    into ^= 1;
  }
  copy_wait<0>();
  SPK_UNROLLED
  for (int apart = G; apart < 32; apart *= 2) {
    SPK_UNROLLED
    for (int j = 0; j < V; j++) sum[j] += shuffle_xor(sum[j], apart);
  }
  if (lane() >= G) return;
  if (part.sum < 0 && ALIGNED && t.epilogue.col_stride == 1) {
    if (Row::column(lane(), 0) < left)
      finish_vector<T, V>(t.epilogue, part.row, first + Row::column(lane(), 0), sum);
    return;
  }
  SPK_UNROLLED
  for (int j = 0; j < V; j++) {
    const int64_t col = first + Row::column(lane(), j);
    if (col >= t.n) continue;
    if (part.sum >= 0)
      t.sums[part.sum * t.n + col] = sum[j];
    else
      finish_one(t.epilogue, part.row, col, sum[j]);
  }
}

/* The rows that were cut: their sums in order. */
template <class T>
struct AddCutRows {
  const spk_cut_row *cut;
  int64_t n, tiles;
  const sum_of<T> *sums;
  Epilogue<T> epilogue;
};

constexpr int CUT_THREADS = 128;

template <class T>
SPK_KERNEL(CUT_THREADS, 4)
add_cut_rows(SPK_PARAMETER(t, AddCutRows<T>)) {
  const spk_cut_row cut = t.cut[block() / t.tiles];
  const int64_t col = block() % t.tiles * CUT_THREADS + thread();
  if (col >= t.n) return;
  sum_of<T> sum = 0;
  for (int i = 0; i < cut.count; i++) sum += t.sums[(cut.first + i) * t.n + col];
  finish_one(t.epilogue, cut.row, col, sum);
}

} // namespace spk

#endif
