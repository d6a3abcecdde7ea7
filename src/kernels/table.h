/* What a kernel is given, and the table of kernels of one ISA.
 *
 * A kernel works on one thread and on one tile, whose operands are row-major: element (i, j) of the
 * panel of B is at B[i * ldb + j].  A kernel knows no layout, no thread and no block of K, because
 * the driver cuts, packs and stages.  kernels.def generates the table. */
#ifndef SPK_KERNELS_TABLE_H
#define SPK_KERNELS_TABLE_H

#include "../common/common.h"

/* Elements of the widest vector, float32 with AVX-512. */
#define SPK_MAX_LANES 16
/* The widest row tile, in vectors. */
#define SPK_MAX_VECTORS 8
/* The widest BSR tile, in vectors. */
#define SPK_MAX_BSR_VECTORS 4
/* The widest tile of partial sums, in vectors.  A wider tile would read the entries less often, but
 * that time is hidden behind the stores of four vectors already. */
#define SPK_MAX_PARTIAL_VECTORS 4
/* The widest tile of row panels, in vectors, and the most sums of row panels in registers. */
#define SPK_MAX_ROW_PANEL_VECTORS 4
#define SPK_MAX_ROW_PANEL_SUMS 16
/* The most rows in lockstep in spmm_paired_rows, and the least number of these rows that have the
 * same columns, and so share one offset. */
#define SPK_PAIRED_GROUP 16
#define SPK_PAIRED_SHARE 4

/* C[i, :n] = epilogue(sum over p in [begin[i], end[i]) of values[p] * B[indices[p] - base, :]). */
typedef struct spk_spmm_task {
  const void *indices, *values;
  const void *begin, *end; /* itype; one per row (CSC: per column of A; BSR: per block row) */
  const void *rows_coo;    /* COO only: the row of each entry */
  const void *B;
  void *C;
  ptrdiff_t ldb, ldc;
  ptrdiff_t base;                     /* the number of the row of B that B points at */
  ptrdiff_t rows;                     /* the number of begin and end */
  ptrdiff_t n;                        /* columns of the tile */
  ptrdiff_t block_rows, block_cols;   /* BSR only */
  ptrdiff_t col_strideb, col_stridec; /* strided kernels only */
  ptrdiff_t row_low, row_high;        /* scatter kernels: rows of C that this task adds to */
  /* Partial sums: indices must be below bound.  For COO, column indices must be below col_bound. */
  uint64_t bound, col_bound;
  /* partial sums: set to 1 if an index is not below its bound */
  int *outside;
  int by_blocks; /* partial sums of vectors: rows go by blocks */
  int several;   /* CSR x vector: long rows have several sums at once */
  /* partial sums of vectors: A comes from memory, not from a cache */
  int streams;
  spk_epilogue epilogue; /* biases begin at the tile */
} spk_spmm_task;

typedef void (*spk_spmm_fn)(const spk_spmm_task *task);

/* y[indices[p]] += x[c] * values[p] for all entries p of the columns ids[c], c < count. */
typedef struct spk_spmspv_task {
  const void *offsets, *indices, *values;
  const void *ids, *x; /* itype, dtype */
  ptrdiff_t count;
  ptrdiff_t lines; /* cache lines of the values of a column of usual length */
  void *y;
} spk_spmspv_task;

typedef void (*spk_spmspv_fn)(const spk_spmspv_task *task);
/* ids[n] = first + k and kept[n] = x[k * stride] for all k < count whose element is not 0, in order
 * of k.  Returns their number.  ids and kept have room for `count` elements. */
typedef ptrdiff_t (*spk_nonzeros_fn)(const void *x, ptrdiff_t stride, ptrdiff_t count,
                                     ptrdiff_t first, void *ids, void *kept);

/* A run of `rows` rows of `entries` entries each.  Rows go G by G in lockstep, and the last rows
 * alone (pack/row_panels.h).  If `shared` is S > 0, all rows belong to whole groups, and each S
 * rows of a group, where S divides G, have the same offsets.  In runs of spmm_paired_rows, the rest
 * of the groups of 16 rows goes by 8 and by 4; S is 4 or more, and there is one offset for 4
 * rows. */
