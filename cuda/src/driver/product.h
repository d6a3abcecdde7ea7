/* A product as the kernels of spk_cuda_spmm take it, and the interface of each family of
 * kernels. */
#ifndef SPK_DRIVER_PRODUCT_H
#define SPK_DRIVER_PRODUCT_H

#include <memory>

#include "memory.h"
#include "../pack/entries.h"

namespace spk {

/* B is k x n and row-major.  Element (i, j) of C is C[i * c_row + j * c_col]. */
struct Product {
  int64_t n;
  const void *B;
  int64_t ldb;
  void *C;
  int64_t c_row, c_col;
  spk_epilogue epilogue;
  char *workspace; /* as many bytes as workspace() returns */
  void *stream;
};

/* A matrix, packed for one family of kernels. */
class SpmmKernel {
 public:
  virtual ~SpmmKernel() = default;
  /* The values lie on the device and have the handle's dtype. */
  virtual int fill(const void *values, void *stream) = 0;
  virtual size_t workspace(int64_t n) const = 0;
  virtual int run(const Product &product) const = 0;
  virtual size_t bytes() const = 0;
  virtual const char *name(int64_t n) const = 0;
};

/* What a family of kernels is made from. */
struct SpmmWanted {
  const spk_entries *A;
  spk_cuda_dtype dtype;
  spk_cuda_precision precision;
  int64_t width;
  spk_cuda_device device;
};

/* Make a kernel of class K by its make().  Returns SPK_OK and the kernel, or the status of the
 * failure. */
template <class K, class Base, class... Arguments>
int make_kernel(std::unique_ptr<Base> *made, const Arguments &...arguments) {
  auto kernel = std::make_unique<K>();
  const int status = kernel->make(arguments...);
  if (status == SPK_OK) *made = std::move(kernel);
  return status;
}

/* One per family.  Returns SPK_OK and a kernel, or the status of the failure. */
int make_spmm_rows(const SpmmWanted &wanted, std::unique_ptr<SpmmKernel> *made);
int make_spmm_panels(const SpmmWanted &wanted, std::unique_ptr<SpmmKernel> *made);
int make_spmm_gather(const SpmmWanted &wanted, std::unique_ptr<SpmmKernel> *made);
int make_spmm_bitmap(const SpmmWanted &wanted, std::unique_ptr<SpmmKernel> *made);

/* Make the family that `kernel` names, or the families that suit the matrix best. */
int make_spmm(spk_cuda_kernel kernel, const SpmmWanted &wanted, std::unique_ptr<SpmmKernel> *made);

/* Whether a pointer, and a stride between rows, allow accesses of 16 bytes. */
inline bool is_aligned(const void *p, int64_t stride, size_t element) {
  return reinterpret_cast<uintptr_t>(p) % 16 == 0 && stride * (int64_t)element % 16 == 0;
}

} // namespace spk

#endif
