/* Panels cut into parts of about equal work, the longest first. rows.h does the same for rows.
 *
 * A panel of more than `longest` slices is cut into equal parts.  Their sums go to a workspace,
 * where those of a row are contiguous, and a second kernel adds them in order. */
#ifndef SPK_PACK_PANEL_PARTS_H
#define SPK_PACK_PANEL_PARTS_H

#include "panels.h"
#include "rows.h"

typedef struct spk_panel_part {
  int64_t begin;         /* the first slice, counted over all panels */
  int32_t panel, length; /* length: slices */
  /* The place of its first row's sum in the workspace (-1: the panel is whole), and the distance to
   * that of the next row. */
  int32_t sum, step;
} spk_panel_part;

typedef struct spk_panel_parts {
  int64_t parts, cut_rows, sums;
  int64_t longest; /* slices of the longest part */
  spk_panel_part *part;
  spk_cut_row *cut;
} spk_panel_parts;

static inline void spk_panel_parts_free(spk_panel_parts *parts) {
  free(parts->part);
  free(parts->cut);
  memset(parts, 0, sizeof *parts);
}

static inline int spk_compare_panel_parts(const void *x, const void *y) {
  const spk_panel_part *a = (const spk_panel_part *)x, *b = (const spk_panel_part *)y;
  if (a->length != b->length) return a->length > b->length ? -1 : 1;
  if (a->panel != b->panel) return a->panel < b->panel ? -1 : 1;
  return a->begin < b->begin ? -1 : 1;
}

/* Append the parts of a panel. */
static inline void spk_panel_parts_cut(const spk_panels *panels, int64_t rows, int64_t panel,
                                       int64_t longest, spk_panel_parts *made) {
  const int64_t begin = panels->begin[panel], length = panels->begin[panel + 1] - begin;
  const int64_t count = length > longest ? (length + longest - 1) / longest : 1;
  const int64_t first = panel * panels->height;
  const int64_t height = rows - first < panels->height ? rows - first : panels->height;
  for (int64_t i = 0; i < count; i++) {
    const int64_t from = length * i / count, to = length * (i + 1) / count;
    spk_panel_part *part = &made->part[made->parts++];
    part->begin = begin + from;
    part->panel = (int32_t)panel;
    part->length = (int32_t)(to - from);
    part->sum = count == 1 ? -1 : (int32_t)(made->sums + i);
    part->step = (int32_t)count;
    if (part->length > made->longest) made->longest = part->length;
  }
  for (int64_t i = 0; count > 1 && i < height; i++) {
    spk_cut_row *cut = &made->cut[made->cut_rows++];
    cut->row = first + i;
    cut->first = (int32_t)(made->sums + i * count);
    cut->count = (int32_t)count;
  }
  if (count > 1) made->sums += height * count;
}

/* Cut panels into parts of at most `longest` slices.  longest >= 1. */
static inline int spk_panel_parts_make(const spk_panels *panels, int64_t rows, int64_t longest,
                                       spk_panel_parts *made) {
  memset(made, 0, sizeof *made);
  int64_t parts = 0, cut = 0;
  for (int64_t i = 0; i < panels->count; i++) {
    const int64_t length = panels->begin[i + 1] - panels->begin[i];
    parts += length > longest ? (length + longest - 1) / longest : 1;
    cut += length > longest;
  }
  if (parts > INT32_MAX / panels->height) return SPK_ERR_SHAPE;
  made->part = (spk_panel_part *)spk_pack_new(parts, sizeof(spk_panel_part));
  made->cut = (spk_cut_row *)spk_pack_new(cut * panels->height, sizeof(spk_cut_row));
  if (!made->part || !made->cut) {
    spk_panel_parts_free(made);
    return SPK_ERR_MEMORY;
  }
  for (int64_t i = 0; i < panels->count; i++) spk_panel_parts_cut(panels, rows, i, longest, made);
  qsort(made->part, (size_t)parts, sizeof *made->part, spk_compare_panel_parts);
  return SPK_OK;
}

#endif
