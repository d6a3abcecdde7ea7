/* The table of kernels in use, chosen once per process. */
#ifndef SPK_DISPATCH_H
#define SPK_DISPATCH_H

#include "../kernels/table.h"
#include "tuning.h"

/* What plans need to know of the machine. */
typedef struct spk_machine {
  size_t l1_bytes, l2_bytes;
  spk_tuning tuning, narrow_tuning; /* narrow_tuning: for kernels that are `halved` */
} spk_machine;

/* The table in use, or NULL if SPKERNELS_ISA names an ISA that this build or this machine lacks. */
const spk_kernels *spk_active_kernels(void);
const spk_machine *spk_active_machine(void);
/* The names of the ISAs that both this build and this machine have, and NULL. */
const char *const *spk_available_isas(void);

static inline const spk_tuning *spk_tuning_for(const spk_kernels *kernels,
                                               const spk_machine *machine) {
  return kernels->halved ? &machine->narrow_tuning : &machine->tuning;
}

/* The kernels for n columns.  If the columns fit a vector of half the lanes, that vector is as fast
 * as a whole one, and its panel takes half of L1. */
static inline const spk_kernels *spk_kernels_for(const spk_kernels *kernels, spk_dtype dtype,
                                                 ptrdiff_t n) {
  return kernels->narrow && n <= kernels->narrow->lanes[dtype] ? kernels->narrow : kernels;
}

#endif
