/* C = A @ B from panels with all cells written out, as kernels/fragments_packed.h takes them. */
#include "gather.h"
#include "packed_panels.h"

int spk_packed_gather(const spk_sparse *A, ptrdiff_t n, const double *B, double *C, int height,
                      int halves, int longest);

static int unpack(const spk_entries *A, const spk_panels *panels, const double *values,
                  cell *cells) {
  spk_gather packed;
  int status = spk_gather_make(A, panels, &packed);
  for (int64_t i = 0; status == SPK_OK && i < packed.cells; i++) {
    cells[i].there = packed.stored[i / 32] >> i % 32 & 1;
    if (cells[i].there) cells[i].value = values[packed.slots[i]];
    if (!cells[i].there && packed.slots[i] != -1) status = SPK_ERR_ARGUMENT;
  }
  spk_gather_free(&packed);
  return status;
}

int spk_packed_gather(const spk_sparse *A, ptrdiff_t n, const double *B, double *C, int height,
                      int halves, int longest) {
  return multiply_panels(A, n, B, C, height, halves, longest, unpack);
}
