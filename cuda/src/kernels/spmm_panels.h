/* C = A @ B by panels of 8 rows. A warp loads a row of B once for all rows of a panel that need it.
 *
 * A lane has sums of 8 rows x U vectors of 16 bytes.  Rows go by pairs: the compiler jumps over the
 * 8 U FMA of a pair if a record has none of its rows.  It would only mask those of a single row,
 * which takes their time all the same.  Per record with entries in q of the 4 pairs, a
 * multiprocessor moves 4 U + 2 wavefronts of 128 bytes from L1 and shared memory, one a cycle, and
 * issues 8 q U + 26 instructions, four a cycle.  With U = 2 and float32, of 256 operations a cycle:
 * 24% at 90% sparsity (1.4 entries and 1.33 pairs a record), 31% at 75% (2.2 and 1.94), 43% at 50%,
 * 71% if the rows have all columns in common.  One row per warp can reach 22% (spmm_rows.h).
 * (Calculated; no GPU has run it.)
 *
 * At this size of a tile, few warps fill a device, so latency is hidden within a warp: rows of B
 * for the next four records are loaded while four records are multiplied.  If there are fewer
 * panels than fill the device, `split` warps share the records of a panel and add their sums at the
 * end, in a fixed order. */
#ifndef SPK_KERNELS_SPMM_PANELS_H
#define SPK_KERNELS_SPMM_PANELS_H

#include "../pack/register_panels.h"
#include "epilogue.h"
#include "tile_of_b.h"

