#include "system.h"

#include <sched.h>
#include <signal.h>
#include <time.h>

#ifdef __linux__
#include <linux/futex.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* No frame of the library exceeds 16 KiB.  The address sanitizer makes frames larger. */
#define STACK_BYTES ((size_t)1 << 20)

/* Signals that a thread causes itself.  They stay unblocked, so that handlers which report a crash
 * see them. */
static const int own_signals[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};

int spk_thread_start(pthread_t *thread, void *(*fn)(void *), void *argument) {
  pthread_attr_t attributes;
  sigset_t blocked, before;
  if (pthread_attr_init(&attributes) != 0) return 0;
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  sigfillset(&blocked);
  for (size_t i = 0; i < sizeof own_signals / sizeof *own_signals; i++)
    sigdelset(&blocked, own_signals[i]);
  /* A thread starts with the signal mask of its creator. */
  pthread_sigmask(SIG_SETMASK, &blocked, &before);
  const int status = pthread_create(thread, &attributes, fn, argument);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  return status == 0;
}

static int64_t nanoseconds(const struct timespec *t) {
  return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

int64_t spk_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return nanoseconds(&now);
}

#ifdef __linux__

void spk_thread_set_name(const char *name) { pthread_setname_np(pthread_self(), name); }

void spk_sleep_after_fork(void) {}

void spk_thread_wake_politely(void) {
  const struct sched_param none = {0};
  if (sched_getscheduler(0) == SCHED_OTHER) sched_setscheduler(0, SCHED_BATCH, &none);
}

void spk_sleep(atomic_uint *word, unsigned expected) {
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
}

void spk_wake(atomic_uint *word, int most) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, most, NULL, NULL, 0);
}

/* CPU time comes from the clock of the thread, as the times of getrusage are as old as the last
 * tick. */
spk_usage spk_thread_usage(void) {
  struct timespec cpu = {0};
  struct rusage u = {0};
  const int64_t wall = spk_now();
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
  getrusage(RUSAGE_THREAD, &u);
  return (spk_usage){wall, nanoseconds(&cpu), u.ru_nvcsw, u.ru_nivcsw};
}

#else

void spk_thread_set_name(const char *name) { (void)name; }

void spk_thread_wake_politely(void) {}

/* One lock serves all words, because threads sleep seldom. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t woken = PTHREAD_COND_INITIALIZER;

/* Another thread of the parent may have held the lock at the fork. */
void spk_sleep_after_fork(void) {
  pthread_mutex_init(&lock, NULL);
  pthread_cond_init(&woken, NULL);
}

void spk_sleep(atomic_uint *word, unsigned expected) {
  pthread_mutex_lock(&lock);
  if (atomic_load(word) == expected) pthread_cond_wait(&woken, &lock);
  pthread_mutex_unlock(&lock);
}

void spk_wake(atomic_uint *word, int most) {
  (void)word;
  (void)most;
  pthread_mutex_lock(&lock);
  pthread_cond_broadcast(&woken);
  pthread_mutex_unlock(&lock);
}

/* The number of sleeps is not known here, so the thread reports that it lost nothing. */
spk_usage spk_thread_usage(void) {
  const int64_t wall = spk_now();
  return (spk_usage){wall, wall, 0, 0};
}

#endif
