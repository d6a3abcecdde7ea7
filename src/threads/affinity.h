/* Keeping the threads of a region off each other's CPUs. */
#ifndef SPK_THREADS_AFFINITY_H
#define SPK_THREADS_AFFINITY_H

#include <pthread.h>
#include <stdatomic.h>

#define SPK_MAX_CPUS 1024

/* A set of CPUs, by bits. */
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

/* Note the CPU of the calling thread; where another thread of the region has it, move to a free
 * one, if there is one that this thread may use. */
void spk_take_place(spk_places *places);

/* The CPU of the calling thread; SPK_NO_CPU where the system does not say. */
int spk_current_cpu(void);

/* No CPU, in the place of the number of one. */
#define SPK_NO_CPU (-1)

/* Let a worker run on all CPUs that the process may use: those of `wide`, or of the main thread if
 * that is NULL, those that it may use already, and `back`, which it was kept off before, if the
 * calling thread may use that; but not on `off`, unless there is no other.  Returns the CPU that it
 * is kept off. */
int spk_set_place(pthread_t worker, const spk_cpus *wide, int back, int off);

/* Let another thread run on this CPU. */
void spk_yield(void);

#endif
