/* The CSR that row panels or slices were packed from, entry by entry: so nobody has to keep it. */
#ifndef SPK_PACK_UNPACK_H
#define SPK_PACK_UNPACK_H

#include "sell.h"
#include "row_panels.h"

/* Where entries go.  `next` has the place of the next entry of each row; without `values`, entries
 * are only counted there. */
typedef struct spk_unpacked {
  spk_itype itype;
  ptrdiff_t *next;
  void *indices, *values;
} spk_unpacked;

/* Every entry, those of a row in the order of its columns; no padding. */
void spk_row_panels_unpack(const spk_row_panels *A, const spk_unpacked *to);
/* The same for slices, whose rows come in any order of their windows. */
void spk_sell_unpack(const spk_sell *A, int permute_bits, const spk_unpacked *to);

#endif
