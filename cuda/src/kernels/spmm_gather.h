/* C = A @ B by panels of rows on tensor cores. Rows of B are gathered as the columns of the panel
 * name them, and multiplied as if both were dense.
 *
 * A block takes a part of a panel of 16 to 128 rows (pack/panels.h) and 64 or 128 columns of B.
 * Each of its warps takes 16 or 32 rows and 64 columns.  cp.async copies the slices of the panel,
 * the rows of B and what A is made from: two slices while one is multiplied, and lists of columns
 * two slices further ahead.  Where A comes from is a policy: fragments_packed.h,
 * fragments_bitmap.h.
 *
 * Bounds for 128 columns of 16 bits on an H100, calculated and not measured.  A row of B takes 10
 * cycles to come from L2 (24 bytes a cycle and SM), in which tensor cores multiply it by 80 rows of
 * A (1024 FMA a cycle).  With panels of 128 rows, a slice takes the tensor cores 512 cycles.
 * Shared memory takes 512 cycles, too, for its 64 KiB: a warp reads 1 KiB of A and 2 KiB of B in
 * each of two steps, and 16 KiB are written.  Each of the four schedulers issues about 350
 * instructions.  These do not overlap in full, even with two blocks, 16 warps, to an SM: 60 to 80%
 * of what mma.sync can do are to be hoped for.  TF32 has the same bytes and half the FMA to a
 * slice, at half the rate.  3xTF32 is bound by its three products.
 *
 * Zeros of a panel that are no entries must not spread infinity or NaN of B.  If a sum is not
 * finite, it is computed again from the entries alone.  A finite sum has met neither NaN nor
 * infinity. */
#ifndef SPK_KERNELS_SPMM_GATHER_H
#define SPK_KERNELS_SPMM_GATHER_H

#include "../pack/panel_parts.h"
#include "spmm_rows.h"
#include "tensor_types.h"

