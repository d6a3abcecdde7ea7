/* The worker threads of the process.
 *
 * There is one pool, whoever calls.  A caller claims a job, opens it to the workers, does all of
 * its work itself as far as nobody else does, and closes it: then it waits for the workers that are
 * inside, and for no others.  So a worker that has not come holds nobody up.
 *
 * Jobs lie in the pool, not with their callers: a worker may look at one at any time, and joins by
 * one compare-and-swap on its state, which fails once the job was closed.  What the caller passed
 * it reads after that alone.
 *
 * Between jobs a worker looks for the next one for a while and then sleeps.  When it sees that it
 * lost its CPU to somebody else, it is parked (contention.h): products do without it until a probe
 * finds the CPU free.  Workers inside a job know nothing of this, so a job may as well last for
 * many steps with a barrier between them. */
#ifndef SPK_THREADS_POOL_H
#define SPK_THREADS_POOL_H

#include <stdatomic.h>

#include "../common/common.h"
#include "affinity.h"

/* What belongs to a worker's number within a job: the next task of its range, for two phases, and
 * whether a worker has that number.  On a cache line of its own. */
typedef struct spk_seat {
  _Alignas(SPK_ALIGN) atomic_ptrdiff_t next[2];
  atomic_int taken;
} spk_seat;

typedef void (*spk_job_fn)(void *context, int worker);

typedef struct spk_job spk_job;

/* Once, before all others: prepares for fork().  Workers run on these CPUs, which stay where they
 * are; NULL: where their starter or the main thread may. */
void spk_pool_init(const spk_cpus *cpus);

/* A job for at most `*threads`, the caller among them, no more than `most`; threads are started
 * where there are too few.  NULL where there is none but the caller; else *threads is how many
 * there can be. */
spk_job *spk_pool_claim(int *threads, int most);

/* One per thread that the job was claimed for; all of them are empty. */
spk_seat *spk_job_seats(spk_job *job);

/* Have workers call fn(context, worker), each with another number from 1 on. */
void spk_job_open(spk_job *job, spk_job_fn fn, void *context);

/* Nobody joins any more; wait for those who did.  The job is given back. */
void spk_job_close(spk_job *job);

/* How many of `wanted` threads to use: those that can be expected to run undisturbed, and none that
 * had to be woken for work that takes no longer than that.  Probes parked workers now and then. */
int spk_pool_threads(int wanted, int is_short);

/* Regions, until now, that had fewer threads because of contention, or waited for a worker that
 * had lost its CPU. */
size_t spk_pool_contended(void);

/* A gate that those inside a job wait at: 0 at first.  They look at it, then offer their CPU to
 * others, then sleep. */
void spk_gate_await(atomic_uint *gate);
void spk_gate_open(atomic_uint *gate);

#endif
