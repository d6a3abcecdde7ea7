/* The table of kernels in use, chosen once per process. */
#ifndef SPK_DISPATCH_H
#define SPK_DISPATCH_H

#include "../kernels/table.h"
#include "tuning.h"

/* What the plans need to know of the machine. */
typedef struct spk_machine {
  size_t l1_bytes, l2_bytes;
  spk_tuning tuning, narrow_tuning; /* the latter for kernels that are `halved` */
} spk_machine;

/* NULL where SPKERNELS_ISA asks for what this build or this machine does not have. */
const spk_kernels *spk_active_kernels(void);
const spk_machine *spk_active_machine(void);
/* The names of those that this build and this machine share, and NULL. */
const char *const *spk_available_isas(void);

static inline const spk_tuning *spk_tuning_for(const spk_kernels *kernels,
                                               const spk_machine *machine) {
  return kernels->halved ? &machine->narrow_tuning : &machine->tuning;
}

/* Those for n columns: a vector of half the lanes serves as few columns as well as a whole one, and
 * takes half of L1. */
static inline const spk_kernels *spk_kernels_for(const spk_kernels *kernels, spk_dtype dtype,
                                                 ptrdiff_t n) {
  return kernels->narrow && n <= kernels->narrow->lanes[dtype] ? kernels->narrow : kernels;
}

#endif
