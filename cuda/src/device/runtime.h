/* What the host needs of CUDA's runtime. With SPK_EMULATED, the host's own memory stands for the
 * device.
 *
 * Functions return a status of spkernels/cuda.h. */
#ifndef SPK_DEVICE_RUNTIME_H
#define SPK_DEVICE_RUNTIME_H

#include "spkernels/cuda.h"
#include "device.h"

namespace spk {

/* The shared memory that a block can have on every supported device: that of compute capability
 * 8.6. */
constexpr size_t SHARED_EVERYWHERE = 99 * 1024;
/* The most blocks of a grid. */
constexpr int64_t MAX_BLOCKS = 0x7fffffff;

inline int64_t tiles_of(int64_t extent, int64_t tile) { return (extent + tile - 1) / tile; }
/* The blocks of a grid of x by y, or more than MAX_BLOCKS if the product overflows. */
inline int64_t blocks_of(int64_t x, int64_t y) {
  return x && y > MAX_BLOCKS / x ? MAX_BLOCKS + 1 : x * y;
}

int query_device(int device, spk_cuda_device *found);
int current_device(int *device);
int set_device(int device);
/* Whether this process has used a device.  If not, making it the current device would take memory
 * of it. */
bool has_context(int device);
int wait_for_device();
int allocate(void **p, size_t bytes);
int release(void *p);
/* Copy from host memory.  The copy is done when the call returns. */
int upload(void *to, const void *from, size_t bytes);
/* Copy from device memory, on the stream. */
int copy_on_device(void *to, const void *from, size_t bytes, void *stream);
const char *last_error();

/* Makes a device the current device for a scope. */
class OnDevice {
 public:
  explicit OnDevice(int device) {
    status_ = current_device(&before_);
    if (status_ == SPK_OK && before_ != device) {
      status_ = set_device(device);
      changed_ = status_ == SPK_OK;
    }
  }
  ~OnDevice() {
    if (changed_ && has_context(before_)) set_device(before_);
  }
  OnDevice(const OnDevice &) = delete;
  OnDevice &operator=(const OnDevice &) = delete;
  int status() const { return status_; }

 private:
  int before_ = 0, status_;
  bool changed_ = false;
};

/* load_kernel loads a kernel and allows it `shared` bytes of shared memory, so that its first
 * launch need not.  launch enqueues a kernel.  A grid of no blocks does nothing, and one of more
 * than MAX_BLOCKS is SPK_ERR_SHAPE. */
#ifdef SPK_EMULATED

template <class P>
int load_kernel(void (*)(P), size_t) {
  return SPK_OK;
}

template <class P>
int launch(void (*kernel)(P), int64_t blocks, int threads, size_t shared, void *, const P &p) {
  if (blocks > MAX_BLOCKS) return SPK_ERR_SHAPE;
  if (blocks > 0) emulated::run(blocks, threads, shared, [&] { kernel(p); });
  return SPK_OK;
}

#else

int load_kernel_by_address(const void *kernel, size_t shared);
int launch_by_address(const void *kernel, int64_t blocks, int threads, size_t shared, void *stream,
                      const void *p);

template <class P>
int load_kernel(void (*kernel)(P), size_t shared) {
  return load_kernel_by_address(reinterpret_cast<const void *>(kernel), shared);
}

template <class P>
int launch(void (*kernel)(P), int64_t blocks, int threads, size_t shared, void *stream,
           const P &p) {
  return launch_by_address(reinterpret_cast<const void *>(kernel), blocks, threads, shared, stream,
                           &p);
}

#endif

} // namespace spk

#endif