typedef struct spk_row_panel_run {
  uint32_t entries, rows, shared;
} spk_row_panel_run;

/* One block of one row panel: sums[row_ids[r], :] (+)= values of a row x rows offsets of the panel.
 * If C is not NULL, the finished sums go to C with the epilogue. */
typedef struct spk_row_panel_task {
  const spk_row_panel_run *runs;
  ptrdiff_t run_count;
  /* one per row of a run; one per entry, where those of G rows alternate */
  const uint16_t *row_ids, *offsets;
  const void *values;
  /* Rows of whole vectors, aligned, with zeros after n columns.  For paired rows: of any
   * alignment. */
  const void *panel;
  const void *zeros; /* paired rows only: stands for row `padding` of the panel */
  ptrdiff_t padding;
  /* Rows like those of the panel.  NULL: there is nothing to add to, and all sums go to C. */
  void *sums;
  int first; /* sums hold nothing yet */
  void *C;   /* NULL: sums stay in `sums` */
  ptrdiff_t ldc, n;
  spk_epilogue epilogue;
} spk_row_panel_task;

typedef void (*spk_row_panel_fn)(const spk_row_panel_task *task);

/* int8: a run of `items` items of `groups` groups of columns each.  An item is one row, or
 * SPK_INT8_GATHER4_ROWS neighbouring rows (pack/int8_gather4.h). */
#define SPK_INT8_GATHER4_ROWS 4
typedef struct spk_int8_gather4_run {
  uint32_t groups, items, rows;
} spk_int8_gather4_run;

/* sums[row_ids[i] + r, :] += values of row r of item i x rows offsets of the panel. */
typedef struct spk_int8_gather4_task {
  const spk_int8_gather4_run *runs;
  ptrdiff_t run_count;
  const uint16_t *row_ids, *offsets; /* one per item; four per group */
  const int8_t *values;              /* four per group and row; rows alternate */
  const uint8_t *panel;              /* written by int8_gather4_panel: rows of four vectors */
  int32_t *sums;                     /* rows of four vectors */
} spk_int8_gather4_task;

typedef void (*spk_int8_gather4_fn)(const spk_int8_gather4_task *task);
/* panel[i, :] = src[i * row_stride + j * col_stride] ^ flip, with bytes in the order that
 * v_u8_interleave4 needs. */
typedef void (*spk_int8_gather4_panel_fn)(uint8_t *panel, const uint8_t *src, ptrdiff_t row_stride,
                                          ptrdiff_t col_stride, ptrdiff_t rows, ptrdiff_t cols,
                                          uint8_t flip);
/* to[i / 4, 4 j + i % 4] = src[i * row_stride + j * col_stride] ^ flip, with zeros behind the last
 * row. */
typedef spk_int8_gather4_panel_fn spk_int8_block4_fn;
/* The same with two rows of B as one, of 16-bit values: to[i / 2, 2 j + i % 2]. */
typedef void (*spk_int8_block2_fn)(int16_t *to, const uint8_t *src, ptrdiff_t row_stride,
                                   ptrdiff_t col_stride, ptrdiff_t rows, ptrdiff_t cols,
                                   uint8_t flip);
/* C = what `how` makes of sums - shift * row_sums.  Both are rows x cols, and cols is at most four
 * vectors.  sums may be C itself, with its strides; otherwise sums may be overwritten.  Zero points
 * of columns are added to `shift`. */
typedef struct spk_int8_store_task {
  int32_t *sums;
  ptrdiff_t sum_row_stride, sum_col_stride;
  const int32_t *row_sums;
  int32_t shift;
  ptrdiff_t rows, cols;
  void *C;
  ptrdiff_t row_stride, col_stride;
  /* arrays per row or column begin with the first row or column of the task */
  const spk_requantise *how;
} spk_int8_store_task;
typedef void (*spk_int8_store_fn)(const spk_int8_store_task *task);

/* to[j] = from[j] / scale, rounded to the nearest integer (ties to even), plus zero_point, clamped
 * to [low, low + 255]; NaN becomes low. */
