/* Times the roofline kernels on all threads at once. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "drivers.h"
#include "../threads/parallel.h"

/* The duration of a trial, and the number of trials, of which the best counts. */
#define TRIAL_SECONDS 0.005
#define TRIALS 15

typedef struct job {
  spk_roofline_fn fn;
  char *buffers; /* of all threads, one after another */
  size_t bytes;  /* of each buffer */
  ptrdiff_t count, rounds;
  double *sums; /* written so that no compiler leaves the work out */
} job;

static double seconds(void) {
  struct timespec now;
  timespec_get(&now, TIME_UTC);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void run_one(void *context, ptrdiff_t task, int worker) {
  job *j = context;
  (void)worker;
  j->sums[task] += j->fn(j->buffers + (size_t)task * j->bytes, j->count, j->rounds);
}

static double time_of(job *j, int threads) {
  const double start = seconds();
  spk_parallel(threads, (spk_phase){0}, (spk_phase){threads, run_one}, j);
  return seconds() - start;
}

/* Rounds per second and thread. */
static double rate_of(job *j, int threads) {
  double best = 0;
  /* The shorter of two times counts, so that a disturbance does not make all trials too short. */
  for (j->rounds = 1; fmin(time_of(j, threads), time_of(j, threads)) < TRIAL_SECONDS;
       j->rounds *= 2) {
  }
  for (int trial = 0; trial < TRIALS; trial++) {
    const double rate = (double)j->rounds / time_of(j, threads);
    best = rate > best ? rate : best;
  }
  return best;
}

spk_status spk_drive_roofline(spk_roofline what, spk_dtype dtype, size_t bytes, int threads,
                              const spk_kernels *kernels, double *rate) {
  const ptrdiff_t lanes = kernels->lanes[dtype], size = (ptrdiff_t)spk_dtype_size(dtype);
  const ptrdiff_t step = 8 * lanes;
  const ptrdiff_t count = spk_max(1, (ptrdiff_t)(bytes / (size_t)size) / step) * step;
  double sums[SPK_MAX_ROOFLINE_THREADS] = {0};
  job j = {
      .fn = what == SPK_ROOFLINE_FMA ? kernels->roofline_fma[dtype] : kernels->roofline_load[dtype],
      .bytes = spk_aligned_size((size_t)(count * size)),
      .count = count,
      .sums = sums};
  threads = (int)spk_min(spk_choose_threads(threads, 1e12), SPK_MAX_ROOFLINE_THREADS);
  if (j.bytes > PTRDIFF_MAX / (size_t)threads) return SPK_ERR_MEMORY;
  j.buffers = aligned_alloc(SPK_ALIGN, j.bytes * (size_t)threads);
  if (!j.buffers) return SPK_ERR_MEMORY;
  memset(j.buffers, 0, j.bytes * (size_t)threads);
  const double per_second = rate_of(&j, threads) * threads;
  *rate = what == SPK_ROOFLINE_FMA ? per_second * 12 * 2 * (double)lanes
                                   : per_second * (double)(count * size);
  free(j.buffers);
  return SPK_OK;
}
