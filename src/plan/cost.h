/* What our own kernels take, in cycles of one core: the model that plans and predictions rest on.
 *
 * Rough, for ratios between kernels and between heights of blocks; `prepare` measures on top. */
#ifndef SPK_PLAN_COST_H
#define SPK_PLAN_COST_H

#include "../common/common.h"
#include "../dispatch/dispatch.h"

/* The share of loads that find their line in L2 and not in L1, where rows of A use `bytes` of B. */
double spk_missing(double bytes, const spk_machine *machine);

/* A row of A in row panels of `kernels` against a tile of `vectors` vectors, with blocks of `block`
 * rows; `shared`: the share of entries that wait for no load of B, as other rows use it too. */
double spk_row_panel_row_cost(const spk_sparse *A, double shared, ptrdiff_t block,
                              ptrdiff_t vectors, const spk_kernels *kernels,
                              const spk_machine *machine);

/* A x n dense columns by tiles of `tile` columns, whose kernels are `kernels`: by the rows of CSR;
 * by row panels with blocks of `block` rows; by SELL slices times a vector; by a dense product of a
 * BLAS, where a vector streams the matrix from the outer caches. */
double spk_rows_cost(const spk_sparse *A, ptrdiff_t n, ptrdiff_t tile, const spk_kernels *kernels,
                     const spk_machine *machine);
double spk_row_panels_cost(const spk_sparse *A, ptrdiff_t n, ptrdiff_t tile, ptrdiff_t block,
                           const spk_kernels *kernels, const spk_machine *machine);
double spk_sell_cost(const spk_sparse *A, const spk_kernels *kernels);
double spk_dense_cost(const spk_sparse *A, ptrdiff_t n, const spk_kernels *kernels,
                      const spk_machine *machine);

/* Entries of a row panel in a block that pay for the loop around them. */
#define SPK_ENTRIES_PER_CELL 8.0

/* Times that a row of B must be read for its copy into an aligned panel to pay, with n columns. */
double spk_panel_reads(ptrdiff_t n, ptrdiff_t lanes);

/* Sampled products.  In cycles, from Zen 4: what an entry of a lone row takes, by k and besides;
 * what a column of a tile takes besides one per element, a run, and a tile by k and besides. */
#define SPK_SDDMM_ENTRY_K 0.165
#define SPK_SDDMM_ENTRY 1.0
#define SPK_SDDMM_COLUMN 8.0
#define SPK_SDDMM_RUN 45.0
#define SPK_SDDMM_TILE_K 8.0
#define SPK_SDDMM_TILE 300.0

/* int8_gather4.  Cycles (Zen 5, AVX-512 with VNNI, 64 columns): a group of one row and of four,
 * measured in a loop of their own.  The rest is reckoned, not measured: four lines from L2 at 32
 * bytes a cycle; sums of a row of a block that come and go; a row of a panel that is ordered. */
#define SPK_INT8_GROUP_CYCLES 4.2
#define SPK_INT8_GROUP4_CYCLES 8.6
#define SPK_INT8_GROUP_CYCLES_L2 8.0
#define SPK_INT8_ROW_CYCLES 12.0
#define SPK_INT8_PANEL_ROW_CYCLES 4.0

/* Partial sums, in nanoseconds (Zen 4): a byte of the zeros and sums of a row, for each part; an
 * entry, and a byte of its row of B. */
#define SPK_PARTIAL_SUM_BYTE 0.1
#define SPK_PARTIAL_ENTRY 1.0
#define SPK_PARTIAL_ENTRY_BYTE 0.03

/* Attention: a key of a tile of 16 queries takes as long as this many keys of lone queries (Zen 4,
 * d = 64: 6 to 8). */
#define SPK_ATTENTION_ROW_SHARE 6.5

/* Work by which threads are chosen (spk_choose_threads), in multiply-adds of a CSR product. */
#define SPK_WORK_STORE 0.5            /* an element of C */
#define SPK_WORK_SELL_STEP 14.0       /* 0.85 ns; two threads pay from 5 us on (Zen 4, AVX-512) */
#define SPK_WORK_SPMSPV_ENTRY 12.0    /* 0.35 ns */
#define SPK_WORK_SOFTMAX_ENTRY 12.0   /* an exponential */
#define SPK_WORK_KWINNERS_ELEMENT 4.0 /* some 16 counts by vectors, and a copy */
#define SPK_WORK_INT8_STORE 8.0       /* an element of C; reckoned from 0.2 to 0.5 ns */

#endif
