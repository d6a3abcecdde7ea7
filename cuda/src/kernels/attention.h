/* out = softmax(scale * Q K^T over the entries of a mask) V, per batch and head.
 *
 * The algorithm is FlashAttention-2 (Dao, arXiv 2307.08691) over the groups of keys that
 * pack/block_mask.h lists.  A block has a panel of 128 queries, and softmax is taken online, group
 * by group.  K and V have one buffer each: V is copied while scores are made of K, and the next K
 * while V is added up.
 *
 * Guarantees.  A stored entry counts once.  A position without an entry reaches nothing: infinity
 * and NaN of K and V reach only queries that have them as keys.  A score of NaN or +infinity makes
 * its query NaN.  Queries without an entry, or whose scores are all -infinity, become 0, and their
 * lse is -infinity.  Scores, exponentials and sums are float32.  Exponentials are rounded to T
 * before they multiply V, but not in lse.  The bits are the same in each run.
 *
 * Limits, calculated for an H100 and not measured.  A group of 64 keys takes 2 * 64 * 128 * D
 * multiplications, 16 D cycles at 1024 each.  Its four warps read K, V and Q by ldmatrix: 10 D
 * cycles of 128 bytes (18 D at D = 256, where eight warps share them by 16 queries, and shared
 * memory is the bound).  Exponentials take 512 cycles at 16 each, where tensor cores take 1024 at D
 * = 64.  256 D bytes come from L2, 16 a cycle where it gives about 24.  So tensor cores are the
 * bound, as far as mma.sync fills them.  A group that only some queries of a panel have costs as
 * much for each 32 queries (a warp) of which one has it, and operands are padded with zeros to D =
 * 64, 128 or 256.  A panel is never split, so with few heads, a panel of very many keys (global
 * queries) delays the end. */
#ifndef SPK_KERNELS_ATTENTION_H
#define SPK_KERNELS_ATTENTION_H

#include "attention_strict.h"

