/* The k largest elements of each row. */
#include "../threads/partition.h"
#include "../plan/cost.h"
#include "drivers.h"
#include "../threads/parallel.h"

#define PARTS_PER_THREAD 4

typedef struct job {
  const spk_winners *w;
  ptrdiff_t parts;
  spk_kwinners_fn kernel;
} job;

static void run_part(void *context, ptrdiff_t part, int worker) {
  (void)worker;
  const job *j = context;
  const spk_winners *w = j->w;
  const size_t size = spk_dtype_size(w->dtype);
  const ptrdiff_t last = spk_partition_even(w->rows, part + 1, j->parts);
  for (ptrdiff_t i = spk_partition_even(w->rows, part, j->parts); i < last; i++)
    j->kernel(w->out ? spk_at_mut(w->out, i * w->ldout, size) : NULL,
              w->winners ? w->winners + i * w->k : NULL, spk_at(w->X, i * w->ldx, size), w->cols,
              w->k);
}

void spk_drive_kwinners(const spk_winners *w, int threads, const spk_kernels *kernels) {
  threads =
      spk_choose_threads(threads, SPK_WORK_KWINNERS_ELEMENT * (double)w->rows * (double)w->cols);
  const ptrdiff_t parts = threads > 1 ? (ptrdiff_t)threads * PARTS_PER_THREAD : 1;
  job j = {w, spk_min(w->rows, parts), kernels->kwinners[w->dtype]};
  spk_parallel(threads, (spk_phase){0}, (spk_phase){j.parts, run_part}, &j);
}