namespace spk {

constexpr int PANEL_WARPS = 8, PANEL_CHUNK = 32, PANEL_GROUP = 4;

template <class T>
struct SpmmPanels {
  const spk_register_panel *panels;
  int64_t panel_count, panel_blocks; /* blocks of PANEL_WARPS / split panels */
  const uint32_t *heads;
  const T *values;
  const T *B;
  uint32_t row_bytes; /* bytes from row to row of B */
  int split;          /* a power of 2, up to PANEL_WARPS */
  int64_t n;
  Epilogue<T> epilogue;
};

/* The shared memory of one warp: two chunks of records. */
template <class T>
struct PanelStage {
  alignas(16) uint32_t heads[2][PANEL_CHUNK];
  alignas(16) T values[2][PANEL_CHUNK][SPK_REGISTER_PANEL_ROWS];
};

/* The elements of a row of B that a lane loads at once. */
template <class T>
constexpr int panel_vector = 16 / (int)sizeof(T);

template <class T, bool ALIGNED>
using PanelTile = TileOfB<T, 32, panel_vector<T>, ALIGNED>;

/* The rows of B for a group of records, and the sums of a panel. */
template <class T, int U, bool ALIGNED>
struct PanelGroup {
  uint32_t heads[PANEL_GROUP];
  RowOfB<T, panel_vector<T>, ALIGNED> b[PANEL_GROUP][U];
};
template <class T, int U>
struct PanelSums {
  T at[SPK_REGISTER_PANEL_ROWS][U][panel_vector<T>];
};

/* Copy `count` records, a multiple of SPK_REGISTER_PANEL_RECORDS, 16 bytes at a time. */
template <class T>
SPK_DEVICE void fetch_records(PanelStage<T> *stage, int into, const SpmmPanels<T> &t, int64_t begin,
                              int count) {
  constexpr int PER_RECORD = SPK_REGISTER_PANEL_ROWS * (int)sizeof(T) / 16,
                PER_VALUE = 16 / (int)sizeof(T);
  if (lane() < count / 4)
    copy_async<16>(&stage->heads[into][4 * lane()], t.heads + begin + 4 * lane(), 16);
  const T *from = t.values + SPK_REGISTER_PANEL_ROWS * begin;
  T *to = &stage->values[into][0][0];
  SPK_UNROLLED
  for (int i = 0; i < PER_RECORD; i++) {
    const int at = lane() + 32 * i;
    if (at < count * PER_RECORD) copy_async<16>(to + PER_VALUE * at, from + PER_VALUE * at, 16);
  }
}

template <class T, int U, bool ALIGNED>
SPK_DEVICE void load_group(PanelGroup<T, U, ALIGNED> &group, const PanelStage<T> *stage, int from,
                           int record, const PanelTile<T, ALIGNED> (&B)[U]) {
  const auto heads =
      *reinterpret_cast<const vec<uint32_t, PANEL_GROUP> *>(&stage->heads[from][record]);
  SPK_UNROLLED
  for (int i = 0; i < PANEL_GROUP; i++) {
    group.heads[i] = heads[i];
    const uint32_t row = heads[i] & ((1u << SPK_REGISTER_PANEL_COLUMN_BITS) - 1);
    SPK_UNROLLED
    for (int u = 0; u < U; u++) group.b[i][u] = B[u].read(row);
  }
}

template <class T, int U, bool ALIGNED>
SPK_DEVICE void add_group(PanelSums<T, U> &sums, const PanelGroup<T, U, ALIGNED> &group,
                          const T (*values)[SPK_REGISTER_PANEL_ROWS]) {
  constexpr int V = panel_vector<T>;
  SPK_UNROLLED
  for (int i = 0; i < PANEL_GROUP; i++) {
    T a[SPK_REGISTER_PANEL_ROWS];
    SPK_UNROLLED
    for (int r = 0; r < SPK_REGISTER_PANEL_ROWS; r += V) {
      const auto some = *reinterpret_cast<const vec<T, V> *>(&values[i][r]);
      SPK_UNROLLED
      for (int j = 0; j < V; j++) a[r + j] = some[j];
    }
    SPK_UNROLLED
    for (int pair = 0; pair < SPK_REGISTER_PANEL_ROWS; pair += 2) {
      const uint32_t rows = group.heads[i] >> (SPK_REGISTER_PANEL_COLUMN_BITS + pair);
      /* The condition is the same for all lanes.  Without the hint, the compiler masks some pairs
       * instead of jumping over them. */
      if (__builtin_expect(!(rows & 3u), 1)) continue;
      SPK_UNROLLED
      for (int r = pair; r < pair + 2; r++) {
        if (!(rows >> (r - pair) & 1u)) continue;
        SPK_UNROLLED
        for (int u = 0; u < U; u++) {
          SPK_UNROLLED
          for (int j = 0; j < V; j++)
            sums.at[r][u][j] = fma(a[r], group.b[i][u].at(j), sums.at[r][u][j]);
        }
      }
    }
  }
}

/* Add all records from `begin` on, a multiple of 2 PANEL_GROUP records. */
template <class T, int U, bool ALIGNED>
SPK_DEVICE void add_records(PanelSums<T, U> &sums, PanelStage<T> *stage, const SpmmPanels<T> &t,
                            int64_t begin, int count, const PanelTile<T, ALIGNED> (&B)[U]) {
  int into = 0;
  fetch_records(stage, 0, t, begin, count < PANEL_CHUNK ? count : PANEL_CHUNK);
  copy_commit();
  SPK_ONE_BY_ONE
  for (int done = 0; done < count; done += PANEL_CHUNK) {
    const int rest = count - done;
    if (rest > PANEL_CHUNK)
      fetch_records(stage, into ^ 1, t, begin + done + PANEL_CHUNK,
                    rest < 2 * PANEL_CHUNK ? rest - PANEL_CHUNK : PANEL_CHUNK);
    copy_commit();
    copy_wait<1>();
    sync_warp();
    const int here = rest < PANEL_CHUNK ? rest : PANEL_CHUNK;
    PanelGroup<T, U, ALIGNED> even, odd;
    load_group(even, stage, into, 0, B);
    SPK_ONE_BY_ONE
    for (int record = 0; record < here; record += 2 * PANEL_GROUP) {
      load_group(odd, stage, into, record + PANEL_GROUP, B);
      add_group(sums, even, &stage->values[into][record]);
      /* Past the end, the last records are loaded again, but not added. */
      const int next = record + 2 * PANEL_GROUP;
      load_group(even, stage, into, next < here ? next : record, B);
      add_group(sums, odd, &stage->values[into][record + PANEL_GROUP]);
    }
    sync_warp();
    into ^= 1;
  }
  copy_wait<0>();
}

/* Add the sums of `split` neighbouring warps in the first of them.  Each round adds one half of the
 * warps to the other. */
template <class T, int U>
SPK_DEVICE void add_warps(PanelSums<T, U> &sums, int split) {
  constexpr int V = panel_vector<T>, COUNT = SPK_REGISTER_PANEL_ROWS * U * V;
  T *room = reinterpret_cast<T *>(block_memory());
  const int place = warp() % split;
  SPK_ONE_BY_ONE
  for (int half = split / 2; half >= 1; half /= 2) {
    sync_block();
    const bool gives = place >= half && place < 2 * half, takes = place < half;
    T *mine = room + (warp() / split * half + place % half) * (COUNT * 32) + lane();
    SPK_UNROLLED
    for (int i = 0; i < COUNT; i++) {
      T &sum = sums.at[i / (U * V)][i / V % U][i % V];
      if (gives) mine[32 * i] = sum;
    }
    sync_block();
    SPK_UNROLLED
    for (int i = 0; i < COUNT; i++) {
      T &sum = sums.at[i / (U * V)][i / V % U][i % V];
      if (takes) sum += mine[32 * i];
    }
  }
}

template <class T, int U>
constexpr size_t panel_shared() {
  constexpr size_t stages = PANEL_WARPS * sizeof(PanelStage<T>);
  constexpr size_t sums = PANEL_WARPS / 2 * 32 * sizeof(PanelSums<T, U>);
  return stages > sums ? stages : sums;
}

/* Write a column of the panel.  A lane has all its rows, which are 32 or 64 bytes of a column-major
 * C. */
template <class T>
SPK_DEVICE void write_column(const Epilogue<T> &e, int64_t row, int64_t col,
                             const T (&sums)[SPK_REGISTER_PANEL_ROWS]) {
  constexpr int V = panel_vector<T>;
  SPK_UNROLLED
  for (int r = 0; r < SPK_REGISTER_PANEL_ROWS; r += V) {
    T some[V];
    SPK_UNROLLED
    for (int i = 0; i < V; i++) some[i] = sums[r + i];
    finish_column<T, V>(e, row + r, col, some);
  }
}

template <class T, int U, bool ALIGNED>
SPK_DEVICE void write_panel(const Epilogue<T> &e, const spk_register_panel &panel, int64_t first,
                            int left, const PanelSums<T, U> &sums) {
  constexpr int V = panel_vector<T>;
  using Tile = PanelTile<T, ALIGNED>;
  if (panel.rows == SPK_REGISTER_PANEL_ROWS && has_aligned_columns(e)) {
    SPK_UNROLLED
    for (int i = 0; i < U * V; i++) {
      const int col = 32 * V * (i / V) + Tile::column(lane(), i % V);
      T column[SPK_REGISTER_PANEL_ROWS];
      SPK_UNROLLED
      for (int r = 0; r < SPK_REGISTER_PANEL_ROWS; r++) column[r] = sums.at[r][i / V][i % V];
      if (col < left) write_column(e, panel.row, first + col, column);
    }
    return;
  }
  SPK_UNROLLED
  for (int r = 0; r < SPK_REGISTER_PANEL_ROWS; r++) {
    if (r >= panel.rows) continue;
    SPK_UNROLLED
    for (int u = 0; u < U; u++) {
      const int col = 32 * V * u + Tile::column(lane(), 0);
      if (ALIGNED && e.col_stride == 1) {
        if (col < left) finish_vector<T, V>(e, panel.row + r, first + col, sums.at[r][u]);
        continue;
      }
      SPK_UNROLLED
      for (int j = 0; j < V; j++) {
        const int one = 32 * V * u + Tile::column(lane(), j);
        if (one < left) finish_one(e, panel.row + r, first + one, sums.at[r][u][j]);
      }
    }
  }
}

template <class T, int U, bool ALIGNED>
SPK_KERNEL(PANEL_WARPS * 32, (U == 1 ? 2 : 1))
spmm_panels(SPK_PARAMETER(t, SpmmPanels<T>)) {
  constexpr int V = panel_vector<T>, COLUMNS = 32 * V * U;
  using Tile = PanelTile<T, ALIGNED>;
  const int64_t first = block() / t.panel_blocks * COLUMNS;
  const int left = t.n - first < COLUMNS ? (int)(t.n - first) : COLUMNS;
  const int64_t index = block() % t.panel_blocks * (PANEL_WARPS / t.split) + warp() / t.split;
  /* Warps without a panel still take part in the barriers. */
  spk_register_panel panel = {};
  if (index < t.panel_count) panel = t.panels[index];
  /* Each of `split` warps has a share of the records, in whole turns of the loop. */
  const int turns = panel.records / SPK_REGISTER_PANEL_RECORDS, place = warp() % t.split;
  const int from = (int)((int64_t)turns * place / t.split) * SPK_REGISTER_PANEL_RECORDS;
  const int to = (int)((int64_t)turns * (place + 1) / t.split) * SPK_REGISTER_PANEL_RECORDS;
  Tile B[U];
  SPK_UNROLLED
  for (int u = 0; u < U; u++) {
    const int start =
        /* Columns that do not exist are read as the first ones. */
        32 * V * u < left ? 32 * V * u : 0;
    B[u] = Tile(t.B + first + start, t.row_bytes, lane(), left - start);
  }
  PanelSums<T, U> sums = {};
  PanelStage<T> *stage = reinterpret_cast<PanelStage<T> *>(block_memory()) + warp();
  if (to > from) add_records(sums, stage, t, panel.begin + from, to - from, B);
  if (t.split > 1) add_warps(sums, t.split);
  if (place == 0) write_panel<T, U, ALIGNED>(t.epilogue, panel, first, left, sums);
}

} // namespace spk

#endif
