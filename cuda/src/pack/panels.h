/* Panels of rows and the union of their columns: what tensor cores multiply.
 *
 * A panel is a dense matrix whose columns are the union of the columns of its rows.  Its product
 * reads the rows of B that these columns name.  The list of columns goes by *slices*, two steps of
 * the tensor cores deep: 32 columns of 16 bits or 16 floats, 64 bytes of each row.  Missing columns
 * of the last slice are -1.  An entry that is repeated in a row gets a column of its own for each
 * repetition, so that a cell never holds two entries.
 *
 * Cells are numbered as lanes read them: by fragments of 16 rows and one step (fragments.h).  In a
 * slice, the fragments of the first 16 rows come first, one after the other, then those of the next
 * 16. */
#ifndef SPK_PACK_PANELS_H
#define SPK_PACK_PANELS_H

#include "entries.h"
#include "fragments.h"

#define SPK_SLICE_STEPS 2
#define SPK_MIN_HEIGHT 16
#define SPK_MAX_HEIGHT 128

/* The columns of a slice, and the cells of a fragment.  `halves` is as in fragments.h. */
SPK_BOTH_SIDES int spk_slice_depth(int halves) { return SPK_SLICE_STEPS * 8 * halves; }
SPK_BOTH_SIDES int spk_fragment_cells(int halves) { return 128 * halves; }

/* A set of columns that can be listed in order.  It has a bit for each column, and a bit for each
 * word of bits that is not 0. */
typedef struct spk_column_set {
  int64_t words; /* words of `used` */
  uint64_t *bits, *used;
  /* How often a column is in the set; after listing, the place of its first copy. */
  int32_t *times;
} spk_column_set;

static inline void spk_column_set_free(spk_column_set *set) {
  free(set->bits);
  free(set->used);
  free(set->times);
  memset(set, 0, sizeof *set);
}

static inline int spk_column_set_make(int64_t cols, spk_column_set *made) {
  made->words = cols / 4096 + 1;
  made->bits = (uint64_t *)calloc((size_t)made->words * 64, sizeof(uint64_t));
  made->used = (uint64_t *)calloc((size_t)made->words, sizeof(uint64_t));
  made->times = (int32_t *)spk_pack_new(cols, sizeof(int32_t));
  if (made->bits && made->used && made->times) return SPK_OK;
  spk_column_set_free(made);
  return SPK_ERR_MEMORY;
}

/* Add the columns of a row.  A column is in the set as often as the row that repeats it most. */
static inline void spk_column_set_add(spk_column_set *set, const spk_entries *A, int64_t row) {
  int32_t times = 0;
  for (int64_t p = A->offsets[row]; p < A->offsets[row + 1]; p++) {
    const int32_t column = A->columns[p];
    times = p > A->offsets[row] && A->columns[p - 1] == column ? times + 1 : 1;
    const uint64_t bit = (uint64_t)1 << column % 64;
    if (!(set->bits[column / 64] & bit)) set->times[column] = 0;
    if (set->times[column] < times) set->times[column] = times;
    set->bits[column / 64] |= bit;
    set->used[column / 4096] |= (uint64_t)1 << column / 64 % 64;
  }
}

/* List the columns in columns[0...], unless that is NULL, and empty the set.  Returns their
 * number. */
static inline int64_t spk_column_set_list(spk_column_set *set, int32_t *columns) {
  int64_t count = 0;
  for (int64_t w = 0; w < set->words; w++) {
    for (; set->used[w]; set->used[w] &= set->used[w] - 1) {
      const int64_t word = 64 * w + spk_lowest_bit(set->used[w]);
      for (; set->bits[word]; set->bits[word] &= set->bits[word] - 1) {
        const int32_t column = (int32_t)(64 * word + spk_lowest_bit(set->bits[word]));
        const int32_t times = set->times[column];
        set->times[column] = (int32_t)count;
        for (int32_t i = 0; columns && i < times; i++) columns[count + i] = column;
        count += times;
      }
    }
  }
  return count;
}

