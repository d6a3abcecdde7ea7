/* Validates index arrays with all threads.  For a product with a vector, the check takes a sixth of
 * the time of the product. */
#include <stdatomic.h>

#include "drivers.h"
#include "../threads/parallel.h"

/* The indices of one task, which takes some microseconds. */
#define CHUNK ((ptrdiff_t)1 << 15)

typedef struct job {
  const void *indices;
  spk_itype itype;
  ptrdiff_t count, bound;
  const spk_kernels *kernels;
  int descends; /* whether descents are counted */
  atomic_ptrdiff_t falls;
  atomic_int outside;
} job;

static void validate_chunk(void *context, ptrdiff_t task, int worker) {
  job *j = context;
  (void)worker;
  const ptrdiff_t begin = task * CHUNK, end = spk_min(j->count, begin + CHUNK);
  ptrdiff_t falls = 0;
  if (atomic_load_explicit(&j->outside, memory_order_relaxed)) return;
  if (!j->kernels->validate_indices[j->itype](spk_at(j->indices, begin, spk_itype_size(j->itype)),
                                              end - begin, j->bound, j->descends ? &falls : NULL))
    atomic_store_explicit(&j->outside, 1, memory_order_relaxed);
  if (!j->descends) return;
  if (begin > 0)
    falls += spk_index(j->indices, j->itype, begin) < spk_index(j->indices, j->itype, begin - 1);
  atomic_fetch_add_explicit(&j->falls, falls, memory_order_relaxed);
}

int spk_drive_validate(const void *indices, spk_itype itype, ptrdiff_t count, ptrdiff_t bound,
                       ptrdiff_t *descents, int threads, const spk_kernels *kernels) {
  job j = {.indices = indices,
           .itype = itype,
           .count = count,
           .bound = bound,
           .kernels = kernels,
           .descends = descents != NULL};
  atomic_init(&j.falls, 0);
  atomic_init(&j.outside, 0);
  const ptrdiff_t chunks = spk_ceil_div(count, CHUNK);
  const int useful = spk_choose_threads(threads, (double)count);
  spk_parallel((int)spk_min(useful, chunks), (spk_phase){0}, (spk_phase){chunks, validate_chunk},
               &j);
  if (descents) *descents = atomic_load_explicit(&j.falls, memory_order_relaxed);
  return !atomic_load_explicit(&j.outside, memory_order_relaxed);
}
