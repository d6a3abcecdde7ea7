/* A mask again, from the groups of keys that kernels/attention.h takes. */
#include "blocks.h"

int spk_packed_blocks(const spk_sparse *A, unsigned char *mask, int64_t *groups);

/* Adds 1 to mask[query, key] for each that a group has; returns whether it says of itself what is
 * so. */
static int add_group(const spk_blocks *blocks, int64_t g, int64_t first, int64_t queries,
                     int64_t cols, unsigned char *mask) {
  const spk_group *group = &blocks->group[g];
  uint32_t slices = 0;
  int full = 1;
  for (int64_t i = 0; i < queries; i++) {
    for (int k = 0; k < SPK_GROUP_KEYS; k++) {
      const int32_t key = blocks->keys[g * SPK_GROUP_KEYS + k];
      const uint64_t bits =
          group->bits < 0 ? UINT64_MAX : blocks->bits[group->bits * SPK_PANEL_QUERIES + i];
      if (!(bits >> k & 1)) {
        full = 0;
        continue;
      }
      if (key < 0 || key >= cols) return 0;
      mask[(first + i) * cols + key]++;
      slices |= 1u << i / SPK_SLICE_QUERIES;
    }
  }
  return slices == group->slices && full == (group->bits < 0);
}

/* mask is rows x cols of 0; groups has a number per panel, in the order of queries. */
int spk_packed_blocks(const spk_sparse *A, unsigned char *mask, int64_t *groups) {
  spk_entries entries;
  spk_blocks blocks;
  int status = spk_entries_make(A, &entries);
  if (status != SPK_OK) return status;
  status = spk_blocks_make(&entries, &blocks);
  int64_t total = 0, long_panels = 0;
  for (int64_t p = 0; status == SPK_OK && p < blocks.panels; p++) {
    const spk_query_panel *panel = &blocks.panel[p];
    const int64_t first = (int64_t)panel->index * SPK_PANEL_QUERIES;
    const int64_t queries = spk_min(SPK_PANEL_QUERIES, blocks.rows - first);
    if (p && panel->count > blocks.panel[p - 1].count) status = SPK_ERR_ARGUMENT;
    for (int64_t g = panel->begin; g < panel->begin + panel->count; g++)
      if (!add_group(&blocks, g, first, queries, entries.cols, mask)) status = SPK_ERR_ARGUMENT;
    groups[panel->index] = panel->count;
    total += panel->count;
    long_panels += panel->count * blocks.panels > 2 * blocks.groups;
  }
  if (status == SPK_OK && (total != blocks.groups || long_panels != blocks.long_panels))
    status = SPK_ERR_ARGUMENT;
  spk_blocks_free(&blocks);
  spk_entries_free(&entries);
  return status;
}
