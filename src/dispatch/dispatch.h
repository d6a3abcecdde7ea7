/* The table of kernels in use, chosen once per process. */
#ifndef SPK_DISPATCH_H
#define SPK_DISPATCH_H

#include "../kernels/table.h"
#include "tuning.h"

/* What the plans need to know of the machine. */
typedef struct spk_machine {
  size_t l1_bytes, l2_bytes;
  spk_tuning tuning;
} spk_machine;

/* NULL where SPKERNELS_ISA asks for what this build or this machine does not have. */
const spk_kernels *spk_active_kernels(void);
const spk_machine *spk_active_machine(void);

#endif
