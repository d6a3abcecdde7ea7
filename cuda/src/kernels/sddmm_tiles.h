/* Sampled products by dense tiles of 64 x 64, for structures that are dense in places.
 *
 * A block of threads takes a run of tiles of the same 64 rows.  Operands go through rings in shared
 * memory, by slices of 128 bytes of depth.  cp.async copies the next slices while earlier slices
 * are multiplied, across tiles, too, so that copies hide the stores of a tile.  If X has few
 * slices, they stay from tile to tile, which saves half of the reads from L2.  Rows, columns and
 * depth beyond the edges are zeros in shared memory, and are never read.
 *
 * The products are a class: see tile_tensor.h and tile_fma.h. */
#ifndef SPK_KERNELS_SDDMM_TILES_H
#define SPK_KERNELS_SDDMM_TILES_H

#include "sampled_tile.h"
#include "tensor.h"

namespace spk {

constexpr int TILE_BYTES = SPK_TILE * TILE_ROW_BYTES;

template <class T>
struct SddmmTiles {
  const spk_tile_run *runs;
  const int32_t *columns;
  const spk_tile_row *rows;
  Slots slots;
  const T *X, *Y; /* Y is column-major: row j of what is read is column j */
  int64_t ldx, ldy, m, n, k;
  int64_t slices; /* slices of the depth; at least 1 */
  int x_slots;    /* slices of X that shared memory holds: all of them, or a ring */
  int x_stays;
  Sampling<T> sampling;
  int scaled; /* the sampling is alpha alone, and there are no slots */
};

/* Copy a slice of `high` rows and `deep` elements, by chunks of 16 bytes.  WHOLE: no chunk is cut.
 * The address of a chunk that is not read must be valid, too. */
template <class T, int THREADS, bool ALIGNED, bool WHOLE>
SPK_DEVICE void fetch_chunks(char *tile, const T *M, int64_t ld, int high, int deep) {
  constexpr int CHUNK = 16 / (int)sizeof(T);
  /* A thread copies the same chunk of every STEP-th row, which lies at the same place of each of
   * these rows. */
  constexpr int STEP = THREADS / TILE_ROW_CHUNKS;
  static_assert(STEP % TILE_ROW_CHUNKS == 0, "chunks of a tile go round by eight rows");
  const int first = thread() / TILE_ROW_CHUNKS, chunk = thread() % TILE_ROW_CHUNKS;
  const int left = deep - chunk * CHUNK, count = left < 0 ? 0 : left < CHUNK ? left : CHUNK;
  char *to = tile + chunk_of_tile(first, chunk);
  const T *from = M + first * ld + chunk * CHUNK;
  SPK_UNROLLED
  for (int i = 0; i < SPK_TILE / STEP; i++, to += STEP * TILE_ROW_BYTES, from += STEP * ld) {
    const int there = first + i * STEP < high ? count : 0;
    if constexpr (WHOLE) {
      /* A copy of all or nothing is one predicate.  A size would take four more instructions. */
      copy_async<16>(to, there ? from : M, there ? 16 : 0);
    } else if constexpr (ALIGNED) {
      copy_async<16>(to, there ? from : M, there * (int)sizeof(T));
    } else {
      /* There are no asynchronous copies of 2 bytes. */
      vec<T, CHUNK> v;
      SPK_UNROLLED
      for (int j = 0; j < CHUNK; j++) v[j] = j < there ? load(from + j) : T{};
      *reinterpret_cast<vec<T, CHUNK> *>(to) = v;
    }
  }
}

/* Copy 64 rows of a matrix to a tile of shared memory: from row `row` of `rows` on, the slice of
 * depth from `at` on, of `k`. */
template <class T, int THREADS, bool ALIGNED>
SPK_DEVICE void fetch_slice(char *tile, const T *M, int64_t ld, int64_t row, int64_t rows,
                            int64_t at, int64_t k) {
  constexpr int ROW = TILE_ROW_BYTES / (int)sizeof(T), CHUNK = 16 / (int)sizeof(T);
  const int high = rows - row < SPK_TILE ? (int)(rows - row) : SPK_TILE;
  const int deep = k - at < ROW ? (int)(k - at) : ROW;
  if constexpr (ALIGNED || sizeof(T) == 2) {
    if (ALIGNED && deep % CHUNK == 0)
      fetch_chunks<T, THREADS, true, true>(tile, M + row * ld + at, ld, high, deep);
    else
      fetch_chunks<T, THREADS, ALIGNED, false>(tile, M + row * ld + at, ld, high, deep);
  } else {
    SPK_ONE_BY_ONE
    for (int i = thread(); i < SPK_TILE * ROW; i += THREADS) {
      const int r = i / ROW, j = i % ROW;
      const bool there = r < high && j < deep;
      char *to = tile + chunk_of_tile(r, j / CHUNK) + j % CHUNK * (int)sizeof(T);
      copy_async<sizeof(T)>(to, M + (there ? (row + r) * ld + at + j : 0),
                            there ? (int)sizeof(T) : 0);
    }
  }
}

/* The slices of a run, in the order in which they are multiplied. */
template <class Product, bool ALIGNED>
class SlicesAhead {
 public:
  using T = typename Product::Element;

