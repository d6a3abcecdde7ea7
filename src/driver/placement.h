/* Keeping the threads of a region off each other's CPUs. */
#ifndef SPK_DRIVER_PLACEMENT_H
#define SPK_DRIVER_PLACEMENT_H

#include <stdatomic.h>

#define SPK_MOST_CPUS 1024

/* The CPUs that threads of a region were seen on. */
typedef struct spk_places {
  atomic_ullong taken[SPK_MOST_CPUS / 64];
} spk_places;

void spk_places_init(spk_places *places);

/* Note the CPU of the calling thread; where another thread of the region has it, move to a free
 * one, if there is one that this thread may use. */
void spk_take_place(spk_places *places);

/* Let another thread run on this CPU. */
void spk_yield(void);

#endif