typedef void (*spk_quantise_fn)(uint8_t *to, const float *from, ptrdiff_t count, float scale,
                                int32_t low, int32_t zero_point);

/* A segment is a slice of rows in a window of x.  A run is `segments` segments of one row panel
 * with `steps` steps each (pack/sell.h).  If `shared` is not 0, the run has one segment, for all of
 * x.  `shared` is then the number of groups of lanes such that the lanes of each group have the
 * same columns; `permutes` holds the places of these columns in `plain`, one per group and step.
 * Or it is SPK_SELL_BLOCKS: groups have 4 lanes, and columns come in groups of four neighbours,
 * with one place for 4 steps. */
#define SPK_SELL_BLOCKS 256
typedef struct spk_sell_segment {
  uint16_t window, slice;
} spk_sell_segment;
typedef struct spk_sell_run {
  uint32_t steps, segments, shared;
} spk_sell_run;

/* What a window of x is: two vectors; one, of segments without padding; one, and behind it zeros
 * that padding selects. */
typedef enum spk_sell_windows { SPK_SELL_TWO, SPK_SELL_ONE, SPK_SELL_ONE_PADDED } spk_sell_windows;

/* The most rows of a row panel of SELL slices. */
#define SPK_SELL_ROW_PANEL_ROWS 256

/* C[row_ids[i]] = epilogue of a dot product, for all rows of a row panel; C[first + i] if row_ids
 * is NULL. */
typedef struct spk_sell_task {
  ptrdiff_t rows, first;
  const uint32_t *row_ids;
  const spk_sell_run *runs;
  ptrdiff_t run_count;
  const spk_sell_segment *segments;
  const void *permutes, *values; /* whole vectors, for this row panel */
  spk_storage storage;           /* of values; all but SAME for float32 alone */
  const float *scales;           /* one per row of the matrix; NULL: 1 */
  spk_sell_windows windows;
  const void *x;     /* x in windows */
  const void *plain; /* x and 4 zeros behind it, for runs with `shared` */
  /* Scratch of SPK_SELL_ROW_PANEL_ROWS sums.  All vectors of the task are aligned. */
  void *sums;
  void *C;
  ptrdiff_t ldc;
  spk_epilogue epilogue;
} spk_sell_task;

typedef void (*spk_sell_fn)(const spk_sell_task *task);

/* Copy src[i * stride], i < count, to windows.  A window has as many elements as two vectors less
 * one, and a zero at its end. */
typedef void (*spk_sell_windows_fn)(void *windows, const void *src, ptrdiff_t stride,
                                    ptrdiff_t count);

/* The most columns of B that a kernel multiplies while it has expanded a piece. */
#define SPK_BITMAP_COLUMNS 4

/* sums[i * n + j] = row i of A times column j of B, for a range of rows. */
typedef struct spk_bitmap_task {
  spk_storage storage;
  ptrdiff_t rows, pieces;
  const uint64_t *bits;    /* rows x pieces */
  const ptrdiff_t *begin;  /* rows + 1: where the values of each row begin in `values` */
  const void *values;      /* those of the whole matrix, with SPK_EXPAND_BYTES behind them */
  const float *scales;     /* rows x groups; NULL: values have 16 bits */
  ptrdiff_t group, groups; /* `group` is 32, or a multiple of 64, or groups is 1 */
  const float *x;          /* n columns of B as bitmap_x writes them, spk_bitmap_x_floats each */
  ptrdiff_t n;             /* at most SPK_BITMAP_COLUMNS */
  int finite;              /* whether all of x is */
  int floats;              /* whether x was copied with `floats` */
  int8_t *unpacked; /* scratch for the longest row and SPK_EXPAND_BYTES, for values of 4 bits */
  float *sums;
} spk_bitmap_task;

typedef void (*spk_bitmap_fn)(const spk_bitmap_task *task);
/* Copy src[i * stride], i < count, to whole pieces, in the order of columns that spmm_bitmap takes
 * for this storage, with zeros behind the last.  Returns whether the kernel can take them so.  If
 * not, of any column of a task, all of its columns are copied with `floats`, as float32; then the
 * result is whether all elements are finite.  group: columns of a scale. */
