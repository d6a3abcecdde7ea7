/* Chooses the family of kernels that multiplies. */
#include "../pack/register_panels.h"
#include "../pack/panels.h"
#include "../pack/rows.h"
#include "product.h"

namespace spk {
namespace {

/* The columns from which on a family with wide tiles is used: half of a tile. */
constexpr int64_t WIDE = 64;

/* Parts of rows for few columns, and another family for many columns. */
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

/* Functions named cycles_of_ return the cycles that a multiprocessor takes for all entries and 256
 * columns.  They are calculated for an H100, by what bounds the kernels (see their headers): per
 * cycle, 128 bytes of L1, 4 instructions, 24 bytes of L2, and 1024 FMA of 16 bits on tensor
 * cores. */

/* `all` cycles, or, if that is more, the `block` cycles of the longest block. */
double with_tail(const SpmmWanted &wanted, double all, double block) {
  const double tail = block * wanted.device.multiprocessors * 256 / (double)wanted.width;
  return all > tail ? all : tail;
}

double cycles_of_rows(const SpmmWanted &wanted) {
  const spk_entries &A = *wanted.A;
  /* With 16 bits, 16 entries take 107 instructions, counted in machine code. */
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
  /* A block has one panel, which its warps share, of half of the columns. */
  return with_tail(wanted, all, each * (double)size.longest / 2);
}

/* The size of panels for tensor cores: their rows of B, their cells, and the share of cells that
 * are entries. */
struct TensorSize {
  double rows_of_b, cells, fullness;
  int element; /* bytes */
  double rate; /* FMA per cycle */
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

/* The time is the longest of three that overlap: what L2 delivers of B, and of A for every 128
 * columns; what tensor cores do; and the instructions that unpack a fragment from a bitmap, for 64
 * columns. */
double cycles_of_tensor(const TensorSize &size, double cell_bytes, double instructions) {
  const double bytes = size.rows_of_b * 256 * size.element + size.cells * 2 * cell_bytes;
  const double l2 = bytes / 24, tensor = size.cells * 256 / size.rate;
  const double issue = size.cells * instructions;
  const double longer = l2 > tensor ? l2 : tensor;
  return longer > issue ? longer : issue;
}
double cycles_of_gather(const TensorSize &size) { return cycles_of_tensor(size, size.element, 0); }
double cycles_of_bitmap(const TensorSize &size) {
  /* Instructions for 256 and for 128 cells, counted in machine code for compute capability 9.0. */
  const double instructions = size.element == 2 ? 78.0 / 256 : 57.0 / 128;
  return cycles_of_tensor(size, size.fullness * size.element + 1.5 / 8, instructions);
}
/* The share of cells that are entries from which on a bitmap saves less than it costs. */
constexpr double BITMAP_FULLNESS = 0.5;

/* Choose the family for many columns. */
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
  if (status == SPK_ERR_SHAPE) return SPK_OK; /* more panels than can be numbered */
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