namespace spk {

constexpr int GATHER_STAGES = 3;
/* Lists of columns: those of slices that are copied next, and those that are still read. */
constexpr int GATHER_LISTS = 4, GATHER_LIST_INTS = 32 + 4;
static_assert(GATHER_LISTS >= 2 * GATHER_STAGES - 2, "a list is read while the one is written");
constexpr int GATHER_LIST_BYTES = GATHER_LISTS * GATHER_LIST_INTS * 4;
static_assert(GATHER_LIST_BYTES % 16 == 0, "stages follow, aligned");

template <class Source>
struct SpmmGather {
  using Element = typename Source::Element;
  Source source;
  const spk_panel_part *parts;
  int64_t part_count;
  const int64_t *begins;  /* the first slice of each panel */
  const int32_t *columns; /* the columns of each slice */
  int height;             /* rows of a panel */
  int at_once;            /* the bytes of B that one copy may move: 16, 4 or 2 */
  int64_t rows, n;
  const Element *B;
  uint32_t row_bytes; /* bytes from row to row of B */
  Epilogue<Element> epilogue;
  float *sums; /* n sums for each part of a cut panel */
};

/* The shared memory of a block, with M * 16 rows by 64 columns to a warp. */
template <class Source>
inline size_t gather_shared(int height, int m, int across) {
  using Type = typename Source::Type;
  const int stage = across * Type::TILE_BYTES + Source::stage_bytes(height);
  const int warps = height / (16 * m) * across, sums = warps * 16 * Type::SUMS_STRIDE * 4;
  const int stages = GATHER_LIST_BYTES + GATHER_STAGES * stage;
  return (size_t)(stages > sums ? stages : sums);
}

SPK_DEVICE bool is_finite(float x) { return x - x == 0; }

/* The address of a row: 32 by 32 bits multiplied, and 64 bits added, is one instruction. */
template <class T>
SPK_DEVICE const T *row_of(const T *B, uint32_t row_bytes, int32_t row) {
  return reinterpret_cast<const T *>(reinterpret_cast<const char *>(B) +
                                     (uint64_t)(uint32_t)row * row_bytes);
}

/* Compute an element of A @ B from the entries alone. */
template <class Source>
SPK_OUTLINED float strict_sum(const SpmmGather<Source> &t, int64_t panel, int row, int64_t col) {
  using Type = typename Source::Type;
  float sum = 0;
  for (int64_t slice = t.begins[panel]; slice < t.begins[panel + 1]; slice++) {
    SPK_ONE_BY_ONE
    for (int at = 0; at < Type::DEPTH; at++) {
      const int64_t cell = spk_panels_cell(t.height, Type::HALVES, slice, row, at);
      if (!(load(t.source.stored + cell / 32) >> cell % 32 & 1u)) continue;
      const int32_t column = load(t.columns + slice * Type::DEPTH + at);
      const auto b = load(row_of(t.B, t.row_bytes, column) + col);
      sum = fma(to_float(t.source.value(cell, slice)), to_float(b), sum);
    }
  }
  return sum;
}

/* Begin to copy the list of a slice.  `columns` and the begins of `source` are those of the part's
 * first slice. */
template <class Source>
SPK_DEVICE void copy_list(int32_t *list, const Source &source, const int32_t *columns, int slice) {
  constexpr int DEPTH = Source::Type::DEPTH;
  if (thread() < DEPTH / 4)
    copy_async<16>(list + 4 * thread(), columns + (int64_t)slice * DEPTH + 4 * thread(), 16);
  if constexpr (Source::HAS_BEGINS) {
    if (thread() >= 30 && thread() < 32)
      copy_async<4>(list + 2 + thread(), source.begin_of(slice + thread() - 30), 4);
  }
}

/* Copy 16 bytes of B that are not aligned to 16.  `bytes` of them exist, and the rest becomes 0. */
template <class T>
SPK_DEVICE void copy_in_pieces(char *to, const T *from, int bytes, int at_once) {
  if (at_once >= 4) {
    SPK_ONE_BY_ONE
    for (int at = 0; at < 16; at += 4) {
      const int left = bytes - at;
      copy_async<4>(to + at, reinterpret_cast<const char *>(from) + (left > 0 ? at : 0),
                    left > 4   ? 4
                    : left > 0 ? left
                               : 0);
    }
  } else {
    SPK_ONE_BY_ONE
    for (int i = 0; i < 16 / (int)sizeof(T); i++)
      store(reinterpret_cast<T *>(to) + i, i * (int)sizeof(T) < bytes ? load(from + i) : T{});
  }
}

/* Begin to copy the rows of B that a list names: ACROSS tiles of 64 columns, from column `first`
 * on.  A thread copies the same chunk of 16 bytes of several rows. */
template <class Source, int ACROSS>
SPK_DEVICE void copy_rows(char *tiles, const int32_t *list, const SpmmGather<Source> &t,
                          int64_t first, int threads) {
  using Type = typename Source::Type;
  using T = typename Source::Element;
  constexpr int V = 16 / (int)sizeof(T), CHUNKS = ACROSS * WARP_COLUMNS / V;
  /* rows per iteration; no block has so many warps that a thread has fewer */
  constexpr int TOGETHER = 2;
  const int col = thread() % CHUNKS * V, step = threads / CHUNKS;
  const int64_t left = (t.n - first - col) * (int)sizeof(T);
  const int bytes = left > 16 ? 16 : left > 0 ? (int)left : 0;
  /* The address of a row that is not read must be valid, too. */
  const T *B = t.B + (bytes ? first + col : 0);
  char *to = tiles + col / WARP_COLUMNS * Type::TILE_BYTES;
  if (t.at_once == 16 && bytes % 16 == 0) {
    for (int k = thread() / CHUNKS; k < Type::DEPTH; k += step * TOGETHER) {
      SPK_UNROLLED
      for (int i = 0; i < TOGETHER; i++) {
        const int row = k + i * step, column = list[row];
        copy_async<16>(to + Type::place(row, col % WARP_COLUMNS),
                       row_of(B, t.row_bytes, column < 0 ? 0 : column),
                       column >= 0 && bytes ? 16 : 0);
      }
    }
  } else {
    for (int k = thread() / CHUNKS; k < Type::DEPTH; k += step) {
      const int column = list[k];
      copy_in_pieces(to + Type::place(k, col % WARP_COLUMNS),
                     row_of(B, t.row_bytes, column < 0 ? 0 : column), column < 0 ? 0 : bytes,
                     t.at_once);
    }
  }
}

/* Finish one sum, which is computed again if it is not finite. */
template <class Source>
SPK_DEVICE void finish_strictly(const SpmmGather<Source> &t, int64_t row, int64_t col, float sum) {
  if (!is_finite(sum)) sum = strict_sum(t, row / t.height, (int)(row % t.height), col);
  finish_one(t.epilogue, row, col, sum);
}

/* Write 16 rows from `row` on and up to 64 columns from `col` on, whose sums are in shared memory,
 * to the workspace or to C. */
template <class Source>
SPK_DEVICE void finish_rows(const SpmmGather<Source> &t, const spk_panel_part &part, float *sums,
                            int64_t row, int64_t col) {
  using T = typename Source::Element;
  constexpr int STRIDE = Source::Type::SUMS_STRIDE, V = 16 / (int)sizeof(T);
  constexpr int LANES = WARP_COLUMNS / V;
  const bool whole = part.sum < 0;
  const int64_t c_bytes = t.epilogue.row_stride * (int)sizeof(T);
  if (whole && t.epilogue.col_stride == 1 && c_bytes % 16 == 0 && t.n % V == 0 &&
      reinterpret_cast<uintptr_t>(t.epilogue.C) % 16 == 0) {
    SPK_ONE_BY_ONE
    for (int i = lane(); i < 16 * LANES; i += 32) {
      const int r = i / LANES, c = i % LANES * V;
      if (row + r >= t.rows || col + c >= t.n) continue;
      float *mine = sums + r * STRIDE + c;
      bool finite = true;
      SPK_UNROLLED
      for (int j = 0; j < V; j++) finite &= is_finite(mine[j]);
      SPK_ONE_BY_ONE
      for (int j = 0; !finite && j < V; j++) {
        if (!is_finite(mine[j]))
          mine[j] = strict_sum(t, part.panel, (int)((row + r) % t.height), col + c + j);
      }
      float v[V];
      SPK_UNROLLED
      for (int j = 0; j < V; j++) v[j] = mine[j];
      finish_vector<T, V>(t.epilogue, row + r, col + c, v);
    }
    return;
  }
  /* Neighbouring lanes write neighbouring elements. */
  const bool along_columns = !whole || t.epilogue.col_stride == 1;
  SPK_ONE_BY_ONE
  for (int i = lane(); i < 16 * WARP_COLUMNS; i += 32) {
    const int r = along_columns ? i / WARP_COLUMNS : i % 16;
    const int c = along_columns ? i % WARP_COLUMNS : i / 16;
    if (row + r >= t.rows || col + c >= t.n) continue;
    const float sum = sums[r * STRIDE + c];
    if (whole)
      finish_strictly(t, row + r, col + c, sum);
    else
      t.sums[(part.sum + (row + r) % t.height * part.step) * t.n + col + c] = sum;
  }
}

/* A warp has M * 16 rows.  ACROSS warps lie side by side, and as many above each other as the
 * height of the panels takes. */
template <class Source, int M, int ACROSS>
SPK_KERNEL((M == 1 ? 64 : 256), (M == 1 ? 8 : 2))
spmm_gather(SPK_PARAMETER(t, SpmmGather<Source>)) {
  using Type = typename Source::Type;
  const spk_panel_part part = t.parts[block() % t.part_count];
  const int64_t first = block() / t.part_count * (ACROSS * WARP_COLUMNS);
  const int threads = t.height / (16 * M) * ACROSS * 32;
  const int down = warp() / ACROSS, across = warp() % ACROSS;
  const int64_t begin = first + across * WARP_COLUMNS;
  const int left = keep(t.n - begin < WARP_COLUMNS ? (int)(t.n - begin) : WARP_COLUMNS);
  const int stage_bytes = ACROSS * Type::TILE_BYTES + Source::stage_bytes(t.height);
  const int lane_place = keep(Type::lane_place());
  const Source source = t.source.from(part.begin, t.height);
  const int32_t *columns = t.columns + part.begin * Type::DEPTH;
  int32_t *lists = reinterpret_cast<int32_t *>(block_memory());
  char *stages = block_memory() + GATHER_LIST_BYTES;
  const auto list_of = [&](int slice) { return lists + slice % GATHER_LISTS * GATHER_LIST_INTS; };
  /* Copy a slice, and the list of the slice that will be copied GATHER_STAGES - 1 slices later. */
  const auto fetch = [&](int slice, int into) {
    const int next = slice + GATHER_STAGES - 1;
    if (next < part.length) copy_list(list_of(next), source, columns, next);
    if (slice < part.length) {
      char *stage = stages + into * stage_bytes;
      copy_rows<Source, ACROSS>(stage, list_of(slice), t, first, threads);
      source.template copy<2 * M / ACROSS>(stage + ACROSS * Type::TILE_BYTES, t.height, threads,
                                           slice, list_of(slice) + 32);
    }
    copy_commit();
  };
  SPK_UNROLLED
  for (int slice = 0; slice < GATHER_STAGES - 1; slice++) {
    if (slice < part.length) copy_list(list_of(slice), source, columns, slice);
  }
  copy_commit();
  copy_wait<0>();
  sync_block();
  SPK_UNROLLED
  for (int slice = 0; slice < GATHER_STAGES - 1; slice++) fetch(slice, slice);
  float sums[M][WARP_TILES][4] = {};
  int stage = 0, into = GATHER_STAGES - 1;
  SPK_ONE_BY_ONE
  for (int slice = 0; slice < part.length; slice++) {
    copy_wait<GATHER_STAGES - 2>();
    sync_block();
    fetch(slice + GATHER_STAGES - 1, into);
    const char *tiles = stages + stage * stage_bytes;
    SPK_ONE_BY_ONE
    for (int done = 0; done < SPK_SLICE_STEPS; done += Source::STEPS_AT_ONCE) {
      SPK_UNROLLED
      for (int i = 0; i < Source::STEPS_AT_ONCE; i++) {
        const int step = done + i;
        uint32_t a[M][4];
        SPK_UNROLLED
        for (int m = 0; m < M; m++)
          Source::read(a[m], tiles + ACROSS * Type::TILE_BYTES, t.height,
                       (down * M + m) * SPK_SLICE_STEPS + step);
        Type::multiply(sums, a, tiles + across * Type::TILE_BYTES, lane_place, step, left);
      }
    }
    stage = stage + 1 < GATHER_STAGES ? stage + 1 : 0;
    into = into + 1 < GATHER_STAGES ? into + 1 : 0;
  }
  copy_wait<0>();
  sync_block(); /* the sums overwrite the stages */
  float *mine = reinterpret_cast<float *>(block_memory()) + warp() * (16 * Type::SUMS_STRIDE);
  SPK_UNROLLED
  for (int m = 0; m < M; m++) {
    Type::put(mine, sums[m]);
    sync_warp();
    finish_rows(t, part, mine, (int64_t)part.panel * t.height + (down * M + m) * 16, begin);
    sync_warp();
  }
}

/* The rows of panels that were cut. */
template <class Source>
struct FinishCutPanels {
  SpmmGather<Source> product;
  const spk_cut_row *cut;
  int64_t tiles;
};

template <class Source>
SPK_KERNEL(CUT_THREADS, 4)
finish_cut_panels(SPK_PARAMETER(t, FinishCutPanels<Source>)) {
  const spk_cut_row cut = t.cut[block() / t.tiles];
  const int64_t col = block() % t.tiles * CUT_THREADS + thread();
  if (col >= t.product.n) return;
  finish_strictly(t.product, cut.row, col, sum_of_cut(cut, t.product.sums, t.product.n, col));
}

} // namespace spk

#endif