/* Add the columns of a panel to a set. */
static inline void spk_column_set_add_panel(spk_column_set *set, const spk_entries *A,
                                            int64_t panel, int height) {
  const int64_t begin = panel * height;
  for (int64_t i = begin; i < begin + height && i < A->rows; i++) spk_column_set_add(set, A, i);
}

typedef struct spk_panels {
  int height, halves;
  int64_t count, slices;
  int64_t *begin;     /* count + 1: the first slice of each panel */
  int32_t *columns;   /* the columns of the slices */
  int32_t *positions; /* for each entry, the place of its column in the panel's list */
} spk_panels;

static inline void spk_panels_free(spk_panels *panels) {
  free(panels->begin);
  free(panels->columns);
  free(panels->positions);
  memset(panels, 0, sizeof *panels);
}

static inline int64_t spk_panels_of(int64_t rows, int height) {
  return (rows + height - 1) / height;
}

/* Count the slices of panels of this height.  If `begin` is not NULL, it gets the first slice of
 * each panel. */
static inline int spk_panels_count(const spk_entries *A, int height, int halves, int64_t *slices,
                                   int64_t *begin) {
  const int depth = spk_slice_depth(halves);
  spk_column_set set;
  const int status = spk_column_set_make(A->cols, &set);
  if (status != SPK_OK) return status;
  *slices = 0;
  int64_t most = 0;
  for (int64_t i = 0; i < spk_panels_of(A->rows, height); i++) {
    if (begin) begin[i] = *slices;
    spk_column_set_add_panel(&set, A, i, height);
    const int64_t columns = spk_column_set_list(&set, NULL);
    *slices += (columns + depth - 1) / depth;
    if (columns > most) most = columns;
  }
  if (begin) begin[spk_panels_of(A->rows, height)] = *slices;
  spk_column_set_free(&set);
  return most > INT32_MAX || spk_panels_of(A->rows, height) > INT32_MAX ? SPK_ERR_SHAPE : SPK_OK;
}

/* Compute the share of cells that are entries, for panels of this height, padding included; 1 if
 * there are no cells.  The time grows with the entries. */
static inline int spk_panels_fullness(const spk_entries *A, int height, int halves,
                                      double *fullness) {
  int64_t slices;
  const int status = spk_panels_count(A, height, halves, &slices, NULL);
  const double cells = (double)slices * height * spk_slice_depth(halves);
  if (status == SPK_OK) *fullness = slices ? (double)A->nnz / cells : 1;
  return status;
}

/* The constant part of the time of a slice, in rows of A: the rows of B come from L2.  Calculated
 * for 128 columns of 16 bits on an H100: 10 cycles for the 256 bytes of a row of B.  Each row of A
 * takes one eighth of a cycle to multiply, and one twelfth for its values to come. */
#define SPK_ROWS_PER_SLICE 48

/* Choose the height that takes the least time. */
static inline int spk_panels_height(const spk_entries *A, int halves, int *height) {
  double least = 0;
  for (int h = SPK_MIN_HEIGHT; h <= SPK_MAX_HEIGHT; h *= 2) {
    int64_t slices;
    const int status = spk_panels_count(A, h, halves, &slices, NULL);
    if (status != SPK_OK) return status;
    const double time = (double)slices * (h + SPK_ROWS_PER_SLICE);
    if (h == SPK_MIN_HEIGHT || time < least) {
      *height = h;
      least = time;
    }
    if (A->rows <= h) break;
  }
  return SPK_OK;
}

