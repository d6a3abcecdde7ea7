/* Threads.  parallel.c is the only file with an OpenMP pragma or call. */
#ifndef SPK_DRIVER_PARALLEL_H
#define SPK_DRIVER_PARALLEL_H

#include "../common.h"

/* worker < threads: each has a workspace of its own. */
typedef void (*spk_task_fn)(void *context, ptrdiff_t task, int worker);

/* Run tasks 0 .. tasks-1, each once, on at most `threads` workers, whoever is free first.  What a
 * task computes must not depend on who runs it. */
void spk_parallel_for(ptrdiff_t tasks, int threads, spk_task_fn fn, void *context);

/* Once, before the first region: prepares for fork(). */
void spk_parallel_init(void);

/* Threads for a call that asked for `requested` (0: the default, by the work, in multiply-adds). */
int spk_choose_threads(int requested, double work);

#endif
