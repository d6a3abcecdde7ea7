/* What the checks of kernels share: names, rows of entries, dense operands, epilogues. */
#ifndef SPK_TESTING_KERNELS_FIXTURES_H
#define SPK_TESTING_KERNELS_FIXTURES_H

#include "../../../src/kernels/table.h"
#include "../epilogues.h"
#include "../exact.h"
#include "../matrix.h"

extern const char *const dtype_names[2], *const itype_names[2];

/* The table that is checked; main.c says which. */
extern const spk_kernels *checked;
static inline ptrdiff_t lanes_of(spk_dtype dtype) { return checked->lanes[dtype]; }

/* Every number of columns that a tile of `vectors` vectors may have. */
#define FOR_TILE(n, dtype, vectors) \
  for (ptrdiff_t n = ((vectors) - 1) * lanes_of(dtype) + 1; n <= (vectors) * lanes_of(dtype); n++)

/* Rows of entries in one array with strays in between: their indices point nowhere and their values
 * are NaN, as no kernel may look at what lies outside begin .. end. */
typedef struct entries {
  ptrdiff_t rows, count;
  spk_dtype dtype;
  spk_itype itype;
  void *indices, *values, *begin, *end;
} entries;

enum { ROWS = 7, MAX_PER_ROW = 12, STRAY = 0x7ffffff0 };

/* Indices base .. base + width - 1, in any order and with repeats; `area` values per entry. */
entries random_entries(spk_dtype dtype, spk_itype itype, ptrdiff_t width, ptrdiff_t base,
                       ptrdiff_t area);

static inline ptrdiff_t begin_of(const entries *e, ptrdiff_t i) {
  return spk_index(e->begin, e->itype, i);
}
static inline ptrdiff_t end_of(const entries *e, ptrdiff_t i) {
  return spk_index(e->end, e->itype, i);
}
static inline ptrdiff_t index_of(const entries *e, ptrdiff_t p) {
  return spk_index(e->indices, e->itype, p);
}
static inline double value_of(const entries *e, ptrdiff_t p) {
  return get_value(e->values, e->dtype, p);
}

matrix random_input(spk_dtype dtype, ptrdiff_t rows, ptrdiff_t cols, layout how);
matrix random_output(spk_dtype dtype, ptrdiff_t rows, ptrdiff_t cols, layout how);
/* Tiles are row-major, in either direction. */
layout tile_layout(void);
/* `special`: NaN and infinities in it. */
matrix random_bias(spk_dtype dtype, ptrdiff_t count, int special);
spk_epilogue epilogue_of(const epilogue_case *c, const matrix *bias_row, const matrix *bias_col);

#endif
