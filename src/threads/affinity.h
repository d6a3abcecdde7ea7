/* Keeps the threads of a region off each other's CPUs. */
#ifndef SPK_THREADS_AFFINITY_H
#define SPK_THREADS_AFFINITY_H

#include <pthread.h>
#include <stdatomic.h>

#define SPK_MAX_CPUS 1024

/* A set of CPUs, as bits. */
typedef struct spk_cpus {
  unsigned long long bits[SPK_MAX_CPUS / 64];
} spk_cpus;

static inline void spk_cpus_add(spk_cpus *cpus, int cpu) {
  if (cpu >= 0 && cpu < SPK_MAX_CPUS) cpus->bits[cpu / 64] |= 1ull << cpu % 64;
}

/* The CPUs that threads of a region were seen on. */
typedef struct spk_places {
  atomic_ullong taken[SPK_MAX_CPUS / 64];
} spk_places;

void spk_places_init(spk_places *places);

/* Note the CPU of the calling thread.  If another thread of the region has that CPU already, move
 * to a free CPU that this thread may use, if there is one. */
void spk_take_place(spk_places *places);

/* The CPU of the calling thread, or SPK_NO_CPU if the system does not say. */
int spk_current_cpu(void);

/* Stands for "no CPU" where the number of a CPU is expected. */
#define SPK_NO_CPU (-1)

/* Let a worker run on all CPUs that the process may use, except for the CPU `off`.  The process may
 * use: the CPUs of `wide`, or of the main thread if `wide` is NULL; the CPUs that the worker may
 * use already; and `back`, which the worker was kept off before, if the calling thread may use it.
 * If `off` is the only CPU, the worker may use it.  Returns the CPU that the worker is kept off. */
int spk_set_place(pthread_t worker, const spk_cpus *wide, int back, int off);

/* Let another thread run on this CPU. */
void spk_yield(void);

#endif
