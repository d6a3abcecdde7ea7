/* What our own kernels cost, in cycles of one core: the model of plans and predictions.
 *
 * The model is rough.  It serves to compare kernels, and heights of blocks.  `prepare` measures in
 * addition. */
#ifndef SPK_PLAN_COST_H
#define SPK_PLAN_COST_H

#include "../common/common.h"
#include "../dispatch/dispatch.h"

/* The share of loads that find their line in L2 and not in L1, if rows of A use `bytes` of B. */
double spk_missing(double bytes, const spk_machine *machine);

/* The cost of a row of A in row panels of `kernels`, against a tile of `vectors` vectors, with
 * blocks of `block` rows.  `shared` is the share of entries that wait for no load of B, because
 * another row has loaded it. */
double spk_row_panel_row_cost(const spk_sparse *A, double shared, ptrdiff_t block,
                              ptrdiff_t vectors, const spk_kernels *kernels,
                              const spk_machine *machine);

/* The cost of A times n dense columns by tiles of `tile` columns, with `kernels`: by the rows of
 * CSR; by row panels with blocks of `block` rows; by SELL slices times a vector; by a dense product
 * of a BLAS, which for a vector streams the matrix from the outer caches. */
double spk_rows_cost(const spk_sparse *A, ptrdiff_t n, ptrdiff_t tile, const spk_kernels *kernels,
                     const spk_machine *machine);
double spk_row_panels_cost(const spk_sparse *A, ptrdiff_t n, ptrdiff_t tile, ptrdiff_t block,
                           const spk_kernels *kernels, const spk_machine *machine);
double spk_sell_cost(const spk_sparse *A, const spk_kernels *kernels);
/* As a bitmap, up to four columns at a time. */
double spk_bitmap_cost(const spk_sparse *A, ptrdiff_t n, const spk_kernels *kernels);
double spk_dense_cost(const spk_sparse *A, ptrdiff_t n, const spk_kernels *kernels,
                      const spk_machine *machine);

/* The entries of a row panel in a block that pay for the loop around them. */
#define SPK_ENTRIES_PER_CELL 8.0

/* The number of times that a row of B must be read to pay for its copy into an aligned panel, if B
 * has n columns. */
double spk_panel_reads(ptrdiff_t n, ptrdiff_t lanes);

/* Sampled products, in cycles (Zen 4).  ENTRY_K and ENTRY: an entry that is sampled by rows, for
 * each element of a row of X and besides.  COLUMN: a column of a tile, besides one cycle per
 * element.  RUN: a run.  TAKE: an entry that is taken out of the scores of all columns, with its
 * share of what these columns take besides (Intel, AVX2).  TILE_K and TILE: a tile, for each
 * element and besides. */
#define SPK_SDDMM_ENTRY_K 0.165
#define SPK_SDDMM_ENTRY 1.0
#define SPK_SDDMM_COLUMN 8.0
#define SPK_SDDMM_RUN 45.0
#define SPK_SDDMM_TAKE 5.0
#define SPK_SDDMM_TILE_K 8.0
#define SPK_SDDMM_TILE 300.0

/* int8_gather4, in cycles (Zen 5, AVX-512 with VNNI, 64 columns).  The costs of a group of one row
 * and of four rows were measured in a loop of their own.  The others are calculated, not measured:
 * a group whose four lines come from L2 at 32 bytes a cycle; a row of a block whose sums come and
 * go; a row of a panel that is interleaved. */
#define SPK_INT8_GROUP_CYCLES 4.2
#define SPK_INT8_GROUP4_CYCLES 8.6
/* The same without an instruction that multiplies bytes: AVX2, 32 columns; by the operations of the
 * port model, four a cycle, as loops of their own were not measured. */
#define SPK_INT8_PLAIN_GROUP_CYCLES 8.0
#define SPK_INT8_PLAIN_GROUP4_CYCLES 20.0
#define SPK_INT8_GROUP_CYCLES_L2 8.0
#define SPK_INT8_ROW_CYCLES 12.0
#define SPK_INT8_PANEL_ROW_CYCLES 4.0

/* Partial sums, in nanoseconds (Zen 4): a byte of the zeros and sums of a row, for each part; an
 * entry; a byte of its row of B. */
#define SPK_PARTIAL_SUM_BYTE 0.1
#define SPK_PARTIAL_ENTRY 1.0
#define SPK_PARTIAL_ENTRY_BYTE 0.03

/* Attention: a key of a tile of 16 queries costs as much as this many keys of lone queries (Zen 4,
 * d = 64: 6 to 8). */
#define SPK_ATTENTION_ROW_SHARE 6.5

/* The work by which threads are chosen (spk_choose_threads), in multiply-adds of a CSR product. */
#define SPK_WORK_STORE 0.5            /* an element of C */
#define SPK_WORK_SELL_STEP 14.0       /* 0.85 ns; two threads pay from 5 us on (Zen 4, AVX-512) */
#define SPK_WORK_BITMAP_PIECE 40.0    /* 2.5 ns (AVX512_VBMI2 at 4.1 GHz) */
#define SPK_WORK_SPMSPV_ENTRY 12.0    /* 0.35 ns */
#define SPK_WORK_SOFTMAX_ENTRY 12.0   /* an exponential */
#define SPK_WORK_KWINNERS_ELEMENT 4.0 /* some 16 counts by vectors, and a copy */
#define SPK_WORK_QUANTISE_ELEMENT 1.0 /* calculated from 0.1 ns */
#define SPK_WORK_INT8_STORE 8.0       /* an element of C; calculated from 0.2 to 0.5 ns */

#endif
