/* C = A @ B from panels whose cells were unpacked, by the maps that kernels use. */
#ifndef SPK_PACKED_PANELS_H
#define SPK_PACKED_PANELS_H

#include "panel_parts.h"

/* A cell: an entry's value, or none. */
typedef struct cell {
  int there;
  double value;
} cell;

/* What the packer under test made of the panels, as cells in their order; a status. */
typedef int unpack_function(const spk_entries *A, const spk_panels *panels, const double *values,
                            cell *cells);

static void multiply_part(const spk_panels *panels, const spk_panel_part *part, int64_t rows,
                          const cell *cells, ptrdiff_t n, const double *B, double *sums,
                          int64_t step) {
  const int halves = panels->halves, depth = spk_slice_depth(halves);
  const int fragments = panels->height / 16 * SPK_SLICE_STEPS;
  for (int64_t slice = part->begin; slice < part->begin + part->length; slice++) {
    for (int f = 0; f < fragments; f++) {
      for (int c = 0; c < spk_fragment_cells(halves); c++) {
        const int lane = c / (4 * halves), i = c % (4 * halves);
        const int row = f / SPK_SLICE_STEPS * 16 + spk_mma_a_row(lane, i, halves);
        const int at = f % SPK_SLICE_STEPS * 8 * halves + spk_mma_a_col(lane, i, halves);
        const cell *it = &cells[(slice * fragments + f) * spk_fragment_cells(halves) + c];
        if (!it->there || row >= rows) continue;
        const int64_t column = panels->columns[slice * depth + at];
        for (ptrdiff_t j = 0; j < n; j++) sums[row * step * n + j] += it->value * B[column * n + j];
      }
    }
  }
}

/* values are float64; C is m x n, and written once per element.  Panels of `height` rows, or as is
 * chosen where that is 0, are cut into parts of up to `longest` slices. */
static int multiply_panels(const spk_sparse *A, ptrdiff_t n, const double *B, double *C, int height,
                           int halves, int longest, unpack_function *unpack) {
  spk_entries entries;
  spk_panels panels = {0};
  spk_panel_parts parts = {0};
  cell *cells = NULL;
  double *sums = NULL, full = 0;
  int status = spk_entries_make(A, &entries);
  if (status != SPK_OK) return status;
  if (!height) status = spk_panels_height(&entries, halves, &height);
  if (status == SPK_OK) status = spk_panels_make(&entries, height, halves, &panels);
  if (status == SPK_OK) status = spk_panel_parts_make(&panels, A->rows, longest, &parts);
  if (status == SPK_OK) status = spk_panels_fullness(&entries, height, halves, &full);
  if (status == SPK_OK) {
    const int64_t count = spk_panels_cells(&panels);
    cells = (cell *)calloc((size_t)count + 1, sizeof *cells);
    sums = (double *)calloc((size_t)(parts.sums * n + 1), sizeof *sums);
    status = cells && sums ? unpack(&entries, &panels, (const double *)A->values, cells)
                           : SPK_ERR_MEMORY;
    int64_t there = 0;
    for (int64_t i = 0; i < count; i++) there += cells[i].there;
    if (there != entries.nnz) status = SPK_ERR_SHAPE;
    if (count && full != (double)there / (double)count) status = SPK_ERR_SHAPE;
  }
  for (int64_t i = 0; status == SPK_OK && i < parts.parts; i++) {
    const spk_panel_part *part = &parts.part[i];
    const int64_t first = (int64_t)part->panel * height;
    const int64_t rows = A->rows - first < height ? A->rows - first : height;
    const int whole = part->sum < 0;
    if (i && part->length > parts.part[i - 1].length) status = SPK_ERR_ARGUMENT;
    if (part->length > longest) status = SPK_ERR_ARGUMENT;
    double *to = whole ? C + first * n : sums + part->sum * n;
    if (whole) memset(to, 0, (size_t)(rows * n) * sizeof *to);
    multiply_part(&panels, part, rows, cells, n, B, to, whole ? 1 : part->step);
  }
  for (int64_t i = 0; status == SPK_OK && i < parts.cut_rows; i++) {
    const spk_cut_row *cut = &parts.cut[i];
    for (ptrdiff_t j = 0; j < n; j++) {
      double sum = 0;
      for (int s = 0; s < cut->count; s++) sum += sums[(cut->first + s) * n + j];
      C[cut->row * n + j] = sum;
    }
  }
  free(cells);
  free(sums);
  spk_panel_parts_free(&parts);
  spk_panels_free(&panels);
  spk_entries_free(&entries);
  return status;
}

#endif
