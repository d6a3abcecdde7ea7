/* What is known of the threads that OpenMP keeps for a thread that opens parallel regions.
 *
 * OpenMP starts the threads that a region lacks, and ends the process if it cannot.  So a region
 * asks here first, and is opened with no more threads than there are or can be started. */
#ifndef SPK_DRIVER_POOL_H
#define SPK_DRIVER_POOL_H

#include <stdatomic.h>

#include "../common.h"

/* The next task of a worker's range, on a cache line of its own. */
typedef struct spk_counter {
  _Alignas(SPK_ALIGN) atomic_ptrdiff_t next;
} spk_counter;

typedef struct spk_pool {
  atomic_int members; /* threads that have worked in a region of it, and have not ended */
  atomic_int holders; /* these and the thread that it belongs to: the last one frees it */
  int last;           /* threads of its last region: OpenMP ends those that a region leaves out */
  int postponed; /* regions that do not ask for more threads, as the last one that did got none */
  spk_counter counters[]; /* of its regions: two for each thread */
} spk_pool;

void spk_pool_init(void);

/* The pool of the calling thread, for regions of up to `most` threads, always the same number;
 * NULL: no memory. */
spk_pool *spk_pool_of_thread(int most);

/* How many threads, at most `wanted`, the next region can have: those that OpenMP has, and those
 * that were seen to be startable a moment ago. */
int spk_pool_provide(spk_pool *pool, int wanted);

/* By each thread that works in a region of the pool but the one that opened it. */
void spk_pool_join(spk_pool *pool);

#endif