typedef int (*spk_bitmap_x_fn)(float *to, const float *src, ptrdiff_t stride, ptrdiff_t count,
                               spk_storage storage, ptrdiff_t group, int floats);
/* The room of such a copy: twice the pieces, and a cache line. */
static inline ptrdiff_t spk_bitmap_x_floats(ptrdiff_t pieces) {
  return 2 * pieces * SPK_PIECE + SPK_ALIGN / (ptrdiff_t)sizeof(float);
}

/* out[p] = sampled dot products of the rows of X with rows indices[p] - base of Yt, the transpose
 * of Y. */
typedef struct spk_sddmm_task {
  const void *indices;
  const void *begin, *end;
  const void *values; /* those of P; may be the output; NULL if they are not read */
  void *out;
  const void *X, *Yt;
  ptrdiff_t ldx, ldy;
  ptrdiff_t base;
  ptrdiff_t rows;
  ptrdiff_t k;
  ptrdiff_t col_stridex, col_stridey; /* strided kernels only */
  spk_sampling sampling;
} spk_sddmm_task;

typedef void (*spk_sddmm_fn)(const spk_sddmm_task *task);

/* Rows of a tile of a sampled product or of attention.  A bit of a uint16_t says for each row
 * whether it has a column. */
#define SPK_TILE_ROWS 16

/* panel[t * SPK_TILE_ROWS + i] = scale * rows[i * ld + t] for t < d, i < count; 0 for other i. */
typedef void (*spk_tile_pack_fn)(void *panel, const void *rows, ptrdiff_t ld, ptrdiff_t count,
                                 ptrdiff_t d, double scale);

/* rows[i * ld + j] = K[keys[j]] . row i of the panel, for j < count. */
typedef struct spk_tile_task {
  const void *q; /* a panel of tile_pack */
  const void *K;
  ptrdiff_t ldk, d;
  const int32_t *keys; /* SPK_TILE_ROWS more keys, of any valid value, follow the last */
  ptrdiff_t count;
  void *scores; /* scratch: (count + SPK_TILE_ROWS) x SPK_TILE_ROWS */
  void *rows;   /* SPK_TILE_ROWS x ld; ld is at least count, and whole vectors */
  ptrdiff_t ld;
} spk_tile_task;

typedef void (*spk_sddmm_tile_fn)(const spk_tile_task *task);
/* Entries of one row in consecutive columns, which have consecutive keys. */
typedef struct spk_tile_run {
  ptrdiff_t entry; /* the first entry of the run */
  int32_t row, column, count;
} spk_tile_run;

/* out[entry + i] = what `sampling` makes of rows[row * ld + where[column] - from + i] and of
 * values, for those entries of the runs whose keys lie in [from, from + count).  values are read
 * only if sampling needs them. */
typedef struct spk_place_task {
  const spk_tile_run *runs;
  ptrdiff_t run_count;
  const int32_t *where;
  ptrdiff_t from, count;
  const void *rows;
  ptrdiff_t ld;
  void *out;
  const void *values;
  spk_sampling sampling;
} spk_place_task;

typedef void (*spk_place_fn)(const spk_place_task *task);

/* Entries of the rows of a tile from next[i] on and before end[i], whose columns ascend:
 * out[p] = what `sampling` makes of scores[i * ld + indices[p] - from] and of values, as long as
 * columns lie in [from, from + count).  next[i] becomes the first entry that is left.  values are
 * read only if sampling needs them. */
typedef struct spk_take_task {
  const void *indices;
  ptrdiff_t *next;
  const ptrdiff_t *end;
  ptrdiff_t rows, from, count;
  const void *scores;
  ptrdiff_t ld;
  void *out;
  const void *values;
  spk_sampling sampling;
} spk_take_task;

typedef void (*spk_take_fn)(const spk_take_task *task);

/* Attention of a tile of queries, or of one query, to some keys, in addition to earlier calls.
 * maxima, sums and O begin as -infinity, 0 and 0. */
