/* What the system offers to threads: starting one, sleeping on a word, clocks. */
#ifndef SPK_THREADS_SYSTEM_H
#define SPK_THREADS_SYSTEM_H

#include <pthread.h>
#include <stdatomic.h>

#include "../common/common.h"

/* The most threads of a region.  More than this would only cost memory. */
#define SPK_MAX_THREADS 256

#define SPK_MICROSECOND ((int64_t)1000)
#define SPK_MILLISECOND ((int64_t)1000000)

/* Start a thread with a small stack and without signals, which are for the process's own threads;
 * 0 where the system refuses it. */
int spk_thread_start(pthread_t *thread, void *(*fn)(void *), void *argument);

/* Give the calling thread a name that debuggers and `top` show: 15 characters at most. */
void spk_thread_set_name(const char *name);

/* Have the calling thread, if it is scheduled as usual, not preempt others when it wakes. */
void spk_thread_wake_politely(void);

/* Sleep while *word is `expected`, until somebody wakes it; it may return for no reason. */
void spk_sleep(atomic_uint *word, unsigned expected);
/* Wake up to `most` threads that sleep on a word.  It is not read: its memory may be gone. */
void spk_wake(atomic_uint *word, int most);

/* Nanoseconds of a clock that never goes back. */
int64_t spk_now(void);

/* In the child of a fork(), where no other thread is left. */
void spk_sleep_after_fork(void);

/* What the calling thread had of the CPU until now. */
typedef struct spk_usage {
  int64_t wall, cpu; /* nanoseconds */
  long sleeps;       /* how often it gave the CPU up to wait for something */
  long preemptions;  /* how often another thread was given its CPU */
} spk_usage;
spk_usage spk_thread_usage(void);

/* What the thread lost to others, as far as that is known: between two looks it either ran or
 * waited for a CPU, if it never slept. */
static inline int64_t spk_usage_lost(const spk_usage *before, const spk_usage *after) {
  if (after->sleeps != before->sleeps) return 0;
  return (after->wall - before->wall) - (after->cpu - before->cpu);
}

/* Whether that was not for another thread of this system, but for the host of a virtual machine. */
static inline int spk_usage_stolen(const spk_usage *before, const spk_usage *after) {
  return after->preemptions == before->preemptions;
}

/* In a loop that waits for another thread. */
static inline void spk_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb"); /* `yield` is a no-op on most cores */
#endif
}

#endif
