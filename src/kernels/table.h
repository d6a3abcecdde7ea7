/* What a kernel is given, and the table of kernels of one ISA.
 *
 * A kernel works on one thread and on one tile, whose operands are row-major: element (i, j) of the
 * panel of B is at B[i * ldb + j].  It knows no layout, no thread and no block of K: the driver
 * cuts, packs and stages.  The table is generated from kernels.def.
 */
#ifndef SPK_KERNELS_TABLE_H
#define SPK_KERNELS_TABLE_H

#include "../common/common.h"

/* Elements of the widest vector. */
#define SPK_MAX_LANES 16
/* Widest row tile, in vectors. */
#define SPK_MAX_VECTORS 8
/* Widest BSR tile, in vectors. */
#define SPK_MAX_BSR_VECTORS 4
/* Widest tile of partial sums, in vectors: with stores of four, what a wider one would save of
 * reading the entries is hidden. */
#define SPK_MAX_PARTIAL_VECTORS 4
/* Widest tile of row panels, in vectors, and the most sums of row panels in registers. */
#define SPK_MAX_ROW_PANEL_VECTORS 4
#define SPK_MAX_ROW_PANEL_SUMS 16
/* Rows that go in lockstep through spmm_paired_rows, at most; those of them that share columns at
 * least, which have one offset. */
#define SPK_PAIRED_GROUP 16
#define SPK_PAIRED_SHARE 4

/* C[i, :n] = epilogue(sum over p in [begin[i], end[i]) of values[p] * B[indices[p] - base, :]). */
typedef struct spk_spmm_task {
  const void *indices, *values;
  const void *begin, *end; /* itype, one per row (CSC: per column of A; BSR: per block row) */
  const void *rows_coo;    /* COO only: the row of each entry */
  const void *B;
  void *C;
  ptrdiff_t ldb, ldc;
  ptrdiff_t base;                     /* the row of B that B points at */
  ptrdiff_t rows;                     /* how many begin/end */
  ptrdiff_t n;                        /* columns of this tile */
  ptrdiff_t block_rows, block_cols;   /* BSR only */
  ptrdiff_t col_strideb, col_stridec; /* strided kernels only */
  ptrdiff_t row_low, row_high;        /* scatter kernels: rows of C that this task adds to */
  uint64_t bound, col_bound;          /* partial sums: indices are below; col_bound: those of COO */
  int *outside;                       /* partial sums: set where one is not */
  int by_blocks;                      /* partial sums of vectors: rows go by blocks */
  int several;                        /* CSR x vector: long rows have several sums */
  int streams;                        /* partial sums of vectors: A comes from memory */
  spk_epilogue epilogue;              /* biases already moved to the tile */
} spk_spmm_task;

typedef void (*spk_spmm_fn)(const spk_spmm_task *task);

/* y[indices[p]] += x[c] * values[p] for all entries p of column ids[c], c < count. */
typedef struct spk_spmspv_task {
  const void *offsets, *indices, *values;
  const void *ids, *x; /* itype, dtype */
  ptrdiff_t count;
  ptrdiff_t lines; /* cache lines of a usual column's values */
  void *y;
} spk_spmspv_task;

typedef void (*spk_spmspv_fn)(const spk_spmspv_task *task);
/* ids[n] = first + k and kept[n] = x[k * stride], for those k < count where that is not 0, in
 * order; returns how many.  Both have room for count. */
typedef ptrdiff_t (*spk_nonzeros_fn)(const void *x, ptrdiff_t stride, ptrdiff_t count,
                                     ptrdiff_t first, void *ids, void *kept);

/* So many rows of so many entries each, G by G in lockstep, the last ones alone
 * (pack/row_panels.h). `shared` S, where not 0: they are whole groups, and each S rows of one,
 * where S divides G, have the same offsets.  In runs of spmm_paired_rows, rows that are left of
 * groups of 16 go by 8 and by 4, S is 4 or more, and there is one offset for 4 rows. */
typedef struct spk_row_panel_run {
  uint32_t entries, rows, shared;
} spk_row_panel_run;

/* One block of one row panel: sums[row_ids[r], :] (+)= values of a row x rows offsets of the panel;
 * and where there is a C, what comes out goes there, with its epilogue. */
