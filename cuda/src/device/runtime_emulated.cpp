/* A device that is the host's own memory, for tests. */
#include "runtime.h"

#include <cstdlib>

namespace spk {

static constexpr int VERSION = 13000;

int query_device(int device, spk_cuda_device *found) {
  *found = {device < 0 ? 0 : device, 1, 9, 0, 4, VERSION, VERSION};
  return device > 0 ? SPK_CUDA_ERR_DEVICE : SPK_OK;
}
int current_device(int *device) {
  *device = 0;
  return SPK_OK;
}
bool has_context(int) { return true; }
int set_device(int device) { return device ? SPK_CUDA_ERR_DEVICE : SPK_OK; }
int wait_for_device() { return SPK_OK; }
int allocate(void **p, size_t bytes) {
  /* Aligned as by cudaMalloc, and no larger than asked for, so that sanitizers see accesses beyond
   * it. */
  return posix_memalign(p, 256, bytes ? bytes : 1) ? SPK_ERR_MEMORY : SPK_OK;
}
int release(void *p) {
  free(p);
  return SPK_OK;
}
int upload(void *to, const void *from, size_t bytes) {
  if (bytes) memcpy(to, from, bytes);
  return SPK_OK;
}
int copy_on_device(void *to, const void *from, size_t bytes, void *) {
  return upload(to, from, bytes);
}
const char *last_error() { return "no error"; }

} // namespace spk