typedef struct spk_attend_task {
  const void *q; /* a panel of tile_pack that includes the scale; or one row without it */
  const void *K, *V;
  ptrdiff_t ldk, ldv, d, dv;
  ptrdiff_t rows; /* rows of the tile */
  double scale;   /* attend_row only */
  /* attend_tile: SPK_TILE_ROWS more keys, of any valid value, follow the last */
  const int32_t *keys;
  const uint16_t *bits; /* attend_tile: the rows that attend to each key */
  ptrdiff_t count;
  const void *bias; /* that of the first row, or NULL; its element (i, key) is added */
  ptrdiff_t bias_row_stride, bias_col_stride;
  /* Scratch.  attend_tile: the rows of a tile for each key and each spare key.  attend_row: a
   * vector more than keys. */
  void *scores;
  void *maxima, *sums; /* one per row */
  void *O; /* attend_tile: rows of a tile, of dv as whole vectors; attend_row: a vector more than dv
            */
} spk_attend_task;

typedef void (*spk_attend_fn)(const spk_attend_task *task);
/* out[i * ld + t] = O / sums, and lse[i] = maxima + log(sums) unless lse is NULL.  Rows without a
 * key become 0 and -infinity.  Returns whether all of O was finite. */
typedef int (*spk_attend_finish_fn)(const spk_attend_task *task, void *out, ptrdiff_t ld,
                                    void *lse);
/* out = softmax(scale * values).  out may be values. */
typedef void (*spk_softmax_fn)(void *out, const void *values, ptrdiff_t count, double scale);
/* out = values at the k <= count largest elements, and 0 elsewhere.  winners[0 .. k) = the places
 * of these elements, in ascending order.  Either may be NULL; out may be values. */
typedef void (*spk_kwinners_fn)(void *out, int32_t *winners, const void *values, ptrdiff_t count,
                                ptrdiff_t k);
typedef void (*spk_attend_row_finish_fn)(const spk_attend_task *task, void *out, void *lse);

/* dst[i * ld + j] = src[i * row_stride + j * col_stride] for rows x cols elements.  For pack_panel,
 * ld is whole vectors, dst is aligned to a vector, and the rest of each row is filled with
 * zeros. */
typedef void (*spk_pack_fn)(void *dst, ptrdiff_t ld, const void *src, ptrdiff_t row_stride,
                            ptrdiff_t col_stride, ptrdiff_t rows, ptrdiff_t cols);
/* dst[i * row_stride + j * col_stride] = src[i * ld + j] for rows x cols elements. */
typedef void (*spk_unpack_fn)(const void *src, ptrdiff_t ld, void *dst, ptrdiff_t row_stride,
                              ptrdiff_t col_stride, ptrdiff_t rows, ptrdiff_t cols);

/* sums[i] += sums[part * stride + i] for i < count and part = 1 .. parts - 1, in this order.  The
 * memory holds whole vectors. */
typedef void (*spk_partial_add_fn)(void *sums, ptrdiff_t stride, ptrdiff_t parts, ptrdiff_t count);

/* tile_scale: C[:rows, :n] = alpha * 0 + beta * C.  tile_finish: the epilogue, without beta, of the
 * sums that C holds. */
typedef void (*spk_tile_fn)(void *C, ptrdiff_t row_stride, ptrdiff_t col_stride, ptrdiff_t rows,
                            ptrdiff_t n, const spk_epilogue *epilogue);

/* C[:rows, :n] = the whole epilogue of sums[i * ld + j].  sums must not overlap C, unless
 * col_stride is 1 and they lie at the same places. */
typedef void (*spk_store_fn)(const void *sums, ptrdiff_t ld, void *C, ptrdiff_t row_stride,
                             ptrdiff_t col_stride, ptrdiff_t rows, ptrdiff_t n,
                             const spk_epilogue *epilogue);

/* to[i] = from[i], converted from 16 bits. */
typedef void (*spk_expand_fn)(float *to, const uint16_t *from, ptrdiff_t count);

/* Do fixed work on `count` values, `rounds` times.  Returns a sum, so that no compiler leaves the
 * work out. */
typedef double (*spk_roofline_fn)(const void *buffer, ptrdiff_t count, ptrdiff_t rounds);

