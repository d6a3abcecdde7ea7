/* The team that a thread was lent by another OpenMP library (spk_use_team), and whether it is of
 * use now. */
#ifndef SPK_THREADS_TEAM_H
#define SPK_THREADS_TEAM_H

#include "../common/common.h"

/* Call this once, before all other functions: it prepares for fork(). */
void spk_team_init(void);

/* The team of the calling thread; NULL: none. */
void spk_team_set(const spk_team *team);

/* The team of the calling thread, or NULL.  The team may be contended. */
const spk_team *spk_team_find(void);

/* Whether threads of teams have their CPUs, or are to be tried again.  While they have not, calls
 * use the pool. */
int spk_team_is_of_use(void);

/* Run fn(context, number) on the threads of the team whose number is below `threads`.  Returns 0,
 * and runs nothing, if teams turned out to be contended. */
int spk_team_run(const spk_team *team, int threads, void (*fn)(void *, int), void *context);

/* The number of regions until now that waited for a thread of a team which had lost its CPU. */
size_t spk_team_contended(void);

#endif
