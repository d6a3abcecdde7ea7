/* Sampled products entry by entry, for structures with few entries near one another.
 *
 * A warp takes 32 consecutive entries, of any number of rows, so that all warps have the same work.
 * Eight lanes share a dot product and read 16 bytes of each row at a time.  Sixteen dot products
 * are in flight in a warp.  The sums of eight dot products are added across eight lanes by seven
 * exchanges (each lane gives away half of what it has); one by one, they would take 24.
 *
 * Most of what is read comes from L2, a row of Y per entry: k * sizeof(T) bytes, where a
 * multiprocessor of an H100 gets about 24 a cycle (calculated from 5.5 TB/s), 5 cycles for 64
 * elements of 16 bits.  Rows of X come from L1, in one access if the groups of lanes have the same
 * row; they are read for every entry.  The FMA units and the conversion of 16 bits take less than
 * half of that time. */
#ifndef SPK_KERNELS_SDDMM_ROWS_H
#define SPK_KERNELS_SDDMM_ROWS_H

#include "sampling.h"

namespace spk {

constexpr int SDDMM_ROWS_WARPS = 8;
constexpr int SDDMM_LANES = 8;    /* lanes of a dot product, and dot products of a lane */
constexpr int SDDMM_TOGETHER = 4; /* dot products of a lane that are in flight */

template <class T>
struct SddmmRows {
  const int32_t *rows, *columns;
  Slots slots;
  int64_t count;
  const T *X, *Y; /* Y is column-major */
  int64_t ldx, ldy, k;
  /* the elements of k in whole vectors of 16 bytes, if rows are aligned, else 0 */
  int64_t vector_k;
  Sampling<T> sampling;
};

template <class T>
struct RowPairs {
  const T *x[SDDMM_TOGETHER], *y[SDDMM_TOGETHER];
};

/* Add elements [from, to) of the products of the rows to the sums from `FIRST` on, with V elements
 * to a lane. */
template <int FIRST, int V, class T>
SPK_DEVICE void add_products(sum_of<T> (&sum)[SDDMM_LANES], const RowPairs<T> &rows, int64_t from,
                             int64_t to) {
  using Vector = vec<T, V>;
  SPK_ONE_BY_ONE
  for (int64_t at = from + lane() % SDDMM_LANES * V; at < to; at += SDDMM_LANES * V) {
    Vector x[SDDMM_TOGETHER], y[SDDMM_TOGETHER];
    SPK_UNROLLED
    for (int i = 0; i < SDDMM_TOGETHER; i++) {
      y[i] = load(reinterpret_cast<const Vector *>(rows.y[i] + at));
      x[i] = load(reinterpret_cast<const Vector *>(rows.x[i] + at));
    }
    SPK_UNROLLED
    for (int i = 0; i < SDDMM_TOGETHER; i++) {
      SPK_UNROLLED
      for (int j = 0; j < V; j++)
        sum[FIRST + i] =
            fma((sum_of<T>)to_float(x[i][j]), (sum_of<T>)to_float(y[i][j]), sum[FIRST + i]);
    }
  }
}

/* Add the dot products of a group of lanes, from `FIRST` on.  Lane i of the group has the row and
 * column of the i-th. */
template <int FIRST, class T>
SPK_DEVICE void add_all(sum_of<T> (&sum)[SDDMM_LANES], const SddmmRows<T> &t, int32_t row,
                        int32_t column) {
  if constexpr (FIRST < SDDMM_LANES) {
    RowPairs<T> rows;
    SPK_UNROLLED
    for (int i = 0; i < SDDMM_TOGETHER; i++) {
      const int of = lane() / SDDMM_LANES * SDDMM_LANES + FIRST + i;
      rows.x[i] = t.X + shuffle(row, of) * t.ldx;
      rows.y[i] = t.Y + shuffle(column, of) * t.ldy;
    }
    add_products<FIRST, 16 / (int)sizeof(T)>(sum, rows, 0, t.vector_k);
    add_products<FIRST, 1>(sum, rows, t.vector_k, t.k);
    add_all<FIRST + SDDMM_TOGETHER>(sum, t, row, column);
  }
}

/* Add eight sums in each of eight lanes.  Lane i gets the total of the i-th. */
template <class S>
SPK_DEVICE S add_across(S (&sum)[SDDMM_LANES]) {
  SPK_UNROLLED
  for (int apart = SDDMM_LANES / 2; apart; apart /= 2) {
    const bool upper = lane() & apart;
    SPK_UNROLLED
    for (int i = 0; i < apart; i++) {
      const S kept = upper ? sum[i + apart] : sum[i], given = upper ? sum[i] : sum[i + apart];
      sum[i] = kept + shuffle_xor(given, apart);
    }
  }
  return sum[0];
}

template <class T>
SPK_KERNEL(SDDMM_ROWS_WARPS * 32, (sizeof(T) == 8 ? 2 : 3))
sddmm_rows(SPK_PARAMETER(t, SddmmRows<T>)) {
  const int64_t begin = (block() * SDDMM_ROWS_WARPS + warp()) * 32;
  if (begin >= t.count) return; /* the condition is the same for the whole warp */
  /* Entry i of group g is the (4 i + g)-th entry, so that few entries still use all groups.  Lane i
   * of the group writes it.  If there are fewer than 32 entries, the first stands for the missing
   * ones. */
  const int mine = lane() % SDDMM_LANES * (32 / SDDMM_LANES) + lane() / SDDMM_LANES;
  const bool there = begin + mine < t.count;
  const int64_t at = there ? begin + mine : begin;
  const int32_t row = load_once(t.rows + at), column = load_once(t.columns + at);
  sum_of<T> sum[SDDMM_LANES] = {};
  add_all<0>(sum, t, row, column);
  const sum_of<T> total = add_across(sum);
  if (there) finish_sample(t.sampling, t.slots.of(at), total);
}

} // namespace spk

#endif