typedef struct spk_row_panel_task {
  const spk_row_panel_run *runs;
  ptrdiff_t run_count;
  const uint16_t *row_ids, *offsets; /* one per row of a run; one per entry, G rows alternate */
  const void *values;
  const void
      *panel; /* whole vectors, aligned; zeros after n columns; paired rows: of any alignment */
  const void *zeros; /* paired rows only: the row of the panel with the number `padding` */
  ptrdiff_t padding;
  void *sums; /* the same; NULL: nothing to add to, and C takes what comes out */
  int first;  /* nothing is in sums yet */
  void *C;    /* or NULL */
  ptrdiff_t ldc, n;
  spk_epilogue epilogue;
} spk_row_panel_task;

typedef void (*spk_row_panel_fn)(const spk_row_panel_task *task);

/* int8: so many items of so many groups of columns each; an item is one row, or
 * SPK_INT8_GATHER4_ROWS rows that are neighbours (pack/int8_gather4.h). */
#define SPK_INT8_GATHER4_ROWS 4
typedef struct spk_int8_gather4_run {
  uint32_t groups, items, rows;
} spk_int8_gather4_run;

/* sums[row_ids[i] + r, :] += values of row r of item i x rows offsets of the panel. */
typedef struct spk_int8_gather4_task {
  const spk_int8_gather4_run *runs;
  ptrdiff_t run_count;
  const uint16_t *row_ids, *offsets; /* one per item; four per group */
  const int8_t *values;              /* four per group and row, rows alternate */
  const uint8_t *panel;              /* of int8_gather4_panel: rows of four vectors */
  int32_t *sums;                     /* rows as wide */
} spk_int8_gather4_task;

typedef void (*spk_int8_gather4_fn)(const spk_int8_gather4_task *task);
/* panel[i, :] = src[i * row_stride + j * col_stride], each byte ^ flip, as v_u8_interleave4 wants
 * it. */
typedef void (*spk_int8_gather4_panel_fn)(uint8_t *panel, const uint8_t *src, ptrdiff_t row_stride,
                                          ptrdiff_t col_stride, ptrdiff_t rows, ptrdiff_t cols,
                                          uint8_t flip);
/* The same with to[i / 4, 4 j + i % 4] = src[i * row_stride + j * col_stride] ^ flip; zeros follow
 * the last row. */
typedef spk_int8_gather4_panel_fn spk_int8_block4_fn;
/* C = what `how` makes of sums - shift * row_sums, rows x cols, cols not above four vectors; sums
 * may be C itself, with its strides, or are overwritten.  The zero points of columns, where there
 * are any, are added to `shift`. */
typedef struct spk_int8_store_task {
  int32_t *sums;
  ptrdiff_t sum_row_stride, sum_col_stride;
  const int32_t *row_sums;
  int32_t shift;
  ptrdiff_t rows, cols;
  void *C;
  ptrdiff_t row_stride, col_stride;
  const spk_requantise *how; /* what is per row or column begins with the first one here */
} spk_int8_store_task;
typedef void (*spk_int8_store_fn)(const spk_int8_store_task *task);

/* A segment is a slice of rows in a window of x, both of one row panel; a run is `segments` of them
 * that take `steps` steps each (pack/sell.h).
 * `shared` G, where not 0: one segment, of all of x.  Its slice is G groups of lanes with the same
 * columns in a group; its permutes are the places in `plain` of those, G per step.  Or
 * SPK_SELL_BLOCKS: groups of 4 lanes, whose columns come by four in a row; a place for 4 steps. */
#define SPK_SELL_BLOCKS 256
typedef struct spk_sell_segment {
  uint16_t window, slice;
} spk_sell_segment;
typedef struct spk_sell_run {
  uint32_t steps, segments, shared;
} spk_sell_run;

/* Rows of a row panel of slices, at most. */
#define SPK_SELL_ROW_PANEL_ROWS 256

/* C[row_ids[i]] = epilogue of a dot product, for all rows of a row panel; C[first + i] where
 * row_ids is NULL. */
typedef struct spk_sell_task {
  ptrdiff_t rows, first;
  const uint32_t *row_ids;
  const spk_sell_run *runs;
  ptrdiff_t run_count;
  const spk_sell_segment *segments;
  const void *permutes, *values; /* whole vectors, of this row panel */
  const void *x;                 /* windows of two vectors */
  const void *plain;             /* x as it is, and 4 zeros; for shared runs */
  void *sums;                    /* scratch of SPK_SELL_ROW_PANEL_ROWS; aligned, as all of these */
  int more;                      /* sums hold something already */
  int unfinished;                /* more will come, C is left alone */
  void *C;
  ptrdiff_t ldc;
  spk_epilogue epilogue;
} spk_sell_task;