/* Whether indices[0 .. count) lie in [0, bound).  *descents becomes the number of indices below
 * their left neighbour, unless descents is NULL. */
typedef int (*spk_validate_fn)(const void *indices, ptrdiff_t count, ptrdiff_t bound,
                               ptrdiff_t *descents);
/* SPK_OK if offsets of the columns ids[0 .. count), which exist, lie in [0, nnz] and do not
 * decrease, and if indices of these columns lie in [0, rows). */
typedef spk_status (*spk_validate_columns_fn)(const void *offsets, const void *indices,
                                              const void *ids, ptrdiff_t count, ptrdiff_t rows,
                                              ptrdiff_t nnz);
/* Find where rows [0, rows) cross the multiples of `width`: cuts[b * ld + i] is the first entry of
 * row i with an index of b * width or more, for b = 0 .. blocks.  Indices must be sorted in each
 * row. */
typedef void (*spk_cut_fn)(const void *indices, const void *offsets, ptrdiff_t rows,
                           ptrdiff_t width, ptrdiff_t blocks, void *cuts, ptrdiff_t ld);
/* The number of indices[0 .. count), count > 0, from the first on, that are consecutive. */
typedef ptrdiff_t (*spk_run_length_fn)(const void *indices, ptrdiff_t count);
/* Whether offsets start at 0, do not decrease, and end at or below nnz. */
typedef int (*spk_offsets_fn)(const void *offsets, ptrdiff_t count, ptrdiff_t nnz);

typedef struct spk_kernels {
  const char *isa;
  int lanes[2]; /* per dtype */
  int registers;
  int permute_bits; /* SPK_PERMUTE_BITS; 0: the ISA has no permutes */
  /* the table for half the lanes, if vectors of that ISA are as fast */
  const struct spk_kernels *narrow;
  int halved; /* whether this table is the `narrow` of another */
  /* Row panels and SELL slices of SPK_F32 whose numbers are four bytes each: `number_values` values
   * of A times as many of B are added to an int32_t, four of 8 bits or two of 16.  NULL if that
   * takes more than two instructions. */
  const struct spk_kernels *bytes;
  int number_values; /* 0: the table is not `bytes` of another */
#define SPK_KERNEL_TI(field, fn) fn field[2][2];
#define SPK_KERNEL_TIV(field, fn, most) fn field[2][2][most];
#define SPK_KERNEL_TV(field, fn, most) fn field[2][most];
#define SPK_KERNEL_T(field, fn) fn field[2];
#define SPK_KERNEL_T_PERMUTE SPK_KERNEL_T
#define SPK_KERNEL_T_PAIRED SPK_KERNEL_T
#define SPK_KERNEL_I(field, fn) fn field[2];
#define SPK_KERNEL(field, fn) fn field;
#include "kernels.def"
#undef SPK_KERNEL_TI
#undef SPK_KERNEL_TIV
#undef SPK_KERNEL_TV
#undef SPK_KERNEL_T
#undef SPK_KERNEL_T_PERMUTE
#undef SPK_KERNEL_T_PAIRED
#undef SPK_KERNEL_I
#undef SPK_KERNEL
} spk_kernels;

/* One table per ISA; target.c defines it. */
extern const spk_kernels spk_kernels__scalar;
extern const spk_kernels spk_kernels__avx2;
extern const spk_kernels spk_kernels__avx512;
extern const spk_kernels spk_kernels__neon;
/* Kernels that CPUs with AVX512_VNNI add to avx512, and CPUs with AVX_VNNI to avx2; those for
 * `bytes` are tables of their own.  CPUs with AVX2 alone have one for `bytes`. */
extern const spk_kernels spk_kernels__avx512_vnni, spk_kernels__avx512_vnni_bytes;
extern const spk_kernels spk_kernels__avx2_vnni, spk_kernels__avx2_vnni_bytes;
extern const spk_kernels spk_kernels__avx2_pairs_bytes;
/* The same for CPUs with AVX512_VBMI2. */
extern const spk_kernels spk_kernels__avx512_vbmi2;

#endif
