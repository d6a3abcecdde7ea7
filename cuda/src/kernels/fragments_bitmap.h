/* Fragments of A that lanes assemble from the entries alone, by bitmaps: see pack/bitmap.h.
 *
 * A lane's cells of a fragment are neighbours in one word of the bitmap: 8 cells of 16 bits, or 4
 * floats.  The lane counts the bits below its own cells once, and then steps.  nvcc makes about 78
 * instructions of a fragment of 16 bits, and 57 of a fragment of floats.  A warp multiplies a
 * fragment by 64 columns, which takes its tensor core 64 cycles, 192 in 3xTF32.  With copies and
 * the rest, issuing instructions limits this source to about half of what mma.sync can do
 * (calculated).  It pays if A's bytes, or its memory, are what counts. */
#ifndef SPK_KERNELS_FRAGMENTS_BITMAP_H
#define SPK_KERNELS_FRAGMENTS_BITMAP_H

#include "../pack/bitmap.h"
#include "tensor_types.h"

namespace spk {

/* A source of fragments: see fragments_packed.h. */
template <class Type_>
struct BitmapFragments {
  using Type = Type_;
  using Element = typename Type::Element;
  static constexpr bool HAS_BEGINS = true;
  static constexpr int STEPS_AT_ONCE = 1;
  static constexpr int OWN = 4 * Type::HALVES; /* cells of a fragment that a lane has */
  static constexpr int UNIT = 16 / (int)sizeof(Element);

  const Element *values;
  const uint32_t *stored;
  const int32_t *begins;
  const uint16_t *before;
  /* The current slice.  A kernel holds it instead of three pointers to the slice. */
  int64_t first;

  /* A slice in shared memory: the words of its bitmap, the counts before them, and the values. */
  static SPK_HOST_DEVICE int words(int height) { return height * Type::DEPTH / 32; }
  static SPK_HOST_DEVICE int values_at(int height) { return words(height) * 6; }
  static SPK_HOST_DEVICE int stage_bytes(int height) {
    return values_at(height) + height * Type::DEPTH * (int)sizeof(Element);
  }

  SPK_DEVICE BitmapFragments from(int64_t slice, int) const {
    return {values, stored, begins, before, slice};
  }
  SPK_DEVICE const int32_t *begin_of(int slice) const { return begins + first + slice; }
  static SPK_DEVICE void copy_all(char *to, const void *from, int bytes, int threads) {
    SPK_ONE_BY_ONE
    for (int at = thread() * 16; at < bytes; at += threads * 16)
      copy_async<16>(to + at, static_cast<const char *>(from) + at, 16);
  }
  template <int>
  SPK_DEVICE void copy(char *stage, int height, int threads, int slice, const int32_t *own) const {
    const int64_t count = words(height), at = (first + slice) * count;
    copy_all(stage, stored + at, (int)count * 4, threads);
    copy_all(stage + count * 4, before + at, (int)count * 2, threads);
    copy_all(stage + values_at(height), values + (int64_t)own[0] * UNIT, (own[1] - own[0]) * 16,
             threads);
  }
  static SPK_DEVICE uint32_t word_of(Element v) {
    if constexpr (Type::HALVES == 2)
      return v.bits;
    else
      return bits_of(v);
  }
  static SPK_DEVICE void read(uint32_t (&a)[4], const char *stage, int height, int index) {
    const int cell = index * spk_fragment_cells(Type::HALVES) + lane() * OWN, word = cell / 32;
    const uint32_t bits = reinterpret_cast<const uint32_t *>(stage)[word];
    const uint16_t *counts = reinterpret_cast<const uint16_t *>(stage + words(height) * 4);
    const Element *next = reinterpret_cast<const Element *>(stage + values_at(height)) +
                          counts[word] + popcount(bits & ((1u << cell % 32) - 1u));
    const uint32_t mine = bits >> cell % 32;
    uint32_t own[OWN];
    SPK_UNROLLED
    for (int i = 0; i < OWN; i++) {
      /* Without an entry, the value of the next entry is read, or what lies behind the last.  So no
       * load waits for a condition. */
      const uint32_t there = mine >> i & 1u, value = word_of(*next);
      own[i] = there ? value : 0;
      next += there;
    }
    SPK_UNROLLED
    for (int i = 0; i < 4; i++) {
      if constexpr (Type::HALVES == 2)
        a[i] = own[2 * i] | own[2 * i + 1] << 16;
      else
        a[i] = own[i];
    }
  }
  SPK_DEVICE Element value(int64_t cell, int64_t slice) const {
    const uint32_t below = load(stored + cell / 32) & ((1u << cell % 32) - 1u);
    return load(values + (int64_t)load(begins + slice) * UNIT + load(before + cell / 32) +
                popcount(below));
  }
};

} // namespace spk

#endif
