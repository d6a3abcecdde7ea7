/* The worker threads of the process.
 *
 * There is one pool for all callers.  A caller claims a job, opens it to the workers, and does all
 * work itself that no worker does.  Then it closes the job, and waits only for the workers that are
 * inside.  So a worker that has not come holds nobody up.
 *
 * Jobs lie in the pool and not with their callers, because a worker may look at a job at any time.
 * A worker joins by one compare-and-swap on the state of the job, which fails once the job was
 * closed.  Only after that does it read what the caller passed.
 *
 * Between jobs a worker looks for the next job for a while, and then sleeps.  A worker that sees
 * that it lost its CPU is parked (contention.h): products do without it until a probe finds the CPU
 * free.  Workers inside a job need not know about parking, so a job may last for many steps with a
 * barrier between them. */
#ifndef SPK_THREADS_POOL_H
#define SPK_THREADS_POOL_H

#include <stdatomic.h>

#include "../common/common.h"
#include "affinity.h"

/* The state of one worker number within a job: the next task of its range for each of two phases,
 * and whether a worker has taken the number.  It has a cache line of its own. */
typedef struct spk_seat {
  _Alignas(SPK_ALIGN) atomic_ptrdiff_t next[2];
  atomic_int taken;
} spk_seat;

typedef void (*spk_job_fn)(void *context, int worker);

typedef struct spk_job spk_job;

/* Call this once, before all other functions: it prepares for fork().  Workers run on `cpus`, which
 * must stay valid.  NULL: workers run where the thread that starts them or the main thread may
 * run. */
void spk_pool_init(const spk_cpus *cpus);

/* Claim a job for at most `*threads` threads, and for no more than `most`.  The caller is one of
 * them.  Threads are started if there are too few.  Returns NULL if the caller has to work alone;
 * otherwise *threads becomes the number of threads that there can be. */
spk_job *spk_pool_claim(int *threads, int most);

/* Reserve a job for `threads` threads that are not of the pool.  No worker is started or woken.
 * Returns NULL if all jobs are in use. */
spk_job *spk_job_reserve(int threads);
/* Give a reserved job back. */
void spk_job_release(spk_job *job);

/* One seat per thread that the job was claimed or reserved for, all empty. */
spk_seat *spk_job_seats(spk_job *job);

/* Have workers call fn(context, worker).  Each worker has a number of its own, from 1 on. */
void spk_job_open(spk_job *job, spk_job_fn fn, void *context);

/* Let no more workers join, wait for those who did, and give the job back. */
void spk_job_close(spk_job *job);

/* How many of `wanted` threads to use.  Threads that are parked do not count.  If the work
 * is_short, sleeping threads do not count either, as waking them would take longer than the work.
 * The call probes parked workers from time to time. */
int spk_pool_threads(int wanted, int is_short);

/* The number of regions until now that had fewer threads because of contention, or that waited for
 * a worker which had lost its CPU. */
size_t spk_pool_contended(void);

/* A gate that threads inside a job wait at.  Its word is 0 at first.  A waiting thread first spins,
 * then offers its CPU to others, then sleeps. */
void spk_gate_await(atomic_uint *gate);
void spk_gate_open(atomic_uint *gate);

#endif
