/* A mask again, from the groups of keys that kernels/attention.h takes. */
#include "block_mask.h"

int spk_packed_block_mask(const spk_sparse *A, unsigned char *mask, int64_t *groups,
                          int64_t *masks);

/* Adds 1 to mask[query, key] for each that a group has; returns whether it says of itself what is
 * so, and of keys that no query has that they are none. */
static int add_group(const spk_block_mask *blocks, int64_t g, int64_t first, int64_t queries,
                     int64_t cols, unsigned char *mask) {
  const spk_group *group = &blocks->group[g];
  const int32_t *keys = &blocks->keys[g * SPK_GROUP_KEYS];
  uint32_t slices = 0;
  uint64_t any = 0, all = UINT64_MAX;
  for (int64_t i = 0; i < queries; i++) {
    const uint64_t bits =
        group->bits < 0 ? UINT64_MAX : blocks->bits[group->bits * SPK_PANEL_QUERIES + i];
    any |= bits;
    all &= bits;
    if (bits) slices |= 1u << i / SPK_SLICE_QUERIES;
    for (int k = 0; k < SPK_GROUP_KEYS; k++)
      if ((bits >> k & 1) && keys[k] >= 0 && keys[k] < cols) mask[(first + i) * cols + keys[k]]++;
  }
  for (int k = 0; k < SPK_GROUP_KEYS; k++)
    if ((any >> k & 1) ? keys[k] < 0 || keys[k] >= cols : keys[k] != -1) return 0;
  return slices == group->slices && (all == UINT64_MAX) == (group->bits < 0);
}

/* mask is rows x cols of 0; groups has a number per panel, in the order of queries; *masks says how
 * many of them need bits. */
int spk_packed_block_mask(const spk_sparse *A, unsigned char *mask, int64_t *groups,
                          int64_t *masks) {
  spk_entries entries;
  spk_block_mask blocks;
  int status = spk_entries_make(A, &entries);
  if (status != SPK_OK) return status;
  status = spk_block_mask_make(&entries, &blocks);
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
  *masks = blocks.masks;
  spk_block_mask_free(&blocks);
  spk_entries_free(&entries);
  return status;
}
