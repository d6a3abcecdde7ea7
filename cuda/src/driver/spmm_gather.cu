/* Panels with all their cells written out, on tensor cores. */
#include "../kernels/fragments_packed.h"
#include "tensor_panels.h"

namespace spk {
namespace {

template <class Type_>
class WrittenCells {
 public:
  using Type = Type_;
  using Source = PackedFragments<Type>;
  static constexpr const char *NAME = "gather";

  int make(const spk_entries &A, const spk_panels &panels, spk_cuda_dtype dtype) {
    Owned<spk_gather, spk_gather_free> packed;
    int status = spk_gather_make(&A, &panels, &packed);
    if (status == SPK_OK) status = values_.make(packed.slots, packed.cells, dtype);
    if (status == SPK_OK) status = stored_.assign(packed.stored, packed.cells / 32);
    return status;
  }
  int fill(const void *values, spk_cuda_dtype dtype, void *stream) {
    return values_.fill(values, dtype, stream);
  }
  Source source() const {
    Source made;
    made.values = static_cast<const typename Type::Element *>(values_.data());
    made.stored = stored_.data();
    return made;
  }
  size_t bytes() const { return values_.bytes() + stored_.bytes(); }

 private:
  PackedValues values_;
  DeviceArray<uint32_t> stored_;
};

} // namespace

int make_spmm_gather(const SpmmWanted &wanted, std::unique_ptr<SpmmKernel> *made) {
  return make_tensor_panels<WrittenCells>(wanted, made);
}

} // namespace spk
