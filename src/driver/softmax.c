/* Softmax of the stored entries of each row. */
#include "../plan/cost.h"
#include "drivers.h"
#include "../threads/parallel.h"
#include "rows.h"

#define PARTS_PER_THREAD 4

typedef struct job {
  const spk_sparse *P;
  void *values;
  double scale;
  ptrdiff_t parts;
  spk_softmax_fn kernel;
} job;

static void run_part(void *context, ptrdiff_t part, int worker) {
  (void)worker;
  const job *j = context;
  const spk_sparse *P = j->P;
  const size_t size = spk_dtype_size(P->dtype);
  const ptrdiff_t last = spk_partition_begin(P, 0, P->rows, part + 1, j->parts);
  for (ptrdiff_t i = spk_partition_begin(P, 0, P->rows, part, j->parts); i < last; i++) {
    const ptrdiff_t p = spk_index(P->offsets, P->itype, i);
    const ptrdiff_t count = spk_index(P->offsets, P->itype, i + 1) - p;
    if (count > 0)
      j->kernel(spk_at_mut(j->values, p, size), spk_at(P->values, p, size), count, j->scale);
  }
}

void spk_drive_softmax(const spk_sparse *P, void *values, double scale, int threads,
                       const spk_kernels *kernels) {
  threads = spk_choose_threads(threads, SPK_WORK_SOFTMAX_ENTRY * (double)P->nnz);
  const ptrdiff_t parts = threads > 1 ? (ptrdiff_t)threads * PARTS_PER_THREAD : 1;
  job j = {P, values, scale, spk_min(P->rows, parts), kernels->softmax[P->dtype]};
  spk_parallel(threads, (spk_phase){0}, (spk_phase){j.parts, run_part}, &j);
}
