/* A mask of attention, packed: for each panel of 128 queries, the keys that any of them has, in
 * groups of 64, and which query has which key.
 *
 * The keys of a group need not be neighbours, because kernels gather them by index, at the price of
 * an index per key.  So a panel whose queries have a union of U keys takes ceil(U / 64) groups, the
 * fewest possible.  Aligned blocks of 64 keys come first, as groups of their own, if the panel has
 * all keys of the block.  In masks of blocks or windows, most of these groups are full for all
 * queries, and then need no bits.  The other keys follow in ascending order.  Repeated entries
 * count once, as in spk_attend.
 *
 * (Blocks of a mask as units of work: Dao et al., FlashAttention, arXiv 2205.14135, section 3.3.
 * Gathered columns in dense tiles: Wang et al., TC-GNN, USENIX ATC 2023.) */
#ifndef SPK_PACK_BLOCK_MASK_H
#define SPK_PACK_BLOCK_MASK_H

#include "entries.h"

#define SPK_PANEL_QUERIES 128
#define SPK_GROUP_KEYS 64
/* The queries that a bit of spk_group::slices stands for. */
#define SPK_SLICE_QUERIES 16

typedef struct spk_group {
  /* The number of the mask in spk_block_mask::bits; -1: every query of the panel has all 64
   * keys. */
  int32_t bits;
  /* Bit i: at least one of the queries 16 i to 16 i + 15 has one of the keys. */
  uint32_t slices;
} spk_group;

typedef struct spk_query_panel {
  int64_t begin; /* its first group */
  int32_t count;
  int32_t index; /* the number of its first query is 128 times this */
} spk_query_panel;

typedef struct spk_block_mask {
  int64_t rows, panels, groups, masks;
  /* The number of panels, which come first, with more than twice the groups of an average panel.
   * There are about as many as a mask has global queries.  They begin first, so that none is left
   * alone at the end. */
  int64_t long_panels;
  spk_query_panel *panel; /* panels with the most groups come first */
  spk_group *group;
  int32_t *keys;  /* 64 of each group; -1: no key */
  uint64_t *bits; /* for each mask, a word per query: bit i for key i of the group */
} spk_block_mask;

static inline void spk_block_mask_free(spk_block_mask *blocks) {
  free(blocks->panel);
  free(blocks->group);
  free(blocks->keys);
  free(blocks->bits);
  memset(blocks, 0, sizeof *blocks);
}

static inline int spk_count_bits(uint64_t bits) {
#if defined(__GNUC__)
  return __builtin_popcountll(bits);
#else
  int count = 0;
  for (; bits; bits &= bits - 1) count++;
  return count;
#endif
}

/* Scratch for packing one panel.  Words stand for 64 neighbouring keys each. */
typedef struct spk_block_mask_room {
  int64_t words;
  uint64_t *have; /* the keys that any query of the panel has; 0 between panels */
  /* For each word, the place of its first key among the panel's keys. */
  int64_t *place;
  uint64_t *bits; /* the bits of the groups of a panel */
  int64_t groups; /* the groups that `bits` has room for */
  int64_t masks;  /* the masks that spk_block_mask::bits has room for */
} spk_block_mask_room;

static inline void spk_block_mask_room_free(spk_block_mask_room *room) {
  free(room->have);
  free(room->place);
  free(room->bits);
}

/* Mark the keys of a panel.  Returns their number; they are in words [*low, *high). */
static inline int64_t spk_block_mask_mark(const spk_entries *A, int64_t first, int64_t last,
                                          spk_block_mask_room *room, int64_t *low, int64_t *high) {
  int64_t keys = 0;
  *low = room->words;
  *high = 0;
  for (int64_t p = A->offsets[first]; p < A->offsets[last]; p++) {
    const int64_t word = A->columns[p] / 64;
    room->have[word] |= (uint64_t)1 << A->columns[p] % 64;
    *low = word < *low ? word : *low;
    *high = word >= *high ? word + 1 : *high;
  }
  for (int64_t word = *low; word < *high; word++) keys += spk_count_bits(room->have[word]);
  return keys;
}

/* List the panel's keys in the order of spk_block_mask: those of whole words, then the others. */
static inline void spk_block_mask_place(spk_block_mask_room *room, int64_t low, int64_t high,
                                        int64_t keys, int32_t *list) {
  int64_t place = 0;
  for (int whole = 1; whole >= 0; whole--) {
    for (int64_t word = low; word < high; word++) {
      uint64_t have = room->have[word];
      if ((have == UINT64_MAX) != whole) continue;
      room->place[word] = place;
      for (; have; have &= have - 1) list[place++] = (int32_t)(word * 64 + spk_lowest_bit(have));
    }
  }
  for (; keys % SPK_GROUP_KEYS; keys++) list[keys] = -1;
}

/* Set the bits of the queries that have a key, for all keys of all groups. */
static inline void spk_block_mask_fill(const spk_entries *A, int64_t first, int64_t last,
                                       const spk_block_mask_room *room) {
  for (int64_t row = first; row < last; row++) {
    for (int64_t p = A->offsets[row]; p < A->offsets[row + 1]; p++) {
      const int64_t word = A->columns[p] / 64;
      const uint64_t bit = (uint64_t)1 << A->columns[p] % 64;
      const int64_t at = room->place[word] + spk_count_bits(room->have[word] & (bit - 1));
      room->bits[at / SPK_GROUP_KEYS * SPK_PANEL_QUERIES + (row - first)] |= (uint64_t)1
                                                                             << at % SPK_GROUP_KEYS;
    }
  }
}

