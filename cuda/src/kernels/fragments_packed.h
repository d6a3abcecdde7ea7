/* Fragments of A that lie in memory as lanes read them, 16 bytes per lane. */
#ifndef SPK_KERNELS_FRAGMENTS_PACKED_H
#define SPK_KERNELS_FRAGMENTS_PACKED_H

#include "../pack/gather.h"
#include "tensor_types.h"

namespace spk {

/* A source of fragments for spmm_gather.h.  It defines what is copied for a slice, how a lane reads
 * its part of a fragment, and which cells are entries. */
template <class Type_>
struct PackedFragments {
  using Type = Type_;
  using Element = typename Type::Element;
  static constexpr bool HAS_BEGINS = false;
  static constexpr int STEPS_AT_ONCE = 2; /* steps of a slice that registers have room for */

  const Element *values;
  const uint32_t *stored;

  /* The bytes of shared memory of a slice. */
  static SPK_HOST_DEVICE int stage_bytes(int height) {
    return height * Type::DEPTH * (int)sizeof(Element);
  }
  /* The source that begins at a slice. */
  SPK_DEVICE PackedFragments from(int64_t slice, int height) const {
    return {values + slice * (height * Type::DEPTH), stored};
  }
  /* Copy a slice with all threads of the block.  Each thread would copy CHUNKS of 16 bytes if all
   * cells were written out.  If HAS_BEGINS, the last argument is begins[slice] and the next. */
  template <int CHUNKS>
  SPK_DEVICE void copy(char *stage, int height, int threads, int slice, const int32_t *) const {
    const char *from =
        reinterpret_cast<const char *>(values) + (int64_t)slice * stage_bytes(height);
    SPK_UNROLLED
    for (int i = 0; i < CHUNKS; i++) {
      const int at = (thread() + i * threads) * 16;
      copy_async<16>(stage + at, from + at, 16);
    }
  }
  /* Read this lane's part of fragment `index` of the slice. */
  static SPK_DEVICE void read(uint32_t (&a)[4], const char *stage, int, int index) {
    const auto v = reinterpret_cast<const vec<uint32_t, 4> *>(stage)[index * 32 + lane()];
    SPK_UNROLLED
    for (int i = 0; i < 4; i++) a[i] = v[i];
  }
  /* The value of a stored cell. */
  SPK_DEVICE Element value(int64_t cell, int64_t) const { return load(values + cell); }
};

} // namespace spk

#endif