static inline void spk_panels_fill(const spk_entries *A, spk_column_set *set, int64_t panel,
                                   spk_panels *made) {
  const int depth = spk_slice_depth(made->halves);
  int32_t *columns = made->columns + made->begin[panel] * depth;
  spk_column_set_add_panel(set, A, panel, made->height);
  const int64_t count = spk_column_set_list(set, columns);
  for (int64_t i = count; i < (made->begin[panel + 1] - made->begin[panel]) * depth; i++)
    columns[i] = -1;
  const int64_t first = panel * made->height, last = first + made->height;
  for (int64_t i = first; i < last && i < A->rows; i++) {
    for (int64_t p = A->offsets[i]; p < A->offsets[i + 1]; p++) {
      const int again = p > A->offsets[i] && A->columns[p - 1] == A->columns[p];
      made->positions[p] = again ? made->positions[p - 1] + 1 : set->times[A->columns[p]];
    }
  }
}

static inline int spk_panels_make(const spk_entries *A, int height, int halves, spk_panels *made) {
  memset(made, 0, sizeof *made);
  made->height = height;
  made->halves = halves;
  made->count = spk_panels_of(A->rows, height);
  made->begin = (int64_t *)spk_pack_new(made->count + 1, sizeof(int64_t));
  spk_column_set set;
  int status = spk_column_set_make(A->cols, &set);
  if (status != SPK_OK || !made->begin) {
    if (status == SPK_OK) spk_column_set_free(&set);
    spk_panels_free(made);
    return SPK_ERR_MEMORY;
  }
  status = spk_panels_count(A, height, halves, &made->slices, made->begin);
  if (status == SPK_OK) {
    made->columns =
        (int32_t *)spk_pack_new(made->slices, sizeof(int32_t) * (size_t)spk_slice_depth(halves));
    made->positions = (int32_t *)spk_pack_new(A->nnz, sizeof(int32_t));
    if (!made->columns || !made->positions) status = SPK_ERR_MEMORY;
  }
  for (int64_t i = 0; status == SPK_OK && i < made->count; i++) spk_panels_fill(A, &set, i, made);
  spk_column_set_free(&set);
  if (status != SPK_OK) spk_panels_free(made);
  return status;
}

/* The number of the cell in `row` of a panel and column `at` of a slice.  Slices and cells are
 * counted over all panels. */
SPK_BOTH_SIDES int64_t spk_panels_cell(int height, int halves, int64_t slice, int row, int at) {
  const int col = at % (8 * halves), step = at / (8 * halves);
  const int64_t fragment = (slice * (height / 16) + row / 16) * SPK_SLICE_STEPS + step;
  return fragment * spk_fragment_cells(halves) +
         spk_mma_a_lane(row % 16, col, halves) * (4 * halves) +
         spk_mma_a_element(row % 16, col, halves);
}

static inline int64_t spk_panels_cells(const spk_panels *panels) {
  return panels->slices * panels->height * spk_slice_depth(panels->halves);
}

/* The cell of entry p, which is in row `row`. */
static inline int64_t spk_panels_cell_of(const spk_panels *panels, int64_t row, int64_t p) {
  const int depth = spk_slice_depth(panels->halves);
  const int64_t slice = panels->begin[row / panels->height] + panels->positions[p] / depth;
  return spk_panels_cell(panels->height, panels->halves, slice, (int)(row % panels->height),
                         panels->positions[p] % depth);
}

/* A bit for each cell that holds an entry, 32 to a word.  NULL if there is no memory. */
static inline uint32_t *spk_panels_stored(const spk_entries *A, const spk_panels *panels) {
  const int64_t words = spk_panels_cells(panels) / 32;
  uint32_t *stored = (uint32_t *)spk_pack_new(words, sizeof(uint32_t));
  if (!stored) return NULL;
  memset(stored, 0, (size_t)words * sizeof *stored);
  for (int64_t i = 0; i < A->rows; i++) {
    for (int64_t p = A->offsets[i]; p < A->offsets[i + 1]; p++) {
      const int64_t cell = spk_panels_cell_of(panels, i, p);
      stored[cell / 32] |= (uint32_t)1 << cell % 32;
    }
  }
  return stored;
}

#endif
