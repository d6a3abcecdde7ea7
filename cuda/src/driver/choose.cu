/* Which family of kernels multiplies. */
#include "../pack/eights.h"
#include "product.h"

namespace spk {
namespace {

/* Columns from which on a family is used that has wide tiles: half of one. */
constexpr int64_t WIDE = 64;

/* Parts of rows for few columns, and another family for many. */
class ByWidth : public SpmmKernel {
 public:
  ByWidth(std::unique_ptr<SpmmKernel> narrow, std::unique_ptr<SpmmKernel> wide)
      : narrow_(std::move(narrow)), wide_(std::move(wide)) {}
  int fill(const void *values, void *stream) override {
    const int status = narrow_->fill(values, stream);
    return status == SPK_OK ? wide_->fill(values, stream) : status;
  }
  size_t workspace(int64_t n) const override { return of(n).workspace(n); }
  int run(const Product &product) const override { return of(product.n).run(product); }
  size_t bytes() const override { return narrow_->bytes() + wide_->bytes(); }
  const char *name(int64_t n) const override { return of(n).name(n); }

 private:
  const SpmmKernel &of(int64_t n) const { return n < WIDE ? *narrow_ : *wide_; }
  std::unique_ptr<SpmmKernel> narrow_, wide_;
};

/* What a multiprocessor takes for all entries and 256 columns, in cycles; reckoned, by what bounds
 * the kernels (spmm_rows.h, spmm_panels.h): wavefronts of L1 or instructions. */
double cycles_of_rows(const spk_entries &A) { return 9.0 * (double)A.nnz; }
double cycles_of_panels(const spk_eights_size &size, int multiprocessors) {
  const double all = 4.0 * (double)size.pairs + 6.5 * (double)size.records;
  const double each = size.records ? all / (double)size.records : 0;
  /* The longest panel is that of one block, whose warps share it. */
  const double longest = each * (double)size.longest * multiprocessors;
  return all > longest ? all : longest;
}

int make_strict(const SpmmWanted &wanted, std::unique_ptr<SpmmKernel> *made) {
  std::unique_ptr<SpmmKernel> narrow, wide;
  int status = make_spmm_rows(wanted, &narrow);
  const bool fits = wanted.width >= WIDE && wanted.A->cols <= (int64_t)1 << SPK_EIGHT_COLUMN_BITS;
  if (status == SPK_OK && fits) {
    const spk_eights_size size = spk_eights_measure(wanted.A);
    if (cycles_of_panels(size, wanted.device.multiprocessors) < cycles_of_rows(*wanted.A))
      status = make_spmm_panels(wanted, &wide);
  }
  if (status != SPK_OK) return status;
  if (wide)
    *made = std::make_unique<ByWidth>(std::move(narrow), std::move(wide));
  else
    *made = std::move(narrow);
  return SPK_OK;
}

} // namespace

int make_spmm(spk_cuda_kernel kernel, const SpmmWanted &wanted, std::unique_ptr<SpmmKernel> *made) {
  switch (kernel) {
    case SPK_CUDA_ROWS:
      return make_spmm_rows(wanted, made);
    case SPK_CUDA_PANELS:
      return make_spmm_panels(wanted, made);
    case SPK_CUDA_GATHER:
      return make_spmm_gather(wanted, made);
    case SPK_CUDA_BITMAP:
      return make_spmm_bitmap(wanted, made);
    case SPK_CUDA_AUTO:
      break;
    default:
      return SPK_ERR_ARGUMENT;
  }
  if (wanted.dtype == SPK_CUDA_F32 || wanted.dtype == SPK_CUDA_F64)
    return make_strict(wanted, made);
  return make_spmm_rows(wanted, made);
}

} // namespace spk
