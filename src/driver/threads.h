/* Threads of the system, without OpenMP.  Nothing here fails: where a thread cannot be started,
 * there are fewer of them. */
#ifndef SPK_DRIVER_THREADS_H
#define SPK_DRIVER_THREADS_H

#include "../common.h"

/* The most threads of a region.  More than this would only cost memory. */
#define SPK_MOST_THREADS 256

/* How many threads, at most `wanted`, the system allows to exist in addition to those that there
 * are.  They are started, all at once, with stacks of `stack_bytes` (0: the system's default), and
 * are gone when this returns. */
int spk_startable_threads(int wanted, size_t stack_bytes);

/* Call run(context, worker) for worker 0, here, and for as many of 1 .. workers-1 as can be
 * started, each on a thread of its own; wait for all. */
void spk_run_on_threads(int workers, void (*run)(void *context, int worker), void *context);

#endif
