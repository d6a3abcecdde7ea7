/* The runtime of runtime.h, by CUDA's runtime. */
#include "runtime.h"

#include <cuda.h>

namespace spk {

static thread_local cudaError_t last = cudaSuccess;

static int status_of(cudaError_t error) {
  if (error == cudaSuccess) return SPK_OK;
  last = error;
  /* An error that is not sticky is cleared here, so that the next caller does not get it. */
  cudaGetLastError();
  switch (error) {
    case cudaErrorMemoryAllocation:
      return SPK_ERR_MEMORY;
    case cudaErrorInsufficientDriver:
    case cudaErrorSystemDriverMismatch:
    case cudaErrorInitializationError:
      return SPK_CUDA_ERR_DRIVER;
    case cudaErrorNoDevice:
    case cudaErrorInvalidDevice:
    case cudaErrorNoKernelImageForDevice:
      return SPK_CUDA_ERR_DEVICE;
    default:
      return SPK_CUDA_ERR_RUNTIME;
  }
}

int query_device(int device, spk_cuda_device *found) {
  memset(found, 0, sizeof *found);
  int status = status_of(cudaRuntimeGetVersion(&found->runtime_version));
  if (status == SPK_OK) status = status_of(cudaDriverGetVersion(&found->driver_version));
  if (status == SPK_OK && !found->driver_version) status = SPK_CUDA_ERR_DRIVER;
  if (status == SPK_OK) status = status_of(cudaGetDeviceCount(&found->count));
  if (status == SPK_OK && device < 0) status = status_of(cudaGetDevice(&device));
  if (status != SPK_OK) return status;
  found->device = device;
  const struct {
    int *to;
    cudaDeviceAttr attribute;
  } wanted[] = {{&found->major, cudaDevAttrComputeCapabilityMajor},
                {&found->minor, cudaDevAttrComputeCapabilityMinor},
                {&found->multiprocessors, cudaDevAttrMultiProcessorCount}};
  for (const auto &want : wanted) {
    status = status_of(cudaDeviceGetAttribute(want.to, want.attribute, device));
    if (status != SPK_OK) return status;
  }
  return found->major < 8 ? SPK_CUDA_ERR_DEVICE : SPK_OK;
}

int current_device(int *device) { return status_of(cudaGetDevice(device)); }
bool has_context(int device) {
  /* CUDA's runtime has no such query.  The driver is asked without being linked to. */
  using Query = CUresult (*)(CUdevice, unsigned *, int *);
  void *found = nullptr;
  cudaDriverEntryPointQueryResult result;
  if (cudaGetDriverEntryPointByVersion("cuDevicePrimaryCtxGetState", &found, 12000,
                                       cudaEnableDefault, &result) != cudaSuccess ||
      !found)
    return true;
  unsigned flags;
  int active = 0;
  return reinterpret_cast<Query>(found)(device, &flags, &active) != CUDA_SUCCESS || active;
}
int set_device(int device) { return status_of(cudaSetDevice(device)); }
int wait_for_device() { return status_of(cudaDeviceSynchronize()); }
int allocate(void **p, size_t bytes) { return status_of(cudaMalloc(p, bytes ? bytes : 1)); }
int release(void *p) { return status_of(cudaFree(p)); }
int upload(void *to, const void *from, size_t bytes) {
  return bytes ? status_of(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice)) : SPK_OK;
}
int copy_on_device(void *to, const void *from, size_t bytes, void *stream) {
  if (!bytes) return SPK_OK;
  return status_of(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice,
                                   static_cast<cudaStream_t>(stream)));
}
const char *last_error() { return cudaGetErrorString(last); }

int load_kernel_by_address(const void *kernel, size_t shared) {
  /* The query loads the kernel now.  By default CUDA loads it at the first launch. */
  cudaFuncAttributes attributes;
  int status = status_of(cudaFuncGetAttributes(&attributes, kernel));
  /* The attribute belongs to the function and not to a launch, so it must not shrink below what
   * another handle asked for. */
  if (status == SPK_OK && shared > (size_t)attributes.maxDynamicSharedSizeBytes) {
    status = status_of(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared));
  }
  return status;
}

int launch_by_address(const void *kernel, int64_t blocks, int threads, size_t shared, void *stream,
                      const void *p) {
  if (blocks <= 0) return SPK_OK;
  if (blocks > MAX_BLOCKS) return SPK_ERR_SHAPE;
  void *arguments[] = {const_cast<void *>(p)};
  return status_of(cudaLaunchKernel(kernel, dim3((unsigned)blocks), dim3((unsigned)threads),
                                    arguments, shared, static_cast<cudaStream_t>(stream)));
}

} // namespace spk
