/* What the system offers to threads: how to start one, sleep on a word, and read clocks. */
#ifndef SPK_THREADS_SYSTEM_H
#define SPK_THREADS_SYSTEM_H

#include <pthread.h>
#include <stdatomic.h>

#include "../common/common.h"

/* The most threads of a region.  A higher limit would only cost memory. */
#define SPK_MAX_THREADS 256

#define SPK_MICROSECOND ((int64_t)1000)
#define SPK_MILLISECOND ((int64_t)1000000)

/* Start a thread with a small stack.  The thread blocks signals, which are for the process's own
 * threads.  Returns 0 if the system refuses to start it. */
int spk_thread_start(pthread_t *thread, void *(*fn)(void *), void *argument);

/* Give the calling thread a name that debuggers and `top` show: 15 characters at most. */
void spk_thread_set_name(const char *name);

/* If the calling thread is scheduled as usual, let it not preempt other threads when it wakes. */
void spk_thread_wake_politely(void);

/* Sleep while *word is `expected`, until another thread wakes this one.  The call may return
 * without a reason. */
void spk_sleep(atomic_uint *word, unsigned expected);
/* Wake up to `most` threads that sleep on a word.  The word is not read, as its memory may have
 * been freed. */
void spk_wake(atomic_uint *word, int most);

/* Nanoseconds of a clock that never goes back. */
int64_t spk_now(void);

/* Call this in the child of a fork(), where no other thread exists. */
void spk_sleep_after_fork(void);

/* The CPU time of the calling thread until now. */
typedef struct spk_usage {
  int64_t wall, cpu; /* nanoseconds */
  long sleeps;       /* how often the thread gave up the CPU to wait for something */
  long preemptions;  /* how often another thread was given its CPU */
} spk_usage;
spk_usage spk_thread_usage(void);

/* Nanoseconds that the thread lost to others between two measurements.  A thread that never slept
 * in between either ran or waited for a CPU.  If it did sleep, the loss is unknown, and the result
 * is 0. */
static inline int64_t spk_usage_lost(const spk_usage *before, const spk_usage *after) {
  if (after->sleeps != before->sleeps) return 0;
  return (after->wall - before->wall) - (after->cpu - before->cpu);
}

/* Whether the time was lost to the host of a virtual machine, and not to another thread of this
 * system. */
static inline int spk_usage_stolen(const spk_usage *before, const spk_usage *after) {
  return after->preemptions == before->preemptions;
}

/* A pause for loops that wait for another thread. */
static inline void spk_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb"); /* `yield` is a no-op on most cores */
#endif
}

#endif
