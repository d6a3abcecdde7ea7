/* Which family of kernels multiplies. */
#include "../pack/register_panels.h"
#include "../pack/panels.h"
#include "../pack/rows.h"
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

/* Functions named cycles_of_ say what a multiprocessor takes for all entries and 256 columns, in
 * cycles; reckoned for an H100, by what bounds the kernels (see their headers): 128 bytes of L1 a
 * cycle, 4 instructions, 24 bytes of L2, 1024 FMA of 16 bits on tensor cores. */

/* `all` cycles, or as long as the block that takes the longest: `block` of them. */
double with_tail(const SpmmWanted &wanted, double all, double block) {
  const double tail = block * wanted.device.multiprocessors * 256 / (double)wanted.width;
  return all > tail ? all : tail;
}

double cycles_of_rows(const SpmmWanted &wanted) {
  const spk_entries &A = *wanted.A;
  /* 16 bits: 107 instructions for 16 entries, counted in machine code. */
  const bool sixteen_bits = wanted.dtype == SPK_CUDA_F16 || wanted.dtype == SPK_CUDA_BF16;
  const double entry = sixteen_bits ? 6.7 : wanted.dtype == SPK_CUDA_F32 ? 9.0 : 18.0;
  int64_t longest = 0;
  for (int64_t i = 0; i < A.rows; i++) {
    const int64_t length = A.offsets[i + 1] - A.offsets[i];
    longest = length > longest ? length : longest;
  }
  if (longest > SPK_PART_ENTRIES) longest = SPK_PART_ENTRIES;
  /* A block has 8 parts, of an eighth of the columns. */
  return with_tail(wanted, entry * (double)A.nnz, entry * (double)longest);
}

double cycles_of_panels(const SpmmWanted &wanted) {
  const spk_register_panels_size size = spk_register_panels_measure(wanted.A);
  const double vectors = wanted.dtype == SPK_CUDA_F64 ? 2 : 1;
  const double all = vectors * (4.0 * (double)size.pairs + 6.5 * (double)size.records);
  const double each = size.records ? all / (double)size.records : 0;
  /* A block has a panel whose warps share it, of half of the columns. */
  return with_tail(wanted, all, each * (double)size.longest / 2);
}

/* Panels on tensor cores: their rows of B, and their cells, full ones and others. */
struct TensorSize {
  double rows_of_b, cells, fullness;
  int element; /* bytes */
  double rate; /* FMA a cycle */
};

int measure_tensor(const SpmmWanted &wanted, TensorSize *size) {
  const bool floats = wanted.dtype == SPK_CUDA_F32;
  const int halves = floats ? 1 : 2;
  int height = SPK_MIN_HEIGHT;
  int status = spk_panels_height(wanted.A, halves, &height);
  if (status == SPK_OK) status = spk_panels_fullness(wanted.A, height, halves, &size->fullness);
  if (status != SPK_OK) return status;
  size->cells = size->fullness > 0 ? (double)wanted.A->nnz / size->fullness : 0;
  size->rows_of_b = size->cells / height;
  size->element = floats ? 4 : 2;
  size->rate = !floats ? 1024 : wanted.precision == SPK_CUDA_TF32 ? 512 : 512.0 / 3;
  return SPK_OK;
}

/* What L2 has to give, of B, and of A for every 128 columns, goes beside what tensor cores do, or
 * the instructions of a fragment that is unpacked from a bitmap, for 64 columns. */
double cycles_of_tensor(const TensorSize &size, double cell_bytes, double instructions) {
  const double bytes = size.rows_of_b * 256 * size.element + size.cells * 2 * cell_bytes;
  const double l2 = bytes / 24, tensor = size.cells * 256 / size.rate;
  const double issue = size.cells * instructions;
  const double longer = l2 > tensor ? l2 : tensor;
  return longer > issue ? longer : issue;
}
double cycles_of_gather(const TensorSize &size) { return cycles_of_tensor(size, size.element, 0); }
double cycles_of_bitmap(const TensorSize &size) {
  /* Of 256 and of 128 cells: counted in machine code for compute capability 9.0. */
  const double instructions = size.element == 2 ? 78.0 / 256 : 57.0 / 128;
  return cycles_of_tensor(size, size.fullness * size.element + 1.5 / 8, instructions);
}
/* Where more cells than that are entries, a bitmap saves too little for what it takes. */
constexpr double BITMAP_FULLNESS = 0.5;

/* The family for many columns. */
int choose_wide(const SpmmWanted &wanted, spk_cuda_kernel *chosen) {
  double least = cycles_of_rows(wanted);
  *chosen = SPK_CUDA_ROWS;
  const auto consider = [&](spk_cuda_kernel kernel, double cycles) {
    if (cycles < least) *chosen = kernel, least = cycles;
  };
  const bool strict = wanted.precision == SPK_CUDA_STRICT;
  const bool wide_types = wanted.dtype == SPK_CUDA_F32 || wanted.dtype == SPK_CUDA_F64;
  if (wide_types && wanted.A->cols <= (int64_t)1 << SPK_REGISTER_PANEL_COLUMN_BITS)
    consider(SPK_CUDA_PANELS, cycles_of_panels(wanted));
  if (wide_types && strict) return SPK_OK;
  TensorSize size;
  const int status = measure_tensor(wanted, &size);
  if (status == SPK_ERR_SHAPE) return SPK_OK; /* more than panels can number */
  if (status != SPK_OK) return status;
  consider(SPK_CUDA_GATHER, cycles_of_gather(size));
  if (size.fullness < BITMAP_FULLNESS) consider(SPK_CUDA_BITMAP, cycles_of_bitmap(size));
  return SPK_OK;
}

int make_family(spk_cuda_kernel kernel, const SpmmWanted &wanted,
                std::unique_ptr<SpmmKernel> *made) {
  switch (kernel) {
    case SPK_CUDA_ROWS:
      return make_spmm_rows(wanted, made);
    case SPK_CUDA_PANELS:
      return make_spmm_panels(wanted, made);
    case SPK_CUDA_GATHER:
      return make_spmm_gather(wanted, made);
    case SPK_CUDA_BITMAP:
      return make_spmm_bitmap(wanted, made);
    default:
      return SPK_ERR_ARGUMENT;
  }
}

} // namespace

int make_spmm(spk_cuda_kernel kernel, const SpmmWanted &wanted, std::unique_ptr<SpmmKernel> *made) {
  if (kernel != SPK_CUDA_AUTO) return make_family(kernel, wanted, made);
  spk_cuda_kernel chosen = SPK_CUDA_ROWS;
  int status = wanted.width >= WIDE ? choose_wide(wanted, &chosen) : SPK_OK;
  std::unique_ptr<SpmmKernel> narrow, wide;
  if (status == SPK_OK) status = make_spmm_rows(wanted, &narrow);
  if (status == SPK_OK && chosen != SPK_CUDA_ROWS) status = make_family(chosen, wanted, &wide);
  if (status != SPK_OK) return status;
  if (wide)
    *made = std::make_unique<ByWidth>(std::move(narrow), std::move(wide));
  else
    *made = std::move(narrow);
  return SPK_OK;
}

} // namespace spk
