/* Floats rounded to bytes, by parts of rows. */
#include "../threads/partition.h"
#include "../plan/cost.h"
#include "drivers.h"
#include "../threads/parallel.h"

typedef struct job {
  const spk_floats *f;
  ptrdiff_t rows, cols, parts;
  spk_quantise_fn kernel;
} job;

static void run_part(void *context, ptrdiff_t part, int worker) {
  (void)worker;
  const job *j = context;
  const spk_floats *f = j->f;
  const ptrdiff_t last = spk_partition_even(j->rows, part + 1, j->parts);
  for (ptrdiff_t i = spk_partition_even(j->rows, part, j->parts); i < last; i++)
    j->kernel(f->out + i * f->ldout, f->X + i * f->ldx, j->cols, f->scale, f->low, f->zero_point);
}

void spk_drive_quantise(const spk_floats *f, int threads, const spk_kernels *kernels) {
  threads =
      spk_choose_threads(threads, SPK_WORK_QUANTISE_ELEMENT * (double)f->rows * (double)f->cols);
  const job j = {f, f->rows, f->cols, spk_min(f->rows, threads), kernels->quantise};
  spk_parallel(threads, (spk_phase){0}, (spk_phase){j.parts, run_part}, (void *)&j);
}
