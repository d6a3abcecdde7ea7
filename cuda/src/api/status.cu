/* The version of the interface, devices and errors. */
#include "../device/runtime.h"

int spk_cuda_abi_version(void) { return SPK_CUDA_ABI_VERSION; }

const char *spk_cuda_last_error(void) { return spk::last_error(); }

int spk_cuda_query(int device, spk_cuda_device *found) {
  return found ? spk::query_device(device, found) : SPK_ERR_ARGUMENT;
}

const char *spk_cuda_status_string(int status) {
  switch (status) {
    case SPK_OK:
      return "success";
    case SPK_ERR_ARGUMENT:
      return "a null pointer, a negative size, strides or an enum value that are not supported";
    case SPK_ERR_SHAPE:
      return "the shapes of the operands do not fit together, or exceed what a launch can have";
    case SPK_ERR_DTYPE:
      return "an operand has another dtype than the matrix was prepared for";
    case SPK_ERR_INDPTR:
      return "offsets do not start at 0, decrease, or pass the number of entries";
    case SPK_ERR_INDEX:
      return "an index is negative or out of range";
    case SPK_ERR_MEMORY:
      return "out of memory";
    case SPK_CUDA_ERR_DRIVER:
      return "there is no NVIDIA driver, or it is older than the library needs";
    case SPK_CUDA_ERR_DEVICE:
      return "there is no such device, or its compute capability is below 8.0";
    case SPK_CUDA_ERR_RUNTIME:
      return "CUDA reported an error";
    case SPK_CUDA_ERR_WORKSPACE:
      return "the workspace is missing or not aligned to 256 bytes";
    case SPK_CUDA_ERR_PREPARED:
      return "the matrix was not prepared for this operation";
    default:
      return "unknown status";
  }
}