typedef void (*spk_sell_fn)(const spk_sell_task *task);

/* The windows of src[i * stride], i < count: as many elements as two vectors less one, and a zero.
 */
typedef void (*spk_sell_windows_fn)(void *windows, const void *src, ptrdiff_t stride,
                                    ptrdiff_t count);

/* values_out[p] = sampled dot products of the rows of X with rows indices[p] - base of Yt. */
typedef struct spk_sddmm_task {
  const void *indices;
  const void *begin, *end;
  const void *values; /* of P; may be the output; NULL where not read */
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

/* Rows of a tile of a sampled product; a bit of an uint16_t says which of them have a column. */
#define SPK_TILE_ROWS 16

/* panel[t * SPK_TILE_ROWS + i] = scale * rows[i * ld + t], t < d, i < count; zeros for other i. */
typedef void (*spk_tile_pack_fn)(void *panel, const void *rows, ptrdiff_t ld, ptrdiff_t count,
                                 ptrdiff_t d, double scale);

/* rows[i * ld + j] = K[keys[j]] . row i of the panel, j < count. */
typedef struct spk_tile_task {
  const void *q; /* a panel of tile_pack */
  const void *K;
  ptrdiff_t ldk, d;
  const int32_t *keys; /* SPK_TILE_ROWS more, of any kind, behind the last */
  ptrdiff_t count;
  void *scores; /* scratch: (count + SPK_TILE_ROWS) x SPK_TILE_ROWS */
  void *rows;   /* SPK_TILE_ROWS x ld; ld is a number of whole vectors, and at least count */
  ptrdiff_t ld;
} spk_tile_task;

typedef void (*spk_sddmm_tile_fn)(const spk_tile_task *task);
/* Entries of one row in consecutive columns, which are keys one after the other. */
typedef struct spk_tile_run {
  ptrdiff_t entry; /* the first of it */
  int32_t row, column, count;
} spk_tile_run;

/* out[entry + i] = what sampling makes of rows[row * ld + where[column] - from + i] and of values,
 * which are read where it says so; as far as keys lie in [from, from + count). */
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

/* Attention of a tile of queries, or of one query, to some keys, on top of what others gave.
 * maxima, sums and O begin at -infinity, 0 and 0. */
typedef struct spk_attend_task {
  const void *q; /* a panel of tile_pack with the scale; or one row without */
  const void *K, *V;
  ptrdiff_t ldk, ldv, d, dv;
  ptrdiff_t rows;       /* of the tile */
  double scale;         /* attend_row only */
  const int32_t *keys;  /* attend_tile: SPK_TILE_ROWS more, of any kind, behind the last */
  const uint16_t *bits; /* attend_tile: which rows attend to each key */
  ptrdiff_t count;
  const void *bias; /* of the first row, or NULL; element (i, key) */
  ptrdiff_t bias_row_stride, bias_col_stride;
  void *scores;        /* scratch: a tile's rows per key and spare one; a vector more than keys */
  void *maxima, *sums; /* one per row */
  void *O;             /* dv x rows of a tile; or a vector more than dv of one */
} spk_attend_task;

typedef void (*spk_attend_fn)(const spk_attend_task *task);
/* out[i * ld + t] = O / sums, lse[i] = maxima + log(sums) unless NULL; rows without any key are 0
 * and -infinity.  Returns whether all of O was finite. */
typedef int (*spk_attend_finish_fn)(const spk_attend_task *task, void *out, ptrdiff_t ld,
                                    void *lse);
/* out = softmax of scale * values; they may be the same. */
typedef void (*spk_softmax_fn)(void *out, const void *values, ptrdiff_t count, double scale);
/* out = values where they are among the k <= count largest, else 0; winners[0 .. k) = where these
 * are, in order.  Either may be NULL; out may be values. */
typedef void (*spk_kwinners_fn)(void *out, int32_t *winners, const void *values, ptrdiff_t count,
                                ptrdiff_t k);
typedef void (*spk_attend_row_finish_fn)(const spk_attend_task *task, void *out, void *lse);

/* dst[i * ld + j] = src[i * row_stride + j * col_stride], rows x cols.  pack_panel: ld is a number
 * of whole vectors, as is the alignment of dst, and what is left of a row is filled with zeros. */
typedef void (*spk_pack_fn)(void *dst, ptrdiff_t ld, const void *src, ptrdiff_t row_stride,
                            ptrdiff_t col_stride, ptrdiff_t rows, ptrdiff_t cols);
/* dst[i * row_stride + j * col_stride] = src[i * ld + j], rows x cols. */
typedef void (*spk_unpack_fn)(const void *src, ptrdiff_t ld, void *dst, ptrdiff_t row_stride,
                              ptrdiff_t col_stride, ptrdiff_t rows, ptrdiff_t cols);

/* sums[i] += sums[part * stride + i] for i < count, part = 1 .. parts - 1, in this order; whole
 * vectors of them are there. */
typedef void (*spk_partial_add_fn)(void *sums, ptrdiff_t stride, ptrdiff_t parts, ptrdiff_t count);

/* tile_scale: C[:rows, :n] = alpha * 0 + beta * C; tile_finish: the epilogue, without beta, of the
 * sums that C holds. */
typedef void (*spk_tile_fn)(void *C, ptrdiff_t row_stride, ptrdiff_t col_stride, ptrdiff_t rows,
                            ptrdiff_t n, const spk_epilogue *epilogue);

/* C[:rows, :n] = the whole epilogue of sums[i * ld + j], which lie apart from C, or, where
 * col_stride is 1, in it. */
typedef void (*spk_store_fn)(const void *sums, ptrdiff_t ld, void *C, ptrdiff_t row_stride,
                             ptrdiff_t col_stride, ptrdiff_t rows, ptrdiff_t n,
                             const spk_epilogue *epilogue);

/* to[i] = from[i], floats of values of 16 bits. */
typedef void (*spk_expand_fn)(float *to, const uint16_t *from, ptrdiff_t count);

/* Fixed work on `count` values, `rounds` times; returns a sum of it. */
typedef double (*spk_roofline_fn)(const void *buffer, ptrdiff_t count, ptrdiff_t rounds);

/* Whether indices[0 .. count) lie in [0, bound); how many lie below their left neighbour, unless
 * descents is NULL. */
typedef int (*spk_validate_fn)(const void *indices, ptrdiff_t count, ptrdiff_t bound,
                               ptrdiff_t *descents);
/* SPK_OK if offsets of columns ids[0 .. count), which exist, lie in [0, nnz] and do not decrease,
 * and their indices lie in [0, rows). */
typedef spk_status (*spk_validate_columns_fn)(const void *offsets, const void *indices,
                                              const void *ids, ptrdiff_t count, ptrdiff_t rows,
                                              ptrdiff_t nnz);
/* Where rows [0, rows) cross the multiples of `width`: cuts[b * ld + i] is the first entry of row i
 * with an index of b * width or more, for b = 0 .. blocks.  Indices must be sorted in each row. */
typedef void (*spk_cut_fn)(const void *indices, const void *offsets, ptrdiff_t rows,
                           ptrdiff_t width, ptrdiff_t blocks, void *cuts, ptrdiff_t ld);
/* How many of indices[0 .. count), count > 0, from the first on, follow one another. */
typedef ptrdiff_t (*spk_run_length_fn)(const void *indices, ptrdiff_t count);
/* Offsets start at 0, do not decrease and end at or below nnz. */
typedef int (*spk_offsets_fn)(const void *offsets, ptrdiff_t count, ptrdiff_t nnz);

typedef struct spk_kernels {
  const char *isa;
  int lanes[2]; /* per dtype */
  int registers;
  int permute_bits;                 /* SPK_PERMUTE_BITS; 0: no permutes */
  const struct spk_kernels *narrow; /* the ISA of half the lanes, if its vectors are as fast */
  int halved;                       /* whether this is another one's `narrow` */
  /* Row panels and slices of SPK_F32 whose numbers are four bytes each: four values, times four of
   * B, added to an int32_t; NULL where that takes more than one instruction. */
  const struct spk_kernels *bytes;
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

/* One per ISA, defined by target.c. */
extern const spk_kernels spk_kernels__scalar;
extern const spk_kernels spk_kernels__avx2;
extern const spk_kernels spk_kernels__avx512;
extern const spk_kernels spk_kernels__neon;
/* What CPUs with AVX512_VNNI have on top of avx512, and nothing else. */
extern const spk_kernels spk_kernels__avx512_vnni;
extern const spk_kernels spk_kernels__avx512_vnni_bytes; /* for `bytes` */

#endif
