/* Restores, entry by entry, the CSR that a packed matrix was made from.  So nobody has
 * to keep it. */
#ifndef SPK_PACK_UNPACK_H
#define SPK_PACK_UNPACK_H

#include "bitmap.h"
#include "sell.h"
#include "row_panels.h"

/* Where entries go.  `next` holds the place of the next entry of each row.  If `values` is NULL,
 * the entries of each row are only counted in `next`. */
typedef struct spk_unpacked {
  spk_itype itype;
  ptrdiff_t *next;
  void *indices, *values;
} spk_unpacked;

/* Unpack every entry of row panels, without padding.  If rows of the source were sorted, the
 * entries of a row come in the order of their columns. */
void spk_row_panels_unpack(const spk_row_panels *A, const spk_unpacked *to);
/* The same for SELL slices.  Entries of a row come in any order. */
void spk_sell_unpack(const spk_sell *A, int permute_bits, const spk_unpacked *to);

/* The same for a bitmap.  Entries of a row come in the order of their columns. */
void spk_bitmap_unpack(const spk_bitmap *A, const spk_unpacked *to);

#endif
