/* The instruction set in use. */
#include "../dispatch/dispatch.h"

spk_status spk_init(void) { return spk_active_kernels() ? SPK_OK : SPK_ERR_ISA; }

const char *spk_isa(void) {
  const spk_kernels *kernels = spk_active_kernels();
  return kernels ? kernels->isa : NULL;
}

const char *const *spk_isa_list(void) { return spk_available_isas(); }