/* Make a group from the bits of the panel's `queries`.  It gets a mask unless all queries have all
 * keys. */
static inline int spk_block_mask_add(spk_block_mask *made, const uint64_t *bits, int64_t queries,
                                     spk_block_mask_room *room, spk_group *group) {
  int full = 1;
  group->slices = 0;
  for (int64_t i = 0; i < queries; i++) {
    full &= bits[i] == UINT64_MAX;
    if (bits[i]) group->slices |= 1u << i / SPK_SLICE_QUERIES;
  }
  group->bits = -1;
  if (full) return SPK_OK;
  if (made->masks == INT32_MAX) return SPK_ERR_SHAPE;
  if (made->masks == room->masks) {
    room->masks = 2 * room->masks + 16;
    uint64_t *larger = (uint64_t *)spk_pack_new(room->masks, SPK_PANEL_QUERIES * sizeof *larger);
    if (!larger) return SPK_ERR_MEMORY;
    if (made->masks)
      memcpy(larger, made->bits, (size_t)made->masks * SPK_PANEL_QUERIES * sizeof *larger);
    free(made->bits);
    made->bits = larger;
  }
  group->bits = (int32_t)made->masks++;
  memcpy(made->bits + (int64_t)group->bits * SPK_PANEL_QUERIES, bits,
         SPK_PANEL_QUERIES * sizeof *bits);
  return SPK_OK;
}

static inline int spk_block_mask_pack(spk_block_mask *made, const spk_entries *A,
                                      spk_query_panel *panel, spk_block_mask_room *room) {
  const int64_t first = (int64_t)panel->index * SPK_PANEL_QUERIES;
  const int64_t last = spk_min(A->rows, first + SPK_PANEL_QUERIES);
  int64_t low, high;
  const int64_t keys = spk_block_mask_mark(A, first, last, room, &low, &high);
  if (panel->count > room->groups) {
    free(room->bits);
    room->groups = panel->count;
    room->bits = (uint64_t *)spk_pack_new(room->groups, SPK_PANEL_QUERIES * sizeof *room->bits);
    if (!room->bits) return SPK_ERR_MEMORY;
  }
  if (panel->count)
    memset(room->bits, 0, (size_t)panel->count * SPK_PANEL_QUERIES * sizeof *room->bits);
  spk_block_mask_place(room, low, high, keys, made->keys + panel->begin * SPK_GROUP_KEYS);
  spk_block_mask_fill(A, first, last, room);
  for (int64_t word = low; word < high; word++) room->have[word] = 0;
  int status = SPK_OK;
  for (int64_t g = 0; status == SPK_OK && g < panel->count; g++)
    status = spk_block_mask_add(made, room->bits + g * SPK_PANEL_QUERIES, last - first, room,
                                &made->group[panel->begin + g]);
  return status;
}

/* Panels with more groups come first.  Those with equal numbers of groups keep their order. */
static inline int spk_compare_panels(const void *x, const void *y) {
  const spk_query_panel *a = (const spk_query_panel *)x, *b = (const spk_query_panel *)y;
  if (a->count != b->count) return a->count > b->count ? -1 : 1;
  return a->index < b->index ? -1 : 1;
}

static inline int spk_block_mask_make(const spk_entries *A, spk_block_mask *made) {
  memset(made, 0, sizeof *made);
  const int64_t panels = spk_ceil_div(A->rows, SPK_PANEL_QUERIES);
  if (panels > INT32_MAX) return SPK_ERR_SHAPE;
  spk_block_mask_room room;
  memset(&room, 0, sizeof room);
  room.words = A->cols / 64 + 1;
  room.have = (uint64_t *)calloc((size_t)room.words, sizeof *room.have);
  room.place = (int64_t *)spk_pack_new(room.words, sizeof *room.place);
  made->panel = (spk_query_panel *)spk_pack_new(panels, sizeof *made->panel);
  int status = room.have && room.place && made->panel ? SPK_OK : SPK_ERR_MEMORY;
  made->rows = A->rows;
  made->panels = status == SPK_OK ? panels : 0;
  for (int64_t i = 0; i < made->panels; i++) {
    const int64_t first = i * SPK_PANEL_QUERIES;
    int64_t low, high;
    const int64_t keys = spk_block_mask_mark(A, first, spk_min(A->rows, first + SPK_PANEL_QUERIES),
                                             &room, &low, &high);
    for (int64_t word = low; word < high; word++) room.have[word] = 0;
    made->panel[i].begin = made->groups;
    made->panel[i].count = (int32_t)spk_ceil_div(keys, SPK_GROUP_KEYS);
    made->panel[i].index = (int32_t)i;
    made->groups += made->panel[i].count;
  }
  if (status == SPK_OK) {
    made->group = (spk_group *)spk_pack_new(made->groups, sizeof *made->group);
    made->keys = (int32_t *)spk_pack_new(made->groups, SPK_GROUP_KEYS * sizeof *made->keys);
    if (!made->group || !made->keys) status = SPK_ERR_MEMORY;
  }
  for (int64_t i = 0; status == SPK_OK && i < made->panels; i++)
    status = spk_block_mask_pack(made, A, &made->panel[i], &room);
  spk_block_mask_room_free(&room);
  if (status != SPK_OK) {
    spk_block_mask_free(made);
    return status;
  }
  if (panels) qsort(made->panel, (size_t)panels, sizeof *made->panel, spk_compare_panels);
  while (made->long_panels < panels &&
         made->panel[made->long_panels].count * panels > 2 * made->groups)
    made->long_panels++;
  return SPK_OK;
}

#endif
