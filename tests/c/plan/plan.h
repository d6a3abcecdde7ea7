/* Plans and costs, of operands that have shapes and no elements: nothing is multiplied. */
#ifndef SPK_TESTING_PLAN_H
#define SPK_TESTING_PLAN_H

#include "../../../src/dispatch/dispatch.h"
#include "../matrix.h"

void check_partition(void);
void check_gather(void);
void check_scatter(void);
void check_partial(void);
void check_sddmm(void);
void check_row_panels(void);
void check_sell(void);
void check_int8(void);
void check_cost(void);

/* This machine, with caches of three sizes. */
enum { MACHINES = 3 };
extern spk_machine machines[MACHINES];

/* What a call may ask for. */
static const int thread_counts[] = {1, 2, 3, 16, 200};
enum { THREAD_COUNTS = sizeof thread_counts / sizeof *thread_counts };

/* Columns of B and C. */
static const ptrdiff_t widths[] = {1, 2, 3, 8, 17, 33, 64, 100, 513, 4096};
enum { WIDTHS = sizeof widths / sizeof *widths };

/* Of A, with entries: few and many, high and wide, up to sizes that no memory holds. */
typedef struct shape {
  ptrdiff_t rows, cols, entries;
} shape;
static const shape shapes[] = {
    {1, 1, 1},
    {8, 64, 40},
    {64, 64, 2000},
    {512, 512, 26000},
    {2048, 512, 100000},
    {512, 100000, 3000000},
    {100000, 64, 500000},
    {1000000, 1000000, 3000000},
    {16, (ptrdiff_t)1 << 24, (ptrdiff_t)1 << 27},
    {(ptrdiff_t)1 << 40, 64, (ptrdiff_t)1 << 20},
    {64, (ptrdiff_t)1 << 40, (ptrdiff_t)1 << 20},
    {(ptrdiff_t)1 << 33, (ptrdiff_t)1 << 33, (ptrdiff_t)1 << 36},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* Without arrays; sorted or not. */
spk_sparse sparse_of(spk_format format, spk_dtype dtype, const shape *s, int sorted);
/* Rows, columns or neither lie side by side. */
spk_dense dense_of(spk_dtype dtype, ptrdiff_t rows, ptrdiff_t cols, layout how);
static const layout dense_layouts[] = {ROW_MAJOR, COLUMN_MAJOR, SPACED};
enum { DENSE_LAYOUTS = sizeof dense_layouts / sizeof *dense_layouts };

/* Whether `count` pieces of `width` hold all items, and the last of them at least one. */
static inline int covers(ptrdiff_t width, ptrdiff_t count, ptrdiff_t items) {
  return width > 0 && count == spk_max(1, spk_ceil_div(items, width));
}

/* Where rows are cut into blocks, a worker has this much for their cuts, or those of one row. */
#define MAX_CUTS ((ptrdiff_t)1 << 18)
static inline int cuts_fit(size_t bytes, ptrdiff_t workers, ptrdiff_t blocks, spk_itype itype) {
  const size_t row = (size_t)(blocks + 1) * spk_itype_size(itype);
  const size_t most = (size_t)(MAX_CUTS * workers);
  return bytes <= spk_aligned_size(row > most ? row : most);
}

#endif
