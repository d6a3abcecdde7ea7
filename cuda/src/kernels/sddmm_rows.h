/* Sampled products entry by entry, for patterns with few entries near one another.
 *
 * A warp takes 32 entries that follow one another, of however many rows, so that all warps have the
 * same work.  Eight lanes share a dot product, 16 bytes of each row at a time; sixteen of them are
 * in flight in a warp.  The sums of eight dot products are added across eight lanes by seven
 * exchanges (each lane gives away half of what it has) where one by one they would take 24.
 *
 * Most is moved from L2, a row of Y per entry: k * sizeof(T) bytes where a multiprocessor of an
 * H100 gets about 24 a cycle (reckoned from 5.5 TB/s), 5 cycles for 64 elements of 16 bits.  Rows
 * of X come from L1, and as one where the groups of lanes have the same: they are read for every
 * entry.  The FMA units and what converts 16 bits take less than half of that time.
 */
#ifndef SPK_KERNELS_SDDMM_ROWS_H
#define SPK_KERNELS_SDDMM_ROWS_H

#include "sampling.h"

namespace spk {

constexpr int SDDMM_ROWS_WARPS = 8;
constexpr int SDDMM_LANES = 8;    /* of a dot product, and dot products of a lane */
constexpr int SDDMM_TOGETHER = 4; /* of these, in flight */

template <class T>
struct SddmmRows {
  const int32_t *rows, *columns;
  Slots slots;
  int64_t count;
  const T *X, *Y; /* Y by columns */
  int64_t ldx, ldy, k;
  int64_t vector_k; /* so many of k are in whole vectors of 16 bytes, which are aligned */
  Sampling<T> sampling;
};

template <class T>
struct RowPairs {
  const T *x[SDDMM_TOGETHER], *y[SDDMM_TOGETHER];
};

/* To the sums from `FIRST` on, what [from, to) of these rows adds; V elements to a lane. */
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

/* The dot products of a group of lanes, from `FIRST` on: lane i of it names the rows of the i-th.
 */
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

/* Of eight sums in each of eight lanes, the total of the i-th in lane i. */
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
  if (begin >= t.count) return; /* the whole warp */
  /* Entry i of group g is the (4 i + g)-th, so that few entries still meet all groups; lane i of
   * the group writes it.  Where there are fewer than 32, the first stands for others. */
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
