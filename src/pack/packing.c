#include "packing.h"

#include <pthread.h>
#include <stdatomic.h>

/* The number of callers that are packing. */
static atomic_int packers;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* The other packing threads of the parent do not exist in the child. */
static void after_fork_in_child(void) { atomic_store_explicit(&packers, 0, memory_order_relaxed); }

static void prepare(void) { pthread_atfork(NULL, NULL, after_fork_in_child); }

void spk_run_packing(int threads, ptrdiff_t nnz, spk_phase phase, void *context) {
  pthread_once(&once, prepare);
  const int others = atomic_fetch_add_explicit(&packers, 1, memory_order_relaxed);
  const int most = spk_choose_threads(threads, 8.0 * (double)nnz);
  spk_parallel((int)spk_max(1, most / (others + 1)), (spk_phase){0}, phase, context);
  atomic_fetch_sub_explicit(&packers, 1, memory_order_relaxed);
}
