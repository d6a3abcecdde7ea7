/* Threads.  parallel.c is the only file with an OpenMP pragma or call. */
#ifndef SPK_THREADS_PARALLEL_H
#define SPK_THREADS_PARALLEL_H

#include "../common/common.h"

/* worker < threads: each has a workspace of its own. */
typedef void (*spk_task_fn)(void *context, ptrdiff_t task, int worker);

/* Tasks 0 .. tasks-1, each run once.  A worker begins with a range of its own, the same at every
 * call, so that what it wrote last time is still in its cache; then it helps the others.  What a
 * task computes must not depend on who runs it. */
typedef struct spk_phase {
  ptrdiff_t tasks;
  spk_task_fn fn;
} spk_phase;

/* Run the tasks of `first`, then those of `second`, on at most `threads` workers. */
void spk_parallel(int threads, spk_phase first, spk_phase second, void *context);

/* Once, before the first region: prepares for fork(). */
void spk_parallel_init(void);

/* Threads for a call that asked for `requested`: exactly so many if positive, at most that many if
 * negative, at most the default if 0; fewer where the work, in multiply-adds, is small, or the
 * machine busy. */
int spk_choose_threads(int requested, double work);

/* Threads of a call that asks for none: what was set, else what OpenMP would use, up to a limit. */
int spk_default_threads(void);
void spk_set_default_threads(int threads); /* 0: as OpenMP says */
void spk_limit_default_threads(int limit); /* 0: no limit */
/* The version macro of OpenMP, or NULL. */
const char *spk_openmp_version(void);
/* Regions that had fewer threads as CPUs were busy. */
size_t spk_pool_contended_regions(void);

#endif
