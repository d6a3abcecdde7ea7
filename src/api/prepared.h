/* What spk_prepare and spk_prepare_bitmap make. */
#ifndef SPK_API_PREPARED_H
#define SPK_API_PREPARED_H

#include "../pack/bitmap.h"
#include "../pack/row_panels.h"
#include "../pack/sell.h"

/* One of the layouts; the others are NULL. */
struct spk_prepared {
  spk_row_panels *row_panels;
  spk_sell *sell;
  spk_bitmap *bitmap;
};

/* What all layouts have. */
typedef struct spk_prepared_facts {
  spk_dtype dtype;
  ptrdiff_t rows, cols, nnz;
  size_t bytes;
} spk_prepared_facts;

static inline spk_prepared_facts spk_facts_of(const spk_prepared *prepared) {
  const spk_sell *sell = prepared->sell;
  if (sell)
    return (spk_prepared_facts){sell->dtype, sell->rows, sell->cols, sell->nnz, sell->bytes};
  const spk_bitmap *bitmap = prepared->bitmap;
  if (bitmap)
    return (spk_prepared_facts){SPK_F32, bitmap->rows, bitmap->cols, bitmap->nnz, bitmap->bytes};
  const spk_row_panels *panels = prepared->row_panels;
  return (spk_prepared_facts){panels->dtype, panels->rows, panels->cols, panels->nnz,
                              spk_row_panels_bytes(panels)};
}

#endif
