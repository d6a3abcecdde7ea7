/* Threads.  parallel.c is the only file with an OpenMP pragma or call. */
#ifndef SPK_THREADS_PARALLEL_H
#define SPK_THREADS_PARALLEL_H

#include "../common/common.h"

/* worker < threads.  Each worker has a workspace of its own. */
typedef void (*spk_task_fn)(void *context, ptrdiff_t task, int worker);

/* Tasks 0 .. tasks-1; each runs once.  A worker begins with a range of its own, which is the same
 * at every call, so that what it wrote in the last call is still in its cache.  After that it helps
 * the others.  What a task computes must not depend on the worker that runs it. */
typedef struct spk_phase {
  ptrdiff_t tasks;
  spk_task_fn fn;
} spk_phase;

/* Run the tasks of `first`, then those of `second`, on at most `threads` workers. */
void spk_parallel(int threads, spk_phase first, spk_phase second, void *context);

/* Call this once, before the first region: it prepares for fork(). */
void spk_parallel_init(void);

/* Let regions of the calling thread run on a team of another library; NULL: on the pool. */
void spk_set_team(const spk_team *team);

/* The number of threads for a call that asked for `requested`.  If positive, it is that number.  If
 * negative, it is at most -requested, and if 0, at most the default.  In both cases there are fewer
 * threads if the work, in multiply-adds, is small, or if the machine is busy. */
int spk_choose_threads(int requested, double work);

/* The number of threads of a call that asks for none: the default that was set, else what OpenMP
 * would use, up to the limit. */
int spk_default_threads(void);
void spk_set_default_threads(int threads); /* 0: what OpenMP would use */
void spk_limit_default_threads(int limit); /* 0: no limit */
/* The version macro of OpenMP, or NULL. */
const char *spk_openmp_version(void);
/* The number of regions that had fewer threads because CPUs were busy. */
size_t spk_parallel_contended(void);

#endif
