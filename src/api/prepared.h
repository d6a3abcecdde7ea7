/* What spk_prepare makes. */
#ifndef SPK_API_PREPARED_H
#define SPK_API_PREPARED_H

#include "../pack/row_panels.h"
#include "../pack/sell.h"

/* One of the two layouts; the other is NULL. */
struct spk_prepared {
  spk_row_panels *row_panels;
  spk_sell *sell;
};

#endif