  SPK_DEVICE SlicesAhead(const SddmmTiles<T> &t, const spk_tile_run &run)
      : t_(t), run_(run), column_(load(t.columns + run.first)), next_column_(column_) {
    read_next_column();
  }

  /* Begin to copy the next slice if there is one, and end a group of copies in any case. */
  SPK_DEVICE void fetch(char *xs, char *ys) {
    if (tile_ < run_.count) {
      constexpr int SLICE = TILE_ROW_BYTES / (int)sizeof(T);
      const int64_t at = slice_ * SLICE;
      fetch_slice<T, Product::THREADS, ALIGNED>(ys + slot_ * TILE_BYTES, t_.Y, t_.ldy,
                                                (int64_t)column_ * SPK_TILE, t_.n, at, t_.k);
      if (!t_.x_stays || tile_ == 0) {
        const int x_slot = t_.x_stays ? (int)slice_ : slot_;
        fetch_slice<T, Product::THREADS, ALIGNED>(xs + x_slot * TILE_BYTES, t_.X, t_.ldx,
                                                  (int64_t)run_.panel * SPK_TILE, t_.m, at, t_.k);
      }
      slot_ = slot_ + 1 < Product::STAGES ? slot_ + 1 : 0;
      if (++slice_ == t_.slices) {
        slice_ = 0;
        tile_++;
        column_ = next_column_;
        read_next_column();
      }
    }
    copy_commit();
  }

 private:
  /* The column is read one tile before it is needed. */
  SPK_DEVICE void read_next_column() {
    if (tile_ + 1 < run_.count) next_column_ = load(t_.columns + run_.first + tile_ + 1);
  }

  const SddmmTiles<T> &t_;
  const spk_tile_run &run_;
  int tile_ = 0, slot_ = 0;
  int64_t slice_ = 0;
  int32_t column_, next_column_;
};

template <class Product, int INDEX = 0>
SPK_DEVICE void write_pieces(const Product &product, const SddmmTiles<typename Product::Element> &t,
                             const RowsOfTile &rows, Piece<typename Product::Element> *piece) {
  if constexpr (INDEX < Product::PIECES) {
    product.template put<INDEX>(piece->sums);
    put_rows(piece, t.sampling.values, rows, Product::piece_row(INDEX) % 32,
             Product::piece_column(INDEX) != 0);
    sync_warp();
    if (t.scaled)
      write_piece<true>(t.sampling, t.slots, piece);
    else
      write_piece<false>(t.sampling, t.slots, piece);
    sync_warp();
    write_pieces<Product, INDEX + 1>(product, t, rows, piece);
  }
}

template <class Product, bool ALIGNED>
SPK_KERNEL(Product::THREADS, Product::BLOCKS)
sddmm_tiles(SPK_PARAMETER(t, SddmmTiles<typename Product::Element>)) {
  using T = typename Product::Element;
  const spk_tile_run run = t.runs[block()];
  char *xs = block_memory(), *ys = xs + t.x_slots * TILE_BYTES;
  auto *piece = reinterpret_cast<Piece<T> *>(ys + Product::STAGES * TILE_BYTES) + warp();
  SlicesAhead<Product, ALIGNED> ahead(t, run);
  SPK_ONE_BY_ONE
  for (int i = 0; i < Product::STAGES - 1; i++) ahead.fetch(xs, ys);
  int slot = 0;
  SPK_ONE_BY_ONE
  for (int tile = 0; tile < run.count; tile++) {
    const RowsOfTile rows =
        rows_of_tile(t.rows + (run.first + tile) * SPK_TILE + Product::piece_row(0) / 32 * 32);
    Product product;
    SPK_ONE_BY_ONE
    for (int64_t slice = 0; slice < t.slices; slice++) {
      copy_wait<Product::STAGES - 2>();
      sync_block(); /* this slice is there, and no thread reads the one before */
      ahead.fetch(xs, ys);
      const char *x = xs + (t.x_stays ? (int)slice : slot) * TILE_BYTES;
      const char *y = ys + slot * TILE_BYTES;
      const int64_t left = (t.k - slice * (TILE_ROW_BYTES / (int)sizeof(T))) * (int)sizeof(T);
      if (left >= TILE_ROW_BYTES)
        product.template accumulate<true>(x, y, TILE_ROW_BYTES);
      else
        product.template accumulate<false>(x, y, (int)left);
      slot = slot + 1 < Product::STAGES ? slot + 1 : 0;
    }
    write_pieces(product, t, rows, piece);
  }
}

} // namespace spk

#endif
