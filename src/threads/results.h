/* Memory of large results, which is kept for later ones.
 *
 * The C library's allocator maps large blocks anew for each result.  Then the system has to clear
 * every page, which takes about as long as a sparse product takes to write it
 * (doc/decisions/threads.rst, decision-kept-results).  Memory that is given back here stays mapped,
 * up to a limit.  The system is told that it may take pages of it at any time (MADV_FREE). */
#ifndef SPK_THREADS_RESULTS_H
#define SPK_THREADS_RESULTS_H

#include <stddef.h>

/* At least `bytes` bytes, aligned to a huge page.  NULL: there is no memory. */
void *spk_results_take(size_t bytes);
/* Give a block back.  NULL is none. */
void spk_results_give(void *result);
/* A block of another size that begins with what `result` holds, which is given back.  NULL: there
 * is no memory, and `result` is as it was. */
void *spk_results_resize(void *result, size_t bytes);

/* The most bytes that are kept, if nobody says otherwise. */
#define SPK_KEPT_RESULTS ((size_t)1 << 28)
/* Set the most bytes that are kept. */
void spk_results_set_limit(size_t limit);
/* Whether the system is asked for huge pages.  They are, unless this says otherwise. */
void spk_results_set_huge_pages(int wanted);
/* The bytes that are kept now. */
size_t spk_results_kept(void);
/* Unmap what is kept, and return how many bytes these were. */
size_t spk_results_release(void);

#endif