namespace spk {

/* Copy ROWS rows of up to D elements.  row_of returns the place of each row, or -1 for a row of
 * zeros. */
template <int D, int ROWS, class T, class RowOf>
SPK_DEVICE void fetch_rows(char *tiles, const T *from, int stride, int width, const RowOf &row_of) {
  constexpr int CHUNKS = D / 8, TOGETHER = AttendShape<D>::THREADS / CHUNKS;
  constexpr int ROUND = 4; /* rows of a thread at a time; more would not fit the registers */
  const int chunk = thread() % CHUNKS;
  const bool inside = chunk * 8 < width;
  from += inside ? chunk * 8 : 0;
  tiles += tile_of_chunk<ROWS>(chunk) + chunk_of_tile(thread() / CHUNKS, chunk % TILE_ROW_CHUNKS);
  SPK_ONE_BY_ONE
  for (int first = thread() / CHUNKS; first < ROWS; first += ROUND * TOGETHER) {
    int at[ROUND];
    SPK_UNROLLED
    for (int i = 0; i < ROUND; i++) at[i] = row_of(first + i * TOGETHER);
    SPK_UNROLLED
    for (int i = 0; i < ROUND; i++) {
      const bool there = at[i] >= 0;
      copy_async<16>(tiles + i * TOGETHER * TILE_ROW_BYTES, row_at(from, there ? at[i] : 0, stride),
                     there && inside ? 16 : 0);
    }
    tiles += ROUND * TOGETHER * TILE_ROW_BYTES;
  }
}

/* Invert the signs of what this thread copied of Q. */
template <int D>
SPK_DEVICE void negate_rows(char *tiles) {
  constexpr int CHUNKS = D / 8, TOGETHER = AttendShape<D>::THREADS / CHUNKS;
  const int chunk = thread() % CHUNKS;
  char *tile = tiles + tile_of_chunk<SPK_PANEL_QUERIES>(chunk);
  SPK_ONE_BY_ONE
  for (int row = thread() / CHUNKS; row < SPK_PANEL_QUERIES; row += TOGETHER) {
    auto *words =
        reinterpret_cast<vec<uint32_t, 4> *>(tile + chunk_of_tile(row, chunk % TILE_ROW_CHUNKS));
    SPK_UNROLLED
    for (int i = 0; i < 4; i++) (*words)[i] ^= 0x80008000u;
  }
}

/* Copy the keys of a step, and the bits that say which query has which key. */
template <int KEYS>
SPK_DEVICE void fetch_keys(int32_t *into, const int32_t *keys) {
  if (thread() < KEYS / 4) copy_async<16>(into + thread() * 4, keys + thread() * 4, 16);
}
SPK_DEVICE void fetch_bits(uint64_t *into, const uint64_t *bits) {
  if (thread() < SPK_PANEL_QUERIES / 2)
    copy_async<16>(into + thread() * 2, bits + thread() * 2, 16);
}

/* What a lane has of its warp's queries: rows lane / 4 and lane / 4 + 8 of each tile, and of each 8
 * columns two neighbours (pack/fragments.h). */
template <int D>
struct AttendSums {
  using Shape = AttendShape<D>;
  float sum[Shape::TILES][D / 8][4];
  float most[Shape::TILES][2], total[Shape::TILES][2]; /* total: the sum over this lane's columns */
};
template <int D>
struct AttendScores {
  float at[AttendShape<D>::TILES][AttendShape<D>::KEYS / 8][4];
};

/* The first query of a tile of this warp, counted within its panel. */
template <int D>
SPK_DEVICE int first_query_of_tile(int tile) {
  return (warp() * AttendShape<D>::TILES + tile) * 16;
}

template <class T, int D>
SPK_DEVICE void make_scores(AttendScores<D> &s, const AttendShared<D> &shared) {
  constexpr int TILES = AttendShape<D>::TILES, KEYS = AttendShape<D>::KEYS;
  SPK_UNROLLED
  for (int tile = 0; tile < TILES; tile++) {
    SPK_UNROLLED
    for (int j = 0; j < KEYS / 8; j++) {
      SPK_UNROLLED
      for (int i = 0; i < 4; i++) s.at[tile][j][i] = 0;
    }
  }
  SPK_UNROLLED
  for (int chunk = 0; chunk < D / 8; chunk += MMA_CHUNKS) {
    const char *Q = shared.Q + tile_of_chunk<SPK_PANEL_QUERIES>(chunk);
    const char *K = shared.K + tile_of_chunk<KEYS>(chunk);
    uint32_t a[TILES][4];
    SPK_UNROLLED
    for (int tile = 0; tile < TILES; tile++)
      load_a(a[tile], Q, first_query_of_tile<D>(tile), chunk % TILE_ROW_CHUNKS);
    SPK_UNROLLED
    for (int j = 0; j < KEYS / 8; j += 2) {
      uint32_t b[2][2];
      load_b(b, K, j * 8, chunk % TILE_ROW_CHUNKS);
      SPK_UNROLLED
      for (int tile = 0; tile < TILES; tile++) {
        mma<T>(s.at[tile][j], a[tile], b[0]);
        mma<T>(s.at[tile][j + 1], a[tile], b[1]);
      }
    }
  }
}

/* Set scores to -infinity where the mask has no entry, whatever they were. */
template <int D>
SPK_DEVICE void mask_scores(AttendScores<D> &s, const uint64_t *bits, int step) {
  constexpr int KEYS = AttendShape<D>::KEYS;
  SPK_UNROLLED
  for (int tile = 0; tile < AttendShape<D>::TILES; tile++) {
    SPK_UNROLLED
    for (int below = 0; below < 2; below++) {
      const uint64_t word = bits[first_query_of_tile<D>(tile) + lane() / 4 + 8 * below] >>
                            (step * KEYS + lane() % 4 * 2);
      const uint32_t part[2] = {(uint32_t)word, (uint32_t)(word >> 32)};
      SPK_UNROLLED
      for (int j = 0; j < KEYS / 8; j++) {
        SPK_UNROLLED
        for (int i = 0; i < 2; i++) {
          if (!(part[j / 4] & 1u << (j % 4 * 8 + i))) s.at[tile][j][2 * below + i] = -INFINITY;
        }
      }
    }
  }
}

/* Replace scores by exponentials of their differences from the largest score so far. */
template <class T, int D>
SPK_DEVICE void weigh_scores(const Attend<T> &t, AttendScores<D> &s, AttendSums<D> &sums) {
  constexpr int TILES = AttendShape<D>::TILES, KEYS = AttendShape<D>::KEYS;
  float most[TILES][2];
  bool grew = false;
  SPK_UNROLLED
  for (int tile = 0; tile < TILES; tile++) {
    SPK_UNROLLED
    for (int below = 0; below < 2; below++) {
      float m = sums.most[tile][below];
      SPK_UNROLLED
      for (int j = 0; j < KEYS / 8; j++)
        m = fmax(m, fmax(s.at[tile][j][2 * below], s.at[tile][j][2 * below + 1]));
      m = fmax(m, shuffle_xor(m, 1));
      m = fmax(m, shuffle_xor(m, 2));
      grew |= m > sums.most[tile][below];
      most[tile][below] = m;
    }
  }
  /* If no maximum grew, all factors are 1. */
  if (any(grew)) {
    SPK_UNROLLED
    for (int tile = 0; tile < TILES; tile++) {
      SPK_UNROLLED
      for (int below = 0; below < 2; below++) {
        const float before = sums.most[tile][below];
        const float factor = exp2((before - usable(most[tile][below])) * t.binary_scale);
        sums.most[tile][below] = most[tile][below];
        sums.total[tile][below] *= factor;
        SPK_UNROLLED
        for (int j = 0; j < D / 8; j++) {
          sums.sum[tile][j][2 * below] *= factor;
          sums.sum[tile][j][2 * below + 1] *= factor;
        }
      }
    }
  }
  SPK_UNROLLED
  for (int tile = 0; tile < TILES; tile++) {
    SPK_UNROLLED
    for (int below = 0; below < 2; below++) {
      const float base = usable(sums.most[tile][below]);
      SPK_UNROLLED
      for (int j = 0; j < KEYS / 8; j++) {
        SPK_UNROLLED
        for (int i = 2 * below; i < 2 * below + 2; i++) {
          s.at[tile][j][i] = weight_of(t, s.at[tile][j][i], base);
          sums.total[tile][below] += s.at[tile][j][i];
        }
      }
    }
  }
}

/* Two 16 x 8 tiles of C lie in lanes as 16 columns of A do. */
template <class T, int D>
SPK_DEVICE void add_values(AttendSums<D> &sums, const AttendScores<D> &s,
                           const AttendShared<D> &shared) {
  constexpr int TILES = AttendShape<D>::TILES, KEYS = AttendShape<D>::KEYS;
  SPK_UNROLLED
  for (int j = 0; j < KEYS / 8; j += 2) {
    uint32_t a[TILES][4];
    SPK_UNROLLED
    for (int tile = 0; tile < TILES; tile++) {
      SPK_UNROLLED
      for (int i = 0; i < 4; i++) {
        const float (&pair)[4] = s.at[tile][j + i / 2];
        a[tile][i] = pack2<T>(pair[i % 2 * 2], pair[i % 2 * 2 + 1]);
      }
    }
    SPK_UNROLLED
    for (int chunk = 0; chunk < D / 8; chunk += 2) {
      uint32_t b[2][2];
      load_b_transposed(b, shared.V + tile_of_chunk<KEYS>(chunk), j * 8, chunk % TILE_ROW_CHUNKS);
      SPK_UNROLLED
      for (int tile = 0; tile < TILES; tile++) {
        mma<T>(sums.sum[tile][chunk], a[tile], b[0]);
        mma<T>(sums.sum[tile][chunk + 1], a[tile], b[1]);
      }
    }
  }
}

/* Divide the sums, and write them to where the warp's queries were in shared memory. */
template <class T, int D>
SPK_DEVICE void finish_sums(const AttendSums<D> &sums, AttendShared<D> &shared) {
  SPK_UNROLLED
  for (int tile = 0; tile < AttendShape<D>::TILES; tile++) {
    SPK_UNROLLED
    for (int below = 0; below < 2; below++) {
      const int query = first_query_of_tile<D>(tile) + lane() / 4 + 8 * below;
      float total = sums.total[tile][below];
      total += shuffle_xor(total, 1);
      total += shuffle_xor(total, 2);
      if (lane() % 4 == 0) {
        shared.most[query] = sums.most[tile][below];
        shared.total[query] = total;
      }
      const bool empty = total == 0;
      const float share = empty ? 0 : 1 / total;
      SPK_UNROLLED
      for (int j = 0; j < D / 8; j++) {
        const float *sum = &sums.sum[tile][j][2 * below];
        /* 0 is stored and not sums times 0, because sums may hold infinity or NaN. */
        const uint32_t pair = empty ? 0 : pack2<T>(sum[0] * share, sum[1] * share);
        char *chunk = shared.Q + tile_of_chunk<SPK_PANEL_QUERIES>(j) +
                      chunk_of_tile(query, j % TILE_ROW_CHUNKS);
        *reinterpret_cast<uint32_t *>(chunk + lane() % 4 * 4) = pair;
      }
    }
  }
}

/* Copy the output from shared memory, 16 bytes per lane.  Elements that are infinite or NaN are
 * computed again. */
template <class T, int D>
SPK_DEVICE void write_rows(const Attend<T> &t, AttendShared<D> &shared) {
  const AttendPlace place = place_of_block(t);
  constexpr int CHUNKS = D / 8;
  const int64_t first = (int64_t)place.panel.index * SPK_PANEL_QUERIES;
  SPK_ONE_BY_ONE
  for (int i = lane(); i < AttendShape<D>::TILES * 16 * CHUNKS; i += 32) {
    const int query = first_query_of_tile<D>(0) + i / CHUNKS, chunk = i % CHUNKS;
    if (first + query >= t.rows) continue;
    const float total = shared.total[query], most = shared.most[query];
    if (t.lse && chunk == 0)
      t.lse[place.all * t.rows + first + query] =
          total == 0 ? -INFINITY
                     : fma(most, t.scale, log(total) - weight_exponent<T> * 0.69314718f);
    if (chunk * 8 >= t.dv) continue;
    auto v =
        *reinterpret_cast<const vec<T, 8> *>(shared.Q + tile_of_chunk<SPK_PANEL_QUERIES>(chunk) +
                                             chunk_of_tile(query, chunk % TILE_ROW_CHUNKS));
    SPK_UNROLLED
    for (int j = 0; j < 8; j++) {
      if (is_wild(v[j]) && total == total)
        v[j] = attend_strictly(t, query, chunk * 8 + j, most, total);
    }
    store(reinterpret_cast<vec<T, 8> *>(
              t.out + offset_of(t.o, place.batch, place.head, first + query) + chunk * 8),
          v);
  }
}

template <class T, int D>
SPK_KERNEL(AttendShape<D>::THREADS, AttendShape<D>::BLOCKS)
attend(SPK_PARAMETER(t, Attend<T>)) {
  using Shape = AttendShape<D>;
  constexpr int KEYS = Shape::KEYS, STEPS = Shape::STEPS;
  AttendShared<D> &shared = *reinterpret_cast<AttendShared<D> *>(block_memory());
  const AttendPlace place = place_of_block(t);
  const int steps = place.panel.count * STEPS;
  const spk_group *groups = t.groups + place.panel.begin;
  const int32_t *keys = t.keys + place.panel.begin * SPK_GROUP_KEYS;
  const int64_t kv_head = place.head / t.sharing;
  const T *K = t.K + offset_of(t.k, place.batch, kv_head, 0);
  const T *V = t.V + offset_of(t.v, place.batch, kv_head, 0);
  const int64_t first = (int64_t)place.panel.index * SPK_PANEL_QUERIES;
  const auto load_group = [&](int step) {
    const auto v = load(reinterpret_cast<const vec<uint32_t, 2> *>(groups + step / STEPS));
    return spk_group{(int32_t)v[0], v[1]};
  };

  fetch_rows<D, SPK_PANEL_QUERIES>(shared.Q, t.Q + offset_of(t.q, place.batch, place.head, first),
                                   t.q.row, t.d,
                                   [&](int row) { return first + row < t.rows ? row : -1; });
  spk_group next = {-1, 0};
  if (steps) {
    fetch_keys<KEYS>(shared.keys[0], keys);
    next = load_group(0);
  }
  copy_commit();
  copy_wait<0>();
  if (t.negative) negate_rows<D>(shared.Q);
  sync_block();
  if (steps)
    fetch_rows<D, KEYS>(shared.K, K, t.k.row, t.d, [&](int row) { return shared.keys[0][row]; });
  copy_commit();

  AttendSums<D> sums = {};
  SPK_UNROLLED
  for (int tile = 0; tile < Shape::TILES; tile++) {
    sums.most[tile][0] = sums.most[tile][1] = -INFINITY;
  }
  SPK_ONE_BY_ONE
  for (int step = 0; step < steps; step++) {
    const spk_group group = next;
    const bool needed = group.slices >> (warp() * Shape::TILES) & ((1u << Shape::TILES) - 1);
    if (step + 1 < steps) next = load_group(step + 1);
    copy_wait<0>();
    sync_block(); /* K is there, and V and bits may be overwritten */
    fetch_rows<D, KEYS>(shared.V, V, t.v.row, t.dv,
                        [&](int row) { return shared.keys[step & 1][row]; });
    if (group.bits >= 0) fetch_bits(shared.bits, t.bits + (int64_t)group.bits * SPK_PANEL_QUERIES);
    if (step + 1 < steps)
      fetch_keys<KEYS>(shared.keys[(step + 1) & 1], keys + (int64_t)(step + 1) * KEYS);
    copy_commit();
    AttendScores<D> s;
    if (needed) make_scores<T, D>(s, shared);
    copy_wait<0>();
    sync_block(); /* V, bits and keys are there, and K may be overwritten */
    if (step + 1 < steps)
      fetch_rows<D, KEYS>(shared.K, K, t.k.row, t.d,
                          [&](int row) { return shared.keys[(step + 1) & 1][row]; });
    copy_commit();
    if (needed) {
      if (group.bits >= 0) mask_scores<D>(s, shared.bits, step % STEPS);
      weigh_scores<T, D>(t, s, sums);
      add_values<T, D>(sums, s, shared);
    }
  }
  finish_sums<T, D>(sums, shared);
  sync_warp();
  write_rows<T, D>(t, shared);
}

} // namespace spk

#endif
