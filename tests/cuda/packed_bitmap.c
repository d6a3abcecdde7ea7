/* C = A @ B from panels under bitmaps, as kernels/fragments_bitmap.h takes them. */
#include "bitmap.h"
#include "packed_panels.h"

int spk_packed_bitmap(const spk_sparse *A, ptrdiff_t n, const double *B, double *C, int height,
                      int halves, int longest);

static int unpack(const spk_entries *A, const spk_panels *panels, const double *values,
                  cell *cells) {
  spk_bitmap packed;
  int status = spk_bitmap_make(A, panels, &packed);
  const int unit = spk_bitmap_unit(panels->halves);
  const int64_t words = panels->slices ? packed.words / panels->slices : 0;
  for (int64_t w = 0; status == SPK_OK && w < packed.words; w++) {
    const int64_t begin = (int64_t)packed.begin[w / words] * unit;
    const int64_t end = (int64_t)packed.begin[w / words + 1] * unit;
    int64_t next = begin + packed.before[w];
    for (int i = 0; i < 32; i++) {
      cell *it = &cells[w * 32 + i];
      it->there = packed.stored[w] >> i & 1;
      if (it->there) it->value = values[packed.slots[next++]];
    }
    /* After the last word of a slice no more than the rest of 16 bytes is left. */
    if (next > end || (w % words == words - 1 && end - next >= unit)) status = SPK_ERR_ARGUMENT;
  }
  spk_bitmap_free(&packed);
  return status;
}

int spk_packed_bitmap(const spk_sparse *A, ptrdiff_t n, const double *B, double *C, int height,
                      int halves, int longest) {
  return multiply_panels(A, n, B, C, height, halves, longest, unpack);
}
