/* Panels that hold only the entries, under bitmaps, on tensor cores. */
#include "../kernels/fragments_bitmap.h"
#include "tensor_panels.h"

namespace spk {
namespace {

template <class Type_>
class CellsUnderBitmaps {
 public:
  using Type = Type_;
  using Source = BitmapFragments<Type>;
  static constexpr const char *NAME = "bitmap";

  int make(const spk_entries &A, const spk_panels &panels, spk_cuda_dtype dtype) {
    Owned<spk_bitmap, spk_bitmap_free> packed;
    int status = spk_bitmap_make(&A, &panels, &packed);
    if (status == SPK_OK) status = values_.make(packed.slots, packed.values, dtype);
    if (status == SPK_OK) status = stored_.assign(packed.stored, packed.words);
    if (status == SPK_OK) status = before_.assign(packed.before, packed.words);
    if (status == SPK_OK) status = begins_.assign(packed.begin, panels.slices + 1);
    return status;
  }
  int fill(const void *values, spk_cuda_dtype dtype, void *stream) {
    return values_.fill(values, dtype, stream);
  }
  Source source() const {
    Source made;
    made.values = static_cast<const typename Type::Element *>(values_.data());
    made.stored = stored_.data();
    made.begins = begins_.data();
    made.before = before_.data();
    made.first = 0;
    return made;
  }
  size_t bytes() const {
    return values_.bytes() + stored_.bytes() + before_.bytes() + begins_.bytes();
  }

 private:
  PackedValues values_;
  DeviceArray<uint32_t> stored_;
  DeviceArray<uint16_t> before_;
  DeviceArray<int32_t> begins_;
};

} // namespace

int make_spmm_bitmap(const SpmmWanted &wanted, std::unique_ptr<SpmmKernel> *made) {
  return make_tensor_panels<CellsUnderBitmaps>(wanted, made);
}

} // namespace spk
